/** Answers requests for blocks with blocks that were never proposed. */

import { blockHash, type HandOverProof, signerBits, statementOf, VoteKind, validatorSetHash } from '@squad/types';
import type { AdversaryFactory } from './adversary.ts';

export const liar: AdversaryFactory = ({ epoch, random, sign }) => {
  /** An end of the epoch as this one would like it: another set, for which nobody else has voted. */
  const forged = (proof: HandOverProof): HandOverProof => {
    const nextValidatorSet = { ...proof.nextValidatorSet, validators: proof.nextValidatorSet.validators.slice(0, 1) };
    if (random.chance(0.3)) return { ...proof, nextValidatorSet };
    const nextValidatorSetHash = validatorSetHash(nextValidatorSet);
    const boundaryHeader = { ...proof.boundaryHeader, nextValidatorSetHash };
    if (random.chance(0.3)) return { ...proof, boundaryHeader, nextValidatorSet };
    const vote = sign(VoteKind.finalize, boundaryHeader.view, blockHash(boundaryHeader), boundaryHeader.epoch);
    // Its position is that of the present epoch: the proof may be of one whose set was smaller.
    const size = Math.max(proof.certificate.signers.bitLen, vote.signer + 1);
    const certificate = statementOf(vote, size);
    // The true end, as if it were final already.
    if (random.chance(0.3)) {
      const { view, epoch: ended } = proof.boundaryHeader;
      const own = sign(VoteKind.finalize, view, blockHash(proof.boundaryHeader), ended);
      return { ...proof, path: [], certificate: statementOf(own, size) };
    }
    const signers = random.chance(0.5)
      ? certificate.signers
      : signerBits(
          size,
          Array.from({ length: size }, (_, i) => i),
        );
    return { boundaryHeader, path: [], certificate: { ...certificate, signers }, nextValidatorSet };
  };
  return {
    servesHandOver: (proof) => (random.chance(0.7) ? forged(proof) : undefined),
    send: (_to, message) =>
      message.type === 'handOver' && message.proof.boundaryHeader.epoch <= epoch && random.chance(0.7)
        ? [{ type: 'handOver', proof: forged(message.proof) }]
        : [message],
    servesBlock: (block) => {
      switch (random.integer(0, 3)) {
        case 0:
          return { ...block, header: { ...block.header, timestampMs: block.header.timestampMs + 1 } };
        case 1:
          return { ...block, refs: block.refs.slice(1) };
        case 2:
          return { ...block, header: { ...block.header, height: block.header.height + 1 } };
        default:
          return undefined;
      }
    },
  };
};
