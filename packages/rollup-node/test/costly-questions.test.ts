/** Questions that cost their sender a line of text, and must cost the node neither its event loop nor its memory, nor its words. */

import { Address, hexToBytes } from '@ethereumjs/util';
import { Bloom } from '@ethereumjs/vm';
import type { Hex } from 'viem';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DerivationEvents } from '../src/derivation/events.ts';
import { createSharedCommon } from '../src/execution/evm/common.ts';
import { LogMatcher } from '../src/execution/evm/log-matcher.ts';
import { MAX_SIMULATED_CHARACTERS } from '../src/execution/evm/simulate.ts';
import { EvmState, stateRootFromHash } from '../src/execution/evm/state.ts';
import { createRollupVm } from '../src/execution/evm/vm.ts';
import type { RpcState } from '../src/rpc/context.ts';
import { Filters } from '../src/rpc/filters.ts';
import { HeldAlternatives } from '../src/rpc/held-alternatives.ts';
import { FILTER_EXPIRY_MS, MAX_FILTER_CHANGES, MAX_HELD_ALTERNATIVES } from '../src/rpc/limits.ts';
import { assemble } from './support/contracts.ts';
import { type RpcNode, startRpcNode } from './support/rpc-node.ts';

describe('a program without a loop', () => {
  /** The generators of both groups of alt_bn128, as input of the pairing precompile: one takes some 20 ms. */
  const PAIR = [
    1n,
    2n,
    11559732032986387107991004021392285783925812861821192530917403151452391805634n,
    10857046999023057135944570762232829481370756359578518086990519993285655852781n,
    4082367875863433681332203403145435568316851327593401208105741076214120093531n,
    8495653923123431417604973247489272438418190587263600148770280649306958101930n,
  ].map((word) => word.toString(16).padStart(64, '0'));
  const PAIRS = 4;
  const loadInput = 'CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY';
  const pairing = `PUSH0 PUSH0 ${192 * PAIRS} PUSH0 PUSH0 8 GAS CALL POP`;
  const PAIRINGS = 6;

  async function machine() {
    const source = { nodesInMemory: 0, node: () => undefined, code: () => undefined };
    const root = stateRootFromHash(hexToBytes('0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421'));
    const common = createSharedCommon(901, 'prague');
    return createRollupVm(common, new EvmState(source as never, root), () => new Uint8Array(32));
  }
  const run = async ({ vm }: Awaited<ReturnType<typeof machine>>) =>
    vm.evm.runCall({
      caller: new Address(new Uint8Array(20).fill(1)),
      to: new Address(new Uint8Array(20).fill(2)),
      code: hexToBytes(assemble(`${loadInput} ${`${pairing} `.repeat(PAIRINGS)} STOP`)),
      data: hexToBytes(`0x${PAIR.join('').repeat(PAIRS)}`),
      gasLimit: 50_000_000n,
    });

  it('that calls precompiles leaves the event loop its turns', async () => {
    const rollupVm = await machine();
    let turns = 0;
    let isRunning = true;
    const count = () => {
      turns++;
      if (isRunning) setImmediate(count);
    };
    setImmediate(count);
    const { execResult } = await run(rollupVm);
    isRunning = false;
    expect(execResult.exceptionError).toBeUndefined();
    expect(turns).toBeGreaterThanOrEqual(PAIRINGS - 1);
  });

  it('that calls precompiles ends when its time is over', async () => {
    const rollupVm = await machine();
    rollupVm.deadline.atMs = performance.now();
    const { execResult } = await run(rollupVm);
    expect(execResult.exceptionError?.error).toBe('out of gas');
    expect(rollupVm.deadline.passed).toBe(true);
  });
});

describe('eth_simulateV1', () => {
  const AT: Hex = `0x${'aa'.repeat(20)}`;
  const RETURNED_BYTES = 96_000;
  let node: RpcNode;
  beforeAll(async () => {
    node = await startRpcNode();
  });
  afterAll(() => node.close());

  it('returns so many characters, and refuses one call more', async () => {
    const most = Math.floor(MAX_SIMULATED_CHARACTERS / (2 * RETURNED_BYTES + 200));
    const stateOverrides = { [AT]: { code: assemble(`${RETURNED_BYTES} PUSH0 RETURN`) } };
    const simulate = (count: number) => {
      const calls = Array.from({ length: count }, () => ({ to: AT }));
      return node.call('eth_simulateV1', [{ blockStateCalls: [{ stateOverrides, calls }] }]);
    };
    const { result } = await simulate(most);
    const [{ calls }] = result as [{ calls: { returnData: Hex }[] }];
    expect(calls.at(-1)!.returnData).toHaveLength(2 + 2 * RETURNED_BYTES);
    expect((await simulate(most + 1)).error).toMatchObject({
      code: -38026,
      message: `the calls return and log too much: more than ${MAX_SIMULATED_CHARACTERS} characters`,
    });
  });
});

describe('the highest numbers there are', () => {
  const [FROM, TO]: [Hex, Hex] = [`0x${'aa'.repeat(20)}`, `0x${'bb'.repeat(20)}`];
  const HIGHEST: Hex = `0x${'f'.repeat(64)}`;
  const HIGHEST_TIME = '0xffffffffffffffff';
  let node: RpcNode;
  beforeAll(async () => {
    node = await startRpcNode();
  });
  afterAll(() => node.close());
  const simulate = (...blockStateCalls: object[]) => node.call('eth_simulateV1', [{ blockStateCalls }]);

  it('in an authorization are refused, in words', async () => {
    const item = { chainId: HIGHEST, address: TO, nonce: HIGHEST, yParity: HIGHEST, r: HIGHEST, s: HIGHEST };
    for (const to of [TO, undefined]) {
      const { error } = await node.call('eth_call', [{ from: FROM, to, authorizationList: [item] }, 'latest']);
      expect(error).toMatchObject({ code: -32000, data: { code: 'CALL_REFUSED' } });
    }
  });

  it('as the time of a block have no block after them', async () => {
    const last = { blockOverrides: { time: HIGHEST_TIME } };
    expect((await simulate(last)).result).toMatchObject([{ timestamp: HIGHEST_TIME }]);
    expect((await simulate(last, {})).error).toMatchObject({ code: -38021 });
  });

  it('as a balance begin again with a withdrawal', async () => {
    const withdrawals = [{ index: '0x0', validatorIndex: '0x0', address: FROM, amount: '0x1' }];
    const stateOverrides = {
      [FROM]: { balance: HIGHEST },
      // The balance of the address in its input.
      [TO]: { code: '0x5f35315f5260205ff3' },
    };
    const input = `0x${FROM.slice(2).padStart(64, '0')}`;
    const { result } = await simulate(
      { stateOverrides, blockOverrides: { withdrawals } },
      { calls: [{ to: TO, input }] },
    );
    const [, { calls }] = result as [unknown, { calls: [{ returnData: Hex }] }];
    expect(BigInt(calls[0].returnData)).toBe(10n ** 9n - 1n);
  });

  it.each(['__proto__', 'constructor', 'toString'])('a tracer is not %s', async (tracer) => {
    const { error } = await node.call('debug_traceCall', [{ to: TO }, 'latest', { tracer }]);
    expect(error).toMatchObject({ code: -32602, message: expect.stringContaining('expected callTracer') });
  });
});

describe('a search for logs', () => {
  const bytes = (length: number, fill: number) => new Uint8Array(length).fill(fill);
  const log = { address: bytes(20, 1), topics: [bytes(32, 2), bytes(32, 3)], data: new Uint8Array() };
  const bloom = new Bloom();
  for (const item of [log.address, ...log.topics]) bloom.add(item);
  const many = (length: number) => Array.from({ length: 100 }, (_, index) => bytes(length, 100 + index));

  it.each([
    [true, { addresses: [], topics: [] }],
    [true, { addresses: [...many(20), log.address], topics: [[], [...many(32), log.topics[1]!]] }],
    [false, { addresses: many(20), topics: [] }],
    [false, { addresses: [log.address], topics: [[log.topics[1]!], [log.topics[0]!]] }],
    [false, { addresses: [], topics: [[], [], []] }],
  ])('%s: %o', (isMatch, filter) => {
    const matcher = new LogMatcher(filter);
    expect(matcher.matches(log)).toBe(isMatch);
    const inBloom = [filter.addresses, ...filter.topics].every(
      (choices) => choices.length === 0 || choices.some((choice) => bloom.check(choice)),
    );
    expect(matcher.mayMatch(bloom.bitvector)).toBe(inBloom);
  });
});

describe('filters for transactions', () => {
  it('each tell what came since they were polled, of the newest so many', async () => {
    const events = new DerivationEvents();
    const filters = new Filters({ events, history: { latestNumber: 0 }, now: () => 0 } as unknown as RpcState);
    const hashOf = (index: number): Hex => `0x${index.toString(16).padStart(64, '0')}`;
    let executed = 0;
    const execute = (count: number) => {
      for (let i = 0; i < count; i++) events.emit('transaction', hexToBytes(hashOf(executed++)));
    };
    const [often, seldom] = [0, 1].map(() => filters.create({ kind: 'transactions' }));
    execute(2);
    expect(await filters.changes(often!)).toEqual([hashOf(0), hashOf(1)]);
    expect(await filters.changes(often!)).toEqual([]);
    execute(MAX_FILTER_CHANGES - 2);
    expect(await filters.changes(seldom!)).toHaveLength(MAX_FILTER_CHANGES);
    execute(MAX_FILTER_CHANGES + 1);
    const told = await filters.changes(seldom!);
    expect(told).toHaveLength(MAX_FILTER_CHANGES);
    expect([told[0], told.at(-1)]).toEqual([hashOf(MAX_FILTER_CHANGES + 1), hashOf(2 * MAX_FILTER_CHANGES)]);
    filters.close();
  });
});

describe('filters for logs', () => {
  it('hold so many addresses and topics together, and not one more until some are gone', () => {
    let nowMs = 0;
    const heldAlternatives = new HeldAlternatives();
    const state = { events: new DerivationEvents(), history: { latestNumber: 0 }, now: () => nowMs, heldAlternatives };
    const filters = new Filters(state as unknown as RpcState);
    const create = (addresses: number, topics: number) => {
      const choices = (count: number) => new Array<Uint8Array>(count).fill(new Uint8Array(20));
      const query = { addresses: choices(addresses), topics: [[], choices(topics)] };
      const [from, to] = [{ tag: 'latest' as const }, { tag: 'latest' as const }];
      return filters.create({ kind: 'logs', query: { ...query, from, to } });
    };
    const first = create(MAX_HELD_ALTERNATIVES - 3, 1);
    create(1, 1);
    expect(() => create(1, 0)).toThrow(`${MAX_HELD_ALTERNATIVES} addresses and topics already`);
    create(0, 0);
    filters.remove(first);
    filters.remove(first);
    create(MAX_HELD_ALTERNATIVES - 3, 1);
    expect(() => create(0, 1)).toThrow('already');
    nowMs += FILTER_EXPIRY_MS;
    create(MAX_HELD_ALTERNATIVES, 0);
    filters.close();
  });
});
