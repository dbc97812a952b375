/** The key-value store in memory, for simulations and tests, with the crash that forgets what was not synced. */

import type { KeyRange, KeyValueEntry, KeyValueStore } from '../api.ts';
import { keyValueClosed } from '../errors.ts';

type Pair = readonly [key: Uint8Array, value: Uint8Array];

export class MemoryKeyValueStore implements KeyValueStore {
  /** Ascending by key. */
  #pairs: Pair[] = [];
  /** Writes since the last synced one, in order. */
  #unsynced: (readonly KeyValueEntry[])[] = [];
  #durable: Pair[] = [];
  #isClosed = false;

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#refuseIfClosed();
    return this.#find(key);
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.#refuseIfClosed();
    return keys.map((key) => this.#find(key));
  }

  async write(entries: readonly KeyValueEntry[], options: { readonly sync?: boolean } = {}): Promise<void> {
    this.#refuseIfClosed();
    const copied = entries.map(([key, value]) => [key.slice(), value?.slice()] as const);
    apply(this.#pairs, copied);
    this.#unsynced.push(copied);
    if (options.sync !== true) return;
    for (const write of this.#unsynced) apply(this.#durable, write);
    this.#unsynced = [];
  }

  async *range(options: KeyRange): AsyncIterable<Pair> {
    this.#refuseIfClosed();
    const from = options.gte === undefined ? 0 : lowerBound(this.#pairs, options.gte);
    const to = options.lt === undefined ? this.#pairs.length : lowerBound(this.#pairs, options.lt);
    const pairs = this.#pairs.slice(from, Math.max(from, to));
    if (options.reverse === true) pairs.reverse();
    yield* pairs.slice(0, options.limit ?? pairs.length);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  /** Ends this store as a power failure would, and returns what the next start finds; `keptWrites` unsynced ones survive. */
  crash(keptWrites: number = 0): MemoryKeyValueStore {
    this.#isClosed = true;
    const next = new MemoryKeyValueStore();
    next.#pairs = this.#durable.slice();
    for (const write of this.#unsynced.slice(0, keptWrites)) apply(next.#pairs, write);
    next.#durable = next.#pairs.slice();
    return next;
  }

  /** What a start after an orderly end finds. */
  reopen(): MemoryKeyValueStore {
    return this.crash(this.#unsynced.length);
  }

  #find(key: Uint8Array): Uint8Array | undefined {
    const pair = this.#pairs[lowerBound(this.#pairs, key)];
    return pair !== undefined && Buffer.compare(pair[0], key) === 0 ? pair[1] : undefined;
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw keyValueClosed('(memory)');
  }
}

function apply(pairs: Pair[], entries: readonly KeyValueEntry[]): void {
  for (const [key, value] of entries) {
    const index = lowerBound(pairs, key);
    const found = pairs[index];
    const isHeld = found !== undefined && Buffer.compare(found[0], key) === 0;
    if (value === undefined) {
      if (isHeld) pairs.splice(index, 1);
    } else {
      pairs.splice(index, isHeld ? 1 : 0, [key, value]);
    }
  }
}

function lowerBound(pairs: readonly Pair[], key: Uint8Array): number {
  let low = 0;
  let high = pairs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(pairs[middle]![0], key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
