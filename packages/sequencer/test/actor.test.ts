/** The loop around the core: durable before visible, one sync a turn, bounded turns, an orderly end (R20). */

import { Consensus, DEFAULT_CONSENSUS_OPTIONS, type Input, type Output } from '@squad/consensus';
import { createVoteScheme } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import { MemoryLog, type NodeStore, openMemoryNodeStore, type Turn } from '@squad/storage';
import { encodeBatch, genesisBlock, genesisCertificate, toHex, VoteKind, ZERO_HASH } from '@squad/types';
import { afterEach, describe, expect, it } from 'vitest';
import {
  Actor,
  CHECKPOINT_INTERVAL_BLOCKS,
  type Effect,
  MAX_TURN_BYTES,
  MAX_WAITING_PEER_BYTES,
  type NextEpoch,
  type StoredBatch,
} from '../src/actor.ts';
import { HeldLanes } from '../src/held-lanes.ts';
import { decodeRecord } from '../src/records.ts';
import { createGenesis, keysOf, sealBatch, sealRun, until } from './support.ts';

const genesis = createGenesis(4);
const SELF = 0;

/** A store whose syncs wait until they are let go, or fail. */
class HeldStore {
  readonly turns: Turn[] = [];
  readonly checkpoints: number[] = [];
  readonly #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  readonly inner: NodeStore;
  isHeld = true;
  syncs = 0;

  constructor(inner: NodeStore) {
    this.inner = inner;
  }

  appendTurn(turn: Turn) {
    this.turns.push(turn);
    return this.inner.appendTurn(turn);
  }
  async sync() {
    this.syncs++;
    if (this.isHeld) await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    await this.inner.sync();
  }
  async checkpoint(position: number) {
    this.checkpoints.push(position);
    await this.inner.checkpoint(position);
  }
  get isSyncing() {
    return this.#waiting.length > 0;
  }
  /** Lets the sync under way, and all that come, succeed. */
  release() {
    this.isHeld = false;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }
  releaseOne() {
    this.#waiting.shift()?.resolve();
  }
  fail() {
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('the disk is gone'));
  }
}

interface Harness {
  readonly actor: Actor;
  readonly store: HeldStore;
  readonly lanes: HeldLanes;
  readonly log: MemoryLog;
  readonly inputs: Input[];
  readonly seen: string[];
  readonly failures: unknown[];
}

const actors: Actor[] = [];
afterEach(async () => {
  for (const actor of actors.splice(0)) await actor.stop();
});

/** A real core, or one that answers what the test says. */
async function createActor(answer?: (input: Input) => Output[]): Promise<Harness> {
  const log = new MemoryLog();
  const store = new HeldStore(await openMemoryNodeStore({ log }));
  const lanes = new HeldLanes(4);
  const { networkId, validatorSet } = genesis;
  const real = new Consensus(
    {
      networkId,
      genesisTimeMs: 0,
      validatorSet,
      self: SELF,
      scheme: createVoteScheme(blstBls, validatorSet, keysOf(SELF).bls),
      options: DEFAULT_CONSENSUS_OPTIONS,
    },
    Date.now(),
  );
  const inputs: Input[] = [];
  const step = (now: number, input: Input) => {
    inputs.push(input);
    return answer ? answer(input) : real.step(now, input);
  };
  const core = { step, checkpoint: () => real.checkpoint() } as unknown as Consensus;
  const seen: string[] = [];
  const failures: unknown[] = [];
  const actor = new Actor({
    first: { epoch: 0, core, lanes, self: SELF, startedBy: undefined, handedOn: () => [] },
    store: store as unknown as NodeStore,
    now: Date.now,
    onEffect: (effect: Effect) => void seen.push(effect.type),
    onBatchesDurable: (batches, authors) => void seen.push(`durable ${batches.length} of ${authors}`),
    onEpochEnding: () => {},
    nextEpoch: (): NextEpoch => {
      throw new Error('no epoch ends here');
    },
    onEpochBegun: () => {},
    onFailure: (error) => void failures.push(error),
  });
  actors.push(actor);
  return { actor, store, lanes, log, inputs, seen, failures };
}

const vote = {
  kind: VoteKind.nullify,
  epoch: 0,
  view: 1,
  blockHash: ZERO_HASH,
  signer: SELF,
  signature: new Uint8Array(96),
};
/** Each input brings a vote and sends it. */
const votesAndSends = (): Output[] => [
  { type: 'persist', record: { type: 'vote', vote } },
  { type: 'send', to: undefined, message: { type: 'vote', vote } },
];
const tick: Input = { type: 'tick' };
/** Microtasks and immediates that are due have run. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('durable before visible', () => {
  it('shows nothing of a turn until its sync is over: no effect, no acknowledgement, no answer', async () => {
    const { actor, store, seen } = await createActor((input) => (input.type === 'tick' ? votesAndSends() : []));
    let stored = false;
    let asked = false;
    void actor.storeBatch(sealBatch(genesis, 1)).then(() => {
      stored = true;
    });
    actor.submit(tick);
    actor.whenDurable(() => {
      asked = true;
    });
    await until('the sync', () => store.isSyncing);
    await settled();
    expect([seen, stored, asked]).toEqual([[], false, false]);
    store.release();
    await until('what follows', () => stored);
    expect(asked).toBe(true);
    expect(seen).toEqual(['durable 1 of 1', 'send']);
  });

  it('holds back what comes while a sync is under way, though it changes nothing that is stored', async () => {
    const sends: Output[] = [{ type: 'send', to: 1, message: { type: 'vote', vote } }];
    const { actor, store, seen } = await createActor((input) => (input.type === 'tick' ? votesAndSends() : sends));
    actor.submit(tick);
    await until('the sync', () => store.isSyncing);
    actor.submit({ type: 'peerConnected', peer: 1 });
    let asked = false;
    actor.whenDurable(() => {
      asked = true;
    });
    await settled();
    expect([seen, asked]).toEqual([[], false]);
    store.release();
    await until('both turns', () => asked);
    expect(seen).toEqual(['send', 'send']);
  });

  it('does not show a failed turn, says so once, and does nothing any more', async () => {
    const { actor, store, seen, failures, inputs } = await createActor(votesAndSends);
    let stored = false;
    void actor.storeBatch(sealBatch(genesis, 1)).then(() => {
      stored = true;
    });
    actor.submit(tick);
    await until('the sync', () => store.isSyncing);
    store.fail();
    await until('the failure', () => failures.length > 0);
    const stepped = inputs.length;
    actor.submit(tick);
    actor.whenDurable(() => seen.push('asked'));
    await settled();
    expect(failures).toMatchObject([{ message: 'the disk is gone' }]);
    expect([seen, stored, inputs.length]).toEqual([[], false, stepped]);
  });

  it('needs no sync for a turn that has nothing to keep', async () => {
    const { actor, store, seen } = await createActor(() => [{ type: 'enteredView', view: 2, leader: 1 }]);
    actor.submit(tick);
    await until('the effect', () => seen.length > 0);
    expect([store.syncs, store.turns]).toEqual([0, []]);
  });

  it('keeps batch and record in one frame: a crash takes both or none', async () => {
    const { actor, store, log } = await createActor();
    store.isHeld = false;
    const [first, second] = sealRun(genesis, 1, 2) as [StoredBatch, StoredBatch];
    await actor.storeBatch(first);
    store.isHeld = true;
    void actor.storeBatch(second);
    await until('the sync', () => store.isSyncing);
    const after = await openMemoryNodeStore({ log: log.crash() });
    const records = [];
    for await (const record of after.replayConsensus()) records.push(decodeRecord(record));
    const batches = records.filter(({ type }) => type === 'batch');
    expect(batches).toEqual([{ type: 'batch', signed: first.batch.signed }]);
    expect(await after.readBatch(toHex(first.digest))).toBeDefined();
    expect(await after.readBatch(toHex(second.digest))).toBeUndefined();
    store.fail();
  });
});

describe('a batch of a final block', () => {
  it('is stored, and nothing else: no record to restore a lane from, no word to the core', async () => {
    const { actor, store, inputs, log } = await createActor();
    store.isHeld = false;
    const batch = sealBatch(genesis, 1);
    await actor.storeFinalBatch(batch);
    expect(inputs).toEqual([]);
    const after = await openMemoryNodeStore({ log: log.crash() });
    const records = [];
    for await (const record of after.replayConsensus()) records.push(record);
    expect(records).toEqual([]);
    expect(await after.readBatch(toHex(batch.digest))).toEqual(encodeBatch(batch.batch));
  });
});

describe('turns', () => {
  it('share one sync among all that came since the last one', async () => {
    const { actor, store, seen, inputs } = await createActor(votesAndSends);
    for (let i = 0; i < 50; i++) actor.submit(tick);
    await until('the first sync', () => store.isSyncing);
    for (let i = 0; i < 70; i++) actor.submit(tick);
    store.release();
    await until('both turns', () => seen.length === 120);
    expect(inputs).toHaveLength(120);
    expect(store.syncs).toBe(2);
    expect(store.turns.map(({ consensus }) => consensus?.length)).toEqual([50, 70]);
  });

  it('store a batch once, however often it comes while it is on its way', async () => {
    const { actor, store } = await createActor();
    const batch = sealBatch(genesis, 1);
    const waits = [actor.storeBatch(batch), actor.storeBatch(batch)];
    await until('the sync', () => store.isSyncing);
    waits.push(actor.storeBatch(batch));
    store.release();
    await Promise.all(waits);
    await settled();
    expect(store.turns.flatMap(({ batches }) => batches)).toHaveLength(1);
  });

  it('take in no more bytes than a frame of the log may have; the rest has the next turn', async () => {
    const { actor, store, seen } = await createActor(votesAndSends);
    store.isHeld = false;
    for (let i = 0; i < 25; i++) actor.submit(tick, MAX_TURN_BYTES / 10);
    await until('all of it', () => seen.length === 25);
    // Ten would fill a turn, but for what an input counts beside its bytes.
    expect(store.turns.map(({ consensus }) => consensus?.length)).toEqual([9, 9, 7]);
  });

  it('hold a bundle as a whole, also where single batches would go into two', async () => {
    const turns = async (keep: (actor: Actor, batches: readonly StoredBatch[]) => Promise<unknown>) => {
      const { actor, store } = await createActor(votesAndSends);
      store.isHeld = false;
      const run = sealRun(genesis, SELF, 3);
      // Room for one of them is left.
      actor.submit(tick, MAX_TURN_BYTES - 3 * 1024);
      await keep(actor, run);
      return store.turns.map(({ batches }) => batches?.length ?? 0);
    };
    expect(await turns((actor, run) => Promise.all(run.map((batch) => actor.storeBatch(batch))))).toEqual([1, 2]);
    expect(await turns((actor, run) => actor.storeBundle(run))).toEqual([0, 3]);
  });

  it('have room for peers up to the limit, and none for a byte more', async () => {
    const { actor, store } = await createActor(votesAndSends);
    actor.submit(tick);
    await until('the sync', () => store.isSyncing);
    const overhead = 1024;
    expect(actor.hasRoomFor(MAX_WAITING_PEER_BYTES - overhead)).toBe(true);
    expect(actor.hasRoomFor(MAX_WAITING_PEER_BYTES - overhead + 1)).toBe(false);
    actor.submit(tick, MAX_WAITING_PEER_BYTES / 2);
    expect(actor.hasRoomFor(MAX_WAITING_PEER_BYTES / 2)).toBe(false);
    store.release();
    await until('room', () => actor.hasRoomFor(MAX_WAITING_PEER_BYTES - overhead));
  });

  it('come when the core asked to be woken', async () => {
    let woken = 0;
    const { actor } = await createActor(({ type }) => {
      if (type === 'tick') woken++;
      return woken < 3 ? [{ type: 'wakeAt', atMs: Date.now() + 5 }] : [];
    });
    actor.submit({ type: 'start' });
    await until('three ticks', () => woken === 3);
  });
});

describe('stopping', () => {
  it('carries out what came in before, and takes nothing more', async () => {
    const { actor, store, seen, inputs } = await createActor(votesAndSends);
    actor.submit(tick);
    await until('the sync', () => store.isSyncing);
    actor.submit(tick);
    let stopped = false;
    const stopping = actor.stop().then(() => {
      stopped = true;
    });
    actor.submit(tick);
    await settled();
    expect(stopped).toBe(false);
    store.release();
    await stopping;
    expect([seen, inputs.length]).toEqual([['send', 'send'], 2]);
    actor.submit(tick);
    await settled();
    expect(inputs).toHaveLength(2);
  });
});

describe('checkpoints', () => {
  it('are written after so many final blocks, with the batches that are not ordered', async () => {
    const head = genesisBlock(genesis.networkId, 0);
    const certificate = genesisCertificate(4, ZERO_HASH);
    let height = 0;
    const { actor, store, log } = await createActor((input) => {
      if (input.type !== 'tick') return [];
      height++;
      return [{ type: 'final', blocks: [{ header: { ...head.header, height }, refs: [] }], certificate }];
    });
    store.isHeld = false;
    const run = sealRun(genesis, 1, 3);
    for (const batch of run) await actor.storeBatch(batch);
    for (let i = 1; i < CHECKPOINT_INTERVAL_BLOCKS; i++) actor.submit(tick);
    await until('one block less', () => store.inner.head === CHECKPOINT_INTERVAL_BLOCKS - 1);
    expect(store.checkpoints).toEqual([]);
    actor.submit(tick);
    await until('the checkpoint', () => store.checkpoints.length === 1);
    await actor.stop();
    const after = await openMemoryNodeStore({ log: log.crash() });
    const types = [];
    // The pointer to it is not synced: replay begins wherever it began before, and the last checkpoint counts.
    for await (const record of after.replayConsensus()) types.push(decodeRecord(record).type);
    expect(types.slice(types.indexOf('checkpoint'))).toEqual(['checkpoint', 'batch', 'batch', 'batch']);
  });
});

describe('the end of an epoch', () => {
  it('keeps what peers said of the next one for behind the start of its core', async () => {
    const block = genesisBlock(genesis.networkId, 0);
    const certificate = genesisCertificate(4, ZERO_HASH);
    const nextValidatorSet = { ...genesis.validatorSet, epoch: 1 };
    const proof = { boundaryHeader: block.header, path: [], certificate, nextValidatorSet };
    const ended = { type: 'epochEnded', block, proof } as const;
    const inputs: Input[] = [];
    const ordering = (epoch: number, step: (now: number, input: Input) => Output[]) => ({
      epoch,
      core: { step } as unknown as Consensus,
      lanes: new HeldLanes(4),
      self: SELF,
      startedBy: epoch === 0 ? undefined : ended,
      handedOn: () => [],
    });
    const next = ordering(1, (_, input) => {
      inputs.push(input);
      return [];
    });
    const message = { type: 'vote', vote: { ...vote, epoch: 1 } } as const;
    const store = {
      appendTurn: ({ consensus }: Turn) => consensus!.map((_, at) => at),
      sync: async () => actor.submit({ type: 'message', from: 1, message }),
      checkpoint: async () => {},
    };
    const actor: Actor = new Actor({
      first: ordering(0, () => [{ type: 'persist', record: ended }, ended]),
      store: store as unknown as NodeStore,
      now: Date.now,
      onEffect: () => {},
      onBatchesDurable: () => {},
      onEpochEnding: () => {},
      nextEpoch: (): NextEpoch => ({ ordering: next, batches: [], placeOf: (before) => before + 1 }),
      onEpochBegun: () => actor.submit({ type: 'start' }),
      onFailure: (error) => expect.unreachable(String(error)),
    });
    actors.push(actor);
    actor.submit(tick);
    await until('both inputs', () => inputs.length === 2);
    expect(inputs).toEqual([{ type: 'start' }, { type: 'message', from: 2, message }]);
  });
});
