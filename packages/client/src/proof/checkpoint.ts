/** What a verifier of proofs trusts, and nothing else: a network and one validator set of it. */

import { type Bytes32, type Genesis, type ValidatorSet, validatorSetHash } from '@squad/types';

export interface Checkpoint {
  /** Binds the genesis file: name, start, epoch length, first set, rollups. 32 bytes. */
  readonly networkId: Bytes32;
  /** Heights of one epoch (R22), from the genesis file. */
  readonly epochLengthBlocks: number;
  /** Hash tree root of the set, which holds its epoch. 32 bytes. */
  readonly validatorSetHash: Bytes32;
}

/**
 * The checkpoint of a genesis file, or of a later set of the same network.
 *
 * @example
 * const genesis = parseGenesis(JSON.parse(genesisText));
 * if (!genesis.ok) throw genesis.error;
 * const checkpoint = checkpointOf(genesis.value);
 */
export function checkpointOf(genesis: Genesis, validatorSet: ValidatorSet = genesis.validatorSet): Checkpoint {
  return {
    networkId: genesis.networkId,
    epochLengthBlocks: genesis.file.epochLengthBlocks,
    validatorSetHash: validatorSetHash(validatorSet),
  };
}
