/** The final chain as one node holds it, and what its records alone say of it after a crash. */

import { type BatchRef, type Block, blockHash, type Certificate, MAX_BLOCKS_PER_RANGE } from '@squad/types';
import type { ConsensusRecord } from '../src/api.ts';
import { hexOf } from './memo.ts';

export class FinalChain {
  /** Heights from 1. */
  readonly #blocks: Block[] = [];
  /** Finalizations of single heights, those that came with a delivery. */
  readonly #certificates = new Map<number, Certificate>();
  /** Per epoch, per author. */
  readonly #nextSeq = new Map<number, Map<number, number>>();
  /** Infinite without epochs. */
  readonly #epochLength: number;

  constructor(epochLength: number = Number.POSITIVE_INFINITY) {
    this.#epochLength = epochLength;
  }

  get height(): number {
    return this.#blocks.length;
  }

  at(height: number): Block | undefined {
    return this.#blocks[height - 1];
  }

  above(height: number): readonly Block[] {
    return this.#blocks.slice(height);
  }

  append(blocks: readonly Block[], certificate: Certificate): void {
    for (const block of blocks) {
      if (block.header.height <= this.height) continue;
      this.#blocks.push(block);
      let lanes = this.#nextSeq.get(block.header.epoch);
      if (!lanes) {
        lanes = new Map();
        this.#nextSeq.set(block.header.epoch, lanes);
      }
      for (const { author, seq } of block.refs) lanes.set(author, seq + 1);
    }
    this.#certificates.set(blocks.at(-1)!.header.height, certificate);
  }

  nextSeq(epoch: number, author: number): number {
    return this.#nextSeq.get(epoch)?.get(author) ?? 0;
  }

  isOrdered(epoch: number, { author, seq }: Pick<BatchRef, 'author' | 'seq'>): boolean {
    return seq < this.nextSeq(epoch, author);
  }

  /** The longest answer from a height on that ends in a block with a finalization of its own, or with its epoch. */
  range(
    fromHeight: number,
    upTo: number,
  ): { readonly blocks: readonly Block[]; readonly certificate: Certificate } | undefined {
    const boundary = Math.ceil(fromHeight / this.#epochLength) * this.#epochLength || Number.POSITIVE_INFINITY;
    const last = Math.min(this.height, upTo, fromHeight + MAX_BLOCKS_PER_RANGE - 1, boundary);
    for (let height = last; height >= fromHeight; height--) {
      const certificate = this.#certificates.get(height);
      if (certificate) return { blocks: this.#blocks.slice(fromHeight - 1, height), certificate };
    }
    return undefined;
  }
}

/** The final blocks above a height that the records tell of, ascending; undefined if one of them is missing. */
export function finalBlocksIn(
  records: readonly ConsensusRecord[],
  known: ReadonlyMap<string, Block>,
  aboveHeight: number,
): { readonly blocks: readonly Block[]; readonly certificate: Certificate | undefined } | undefined {
  let last: { readonly hash: string; readonly height: number; readonly certificate: Certificate } | undefined;
  for (const record of records) {
    if (record.type === 'finalized') last = record;
    if (record.type === 'epochEnded') {
      const { header } = record.block;
      last = { hash: hexOf(blockHash(header)), height: header.height, certificate: record.proof.certificate };
    }
    if (record.type === 'checkpoint') {
      const { finalized, finalization } = record.checkpoint;
      last = { hash: hexOf(blockHash(finalized.header)), height: finalized.header.height, certificate: finalization };
    }
  }
  if (!last) return { blocks: [], certificate: undefined };
  const blocks: Block[] = [];
  let { hash } = last;
  for (let height = last.height; height > aboveHeight; height--) {
    const block = known.get(hash);
    if (block?.header.height !== height) return undefined;
    blocks.unshift(block);
    hash = hexOf(block.header.parentHash);
  }
  return { blocks, certificate: last.certificate };
}
