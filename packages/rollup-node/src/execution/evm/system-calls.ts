/**
 * System calls: what Ethereum's protocol runs in every block beside the transactions, for rollups with `ethereumBlocks`.
 * At the start the parent's hash (EIP-2935) and beacon root (EIP-4788) are kept; at the end, withdrawal (EIP-7002) and
 * consolidation requests (EIP-7251) are taken out of their queues. Nothing on a rollup acts on requests: they are in the
 * block because the header commits to them (EIP-7685). There is no deposit contract (EIP-6110).
 */

import { createHash } from 'node:crypto';
import type { Block } from '@ethereumjs/block';
import { Address } from '@ethereumjs/util';
import { type Bytes32, concatBytes, fromHex, type Hex, SquadError } from '@squad/types';
import { SYSTEM_CONTRACTS } from '../../config/rollup-file.ts';
import type { RollupVm } from './vm.ts';

const SYSTEM_ADDRESS = addressOf('0xfffffffffffffffffffffffffffffffffffffffe');
const SYSTEM_CALL_GAS = 30_000_000n;
const [BEACON_ROOTS, HISTORY_STORAGE, WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS] = SYSTEM_CONTRACTS.map(
  addressOf,
) as [Address, Address, Address, Address];

export async function callAtBlockStart(rollupVm: RollupVm, block: Block): Promise<void> {
  const { parentHash, parentBeaconBlockRoot } = block.header;
  await call(rollupVm, block, BEACON_ROOTS, parentBeaconBlockRoot);
  await call(rollupVm, block, HISTORY_STORAGE, parentHash);
}

/** The requests of the block, each with its type before it; a type without any is left out. */
export async function takeRequests(rollupVm: RollupVm, block: Block): Promise<Uint8Array[]> {
  const requests: Uint8Array[] = [];
  for (const [type, contract] of [
    [1, WITHDRAWAL_REQUESTS],
    [2, CONSOLIDATION_REQUESTS],
  ] as const) {
    const data = await call(rollupVm, block, contract);
    if (data.length > 0) requests.push(concatBytes(Uint8Array.of(type), data));
  }
  return requests;
}

/** EIP-7685. */
export function requestsHash(requests: readonly Uint8Array[]): Bytes32 {
  const hash = createHash('sha256');
  for (const request of requests) hash.update(createHash('sha256').update(request).digest());
  return hash.digest();
}

async function call({ vm, clearTransientStorage }: RollupVm, block: Block, to: Address, data?: Uint8Array) {
  const state = vm.stateManager;
  const sender = await state.getAccount(SYSTEM_ADDRESS);
  const { execResult } = await vm.evm.runCall({
    caller: SYSTEM_ADDRESS,
    gasLimit: SYSTEM_CALL_GAS,
    to,
    block,
    ...(data === undefined ? {} : { data }),
  });
  await vm.evm.journal.cleanup();
  state.originalStorageCache.clear();
  clearTransientStorage();
  // The library touches the sender, whose account a system call leaves as it was.
  if (sender === undefined) await state.deleteAccount(SYSTEM_ADDRESS);
  else await state.putAccount(SYSTEM_ADDRESS, sender);
  if (execResult.exceptionError === undefined) return execResult.returnValue;
  throw new SquadError(
    'SYSTEM_CALL_FAILED',
    `the system call of ${to} in block ${block.header.number} failed: ${execResult.exceptionError.error}`,
    'The code of a system contract cannot fail so: the data directory is damaged. Delete it; the node derives it again.',
  );
}

function addressOf(hex: Hex): Address {
  return new Address(fromHex(hex));
}
