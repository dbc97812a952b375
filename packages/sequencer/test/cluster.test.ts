/** Whole sequencers together: one order everywhere, crashes, stops, long absences. */

import { toHex } from '@squad/types';
import { afterEach, describe, expect, it } from 'vitest';
import { Cluster, expectOneOrder, hold, OTHER_ROLLUP, ROLLUP, type TestNode, transaction, until } from './support.ts';

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
