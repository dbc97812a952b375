/** debug_traceTransaction, in the form of https://github.com/ethereum/execution-apis and, for what it leaves open, of geth. */

import { defineMethod, type RpcMethod } from '@squad/service';
import { SquadError } from '@squad/types';
import { z } from 'zod';
import { CallTracer } from '../execution/evm/call-tracer.ts';
import type { FoundTransaction } from '../execution/evm/history.ts';
import { PrestateTracer } from '../execution/evm/prestate-tracer.ts';
import { StructLogger } from '../execution/evm/struct-logger.ts';
import { MAX_TRACE_STEPS, TraceBudget, type Tracer } from '../execution/evm/trace.ts';
import type { RpcState } from './context.ts';
import { refused } from './errors.ts';
import { Word } from './schemas.ts';

const flag = z.boolean().default(false);
const StructOptions = {
  disableStack: flag,
  disableStorage: flag,
  enableMemory: flag,
  enableReturnData: flag,
  limit: z.int().min(0).max(MAX_TRACE_STEPS).default(0),
};
/** The time that a trace may take is the node's to say. */
const Timeout = z.string().max(32).optional();
const CallOptions = z.strictObject({ onlyTopCall: flag, withLog: flag });
const PrestateOptions = z.strictObject({ diffMode: flag, disableCode: flag, disableStorage: flag });

const TraceOptions = z
  .looseObject({
    ...StructOptions,
    tracer: z.string().optional(),
    tracerConfig: z.unknown().optional(),
    timeout: Timeout,
  })
  .check((context) => {
    const { tracer, tracerConfig = {} } = context.value;
    const refuse = (message: string) =>
      context.issues.push({ code: 'custom', input: tracer, path: ['tracer'], message });
    const known = tracer === undefined || tracer === '' ? undefined : NAMED[tracer];
    if (tracer !== undefined && tracer !== '' && known === undefined) {
      refuse('expected callTracer, prestateTracer, or none for the struct logger');
    } else if (known !== undefined && !known.safeParse(tracerConfig).success) {
      refuse(`tracerConfig is not one of ${tracer}`);
    }
  });
type TraceOptions = z.output<typeof TraceOptions>;

const NAMED: Readonly<Record<string, z.ZodType>> = { callTracer: CallOptions, prestateTracer: PrestateOptions };

export function debugMethods(state: RpcState): RpcMethod[] {
  return [
    defineMethod({
      name: 'debug_traceTransaction',
      summary: 'What an executed transaction did: step by step, or by callTracer or prestateTracer',
      params: { transactionHash: Word, options: TraceOptions.prefault({}) },
      result: { name: 'trace', description: 'As the tracer makes it' },
      handler: ({ transactionHash, options }) => {
        const found = state.history.transaction(transactionHash);
        const parent = found && state.history.blockAt(found.block.summary.number - 1);
        if (found === undefined || parent === undefined) {
          throw refused(
            'transaction not found',
            'UNKNOWN_TRANSACTION',
            'Ask for one that eth_getTransactionReceipt knows.',
          );
        }
        return trace(state, found, parent, options);
      },
    }),
  ];
}

async function trace(
  state: RpcState,
  found: FoundTransaction,
  parent: FoundTransaction['block'],
  options: TraceOptions,
): Promise<unknown> {
  const budget = new TraceBudget();
  try {
    return await state.reader.trace(found, parent, tracerOf(found, options, budget), budget);
  } catch (error) {
    if (!(error instanceof SquadError) || !error.code.startsWith('TRACE_')) throw error;
    throw refused(error.message, error.code, error.remedy);
  }
}

function tracerOf(
  { block, transaction }: FoundTransaction,
  options: TraceOptions,
  budget: TraceBudget,
): Tracer<unknown> {
  const { tracer, tracerConfig = {} } = options;
  if (tracer === 'callTracer') {
    return new CallTracer(CallOptions.parse(tracerConfig), budget, transaction.decoded.gasLimit);
  }
  if (tracer === 'prestateTracer') {
    const addresses = [transaction.from, block.header.coinbase.bytes];
    return new PrestateTracer(PrestateOptions.parse(tracerConfig), budget, addresses);
  }
  return new StructLogger(options, budget);
}
