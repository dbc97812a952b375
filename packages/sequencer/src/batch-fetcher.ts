/** Batches that are referenced and not held here, asked for by digest: likely holders first, then anyone (R11, R21). */

import { type BatchFault, isBodyOf } from '@squad/crypto';
import { sha256, verifyBatch } from '@squad/crypto/node';
import type { Network, PeerId } from '@squad/network';
import type { Logger } from '@squad/service';
import {
  type Batch,
  type BatchDigest,
  BatchesRequest,
  BatchesResponse,
  type BatchRef,
  type Bytes32,
  batchDigest,
  decode,
  decodeBatch,
  MAX_BATCHES_PER_REQUEST,
  toHex,
  type ValidatorIndex,
  type ValidatorSet,
} from '@squad/types';
import type { StoredBatch } from './actor.ts';
import { AskOrder } from './ask-order.ts';
import { MAX_BATCHES_ANSWER_BYTES } from './peer-requests.ts';

/** Batches that are being asked for at once; what is beyond is asked for again by who needs it. */
export const MAX_BATCHES_IN_FETCH = 512;

export interface BatchFetcherConfig {
  readonly networkId: Bytes32;
  /** Of the epoch whose batches are fetched; undefined: of blocks that are final, whose certificates vouch for what their refs name. */
  readonly validatorSet: ValidatorSet | undefined;
  readonly self: ValidatorIndex | undefined;
  readonly network: () => Pick<Network, 'request' | 'connectedValidators' | 'formerValidators'>;
  readonly blame: (peer: ValidatorIndex | PeerId, reason: string) => void;
  readonly isHeld: (digest: BatchDigest) => boolean;
  readonly store: (batch: StoredBatch) => Promise<void>;
  readonly logger: Logger;
}

export class BatchFetcher {
  readonly #config: BatchFetcherConfig;
  readonly #inFetch = new Set<BatchDigest>();
  readonly #order = new AskOrder();

  constructor(config: BatchFetcherConfig) {
    this.#config = config;
  }

  /** Batches that are being asked for. */
  get size(): number {
    return this.#inFetch.size;
  }

  /** Resolves when each batch is durable here or nobody who could be asked has it. */
  async fetch(refs: readonly BatchRef[], holders: readonly ValidatorIndex[]): Promise<void> {
    const wanted: BatchDigest[] = [];
    for (const { digest } of refs) {
      const hex = toHex(digest);
      if (this.#inFetch.size >= MAX_BATCHES_IN_FETCH) break;
      if (this.#inFetch.has(hex) || this.#config.isHeld(hex)) continue;
      this.#inFetch.add(hex);
      wanted.push(hex);
    }
    const byHex = new Map(refs.map((ref) => [toHex(ref.digest), ref.digest]));
    const chunks: BatchDigest[][] = [];
    for (let i = 0; i < wanted.length; i += MAX_BATCHES_PER_REQUEST)
      chunks.push(wanted.slice(i, i + MAX_BATCHES_PER_REQUEST));
    try {
      await Promise.all(
        chunks.map((chunk) => this.#fetchChunk(new Map(chunk.map((hex) => [hex, byHex.get(hex)!])), holders)),
      );
    } finally {
      for (const hex of wanted) this.#inFetch.delete(hex);
    }
  }

  /** Asks one peer after another until nothing is missing. */
  async #fetchChunk(missing: Map<BatchDigest, Bytes32>, holders: readonly ValidatorIndex[]): Promise<void> {
    const { network, self, logger } = this.#config;
    const peers = this.#order.of(network().connectedValidators, holders).filter((peer) => peer !== self);
    // A set that is new as a whole has to get the last bodies of the epoch before from those who had them.
    for (const peer of [...peers, ...network().formerValidators]) {
      try {
        for (let isFull = true; isFull && missing.size > 0; ) {
          const request = BatchesRequest.serialize([...missing.values()]);
          const answer = await this.#order.ask(peer, () => network().request(peer, 'batches', request));
          const before = missing.size;
          await this.#takeAnswer(peer, answer, missing);
          // The rest did not fit; one that only sends little by little must not keep the others from being asked.
          isFull = answer.length >= MAX_BATCHES_ANSWER_BYTES / 2 && missing.size < before;
        }
      } catch (error) {
        logger.debug({ err: error, peer }, 'a request for batches failed');
      }
    }
  }

  async #takeAnswer(
    peer: ValidatorIndex | PeerId,
    answer: Uint8Array,
    missing: Map<BatchDigest, Bytes32>,
  ): Promise<void> {
    const { store, blame } = this.#config;
    const list = decode(BatchesResponse, 'BatchesResponse', answer);
    if (!list.ok) return blame(peer, `answered a request for batches with ${list.error.reason}`);
    const stored: Promise<void>[] = [];
    for (const bytes of list.value) {
      const batch = decodeBatch(bytes);
      if (!batch.ok) return blame(peer, `sent a batch that is none: ${batch.error.reason}`);
      const digest = batchDigest(batch.value.signed.header);
      if (!missing.has(toHex(digest))) continue; // not asked for
      const fault = this.#faultOf(batch.value);
      // It may have it from a final block, where nobody looks at the signature.
      if (fault === 'BATCH_SIGNATURE') continue;
      if (fault) return blame(peer, `answered with a batch that is not the one asked for: ${fault}`);
      missing.delete(toHex(digest));
      stored.push(store({ batch: batch.value, digest, encoded: bytes }));
    }
    await Promise.all(stored);
  }

  /** Its digest is one that was asked for. */
  #faultOf(batch: Batch): BatchFault['code'] | undefined {
    const { networkId, validatorSet } = this.#config;
    const { header } = batch.signed;
    if (!validatorSet) return isBodyOf(header, batch.body, sha256) ? undefined : 'BATCH_BODY_ROOT';
    const author = validatorSet.validators[header.author];
    if (!author) return 'BATCH_SIGNATURE';
    const checked = verifyBatch(batch, author.nodePublicKey, networkId);
    return checked.ok ? undefined : checked.error.code;
  }
}
