/**
 * A log-bucketed histogram of durations, after HdrHistogram: 256 buckets to each doubling, so a value is known to 0.4 %
 * whatever its size. Counts are numbers: a bucket takes whole requests of transactions at once.
 */

const SUB_BUCKET_BITS = 8;
const SUB_BUCKETS = 1 << SUB_BUCKET_BITS;
/** Microseconds; what is longer counts as this, some 70 minutes. */
const MAX_HISTOGRAM_US: number = 2 ** 32 - 1;
const BUCKETS = SUB_BUCKETS * (32 - SUB_BUCKET_BITS + 1);

/** Bucket and count, in turns; buckets ascend. Only those that hold something. */
export type SparseCounts = readonly number[];

export interface SparseHistogram {
  readonly counts: SparseCounts;
  readonly maxUs: number;
}

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;
  #max = 0;

  /** Adds `count` values of `valueUs` microseconds. Below zero counts as zero. */
  record(valueUs: number, count = 1): void {
    const value = Math.min(MAX_HISTOGRAM_US, Math.max(0, Math.floor(valueUs)));
    this.#counts[bucketOf(value)]! += count;
    this.#total += count;
    if (value > this.#max) this.#max = value;
  }

  get total(): number {
    return this.#total;
  }

  /** Microseconds, exact. */
  get maxUs(): number {
    return this.#max;
  }

  /** The value in microseconds that this share (0 to 1) of all values do not exceed; undefined if there are none. */
  percentileUs(share: number): number | undefined {
    if (this.#total === 0) return undefined;
    const wanted = Math.max(1, Math.ceil(share * this.#total));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= wanted) return Math.min(highestOf(bucket), this.#max);
    }
    return this.#max;
  }

  merge(other: Histogram): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#counts[bucket]! += other.#counts[bucket]!;
    this.#total += other.#total;
    this.#max = Math.max(this.#max, other.#max);
  }

  /** For another process: `fromSparse` makes the same histogram of it. */
  toSparse(): SparseHistogram {
    const counts: number[] = [];
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      if (this.#counts[bucket]! > 0) counts.push(bucket, this.#counts[bucket]!);
    }
    return { counts, maxUs: this.#max };
  }

  static fromSparse({ counts, maxUs }: SparseHistogram): Histogram {
    const histogram = new Histogram();
    for (let i = 0; i < counts.length; i += 2) {
      histogram.#counts[counts[i]!]! += counts[i + 1]!;
      histogram.#total += counts[i + 1]!;
    }
    histogram.#max = maxUs;
    return histogram;
  }
}

/** Below 256 a bucket a value; above, the leading 8 bits below the highest one choose within the doubling. */
function bucketOf(value: number): number {
  if (value < SUB_BUCKETS) return value;
  const shift = 31 - Math.clz32(value) - SUB_BUCKET_BITS;
  return SUB_BUCKETS * (shift + 1) + ((value >>> shift) - SUB_BUCKETS);
}

function highestOf(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  return ((bucket % SUB_BUCKETS) + SUB_BUCKETS + 1) * 2 ** shift - 1;
}
