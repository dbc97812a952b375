/** Whether a certificate is a quorum's (section 5). Everyone who relies on one asks here, so that all judge alike. */

import {
  type Bytes32,
  type Certificate,
  signersOf,
  type ValidatorSet,
  voteSigningRoot,
  type Weight,
  weightOf,
} from '@squad/types';
import type { VoteScheme } from './vote-scheme.ts';

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
