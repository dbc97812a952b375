/** Methods about state: accounts, code, storage, proofs, calls, gas. */

import { bigIntMin } from '@ethereumjs/util';
import { defineMethod, type RpcError, type RpcMethod, toQuantity } from '@squad/service';
import { toHex } from '@squad/types';
import { z } from 'zod';
import { transactionGasCap } from '../config/rollup-file.ts';
import { type CallRefused, type CallRequest, hasCode } from '../execution/evm/call-request.ts';
import type { StagedBlock } from '../execution/evm/history.ts';
import type { AccountOverride, BlockOverrides } from '../execution/evm/overrides.ts';
import {
  CALL_TIMEOUT_MS,
  type CallContext,
  type CallResult,
  EMPTY_CODE_HASH,
  EMPTY_STORAGE_ROOT,
} from '../execution/evm/reader.ts';
import { hexOf } from '../hex.ts';
import { BlockOverride, Call, StateOverrides } from './call-schemas.ts';
import type { RpcState } from './context.ts';
import { callError, refused, refusedCall } from './errors.ts';
import { MAX_CALL_GAS, MAX_PROOF_SLOTS } from './limits.ts';
import { Address, BlockChoice, PendingBlockChoice, Slot } from './schemas.ts';

export function stateMethods(state: RpcState): RpcMethod[] {
  return [...accountMethods(state), ...callMethods(state)];
}

function accountMethods(state: RpcState): RpcMethod[] {
  const { reader } = state;
  const params = { address: Address, block: BlockChoice };
  return [
    defineMethod({
      name: 'eth_getBalance',
      summary: 'Wei that an account holds',
      params,
      result: { name: 'balance', description: 'A quantity' },
      handler: async ({ address, block }) =>
        toQuantity((await reader.account(address, state.block(block)))?.balance ?? 0n),
    }),
    defineMethod({
      name: 'eth_getTransactionCount',
      summary: 'The next nonce; pending counts what is soft and what was sent through this node',
      params,
      result: { name: 'nonce', description: 'A quantity' },
      handler: async ({ address, block }) => {
        const nonce = (await reader.account(address, state.block(block)))?.nonce ?? 0n;
        const isPending = 'tag' in block && block.tag === 'pending';
        return toQuantity(isPending ? state.submitted.nextNonce(address, nonce) : nonce);
      },
    }),
    defineMethod({
      name: 'eth_getCode',
      summary: 'Code of a contract',
      params,
      result: { name: 'code', description: '0x if there is none' },
      handler: async ({ address, block }) => hexOf(await reader.code(address, state.block(block))),
    }),
    defineMethod({
      name: 'eth_getStorageAt',
      summary: 'A word of a contract’s storage',
      params: { address: Address, slot: Slot, block: BlockChoice },
      result: { name: 'value', description: '32 bytes' },
      handler: async ({ address, slot, block }) => {
        const value = await reader.storage(address, slot, state.block(block));
        return `0x${Buffer.from(value).toString('hex').padStart(64, '0')}`;
      },
    }),
    proofMethod(state),
  ];
}

function proofMethod(state: RpcState): RpcMethod {
  return defineMethod({
    name: 'eth_getProof',
    summary: 'An account and slots with Merkle proofs against the state root (EIP-1186)',
    params: { address: Address, slots: z.array(Slot).max(MAX_PROOF_SLOTS), block: BlockChoice },
    result: { name: 'proof', description: 'As in EIP-1186' },
    handler: async ({ address, slots, block }) => {
      const found = state.block(block);
      if (found.stage === 'open') {
        throw refused(
          'no proof for a block that is still open',
          'NO_STATE_ROOT',
          'Ask for latest, or a block by hash.',
        );
      }
      const { account, accountProof, storage } = await state.reader.proof(address, slots, found);
      return {
        address: toHex(address),
        balance: toQuantity(account?.balance ?? 0n),
        nonce: toQuantity(account?.nonce ?? 0n),
        codeHash: toHex(account?.codeHash ?? EMPTY_CODE_HASH),
        storageHash: toHex(account?.storageRoot ?? EMPTY_STORAGE_ROOT),
        accountProof: accountProof.map(toHex),
        storageProof: storage.map(({ value, proof }, index) => ({
          key: toHex(slots[index]!),
          value: toQuantity(value.length === 0 ? 0n : BigInt(toHex(value))),
          proof: proof.map(toHex),
        })),
      };
    },
  });
}

function callMethods(state: RpcState): RpcMethod[] {
  const overrides = { stateOverrides: StateOverrides, blockOverrides: BlockOverride };
  const params = { transaction: Call, block: BlockChoice, ...overrides };
  return [
    defineMethod({
      name: 'eth_call',
      summary: 'Runs a call on a block’s state and throws its changes away',
      params,
      result: { name: 'returned', description: 'What the call returned' },
      handler: async ({ transaction, block, ...changed }) => {
        const result = await state.reader.call(transaction, state.block(block), contextOf(changed));
        if (!result.ok) throw callError(result);
        return hexOf(result.returned);
      },
    }),
    defineMethod({
      name: 'eth_estimateGas',
      summary: 'The least gas limit with which the transaction succeeds',
      params: { ...params, block: PendingBlockChoice },
      result: { name: 'gas', description: 'A quantity' },
      handler: async ({ transaction, block, ...changed }) => {
        const found = state.block(block);
        return toQuantity(await estimateGas(state, transaction, found, contextOf(changed)));
      },
    }),
    defineMethod({
      name: 'eth_createAccessList',
      summary: 'The addresses and slots that the transaction touches (EIP-2930)',
      params,
      result: { name: 'accessList', description: 'The list, and the gas used' },
      handler: async ({ transaction, block, ...changed }) => {
        const result = await state.reader.call(transaction, state.block(block), contextOf(changed));
        if (!result.ok && 'refused' in result) throw callError(result);
        const gasUsed = toQuantity(result.gasUsed);
        return result.ok
          ? { accessList: result.accessList, gasUsed }
          : { accessList: [], gasUsed, error: result.reason };
      },
    }),
  ];
}

function contextOf(changed: {
  stateOverrides: readonly AccountOverride[];
  blockOverrides: BlockOverrides;
}): CallContext {
  const { stateOverrides: overrides, blockOverrides } = changed;
  return { gasCap: MAX_CALL_GAS, overrides, blockOverrides };
}

const TRANSFER_GAS = 21_000n;

/** By bisection: what a call uses may depend on what it is given. A plain transfer costs exactly 21,000. */
async function estimateGas(
  state: RpcState,
  request: CallRequest,
  block: StagedBlock,
  context: CallContext,
): Promise<bigint> {
  const run = (gas: bigint): Promise<CallResult> => state.reader.call({ ...request, gas }, block, context);
  if (await isPlainTransfer(state, request, block, context)) {
    const result = await run(TRANSFER_GAS);
    if (result.ok) return TRANSFER_GAS;
  }
  let high = await highestGas(state, request, block, context);
  const first = await run(high);
  if (!first.ok) throw 'refused' in first ? refusedEstimate(first.refused) : callError(first);
  let low = first.gasUsed - 1n;
  // Most calls succeed with what they used, the refund that they were given back, and 1/64 that each call holds back.
  const likely = ((first.gasUsed + first.refund + 2300n) * 64n) / 63n;
  if (likely < high) {
    if ((await run(likely)).ok) high = likely;
    else low = likely;
  }
  const untilMs = state.now() + CALL_TIMEOUT_MS;
  // Out of time, the answer is enough, if not the least.
  while (low + 1n < high && state.now() < untilMs) {
    const middle = (low + high) / 2n;
    if ((await run(middle)).ok) high = middle;
    else low = middle;
  }
  return high;
}

/** In geth's words. */
function refusedEstimate({ suppliedGas, message }: CallRefused): RpcError {
  return refusedCall(suppliedGas === undefined ? message : `failed with ${suppliedGas} gas: ${message}`);
}

function overrideOf(context: CallContext, address: Uint8Array): AccountOverride | undefined {
  return context.overrides?.findLast((override) => Buffer.compare(override.address, address) === 0);
}

async function isPlainTransfer(
  state: RpcState,
  request: CallRequest,
  block: StagedBlock,
  context: CallContext,
): Promise<boolean> {
  if (request.to === undefined || (request.data?.length ?? 0) > 0 || (request.accessList?.length ?? 0) > 0)
    return false;
  if (overrideOf(context, request.to)?.code !== undefined) return false;
  if (request.gas !== undefined && request.gas < TRANSFER_GAS) return false;
  return !hasCode(await state.reader.account(request.to, block));
}

/** The caller's limit, the rollup's, and what the sender can pay for. */
async function highestGas(
  state: RpcState,
  request: CallRequest,
  block: StagedBlock,
  context: CallContext,
): Promise<bigint> {
  const limit = transactionGasCap(state.executor.file);
  let high = bigIntMin(limit, MAX_CALL_GAS);
  if (request.gas !== undefined && request.gas < high) high = request.gas;
  const price = request.maxFeePerGas ?? request.gasPrice ?? 0n;
  if (price === 0n) return high;
  const overridden = overrideOf(context, request.from)?.balance;
  const balance = overridden ?? (await state.reader.account(request.from, block))?.balance ?? 0n;
  const value = request.value ?? 0n;
  if (balance < value) throw refused('insufficient funds for transfer', 'INSUFFICIENT_FUNDS', 'Fund the sender first.');
  const affordable = (balance - value) / price;
  if (affordable < TRANSFER_GAS) {
    throw refused(`gas required exceeds allowance (${affordable})`, 'INSUFFICIENT_FUNDS', 'Fund the sender first.');
  }
  if (affordable < high) high = affordable;
  return high;
}
