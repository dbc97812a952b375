/** Certificates that are held, by view. */

import { type Certificate, equalBytes, type View, VoteKind } from '@squad/types';

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

  get size(): number {
    return this.#notarizations.size + this.#nullifications.size;
  }

  get hasNotarization(): boolean {
    return this.#notarizations.size > 0;
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
