/**
 * Stations 6 and 7: the loop around the consensus core. Everything that came in since the last turn is stepped through the
 * core; what has to survive is appended as one frame and synced once; only then does the turn become visible: sends,
 * acknowledgements, soft and final blocks, in the order in which they were put out (R20).
 *
 * The turn in which an epoch ends (R22) also holds what the next one begins with, so that no crash falls between them.
 */

import { type Consensus, type EpochEndedRecord, epochOf, type Input, type Output } from '@squad/consensus';
import type { NodeStore } from '@squad/storage';
import {
  type Batch,
  type BatchDigest,
  Block,
  type Block as BlockValue,
  type Bytes32,
  batchDigest,
  blockHashHex,
  Certificate,
  decodeBatch,
  type Epoch,
  encodeBatch,
  type SignedBatchHeader,
  toHex,
  type ValidatorIndex,
} from '@squad/types';
import type { HeldLanes } from './held-lanes.ts';
import { encodeRecord, heldBatch, type NodeRecord } from './records.ts';

/** Final blocks between two checkpoints: the length of a replay after a crash. */
export const CHECKPOINT_INTERVAL_BLOCKS = 512;
/** Bytes of frames and batches that one turn takes in; what is beyond waits for the next. Far below a log frame's limit. */
export const MAX_TURN_BYTES: number = 64 * 1024 * 1024;
/** Bytes that wait for a turn, beyond which what peers send is dropped: they send it again. */
export const MAX_WAITING_PEER_BYTES: number = 128 * 1024 * 1024;
/** What a waiting input counts for apart from its bytes. */
const INPUT_OVERHEAD_BYTES = 1024;
/** Milliseconds after which a timer is set anew even if nothing asked for it; a clock that jumped is noticed then. */
const MAX_SLEEP_MS = 5_000;

/** Outputs that the loop does not carry out itself. */
export type Effect = Exclude<Output, { type: 'persist' | 'wakeAt' }>;

/** What orders in one epoch. */
export interface Ordering {
  readonly epoch: Epoch;
  readonly core: Consensus;
  readonly lanes: HeldLanes;
  readonly self: ValidatorIndex | undefined;
  /** The end of the epoch before, which a replay needs for as long as this one lasts; undefined in epoch 0. */
  readonly startedBy: EpochEndedRecord | undefined;
  /** Own batches of earlier epochs that nobody has ordered yet, and that this node has no lane for any more. */
  handedOn(): readonly SignedBatchHeader[];
}

/** What the next epoch begins with. */
export interface NextEpoch {
  readonly ordering: Ordering;
  /** Own batches that are to be durable together with the end of the epoch before. */
  readonly batches: readonly StoredBatch[];
  /** Where a validator of the old set stands in the new one. */
  placeOf(before: ValidatorIndex): ValidatorIndex | undefined;
}

export interface ActorConfig<Next extends NextEpoch> {
  readonly first: Ordering;
  /** Final blocks between two checkpoints. Default: `CHECKPOINT_INTERVAL_BLOCKS`. */
  readonly checkpointIntervalBlocks?: number | undefined;
  readonly store: NodeStore;
  readonly now: () => number;
  /** The epoch ends in the turn that is under way: from now on nothing is sealed for it. */
  readonly onEpochEnding: (ended: EpochEndedRecord) => void;
  /** What comes after the end of an epoch. `own`: this node's batches of it that are not ordered, in the order of the lane. */
  readonly nextEpoch: (ended: EpochEndedRecord, own: readonly StoredBatch[]) => Next;
  /** The end of the epoch is durable, the actor drives the next one, and the effects of the old one are carried out. */
  readonly onEpochBegun: (next: Next) => void;
  /** Called in order, once everything they rest on is durable. */
  readonly onEffect: (effect: Effect) => void;
  /** Batches became durable here: of these authors there is something new to acknowledge. */
  readonly onBatchesDurable: (batches: readonly StoredBatch[], authors: readonly ValidatorIndex[]) => void;
  /** The store failed: nothing can be promised any more. */
  readonly onFailure: (error: unknown) => void;
}

export interface StoredBatch {
  readonly batch: Batch;
  readonly digest: Bytes32;
  /** The batch encoded, where that is at hand: a batch is large, and each copy of it costs. */
  readonly encoded?: Uint8Array;
}

type Work = { readonly bytes: number } & (
  | { readonly input: Input }
  | { readonly stored: readonly StoredBatch[]; readonly isFinal: boolean; readonly done: () => void }
  | { readonly whenDurable: () => void }
);

export class Actor<Next extends NextEpoch = NextEpoch> {
  readonly #config: ActorConfig<Next>;
  #ordering: Ordering;
  #inbox: Work[] = [];
  #waitingBytes = 0;
  /** Batches that are on their way into the store. */
  readonly #storing = new Map<BatchDigest, Promise<void>>();
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #finalsSinceCheckpoint = 0;
  /** Nothing more comes in. */
  #closing = false;
  /** Nothing more is done. */
  #stopped = false;

  constructor(config: ActorConfig<Next>) {
    this.#config = config;
    this.#ordering = config.first;
  }

  /** Whether what a peer sent may wait here; if not it is dropped. */
  hasRoomFor(bytes: number): boolean {
    return this.#waitingBytes + bytes + INPUT_OVERHEAD_BYTES <= MAX_WAITING_PEER_BYTES;
  }

  /** What waits for a turn. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Gives the core an input in the next turn. `bytes`: what it takes while it waits. */
  submit(input: Input, bytes = 0): void {
    this.#push({ input, bytes: bytes + INPUT_OVERHEAD_BYTES });
  }

  /** Stores a checked batch in the next turn; resolves once it is durable, never if that fails. */
  storeBatch(stored: StoredBatch): Promise<void> {
    return this.#keep([stored], false);
  }

  /** Own batches of one bundle: a crash leaves all or none, or the lane could go on within it (R1). */
  storeBundle(stored: readonly StoredBatch[]): Promise<void> {
    return this.#keep(stored, false);
  }

  /** The same for a batch of a final block: the core orders it no more, and need not know of it. */
  storeFinalBatch(stored: StoredBatch): Promise<void> {
    return this.#keep([stored], true);
  }

  #keep(stored: readonly StoredBatch[], isFinal: boolean): Promise<void> {
    const digest = toHex(stored[0]!.digest);
    const under = this.#storing.get(digest);
    if (under) return under;
    const bytes = stored.reduce((sum, { batch }) => sum + batch.body.length + INPUT_OVERHEAD_BYTES, 0);
    const storing = new Promise<void>((resolve) => {
      const done = () => {
        this.#storing.delete(digest);
        resolve();
      };
      this.#push({ stored, isFinal, done, bytes });
    });
    this.#storing.set(digest, storing);
    return storing;
  }

  /** Calls back once all that was given before is durable: the only way out for what is not an output of the core (R20). */
  whenDurable(callback: () => void): void {
    this.#push({ whenDurable: callback, bytes: INPUT_OVERHEAD_BYTES });
  }

  /** Carries out what has come in, and takes nothing more. */
  async stop(): Promise<void> {
    this.#closing = true;
    await this.#running;
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #push(work: Work): void {
    if (this.#closing || this.#stopped) return;
    this.#inbox.push(work);
    this.#waitingBytes += work.bytes;
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // All that is read in the same round of the event loop shares this turn, and its sync.
    await new Promise(setImmediate);
    try {
      while (this.#inbox.length > 0 && !this.#stopped) await this.#turn();
    } catch (error) {
      this.#stopped = true;
      this.#config.onFailure(error);
    } finally {
      this.#running = undefined;
    }
  }

  async #turn(): Promise<void> {
    const { store, now } = this.#config;
    const { core, lanes } = this.#ordering;
    const turn = new Turn();
    for (const item of this.#takeWork()) {
      if ('input' in item) turn.take(core.step(now(), item.input));
      else if ('stored' in item) this.#store(turn, item);
      else turn.done.push(item.whenDurable);
    }
    if (turn.wakeAtMs !== undefined) this.#sleepUntil(turn.wakeAtMs);
    for (const { block } of turn.finals) lanes.finalize(block.refs);
    const next = turn.ended && (await this.#endEpoch(turn, turn.ended));
    this.#finalsSinceCheckpoint += turn.finals.length;
    const checkpointAt = next ? this.#addEpochStart(turn, next.ordering) : this.#addCheckpoint(turn);

    if (!turn.isEmpty) {
      const batches = [...turn.batches, ...(next?.batches ?? [])];
      const positions = store.appendTurn({
        consensus: turn.records.map(encodeRecord),
        batches: batches.map(({ batch, digest, encoded }) => ({
          digest: toHex(digest),
          bytes: encoded ?? encodeBatch(batch),
        })),
        finals: turn.finals.map(encodeFinal),
      });
      await store.sync();
      if (checkpointAt !== undefined) await store.checkpoint(positions[checkpointAt]!);
    }

    // What happens from here on is visible outside.
    for (const done of turn.done) done();
    if (turn.batches.length > 0) this.#config.onBatchesDurable(turn.batches, [...turn.moved]);
    const kept = next ? this.#begin(next) : [];
    for (const effect of turn.effects) this.#config.onEffect(effect);
    if (next) this.#config.onEpochBegun(next);
    this.#inbox = this.#inbox.concat(kept); // behind the start of the next epoch's core
  }

  /** All that waits, or as much as one turn may hold. */
  #takeWork(): Work[] {
    let bytes = 0;
    let count = 0;
    for (const item of this.#inbox) {
      if (count > 0 && bytes + item.bytes > MAX_TURN_BYTES) break;
      bytes += item.bytes;
      count++;
    }
    this.#waitingBytes -= bytes;
    return this.#inbox.splice(0, count);
  }

  #store(turn: Turn, { stored, isFinal, done }: Extract<Work, { stored: unknown }>): void {
    turn.done.push(done);
    for (const batch of stored) this.#storeOne(turn, batch, isFinal);
  }

  #storeOne(turn: Turn, stored: StoredBatch, isFinal: boolean): void {
    const { now } = this.#config;
    const { core, lanes, self, epoch } = this.#ordering;
    const { signed } = stored.batch;
    const { author } = signed.header;
    turn.batches.push(stored);
    // One of an earlier epoch is no part of a lane any more.
    if (isFinal || signed.header.epoch !== epoch) return;
    turn.records.push({ type: 'batch', signed });
    if (lanes.standing(signed.header, stored.digest) === 'new' && lanes.add(signed, stored.digest))
      turn.moved.add(author);
    turn.take(core.step(now(), { type: 'batchStored', batch: heldBatch(signed, stored.digest) }));
    if (self !== undefined && turn.moved.has(author)) {
      const acknowledgements = lanes.acknowledgements([author]);
      turn.take(core.step(now(), { type: 'acknowledged', from: self, acknowledgements }));
    }
  }

  /** Now and then, at a turn's end: the state to replay from, and the batches that are not ordered yet. */
  #addCheckpoint(turn: Turn): number | undefined {
    const { checkpointIntervalBlocks = CHECKPOINT_INTERVAL_BLOCKS } = this.#config;
    if (this.#finalsSinceCheckpoint < checkpointIntervalBlocks) return undefined;
    this.#finalsSinceCheckpoint = 0;
    const at = turn.records.length;
    const { core, startedBy } = this.#ordering;
    if (startedBy) turn.records.push(startedBy);
    turn.records.push({ type: 'checkpoint', checkpoint: core.checkpoint() });
    addUnordered(turn, this.#ordering);
    return at;
  }

  // ---------------------------------------------------------------- the end of an epoch (R22)

  /** All own batches of the epoch that are not ordered go into the next one: also those on their way into the store. */
  async #endEpoch(turn: Turn, ended: EpochEndedRecord): Promise<Next> {
    const { store, onEpochEnding, nextEpoch } = this.#config;
    const { self, lanes } = this.#ordering;
    onEpochEnding(ended);
    const isOwn = (item: Work) => 'stored' in item && item.stored[0]!.batch.signed.header.author === self;
    const onTheirWay = this.#inbox.filter(isOwn);
    this.#inbox = this.#inbox.filter((item) => !isOwn(item));
    for (const item of onTheirWay) {
      this.#waitingBytes -= item.bytes;
      if ('stored' in item) this.#store(turn, item);
    }
    const own: StoredBatch[] = [];
    for (const { header } of lanes.unordered()) {
      if (header.author !== self) continue;
      const digest = batchDigest(header);
      const name = toHex(digest);
      const bytes = await store.readBatch(name);
      const batch = bytes && decodeBatch(bytes);
      const now = turn.batches.find((stored) => toHex(stored.digest) === name);
      if (now) own.push(now);
      else if (batch?.ok) own.push({ batch: batch.value, digest });
      else throw new Error(`own batch ${name} is not in the store`);
    }
    return nextEpoch(ended, own);
  }

  /** A replay may begin with the end of the epoch: all that the next one begins with stands behind it. */
  #addEpochStart(turn: Turn, ordering: Ordering): number {
    this.#finalsSinceCheckpoint = 0;
    const before = turn.records.filter(({ type }) => type !== 'epochEnded');
    turn.records.splice(0, Number.POSITIVE_INFINITY, ...before, ordering.startedBy!);
    addUnordered(turn, ordering);
    return before.length;
  }

  /** What came for the epoch that is over is void; what peers say of the next one is kept, under their new places. */
  #begin({ ordering, placeOf }: NextEpoch): Work[] {
    this.#ordering = ordering;
    clearTimeout(this.#timer);
    const inputs: Work[] = [];
    for (const item of this.#inbox) {
      if (!('input' in item)) continue;
      const kept = inNextEpoch(item, ordering.epoch, placeOf);
      if (kept) inputs.push(kept);
      else this.#waitingBytes -= item.bytes;
    }
    this.#inbox = this.#inbox.filter((item) => !('input' in item));
    return inputs;
  }

  #sleepUntil(atMs: number): void {
    clearTimeout(this.#timer);
    // Rounded up: a timer that fires a little early finds nothing due and has to be set again.
    const delayMs = Math.min(Math.max(0, Math.ceil(atMs - this.#config.now())), MAX_SLEEP_MS);
    this.#timer = setTimeout(() => this.submit({ type: 'tick' }), delayMs);
  }
}

function addUnordered(turn: Turn, { lanes, handedOn }: Ordering): void {
  for (const signed of [...lanes.unordered(), ...handedOn()]) turn.records.push({ type: 'batch', signed });
}

function inNextEpoch(
  { input, bytes }: Extract<Work, { input: Input }>,
  epoch: Epoch,
  placeOf: NextEpoch['placeOf'],
): Work | undefined {
  if (input.type === 'bodiesComplete') return { input, bytes };
  if (input.type !== 'message' || epochOf(input.message) !== epoch) return undefined;
  const from = placeOf(input.from);
  return from === undefined ? undefined : { input: { ...input, from }, bytes };
}

interface FinalBlock {
  readonly block: BlockValue;
  readonly certificate: Certificate | undefined;
}

/** What one turn gathers. */
class Turn {
  readonly records: NodeRecord[] = [];
  readonly batches: StoredBatch[] = [];
  readonly finals: FinalBlock[] = [];
  readonly effects: Effect[] = [];
  readonly done: (() => void)[] = [];
  /** The epoch ended in this turn. */
  ended: EpochEndedRecord | undefined;
  /** Lanes whose acknowledged end moved. */
  readonly moved = new Set<ValidatorIndex>();
  wakeAtMs: number | undefined;

  get isEmpty(): boolean {
    return this.records.length === 0 && this.batches.length === 0 && this.finals.length === 0;
  }

  take(outputs: readonly Output[]): void {
    for (const output of outputs) {
      if (output.type === 'persist') this.records.push(output.record);
      else if (output.type === 'wakeAt') this.wakeAtMs = output.atMs;
      else {
        if (output.type === 'final') {
          output.blocks.forEach((block, i) => {
            const isLast = i === output.blocks.length - 1;
            this.finals.push({ block, certificate: isLast ? output.certificate : undefined });
          });
        }
        if (output.type === 'epochEnded') this.ended = output;
        this.effects.push(output);
      }
    }
  }
}

function encodeFinal({ block, certificate }: FinalBlock) {
  return {
    height: block.header.height,
    hash: blockHashHex(block.header),
    block: Block.serialize(block),
    certificate: certificate && Certificate.serialize(certificate),
    batchDigests: block.refs.map(({ digest }) => toHex(digest)),
  };
}
