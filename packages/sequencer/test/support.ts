/** Sequencers in one process: real keys and certificates, networks and stores in memory that can be cut and crashed. */

import {
  bodyRoot,
  createNodeKey,
  createVoteScheme,
  type NodeKey,
  signBatchHeader,
  type VoteScheme,
} from '@squad/crypto';
import { blstBls, sha256 } from '@squad/crypto/node';
import { MemoryHub, type Network, type NetworkHandlers } from '@squad/network';
import { type Logger, noMetrics, silentLogger } from '@squad/service';
import { MemoryKeyValueStore, MemoryLog, type NodeStore, openMemoryNodeStore } from '@squad/storage';
import {
  type BatchHeader,
  Block,
  batchDigest,
  blockHashHex,
  bodyTransactions,
  decodeBatch,
  encodeBody,
  equalBytes,
  type Genesis,
  type GenesisL1,
  type GenesisRollup,
  type GenesisValidator,
  parseGenesis,
  type RollupId,
  toHex,
  type ValidatorIndex,
  type ValidatorSet,
  ZERO_HASH,
} from '@squad/types';
import { expect } from 'vitest';
import type { StoredBatch } from '../src/actor.ts';
import { type Admission, createAdmission } from '../src/admission/index.ts';
import { beginAt, type TrustedBlock } from '../src/checkpoint.ts';
import { createFeed, type Feed } from '../src/feed/index.ts';
import type { SubmitOutcome } from '../src/rpc/api.ts';
import { Sequencer } from '../src/sequencer.ts';
import { createSequencerMetrics } from '../src/sequencer-metrics.ts';
import { genesisSchedule, type ValidatorSetSource } from '../src/validator-sets.ts';

export const ROLLUP = 901;
export const OTHER_ROLLUP = 902;
export const ROLLUPS: readonly GenesisRollup[] = [
  { rollupId: ROLLUP, kind: 'opaque' },
  { rollupId: OTHER_ROLLUP, kind: 'opaque' },
];

/** Resolves once the condition holds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 20_000) {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`did not come within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
}

/** Numbers in [0, 1) that repeat (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Bytes as a hostile peer makes them of a good encoding: a bit flipped, cut, longer, a run overwritten. */
export function* mutations(bytes: Uint8Array, count: number, seed: number): Generator<Uint8Array> {
  const draw = random(seed);
  const below = (limit: number) => Math.floor(draw() * limit);
  for (let i = 0; i < count; i++) {
    const copy = bytes.slice();
    switch (i % 4) {
      case 0:
        copy[below(copy.length)]! ^= 1 << below(8);
        yield copy;
        break;
      case 1:
        yield copy.subarray(0, below(copy.length));
        break;
      case 2: {
        const longer = new Uint8Array(copy.length + 1 + below(40));
        longer.set(copy);
        yield longer;
        break;
      }
      default: {
        const from = below(copy.length);
        copy.fill(below(256), from, from + 1 + below(16));
        yield copy;
      }
    }
  }
}

export interface Keys {
  readonly bls: Uint8Array;
  readonly node: NodeKey;
}

export function keysOf(index: number): Keys {
  const seed = sha256(Uint8Array.of(77, index));
  return { bls: blstBls.secretKeyFromSeed(seed), node: createNodeKey(seed) };
}

/** A validator by the number of its node key; `bls`: that of its BLS key, if it is another. */
export interface Member {
  readonly key: number;
  readonly bls?: number;
  readonly weight?: number;
}

export function describeMember({ key, bls = key, weight = 1 }: Member): GenesisValidator {
  const secretKey = keysOf(bls).bls;
  return {
    name: `validator-${key}`,
    blsPublicKey: toHex(blstBls.publicKeyOf(secretKey)),
    proofOfPossession: toHex(blstBls.provePossession(secretKey)),
    nodePublicKey: toHex(keysOf(key).node.publicKey),
    weight,
    addresses: [],
  };
}

export interface GenesisOptions {
  readonly rollups?: readonly GenesisRollup[];
  readonly epochLengthBlocks?: number;
  readonly l1?: GenesisL1;
  readonly schedule?: readonly { readonly fromEpoch: number; readonly members: readonly Member[] }[];
}

export function createGenesis(
  validators = 4,
  genesisTimeMs = 1_700_000_000_000,
  { epochLengthBlocks = 1_000_000, schedule = [], rollups = ROLLUPS, l1 }: GenesisOptions = {},
): Genesis {
  const genesis = parseGenesis({
    version: 1,
    name: 'sequencer-tests',
    genesisTimeMs,
    epochLengthBlocks,
    validators: Array.from({ length: validators }, (_, key) => describeMember({ key })),
    validatorSchedule: schedule.map(({ fromEpoch, members }) => ({
      fromEpoch,
      validators: members.map(describeMember),
    })),
    rollups: [...rollups],
    l1,
  });
  if (!genesis.ok) throw genesis.error;
  return genesis.value;
}

/** A transaction of an opaque rollup that no other equals. */
export function transaction(author: number, number: number, byteLength = 64): Uint8Array {
  const bytes = new Uint8Array(byteLength).fill(author + 1);
  new DataView(bytes.buffer).setUint32(0, number);
  bytes[4] = author;
  return bytes;
}

/** A batch of an author; `change` is made before signing, so that it lies in its author's name. */
export function sealBatch(
  genesis: Genesis,
  author: ValidatorIndex,
  place: { readonly seq?: number; readonly previous?: Uint8Array; readonly rollupId?: RollupId } = {},
  transactions: readonly Uint8Array[] = [transaction(author, place.seq ?? 0)],
  change: Partial<BatchHeader> = {},
): StoredBatch {
  const body = encodeBody(transactions);
  const header: BatchHeader = {
    networkId: genesis.networkId,
    epoch: 0,
    author,
    seq: place.seq ?? 0,
    previousDigest: place.previous ?? ZERO_HASH,
    rollupId: place.rollupId ?? ROLLUP,
    bodyRoot: bodyRoot(body, sha256),
    byteLength: body.length,
    transactionCount: transactions.length,
    createdAtMs: 1_700_000_000_000,
    joinsNext: false,
    ...change,
  };
  return { batch: { signed: signBatchHeader(header, keysOf(author).node), body }, digest: batchDigest(header) };
}

/** A run of a lane, chained. */
export function sealRun(genesis: Genesis, author: ValidatorIndex, count: number, first = 0, previous = ZERO_HASH) {
  const run: StoredBatch[] = [];
  for (let seq = first; seq < first + count; seq++) {
    run.push(sealBatch(genesis, author, { seq, previous: run.at(-1)?.digest ?? previous }));
  }
  return run;
}

export function refOf({ batch, digest }: StoredBatch) {
  const { author, seq, rollupId, joinsNext } = batch.signed.header;
  return { author, seq, rollupId, digest, joinsNext };
}

/** What was logged as a warning: blame among it. */
export class Journal implements Logger {
  readonly warnings: { readonly fields: Readonly<Record<string, unknown>>; readonly message: string }[] = [];
  readonly errors: unknown[][] = [];
  readonly trace: Logger['trace'] = silentLogger.trace;
  readonly debug: Logger['debug'] = silentLogger.debug;
  readonly info: Logger['info'] = silentLogger.info;
  readonly fatal: Logger['fatal'] = silentLogger.fatal;
  readonly error = (...line: unknown[]) => void this.errors.push(line);
  readonly warn = (fields: Readonly<Record<string, unknown>> | string, message = '') => {
    if (typeof fields !== 'string') this.warnings.push({ fields, message });
  };
  child(): Logger {
    return this;
  }

  /** Why peers were disconnected. */
  get blamed(): { readonly peer: number; readonly reason: string }[] {
    return this.warnings.flatMap(({ fields }) =>
      typeof fields.peer === 'number' && typeof fields.reason === 'string'
        ? [{ peer: fields.peer, reason: fields.reason }]
        : [],
    );
  }
}

/** The place of who has a node key in a set, if it has the BLS key too: its own, or one that it changes to. */
export function placeOf({ validators }: ValidatorSet, key: number) {
  const self = validators.findIndex(({ nodePublicKey }) => equalBytes(nodePublicKey, keysOf(key).node.publicKey));
  const blsKeys = [keysOf(key).bls, keysOf(key + OTHER_BLS_KEYS).bls];
  const blsSecretKey = blsKeys.find(
    (secretKey) => self >= 0 && equalBytes(blstBls.publicKeyOf(secretKey), validators[self]!.blsPublicKey),
  );
  return blsSecretKey && { self, blsSecretKey };
}

/** Who changes its BLS key from `n` changes to `n` and this. */
export const OTHER_BLS_KEYS = 100;

export interface ClusterOptions extends GenesisOptions {
  /** Nodes, by their keys, that do not validate the first epoch: they come after those that do. */
  readonly others?: number;
  readonly validators?: number;
  readonly heartbeatMs?: number;
}

export class TestNode {
  readonly index: ValidatorIndex;
  /** Final blocks whose bodies it keeps, if not all. */
  keepBodies: number | undefined;
  /** Where it begins, if not at genesis. */
  checkpoint: TrustedBlock | undefined;
  /** Where it learns of later validators, if not from the genesis file. */
  validatorSets: ValidatorSetSource | undefined;
  /** Milliseconds for which transactions may wait to be sealed. */
  batchAgeMs = 1;
  readonly journal = new Journal();
  readonly failures: unknown[] = [];
  sequencer!: Sequencer;
  store!: NodeStore;
  network!: Network;
  readonly #cluster: Cluster;
  /** Replace it before the start to have another one. */
  log = new MemoryLog();
  #keyValueStore = new MemoryKeyValueStore();
  feed!: Feed;
  #run = 0;
  #transactionsThrough = 0;
  #transactions: string[] = [];

  constructor(cluster: Cluster, index: ValidatorIndex) {
    this.#cluster = cluster;
    this.index = index;
  }

  /** All but the start. */
  async open(): Promise<void> {
    const { genesis, hub, admission, options } = this.#cluster;
    const run = ++this.#run;
    this.#transactionsThrough = 0;
    this.#transactions = [];
    this.store = await openMemoryNodeStore({ log: this.log, keyValueStore: this.#keyValueStore });
    if (this.checkpoint) await beginAt(this.store, this.checkpoint);
    const { node } = keysOf(this.index);
    this.sequencer = await Sequencer.open({
      genesis,
      validatorSets: this.validatorSets ?? genesisSchedule(genesis),
      placeIn: (set) => placeOf(set, this.index),
      nodeKey: node,
      store: this.store,
      admission,
      logger: this.journal,
      metrics: createSequencerMetrics(noMetrics),
      now: Date.now,
      batchBytes: 4096,
      batchAgeMs: this.batchAgeMs,
      heartbeatMs: options.heartbeatMs ?? 20,
      blockIntervalMs: 0,
      gossipTakeoverMs: 200,
      anchorDelayMs: 100,
      keepBodies: this.keepBodies,
      onFailure: (error) => {
        if (run === this.#run) this.failures.push(error);
      },
    });
    this.feed = createFeed({
      source: this.store,
      self: () => this.sequencer.self,
      handOvers: this.sequencer.handOvers,
      rollupIds: genesis.file.rollups.map(({ rollupId }) => rollupId),
      logger: silentLogger,
    });
    this.network = hub.createNetwork({
      ...networkConfig(genesis, this.index, this.sequencer.handlers),
      ...this.sequencer.networkSet,
    });
  }

  async start(): Promise<void> {
    await this.open();
    await this.sequencer.start(this.network, this.feed);
    await this.network.start();
  }

  /** As `squad sequencer` ends on SIGTERM. */
  async stop(): Promise<void> {
    await this.sequencer.stop();
    this.feed.stop();
    await this.network.stop();
    await this.store.close();
    this.log = this.log.reopen();
    this.#keyValueStore = this.#keyValueStore.reopen();
  }

  /** As a power failure ends it: what was not synced is gone. */
  async crash(): Promise<void> {
    this.#run++;
    this.log = this.log.crash();
    this.#keyValueStore = this.#keyValueStore.crash();
    await this.network.stop();
    this.feed.stop();
    // Not awaited: its store may never answer. It is cut off from everything.
    this.sequencer.stop().catch(() => {});
  }

  submit(transactions: readonly Uint8Array[], rollupId = ROLLUP): Promise<readonly SubmitOutcome[]> {
    return this.sequencer.submit(rollupId, transactions);
  }

  /** Checks votes of the first set. */
  get scheme(): VoteScheme {
    return createVoteScheme(blstBls, this.#cluster.genesis.validatorSet);
  }

  get height(): number {
    return this.sequencer.final.block.header.height;
  }

  /** Hashes of the final blocks from a height on. */
  async hashes(from = 1, to = this.height): Promise<string[]> {
    const hashes: string[] = [];
    for (let height = from; height <= to; height++) {
      const stored = await this.store.readBlock(height);
      hashes.push(stored ? blockHashHex(Block.deserialize(stored.block).header) : 'none');
    }
    return hashes;
  }

  /** All transactions of final blocks in order, in hex, as far as their bodies are held. */
  async transactions(): Promise<string[]> {
    const transactions = this.#transactions;
    while (this.#transactionsThrough < this.sequencer.bodies.complete) {
      const stored = await this.store.readBlock(++this.#transactionsThrough);
      for (const { digest } of Block.deserialize(stored!.block).refs) {
        const batch = decodeBatch((await this.store.readBatch(toHex(digest)))!);
        if (!batch.ok) throw new Error(batch.error.reason);
        transactions.push(...bodyTransactions(batch.value.body).map(toHex));
      }
    }
    return transactions;
  }
}

export function networkConfig(genesis: Genesis, self: ValidatorIndex, handlers: NetworkHandlers) {
  return {
    nodeKeySeed: keysOf(self).node.secretKey,
    networkId: genesis.networkId,
    validators: genesis.validatorSet.validators.map(({ nodePublicKey }) => ({ nodePublicKey, addresses: [] })),
    listen: [],
    bootstrap: [],
    mdns: false,
    self,
    handlers,
    limits: { refusalMs: 100, requestTimeoutMs: 500 },
  };
}

export class Cluster {
  readonly hub = new MemoryHub();
  readonly genesis: Genesis;
  readonly admission: Admission = createAdmission({ logger: silentLogger, threads: 1 });
  readonly nodes: TestNode[];
  readonly options: ClusterOptions;

  constructor(options: ClusterOptions = {}) {
    this.options = options;
    const { validators = 4, others = 0 } = options;
    this.genesis = createGenesis(validators, Date.now() - 1000, options);
    this.nodes = Array.from({ length: validators + others }, (_, index) => new TestNode(this, index));
  }

  async start(indices: readonly number[] = [...this.nodes.keys()]): Promise<void> {
    for (const index of indices) await this.nodes[index]!.start();
  }

  async close(nodes: readonly TestNode[] = this.nodes): Promise<void> {
    for (const node of nodes) await node.stop().catch(() => {});
    await this.admission.close();
  }
}

/** Waits until each node holds all transactions, given in hex, as final. */
export async function hold(nodes: readonly TestNode[], transactions: readonly string[]) {
  await until('every node to hold all transactions as final', async () => {
    for (const node of nodes) {
      const held = new Set(await node.transactions());
      if (!transactions.every((one) => held.has(one))) return false;
    }
    return true;
  });
}

/** The same blocks at every height that all have reached. */
export async function expectOneOrder(nodes: readonly TestNode[]) {
  const lowest = Math.min(...nodes.map(({ sequencer }) => sequencer.bodies.complete));
  const [first, ...others] = await Promise.all(nodes.map((node) => node.hashes(1, lowest)));
  for (const other of others) expect(other).toEqual(first);
  for (const node of nodes) expect(node.failures).toEqual([]);
}
