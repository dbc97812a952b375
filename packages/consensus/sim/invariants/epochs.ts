/** R22, as far as it can be seen from outside: what the blocks of an epoch may hold, how it ends, where the next one begins. */

import { BatchRefs, type Block, blockHash, equalBytes, type HandOverProof, ZERO_HASH } from '@squad/types';
import { hexOf } from '../memo.ts';
import { type EpochBounds, type InvariantContext, InvariantViolation, type ObservedNode } from './api.ts';

/** Final blocks by height, the same for all nodes and over all epochs, genesis at 0; and how far each node has delivered. */
export class FinalLedger {
  readonly chain: { readonly hash: string; readonly block: Block }[];
  readonly #delivered = new Map<number, number>();

  constructor(genesis: Block) {
    this.chain = [{ hash: hexOf(blockHash(genesis.header)), block: genesis }];
  }

  /** By place. */
  cursor(place: number): number {
    return this.#delivered.get(place) ?? 0;
  }

  deliver(place: number, height: number): void {
    this.#delivered.set(place, height);
  }
}

export class EpochRules {
  readonly #context: InvariantContext;
  readonly #bounds: EpochBounds | undefined;
  /** Places whose core has said that the epoch is over. */
  readonly #ended = new Set<number>();

  constructor(context: InvariantContext) {
    this.#context = context;
    this.#bounds = context.epoch;
  }

  /** A block that an honest node notarized: of operators who disagree each has the word of its own file. */
  checkNotarized({ name, place }: ObservedNode, block: Block): void {
    const disputed = this.#bounds?.disputedHash?.(place);
    const isDisputed = disputed !== undefined && equalBytes(block.header.nextValidatorSetHash, disputed);
    if (isDisputed) this.#context.count('a boundary block of a disputed set');
    this.#checkBlock(name, block, isDisputed ? disputed : this.#bounds?.nextSetHash);
  }

  #checkBlock(who: string, { header, refs }: Block, nextSetHash = ZERO_HASH): void {
    const bounds = this.#bounds;
    if (header.epoch !== (bounds?.number ?? 0)) this.#fail('epoch', `${who}: a block of epoch ${header.epoch}`);
    if (!bounds) return;
    const expected = header.height === bounds.lastHeight ? nextSetHash : ZERO_HASH;
    if (!equalBytes(header.nextValidatorSetHash, expected)) {
      this.#fail('next set', `${who}: height ${header.height} of epoch ${header.epoch} names another next set`);
    }
    if (header.height === bounds.lastHeight) this.#context.count('a boundary block');
    if (header.height <= bounds.lastHeight) return;
    this.#context.count('an epilogue block');
    if (refs.length > 0) this.#fail('empty epilogue', `${who}: height ${header.height} orders ${refs.length} batches`);
  }

  checkSoft(who: string, { header }: Block): void {
    if (!this.#bounds || header.height <= this.#bounds.lastHeight) return;
    this.#fail('the epilogue is not delivered', `${who} announced height ${header.height} of epoch ${header.epoch}`);
  }

  /** A block that is delivered as final. */
  checkFinal(who: string, block: Block): void {
    const bounds = this.#bounds;
    this.#checkBlock(who, block, bounds?.nextSetHash);
    if (bounds && block.header.height > bounds.lastHeight) {
      this.#fail(
        'the epilogue is not delivered',
        `${who} delivered height ${block.header.height} of epoch ${bounds.number}`,
      );
    }
  }

  /** The certificate of a delivery may be that of a descendant, if the headers up to it lead there. */
  finalizedHash(last: Block, path: HandOverProof['path']): Uint8Array {
    let hash = blockHash(last.header);
    for (const header of path) {
      const follows = equalBytes(header.parentHash, hash) && equalBytes(header.refsRoot, BatchRefs.hashTreeRoot([]));
      if (!follows) this.#fail('finalization', `the path from height ${last.header.height} on does not lead anywhere`);
      hash = blockHash(header);
    }
    return hash;
  }

  /** `boundary`: the hash of the final block of that height, as this node delivered it. */
  onEnded(node: ObservedNode, block: Block, proof: HandOverProof, boundary: string | undefined): void {
    const bounds = this.#bounds;
    if (!bounds || this.#context.isByzantine(node.index)) return;
    const who = node.name;
    if (block.header.height !== bounds.lastHeight || hexOf(blockHash(block.header)) !== boundary) {
      this.#fail('the end of an epoch', `${who} ends epoch ${bounds.number} with another block than the final one`);
    }
    if (!node.isEndDurable?.())
      this.#fail('durable before visible', `${who} ended an epoch that its disk knows nothing of`);
    if (!equalBytes(blockHash(proof.boundaryHeader), blockHash(block.header))) {
      this.#fail('hand-over', `${who}: the proof of epoch ${bounds.number} is of another boundary block`);
    }
    if (!equalBytes(bounds.hashOfSet(proof.nextValidatorSet), bounds.nextSetHash)) {
      this.#fail('hand-over', `${who}: the proof of epoch ${bounds.number} leads to another set`);
    }
    const { certificate, path } = proof;
    if (certificate.kind !== 3 || !equalBytes(certificate.blockHash, this.finalizedHash(block, path))) {
      this.#fail('hand-over', `${who}: the certificate of epoch ${bounds.number} finalizes something else`);
    }
    this.#ended.add(node.place);
    this.#context.count(path.length > 0 ? 'an epoch ended by its epilogue' : 'an epoch ended directly');
  }

  /** Nothing is voted in an epoch that the node has said is over, not even after a restart. */
  checkVote(node: ObservedNode): void {
    if (this.#ended.has(node.place)) this.#fail('over is over', `${node.name} votes in an epoch that it has ended`);
  }

  #fail(invariant: string, message: string): never {
    throw new InvariantViolation(invariant, message);
  }
}
