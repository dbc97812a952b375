/** eth_simulateV1, in the form of https://github.com/ethereum/execution-apis. */

import { defineMethod, RpcError, type RpcMethod, toQuantity } from '@squad/service';
import { z } from 'zod';
import { CallRefused } from '../execution/evm/call-request.ts';
import type { SimulatedBlock, SimulatedBlockPlan, SimulatedCall, Withdrawal } from '../execution/evm/simulate.ts';
import { hexOf } from '../hex.ts';
import { BLOCK_OVERRIDES, Call, StateOverrides, Uint64 } from './call-schemas.ts';
import type { RpcState } from './context.ts';
import { REVERTED, revertMessage } from './errors.ts';
import { formatBlock, formatLog, type JsonObject } from './format.ts';
import { MAX_CALL_GAS, MAX_SIMULATED_WITHDRAWALS } from './limits.ts';
import { Address, BlockChoice, Word } from './schemas.ts';

const BlockPlan = z
  .strictObject({
    blockOverrides: z
      .strictObject({
        ...BLOCK_OVERRIDES,
        beaconRoot: Word.optional(),
        withdrawals: z
          .array(z.strictObject({ index: Uint64, validatorIndex: Uint64, address: Address, amount: Uint64 }))
          .max(MAX_SIMULATED_WITHDRAWALS)
          .optional(),
      })
      .nullish(),
    stateOverrides: StateOverrides,
    calls: z
      .array(Call)
      .nullish()
      .transform((calls) => calls ?? []),
  })
  .transform(
    ({ blockOverrides, stateOverrides, calls }): SimulatedBlockPlan => ({
      ...blockOverrides,
      overrides: stateOverrides,
      calls,
    }),
  );

const Payload = z.strictObject({
  blockStateCalls: z.array(BlockPlan).min(1, { error: 'empty input' }),
  validation: z.boolean().default(false),
  traceTransfers: z.boolean().default(false),
  returnFullTransactions: z.boolean().default(false),
});

export function simulateMethod(state: RpcState): RpcMethod {
  return defineMethod({
    name: 'eth_simulateV1',
    summary: 'Blocks that could follow a block, with calls, and with state and headers as the caller would have them',
    params: { payload: Payload, block: BlockChoice },
    result: { name: 'blocks', description: 'Each block with the results of its calls' },
    handler: async ({ payload, block }) => {
      const { validation, traceTransfers, returnFullTransactions, blockStateCalls } = payload;
      const options = { validation, traceTransfers, gasCap: MAX_CALL_GAS };
      try {
        const blocks = await state.reader.simulate(blockStateCalls, state.block(block), options);
        return blocks.map((each) => formatSimulated(each, returnFullTransactions));
      } catch (error) {
        if (!(error instanceof CallRefused)) throw error;
        throw new RpcError(error.code, error.sentence, {
          code: 'SIMULATION_REFUSED',
          remedy: 'Change it as the message says.',
        });
      }
    },
  });
}

function formatSimulated({ block, calls, withdrawals }: SimulatedBlock, full: boolean): unknown {
  const { squadStage: _, ...fields } = formatBlock(block, full, withdrawals.map(formatWithdrawal));
  let logIndex = 0;
  const formatted = calls.map((call, transactionIndex) => {
    const transaction = block.transactions[transactionIndex]!;
    const logs = call.logs.map((log) => formatLog({ block, transaction, transactionIndex, logIndex: logIndex++, log }));
    return formatCall(call, logs);
  });
  return { ...fields, calls: formatted };
}

function formatWithdrawal({ index, validatorIndex, address, amount }: Withdrawal): JsonObject {
  return {
    index: toQuantity(index),
    validatorIndex: toQuantity(validatorIndex),
    address: hexOf(address),
    amount: toQuantity(amount),
  };
}

/** The code of a call that failed for another reason than that the contract said so. */
const FAILED = -32015;

function formatCall({ failure, returned, gasUsed, maxGasUsed }: SimulatedCall, logs: unknown): unknown {
  const gas = { gasUsed: toQuantity(gasUsed), maxUsedGas: toQuantity(maxGasUsed) };
  if (failure === undefined) return { status: '0x1', returnData: hexOf(returned), ...gas, logs };
  // What it reverted with is the error's.
  const error =
    failure === 'execution reverted'
      ? { code: REVERTED, message: revertMessage(returned), data: hexOf(returned) }
      : { code: FAILED, message: failure };
  return { status: '0x0', returnData: '0x', ...gas, logs, error };
}
