/** debug_trace…: what each tracer says of transactions whose every step is known, and its limits. */

import { fromHex } from '@squad/types';
import type { Hex } from 'viem';
import { createWalletClient, defineChain, getContractAddress, http, keccak256 } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEVELOPMENT_MNEMONIC } from '../src/config/development-accounts.ts';
import { CallTracer } from '../src/execution/evm/call-tracer.ts';
import type { EvmExecutor } from '../src/execution/evm/executor.ts';
import { EvmHistory } from '../src/execution/evm/history.ts';
import { EvmReader } from '../src/execution/evm/reader.ts';
import { MAX_TRACE_BYTES, MAX_TRACE_STEPS, MAX_WAITING_TRACES, TraceBudget } from '../src/execution/evm/trace.ts';
import { ADDED_TOPIC, assemble, COUNTER } from './support/contracts.ts';
import { type RpcNode, startRpcNode } from './support/rpc-node.ts';
import { recipient, sign } from './support/transactions.ts';

const account = mnemonicToAccount(DEVELOPMENT_MNEMONIC);
const sender = account.address.toLowerCase() as Hex;
const COUNTER_AT: Hex = `0x${'c0'.repeat(20)}`;
const CALLER_AT: Hex = `0x${'ca'.repeat(20)}`;
const LOOP_AT: Hex = `0x${'10'.repeat(20)}`;
const word = (value: number | bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`;

/** Calls the counter with its own input, then reverts with what that returned if its value is 1. */
const CALLER = assemble(`
  CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY
  PUSH0 PUSH0 CALLDATASIZE PUSH0 PUSH0 ${COUNTER_AT} GAS CALL POP
  CALLVALUE @fail JUMPI STOP
  fail: PUSH0 PUSH0 REVERT`);
/** Goes round as often as the input says; 8 operations each. */
const LOOP = assemble('PUSH0 CALLDATALOAD again: 1 DUP2 SUB SWAP1 POP DUP1 @again JUMPI STOP');

let node: RpcNode;
let nonce = 0;

beforeAll(async () => {
  node = await startRpcNode({
    file: {
      alloc: {
        [sender]: { balance: '1000000000000000000000', nonce: 0 },
        [COUNTER_AT]: { balance: '0', nonce: 1, code: COUNTER, storage: { [word(0)]: word(5) } },
        [CALLER_AT]: { balance: '0', nonce: 1, code: CALLER },
        [LOOP_AT]: { balance: '0', nonce: 1, code: LOOP },
      },
    },
  });
});
afterAll(() => node.close());

async function send(to: Hex | undefined, data: Hex = '0x', value = 0n, gas = 500_000n): Promise<Hex> {
  const chain = defineChain({
    id: 901,
    name: 'rollup',
    nativeCurrency: { name: 'ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [node.url] } },
  });
  const wallet = createWalletClient({ account, chain, transport: http(node.url, { retryCount: 0 }) });
  const fees = { maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n, nonce: nonce++ };
  return wallet.sendTransaction({ ...(to === undefined ? {} : { to }), data, value, gas, ...fees });
}
async function trace(hash: Hex, options: object = {}) {
  const { result, error } = await node.call('debug_traceTransaction', [hash, options]);
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return result as never;
}
async function gasUsedOf(hash: Hex): Promise<Hex> {
  return ((await node.call('squad_getTransactionReceipt', [hash])).result as { gasUsed: Hex }).gasUsed;
}

describe('debug_traceTransaction', () => {
  it('shows each step, its gas, and storage as it was then: also after others of its block', async () => {
    await send(COUNTER_AT, word(10));
    await send(recipient(1), '0x', 1n);
    const hash = await send(COUNTER_AT, word(7));
    await node.order();
    const { gas, failed, returnValue, structLogs } = (await trace(hash)) as {
      gas: number;
      failed: boolean;
      returnValue: Hex;
      structLogs: {
        pc: number;
        op: string;
        gas: number;
        gasCost: number;
        depth: number;
        storage?: object;
        stack: Hex[];
      }[];
    };
    expect([gas, failed, returnValue]).toEqual([Number(await gasUsedOf(hash)), false, '0x']);
    expect(structLogs[0]).toMatchObject({ pc: 0, op: 'CALLDATASIZE', gasCost: 2, depth: 1, stack: [] });
    const costs = structLogs.reduce((sum, { gasCost }) => sum + gasCost, 0);
    expect(structLogs[0]!.gas - costs).toBe(500_000 - gas);
    // What a step costs is what the next one has less.
    for (const [index, log] of structLogs.slice(0, -1).entries()) {
      expect(log.gas - log.gasCost).toBe(structLogs[index + 1]!.gas);
    }
    const load = structLogs.find(({ op }) => op === 'SLOAD');
    const store = structLogs.find(({ op }) => op === 'SSTORE');
    expect(load).toMatchObject({ gasCost: 2100, storage: { [word(0)]: word(15) } });
    expect(store).toMatchObject({ gasCost: 2900, storage: { [word(0)]: word(22) }, stack: ['0x16', '0x0'] });
    expect(structLogs.filter(({ storage }) => storage !== undefined)).toHaveLength(2);
  });

  it('leaves out what it is told to, and stops keeping steps at the limit', async () => {
    const hash = await send(COUNTER_AT, word(1));
    await node.orderSoft();
    const options = { disableStack: true, disableStorage: true, enableMemory: true, limit: 3 };
    const { structLogs } = (await trace(hash, options)) as { structLogs: object[] };
    expect(structLogs).toHaveLength(3);
    expect(Object.keys(structLogs[2]!).sort()).toEqual(['depth', 'gas', 'gasCost', 'op', 'pc', 'refund'].sort());
    const whole = (await trace(hash, { enableMemory: true })) as { structLogs: { memory?: Hex[] }[] };
    expect(whole.structLogs.at(-1)!.memory).toEqual([word(1)]);
    await node.makeFinal();
  });

  it('of a plain transfer has no steps, and one frame', async () => {
    const hash = await send(recipient(2), '0x', 5n);
    await node.order();
    expect(await trace(hash)).toEqual({ gas: 21_000, failed: false, returnValue: '0x', structLogs: [] });
    expect(await trace(hash, { tracer: 'callTracer' })).toEqual({
      type: 'CALL',
      from: sender,
      to: recipient(2).toLowerCase(),
      value: '0x5',
      gas: '0x7a120',
      gasUsed: '0x5208',
      input: '0x',
    });
  });

  it('callTracer: the tree of calls with logs, errors and reasons; logs of what failed are gone', async () => {
    const well = await send(CALLER_AT, word(3));
    const innerFails = await send(CALLER_AT, word(13));
    const fails = await send(CALLER_AT, word(4), 1n);
    await node.order();
    const options = { tracer: 'callTracer', tracerConfig: { withLog: true } };
    const inner = { type: 'CALL', from: CALLER_AT, to: COUNTER_AT, value: '0x0', input: word(3) };
    const log = { address: COUNTER_AT, topics: [ADDED_TOPIC], data: word(3), position: '0x0' };
    expect(await trace(well, options)).toMatchObject({
      to: CALLER_AT,
      gasUsed: await gasUsedOf(well),
      calls: [{ ...inner, logs: [log] }],
    });
    expect(await trace(innerFails, options)).toMatchObject({
      calls: [{ error: 'execution reverted', revertReason: 'unlucky', output: expect.stringMatching(/^0x08c379a0/) }],
    });
    const failed = (await trace(fails, options)) as { error: string; calls: object[] };
    expect(failed).toMatchObject({ error: 'execution reverted', calls: [inner.type].map((type) => ({ type })) });
    expect(failed.calls[0]).not.toHaveProperty('logs');
    const top = (await trace(well, { ...options, tracerConfig: { onlyTopCall: true } })) as object;
    expect(top).not.toHaveProperty('calls');
    // Struct logger: a call costs what it hands on, so that the callee's first step has it.
    const { structLogs } = (await trace(well)) as {
      structLogs: { op: string; gasCost: number; gas: number; depth: number }[];
    };
    const call = structLogs.findIndex(({ op }) => op === 'CALL');
    expect(structLogs[call + 1]).toMatchObject({ depth: 2 });
    expect(structLogs[call]!.gasCost - structLogs[call + 1]!.gas).toBe(100 + 2500);
  });

  it('callTracer: a creation has its init code, its address and the code that it left', async () => {
    const runtime = assemble('STOP');
    const init = assemble('PUSH0 PUSH0 MSTORE 1 PUSH0 RETURN');
    const at = getContractAddress({ from: sender, nonce: BigInt(nonce) }).toLowerCase();
    const hash = await send(undefined, init);
    await node.order();
    expect(await trace(hash, { tracer: 'callTracer' })).toMatchObject({
      type: 'CREATE',
      to: at,
      input: init,
      output: runtime,
    });
  });

  it('prestateTracer: what was there before; and what changed', async () => {
    await send(COUNTER_AT, word(1));
    const hash = await send(COUNTER_AT, word(2));
    await node.order();
    const count = BigInt((await node.call('eth_getStorageAt', [COUNTER_AT, '0x0', 'latest'])).result as Hex);
    const before = (await trace(hash, { tracer: 'prestateTracer' })) as Record<Hex, object>;
    expect(before[COUNTER_AT]).toEqual({
      balance: '0x0',
      nonce: 1,
      code: COUNTER,
      codeHash: keccak256(COUNTER),
      storage: { [word(0)]: word(count - 2n) },
    });
    expect(before[sender]).toMatchObject({ nonce: nonce - 1 });
    const tracerConfig = { diffMode: true };
    const { pre, post } = (await trace(hash, { tracer: 'prestateTracer', tracerConfig })) as Record<
      'pre' | 'post',
      never
    >;
    expect(post[COUNTER_AT]).toEqual({ storage: { [word(0)]: word(count) } });
    expect(pre[COUNTER_AT]).toMatchObject({ storage: { [word(0)]: word(count - 2n) } });
    expect(post[sender]).toMatchObject({ nonce });
    const { result: balance } = await node.call('eth_getBalance', [sender, 'latest']);
    expect(post[sender]).toMatchObject({ balance });
  });

  it('refuses tracers and options that it does not have, and unknown transactions', async () => {
    await expect(trace(word(1))).rejects.toMatchObject({ code: -32000, message: 'transaction not found' });
    const hash = await send(recipient(3));
    await node.order();
    await expect(trace(hash, { tracer: '{ fault() {} }' })).rejects.toMatchObject({ code: -32602 });
    const tracerConfig = { unknown: true };
    await expect(trace(hash, { tracer: 'callTracer', tracerConfig })).rejects.toMatchObject({ code: -32602 });
    await expect(trace(hash, { limit: MAX_TRACE_STEPS + 1 })).rejects.toMatchObject({ code: -32602 });
  });

  it('gives up on a transaction with too much to show, and serves the next one', async () => {
    const hash = await send(LOOP_AT, word(20_000), 0n, 2_000_000n);
    await node.order();
    await expect(trace(hash)).rejects.toMatchObject({ code: -32000, message: expect.stringContaining('bytes') });
    expect(await trace(hash, { tracer: 'callTracer' })).toMatchObject({ gasUsed: await gasUsedOf(hash) });
  });
});

describe('debug_traceBlock…', () => {
  it('is of each transaction what debug_traceTransaction says of it', async () => {
    const hashes = [
      await send(recipient(2), '0x', 5n),
      await send(CALLER_AT, word(3)),
      await send(COUNTER_AT, word(13)),
    ];
    await node.order();
    const { number } = (await node.call('eth_getBlockByNumber', ['latest', false])).result as { number: Hex };
    for (const options of [
      {},
      { tracer: 'callTracer' },
      { tracer: 'prestateTracer', tracerConfig: { diffMode: true } },
    ]) {
      const { result } = await node.call('debug_traceBlockByNumber', [number, options]);
      const one = await Promise.all(hashes.map(async (txHash) => ({ txHash, result: await trace(txHash, options) })));
      expect(result).toEqual(one);
    }
  });

  it('refuses genesis and blocks that are not there, and a block with too much to show', async () => {
    const error = async (number: Hex, options = {}) =>
      (await node.call('debug_traceBlockByNumber', [number, options])).error;
    expect(await error('0x0')).toMatchObject({ code: -32000, message: 'genesis is not traceable' });
    expect(await error('0xffff')).toMatchObject({ code: -32000, message: 'block #65535 not found' });
    const { error: unknown } = await node.call('debug_traceBlockByHash', [word(1)]);
    expect(unknown).toMatchObject({ code: -32000, message: `block ${word(1)} not found` });
    // Each of them could be shown, both together not.
    const lean = { disableStack: true };
    const long = [await send(LOOP_AT, word(15_000), 0n, 2_000_000n), await send(LOOP_AT, word(15_000), 0n, 2_000_000n)];
    await node.order();
    const { number } = (await node.call('eth_getBlockByNumber', ['latest', false])).result as { number: Hex };
    expect(await error(number, { ...lean, limit: 1 })).toMatchObject({ message: expect.stringContaining('steps') });
    expect(await trace(long[0]!, { ...lean, limit: 1 })).toMatchObject({ failed: false });
  });
});

describe('debug_traceCall', () => {
  const call = async (request: object, block: unknown, options: object = {}) => {
    const { result, error } = await node.call('debug_traceCall', [request, block, options]);
    if (error !== undefined) throw Object.assign(new Error(error.message), error);
    return result as Record<string, never>;
  };
  const tracer = 'callTracer';

  it('is on top of the block, or before a transaction in it', async () => {
    await send(COUNTER_AT, word(1));
    await send(COUNTER_AT, word(1));
    await node.order();
    const { number } = (await node.call('eth_getBlockByNumber', ['latest', false])).result as { number: Hex };
    const { result: count } = await node.call('eth_call', [{ to: COUNTER_AT }, 'latest']);
    const read = { to: COUNTER_AT };
    const output = async (options: object, at: unknown = number) =>
      BigInt((await call(read, at, { tracer, ...options })).output!);
    const after = BigInt(count as Hex);
    expect(await output({})).toBe(after);
    expect(await output({}, 'latest')).toBe(after);
    expect([
      await output({ txIndex: '0x0' }),
      await output({ txIndex: '0x1' }),
      await output({ txIndex: '0x2' }),
    ]).toEqual([after - 2n, after - 1n, after]);
  });

  it('takes state and block as they are told, and says in geth’s words what it refuses', async () => {
    const stateOverrides = { [COUNTER_AT]: { code: assemble('NUMBER PUSH0 MSTORE 32 PUSH0 RETURN') } };
    const options = { tracer, stateOverrides, blockOverrides: { number: '0x99' } };
    expect((await call({ to: COUNTER_AT }, 'latest', options)).output).toBe(word(0x99));
    const { structLogs } = await call({ to: COUNTER_AT, gas: '0x186a0' }, 'latest');
    expect((structLogs as unknown as { gas: number }[])[0]!.gas).toBe(100_000 - 21_000);
    const poor = { from: recipient(9), to: COUNTER_AT, value: '0x1' };
    await expect(call(poor, 'latest')).rejects.toMatchObject({
      code: -32000,
      message: expect.stringMatching(
        /^tracing failed: insufficient funds for gas \* price \+ value: address 0x.{40} have 0 want 1$/,
      ),
    });
    await expect(call({ to: COUNTER_AT }, '0xffff')).rejects.toMatchObject({ message: 'block #65535 not found' });
    await expect(call({ to: COUNTER_AT }, 'latest', { tracer: 'nope' })).rejects.toMatchObject({ code: -32602 });
    await expect(call({ to: LOOP_AT, data: word(50_000) }, 'latest', { tracer })).rejects.toMatchObject({
      message: expect.stringContaining('steps'),
    });
  });
});

describe('with ethereumBlocks', () => {
  it('what was traced began with the system calls of its block', async () => {
    // EIP-2935: the hash of block 0, which block 1 stores before its transactions.
    const ethereum = await startRpcNode({ file: { ethereumBlocks: true, hardfork: 'prague' } });
    const history = '0x0000f90827f1c53a10cb7a02335b175320002935';
    ethereum.waiting.push(sign(901, 0, { nonce: 0, to: history, data: new Uint8Array(32), gasLimit: 100_000n }));
    await ethereum.order();
    const { hash } = (await ethereum.call('eth_getBlockByNumber', ['0x0', false])).result as { hash: Hex };
    const { result } = await ethereum.call('debug_traceBlockByNumber', ['0x1', { tracer: 'callTracer' }]);
    expect(result).toMatchObject([{ result: { to: history, output: hash } }]);
    await ethereum.close();
  });
});

describe('traces that wait', () => {
  it('are so many; one more is refused, and not when they are done', async () => {
    const hash = await send(recipient(4));
    await node.order();
    const executor = node.rollup.executor as EvmExecutor;
    const found = new EvmHistory(executor).transaction(fromHex(hash))!;
    const parent = new EvmHistory(executor).blockAt(found.block.summary.number - 1)!;
    const reader = new EvmReader(executor);
    const one = () =>
      reader.trace(
        found,
        parent,
        ({ gasLimit }, budget) => new CallTracer({ onlyTopCall: false, withLog: false }, budget, gasLimit),
      );
    const waiting = Array.from({ length: MAX_WAITING_TRACES }, one);
    await expect(one()).rejects.toMatchObject({ code: 'TRACE_BUSY' });
    for (const each of await Promise.all(waiting)) expect(each.gasUsed).toBe('0x5208');
    expect((await one()).gasUsed).toBe('0x5208');
  });
});

describe('a trace’s budget', () => {
  it('is used up after so many steps, and one more is refused', () => {
    const budget = new TraceBudget();
    for (let i = 0; i < MAX_TRACE_STEPS; i++) budget.step();
    expect(() => budget.step()).toThrow(/more than 200000 steps/);
  });
  it('is used up after so many bytes, and one more is refused', () => {
    const budget = new TraceBudget();
    budget.keep(MAX_TRACE_BYTES);
    expect(() => budget.keep(1)).toThrow(/more than 8388608 bytes/);
  });
});
