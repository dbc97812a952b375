/** An honest chain as a sequencer's store holds it: final blocks up to a head, their certificates, their batches. */

import { Block, Certificate, type Height, type Hex, toHex } from '@squad/types';
import type { HonestChain } from './honest-chain.ts';

export interface StoredFinal {
  readonly height: Height;
  readonly hash: Hex;
  readonly block: Uint8Array;
  readonly certificate: Uint8Array | undefined;
}

export class ChainSource {
  head: Height = 0;
  /** Heights that have no certificate of their own. */
  readonly uncertified = new Set<Height>();
  /** Digests of bodies that are not held. */
  readonly missing = new Set<Hex>();
  /** How often blocks and batches were read. */
  reads = 0;
  readonly #chain: HonestChain;

  constructor(chain: HonestChain) {
    this.#chain = chain;
  }

  async readBlock(height: Height): Promise<StoredFinal | undefined> {
    this.reads++;
    if (height < 1 || height > this.head) return undefined;
    const hash = toHex(this.#chain.hashAt(height));
    return { height, hash, block: Block.serialize(this.#chain.blocks[height]!), certificate: undefined };
  }

  async nextFinalizationAtOrAfter(height: Height): Promise<{ height: Height; certificate: Uint8Array } | undefined> {
    let at = height;
    while (this.uncertified.has(at)) at++;
    return at > this.head
      ? undefined
      : { height: at, certificate: Certificate.serialize(this.#chain.certificateAt(at)) };
  }

  async readBatch(digest: Hex): Promise<Uint8Array | undefined> {
    this.reads++;
    return this.missing.has(digest) ? undefined : this.#chain.batches.get(digest);
  }
}
