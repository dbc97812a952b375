/** eth_simulateV1, in the form of https://github.com/ethereum/execution-apis, without validation. */

import { defineMethod, hexBytes, RpcCode, RpcError, type RpcMethod, toQuantity } from '@squad/service';
import { fromHex, type Hex, toHex } from '@squad/types';
import { z } from 'zod';
import type { CallRequest } from '../execution/evm/call-request.ts';
import { logsOf } from '../execution/evm/history.ts';
import {
  type AccountOverride,
  type SimulatedBlock,
  type SimulatedBlockPlan,
  type SimulatedCall,
  SimulationRefused,
} from '../execution/evm/simulate.ts';
import type { RpcState } from './context.ts';
import { revertMessage } from './errors.ts';
import { formatBlock, formatLog } from './format.ts';
import { MAX_CALL_DATA_BYTES, MAX_CALL_GAS, MAX_OVERRIDDEN_ACCOUNTS, MAX_OVERRIDDEN_SLOTS } from './limits.ts';
import { Address, BigQuantity, BlockChoice, Call, Word } from './schemas.ts';

const Uint64 = BigQuantity.refine((value) => value < 1n << 64n, { error: 'above 2^64-1' });
const few = (most: number) => (record: object) => Object.keys(record).length <= most;
const Storage = z
  .record(z.string().regex(/^0x[0-9a-fA-F]{64}$/), Word)
  .refine(few(MAX_OVERRIDDEN_SLOTS), { error: `more than ${MAX_OVERRIDDEN_SLOTS} slots` })
  .transform((slots) => Object.entries(slots).map(([slot, value]) => [fromHex(slot as Hex), value] as const));

const Override = z
  .strictObject({
    nonce: Uint64.optional(),
    balance: BigQuantity.optional(),
    code: hexBytes({ maxBytes: MAX_CALL_DATA_BYTES }).optional(),
    state: Storage.optional(),
    stateDiff: Storage.optional(),
  })
  .refine(({ state, stateDiff }) => state === undefined || stateDiff === undefined, {
    error: 'has both state and stateDiff',
  });

const BlockPlan = z.strictObject({
  blockOverrides: z
    .strictObject({
      number: BigQuantity.refine((value) => value <= BigInt(Number.MAX_SAFE_INTEGER)).optional(),
      time: Uint64.optional(),
      gasLimit: Uint64.optional(),
      feeRecipient: Address.optional(),
      prevRandao: Word.optional(),
      baseFeePerGas: BigQuantity.optional(),
    })
    .default({}),
  stateOverrides: z
    .record(z.string().regex(/^0x[0-9a-fA-F]{40}$/), Override)
    .refine(few(MAX_OVERRIDDEN_ACCOUNTS), { error: `more than ${MAX_OVERRIDDEN_ACCOUNTS} accounts` })
    .default({}),
  calls: z.array(Call).default([]),
});
type BlockPlan = z.output<typeof BlockPlan>;

const Payload = z.strictObject({
  blockStateCalls: z.array(BlockPlan).min(1),
  validation: z.boolean().default(false),
  traceTransfers: z.boolean().default(false),
  returnFullTransactions: z.boolean().default(false),
});

export function simulateMethod(state: RpcState): RpcMethod {
  return defineMethod({
    name: 'eth_simulateV1',
    summary:
      'Blocks that could follow a block, with calls and changed state; validation and traceTransfers: not supported',
    params: { payload: Payload, block: BlockChoice },
    result: { name: 'blocks', description: 'Each block with the results of its calls' },
    handler: async ({ payload, block }) => {
      const { validation, traceTransfers, returnFullTransactions, blockStateCalls } = payload;
      if (validation) throw notSupported('validation', 'Leave it out: calls then behave as with eth_call.');
      if (traceTransfers)
        throw notSupported('traceTransfers', 'Leave it out, and use debug_traceTransaction on what was executed.');
      try {
        const blocks = await state.reader.simulate(blockStateCalls.map(planOf), state.block(block), MAX_CALL_GAS);
        return blocks.map((each) => formatSimulated(each, returnFullTransactions));
      } catch (error) {
        if (!(error instanceof SimulationRefused)) throw error;
        throw new RpcError(error.code, error.message, {
          code: 'SIMULATION_REFUSED',
          remedy: 'Change it as the message says.',
        });
      }
    },
  });
}

function notSupported(what: string, remedy: string): RpcError {
  return new RpcError(RpcCode.notSupported, `${what} is not supported`, { code: 'NOT_SUPPORTED', remedy });
}

function planOf({ blockOverrides, stateOverrides, calls }: BlockPlan): SimulatedBlockPlan {
  const overrides = Object.entries(stateOverrides).map(
    ([address, override]): AccountOverride => ({ address: fromHex(address.toLowerCase() as Hex), ...override }),
  );
  return { ...blockOverrides, overrides, calls: calls as CallRequest[] };
}

function formatSimulated({ block, calls }: SimulatedBlock, full: boolean): unknown {
  const { squadStage: _, ...fields } = formatBlock(block, full);
  const logs = logsOf(block).map((found) => ({ found, formatted: formatLog(found) }));
  return {
    ...fields,
    calls: calls.map((call, index) =>
      formatCall(
        call,
        logs.filter(({ found }) => found.transactionIndex === index).map(({ formatted }) => formatted),
      ),
    ),
  };
}

function formatCall({ failure, returned, gasUsed }: SimulatedCall, logs: unknown): unknown {
  const common = { returnData: toHex(returned), gasUsed: toQuantity(gasUsed), logs };
  if (failure === undefined) return { status: '0x1', ...common };
  const error =
    failure === 'revert'
      ? { code: 3, message: revertMessage(returned), data: toHex(returned) }
      : { code: -32015, message: failure };
  return { status: '0x0', ...common, error };
}
