/**
 * Signatures that cannot be forged, without cryptography: a signature is 96 bytes that only the registry can compute,
 * the aggregate of several is their word-wise sum, and the registry knows which signer has signed what. A sum verifies
 * only if it is right and each signer in it did sign. Like the real scheme it is additive, and some byte strings are not
 * even points: those whose last word is not zero.
 */

import type { VoteScheme } from '@squad/crypto';
import { equalBytes, type ValidatorIndex } from '@squad/types';
import { hexOf } from './memo.ts';

const SIGNATURE_BYTES = 96;
const WORDS = SIGNATURE_BYTES / 4;
/** What is added up to be compared: memory of this size is not cheap to ask for each time. */
const SUM = new Uint32Array(WORDS);
const SUM_BYTES = new Uint8Array(SUM.buffer);

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

/** What comes of a root: the signatures of those who have signed it. */
interface SignedRoot {
  readonly state: number;
  readonly words: Map<ValidatorIndex, Uint32Array>;
}

export class SignatureRegistry {
  readonly #key: number;
  #operations = 0;
  readonly #signed = new Map<string, SignedRoot>();

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
        const name = hexOf(root);
        let signed = this.#signed.get(name);
        if (!signed) {
          signed = { state: this.#stateOf(root), words: new Map() };
          this.#signed.set(name, signed);
        }
        let words = signed.words.get(self);
        if (!words) {
          words = wordsOf(signed.state, self);
          signed.words.set(self, words);
        }
        return new Uint8Array(words.slice().buffer);
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
    const signed = this.#signed.get(hexOf(root));
    if (!signed) return false;
    SUM.fill(0);
    for (const signer of signers) {
      const words = signed.words.get(signer);
      if (!words) return false;
      for (let i = 0; i < WORDS; i++) SUM[i]! += words[i]!;
    }
    return equalBytes(SUM_BYTES, signature);
  }

  /** Who signed a root, so far. */
  signersOf(root: Uint8Array): ValidatorIndex[] {
    return [...(this.#signed.get(hexOf(root))?.words.keys() ?? [])];
  }

  /** A step that never ends hangs its process: this is what it runs into instead. */
  #spend(): void {
    if (++this.#operations > MAX_OPERATIONS)
      throw new Error(`more than ${MAX_OPERATIONS} signatures: this does not end`);
  }

  #stateOf(root: Uint8Array): number {
    let state = this.#key;
    for (const byte of root) state = Math.imul(state ^ byte, 0x01000193);
    return state;
  }
}

/** One signer's signature. */
function wordsOf(state: number, signer: ValidatorIndex): Uint32Array {
  const out = new Uint32Array(WORDS);
  let x = Math.imul(state ^ Math.imul(signer + 1, 0x9e3779b9), 0x85ebca6b) | 1;
  for (let i = 0; i < WORDS - 1; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out[i]! = x;
  }
  return out;
}

function aggregate(signatures: readonly Uint8Array[]): Uint8Array | undefined {
  if (signatures.length === 0) return undefined;
  const out = new Uint32Array(WORDS);
  for (const signature of signatures) {
    if (signature.length !== SIGNATURE_BYTES) return undefined;
    if (wordAt(signature, WORDS - 1) !== 0) return undefined;
    for (let i = 0; i < WORDS; i++) out[i]! += wordAt(signature, i);
  }
  return new Uint8Array(out.buffer);
}

/** Little-endian. */
function wordAt(bytes: Uint8Array, i: number): number {
  return bytes[4 * i]! | (bytes[4 * i + 1]! << 8) | (bytes[4 * i + 2]! << 16) | (bytes[4 * i + 3]! << 24);
}

/** Bytes that are no signature of anything: a valid point, or not even that. */
export function forgedSignature(salt: number, point: boolean): Uint8Array {
  const out = new Uint8Array(SIGNATURE_BYTES);
  out.fill((salt % 250) + 3, 0, SIGNATURE_BYTES - 4);
  if (!point) out.fill(0xff, SIGNATURE_BYTES - 4);
  return out;
}
