/**
 * A light client: from a trusted checkpoint to the present with one hand-over proof for each epoch and one certificate for a
 * head. It trusts none of those it asks, and stops if two of them prove histories that exclude each other.
 */

import {
  type BlockProof,
  blockHash,
  type Certificate,
  type Epoch,
  equalBytes,
  type HandOverProof,
  type Height,
  type Hex,
  type Result,
  SquadError,
  toHex,
  type ValidatorSet,
  validatorSetHash,
} from '@squad/types';
import { type CertifiedBlock, type ProofOptions, verifyBlockProof } from '../proof/block-proof.ts';
import type { Checkpoint } from '../proof/checkpoint.ts';
import { conflictingHistory, conflictOf } from './conflict.ts';
import { type KnownSet, verifyHandOverFrom } from './hand-over.ts';

/** Whom a light client asks: a sequencer, an archive, a file. It may fail, and it may lie. */
export interface LightClientSource {
  readonly name: string;
  /** The proof of the end of an epoch; undefined if the epoch has not ended, as far as it knows. */
  handOver(epoch: Epoch): Promise<HandOverProof | undefined>;
  /** The newest final block that it has. */
  finalBlock(): Promise<BlockProof | undefined>;
}

export interface LightClientConfig extends ProofOptions {
  readonly checkpoint: Checkpoint;
  /** The set of the checkpoint. */
  readonly validatorSet: ValidatorSet;
  /** Told of each source that gave what fails verification. */
  readonly onRefused?: (liar: { readonly source: string; readonly error: SquadError }) => void;
}

/** Final blocks that are remembered, to be compared with what comes later; the lowest is forgotten. */
export const MAX_REMEMBERED_BLOCKS = 256;

/** Sets that were reached and are remembered, for proofs of epochs before the present one; the earliest is forgotten. */
export const MAX_REMEMBERED_SETS = 256;

/**
 * Keep `known` to go on from the next time; `head` is the newest final block.
 *
 * @example
 * const client = new LightClient({ checkpoint, validatorSet });
 * const { checkpoint: present } = await client.advance(endpoints.map((endpoint) => lightClientSource(endpoint)));
 */
export class LightClient {
  readonly #config: LightClientConfig;
  /** By hash, in the order of their epochs. */
  readonly #sets = new Map<Hex, KnownSet>();
  readonly #blocks = new Map<Height, CertifiedBlock>();
  #known: KnownSet;
  #head: CertifiedBlock | undefined;

  /** Throws `WRONG_VALIDATOR_SET` if the set is not the checkpoint's. */
  constructor(config: LightClientConfig) {
    const { checkpoint, validatorSet } = config;
    if (!equalBytes(validatorSetHash(validatorSet), checkpoint.validatorSetHash)) {
      throw new SquadError(
        'WRONG_VALIDATOR_SET',
        'the validator set is not the one whose hash the checkpoint has',
        'Give the set of the checkpoint: that of the genesis file, or of a block proof of its epoch.',
      );
    }
    this.#config = config;
    this.#known = { checkpoint, validatorSet };
    this.#sets.set(toHex(checkpoint.validatorSetHash), this.#known);
  }

  /** The set of the newest epoch that was reached, and its checkpoint: keep it to go on from. */
  get known(): KnownSet {
    return this.#known;
  }

  /** A set that was reached, by its hash: to judge a proof of its epoch. */
  knownSet(hash: Hex): KnownSet | undefined {
    return this.#sets.get(hash);
  }

  /** The highest final block that was accepted. */
  get head(): CertifiedBlock | undefined {
    return this.#head;
  }

  /**
   * Goes as far as the sources prove, one epoch after another, then takes their heads. All are asked at each step, so that one
   * honest source is enough, and enough to notice a fork. Throws `CONFLICTING_HISTORY`, whose `data.conflict` is a `Conflict`.
   *
   * @example
   * const client = new LightClient({ checkpoint, validatorSet: genesis.validatorSet });
   * await client.advance(endpoints.map((endpoint) => lightClientSource(endpoint)));
   * console.log(client.known.validatorSet.epoch, client.head?.header.height);
   */
  async advance(sources: readonly LightClientSource[]): Promise<KnownSet> {
    do {
      while (await this.#handOver(sources));
    } while ((await this.#takeHeads(sources)) && (await this.#handOver(sources)));
    return this.#known;
  }

  /** Verifies a final block of the present epoch and compares it with those before. Throws `CONFLICTING_HISTORY`. */
  acceptBlock(proof: Uint8Array | BlockProof): Result<CertifiedBlock, SquadError> {
    const verified = verifyBlockProof(proof, this.#known.checkpoint, this.#config);
    if (!verified.ok || verified.value.stage !== 'final') return verified;
    const block = verified.value;
    const { height } = block.header;
    const before = this.#blocks.get(height);
    if (before && !equalBytes(before.hash, block.hash)) {
      throw this.#conflict(`block ${height}`, before.certificate, block.certificate);
    }
    if (!before) this.#remember(block);
    if (height > (this.#head?.header.height ?? -1)) this.#head = block;
    return verified;
  }

  /** Whether one of them is of a later epoch, which may have begun meanwhile. */
  async #takeHeads(sources: readonly LightClientSource[]): Promise<boolean> {
    const { epoch } = this.#known.validatorSet;
    const answers = await askAll(sources, (source) => source.finalBlock());
    for (const { source, answer } of answers) {
      // A source that is an epoch behind, or ahead, says nothing false.
      if (answer.block.header.epoch !== epoch) continue;
      const accepted = this.acceptBlock(answer);
      if (!accepted.ok) this.#config.onRefused?.({ source, error: accepted.error });
    }
    return answers.some(({ answer }) => answer.block.header.epoch > epoch);
  }

  /** False if no source proves that the epoch has ended. */
  async #handOver(sources: readonly LightClientSource[]): Promise<boolean> {
    const { epoch } = this.#known.validatorSet;
    const answers = await askAll(sources, (source) => source.handOver(epoch));
    let found:
      | { readonly next: KnownSet; readonly boundary: Uint8Array; readonly certificate: Certificate }
      | undefined;
    for (const { source, answer } of answers) {
      const next = verifyHandOverFrom(this.#known, answer, this.#config);
      if (!next.ok) {
        this.#config.onRefused?.({ source, error: next.error });
        continue;
      }
      const boundary = blockHash(answer.boundaryHeader);
      const certificate = answer.certificate;
      if (found && !equalBytes(found.boundary, boundary)) {
        throw this.#conflict(`the end of epoch ${epoch}`, found.certificate, certificate);
      }
      found ??= { next: next.value, boundary, certificate };
    }
    if (!found) return false;
    this.#known = found.next;
    this.#sets.set(toHex(found.next.checkpoint.validatorSetHash), found.next);
    if (this.#sets.size > MAX_REMEMBERED_SETS) this.#sets.delete(this.#sets.keys().next().value!);
    // Those of the epoch that is over are judged by another set.
    this.#blocks.clear();
    return true;
  }

  #conflict(what: string, first: Certificate, second: Certificate): SquadError {
    const { checkpoint, validatorSet } = this.#known;
    const conflict = conflictOf(checkpoint.networkId, validatorSet, first, second, this.#config.bls);
    return conflictingHistory(what, conflict);
  }

  #remember(block: CertifiedBlock): void {
    this.#blocks.set(block.header.height, block);
    if (this.#blocks.size > MAX_REMEMBERED_BLOCKS) this.#blocks.delete(Math.min(...this.#blocks.keys()));
  }
}

/** What the sources that answered gave; those that failed or had nothing are left out. */
async function askAll<T>(
  sources: readonly LightClientSource[],
  ask: (source: LightClientSource) => Promise<T | undefined>,
): Promise<{ readonly source: string; readonly answer: T }[]> {
  const answers = await Promise.all(
    sources.map(async (source) => ({ source: source.name, answer: await ask(source).catch(() => undefined) })),
  );
  return answers.flatMap(({ source, answer }) => (answer === undefined ? [] : [{ source, answer }]));
}
