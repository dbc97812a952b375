/** Sequencers from epoch to epoch (R22): nothing lost, one order, whoever validates. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { verifyHandOver } from '@squad/crypto';
import type { StoredBlock } from '@squad/storage';
import { Block, encodeValidatorMessage, epochOfHeight, lastHeightOf, toHex, validatorSetHash } from '@squad/types';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { readCheckpoint } from '../src/checkpoint.ts';
import { CHECKPOINT_FORMAT, type CheckpointFile } from '../src/checkpoint-file.ts';
import { Lane } from '../src/lane.ts';
import { genesisSchedule, type ValidatorSetSource } from '../src/validator-sets.ts';
import {
  Cluster,
  type ClusterOptions,
  describeMember,
  expectOneOrder,
  hold,
  ROLLUP,
  sealBatch,
  TestNode,
  transaction,
  until,
} from './support.ts';

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

describe('what is said of another epoch', () => {
  it('acknowledges nothing: places in its lanes are other places', async () => {
    cluster = new Cluster();
    const [node] = cluster.nodes as [TestNode];
    await node.start();
    const acknowledge = (epoch: number) =>
      node.sequencer.handlers.onFrame(
        1,
        'consensus',
        encodeValidatorMessage({
          type: 'acknowledgements',
          epoch,
          acknowledgements: [{ author: node.index, seq: 7, digest: new Uint8Array(32) }],
        }),
      );
    acknowledge(1);
    expect(node.sequencer.lanes.ownAcknowledgedBy(1)).toBe(0);
    acknowledge(0);
    expect(node.sequencer.lanes.ownAcknowledgedBy(1)).toBe(8);
    expect(node.journal.blamed).toEqual([]);
  });

  it('blames nobody for a batch whose turn comes when the epoch is over: its sender has another place now', async () => {
    const nodes = await running();
    const [node] = nodes as [TestNode];
    const sending = sendUntil(nodes, 1);
    const { batch } = sealBatch(cluster.genesis, 2, {}, undefined, { epoch: 1 });
    const frame = encodeValidatorMessage({ type: 'batch', batch });
    // One waits at every moment, so also at that one.
    while (node.sequencer.epoch === 0) {
      node.sequencer.handlers.onFrame(1, 'data', frame);
      await setImmediate();
    }
    await sending;
    expect(node.journal.blamed).toEqual([]);
  });
});

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

  it('keep in mind over a restart what one who left has to give away, until others have ordered it', async () => {
    const schedule = [{ fromEpoch: 1, members: members(0, 1, 2, 4) }];
    cluster = new Cluster({ epochLengthBlocks: LENGTH, others: 1, schedule });
    const { nodes } = cluster;
    const [a, , , leaves] = nodes as [TestNode, TestNode, TestNode, TestNode];
    // It seals nothing before the epoch is over, and nobody hears what it gives away.
    vi.spyOn(Lane.prototype, 'isWorthSealing', 'get').mockReturnValue(false);
    onTestFinished(() => void vi.restoreAllMocks());
    leaves.batchAgeMs = 3_600_000;
    const startUnheard = async () => {
      await leaves.open();
      vi.spyOn(leaves.network, 'publish').mockResolvedValue(0);
      await leaves.sequencer.start(leaves.network, leaves.feed);
      await leaves.network.start();
    };
    await startUnheard();
    await cluster.start([0, 1, 2, 4]);
    const one = transaction(3, 0);
    const [outcome] = await leaves.submit([one]);
    if (!outcome!.accepted) throw new Error(outcome!.rejection.message);
    const { hash } = outcome!;
    await leaves.crash();
    await startUnheard();
    expect(leaves.sequencer.self).toBeUndefined();
    expect(leaves.sequencer.transactions.status(hash)).toEqual({ status: 'pending', rollupId: ROLLUP });
    await leaves.crash();
    await leaves.start();
    await hold([a], [toHex(one)]);
    await until('it to be forgotten', () => leaves.sequencer.transactions.status(hash) === undefined);
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

describe('a validator that joins when all of the first set are gone', () => {
  it('gets the epochs that it missed from those of now, and votes', async () => {
    const members = (...keys: number[]) => keys.map((key) => ({ key }));
    cluster = new Cluster({
      epochLengthBlocks: LENGTH,
      others: 4,
      schedule: [
        { fromEpoch: 1, members: members(0, 1, 4, 5) },
        { fromEpoch: 2, members: members(4, 5, 6, 7) },
      ],
    });
    const [d, e, f, joins] = cluster.nodes.slice(4) as [TestNode, TestNode, TestNode, TestNode];
    await cluster.start([0, 1, 2, 3, 4, 5, 6]);
    await reach([d, e, f], 2);
    // What only those who leave have is not theirs yet.
    await until('them to have all bodies', () =>
      [d, e, f].every(({ sequencer }) => sequencer.notReadyReasons().length === 0),
    );
    for (const gone of cluster.nodes.slice(0, 4)) await gone.stop();
    await joins.start();
    await until('it to be ready', () => joins.sequencer.notReadyReasons().length === 0 && joins.sequencer.epoch >= 2);
    expect(joins.sequencer.self).toBe(3);
    // It is needed now.
    await d.crash();
    await expectOnceAmong([e, f, joins], joins.sequencer.epoch + 1);
    for (const node of [e, f, joins]) expect(node.journal.blamed).toEqual([]);
  });
});

describe('a schedule that changes', () => {
  it('while the node starts does not reach the core before its start', async () => {
    cluster = new Cluster({ epochLengthBlocks: LENGTH, validators: 1 });
    const [node] = cluster.nodes as [TestNode];
    let told = () => {};
    node.validatorSets = Object.assign(genesisSchedule(cluster.genesis), {
      onChange: (callback: () => void) => {
        told = callback;
      },
    });
    await node.open();
    const steps = vi.spyOn(node.sequencer.core, 'step');
    told();
    await node.sequencer.start(node.network, node.feed);
    await node.network.start();
    told();
    await reach([node], 1);
    expect(steps.mock.calls.slice(0, 2).map(([, input]) => input.type)).toEqual(['start', 'tick']);
    expect([node.failures, node.journal.errors]).toEqual([[], []]);
  });
});

describe('operators that disagree on the next set', () => {
  /** What one operator's file says of every later epoch, by the keys of who is to validate; it may change. */
  function scheduleOf(...keys: number[]) {
    let validators = keys.map((key) => describeMember({ key }));
    let told = () => {};
    const source: ValidatorSetSource = Object.assign(genesisSchedule(cluster.genesis), {
      setFrom: () => validators,
      onChange: (callback: () => void) => {
        told = callback;
      },
    });
    const change = (...others: number[]) => {
      validators = others.map((key) => describeMember({ key }));
      told();
    };
    return { source, change };
  }
  const heldUp = ({ sequencer }: TestNode) =>
    sequencer.notReadyReasons().find((reason) => /^epoch \d+ cannot end: .*--validator-schedule/.test(reason));

  it('are told so by readiness, which names them, until a quorum agrees', async () => {
    cluster = new Cluster({ epochLengthBlocks: LENGTH });
    const schedules = [scheduleOf(0, 1, 2, 3), scheduleOf(0, 1, 2, 3), scheduleOf(0, 1, 2), scheduleOf(0, 1, 3)];
    for (const [index, node] of cluster.nodes.entries()) node.validatorSets = schedules[index]!.source;
    await cluster.start();
    const { nodes } = cluster;
    await until('all to be told', () => nodes.every((node) => heldUp(node) !== undefined));
    expect(nodes.map(({ sequencer }) => sequencer.epoch)).toEqual([0, 0, 0, 0]);
    expect(heldUp(nodes[0]!)).toMatch(/: validator-(2, validator-3|3, validator-2) named/);
    schedules[2]!.change(0, 1, 2, 3);
    await reach(nodes, 1);
    await until('all to be ready', () => nodes.every(({ sequencer }) => sequencer.notReadyReasons().length === 0));
    for (const node of nodes) expect([node.journal.blamed, node.failures]).toEqual([[], []]);
  });

  it('are no matter for readiness where a quorum agrees', async () => {
    cluster = new Cluster({ epochLengthBlocks: LENGTH });
    const [a, , , d] = cluster.nodes as [TestNode, TestNode, TestNode, TestNode];
    d.validatorSets = scheduleOf(0, 1, 2).source;
    const reasons: string[][] = [];
    vi.spyOn(a.journal, 'warn').mockImplementation(() => void reasons.push(a.sequencer.notReadyReasons()));
    await cluster.start();
    await until('the other set to be named', () => reasons.length > 0);
    expect(reasons[0]).toEqual([]);
  });
});

describe('a node that begins at a checkpoint', () => {
  /** As `squad checkpoint` writes it, of a block of an epoch from the given one on, some blocks before its end. */
  async function checkpointOf(node: TestNode, epoch: number): Promise<CheckpointFile> {
    const { store, sequencer } = node;
    const ofEpoch = async (height: number) => {
      const stored = await store.readBlock(height);
      const block = stored && Block.deserialize(stored.block);
      return block && block.header.epoch >= epoch && height % LENGTH !== 0 && stored.certificate ? stored : undefined;
    };
    let found: StoredBlock | undefined;
    await until('a block with a finalization of its own', async () => {
      for (let height = node.height; !found && height > node.height - LENGTH; height--) found = await ofEpoch(height);
      return found !== undefined;
    });
    const { height, hash, block, certificate } = found!;
    const before = Array.from({ length: epochOfHeight(height, LENGTH) }, (_, over) => over);
    const handOvers = await Promise.all(before.map(async (over) => toHex((await sequencer.handOvers.encoded(over))!)));
    const boundary = await store.readBlock(lastHeightOf(before.at(-1)!, LENGTH));
    return {
      format: CHECKPOINT_FORMAT,
      networkId: toHex(cluster.genesis.networkId),
      height,
      blockHash: hash as CheckpointFile['blockHash'],
      block: toHex(block),
      certificate: toHex(certificate!),
      handOvers,
      boundaryBlock: toHex(boundary!.block),
    };
  }

  it('of a later epoch follows from there, over the next ends and a crash, whoever validated before', async () => {
    const members = [1, 2, 3, 4].map((key) => ({ key }));
    const nodes = await running({ others: 1, schedule: [{ fromEpoch: 1, members }] });
    const [, a] = nodes as [TestNode, TestNode];
    await reach(nodes, 2);
    const directory = await mkdtemp(join(tmpdir(), 'squad-checkpoint-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    const path = join(directory, 'checkpoint.json');
    const file = await checkpointOf(a, 2);
    await writeFile(path, JSON.stringify(file));
    const observer = new TestNode(cluster, 9);
    cluster.nodes.push(observer);
    observer.checkpoint = await readCheckpoint(path, cluster.genesis);
    await observer.start();
    expect(observer.sequencer.epoch).toBeGreaterThanOrEqual(2);
    expect(await observer.store.readBlock(file.height - 1)).toBeUndefined();
    const follow = async () => {
      const epoch = observer.sequencer.epoch + 1;
      await until('the next epoch', () => observer.sequencer.epoch >= epoch);
      await until('it to be ready', () => observer.sequencer.notReadyReasons().length === 0);
      expect(await observer.hashes(file.height)).toEqual(await a.hashes(file.height, observer.height));
    };
    await follow();
    await observer.crash();
    await observer.start();
    await follow();
    // What it was given it can give on: also what it did not follow itself.
    expect(toHex((await observer.sequencer.handOvers.encoded(0))!)).toBe(file.handOvers![0]);
    for (const node of cluster.nodes) expect([node.journal.blamed, node.failures]).toEqual([[], []]);
  });
});
