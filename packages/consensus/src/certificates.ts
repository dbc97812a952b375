/** Certificates that are held, by view, and whether a new one is what it claims to be (section 5). */

import type { VoteScheme } from '@squad/crypto';
import {
  type Bytes32,
  type Certificate,
  equalBytes,
  signersOf,
  type ValidatorSet,
  type View,
  VoteKind,
  voteSigningRoot,
  type Weight,
  weightOf,
} from '@squad/types';

export interface CertificateContext {
  readonly networkId: Bytes32;
  readonly validatorSet: ValidatorSet;
  readonly quorum: Weight;
  readonly scheme: Pick<VoteScheme, 'verify'>;
}

/** What is wrong with a certificate of the present epoch; undefined if it is a quorum's. */
export function certificateFault(certificate: Certificate, context: CertificateContext): string | undefined {
  const { validatorSet, quorum } = context;
  if (certificate.epoch !== validatorSet.epoch) return `of epoch ${certificate.epoch}, not ${validatorSet.epoch}`;
  if (certificate.view < 1) return 'of view 0';
  if (certificate.signers.bitLen !== validatorSet.validators.length) {
    return `made for a set of ${certificate.signers.bitLen}, not ${validatorSet.validators.length}`;
  }
  const signers = signersOf(certificate);
  const weight = weightOf(validatorSet, signers);
  if (weight < quorum) return `signed by weight ${weight}, less than the quorum ${quorum}`;
  const root = voteSigningRoot(context.networkId, certificate);
  return context.scheme.verify(signers, root, certificate.signature) ? undefined : 'signed badly';
}

/** Whether two certificates are the same in every byte. */
export function sameCertificate(a: Certificate, b: Certificate): boolean {
  return (
    a.kind === b.kind &&
    a.epoch === b.epoch &&
    a.view === b.view &&
    equalBytes(a.blockHash, b.blockHash) &&
    a.signers.bitLen === b.signers.bitLen &&
    equalBytes(a.signers.uint8Array, b.signers.uint8Array) &&
    equalBytes(a.signature, b.signature)
  );
}

/** Notarizations and nullifications above the final view. */
export class HeldCertificates {
  readonly #notarizations = new Map<View, Certificate>();
  readonly #nullifications = new Map<View, Certificate>();

  notarization(view: View): Certificate | undefined {
    return this.#notarizations.get(view);
  }

  nullification(view: View): Certificate | undefined {
    return this.#nullifications.get(view);
  }

  hold(certificate: Certificate): void {
    this.#of(certificate.kind).set(certificate.view, certificate);
  }

  /** Views with a notarization below a view, highest first. */
  notarizedBelow(view: View): View[] {
    return [...this.#notarizations.keys()].filter((held) => held < view).sort((a, b) => b - a);
  }

  /** The nullifications of every view strictly between two, ascending; undefined if one is not held. */
  nullifiedBetween(from: View, to: View): Certificate[] | undefined {
    const held: Certificate[] = [];
    for (let view = from + 1; view < to; view++) {
      const nullification = this.#nullifications.get(view);
      if (!nullification) return undefined;
      held.push(nullification);
    }
    return held;
  }

  /** The nullifications that are held strictly between two views, ascending. */
  nullificationsBetween(from: View, to: View): Certificate[] {
    return [...this.#nullifications.values()]
      .filter(({ view }) => view > from && view < to)
      .sort((a, b) => a.view - b.view);
  }

  /** All, by view. */
  all(): Certificate[] {
    return [...this.#notarizations.values(), ...this.#nullifications.values()].sort((a, b) => a.view - b.view);
  }

  prune(finalView: View): void {
    for (const held of [this.#notarizations, this.#nullifications]) {
      for (const view of held.keys()) if (view <= finalView) held.delete(view);
    }
  }

  #of(kind: VoteKind): Map<View, Certificate> {
    return kind === VoteKind.nullify ? this.#nullifications : this.#notarizations;
  }
}
