/** eth_simulateV1: calls in blocks that could follow, on changed state; what is refused, and the limits. */

import type { Hex } from 'viem';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_SIMULATED_BLOCKS, MAX_SIMULATED_CALLS } from '../src/execution/evm/simulate.ts';
import { MAX_OVERRIDDEN_ACCOUNTS, MAX_OVERRIDDEN_SLOTS } from '../src/rpc/limits.ts';
import { ADDED_TOPIC, assemble, COUNTER, initCodeOf, WITNESS } from './support/contracts.ts';
import { type RpcNode, startRpcNode } from './support/rpc-node.ts';

const FROM: Hex = `0x${'f0'.repeat(20)}`;
const COUNTER_AT: Hex = `0x${'c0'.repeat(20)}`;
const LOOP_AT: Hex = `0x${'10'.repeat(20)}`;
const word = (value: number | bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`;
const quantity = (value: number | bigint): Hex => `0x${value.toString(16)}`;
const rich = { [FROM]: { balance: quantity(10n ** 18n) } };

let node: RpcNode;
beforeAll(async () => {
  node = await startRpcNode({ file: { alloc: { [COUNTER_AT]: { balance: '0', nonce: 1, code: COUNTER } } } });
});
afterAll(() => node.close());

type Call = { status: Hex; returnData: Hex; gasUsed: Hex; logs: Record<string, never>[]; error?: object };
type Block = Record<string, Hex> & { calls: Call[]; transactions: Hex[] };
async function simulate(blockStateCalls: object[], more: object = {}, at = 'latest'): Promise<Block[]> {
  const { result, error } = await node.call('eth_simulateV1', [{ blockStateCalls, ...more }, at]);
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return result as Block[];
}
const add = (value: number, change: object = {}) => ({ from: FROM, to: COUNTER_AT, input: word(value), ...change });
const read = { to: COUNTER_AT };

describe('eth_simulateV1', () => {
  it('each call sees those before it, in its block and in blocks before; nothing is kept', async () => {
    const [first, second] = (await simulate([{ calls: [add(2), add(3), read] }, { calls: [add(5), read] }])) as [
      Block,
      Block,
    ];
    expect(first.calls[2]).toMatchObject({ status: '0x1', returnData: word(5), logs: [] });
    expect(second.calls[1]!.returnData).toBe(word(10));
    expect([first.number, second.number, second.parentHash]).toEqual(['0x1', '0x2', first.hash]);
    expect(BigInt(second.timestamp!)).toBe(BigInt(first.timestamp!) + 1n);
    expect(first.calls[1]!.logs).toMatchObject([
      { address: COUNTER_AT, topics: [ADDED_TOPIC], data: word(3), logIndex: '0x1', blockHash: first.hash },
    ]);
    expect(first.calls[1]!.logs[0]).toMatchObject({ transactionHash: first.transactions[1] });
    const used = first.calls.reduce((sum, { gasUsed }) => sum + BigInt(gasUsed), 0n);
    expect(first.gasUsed).toBe(quantity(used));
    expect((await node.call('eth_call', [read, 'latest'])).result).toBe(word(0));
    expect((await simulate([{ calls: [read] }]))[0]!.calls[0]!.returnData).toBe(word(0));
  });

  it('has the state root of what its calls did: the same as of that state, written by hand', async () => {
    const [called] = await simulate([{ calls: [add(2)] }]);
    const written = { [FROM]: { nonce: '0x1' }, [COUNTER_AT]: { stateDiff: { [word(0)]: word(2) } } };
    const [overridden] = await simulate([{ stateOverrides: written }]);
    expect(called!.stateRoot).toBe(overridden!.stateRoot);
    expect(called!.stateRoot).not.toBe((await simulate([{}]))[0]!.stateRoot);
  });

  it('overrides state: balance, nonce, code, slots, all slots', async () => {
    const at = (account: object) => simulate([{ stateOverrides: { [COUNTER_AT]: account }, calls: [read] }]);
    const result = async (account: object) => (await at(account))[0]!.calls[0]!.returnData;
    expect(await result({ stateDiff: { [word(0)]: word(7) } })).toBe(word(7));
    expect(await result({ state: { [word(1)]: word(7) } })).toBe(word(0));
    expect(await result({ code: assemble('ADDRESS PUSH0 MSTORE 32 PUSH0 RETURN') })).toBe(word(BigInt(COUNTER_AT)));
    const [sent] = await simulate([{ stateOverrides: rich, calls: [{ from: FROM, to: LOOP_AT, value: '0x5' }] }]);
    expect(sent!.calls[0]).toMatchObject({ status: '0x1', gasUsed: '0x5208' });
    const created = { from: FROM, input: initCodeOf(COUNTER) };
    const roots = await Promise.all(
      ['0x1', '0x2'].map(
        async (nonce) => (await simulate([{ stateOverrides: { [FROM]: { nonce } }, calls: [created] }]))[0]!.stateRoot,
      ),
    );
    expect(roots[0]).not.toBe(roots[1]);
  });

  it('overrides the block, as the contract sees it; numbers left out are blocks without calls', async () => {
    const seen = `0x${'5e'.repeat(20)}` as Hex;
    const blockOverrides = {
      number: '0x5',
      time: '0xffffffffff',
      prevRandao: word(9),
      gasLimit: '0xf4240',
      baseFeePerGas: '0x0',
    };
    const load = (slot: number) => ({
      stateOverrides: { [seen]: { code: assemble(`${slot} SLOAD PUSH0 MSTORE 32 PUSH0 RETURN`) } },
      calls: [{ to: seen }],
    });
    const plans = [
      { blockOverrides, stateOverrides: { [seen]: { code: WITNESS } }, calls: [{ to: seen }] },
      ...[0, 1, 2, 5, 6].map(load),
    ];
    const blocks = await simulate(plans);
    expect(blocks.map(({ number }) => Number(number))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const told = blocks.slice(5).map(({ calls }) => calls[0]!.returnData);
    expect(told).toEqual([word(5), word(0xffffffffff), word(9), word(1_000_000), blocks[3]!.hash]);
  });

  it('says which calls failed, and goes on', async () => {
    const [block] = await simulate([{ calls: [add(13), add(1, { gas: '0x5600' }), read] }]);
    expect(block!.calls).toMatchObject([
      { status: '0x0', error: { code: 3, message: 'execution reverted: unlucky' } },
      { status: '0x0', error: { code: -32015, message: 'out of gas' }, gasUsed: '0x5600' },
      { status: '0x1', returnData: word(0) },
    ]);
    expect((block!.calls[0]!.error as { data: Hex }).data).toBe(block!.calls[0]!.returnData);
  });

  it('a call may come from a contract; full transactions are answered if asked for', async () => {
    const [block] = await simulate([{ calls: [add(4, { from: COUNTER_AT }), read] }], { returnFullTransactions: true });
    expect(block!.calls[1]!.returnData).toBe(word(4));
    expect(block!.transactions[0]).toMatchObject({ from: COUNTER_AT, to: COUNTER_AT, input: word(4) });
    expect((await simulate([{ calls: [read] }]))[0]!.transactions[0]).toMatch(/^0x[0-9a-f]{64}$/);
  });

  it.each<[string, object[], object, number, RegExp]>([
    ['validation', [{}], { validation: true }, -32004, /validation is not supported/],
    ['traceTransfers', [{}], { traceTransfers: true }, -32004, /traceTransfers is not supported/],
    ['no blocks', [], {}, -32602, /blockStateCalls/],
    [
      'moved precompiles',
      [{ stateOverrides: { [FROM]: { movePrecompileToAddress: FROM } } }],
      {},
      -32602,
      /movePrecompile/,
    ],
    ['withdrawals', [{ blockOverrides: { withdrawals: [] } }], {}, -32602, /withdrawals/],
    [
      'state and stateDiff',
      [{ stateOverrides: { [FROM]: { state: {}, stateDiff: {} } } }],
      {},
      -32602,
      /both state and/,
    ],
    ['numbers that do not rise', [{}, { blockOverrides: { number: '0x1' } }], {}, -38020, /in order/],
    ['times that do not rise', [{ blockOverrides: { time: '0x1' } }], {}, -38021, /in order/],
    ['money that is not there', [{ calls: [add(1, { value: '0x1' })] }], {}, -38014, /insufficient funds/],
    ['gas below the least', [{ calls: [add(1, { gas: '0x5207' })] }], {}, -38013, /intrinsic gas too low/],
    [
      'gas above the block’s',
      [{ blockOverrides: { gasLimit: '0x5208' }, calls: [add(1, { gas: '0x5209' })] }],
      {},
      -38015,
      /block gas limit/,
    ],
  ])('refuses %s', async (_, blocks, more, code, message) => {
    await expect(simulate(blocks, more)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('limits: at the limit, and one past it', async () => {
    const blocks = (count: number) => simulate([{ blockOverrides: { number: quantity(count) } }]);
    expect(await blocks(MAX_SIMULATED_BLOCKS)).toHaveLength(MAX_SIMULATED_BLOCKS);
    await expect(blocks(MAX_SIMULATED_BLOCKS + 1)).rejects.toMatchObject({ code: -38026 });
    const calls = (count: number) => simulate([{ calls: Array.from({ length: count }, () => ({ to: LOOP_AT })) }]);
    expect((await calls(MAX_SIMULATED_CALLS))[0]!.calls).toHaveLength(MAX_SIMULATED_CALLS);
    await expect(calls(MAX_SIMULATED_CALLS + 1)).rejects.toMatchObject({ code: -38026 });
    const many = (count: number, of: (index: number) => [string, unknown]) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => of(i)));
    const accounts = (count: number) =>
      simulate([{ stateOverrides: many(count, (i) => [`0x77${i.toString(16).padStart(38, '0')}`, { nonce: '0x1' }]) }]);
    expect(await accounts(MAX_OVERRIDDEN_ACCOUNTS)).toHaveLength(1);
    await expect(accounts(MAX_OVERRIDDEN_ACCOUNTS + 1)).rejects.toMatchObject({ code: -32602 });
    const slots = (count: number) =>
      simulate([{ stateOverrides: { [FROM]: { stateDiff: many(count, (i) => [word(i), word(1)]) } } }]);
    expect(await slots(MAX_OVERRIDDEN_SLOTS)).toHaveLength(1);
    await expect(slots(MAX_OVERRIDDEN_SLOTS + 1)).rejects.toMatchObject({ code: -32602 });
  });
});
