/** Signed transactions for tests and benchmarks, from the development accounts. */

import { createTx, type TypedTxData } from '@ethereumjs/tx';
import { fromHex } from '@squad/types';
import secp256k1 from 'secp256k1';
import { createSharedCommon } from '../../src/execution/evm/common.ts';

/** Keys of the development accounts, in their order. */
export const DEVELOPMENT_KEYS: readonly `0x${string}`[] = [
  '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80',
  '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d',
  '0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a',
  '0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6',
  '0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a',
];

/** Signs natively: the library's own way takes some milliseconds. */
function commonThatSigns(chainId: number) {
  const common = createSharedCommon(chainId, 'prague');
  common.customCrypto.ecsign = (message, privateKey) => {
    const { signature, recid } = secp256k1.ecdsaSign(message, privateKey);
    return Uint8Array.of(recid, ...signature);
  };
  return common;
}

/** Signs with the key of development account `sender`. */
export function sign(chainId: number, sender: number, data: TypedTxData): Uint8Array {
  const common = commonThatSigns(chainId);
  const fees = data.gasPrice === undefined ? { maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 1n } : {};
  const unsigned = createTx({ type: 2, gasLimit: 21_000n, ...fees, ...data }, { common });
  return unsigned.sign(fromHex(DEVELOPMENT_KEYS[sender]!)).serialize();
}

/** Transfers of 1 wei each, the senders by turns. */
export function signTransfers(chainId: number, count: number, recipients: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => {
    const sender = index % DEVELOPMENT_KEYS.length;
    const nonce = Math.floor(index / DEVELOPMENT_KEYS.length);
    return sign(chainId, sender, { nonce, to: recipient(index % recipients), value: 1n });
  });
}

/** A made-up address. */
export function recipient(index: number): `0x${string}` {
  return `0x${(0x1000_0000_0000 + index * 7919).toString(16).padStart(40, '5')}`;
}
