/**
 * Every certificate that honest nodes made or passed on: each a quorum of genuine signers, and none beside one that
 * excludes it. If more is Byzantine than is tolerated certificates may exclude each other; then whoever signed both is
 * convicted (section 4), and a fork must convict more than F.
 */

import { type Certificate, type ValidatorIndex, type View, VoteKind, voteSigningRoot } from '@squad/types';
import { hexOf } from '../memo.ts';
import { ForkConvicted, type InvariantContext, InvariantViolation } from './api.ts';

/** Who signed what in one view, as certificates show it: a bit for each validator. */
interface ViewCertificates {
  readonly notarized: Map<string, number>;
  readonly finalized: Map<string, number>;
  nullified: number | undefined;
}

export class CertificateLedger {
  readonly quorum: number;
  readonly #tolerated: number;
  readonly #context: InvariantContext;
  readonly #views = new Map<View, ViewCertificates>();
  readonly #checked = new WeakSet<Certificate>();
  #convicted = 0;

  constructor(context: InvariantContext) {
    this.#context = context;
    const total = context.weights.reduce((sum, weight) => sum + weight, 0);
    this.#tolerated = Math.floor((total - 1) / 3);
    this.quorum = total - this.#tolerated;
  }

  /** True if this is the first one seen for its content. */
  observe(who: string, certificate: Certificate): boolean {
    if (this.#checked.has(certificate)) return false;
    this.#checked.add(certificate);
    const { kind, view, signers, epoch } = certificate;
    if (epoch !== (this.#context.epoch?.number ?? 0))
      throw new InvariantViolation('epoch', `${who}: a certificate of epoch ${epoch}`);
    const list: ValidatorIndex[] = [];
    for (let i = 0; i < signers.bitLen; i++) if (signers.get(i)) list.push(i);
    const weight = list.reduce((sum, signer) => sum + (this.#context.weights[signer] ?? 0), 0);
    if (weight < this.quorum) {
      throw new InvariantViolation(
        'quorum',
        `${who}: certificate of view ${view} of weight ${weight}, less than ${this.quorum}`,
      );
    }
    const root = voteSigningRoot(this.#context.networkId, certificate);
    if (!this.#context.registry.genuine(list, root, certificate.signature)) {
      throw new InvariantViolation('genuine', `${who}: certificate of view ${view} with signers who did not sign`);
    }
    return this.#add(kind, view, hexOf(certificate.blockHash), list);
  }

  #add(kind: VoteKind, view: View, hash: string, signers: readonly ValidatorIndex[]): boolean {
    const bits = signers.reduce((sum, signer) => sum | (1 << signer), 0);
    let there = this.#views.get(view);
    if (!there) {
      there = { notarized: new Map(), finalized: new Map(), nullified: undefined };
      this.#views.set(view, there);
    }
    let isFirst: boolean;
    if (kind === VoteKind.nullify) {
      isFirst = there.nullified === undefined;
      there.nullified = (there.nullified ?? 0) | bits;
      this.#context.count('nullification');
    } else {
      const held = kind === VoteKind.notarize ? there.notarized : there.finalized;
      isFirst = !held.has(hash);
      held.set(hash, (held.get(hash) ?? 0) | bits);
      this.#context.count(kind === VoteKind.notarize ? 'notarization' : 'finalization');
    }
    if (isFirst && there.nullified !== undefined && there.notarized.size > 0)
      this.#context.count('a view both nullified and notarized');
    this.#judge(view, there);
    return isFirst;
  }

  /** What may not stand beside each other in one view. */
  #judge(view: View, there: ViewCertificates): void {
    if (there.notarized.size > 1) this.#conflict('one notarization', view, [...there.notarized.values()]);
    if (there.finalized.size > 1) this.#conflict('one finalization', view, [...there.finalized.values()]);
    for (const [hash, finalizers] of there.finalized) {
      if (there.nullified !== undefined) this.#conflict('nullified or finalized', view, [there.nullified, finalizers]);
      for (const [other, notarizers] of there.notarized) {
        if (other !== hash) this.#conflict('finalized as notarized', view, [notarizers, finalizers]);
      }
    }
  }

  #conflict(invariant: string, view: View, signers: readonly number[]): void {
    if (!this.#context.isOverloaded) throw new InvariantViolation(invariant, `view ${view} has both certificates`);
    // A NOTARIZE and a FINALIZE of two blocks are none of the kinds E1 to E3: other certificates must convict.
    if (invariant === 'finalized as notarized') return this.#context.count('NOTARIZE and FINALIZE of two blocks');
    for (const [i, first] of signers.entries()) {
      for (const second of signers.slice(i + 1)) this.#convict(first & second, view);
    }
  }

  #convict(bits: number, view: View): void {
    for (let i = 0; i < this.#context.weights.length; i++) {
      if ((bits & (1 << i)) === 0) continue;
      if (!this.#context.isByzantine(i)) {
        throw new InvariantViolation('no honest node convicted', `certificates of view ${view} convict honest n${i}`);
      }
      this.#convicted |= 1 << i;
    }
    this.#context.count('certificates that exclude each other');
  }

  /** Two blocks are final that do not lie on one chain. */
  onFork(what: string): never {
    if (!this.#context.isOverloaded) throw new InvariantViolation('one final chain', what);
    let weight = 0;
    for (const [i, each] of this.#context.weights.entries()) if (this.#convicted & (1 << i)) weight += each;
    if (weight <= this.#tolerated) {
      throw new InvariantViolation(
        'a fork convicts more than F',
        `${what}; certificates convict weight ${weight}, not more than ${this.#tolerated}`,
      );
    }
    this.#context.count('a fork, and more than F convicted');
    throw new ForkConvicted(what);
  }
}
