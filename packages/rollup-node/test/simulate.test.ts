/** eth_simulateV1: calls in blocks that could follow, on changed state; what is refused, and the limits. */

import { createHash } from 'node:crypto';
import { getContractAddress, type Hex } from 'viem';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_SIMULATED_BLOCKS, MAX_SIMULATED_CALLS } from '../src/execution/evm/simulate.ts';
import {
  MAX_CALL_GAS,
  MAX_OVERRIDDEN_ACCOUNTS,
  MAX_OVERRIDDEN_SLOTS,
  MAX_SIMULATED_WITHDRAWALS,
} from '../src/rpc/limits.ts';
import { ADDED_TOPIC, assemble, COUNTER, initCodeOf, WITNESS } from './support/contracts.ts';
import { type RpcNode, startRpcNode } from './support/rpc-node.ts';

const FROM: Hex = `0x${'f0'.repeat(20)}`;
const COUNTER_AT: Hex = `0x${'c0'.repeat(20)}`;
const LOOP_AT: Hex = `0x${'10'.repeat(20)}`;
const SELF_AT: Hex = `0x${'5f'.repeat(20)}`;
/** ERC-7528. */
const ETHER: Hex = `0x${'ee'.repeat(20)}`;
/** Logs 7, sends its value and 13 as input to the address in its input, logs 8. */
const FORWARDER = assemble(`
  7 PUSH0 PUSH0 LOG1  13 PUSH0 MSTORE
  PUSH0 PUSH0 32 PUSH0 CALLVALUE PUSH0 CALLDATALOAD GAS CALL POP
  8 PUSH0 PUSH0 LOG1 STOP`);
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
const SHA256: Hex = `0x${'2'.padStart(40, '0')}`;
const valid = { validation: true };
/** Offers enough for any base fee here. */
const paid = (change: object = {}) => add(1, { maxFeePerGas: quantity(10n ** 10n), gas: '0x186a0', ...change });

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
    expect(block!.calls[0]!.returnData).toBe('0x');
    expect((block!.calls[0]!.error as { data: Hex }).data).toMatch(/^0x08c379a0/);
  });

  it('a call may come from a contract; full transactions are answered if asked for', async () => {
    const [block] = await simulate([{ calls: [add(4, { from: COUNTER_AT }), read] }], { returnFullTransactions: true });
    expect(block!.calls[1]!.returnData).toBe(word(4));
    expect(block!.transactions[0]).toMatchObject({ from: COUNTER_AT, to: COUNTER_AT, input: word(4) });
    expect((await simulate([{ calls: [read] }]))[0]!.transactions[0]).toMatch(/^0x[0-9a-f]{64}$/);
  });

  it('with validation: nonces count, the base fee moves on, and whoever sends pays', async () => {
    const { result } = await node.call('eth_getBlockByNumber', ['latest', false]);
    const stateOverrides = { [FROM]: { balance: quantity(10n ** 18n) } };
    const [first, second] = (await simulate(
      [
        { stateOverrides, calls: [paid(), paid({ nonce: '0x1' })] },
        { calls: [paid({ to: SELF_AT }), { ...paid(), to: SELF_AT }] },
      ],
      valid,
    )) as [Block, Block];
    // Empty blocks before: an eighth less (EIP-1559).
    const before = BigInt((result as Record<string, Hex>).baseFeePerGas!);
    expect(BigInt(first.baseFeePerGas!)).toBe(before - before / 8n);
    expect(BigInt(second.baseFeePerGas!)).toBeLessThan(BigInt(first.baseFeePerGas!));
    expect([...first.calls, ...second.calls].map(({ status }) => status)).toEqual(['0x1', '0x1', '0x1', '0x1']);
    const unpaid = await simulate([{ stateOverrides, calls: [add(1), add(1)] }]);
    expect(first.stateRoot).not.toBe(unpaid[0]!.stateRoot);
  });

  it('traceTransfers: ether that moved, among the logs; what was reverted did not move', async () => {
    const to = (address: Hex) => word(BigInt(address));
    const [block] = await simulate(
      [
        {
          stateOverrides: { ...rich, [SELF_AT]: { code: FORWARDER, balance: '0x9' } },
          calls: [
            { from: FROM, to: LOOP_AT, value: '0x5' },
            { from: FROM, to: SELF_AT, value: '0x3', input: to(LOOP_AT) },
            { from: FROM, to: SELF_AT, value: '0x3', input: to(COUNTER_AT) },
            { from: FROM, input: '0x33ff', value: '0x2' },
          ],
        },
      ],
      { traceTransfers: true },
    );
    const told = block!.calls.map(({ logs }) =>
      (logs as unknown as { address: Hex; topics: Hex[]; data: Hex }[]).map(({ address, topics, data }) => {
        if (address !== ETHER) return topics[0];
        expect(topics[0]).toBe('0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef');
        return [topics[1], topics[2], Number(data)];
      }),
    );
    const { hash } = block!;
    const created = getContractAddress({ from: FROM, nonce: 3n });
    expect(told).toEqual([
      [[to(FROM), to(LOOP_AT), 5]],
      [[to(FROM), to(SELF_AT), 3], word(7), [to(SELF_AT), to(LOOP_AT), 3], word(8)],
      // The counter adds its input, the value of the call, which it has none of: it reverts.
      [[to(FROM), to(SELF_AT), 3], word(7), word(8)],
      [
        [to(FROM), to(created), 2],
        [to(created), to(FROM), 2],
      ],
    ]);
    const logs = block!.calls.flatMap((call) => call.logs);
    expect(logs.map(({ logIndex }) => Number(logIndex))).toEqual(logs.map((_, index) => index));
    expect(logs.every(({ blockHash }) => blockHash === hash)).toBe(true);
    const plain = await simulate([{ calls: [add(2)] }]);
    const told2 = await simulate([{ calls: [add(2)] }], { traceTransfers: true });
    expect(told2).toEqual(plain);
  });

  it('a precompile can be moved, for its block; an account that is overridden is none', async () => {
    const plan = (stateOverrides: object) => ({
      stateOverrides,
      calls: [
        { to: LOOP_AT, input: '0x11' },
        { to: SHA256, input: '0x11' },
      ],
    });
    const moved = { [SHA256]: { movePrecompileToAddress: LOOP_AT, code: WITNESS } };
    const blocks = await simulate([plan(moved), plan({}), plan({ [SHA256]: { code: COUNTER } })]);
    const answers = blocks.map(({ calls }) => calls.map(({ returnData }) => returnData));
    const hash = `0x${createHash('sha256').update(Uint8Array.of(0x11)).digest('hex')}`;
    expect(answers).toEqual([
      [hash, '0x'],
      ['0x', hash],
      ['0x', '0x'],
    ]);
  });

  it('withdrawals are paid, and in the block', async () => {
    const withdrawal = { index: '0x1', validatorIndex: '0x2', address: FROM, amount: '0x3' };
    const [block] = await simulate([{ blockOverrides: { withdrawals: [withdrawal] } }]);
    expect(block).toMatchObject({ withdrawals: [withdrawal] });
    const written = { [FROM]: { balance: quantity(3n * 10n ** 9n) } };
    expect(block!.stateRoot).toBe((await simulate([{ stateOverrides: written }]))[0]!.stateRoot);
    expect(block!.withdrawalsRoot).not.toBe((await simulate([{}]))[0]!.withdrawalsRoot);
  });

  it('a call that pays nothing runs in a block that costs something, and sees what it costs', async () => {
    const seen = `0x${'5e'.repeat(20)}` as Hex;
    const code = assemble('BASEFEE PUSH0 MSTORE GASPRICE 32 MSTORE 64 PUSH0 RETURN');
    const [block] = await simulate([
      {
        blockOverrides: { baseFeePerGas: '0x7', blobBaseFee: '0x9' },
        stateOverrides: { [seen]: { code }, [LOOP_AT]: { code: '0x4a5f5260205ff3' } },
        calls: [{ to: seen }, { to: LOOP_AT }],
      },
    ]);
    expect(block!.calls[0]!.returnData).toBe(`${word(7)}${word(0).slice(2)}`);
    expect(block!.calls[1]!.returnData).toBe(word(9));
  });

  it('all calls have so much gas together, and not more', async () => {
    const burn = { to: LOOP_AT };
    const stateOverrides = { [LOOP_AT]: { code: '0xfe' } };
    const half = quantity(MAX_CALL_GAS / 2n);
    const [block] = await simulate([{ stateOverrides, calls: [{ ...burn, gas: half }, burn] }]);
    expect(block!.calls.map(({ gasUsed }) => gasUsed)).toEqual([half, half]);
    await expect(simulate([{ stateOverrides, calls: [burn, burn] }])).rejects.toMatchObject({
      code: -38026,
      message: expect.stringMatching(/^gas limit reached/),
    });
  });

  it.each<[string, object[], object, number, RegExp]>([
    ['no blocks', [], {}, -32602, /blockStateCalls/],
    ['a field that there is not', [{ blockOverrides: { withdrawal: [] } }], {}, -32602, /withdrawal/],
    [
      'state and stateDiff',
      [{ stateOverrides: { [FROM]: { state: {}, stateDiff: {} } } }],
      {},
      -32000,
      /has both 'state'/,
    ],
    [
      'to move what is no precompile',
      [{ stateOverrides: { [FROM]: { movePrecompileToAddress: COUNTER_AT } } }],
      {},
      -32000,
      /^account 0xF0F0F0f0f0F0F0f0f0F0f0f0f0f0F0F0f0f0f0F0 is not a precompile$/,
    ],
    [
      'to move a precompile to where an account is overridden',
      [{ stateOverrides: { [SHA256]: { movePrecompileToAddress: FROM }, [FROM]: { nonce: '0x1' } } }],
      {},
      -32000,
      /^account 0xF0.* is already overridden$/,
    ],
    [
      'a nonce that is over',
      [{ stateOverrides: { [FROM]: { nonce: '0x2' } }, calls: [paid({ nonce: '0x1' })] }],
      valid,
      -38010,
      /nonce too low: .* tx: 1 state: 2/,
    ],
    [
      'a nonce that is early',
      [{ calls: [paid({ nonce: '0x1' })] }],
      valid,
      -38011,
      /nonce too high: .* tx: 1 state: 0/,
    ],
    ['a fee below the base fee', [{ calls: [add(1)] }], valid, -38012, /max fee per gas less than block base fee/],
    [
      'more init code than may be',
      [{ calls: [{ from: FROM, input: `0x${'00'.repeat(49_153)}` }] }],
      {},
      -38025,
      /code size 49153 limit 49152/,
    ],
    ['another chain', [{ calls: [add(1, { chainId: '0x5' })] }], {}, -32000, /chainId does not match/],
    ['blobs', [{ calls: [add(1, { blobVersionedHashes: [word(1)] })] }], {}, -32602, /blob transactions/],
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
    const paidOut = { index: '0x0', validatorIndex: '0x0', address: FROM, amount: '0x1' };
    const withdrawals = (count: number) =>
      simulate([{ blockOverrides: { withdrawals: Array.from({ length: count }, () => paidOut) } }]);
    expect(await withdrawals(MAX_SIMULATED_WITHDRAWALS)).toHaveLength(1);
    await expect(withdrawals(MAX_SIMULATED_WITHDRAWALS + 1)).rejects.toMatchObject({ code: -32602 });
    const slots = (count: number) =>
      simulate([{ stateOverrides: { [FROM]: { stateDiff: many(count, (i) => [word(i), word(1)]) } } }]);
    expect(await slots(MAX_OVERRIDDEN_SLOTS)).toHaveLength(1);
    await expect(slots(MAX_OVERRIDDEN_SLOTS + 1)).rejects.toMatchObject({ code: -32602 });
  });
});

/** ethereum/execution-apis, tests/eth_simulateV1/ethSimulate-….io: those whose answers do not hang on the chain they were made on. */
describe('vectors of execution-apis', () => {
  const C0 = '0xc000000000000000000000000000000000000000';
  const C1 = '0xc100000000000000000000000000000000000000';
  const C2 = '0xc200000000000000000000000000000000000000';
  const identity = `0x${'4'.padStart(40, '0')}`;
  const number = (blockNumber: string, from: string) => ({
    blockOverrides: { number: blockNumber },
    calls: [{ from, input: '0x4360005260206000f3' }],
  });
  it.each<[string, object[], object, number, RegExp]>([
    [
      'basefee-too-low-with-validation-38012',
      [
        {
          blockOverrides: { baseFeePerGas: '0xa' },
          stateOverrides: { [C0]: { balance: '0x7d0' } },
          calls: [{ from: C0, to: C1, maxFeePerGas: '0x0', maxPriorityFeePerGas: '0x0' }],
        },
      ],
      valid,
      -38012,
      /^err: max fee per gas less than block base fee: address 0xC000000000000000000000000000000000000000, maxFeePerGas: 0, baseFee: 10 \(supplied gas 50000000\)$/,
    ],
    [
      'gas-fees-and-value-error-38014-with-validation',
      [{ calls: [{ from: C0, to: C1, value: '0x3e8' }] }],
      valid,
      -38012,
      /^err: max fee per gas less than block base fee: address 0xC000000000000000000000000000000000000000, maxFeePerGas: 0, baseFee: \d+ \(supplied gas 50000000\)$/,
    ],
    [
      'overflow-nonce-validation',
      [
        {
          stateOverrides: { [C0]: { nonce: '0xffffffffffffffff' } },
          calls: [
            { from: C0, to: C1 },
            { from: C0, to: C1 },
          ],
        },
      ],
      valid,
      -32603,
      /^err: nonce has max value: address 0xC000000000000000000000000000000000000000, nonce: 18446744073709551615 /,
    ],
    [
      'override-address-twice',
      [{ calls: [{ from: C0, to: C1, value: '0x3e8' }] }],
      { traceTransfers: true },
      -38014,
      /^err: insufficient funds for gas \* price \+ value: address 0xC000000000000000000000000000000000000000 have 0 want 1000 /,
    ],
    [
      'move-to-address-itself-reference-38022',
      [
        {
          stateOverrides: { [C0]: { balance: '0x30d40' }, [C1]: { movePrecompileToAddress: C1 } },
          calls: [{ from: C0, to: C1, value: '0x1' }],
        },
      ],
      {},
      -32000,
      /^account 0xc100000000000000000000000000000000000000 is not a precompile$/,
    ],
    [
      'instrict-gas-38013',
      [{ calls: [{ from: C1, to: C1, gas: '0x0' }] }],
      {},
      -38013,
      /^err: intrinsic gas too low: have 0, want/,
    ],
    [
      'block-num-order-38020',
      [number('0x9a', C1), number('0x90', C0)],
      {},
      -38020,
      /^block numbers must be in order: 144 <= 154$/,
    ],
    [
      'block-timestamp-order-38021',
      [{ blockOverrides: { time: '0x228' } }, { blockOverrides: { time: '0x227' } }],
      {},
      -38021,
      /^block timestamps must be in order/,
    ],
  ])('%s', async (_, blocks, more, code, message) => {
    await expect(simulate(blocks, more)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('move-two-accounts-to-same-38023, override-precompile-code-without-move, transaction-too-low-nonce-38010', async () => {
    const precompile = (last: string) => `0x${last.padStart(40, '0')}`;
    const both = { movePrecompileToAddress: C2 };
    expect(
      (await simulate([{ stateOverrides: { [precompile('1')]: both, [precompile('2')]: both } }]))[0]!.calls,
    ).toEqual([]);
    const [code] = await simulate([
      {
        stateOverrides: { [identity]: { code: '0x602a60005260206000f3' } },
        calls: [{ from: C0, to: identity, input: '0x1234' }],
      },
    ]);
    const done = { status: '0x1', logs: [] };
    expect(code!.calls).toEqual([{ ...done, returnData: word(0x2a), gasUsed: '0x5258', maxUsedGas: '0x5258' }]);
    const [nonce] = await simulate([
      { stateOverrides: { [C0]: { nonce: '0xa' } }, calls: [{ from: C1, to: C1, nonce: '0x0' }] },
    ]);
    expect(nonce!.calls).toEqual([{ ...done, returnData: '0x', gasUsed: '0x5208', maxUsedGas: '0x5208' }]);
  });
});
