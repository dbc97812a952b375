/** Bundles in whole networks: all of one in one block, one after the other, whatever crashes, with a proof of each. */

import { checkpointOf, verifyBundle } from '@squad/client';
import { blstBls, keccak256 } from '@squad/crypto/node';
import {
  Block,
  bodyTransactions,
  decodeBatch,
  type GenesisRollup,
  MAX_BUNDLE_BATCHES,
  type OrderingReceipt,
  toHex,
} from '@squad/types';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { MAX_BUNDLE_BYTES } from '../src/intake.ts';
import { Lane } from '../src/lane.ts';
import { createSequencerApi } from '../src/node-api.ts';
import type { Bundle } from '../src/rpc/index.ts';
import { genesisSchedule } from '../src/validator-sets.ts';
import { Cluster, type ClusterOptions, expectOneOrder, hold, type TestNode, transaction, until } from './support.ts';

const rollups: readonly GenesisRollup[] = Array.from({ length: MAX_BUNDLE_BATCHES }, (_, i) => ({
  rollupId: 901 + i,
  kind: 'opaque',
}));
let cluster: Cluster;
afterEach(() => cluster.close());

async function running(options: ClusterOptions = {}): Promise<TestNode[]> {
  cluster = new Cluster({ rollups, ...options });
  await cluster.start();
  return cluster.nodes;
}

function bundleOf(size: number, number: number): Bundle {
  const members = Array.from({ length: size }, (_, i) => ({
    rollupId: 901 + ((number + i) % rollups.length),
    transaction: transaction(i, number),
  }));
  return members as unknown as Bundle;
}

const textOf = (bundle: Bundle) => bundle.map((member) => toHex(member.transaction));

/** For each final block, its transactions with the rollup of each. */
async function ordered({ store, sequencer }: TestNode): Promise<{ rollupId: number; transaction: string }[][]> {
  const blocks = await store.readBlocks(1, sequencer.bodies.complete);
  return Promise.all(
    blocks.map(async ({ block }) => {
      const { refs } = Block.deserialize(block);
      const batches = await store.readBatches(refs.map(({ digest }) => toHex(digest)));
      return batches.flatMap((bytes, i) => {
        const batch = decodeBatch(bytes!);
        if (!batch.ok) throw new Error(batch.error.reason);
        const { rollupId } = refs[i]!;
        return bodyTransactions(batch.value.body).map((raw) => ({ rollupId, transaction: toHex(raw) }));
      });
    }),
  );
}

/** Each bundle once, in one block, its transactions one after the other and each its rollup's. */
async function expectWhole(node: TestNode, bundles: readonly Bundle[]): Promise<void> {
  const blocks = await ordered(node);
  for (const bundle of bundles) {
    const members = bundle.map(({ rollupId, transaction: raw }) => ({ rollupId, transaction: toHex(raw) }));
    const holding = blocks.filter((block) => block.some((one) => one.transaction === members[0]!.transaction));
    expect(holding).toHaveLength(1);
    const at = holding[0]!.findIndex((one) => one.transaction === members[0]!.transaction);
    expect(holding[0]!.slice(at, at + members.length)).toEqual(members);
  }
}

it('stand in one block as a whole, of 2 to 16 rollups, when the validator that took them in crashes, with proofs', async () => {
  const nodes = await running();
  const bundles: Bundle[] = [];
  for (let size = 2; size <= MAX_BUNDLE_BATCHES; size++) {
    const node = nodes[size % nodes.length]!;
    // Others' transactions are about.
    void node.submit([transaction(99, size)], 901);
    const bundle = bundleOf(size, size);
    expect(await node.sequencer.submitBundle(bundle)).toMatchObject({ accepted: true });
    bundles.push(bundle);
    if (size % 5 !== 0) continue;
    await node.crash();
    await node.start();
  }
  await hold(nodes, bundles.flatMap(textOf));
  await expectOneOrder(nodes);
  for (const node of nodes) {
    await expectWhole(node, bundles);
    expect(node.journal.blamed).toEqual([]);
  }

  const [{ sequencer, store, network }] = nodes as [TestNode];
  const validatorSets = genesisSchedule(cluster.genesis);
  const feed = undefined as never;
  const api = createSequencerApi({
    genesis: cluster.genesis,
    validatorSets,
    sequencer,
    store,
    feed,
    network,
    version: '0',
  });
  const checkpoint = checkpointOf(cluster.genesis);
  for (const bundle of bundles) {
    const receipts: OrderingReceipt[] = [];
    for (const { transaction: raw } of bundle) {
      await until('a receipt', async () => {
        const receipt = await api.receipt(toHex(keccak256(raw)));
        if (receipt) receipts.push(receipt);
        return receipt !== undefined;
      });
    }
    const verified = verifyBundle(receipts, checkpoint, { bls: blstBls });
    if (!verified.ok) throw verified.error;
    expect(verified.value.transactions.map((one) => toHex(one.transaction))).toEqual(textOf(bundle));
    const part = verifyBundle(receipts.slice(1), checkpoint, { bls: blstBls });
    expect(!part.ok && part.error.code).toBe('BUNDLE_INCOMPLETE');
  }
});

it('stay whole from epoch to epoch, sealed anew where they were not ordered, and when all crash at once', async () => {
  const nodes = await running({ epochLengthBlocks: 16 });
  const bundles: Bundle[] = [];
  for (let epoch = 1; epoch <= 2; epoch++) {
    for (let number = 100 * epoch; nodes.some(({ sequencer }) => sequencer.epoch < epoch); number++) {
      const bundle = bundleOf(2 + (number % 15), number);
      const outcome = await nodes[number % nodes.length]!.sequencer.submitBundle(bundle);
      if (outcome.accepted) bundles.push(bundle);
    }
    await Promise.all(nodes.map((node) => node.crash()));
    await cluster.start();
  }
  await hold(nodes, bundles.flatMap(textOf));
  await expectOneOrder(nodes);
  expect(bundles.length).toBeGreaterThan(4);
  for (const node of nodes) await expectWhole(node, bundles);
});

it('are refused as a whole, with the transaction for which they are', async () => {
  const strict = rollups.map((rollup) => (rollup.rollupId === 909 ? { ...rollup, maxTransactionBytes: 100 } : rollup));
  const [a] = (await running({ rollups: strict })) as [TestNode];
  const refused = async (bundle: readonly { rollupId: number; transaction: Uint8Array }[]) => {
    const outcome = await a.sequencer.submitBundle(bundle as unknown as Bundle);
    return outcome.accepted ? undefined : [outcome.index, outcome.rejection.code];
  };
  const [one, two, three] = bundleOf(3, 7);
  expect(await refused([one, { ...two!, transaction: new Uint8Array(0) }, three!])).toEqual([1, 'TRANSACTION_EMPTY']);
  expect(await refused([one, two!, one])).toEqual([2, 'ALREADY_KNOWN']);
  const ofStrict = (bytes: number) => ({ rollupId: 909, transaction: transaction(2, 7, bytes) });
  expect(await refused([one, ofStrict(101), two!])).toEqual([1, 'TRANSACTION_TOO_LARGE']);
  const quarter = (number: number, less = 0) => ({
    rollupId: 901,
    transaction: transaction(1, number, MAX_BUNDLE_BYTES / 4 - less),
  });
  expect(await refused([quarter(1), quarter(2), quarter(3), quarter(4), one])).toEqual([0, 'BUNDLE_TOO_LARGE']);
  expect(a.sequencer.transactions.isWaiting(toHex(keccak256(one.transaction)))).toBe(false);
  expect(await refused([one, two!, three!])).toBeUndefined();
  expect(await refused([quarter(1), quarter(2), quarter(3), quarter(4)])).toBeUndefined();
  await hold(cluster.nodes, textOf([one, two!, three!] as unknown as Bundle));
});

it('of a validator that leaves the set are given up, and told of as unknown, not handed on in parts', async () => {
  const members = [0, 1, 2, 4].map((key) => ({ key }));
  const nodes = await running({ others: 1, epochLengthBlocks: 16, schedule: [{ fromEpoch: 1, members }] });
  const [a, , , leaving] = nodes as [TestNode, TestNode, TestNode, TestNode];
  // Nobody hears of it before it is out.
  const bundle = bundleOf(3, 1);
  const [first] = textOf(bundle) as [string];
  for (const other of nodes) {
    if (other !== leaving) cluster.hub.cut(leaving.network.peerId, other.network.peerId);
  }
  expect(await leaving.sequencer.submitBundle(bundle)).toMatchObject({ accepted: true });
  const single = transaction(9, 9);
  expect((await leaving.submit([single], 901))[0]).toMatchObject({ accepted: true });
  await until('the next epoch', () => a.sequencer.epoch >= 1);
  for (const other of nodes) {
    if (other !== leaving) cluster.hub.heal(leaving.network.peerId, other.network.peerId);
  }
  await hold([a], [toHex(single)]);
  expect(await a.transactions()).not.toContain(first);
  const hash = toHex(keccak256(bundle[0].transaction));
  await until('it to be forgotten', () => leaving.sequencer.transactions.status(hash) === undefined);
});

it('that wait in the lane of a validator that leaves the set are refused, to be sent elsewhere; what is handed on is accepted', async () => {
  const members = [0, 1, 2, 4].map((key) => ({ key }));
  cluster = new Cluster({ rollups, others: 1, epochLengthBlocks: 16, schedule: [{ fromEpoch: 1, members }] });
  const { nodes } = cluster;
  const [a, , , leaving] = nodes as [TestNode, TestNode, TestNode, TestNode];
  // Nothing is sealed before the epoch is over.
  leaving.batchAgeMs = 3_600_000;
  vi.spyOn(Lane.prototype, 'isWorthSealing', 'get').mockReturnValue(false);
  onTestFinished(() => void vi.restoreAllMocks());
  await cluster.start();
  const bundle = bundleOf(3, 1);
  const single = transaction(9, 9);
  const answers = [leaving.sequencer.submitBundle(bundle), leaving.submit([single], 901)] as const;
  expect(await answers[0]).toMatchObject({ accepted: false, index: undefined, rejection: { code: 'NOT_READY' } });
  expect(await answers[1]).toMatchObject([{ accepted: true }]);
  expect(leaving.sequencer.transactions.status(toHex(keccak256(bundle[0].transaction)))).toBeUndefined();
  // Whole, in the lane of another one.
  expect(await a.sequencer.submitBundle(bundle)).toMatchObject({ accepted: true });
  await hold(nodes, [toHex(single), ...textOf(bundle)]);
  await expectWhole(a, [bundle]);
});
