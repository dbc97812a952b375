/** Makes receipts and proofs of blocks from what the node holds. One block, one batch and its path are read for each. */

import { proveTransaction } from '@squad/client';
import { keccak256, sha256 } from '@squad/crypto/node';
import type { NodeStore } from '@squad/storage';
import {
  type BlockHash,
  type BlockProof,
  blockHashHex,
  bodyTransaction,
  type Certificate,
  decodeBatch,
  type Epoch,
  type Height,
  MAX_BLOCKS_PER_RANGE,
  type OrderingReceipt,
  type TransactionHash,
  toHex,
  type ValidatorSet,
} from '@squad/types';
import type { SequencerApi } from './rpc/api.ts';
import type { Sequencer } from './sequencer.ts';

/** Notarizations of the last soft blocks, for receipts of what is not final yet; the oldest is dropped. */
export const MAX_HELD_NOTARIZATIONS = 64;

export interface ReceiptParts extends Pick<SequencerApi, 'block' | 'certificate' | 'transactionStatus'> {
  readonly sequencer: Pick<Sequencer, 'listen'>;
  readonly store: Pick<NodeStore, 'readBatch'>;
  /** Undefined for an epoch whose set is not known here. */
  readonly setOf: (epoch: Epoch) => Promise<ValidatorSet | undefined>;
}

export class Receipts {
  readonly #parts: ReceiptParts;
  readonly #notarizations = new Map<BlockHash, Certificate>();

  constructor(parts: ReceiptParts) {
    this.#parts = parts;
    parts.sequencer.listen(({ stage, block }, certificate) => {
      if (stage === 'soft') this.#hold(blockHashHex(block.header), certificate);
    });
  }

  async receipt(hash: TransactionHash): Promise<OrderingReceipt | undefined> {
    const place = await this.#parts.transactionStatus(hash);
    if (place.status !== 'soft' && place.status !== 'final') return undefined;
    const proof = await this.blockProof(place.height);
    // What was soft may have been replaced between the two looks.
    if (!proof || blockHashHex(proof.block.header) !== place.blockHash) return undefined;
    const { batchIndex, transactionIndex } = place;
    const encoded = await this.#parts.store.readBatch(toHex(proof.block.refs[batchIndex]!.digest));
    const batch = encoded && decodeBatch(encoded);
    if (!batch?.ok || transactionIndex >= batch.value.signed.header.transactionCount) return undefined;
    if (toHex(keccak256(bodyTransaction(batch.value.body, transactionIndex))) !== hash) return undefined;
    return proveTransaction(proof, batch.value, { batchIndex, transactionIndex }, { sha256, keccak256 });
  }

  async blockProof(height: Height): Promise<BlockProof | undefined> {
    const staged = await this.#parts.block({ height });
    const validatorSet = staged && (await this.#parts.setOf(staged.block.header.epoch));
    if (!staged || !validatorSet) return undefined;
    const { block, stage } = staged;
    if (stage === 'soft') {
      const certificate = this.#notarizations.get(blockHashHex(block.header));
      return certificate && { validatorSet, block, path: [], certificate };
    }
    const finalization = await this.#parts.certificate(height);
    // An epilogue may be longer than what a proof holds.
    if (!finalization || finalization.path.length > MAX_BLOCKS_PER_RANGE) return undefined;
    return { validatorSet, block, path: [...finalization.path], certificate: finalization.certificate };
  }

  #hold(hash: BlockHash, certificate: Certificate): void {
    this.#notarizations.set(hash, certificate);
    if (this.#notarizations.size > MAX_HELD_NOTARIZATIONS) {
      this.#notarizations.delete(this.#notarizations.keys().next().value!);
    }
  }
}
