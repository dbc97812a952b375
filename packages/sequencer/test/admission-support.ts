/** Signed transactions of every kind, by viem, and the pieces to build broken ones from. */

import { RLP } from '@ethereumjs/rlp';
import { fromHex } from '@squad/types';
import { privateKeyToAccount } from 'viem/accounts';

export const account: ReturnType<typeof privateKeyToAccount> = privateKeyToAccount(`0x${'11'.repeat(32)}`);
export const CHAIN_ID = 901;
export const TO = `0x${'22'.repeat(20)}` as const;

type Request = Parameters<typeof account.signTransaction>[0];

const common = { chainId: CHAIN_ID, nonce: 0, gas: 21_000n, to: TO, value: 1n } as const;
const fees = { maxFeePerGas: 10n ** 9n, maxPriorityFeePerGas: 1n } as const;

export async function sign(request: object): Promise<Uint8Array> {
  return fromHex(await account.signTransaction(request as Request));
}

export const legacy = (more: object = {}): Promise<Uint8Array> =>
  sign({ type: 'legacy', ...common, gasPrice: 10n ** 9n, ...more });
export const accessList = (more: object = {}): Promise<Uint8Array> =>
  sign({ type: 'eip2930', ...common, gasPrice: 10n ** 9n, gas: 100_000n, accessList: [], ...more });
export const feeMarket = (more: object = {}): Promise<Uint8Array> =>
  sign({ type: 'eip1559', ...common, ...fees, ...more });
export async function setCode(more: object = {}): Promise<Uint8Array> {
  const authorization = await account.signAuthorization({ chainId: CHAIN_ID, contractAddress: TO, nonce: 1 });
  return sign({ type: 'eip7702', ...common, ...fees, gas: 100_000n, authorizationList: [authorization], ...more });
}

export type Fields = (Uint8Array | Fields)[];

/** The fields of a transaction, to change some of them; `typed` has its type byte stripped first. */
export function fieldsOf(raw: Uint8Array): Fields {
  return RLP.decode(raw[0]! >= 0xc0 ? raw : raw.subarray(1)) as Fields;
}

/** The transaction of these fields; `type` undefined for legacy. */
export function encodeFields(type: number | undefined, fields: Fields): Uint8Array {
  const encoded = RLP.encode(fields);
  return type === undefined ? encoded : Uint8Array.of(type, ...encoded);
}
