/** debug_…: traces and raw bytes, in the form of https://github.com/ethereum/execution-apis and, for what it leaves open, of geth. */

import { RLP } from '@ethereumjs/rlp';
import { defineMethod, type RpcError, type RpcMethod } from '@squad/service';
import { SquadError } from '@squad/types';
import { z } from 'zod';
import { encodeConsensusReceipt } from '../execution/evm/block.ts';
import { CallRefused } from '../execution/evm/call-request.ts';
import { CallTracer } from '../execution/evm/call-tracer.ts';
import type { StagedBlock } from '../execution/evm/history.ts';
import { PrestateTracer } from '../execution/evm/prestate-tracer.ts';
import { StructLogger } from '../execution/evm/struct-logger.ts';
import { MAX_TRACE_STEPS, type TracerOf } from '../execution/evm/trace.ts';
import { hexOf } from '../hex.ts';
import { BlockOverride, Call, StateOverrides } from './call-schemas.ts';
import type { RpcState } from './context.ts';
import { refused, refusedCall, unknownBlock } from './errors.ts';
import { MAX_CALL_GAS } from './limits.ts';
import { BlockChoice, BlockNumber, type BlockReference, SmallQuantity, Word } from './schemas.ts';

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

const Options = z.looseObject({
  ...StructOptions,
  tracer: z.string().optional(),
  tracerConfig: z.unknown().optional(),
  timeout: Timeout,
});
type TraceOptions = z.output<typeof Options>;

const NAMED: ReadonlyMap<string, z.ZodType> = new Map<string, z.ZodType>([
  ['callTracer', CallOptions],
  ['prestateTracer', PrestateOptions],
]);

function checkTracer(context: z.core.ParsePayload<TraceOptions>): void {
  const { tracer, tracerConfig = {} } = context.value;
  const refuse = (message: string) => context.issues.push({ code: 'custom', input: tracer, path: ['tracer'], message });
  const known = tracer === undefined || tracer === '' ? undefined : NAMED.get(tracer);
  if (tracer !== undefined && tracer !== '' && known === undefined) {
    refuse('expected callTracer, prestateTracer, or none for the struct logger');
  } else if (known !== undefined && !known.safeParse(tracerConfig).success) {
    refuse(`tracerConfig is not one of ${tracer}`);
  }
}

const TraceOptions = Options.check(checkTracer).prefault({});
const CallTraceOptions = Options.extend({
  stateOverrides: StateOverrides.optional(),
  blockOverrides: BlockOverride.optional(),
  txIndex: SmallQuantity.optional(),
})
  .check(checkTracer)
  .prefault({});

export function debugMethods(state: RpcState): RpcMethod[] {
  return [...traceMethods(state), ...rawMethods(state)];
}

function traceMethods(state: RpcState): RpcMethod[] {
  const { history, reader } = state;
  const result = { name: 'trace', description: 'As the tracer makes it' };
  const results = { name: 'traces', description: 'Of each transaction its hash and its trace' };
  const ofBlock = (block: BlockReference, options: TraceOptions) => {
    const found = blockOf(state, block);
    const parent = history.blockAt(found.summary.number - 1);
    if (parent === undefined) throw refused('genesis is not traceable', 'GENESIS', 'Ask for a block after it.');
    return traced(async () => {
      const traces = await reader.traceBlock(found, parent, tracerOf(options));
      return traces.map((trace, index) => ({ txHash: hexOf(found.transactions[index]!.hash), result: trace }));
    });
  };
  return [
    defineMethod({
      name: 'debug_traceTransaction',
      summary: 'What an executed transaction did: step by step, or by callTracer or prestateTracer',
      params: { transactionHash: Word, options: TraceOptions },
      result,
      handler: ({ transactionHash, options }) => {
        const found = history.transaction(transactionHash);
        const parent = found && history.blockAt(found.block.summary.number - 1);
        if (found === undefined || parent === undefined) {
          throw refused(
            'transaction not found',
            'UNKNOWN_TRANSACTION',
            'Ask for one that eth_getTransactionReceipt knows.',
          );
        }
        return traced(() => reader.trace(found, parent, tracerOf(options)));
      },
    }),
    defineMethod({
      name: 'debug_traceBlockByNumber',
      summary: 'What each transaction of a block did, as debug_traceTransaction tells it',
      params: { block: BlockNumber, options: TraceOptions },
      result: results,
      handler: ({ block, options }) => ofBlock(block, options),
    }),
    defineMethod({
      name: 'debug_traceBlockByHash',
      summary: 'The same, of a block by hash',
      params: { blockHash: Word, options: TraceOptions },
      result: results,
      handler: ({ blockHash, options }) => ofBlock({ hash: blockHash }, options),
    }),
    defineMethod({
      name: 'debug_traceCall',
      summary: 'What a call would do on top of a block, or, with txIndex, before the transaction of that index in it',
      params: { transaction: Call, block: BlockChoice, options: CallTraceOptions },
      result,
      handler: ({ transaction: request, block, options }) => {
        const { stateOverrides: overrides = [], blockOverrides = {}, txIndex: index } = options;
        const found = blockOf(state, block);
        const isBefore = index !== undefined && index < found.transactions.length;
        const parent = isBefore ? history.blockAt(found.summary.number - 1) : undefined;
        const call = { request, gasCap: MAX_CALL_GAS, overrides, blockOverrides };
        return traced(() => reader.traceCall(isBefore ? { ...call, index } : call, found, parent, tracerOf(options)));
      },
    }),
  ];
}

/** In geth's words, which are others than those of eth_…. */
function blockOf(state: RpcState, reference: BlockReference): StagedBlock {
  const found = state.findBlock(reference);
  if (found !== undefined) return found;
  const name = 'hash' in reference ? hexOf(reference.hash) : `#${state.numberOf(reference)}`;
  throw unknownBlock(`block ${name} not found`);
}

async function traced<T>(trace: () => Promise<T>): Promise<T> {
  try {
    return await trace();
  } catch (error) {
    throw traceError(error) ?? error;
  }
}

function traceError(error: unknown): RpcError | undefined {
  if (error instanceof CallRefused) return refusedCall(`tracing failed: ${error.message}`);
  if (!(error instanceof SquadError) || !error.code.startsWith('TRACE_')) return undefined;
  return refused(error.message, error.code, error.remedy);
}

function tracerOf(options: TraceOptions): TracerOf<unknown> {
  const { tracer, tracerConfig = {} } = options;
  return ({ from, coinbase, gasLimit }, budget) => {
    if (tracer === 'callTracer') return new CallTracer(CallOptions.parse(tracerConfig), budget, gasLimit);
    if (tracer === 'prestateTracer') {
      return new PrestateTracer(PrestateOptions.parse(tracerConfig), budget, [from, coinbase]);
    }
    return new StructLogger(options, budget);
  };
}

/** What goes into hashes and roots, byte by byte. */
function rawMethods(state: RpcState): RpcMethod[] {
  const params = { block: BlockChoice };
  const result = { name: 'raw', description: 'RLP' };
  return [
    defineMethod({
      name: 'debug_getRawHeader',
      summary: 'A block’s header: its hash is of these bytes',
      params,
      result,
      handler: ({ block }) => hexOf(blockOf(state, block).header.serialize()),
    }),
    defineMethod({
      name: 'debug_getRawBlock',
      summary: 'A block as Ethereum nodes exchange it',
      params,
      result,
      handler: ({ block }) => hexOf(rawBlock(blockOf(state, block))),
    }),
    defineMethod({
      name: 'debug_getRawReceipts',
      summary: 'A block’s receipts, of which its receiptsRoot is made (EIP-2718)',
      params,
      result: { name: 'receipts', description: 'In order of the transactions' },
      handler: ({ block }) =>
        blockOf(state, block).transactions.map(({ decoded, receipt }) =>
          hexOf(encodeConsensusReceipt(decoded.type, receipt)),
        ),
    }),
    defineMethod({
      name: 'debug_getRawTransaction',
      summary: 'A transaction as it was ordered, byte by byte',
      params: { transactionHash: Word },
      result: { name: 'raw', description: 'EIP-2718 bytes; 0x if it was not executed' },
      handler: ({ transactionHash }) => {
        const found = state.history.transaction(transactionHash);
        return found === undefined ? '0x' : hexOf(found.transaction.raw);
      },
    }),
    defineMethod({
      name: 'debug_getBadBlocks',
      summary: 'Always empty: this node makes its blocks itself',
      params: {},
      result: { name: 'blocks', description: 'None' },
      handler: () => [],
    }),
  ];
}

/** Without uncles and withdrawals. A typed transaction is a string of bytes in it, a legacy one a list. */
function rawBlock({ header, transactions }: StagedBlock): Uint8Array {
  const items = transactions.map(({ raw }) => (raw[0]! < 0xc0 ? raw : RLP.decode(raw)));
  return RLP.encode([header.raw(), items, [], []] as Parameters<typeof RLP.encode>[0]);
}
