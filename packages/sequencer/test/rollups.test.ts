/** Many rollups in one set: each gets its own data alone, and one that floods delays the others by no more than their turns. */

import { createVerifier, type ProvenBlock } from '@squad/client';
import { streamPair } from '@squad/client/testing';
import { createVoteScheme } from '@squad/crypto';
import { blstBls, keccak256, sha256 } from '@squad/crypto/node';
import {
  blockHashHex,
  bodyTransactions,
  decodeBatch,
  decodeFeedMessage,
  encodeFeedMessage,
  FeedBlock,
  FeedStage,
  type Genesis,
  type GenesisRollup,
  MAX_TRANSACTION_BYTES,
  toHex,
} from '@squad/types';
import { afterEach, expect, it } from 'vitest';
import { MAX_LANE_BYTES_IN_FLIGHT } from '../src/lane.ts';
import type { LanePlaces } from '../src/rpc/api.ts';
import { feeMarket } from './admission-support.ts';
import { Cluster, expectOneOrder, hold, type TestNode, transaction, until } from './support.ts';

const COUNT = 16;
const HEAVY = 902;
/** Half of them are EVM rollups. */
const rollups: readonly GenesisRollup[] = Array.from({ length: COUNT }, (_, i) => ({
  rollupId: 901 + i,
  kind: i % 2 === 0 ? 'evm' : 'opaque',
}));

let cluster: Cluster;
afterEach(() => cluster.close());

/** What a rollup node reads of one sequencer's feed, as it comes. */
class Follower {
  readonly rollupId: number;
  readonly posts: FeedBlock[] = [];
  /** Of all that came but the heads that are told now and then. */
  bytes = 0;
  /** The last of the final blocks that are here without a gap. */
  height = 0;
  readonly #finals = new Set<number>();

  constructor(node: TestNode, rollupId: number) {
    this.rollupId = rollupId;
    const [theirs, ours] = streamPair();
    node.feed.onStream(theirs);
    void (async () => {
      await ours.send(encodeFeedMessage({ type: 'subscribe', rollupId, fromHeight: 1 }));
      for await (const frame of ours.frames()) {
        const message = decodeFeedMessage(frame);
        if (!message.ok) throw new Error(message.error.reason);
        if (message.value.type === 'head') continue;
        this.bytes += frame.length;
        if (message.value.type === 'block') this.posts.push(message.value.block);
        if (message.value.type === 'batch') this.posts.at(-1)!.batches.push(message.value.batch);
        const { block, stage } = this.posts.at(-1)!;
        if (stage === FeedStage.final) this.#finals.add(block.header.height);
        while (this.#finals.has(this.height + 1)) this.height++;
        await ours.send(encodeFeedMessage({ type: 'acknowledge', height: this.height }));
      }
    })().catch(() => {});
  }

  /** The batches that came, each encoded. */
  get batches(): Uint8Array[] {
    return this.posts.flatMap(({ batches }) => batches);
  }

  /** Final blocks, proven as a rollup node proves them, bodies and completeness included. */
  proven({ networkId, file, validatorSet }: Genesis): ProvenBlock[] {
    const { genesisTimeMs, epochLengthBlocks } = file;
    const about = { networkId, genesisTimeMs, epochLengthBlocks, validatorSet, sha256, rollupId: this.rollupId };
    const verifier = createVerifier({ ...about, scheme: createVoteScheme(blstBls, validatorSet) });
    const withBodies = new Map<string, readonly Uint8Array[]>();
    for (const { block, batches, bodiesOmitted } of this.posts) {
      if (bodiesOmitted === 0) withBodies.set(blockHashHex(block.header), batches);
    }
    const finals = new Map(
      this.posts.filter(({ stage }) => stage === FeedStage.final).map((post) => [post.block.header.height, post]),
    );
    const proven: ProvenBlock[] = [];
    let known = verifier.genesis;
    for (let height = 1; height <= this.height; height++) {
      const post = finals.get(height)!;
      const batches = [...withBodies.get(blockHashHex(post.block.header))!];
      const block = verifier.verifyFeedBlock({ ...post, bodiesOmitted: 0, batches }, known);
      if (!block.ok) throw new Error(block.error.message);
      known = { height, hash: block.value.hash };
      proven.push(block.value);
    }
    return proven;
  }
}

it('gives each of 16 rollups its own data and no other’s, and its turn beside one that floods', async () => {
  cluster = new Cluster({ rollups });
  await cluster.start();
  const [a] = cluster.nodes as [TestNode];
  const followers = rollups.map(({ rollupId }, i) => new Follower(cluster.nodes[i % 4]!, rollupId));
  const sent = new Map<number, string[]>(rollups.map(({ rollupId }) => [rollupId, []]));
  const submit = async (rollupId: number, raw: Uint8Array) => {
    sent.get(rollupId)!.push(toHex(raw));
    let places: readonly LanePlaces[] = [];
    const [outcome] = await a.sequencer.submit(rollupId, [raw], (placed) => {
      places = placed;
    });
    expect(outcome).toMatchObject({ accepted: true });
    return places[0]!;
  };

  const onItsWay = MAX_LANE_BYTES_IN_FLIGHT / MAX_TRANSACTION_BYTES;
  const lights = await Promise.all(
    rollups
      .filter(({ rollupId }) => rollupId !== HEAVY)
      .map(async ({ rollupId, kind }, i) => ({
        rollupId,
        raw: kind === 'evm' ? await feeMarket({ chainId: rollupId }) : transaction(1, i),
      })),
  );
  // Much more than is ever on its way waits in one lane, and nothing of it gets through …
  await until('the sequencer to be ready', () => a.sequencer.notReadyReasons().length === 0);
  cluster.hub.loss = 1;
  let floodPlaced = 0;
  const flood = Array.from({ length: 3 * onItsWay }, async (_, i) => {
    await submit(HEAVY, transaction(0, i, MAX_TRANSACTION_BYTES));
    floodPlaced++;
  });
  await until('the flood to fill the way', () => floodPlaced === onItsWay);
  // … when of each of the others one comes.
  const placing = Promise.all(lights.map(({ rollupId, raw }) => submit(rollupId, raw)));
  await until('all to wait', () =>
    lights.every(({ raw }) => a.sequencer.transactions.isWaiting(toHex(keccak256(raw)))),
  );
  expect(floodPlaced).toBe(onItsWay);
  cluster.hub.loss = 0;
  // Behind what was on its way, each other light one, and one batch of the flood's.
  const places = await placing;
  expect(Math.max(...places.map(({ seq }) => seq))).toBeLessThanOrEqual(onItsWay + lights.length);
  await Promise.all(flood);
  await hold(cluster.nodes, [...sent.values()].flat());
  await expectOneOrder(cluster.nodes);

  const { height } = a;
  await until('all feeds to have all', () => followers.every((follower) => follower.height >= height));
  for (const follower of followers) {
    const { rollupId, posts, batches, bytes } = follower;
    const blocks = follower.proven(cluster.genesis);
    const transactions = blocks.flatMap((block) => block.batches.flatMap(({ body }) => bodyTransactions(body)));
    expect(transactions.map(toHex)).toEqual(sent.get(rollupId));
    // Nothing else came: headers, refs and certificates, and batches of its own.
    for (const batch of batches) {
      const decoded = decodeBatch(batch);
      expect(decoded.ok && decoded.value.signed.header.rollupId).toBe(rollupId);
    }
    const bare = sum(posts.map((post) => 1 + FeedBlock.serialize({ ...post, batches: [] }).length));
    const own = sum(batches.map((batch) => batch.length));
    expect(bytes).toBeGreaterThanOrEqual(bare + own);
    expect(bytes).toBeLessThanOrEqual(bare + own + 4 * batches.length);
    if (rollupId === HEAVY) expect(own).toBeGreaterThan(flood.length * MAX_TRANSACTION_BYTES);
    else expect(own).toBeLessThan(1_000);
  }
});

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
