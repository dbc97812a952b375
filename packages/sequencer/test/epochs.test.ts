/** Sequencers from epoch to epoch (R22): nothing lost, one order, whoever validates. */

import { verifyHandOver } from '@squad/crypto';
import { lastHeightOf, toHex, validatorSetHash } from '@squad/types';
import { afterEach, describe, expect, it } from 'vitest';
import { Cluster, type ClusterOptions, expectOneOrder, hold, type TestNode, transaction, until } from './support.ts';

const LENGTH = 16;
let cluster: Cluster;
afterEach(() => cluster.close());

async function running(options: ClusterOptions = {}): Promise<TestNode[]> {
  cluster = new Cluster({ epochLengthBlocks: LENGTH, ...options });
  await cluster.start();
  return cluster.nodes;
}

async function reach(nodes: readonly TestNode[], epoch: number): Promise<void> {
  await until(`epoch ${epoch}`, () => nodes.every(({ sequencer }) => sequencer.epoch >= epoch));
}

/** Sends to each node in turn, again and again, until the epoch has come; returns what was accepted, in hex. */
async function sendUntil(nodes: readonly TestNode[], epoch: number, first = 0): Promise<string[]> {
  const sent: string[] = [];
  for (let number = first; nodes.some(({ sequencer }) => sequencer.epoch < epoch); number++) {
    for (const node of nodes) {
      const one = transaction(node.index, number);
      const [outcome] = await node.submit([one]);
      if (outcome!.accepted) sent.push(toHex(one));
    }
  }
  return sent;
}

async function expectOnce(nodes: readonly TestNode[], sent: readonly string[]): Promise<void> {
  await hold(nodes, sent);
  await expectOneOrder(nodes);
  for (const node of nodes) {
    expect([...(await node.transactions())].sort()).toEqual([...sent].sort());
    expect(node.journal.blamed).toEqual([]);
    expect(node.journal.errors).toEqual([]);
  }
}

describe('epochs with one set', () => {
  it('order all that is sent while they change, once, in one order everywhere', async () => {
    const nodes = await running();
    await expectOnce(nodes, await sendUntil(nodes, 4));
  });

  it('leave proofs by which anyone follows', async () => {
    const nodes = await running();
    await reach(nodes, 3);
    for (const epoch of [0, 1, 2]) {
      const [proof, other] = await Promise.all(nodes.map(({ sequencer }) => sequencer.handOvers.read(epoch)));
      const { networkId } = cluster.genesis;
      const validatorSet = { ...cluster.genesis.validatorSet, epoch };
      const context = { networkId, validatorSet, lastHeight: lastHeightOf(epoch, LENGTH), scheme: nodes[0]!.scheme };
      const judged = verifyHandOver(proof!, context);
      expect(judged).toMatchObject({ ok: true, value: { epoch: epoch + 1 } });
      expect(toHex(validatorSetHash(other!.nextValidatorSet))).toBe(toHex(validatorSetHash(proof!.nextValidatorSet)));
    }
  });

  it('keep what a node had accepted and not seen ordered when it crashed, whatever epoch it comes back in', async () => {
    const nodes = await running();
    const [a, b, c, d] = nodes as [TestNode, TestNode, TestNode, TestNode];
    await d.submit([transaction(3, 0)]);
    await d.crash();
    const sent = await sendUntil([a, b, c], 3);
    await d.start();
    await reach(nodes, 3);
    await hold(nodes, [...sent, toHex(transaction(3, 0))]);
    await expectOneOrder(nodes);
    // Without another one, the restarted one is needed for a quorum.
    await a.crash();
    const epoch = b.sequencer.epoch + 1;
    await expectOnceAmong([b, c, d], epoch);
  });

  it('go on after all crashed at once, in each of several epochs', async () => {
    const nodes = await running();
    const sent: string[] = [];
    for (let epoch = 1; epoch <= 4; epoch++) {
      sent.push(...(await sendUntil(nodes, epoch, 1_000 * epoch)));
      await Promise.all(nodes.map((node) => node.crash()));
      await cluster.start();
    }
    await hold(nodes, sent);
    await expectOneOrder(nodes);
    for (const node of nodes) expect([...(await node.transactions())].sort()).toEqual([...sent].sort());
  });
});

async function expectOnceAmong(nodes: readonly TestNode[], epoch: number): Promise<void> {
  const sent = await sendUntil(nodes, epoch, 5_000);
  await hold(nodes, sent);
  await expectOneOrder(nodes);
}

describe('epochs with other sets', () => {
  const members = (...keys: number[]) => keys.map((key) => ({ key }));

  it('go on with other weights, other places and another BLS key', async () => {
    const rotated = [{ key: 2, weight: 3 }, { key: 0 }, { key: 3, bls: 103, weight: 2 }, { key: 1 }];
    const nodes = await running({
      schedule: [
        { fromEpoch: 1, members: rotated },
        { fromEpoch: 3, members: members(1, 0, 3, 2) },
      ],
    });
    const sent = await sendUntil(nodes, 2);
    expect(nodes.map(({ sequencer }) => sequencer.self)).toEqual([1, 3, 0, 2]);
    sent.push(...(await sendUntil(nodes, 4, 1_000)));
    expect(nodes.map(({ sequencer }) => sequencer.self)).toEqual([1, 0, 3, 2]);
    await expectOnce(nodes, sent);
  });

  it('take in who joins, and lose nothing that one who leaves had accepted', async () => {
    const nodes = await running({ others: 1, schedule: [{ fromEpoch: 1, members: members(0, 1, 2, 4) }] });
    const [a, b, c, leaves, joins] = nodes as [TestNode, TestNode, TestNode, TestNode, TestNode];
    expect(joins.sequencer.self).toBeUndefined();
    const sent = await sendUntil([a, b, c, leaves], 1);
    await reach(nodes, 1);
    expect(leaves.sequencer.self).toBeUndefined();
    expect((await leaves.submit([transaction(3, 9_999)]))[0]).toMatchObject({ accepted: false });
    expect(joins.sequencer.self).toBe(3);
    sent.push(...(await sendUntil([a, b, c, joins], 2, 1_000)));
    await hold(nodes, sent);
    await expectOneOrder(nodes);
    // It is needed now.
    await a.crash();
    await expectOnceAmong([b, c, joins], 3);
  });

  it('have no node in common, and still nothing is lost', async () => {
    const nodes = await running({ others: 4, schedule: [{ fromEpoch: 1, members: members(4, 5, 6, 7) }] });
    const before = nodes.slice(0, 4);
    const after = nodes.slice(4);
    const sent = await sendUntil(before, 1);
    await reach(nodes, 1);
    sent.push(...(await sendUntil(after, 2)));
    await hold(nodes, sent);
    await expectOneOrder(nodes);
  });
});
