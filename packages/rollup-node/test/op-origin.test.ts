/**
 * An OP rollup that follows L1: which L1 origin its blocks have, what comes with it, and that no endpoint changes any of it.
 * The client is strict in what the OP Stack's rules say of origins.
 */

import { createPrometheusMetrics } from '@squad/service';
import { fromHex, type Hex, toHex } from '@squad/types';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openRollup } from '../src/derivation/open.ts';
import { keccak256 } from '../src/execution/keccak.ts';
import { decodeDeposit, userDepositSource } from '../src/stacks/op/deposit.ts';
import { decodeL1Attributes } from '../src/stacks/op/l1-attributes.ts';
import { MAX_L1_BLOCKS, MAX_L1_DISTANCE_BLOCKS } from '../src/stacks/op/limits.ts';
import { blobBaseFee, genesisOrigin } from '../src/stacks/op/origin.ts';
import type { FakeL1, FakeL1Block } from '../src/testing/index.ts';
import { temporaryDirectory } from './support/directory.ts';
import { CHAIN, GENESIS_SECONDS, type Order, opClient, startOp } from './support/op.ts';
import { type Following, follow, followingFile, L1_START, startL1 } from './support/op-l1.ts';
import type { soft } from './support/sequence.ts';
import { recipient, sign } from './support/transactions.ts';

const ALICE: Hex = `0x${'a1'.repeat(20)}`;
const ETHER = 10n ** 18n;
const open: { close(): unknown }[] = [];
let l1: FakeL1;

beforeEach(async () => {
  l1 = await startL1();
});
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
  await l1.stop();
});

const start = async (given: Parameters<typeof follow>[1] = {}): Promise<Following> => {
  const following = await follow(l1, given);
  open.push(following);
  return following;
};
const transfer = (sender: number, nonce: number, gasLimit = 21_000n) =>
  sign(CHAIN, sender, { nonce, gasLimit, to: recipient(nonce), value: 1n });
/** Of the derived blocks from 1 on: L1 origin, sequence number, deposits, transactions. */
const shape = ({ executor }: Order) =>
  Array.from({ length: executor.head.number }, (_, index) => {
    const { place, deposits, transactions } = executor.blockAt(index + 1)!;
    return [place.origin.number - L1_START, place.sequenceNumber, deposits.length, transactions.length];
  });
const hashes = ({ executor }: Order) =>
  Array.from({ length: executor.head.number + 1 }, (_, number) => toHex(executor.blockAt(number)!.summary.hash));

describe('the L1 origin', () => {
  it('is told to the client with its deposits, in blocks that the OP Stack’s rules allow', async () => {
    const { order, anchor } = await start();
    const client = opClient();
    const engine = await startOp(client, { order });
    open.push(engine);
    await order.final([transfer(0, 0)]);
    const deposit = l1.deposit(ALICE, 5n * ETHER, { from: `0x${'f1'.repeat(20)}`, gas: 77_777n, data: '0xc0ffee' });
    const strange = { ...deposit, address: `0x${'ee'.repeat(20)}` as const };
    anchor(l1.mine([[strange, deposit], [l1.deposit(ALICE, 1n)]]));
    await order.final([transfer(0, 1)], [transfer(0, 2)], []);
    await engine.followed();
    expect(shape(order)).toEqual([
      [0, 1, 0, 1],
      [1, 0, 2, 1],
      [1, 1, 0, 1],
    ]);
    const asked = client.calls.flatMap(({ method, params }) =>
      method === 'engine_forkchoiceUpdatedV3' && params[1] !== null ? [params[1]] : [],
    );
    const decoded = asked[1].transactions.slice(0, 3).map((raw: Hex) => {
      const read = decodeDeposit(fromHex(raw));
      if (!read.ok) throw new Error(read.error);
      return read.value;
    });
    expect(decoded[1]).toEqual({
      sourceHash: userDepositSource(l1.head.hash, 1),
      from: fromHex(`0x${'f1'.repeat(20)}`),
      to: fromHex(ALICE),
      mint: 5n * ETHER,
      value: 5n * ETHER,
      gasLimit: 77_777n,
      isSystem: false,
      data: fromHex('0xc0ffee'),
    });
    expect(decoded[2].sourceHash).toEqual(userDepositSource(l1.head.hash, 2));
    expect(decodeL1Attributes(decoded[0].data)).toMatchObject({
      value: {
        attributes: {
          number: BigInt(L1_START + 1),
          blockHash: l1.head.hash,
          timestamp: BigInt(l1.head.timestamp),
          baseFee: BigInt(1_000_000_000 + L1_START + 1),
          blobBaseFee: 1n,
          sequenceNumber: 0n,
          baseFeeScalar: 10n,
        },
      },
    });
    const roots = asked.map(({ parentBeaconBlockRoot }: { parentBeaconBlockRoot: Hex }) => parentBeaconBlockRoot);
    const root = toHex(keccak256(l1.blocks[0]!.hash));
    expect(roots).toEqual([`0x${'00'.repeat(32)}`, root, root]);
    expect(client.violations).toEqual([]);
  });

  it('goes on by one L1 block in each block, also where nothing is ordered, and no faster than time', async () => {
    const { order, anchor } = await start();
    await order.final([]);
    for (let i = 0; i < 3; i++) l1.mine([[l1.deposit(ALICE, BigInt(i + 1))]]);
    anchor(l1.head);
    await order.final([], [transfer(0, 0)], [], [], []);
    expect(shape(order)).toEqual([
      [1, 0, 1, 0],
      [2, 0, 1, 1],
      [3, 0, 1, 0],
    ]);
    const times = [1, 2, 3].map((number) => order.executor.blockAt(number)!.summary.timestampSeconds);
    expect(times).toEqual([GENESIS_SECONDS + 2, GENESIS_SECONDS + 3, GENESIS_SECONDS + 4]);
  });

  it('goes on in a longer slot by as many L1 blocks as the slot has seconds, the last one’s block with what is ordered', async () => {
    const { order, anchor } = await start({ file: followingFile(l1, { blockTimeMs: 3_000 }) });
    for (let i = 0; i < 4; i++) l1.mine();
    anchor(l1.head);
    // The slots' first blocks count; that the anchor goes on within a slot counts in the next one.
    await order.final([], [transfer(0, 0)]);
    l1.mine();
    anchor(l1.head);
    await order.final([transfer(0, 1)], [], [], [], []);
    expect(shape(order)).toEqual([
      [1, 0, 0, 0],
      [2, 0, 0, 0],
      [3, 0, 0, 2],
      [4, 0, 0, 0],
      [5, 0, 0, 0],
    ]);
    const times = [1, 2, 3, 4, 5].map((number) => order.executor.blockAt(number)!.summary.timestampSeconds);
    expect(times.map((time) => time - GENESIS_SECONDS)).toEqual([3, 4, 5, 6, 7]);
  });

  it('goes on at the beginning of a slot only, however many blocks the slot has', async () => {
    const { order, anchor } = await start();
    l1.mine();
    anchor(l1.mine());
    await order.final([transfer(0, 0, 29_000_000n), transfer(0, 1)], [transfer(0, 2)], []);
    expect(shape(order)).toEqual([
      [1, 0, 0, 1],
      [1, 1, 0, 1],
      [2, 0, 0, 1],
    ]);
  });

  it('stays while the anchor is none, or below it', async () => {
    const { order, anchor } = await start();
    await order.final([transfer(0, 0)]);
    anchor({ number: L1_START - 1, hash: new Uint8Array(32), timestamp: 0 });
    await order.final([transfer(0, 1)]);
    anchor(l1.head);
    await order.final([transfer(0, 2)], []);
    expect(shape(order).map(([origin, sequence]) => [origin, sequence])).toEqual([
      [0, 1],
      [0, 2],
      [0, 3],
    ]);
    expect(l1.calls).toEqual([]);
  });

  it('is never later than the block', async () => {
    const { order, anchor } = await start();
    anchor(l1.mine([], { timestamp: BigInt(GENESIS_SECONDS + 500) }));
    await order.final([], [transfer(0, 0)], []);
    const times = [1, 2].map((number) => order.executor.blockAt(number)!.summary.timestampSeconds - GENESIS_SECONDS);
    expect(times).toEqual([500, 501]);
  });

  it('leaves what its deposits take of a block’s gas to them: what does not fit beside goes into the next one', async () => {
    const shapeOf = async (...transactions: Uint8Array[]) => {
      const { order, anchor } = await start();
      anchor(block);
      await order.final(transactions, []);
      return shape(order);
    };
    const block = l1.mine([[l1.deposit(ALICE, 1n, { gas: 20_000_000n })]]);
    expect(await shapeOf(transfer(0, 0, 8_979_000n), transfer(0, 1))).toEqual([[1, 0, 1, 2]]);
    expect(await shapeOf(transfer(0, 0, 8_979_001n), transfer(0, 1))).toEqual([
      [1, 0, 1, 1],
      [1, 1, 0, 1],
    ]);
    expect(await shapeOf(transfer(0, 0, 9_000_001n))).toEqual([
      [1, 0, 1, 0],
      [1, 1, 0, 1],
    ]);
  });

  it('has no receipts read where the header shows that no contract of the rollup logged anything', async () => {
    const { order, anchor } = await start();
    l1.mine([[{ address: `0x${'ee'.repeat(20)}`, topics: [], data: '0x' }]]);
    anchor(l1.mine([[l1.deposit(ALICE, 1n)]]));
    await order.final([], [], []);
    expect(shape(order)).toEqual([
      [1, 0, 0, 0],
      [2, 0, 1, 0],
    ]);
    const read = l1.calls.filter(({ method }) => method === 'eth_getBlockReceipts').map(({ hash }) => hash);
    expect(read).toEqual([toHex(l1.head.hash)]);
  });
});

describe('the same blocks', () => {
  /** Three L1 blocks with deposits, and transactions among them. */
  const grow = async ({ order, anchor }: Following, blocks: readonly FakeL1Block[]) => {
    await order.final([transfer(0, 0)]);
    anchor(blocks[0]!);
    await order.final([transfer(0, 1)], []);
    anchor(blocks[2]!);
    await order.final([transfer(1, 0)], [], [transfer(1, 1)], []);
  };
  const mine = () => [1n, 2n, 3n].map((mint) => l1.mine([[l1.deposit(ALICE, mint)]]));

  it('come from the disk, without L1, and from nothing at another node', async () => {
    const blocks = mine();
    const directory = temporaryDirectory();
    const first = await follow(l1, { directory });
    await grow(first, blocks);
    const expected = hashes(first.order);
    const full = [1, 2, 3, 4, 5].map((number) => first.order.executor.blockAt(number));
    await first.close();
    const second = await start();
    await grow(second, blocks);
    expect(hashes(second.order)).toEqual(expected);
    await l1.stop();
    const again = await start({ directory });
    expect([1, 2, 3, 4, 5].map((number) => again.order.executor.blockAt(number))).toEqual(full);
  });

  it('go on after a restart as without one', async () => {
    const blocks = mine();
    const directory = temporaryDirectory();
    const file = followingFile(l1);
    const whole = await start();
    const sequence: Parameters<typeof soft>[0][] = [];
    const recorded = whole.order.rollup.derivation.applyFinal.bind(whole.order.rollup.derivation);
    whole.order.rollup.derivation.applyFinal = (block) => {
      sequence.push(block);
      return recorded(block);
    };
    await grow(whole, blocks);
    for (let cut = 1; cut < sequence.length; cut++) {
      for (const [from, to] of [
        [0, cut],
        [cut, sequence.length],
      ] as const) {
        const part = await follow(l1, { directory: `${directory}-${cut}`, file });
        const { derivation } = part.order.rollup;
        for (const block of sequence.slice(Math.min(from, derivation.finalHeight), to))
          await derivation.applyFinal(block);
        if (to === sequence.length) expect(hashes(part.order)).toEqual(hashes(whole.order));
        await part.close();
      }
    }
  });

  it('follow from another soft order, with other anchors', async () => {
    const [one, two] = [l1.mine([[l1.deposit(ALICE, 1n)]]), l1.mine([[l1.deposit(ALICE, 2n)]])];
    const { order, anchor } = await start();
    const direct = await start();
    for (const { order: each } of [{ order }, direct]) await each.final([transfer(0, 0)]);
    anchor(two);
    await order.soft([transfer(0, 1)], [], [transfer(0, 2)], []);
    expect(shape(order).slice(1)).toEqual([
      [1, 0, 1, 1],
      [2, 0, 1, 0],
      [2, 1, 0, 1],
    ]);
    for (const each of [{ order, anchor }, direct]) {
      each.anchor(one);
      await each.order.final([], [transfer(0, 1)], []);
    }
    expect(shape(order)).toEqual([
      [0, 1, 0, 1],
      [1, 0, 1, 0],
      [1, 1, 0, 1],
    ]);
    expect(hashes(order)).toEqual(hashes(direct.order));
  });
});

describe('an endpoint', () => {
  const field = (name: string, value: unknown) => (answer: unknown) => ({
    result: { ...(answer as object), [name]: value },
  });

  it.each<[string, FakeL1['intercept']]>([
    ['that is away', () => 'break'],
    ['that knows nothing', () => ({ result: null })],
    ['that refuses', () => ({ error: { code: -32005, message: 'too many requests' } })],
    [
      'with another header',
      (method, _, answer) => (method === 'eth_getBlockByHash' ? field('timestamp', '0x1')(answer) : undefined),
    ],
    [
      'with the header of a fork that is not known',
      (method, _, answer) => (method === 'eth_getBlockByHash' ? field('requestsHash', undefined)(answer) : undefined),
    ],
    ['without receipts', (method) => (method === 'eth_getBlockReceipts' ? { result: [] } : undefined)],
    [
      'with receipts of nonsense',
      (method) => (method === 'eth_getBlockReceipts' ? { result: [{ status: '0x1' }] } : undefined),
    ],
  ])('%s has the node wait, and say so; nothing else is derived', async (_, intercept) => {
    const metrics = createPrometheusMetrics();
    const { order, anchor, chain, log } = await start({ metrics });
    anchor(l1.mine([[l1.deposit(ALICE, 1n)]]));
    l1.intercept = intercept;
    const applied = order.final([transfer(0, 0)], []);
    const asked = l1.calls.length;
    await l1.until(() => l1.calls.length > asked + 4);
    expect(order.executor.head.number).toBe(0);
    expect(chain.trouble).toBeDefined();
    expect(log.join()).toContain('L1 cannot be read, derivation waits');
    expect(await metrics.text()).toMatch(/squad_l1_failures_total [1-9]/);
    l1.intercept = () => undefined;
    await applied;
    expect(chain.trouble).toBeUndefined();
    expect(shape(order)).toEqual([[1, 0, 1, 1]]);
  });

  it('is named by its origin alone: the rest of its address may be a secret', async () => {
    const { order, anchor, chain, log } = await start({ urls: [`${l1.url}/?key=secret`] });
    anchor(l1.mine());
    l1.intercept = () => ({ result: null });
    const applied = order.final([]);
    await l1.until(() => log.length > 0);
    expect(chain.trouble).toContain(`${l1.url} does not know`);
    expect([chain.trouble, ...log].join()).not.toContain('secret');
    l1.intercept = () => undefined;
    await applied;
  });

  it('that lies is left for the next one', async () => {
    const { order, anchor } = await start({ urls: ['http://127.0.0.1:1', l1.url] });
    anchor(l1.mine([[l1.deposit(ALICE, 1n)]]));
    await order.final([], []);
    expect(shape(order)).toEqual([[1, 0, 1, 0]]);
  });

  it('that is away does not hold up soft order, which is left to come as final; and not the end of the node', async () => {
    const { order, anchor, chain } = await start();
    await order.final([transfer(0, 0)]);
    anchor(l1.mine());
    l1.intercept = () => 'break';
    await order.soft([transfer(0, 1)]);
    expect(order.rollup.derivation.softHeight).toBe(1);
    const waiting = order.final([transfer(0, 1)]);
    const stopped = expect(waiting).rejects.toMatchObject({ code: 'DERIVATION_STOPPED' });
    chain.stop();
    await stopped;
  });
});

describe('anchors that cannot be', () => {
  it('of another L1 than the rollup began on, or of another number, stop derivation', async () => {
    const l1Origin = {
      number: L1_START,
      hash: `0x${'99'.repeat(32)}` as const,
      timestamp: 1,
      baseFee: '1',
      blobBaseFee: '1',
    };
    const other = await start({ file: followingFile(l1, {}, { l1Origin }) });
    other.anchor(l1.mine());
    await expect(other.order.final([])).rejects.toMatchObject({ code: 'L1_OTHER_CHAIN' });
    const { order, anchor } = await start();
    anchor({ ...l1.head, number: l1.head.number + 1 });
    await expect(order.final([])).rejects.toMatchObject({ code: 'L1_ANCHOR_WRONG' });
  });

  it('further on than MAX_L1_DISTANCE_BLOCKS stop it, too', async () => {
    const { order, anchor, chain } = await start();
    const at = (distance: number) => ({ number: L1_START + distance, hash: new Uint8Array(32), timestamp: 0 });
    const origin = genesisOrigin(order.rollup.file.op!);
    expect(await chain.has(origin, at(MAX_L1_DISTANCE_BLOCKS), 1)).toBe(false);
    expect(l1.calls).toHaveLength(1);
    anchor(at(MAX_L1_DISTANCE_BLOCKS + 1));
    await expect(order.final([])).rejects.toMatchObject({ code: 'L1_TOO_FAR' });
    expect(l1.calls).toHaveLength(1);
  });

  it('stop nothing in soft order, which may still be replaced', async () => {
    const { order, anchor } = await start();
    anchor({ ...l1.mine(), number: L1_START + 9 });
    await order.soft([]);
    anchor(l1.head);
    await order.final([], []);
    expect(shape(order)).toEqual([[1, 0, 0, 0]]);
  });
});

it('a deposit that cannot be read stops derivation: none is passed over', async () => {
  const { order, anchor } = await start();
  const deposit = l1.deposit(ALICE, 1n);
  anchor(l1.mine([[{ ...deposit, topics: [...deposit.topics.slice(0, 3), `0x${'01'.repeat(32)}`] }]]));
  await expect(order.final([])).rejects.toMatchObject({ code: 'L1_DEPOSIT_MALFORMED' });
});

it('MAX_L1_BLOCKS are held, and one more is read again', async () => {
  const { chain, order } = await start();
  const origin = genesisOrigin(order.rollup.file.op!);
  const asked = async (count: number) => {
    while (l1.blocks.length <= count) l1.mine([[l1.deposit(ALICE, 1n)]]);
    await chain.blocksAfter(origin, l1.head, count);
    const before = l1.calls.length;
    await chain.blocksAfter(origin, l1.head, count);
    return l1.calls.length - before;
  };
  expect(await asked(MAX_L1_BLOCKS)).toBe(0);
  expect(await asked(MAX_L1_BLOCKS + 1)).toBe(MAX_L1_BLOCKS + 1);
});

it('a rollup that follows L1 needs an endpoint', async () => {
  await expect(openRollup(followingFile(l1), temporaryDirectory())).rejects.toMatchObject({ code: 'L1_RPC_MISSING' });
});

it('the blob base fee follows L1’s schedule', () => {
  const schedule = [
    { time: 0, baseFeeUpdateFraction: 3_338_477 },
    { time: 100, baseFeeUpdateFraction: 5_007_716 },
  ];
  // go-ethereum, consensus/misc/eip4844/eip4844_test.go (TestCalcBlobFee), of Cancun.
  for (const [excess, fee] of [
    [0n, 1n],
    [2_314_057n, 1n],
    [2_314_058n, 2n],
    [10n * 1024n * 1024n, 23n],
  ] as const) {
    expect(blobBaseFee(schedule, 99n, excess)).toBe(fee);
  }
  expect(blobBaseFee(schedule, 100n, 10n * 1024n * 1024n)).toBe(8n);
  expect(blobBaseFee(schedule, 100n, undefined)).toBe(1n);
});
