/** Whole sequencers together: one order everywhere, crashes, stops, long absences. */

import type { Network } from '@squad/network';
import { MemoryLog } from '@squad/storage';
import { Block, bodyTransactions, Certificate, decodeBatch, toHex } from '@squad/types';
import { afterEach, describe, expect, it } from 'vitest';
import { Cluster, expectOneOrder, hold, OTHER_ROLLUP, ROLLUP, TestNode, transaction, until } from './support.ts';

let cluster: Cluster;
afterEach(() => cluster.close());

describe('four sequencers', () => {
  it('order what was sent to each of them, once, in one order everywhere', async () => {
    cluster = new Cluster();
    await cluster.start();
    const sent: string[] = [];
    for (const [index, node] of cluster.nodes.entries()) {
      const transactions = Array.from({ length: 100 }, (_, number) => transaction(index, number));
      const outcomes = await node.submit(transactions, index % 2 === 0 ? ROLLUP : OTHER_ROLLUP);
      expect(outcomes.every(({ accepted }) => accepted)).toBe(true);
      sent.push(...transactions.map(toHex));
    }
    await hold(cluster.nodes, sent);
    await expectOneOrder(cluster.nodes);
    const orders = await Promise.all(cluster.nodes.map((node) => node.transactions()));
    for (const order of orders) {
      expect([...order].sort()).toEqual([...sent].sort());
      // What came through one door stays in the order in which it came.
      for (const index of cluster.nodes.keys()) {
        const lane = sent.slice(100 * index, 100 * (index + 1));
        expect(order.filter((one) => lane.includes(one))).toEqual(lane);
      }
    }
    for (const node of cluster.nodes) expect(node.journal.blamed).toEqual([]);
  });

  it('go on after one crashed, which catches up and votes again', async () => {
    cluster = new Cluster();
    await cluster.start();
    const [a, b, c, d] = cluster.nodes as [TestNode, TestNode, TestNode, TestNode];
    await d.submit([transaction(3, 0)]);
    await d.crash();
    await a.submit([transaction(0, 1)]);
    await hold([a, b, c], [toHex(transaction(0, 1))]);
    await d.start();
    // What it promised before the crash is still ordered.
    await hold(cluster.nodes, [toHex(transaction(3, 0)), toHex(transaction(0, 1))]);
    // Without another one, the restarted one is needed for a quorum.
    await a.crash();
    await b.submit([transaction(1, 2)]);
    await hold([b, c, d], [toHex(transaction(1, 2))]);
    await expectOneOrder([b, c, d]);
    expect(d.sequencer.notReadyReasons()).toEqual([]);
  });

  it('go on after all of them crashed at once', async () => {
    cluster = new Cluster();
    await cluster.start();
    for (const node of cluster.nodes) await node.submit([transaction(node.index, 0)]);
    await Promise.all(cluster.nodes.map((node) => node.crash()));
    await cluster.start();
    await cluster.nodes[2]!.submit([transaction(2, 1)]);
    const promised = [...cluster.nodes.map(({ index }) => transaction(index, 0)), transaction(2, 1)].map(toHex);
    await hold(cluster.nodes, promised);
    await expectOneOrder(cluster.nodes);
  });

  it('go on after all of them were stopped, more than 64 blocks after the last checkpoint', async () => {
    cluster = new Cluster({ heartbeatMs: 1 });
    await cluster.start();
    await until('80 blocks everywhere', () => cluster.nodes.every(({ height }) => height > 80));
    await Promise.all(cluster.nodes.map((node) => node.stop()));
    await cluster.start();
    await cluster.nodes[1]!.submit([transaction(1, 0)]);
    await hold(cluster.nodes, [toHex(transaction(1, 0))]);
    await expectOneOrder(cluster.nodes);
  });

  it('let one that was away for 300 blocks catch up by ranges, bodies included', async () => {
    cluster = new Cluster({ heartbeatMs: 1 });
    await cluster.start();
    const [a, b, c, d] = cluster.nodes as [TestNode, TestNode, TestNode, TestNode];
    await until('a few blocks', () => d.height > 3);
    await d.stop();
    const left = a.height;
    const sent: string[] = [];
    for (let height = left; height < left + 300; height += 10) {
      await a.submit([transaction(0, height)]);
      sent.push(toHex(transaction(0, height)));
      await until('ten more blocks', () => a.height >= height + 10);
    }
    await d.start();
    await hold([a, b, c, d], sent);
    expect(d.sequencer.bodies.complete).toBeGreaterThan(left + 299);
    await c.crash();
    await d.submit([transaction(3, 1)]);
    await hold([a, b, d], [toHex(transaction(3, 1))]);
    await expectOneOrder([a, b, d]);
  });
});

describe('sequencers that prune', () => {
  const KEPT = 20;
  const AWAY = 60;
  /** Bytes: a few blocks with their batches. */
  const SEGMENT = 4 * 1024;
  const OBSERVER = 9;

  /** Small log segments; an epoch's end is a checkpoint, which pruning needs. */
  function pruning(): TestNode[] {
    cluster = new Cluster({ heartbeatMs: 1, epochLengthBlocks: 16 });
    for (const node of cluster.nodes) {
      node.log = new MemoryLog({ segmentBytes: SEGMENT });
      node.keepBodies = KEPT;
    }
    return cluster.nodes;
  }

  /** Orders something in every few blocks; returns what, in hex. */
  async function orderTo(node: TestNode, height: number): Promise<string[]> {
    const sent: string[] = [];
    while (node.height < height) {
      const from = node.height;
      const one = transaction(node.index, from, 256);
      const [outcome] = await node.submit([one]);
      if (outcome!.accepted) sent.push(toHex(one));
      await until('some more blocks', () => node.height > from + 2);
    }
    return sent;
  }

  /** Heights whose bodies are not held, of blocks that order something. */
  async function lacking({ store, height }: TestNode): Promise<number[]> {
    const blocks = await store.readBlocks(1, height);
    const heights: number[] = [];
    for (const { height: at, block } of blocks) {
      const digests = Block.deserialize(block).refs.map(({ digest }) => toHex(digest));
      if ((await store.missingBatches(digests)).length > 0) heights.push(at);
    }
    return heights;
  }

  /** Its last `KEPT` blocks are whole, and none far below is kept. */
  async function expectPruned(node: TestNode): Promise<void> {
    const { complete, from } = node.sequencer.bodies;
    expect([from > 1, from <= node.height - KEPT + 1]).toEqual([true, true]);
    expect((await lacking(node)).filter((at) => at >= from && at <= complete)).toEqual([]);
  }

  it('keep the bodies of the last blocks, order on, and come back from a crash', async () => {
    const nodes = pruning();
    await cluster.start();
    const [a] = nodes as [TestNode];
    const sent = await orderTo(a, AWAY);
    await until('all to have pruned', () => nodes.every(({ sequencer }) => sequencer.bodies.from > AWAY / 2));
    await until('segments to be gone', () => nodes.every(({ log }) => log.start > 0));
    await expectPruned(a);
    expect((await lacking(a)).length).toBeGreaterThan(0);
    expect(await a.store.readBlock(1)).toBeDefined();
    for (const node of nodes) await node.crash();
    await cluster.start();
    const last = transaction(1, 9_999);
    await nodes[1]!.submit([last]);
    await until('what was sent then', async () =>
      (await transactionsFrom(a, a.sequencer.bodies.from)).has(toHex(last)),
    );
    await expectOneOrder(nodes);
    await expectPruned(a);
    expect(sent.length).toBeGreaterThan(10);
  });

  it('take back one that was away for longer than bodies are kept: it does without the old ones, and votes', async () => {
    const nodes = pruning();
    await cluster.start();
    const [a, b, c, d] = nodes as [TestNode, TestNode, TestNode, TestNode];
    await until('a few blocks', () => d.height > 3);
    await d.stop();
    await orderTo(a, AWAY);
    await until('the others to have pruned', () =>
      [a, b, c].every(({ sequencer }) => sequencer.bodies.from > AWAY / 2),
    );
    await until('segments to be gone', () => [a, b, c].every(({ log }) => log.start > 0));
    await d.start();
    await until('it to be ready', () => d.sequencer.notReadyReasons().length === 0);
    await expectPruned(d);
    // Without another one it is needed for a quorum.
    await c.crash();
    const last = transaction(3, 9_999);
    await d.submit([last]);
    for (const node of [a, b, d]) {
      await until('what it took', async () =>
        (await transactionsFrom(node, node.sequencer.bodies.from)).has(toHex(last)),
      );
    }
    await expectOneOrder([a, b, d]);
  });

  it('are enough for an observer that prunes, and one that keeps all says what it lacks and follows', async () => {
    const nodes = pruning();
    await cluster.start();
    const [a] = nodes as [TestNode];
    await orderTo(a, AWAY);
    await until('all to have pruned', () => nodes.every(({ log }) => log.start > 0));
    const [prunes, keepsAll] = [OBSERVER, OBSERVER + 1].map((index) => new TestNode(cluster, index));
    prunes!.keepBodies = KEPT;
    cluster.nodes.push(prunes!, keepsAll!);
    await prunes!.start();
    await keepsAll!.start();
    await until('the observer to be ready', () => prunes!.sequencer.notReadyReasons().length === 0);
    await expectPruned(prunes!);
    await until('the other to say what it lacks', () =>
      keepsAll!.sequencer.notReadyReasons().some((reason) => /those of block \d+: .* --keep-bodies/.test(reason)),
    );
    expect(keepsAll!.journal.warnings.at(-1)?.message).toMatch(/--keep-bodies/);
    const { height } = a;
    await until('it to follow', () => keepsAll!.height > height + 10);
    await keepsAll!.stop();
    keepsAll!.keepBodies = KEPT;
    await keepsAll!.start();
    await until('it to be ready with the option', () => keepsAll!.sequencer.notReadyReasons().length === 0);
  });
});

/** Transactions of final blocks from a height on, in hex. */
async function transactionsFrom({ store, sequencer }: TestNode, from: number): Promise<Set<string>> {
  const { complete } = sequencer.bodies;
  const blocks = await store.readBlocks(from, complete - from + 1);
  const digests = blocks.flatMap(({ block }) => Block.deserialize(block).refs.map(({ digest }) => toHex(digest)));
  const batches = (await store.readBatches(digests)).map((bytes) => decodeBatch(bytes!));
  return new Set(batches.flatMap((batch) => (batch.ok ? bodyTransactions(batch.value.body).map(toHex) : [])));
}

describe('a node that is no validator', () => {
  const OBSERVER = 9;

  async function withObserver(): Promise<TestNode> {
    const observer = new TestNode(cluster, OBSERVER);
    cluster.nodes.push(observer);
    await observer.start();
    return observer;
  }

  it('takes in what is final from genesis on, is ready, follows the head, and takes no transactions', async () => {
    cluster = new Cluster({ heartbeatMs: 1 });
    await cluster.start();
    const [a] = cluster.nodes as [TestNode];
    const sent: string[] = [];
    for (let number = 0; number < 30; number++) {
      await a.submit([transaction(0, number)]);
      sent.push(toHex(transaction(0, number)));
      await until('ten more blocks', () => a.height >= 10 * number);
    }
    const observer = await withObserver();
    expect(observer.sequencer.notReadyReasons()).not.toEqual([]);
    await hold([observer], sent);
    await until('the observer to be ready', () => observer.sequencer.notReadyReasons().length === 0);
    await a.submit([transaction(0, 1_000)]);
    await hold([observer], [toHex(transaction(0, 1_000))]);
    await expectOneOrder(cluster.nodes);
    // Whoever asks is told to ask somebody else, whatever it has; no waiting helps.
    const refusal = {
      accepted: false,
      rejection: { code: 'NOT_READY', message: expect.stringContaining('takes no transactions: it follows') },
    };
    const [refused] = await observer.submit([transaction(9, 0)]);
    const member = { rollupId: ROLLUP, transaction: transaction(9, 1) };
    const bundle = await observer.sequencer.submitBundle([member]);
    expect(refused).toMatchObject(refusal);
    expect(bundle).toMatchObject({ ...refusal, index: undefined });
    for (const node of cluster.nodes) expect(node.journal.blamed).toEqual([]);
  });

  it('goes on after a crash where it was, and serves others what it holds', async () => {
    cluster = new Cluster({ heartbeatMs: 1 });
    await cluster.start();
    const [a] = cluster.nodes as [TestNode];
    const observer = await withObserver();
    await a.submit([transaction(0, 0)]);
    await hold([observer], [toHex(transaction(0, 0))]);
    await observer.crash();
    await a.submit([transaction(0, 1)]);
    await observer.start();
    await hold([observer], [transaction(0, 0), transaction(0, 1)].map(toHex));
    await expectOneOrder(cluster.nodes);
  });

  it('begins at a block that is trusted, holds what came after it, and goes on from there after a crash', async () => {
    cluster = new Cluster({ heartbeatMs: 1 });
    await cluster.start();
    const [a] = cluster.nodes as [TestNode];
    await a.submit([transaction(0, 0)]);
    await hold([a], [toHex(transaction(0, 0))]);
    await until('a block with a certificate', () => a.height > 20);
    const at = (await a.store.nextFinalizationAtOrAfter(20))!;
    const checkpoint = {
      block: Block.deserialize((await a.store.readBlock(at.height))!.block),
      certificate: Certificate.deserialize(at.certificate) as Certificate,
      validatorSet: cluster.genesis.validatorSet,
      handOvers: [],
      startedBy: undefined,
    };
    await a.submit([transaction(0, 1)]);
    const observer = new TestNode(cluster, OBSERVER);
    observer.checkpoint = checkpoint;
    cluster.nodes.push(observer);
    await observer.start();
    const holds = (number: number) => async () => {
      const { complete } = observer.sequencer.bodies;
      if (complete <= at.height) return false;
      const blocks = await observer.store.readBlocks(at.height + 1, complete - at.height);
      const digests = blocks.flatMap(({ block }) => Block.deserialize(block).refs.map(({ digest }) => toHex(digest)));
      const batches = (await observer.store.readBatches(digests)).map((bytes) => decodeBatch(bytes!));
      const held = batches.flatMap((batch) => (batch.ok ? bodyTransactions(batch.value.body).map(toHex) : []));
      return held.includes(toHex(transaction(0, number)));
    };
    await until('what came after it', holds(1));
    await until('the observer to be ready', () => observer.sequencer.notReadyReasons().length === 0);
    expect(await observer.store.readBlock(at.height - 1)).toBeUndefined();
    await observer.crash();
    await a.submit([transaction(0, 2)]);
    await observer.start();
    await until('what came after the crash', holds(2));
    expect(await observer.hashes(at.height)).toEqual(await a.hashes(at.height, observer.height));
    for (const node of cluster.nodes) expect([node.journal.blamed, node.failures]).toEqual([[], []]);
  });

  it('drops validators that lie about what is final, and goes on with the others', async () => {
    cluster = new Cluster({ heartbeatMs: 1 });
    await cluster.start();
    const [a] = cluster.nodes as [TestNode];
    await until('some blocks', () => a.height > 40);
    const observer = new TestNode(cluster, OBSERVER);
    await observer.open();
    const { network } = observer;
    const lied = new Set<number>();
    const lying = (to: number, answer: Uint8Array) => {
      lied.add(to);
      return to === 1 ? answer.map((byte, i) => (i === answer.length - 1 ? byte ^ 1 : byte)) : Uint8Array.of(1, 2);
    };
    const changed: Partial<Network> = {
      request: async (to, protocol, request) => {
        const answer = await network.request(to, protocol, request);
        return protocol === 'range' && (to === 1 || to === 2) ? lying(to, answer) : answer;
      },
      send: () => {},
    };
    const through = new Proxy<Network>(network, {
      get: (target, name) => {
        // With the network itself as receiver, whose private state a proxy has not.
        const value: unknown = Reflect.get(name in changed ? changed : target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    cluster.nodes.push(observer);
    observer.network = through;
    await observer.sequencer.start(through, observer.feed);
    await network.start();
    observer.network = network;
    const blamed = () => new Set(observer.journal.blamed.map(({ peer }) => peer));
    // An answer is judged some turns after it came.
    await until('it to have caught up', () => observer.height > 40 && lied.size === 2 && blamed().size === 2);
    expect(blamed()).toEqual(lied);
    await expectOneOrder(cluster.nodes);
  });
});
