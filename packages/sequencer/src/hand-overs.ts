/** The proofs of the ends of epochs that this node has (R22), one for each epoch that is over. */

import type { NodeStore } from '@squad/storage';
import {
  type BlockHeader,
  blockHash,
  type Certificate,
  decodeHandOverProof,
  type Epoch,
  equalBytes,
  HandOverProof,
  SquadError,
} from '@squad/types';

export class HandOvers {
  readonly #store: Pick<NodeStore, 'getMeta' | 'setMeta'>;

  constructor(store: Pick<NodeStore, 'getMeta' | 'setMeta'>) {
    this.#store = store;
  }

  /** The record of the epoch's end must be durable already: what is kept here is shown to anyone. */
  async keep(proof: HandOverProof): Promise<void> {
    await this.#store.setMeta(keyOf(proof.boundaryHeader.epoch), HandOverProof.serialize(proof));
  }

  /** The encoded proof that an epoch is over; undefined if it is not, or not here. */
  encoded(epoch: Epoch): Promise<Uint8Array | undefined> {
    return this.#store.getMeta(keyOf(epoch));
  }

  async read(epoch: Epoch): Promise<HandOverProof | undefined> {
    const bytes = await this.encoded(epoch);
    if (bytes === undefined) return undefined;
    const proof = decodeHandOverProof(bytes);
    if (proof.ok) return proof.value;
    throw new SquadError(
      'HAND_OVER_UNREADABLE',
      `the proof of the end of epoch ${epoch} in the store cannot be read: ${proof.error.reason}`,
      'The data folder was written by another version of squad, or is damaged. Start the version that wrote it.',
      { epoch },
    );
  }
}

/**
 * From a final block to the header that the finalization stored with it names: none, or, of an epoch's last block, its
 * epilogue up to there (R22).
 */
export async function epilogueTo(
  certificate: Certificate,
  header: BlockHeader,
  handOvers: Pick<HandOvers, 'read'>,
): Promise<readonly BlockHeader[]> {
  const hash = blockHash(header);
  if (equalBytes(certificate.blockHash, hash)) return [];
  const proof = await handOvers.read(header.epoch);
  return proof && equalBytes(blockHash(proof.boundaryHeader), hash) ? proof.path : [];
}

function keyOf(epoch: Epoch): string {
  return `hand-over/${epoch}`;
}
