/** Checks certificates against one epoch's validator set, each content once. */

import type { VoteScheme } from '@squad/crypto';
import {
  type Bytes32,
  type Certificate,
  Certificate as CertificateType,
  quorumWeight,
  signersOf,
  toHex,
  totalWeight,
  type ValidatorSet,
  VOTE_KIND_NAMES,
  type VoteKind,
  voteSigningRoot,
  weightOf,
} from '@squad/types';
import type { VerificationErrorCode } from './errors.ts';

/** Certificates that were found good and are remembered, so that none is verified twice; the oldest is forgotten. */
export const MAX_REMEMBERED_CERTIFICATES = 256;

/** The half of a `VoteScheme` that needs no key. */
export type SignatureCheck = Pick<VoteScheme, 'verify'>;

export interface Fault {
  readonly code: VerificationErrorCode;
  readonly reason: string;
}

/**
 * Remembers what it found good: a certificate that comes with many blocks, or from many endpoints, is checked once.
 *
 * @example
 * const { networkId } = network.checkpoint;
 * const certificates = new CertificateChecker(networkId, validatorSet, createVoteScheme(native.bls, validatorSet));
 * const fault = certificates.check(proof.certificate, proof.certificate.kind);
 * if (fault) console.log(fault.code, fault.reason);
 */
export class CertificateChecker {
  readonly #networkId: Bytes32;
  readonly #set: ValidatorSet;
  readonly #quorum: number;
  readonly #total: number;
  readonly #scheme: SignatureCheck;
  /** Hash tree roots of certificates that are good, oldest first. */
  readonly #good = new Set<string>();

  constructor(networkId: Bytes32, set: ValidatorSet, scheme: SignatureCheck) {
    this.#networkId = networkId;
    this.#set = set;
    this.#total = totalWeight(set);
    this.#quorum = quorumWeight(this.#total);
    this.#scheme = scheme;
  }

  /** What is wrong with it, if anything: epoch, kind, signers, weight, signature, in this order. */
  check(certificate: Certificate, kind: VoteKind): Fault | undefined {
    const mismatch = this.#checkForm(certificate, kind);
    if (mismatch) return mismatch;
    const content = toHex(CertificateType.hashTreeRoot(certificate));
    if (this.#good.has(content)) return undefined;
    const fault = this.#checkSigners(certificate);
    if (fault) return fault;
    this.#good.add(content);
    if (this.#good.size > MAX_REMEMBERED_CERTIFICATES) this.#good.delete(this.#good.values().next().value!);
    return undefined;
  }

  #checkForm(certificate: Certificate, kind: VoteKind): Fault | undefined {
    if (certificate.epoch !== this.#set.epoch) {
      return {
        code: 'WRONG_EPOCH',
        reason: `the certificate is of epoch ${certificate.epoch}, the validator set of epoch ${this.#set.epoch}`,
      };
    }
    if (certificate.kind !== kind) {
      const has = VOTE_KIND_NAMES[certificate.kind];
      return { code: 'WRONG_CERTIFICATE_KIND', reason: `the certificate says ${has}, not ${VOTE_KIND_NAMES[kind]}` };
    }
    return undefined;
  }

  #checkSigners(certificate: Certificate): Fault | undefined {
    const size = this.#set.validators.length;
    if (certificate.signers.bitLen !== size) {
      return {
        code: 'UNKNOWN_SIGNER',
        reason: `the certificate's bitmap is for ${certificate.signers.bitLen} validators, the set has ${size}`,
      };
    }
    const signers = signersOf(certificate);
    const weight = weightOf(this.#set, signers);
    if (weight < this.#quorum) {
      return {
        code: 'BELOW_QUORUM',
        reason: `the certificate's ${signers.length} signers weigh ${weight} of ${this.#total}, a quorum is ${this.#quorum}`,
      };
    }
    const root = voteSigningRoot(this.#networkId, certificate);
    if (!this.#scheme.verify(signers, root, certificate.signature)) {
      return {
        code: 'BAD_SIGNATURE',
        reason: `the certificate's signature is not that of validators ${signers.join(', ')} for view ${certificate.view}`,
      };
    }
    return undefined;
  }
}
