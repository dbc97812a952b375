/**
 * Signatures that cannot be forged, without cryptography: a signature is 96 bytes that only the registry can compute,
 * the aggregate of several is their word-wise sum, and the registry knows which signer has signed what. A sum verifies
 * only if it is right and each signer in it did sign. Like the real scheme it is additive, and some byte strings are not
 * even points: those whose last word is not zero.
 */

import type { VoteScheme } from '@squad/crypto';
import { equalBytes, toHex, type ValidatorIndex } from '@squad/types';

const SIGNATURE_BYTES = 96;
const WORDS = SIGNATURE_BYTES / 4;

export interface SchemeCounts {
  sign: number;
  aggregate: number;
  verify: number;
}

export interface CountedScheme extends VoteScheme {
  readonly counts: SchemeCounts;
}

/** Far above what any run needs: whoever does more does not come to an end. */
const MAX_OPERATIONS = 2_000_000;

export class SignatureRegistry {
  readonly #key: number;
  #operations = 0;
  /** Signed roots, each with the set of its signers. */
  readonly #signed = new Map<string, Set<ValidatorIndex>>();

  constructor(key: number) {
    this.#key = key;
  }

  /** The scheme of one node; of an observer if `self` is undefined. */
  schemeFor(self: ValidatorIndex | undefined): CountedScheme {
    const counts: SchemeCounts = { sign: 0, aggregate: 0, verify: 0 };
    return {
      counts,
      sign: (root) => {
        counts.sign++;
        this.#spend();
        if (self === undefined) throw new Error('an observer has no key to sign with');
        const name = toHex(root);
        let signers = this.#signed.get(name);
        if (!signers) {
          signers = new Set();
          this.#signed.set(name, signers);
        }
        signers.add(self);
        return this.#sum([self], root);
      },
      aggregate: (signatures) => {
        counts.aggregate++;
        return aggregate(signatures);
      },
      verify: (signers, root, signature) => {
        counts.verify++;
        this.#spend();
        return this.genuine(signers, root, signature);
      },
    };
  }

  /** True if each of these signers, at least one, signed `root` and `signature` is the sum of theirs. */
  genuine(signers: readonly ValidatorIndex[], root: Uint8Array, signature: Uint8Array): boolean {
    if (signers.length === 0 || signature.length !== SIGNATURE_BYTES) return false;
    const signed = this.#signed.get(toHex(root));
    if (!signed) return false;
    for (const signer of signers) if (!signed.has(signer)) return false;
    return equalBytes(this.#sum(signers, root), signature);
  }

  /** Who signed a root, so far. */
  signersOf(root: Uint8Array): ValidatorIndex[] {
    return [...(this.#signed.get(toHex(root)) ?? [])];
  }

  /** A step that never ends hangs its process: this is what it runs into instead. */
  #spend(): void {
    if (++this.#operations > MAX_OPERATIONS)
      throw new Error(`more than ${MAX_OPERATIONS} signatures: this does not end`);
  }

  #sum(signers: readonly ValidatorIndex[], root: Uint8Array): Uint8Array {
    const out = new Uint32Array(WORDS);
    let state = this.#key;
    for (const byte of root) state = Math.imul(state ^ byte, 0x01000193);
    for (const signer of signers) {
      let x = Math.imul(state ^ Math.imul(signer + 1, 0x9e3779b9), 0x85ebca6b) | 1;
      for (let i = 0; i < WORDS - 1; i++) {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        out[i]! += x;
      }
    }
    return new Uint8Array(out.buffer);
  }
}

function aggregate(signatures: readonly Uint8Array[]): Uint8Array | undefined {
  if (signatures.length === 0) return undefined;
  const out = new Uint32Array(WORDS);
  for (const signature of signatures) {
    if (signature.length !== SIGNATURE_BYTES) return undefined;
    const view = new DataView(signature.buffer, signature.byteOffset, SIGNATURE_BYTES);
    if (view.getUint32((WORDS - 1) * 4, true) !== 0) return undefined;
    for (let i = 0; i < WORDS; i++) out[i]! += view.getUint32(i * 4, true);
  }
  return new Uint8Array(out.buffer);
}

/** Bytes that are no signature of anything: a valid point, or not even that. */
export function forgedSignature(salt: number, point: boolean): Uint8Array {
  const out = new Uint8Array(SIGNATURE_BYTES);
  out.fill((salt % 250) + 3, 0, SIGNATURE_BYTES - 4);
  if (!point) out.fill(0xff, SIGNATURE_BYTES - 4);
  return out;
}
