/**
 * Two batches for one place of a lane, whole and signed, each for a part of the others (R5). Either is given to whoever asks
 * for it by its digest. Their own node holds the one that it has made.
 */

import type { Random } from '@squad/consensus/sim';
import { bodyRoot, type NodeKey, signBatchHeader } from '@squad/crypto';
import { sha256 } from '@squad/crypto/node';
import {
  type Batch,
  BatchesRequest,
  BatchesResponse,
  batchDigest,
  encodeBatch,
  encodeBody,
  toHex,
  type ValidatorIndex,
} from '@squad/types';

const TRANSACTION_BYTES = 40;

interface Twin {
  readonly batch: Batch;
  readonly digest: Uint8Array;
}

export class LaneEquivocator {
  readonly #random: Random;
  readonly #key: Pick<NodeKey, 'sign'>;
  /** Those who get the second one. */
  readonly #side: ReadonlySet<ValidatorIndex>;
  /** By the digest of the first one. */
  readonly #twins = new Map<string, Twin>();
  readonly #byOwnDigest = new Map<string, Batch>();

  constructor(random: Random, others: readonly ValidatorIndex[], key: Pick<NodeKey, 'sign'>) {
    this.#random = random;
    this.#key = key;
    this.#side = new Set(random.shuffle(others).slice(0, random.integer(1, Math.max(1, others.length - 1))));
  }

  /** What `to` gets of an own batch. */
  batchFor(to: ValidatorIndex, batch: Batch): Batch {
    return this.#side.has(to) ? this.#twinOf(batch).batch : batch;
  }

  /** An honest answer to a request for batches, and those that were asked for and only the side has. */
  withTwins(request: Uint8Array, answer: Uint8Array): Uint8Array {
    const twins = BatchesRequest.deserialize(request).flatMap((digest) => this.#byOwnDigest.get(toHex(digest)) ?? []);
    if (twins.length === 0) return answer;
    return BatchesResponse.serialize([...BatchesResponse.deserialize(answer), ...twins.map(encodeBatch)]);
  }

  #twinOf(batch: Batch): Twin {
    const { header } = batch.signed;
    const name = toHex(batchDigest(header));
    const known = this.#twins.get(name);
    if (known) return known;
    const random = this.#random;
    const body = encodeBody([random.bytes(TRANSACTION_BYTES)]);
    // A branch of its own, or one batch beside the lane.
    const before = this.#twins.get(toHex(header.previousDigest));
    const signed = signBatchHeader(
      {
        ...header,
        previousDigest: before && random.chance(0.7) ? before.digest : header.previousDigest,
        bodyRoot: bodyRoot(body, sha256),
        byteLength: body.length,
        transactionCount: 1,
      },
      this.#key,
    );
    const twin = { batch: { signed, body }, digest: batchDigest(signed.header) };
    this.#twins.set(name, twin);
    this.#byOwnDigest.set(toHex(twin.digest), twin.batch);
    return twin;
  }
}
