/** What a rollup file means for the EVM: the first state, the genesis header, the fields that all headers share. */

import type { BlockHeader, HeaderData } from '@ethereumjs/block';
import type { Common } from '@ethereumjs/common';
import { createAccount, createAddressFromString } from '@ethereumjs/util';
import { fromHex, ZERO_HASH } from '@squad/types';
import { AllocAccount, type RollupFile, SYSTEM_CONTRACTS } from '../../config/rollup-file.ts';
import { makeHeader } from './block.ts';
import type { EvmState } from './state.ts';
import { SYSTEM_CONTRACT_CODES } from './system-codes.ts';

/** sha256 of nothing: the hash of an empty list of requests (EIP-7685). */
const NO_REQUESTS_HASH = '0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
/** Root of the empty trie: no withdrawals (EIP-4895). */
const NO_WITHDRAWALS_ROOT = '0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421';

/** Fields that every header of the rollup has with the same value. */
export function headerFields(file: RollupFile): HeaderData {
  return {
    coinbase: file.feeRecipient as `0x${string}`,
    gasLimit: BigInt(file.gasLimit),
    difficulty: 0n,
    withdrawalsRoot: NO_WITHDRAWALS_ROOT,
    blobGasUsed: 0n,
    excessBlobGas: 0n,
    parentBeaconBlockRoot: ZERO_HASH,
    ...(file.hardfork === 'cancun' ? {} : { requestsHash: NO_REQUESTS_HASH }),
  };
}

export function genesisHeader(file: RollupFile, common: Common, stateRoot: Uint8Array): BlockHeader {
  return makeHeader(common, {
    ...headerFields(file),
    number: 0n,
    timestamp: Math.floor(file.genesisTimeMs / 1000),
    baseFeePerGas: BigInt(file.baseFeePerGas),
    stateRoot,
  });
}

/** The accounts of block 0: the file's, and the system contracts if the rollup has them, each with nonce 1 as on Ethereum. */
export function genesisAlloc({ alloc, ethereumBlocks }: RollupFile): Record<string, AllocAccount> {
  if (!ethereumBlocks) return alloc;
  const contracts = SYSTEM_CONTRACTS.map((key) => [
    key,
    AllocAccount.parse({ nonce: 1, code: SYSTEM_CONTRACT_CODES[key] }),
  ]);
  return { ...alloc, ...Object.fromEntries(contracts) };
}

export async function writeAlloc(state: EvmState, alloc: Record<string, AllocAccount>): Promise<void> {
  for (const [key, { balance, nonce, code, storage }] of Object.entries(alloc)) {
    const address = createAddressFromString(key.toLowerCase());
    await state.putAccount(address, createAccount({ balance: BigInt(balance), nonce: BigInt(nonce) }));
    if (code !== undefined) await state.putCode(address, fromHex(code));
    for (const [slot, value] of Object.entries(storage ?? {})) {
      await state.putStorage(address, fromHex(slot), fromHex(value));
    }
  }
}
