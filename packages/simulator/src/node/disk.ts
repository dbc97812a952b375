/**
 * A node's disk: the storage package's log and key-value store in memory, behind syncs that take time and calls that can fail. What
 * was not synced when the node dies is gone, or a first part of it is kept. What is on it is noted from outside, record by
 * record, for the invariants.
 */

import type { EpochEndedRecord } from '@squad/consensus';
import type { Random } from '@squad/consensus/sim';
import { decodeRecord } from '@squad/sequencer/parts';
import {
  type KeyValueStore,
  type Log,
  type LogPosition,
  type LogRecord,
  MemoryKeyValueStore,
  MemoryLog,
} from '@squad/storage';
import { batchDigest, type Epoch, type SignedBatchHeader, toHex, type Vote } from '@squad/types';
import { type DiskCallFailed, DiskCalls, failing } from './disk-calls.ts';

/** The kinds of records that the sequencer writes; above are the store's own. */
const MAX_NODE_RECORD_KIND = 7;
const EPOCH_ENDED_RECORD_KIND = 7;
const MAX_KEPT_FRAMES = 3;

export interface DiskEvents {
  onBatch(signed: SignedBatchHeader, digest: Uint8Array): void;
  /** A sync begins: nothing that waits for it may be seen. */
  onSync(): void;
  /** All that was appended before it is durable; its caller has not heard of it yet. */
  onSynced(): void;
  /** A call fails, and its caller has not heard of it yet. */
  onFailure(failure: DiskCallFailed): void;
  /** `endsEpoch`: the end of an epoch is among what is synced. */
  syncDelayMs(random: Random, endsEpoch: boolean): number;
}

export class SimulatedDisk {
  log = new MemoryLog();
  keyValueStore = new MemoryKeyValueStore();
  atNextSync: { readonly failing: boolean; readonly act: () => void } | undefined;
  readonly votes = new Set<string>();
  readonly batches = new Set<string>();
  /** By the epoch that is over (R22). */
  readonly ends: Map<Epoch, EpochEndedRecord> = new Map();
  readonly calls: DiskCalls;
  readonly #random: Random;
  readonly #events: DiskEvents;
  #pending: LogRecord[] = [];
  /** Records that were noted as durable, or lost, since the disk was new. */
  #settled = 0;

  constructor(random: Random, events: DiskEvents) {
    this.#random = random;
    this.#events = events;
    this.calls = new DiskCalls((failure) => events.onFailure(failure));
  }

  /** What a node of this life opens. */
  open(): { readonly log: Log; readonly keyValueStore: KeyValueStore } {
    return { log: this.#openLog(), keyValueStore: this.calls.around(this.keyValueStore) };
  }

  #openLog(): Log {
    const { log, calls } = this;
    const sync = async (): Promise<void> => {
      const upTo = this.#settled + this.#pending.length;
      this.#events.onSync();
      const endsEpoch = this.#pending.some(({ kind }) => kind === EPOCH_ENDED_RECORD_KIND);
      const delayMs = this.#events.syncDelayMs(this.#random, endsEpoch);
      await new Promise<void>((resolve) => setTimeout(resolve, delayMs));
      const { atNextSync } = this;
      this.atNextSync = undefined;
      if (atNextSync?.failing) {
        atNextSync.act();
        throw new Error('the disk failed');
      }
      const failure = calls.next('log', 'sync', true);
      if (failure) throw failure;
      await log.sync();
      const synced = this.#pending.splice(0, Math.max(0, upTo - this.#settled));
      this.#settled += synced.length;
      for (const record of synced) this.#note(record);
      this.#events.onSynced();
      // The node dies here, before it hears that its sync is over.
      if (atNextSync) {
        atNextSync.act();
        await new Promise(() => {});
      }
    };
    return {
      append: (records) => {
        const failure = calls.next('log', 'append', true);
        if (failure) throw failure;
        const positions: LogPosition[] = log.append(records);
        this.#pending.push(...records);
        return positions;
      },
      sync,
      read: (position) => {
        const failure = calls.next('log', 'read');
        return failure ? Promise.reject(failure) : log.read(position);
      },
      readMany: (positions) => {
        const failure = calls.next('log', 'readMany');
        return failure ? Promise.reject(failure) : log.readMany(positions);
      },
      replay: (from) => {
        const failure = calls.next('log', 'replay');
        return failure ? failing(failure) : log.replay(from);
      },
      get start() {
        return log.start;
      },
      get end() {
        return log.end;
      },
      pruneBefore: (position) => log.pruneBefore(position),
      close: () => log.close(),
    };
  }

  /** Power is gone: of the frames that were not synced the first few may have reached the disk. */
  async crash(): Promise<void> {
    const kept = this.#random.chance(0.5) ? 0 : this.#random.integer(1, MAX_KEPT_FRAMES);
    this.log = this.log.crash(kept);
    this.keyValueStore = this.keyValueStore.crash(this.#random.integer(0, 2));
    this.calls.reset();
    this.#settled += this.#pending.length;
    this.#pending = [];
    for await (const record of this.log.replay(this.log.start)) this.#note(record);
  }

  #note(record: LogRecord): void {
    if (record.kind > MAX_NODE_RECORD_KIND) return;
    const decoded = decodeRecord(record);
    if (decoded.type === 'epochEnded') this.ends.set(decoded.block.header.epoch, decoded);
    if (decoded.type === 'vote') this.votes.add(voteName(decoded.vote));
    if (decoded.type !== 'batch') return;
    const digest = batchDigest(decoded.signed.header);
    this.batches.add(toHex(digest));
    this.#events.onBatch(decoded.signed, digest);
  }
}

export function voteName({ kind, epoch, view, blockHash }: Vote): string {
  return `${kind} ${epoch} ${view} ${toHex(blockHash)}`;
}
