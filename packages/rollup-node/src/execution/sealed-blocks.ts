/**
 * The sealed blocks of an executor: those that may still be undone in memory, the others in its store, with the head and the
 * cursor, in one write.
 */

import type { RollupFile } from '../config/rollup-file.ts';
import { rollupFileHash } from '../config/rollup-file.ts';
import type { BlockSummary, Cursor } from './api.ts';
import { numberKey, RollupStore, type StoreEntry } from './store.ts';
import { decodeHead, decodeSummary, encodeHead, encodeSummary, genesisSummary } from './summary.ts';

const HEAD = new TextEncoder().encode('head');

export interface SealedBlock {
  readonly summary: BlockSummary;
}

export class SealedBlocks<Block extends SealedBlock> {
  readonly store: RollupStore;
  readonly genesis: BlockSummary;
  readonly #entriesOf: (block: Block) => StoreEntry[];
  readonly #provisional: Block[] = [];
  #latest: BlockSummary;
  #cursor: Cursor | undefined;

  private constructor(
    store: RollupStore,
    entriesOf: (block: Block) => StoreEntry[],
    genesis: BlockSummary,
    head: { readonly latest: BlockSummary; readonly cursor: Cursor | undefined },
  ) {
    this.store = store;
    this.genesis = genesis;
    this.#entriesOf = entriesOf;
    this.#latest = head.latest;
    this.#cursor = head.cursor;
  }

  /**
   * Opens or creates a rollup in a directory. `entriesOf`: what is stored of a block besides its summary. Throws SquadError
   * `ROLLUP_STORE_…` if that cannot be.
   */
  static async open<Block extends SealedBlock>(
    file: RollupFile,
    directory: string,
    entriesOf: (block: Block) => StoreEntry[],
  ): Promise<SealedBlocks<Block>> {
    const identity = rollupFileHash(file);
    const store = await RollupStore.open(directory, identity);
    const stored = store.get('meta', HEAD);
    const genesis = genesisSummary(file, identity);
    const head = stored === undefined ? { latest: genesis, cursor: undefined } : decodeHead(stored);
    return new SealedBlocks(store, entriesOf, genesis, head);
  }

  /** The newest stored one. */
  get latest(): BlockSummary {
    return this.#latest;
  }

  /** The newest. */
  get head(): BlockSummary {
    return this.#provisional.at(-1)?.summary ?? this.#latest;
  }

  get cursor(): Cursor | undefined {
    return this.#cursor;
  }

  /** Not stored yet, ascending. */
  get provisional(): readonly Block[] {
    return this.#provisional;
  }

  summaryAt(number: number): BlockSummary | undefined {
    if (number > this.#latest.number) return this.#provisional[number - this.#latest.number - 1]?.summary;
    if (number === this.#latest.number) return this.#latest;
    const stored = this.store.get('header', numberKey(number));
    return stored && decodeSummary(stored);
  }

  /** The block upon the head. */
  push(block: Block): void {
    this.#provisional.push(block);
  }

  /** Forgets what is above a number and not stored. */
  rollback(number: number): void {
    this.#provisional.length = this.#count(number);
  }

  /** Stores what is up to a number. */
  async commit(number: number, cursor: Cursor): Promise<void> {
    const count = this.#count(number);
    const blocks = this.#provisional.slice(0, count);
    const latest = blocks.at(-1)?.summary ?? this.#latest;
    const entries = blocks.flatMap((block): StoreEntry[] => [
      ['header', numberKey(block.summary.number), encodeSummary(block.summary)],
      ...this.#entriesOf(block),
    ]);
    entries.push(['meta', HEAD, encodeHead({ latest, cursor })]);
    await this.store.commit(entries);
    this.#cursor = cursor;
    this.#latest = latest;
    this.#provisional.splice(0, count);
  }

  #count(number: number): number {
    return this.#provisional.findLastIndex(({ summary }) => summary.number <= number) + 1;
  }
}
