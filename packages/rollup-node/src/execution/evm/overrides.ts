/** State and block as a caller would like to have them, for calls that are no transactions (execution-apis, eth_simulateV1). */

import type { HeaderData } from '@ethereumjs/block';
import { Account, Address, toChecksumAddress } from '@ethereumjs/util';
import { toHex } from '@squad/types';
import { keyOf } from '../keccak.ts';
import { CallRefused, REFUSAL } from './call-request.ts';
import type { EvmState } from './state.ts';
import type { RollupVm } from './vm.ts';

export interface AccountOverride {
  readonly address: Uint8Array;
  readonly nonce?: bigint | undefined;
  readonly balance?: bigint | undefined;
  readonly code?: Uint8Array | undefined;
  /** In place of all slots. */
  readonly state?: readonly StorageOverride[] | undefined;
  /** Over the slots that there are. */
  readonly stateDiff?: readonly StorageOverride[] | undefined;
  readonly movePrecompileToAddress?: Uint8Array | undefined;
}
export type StorageOverride = readonly [slot: Uint8Array, value: Uint8Array];

export interface BlockOverrides {
  readonly number?: bigint | undefined;
  /** Seconds. */
  readonly time?: bigint | undefined;
  readonly gasLimit?: bigint | undefined;
  readonly feeRecipient?: Uint8Array | undefined;
  readonly prevRandao?: Uint8Array | undefined;
  readonly baseFeePerGas?: bigint | undefined;
  /** What BLOBBASEFEE answers; no header has it. */
  readonly blobBaseFee?: bigint | undefined;
}

/** The header's fields that are to be others. */
export function overriddenFields(overrides: BlockOverrides): HeaderData {
  const { number, time, gasLimit, feeRecipient, prevRandao, baseFeePerGas } = overrides;
  return {
    ...(number === undefined ? {} : { number }),
    ...(time === undefined ? {} : { timestamp: time }),
    ...(gasLimit === undefined ? {} : { gasLimit }),
    ...(feeRecipient === undefined ? {} : { coinbase: new Address(feeRecipient) }),
    ...(prevRandao === undefined ? {} : { mixHash: prevRandao }),
    ...(baseFeePerGas === undefined ? {} : { baseFeePerGas }),
  };
}

/**
 * An account that is overridden is no precompile any more: its code runs. Returns what gives the precompiles back their places;
 * the state is the caller's to undo. Throws `CallRefused`.
 */
export async function overrideAccounts(rollupVm: RollupVm, overrides: readonly AccountOverride[]): Promise<() => void> {
  const state = rollupVm.vm.stateManager as EvmState;
  const restore = movePrecompiles(rollupVm, overrides);
  try {
    for (const override of overrides) await overrideAccount(state, override);
  } catch (error) {
    restore();
    throw error;
  }
  return restore;
}

async function overrideAccount(state: EvmState, override: AccountOverride): Promise<void> {
  const { address, nonce, balance, code, stateDiff } = override;
  if ([nonce, balance, code, override.state, stateDiff].every((field) => field === undefined)) return;
  if (override.state !== undefined && stateDiff !== undefined) {
    throw refused(`account ${nameOf(address)} has both 'state' and 'stateDiff'`);
  }
  const at = new Address(address);
  const account = (await state.getAccount(at)) ?? new Account();
  if (nonce !== undefined) account.nonce = nonce;
  if (balance !== undefined) account.balance = balance;
  await state.putAccount(at, account);
  if (code !== undefined) await state.putCode(at, code);
  if (override.state !== undefined) await state.clearStorage(at);
  for (const [slot, value] of override.state ?? stateDiff ?? []) await state.putStorage(at, slot, value);
}

function movePrecompiles({ vm }: RollupVm, overrides: readonly AccountOverride[]): () => void {
  const { precompiles } = vm.evm;
  const original = [...precompiles];
  const restore = () => {
    precompiles.clear();
    for (const [key, precompile] of original) precompiles.set(key, precompile);
  };
  const overridden = new Set(overrides.map(({ address }) => keyOf(address)));
  const moved = [];
  for (const { address, movePrecompileToAddress: to } of overrides) {
    const precompile = precompiles.get(keyOf(address));
    if (to !== undefined) {
      if (precompile === undefined) throw refused(`account ${nameOf(address)} is not a precompile`);
      if (overridden.has(keyOf(to))) throw refused(`account ${nameOf(to)} is already overridden`);
      moved.push([keyOf(to), precompile] as const);
    }
  }
  for (const key of overridden) precompiles.delete(key);
  for (const [key, precompile] of moved) precompiles.set(key, precompile);
  return restore;
}

function refused(message: string): CallRefused {
  return new CallRefused(REFUSAL.request, message);
}

function nameOf(address: Uint8Array): string {
  return toChecksumAddress(toHex(address));
}
