/** The validator sets of the epochs whose evidence a node keeps: that of now and the ones before it (R22). */

import type { VoteScheme } from '@squad/crypto';
import type { Epoch, HandOverProof, ValidatorIndex, ValidatorSet } from '@squad/types';

/** Epochs whose evidence is held in memory, served and passed on; what was found in older ones stays on disk. */
export const MAX_EVIDENCE_EPOCHS = 16;

export interface EpochSet {
  readonly validatorSet: ValidatorSet;
  /** Checks signatures of votes of this set. */
  readonly voteVerifier: Pick<VoteScheme, 'verify'>;
  /** This node's place in it. */
  readonly self: ValidatorIndex | undefined;
}

export interface EpochSetsConfig {
  /** Of epoch 0. */
  readonly first: ValidatorSet;
  readonly handOvers: { read(epoch: Epoch): Promise<HandOverProof | undefined> };
  readonly createVerifier: (set: ValidatorSet) => Pick<VoteScheme, 'verify'>;
  readonly placeIn: (set: ValidatorSet) => { readonly self: ValidatorIndex } | undefined;
}

export class EpochSets {
  readonly #config: EpochSetsConfig;
  /** Ascending. */
  readonly #byEpoch = new Map<Epoch, EpochSet>();

  constructor(config: EpochSetsConfig, current: ValidatorSet) {
    this.#config = config;
    this.add(current);
  }

  /** Those before the present epoch, as far back as they are held. */
  async open(): Promise<void> {
    const [current] = this.#byEpoch.values();
    const { epoch } = current!.validatorSet;
    this.#byEpoch.clear();
    for (let at = Math.max(0, epoch - MAX_EVIDENCE_EPOCHS + 1); at < epoch; at++) {
      const set = at === 0 ? this.#config.first : (await this.#config.handOvers.read(at - 1))?.nextValidatorSet;
      if (set) this.add(set);
    }
    this.#byEpoch.set(epoch, current!);
  }

  /** The set of the epoch that begins. */
  add(validatorSet: ValidatorSet): void {
    const { createVerifier, placeIn } = this.#config;
    let verifier: Pick<VoteScheme, 'verify'> | undefined;
    this.#byEpoch.set(validatorSet.epoch, {
      validatorSet,
      self: placeIn(validatorSet)?.self,
      // Few nodes ever need that of an epoch which is over.
      voteVerifier: {
        verify: (...signed) => {
          verifier ??= createVerifier(validatorSet);
          return verifier.verify(...signed);
        },
      },
    });
    if (this.#byEpoch.size > MAX_EVIDENCE_EPOCHS) this.#byEpoch.delete(this.#byEpoch.keys().next().value!);
  }

  get(epoch: Epoch): EpochSet | undefined {
    return this.#byEpoch.get(epoch);
  }

  all(): EpochSet[] {
    return [...this.#byEpoch.values()];
  }
}
