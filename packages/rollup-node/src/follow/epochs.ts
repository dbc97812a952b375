/**
 * Whom a follower believes (R22): the validator set of the epoch that it is in, and from each to the next by the proof that
 * the epoch is over. A proof needs no trust in who gives it.
 */

import { createVoteScheme, type VoteScheme, verifyHandOver } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import {
  type Bytes32,
  decodeHandOverProof,
  type Epoch,
  epochOfHeight,
  err,
  type Height,
  lastHeightOf,
  ok,
  type Result,
  type ValidatorSet,
} from '@squad/types';

/** Sets that were proven before: a node need not ask for all proofs since genesis at each start. */
export interface ProvenSets {
  read(epoch: Epoch): Promise<ValidatorSet | undefined>;
  /** Durable when it resolves. */
  write(set: ValidatorSet): Promise<void>;
}

export interface EpochsConfig {
  readonly networkId: Bytes32;
  readonly epochLengthBlocks: number;
  /** Of epoch 0. */
  readonly first: ValidatorSet;
  readonly sets: ProvenSets;
}

export class Epochs {
  readonly #config: EpochsConfig;
  #validatorSet: ValidatorSet;
  #scheme: VoteScheme;

  /** With the latest set that is known of the epoch of a block, or of one before it. */
  static async open(config: EpochsConfig, height: Height): Promise<Epochs> {
    for (let epoch = epochOfHeight(height, config.epochLengthBlocks); epoch > 0; epoch--) {
      const set = await config.sets.read(epoch);
      if (set) return new Epochs(config, set);
    }
    return new Epochs(config, config.first);
  }

  constructor(config: EpochsConfig, validatorSet: ValidatorSet) {
    this.#config = config;
    this.#validatorSet = validatorSet;
    this.#scheme = createVoteScheme(blstBls, validatorSet);
  }

  get validatorSet(): ValidatorSet {
    return this.#validatorSet;
  }

  /** Checks votes of the set. */
  get scheme(): VoteScheme {
    return this.#scheme;
  }

  /** Whether the block at a height is of a later epoch. */
  endsBefore(height: Height): boolean {
    return height > this.#lastHeight;
  }

  /** Goes on to the next set, if these bytes prove it; what is wrong with them otherwise. */
  async take(bytes: Uint8Array): Promise<Result<ValidatorSet, string>> {
    const { networkId, sets } = this.#config;
    const proof = decodeHandOverProof(bytes);
    if (!proof.ok) return err(proof.error.reason);
    const context = {
      networkId,
      validatorSet: this.#validatorSet,
      lastHeight: this.#lastHeight,
      scheme: this.#scheme,
    };
    const next = verifyHandOver(proof.value, context);
    if (!next.ok) return err(next.error.reason);
    await sets.write(next.value);
    this.#validatorSet = next.value;
    this.#scheme = createVoteScheme(blstBls, next.value);
    return ok(next.value);
  }

  get #lastHeight(): Height {
    return lastHeightOf(this.#validatorSet.epoch, this.#config.epochLengthBlocks);
  }
}
