/**
 * What a validator's work costs: the figures of `npm run bench:micro`, none of them invented. What it did not measure costs nothing
 * here (docs/benchmarks.md says what that is). Microseconds.
 */

import { SquadError } from '@squad/types';

/** What one copy of a frame adds on the wire: TCP/IP, TLS, yamux. As in the simulator of whole sequencers. */
export const FRAME_OVERHEAD_BYTES = 60;
/** The batch that was measured. */
export const MEASURED_BATCH_BYTES: number = 128 * 1024;

const DATA_FRAME_BYTES = [65_536, 500_000] as const;
const DISK_BYTES = [200, MEASURED_BATCH_BYTES] as const;

/** Cases by name, in microseconds; `factor`: a processor so many times slower (the disk stays). */
export class Costs {
  readonly #cases: Readonly<Record<string, number>>;
  readonly #factor: number;

  constructor(cases: Readonly<Record<string, number>>, factor = 1) {
    this.#cases = cases;
    this.#factor = factor;
  }

  /** Throws `MICRO_CASE_MISSING` if the record has no such case. */
  #of(name: string): number {
    const microseconds = this.#cases[name];
    if (microseconds === undefined) {
      throw new SquadError(
        'MICRO_CASE_MISSING',
        `the record of bench:micro has no case ${name}`,
        'Write it anew: npm run bench:micro -- --reference',
      );
    }
    return microseconds;
  }

  #cpu(name: string): number {
    return this.#factor * this.#of(name);
  }

  /** On the line through two sizes that were measured; below the smaller one as at that. */
  #between(small: string, large: string, [from, to]: readonly [number, number], size: number): number {
    const least = this.#of(small);
    return least + ((this.#of(large) - least) * Math.max(0, size - from)) / (to - from);
  }

  get sign(): number {
    return this.#cpu('vote-sign');
  }

  verify(signers: number): number {
    if (signers === 1) return this.#cpu('vote-verify');
    return this.#factor * this.#between('certificate-verify-4', 'certificate-verify-100', QUORUMS, signers);
  }

  aggregate(signatures: number): number {
    return this.#factor * this.#between('votes-aggregate-4', 'votes-aggregate-100', QUORUMS, signatures);
  }

  /** One end of a frame on the consensus channel: half of what both ends cost, which were measured together. */
  get frame(): number {
    return this.#cpu('frame-consensus-200') / 2;
  }

  /** One end of a batch on its way. */
  dataFrame(bytes: number): number {
    return (this.#factor * this.#between('frame-data-64k', 'frame-data-512k', DATA_FRAME_BYTES, bytes)) / 2;
  }

  /** Header and refs, out or in; hashing the header with it. */
  encodeBlock(refs: number): number {
    return this.#cpu('block-encode-16-refs') * Math.max(1, refs / 16) + this.#cpu('block-hash');
  }

  decodeBlock(refs: number): number {
    return this.#cpu('block-decode-16-refs') * Math.max(1, refs / 16) + this.#cpu('block-hash');
  }

  /** Body root and signature, then SSZ. A small batch is charged as one of the size that was measured. */
  sealBatch(bytes: number): number {
    return (this.#cpu('batch-seal-128k') + this.#cpu('batch-encode-128k')) * shareOf(bytes);
  }

  checkBatch(bytes: number): number {
    return (this.#cpu('batch-decode-128k') + this.#cpu('batch-verify-128k')) * shareOf(bytes);
  }

  /** Until what one turn appends is durable; nothing else of the node stands still meanwhile. */
  sync(batchBytes: number): number {
    if (batchBytes === 0) return this.#of('wal-append-sync-200');
    return this.#between('store-batch-200', 'store-batch-128k', DISK_BYTES, batchBytes);
  }
}

/** Quorums of the sets of 4 and of 100 that were measured. */
const QUORUMS = [3, 67] as const;

function shareOf(bytes: number): number {
  return Math.max(1, bytes / MEASURED_BATCH_BYTES);
}
