/** Answers requests with blocks that were never proposed, with blocks that are not final, and with ends of epochs that no quorum signed. */

import {
  type Block,
  blockHash,
  type Certificate,
  equalBytes,
  type HandOverProof,
  signerBits,
  statementOf,
  toHex,
  VoteKind,
  validatorSetHash,
} from '@squad/types';
import type { AdversaryFactory, Range } from './adversary.ts';

/** Blocks and notarizations that it keeps to answer with. */
const MAX_KEPT = 64;

export const liar: AdversaryFactory = ({ epoch, others, random, sign }) => {
  const proposed = new Map<string, Block>();
  const notarizations: Certificate[] = [];
  /** A block upon this one that is notarized, if it has seen one. */
  const notarizedUpon = (parent: Block) => {
    const parentHash = blockHash(parent.header);
    return notarizations
      .map((certificate) => ({ certificate, block: proposed.get(toHex(certificate.blockHash)) }))
      .find(({ block }) => block !== undefined && equalBytes(block.header.parentHash, parentHash));
  };
  /** The finalization of a block by this one alone. */
  const finalizedAlone = ({ header }: Block): Certificate =>
    statementOf(sign(VoteKind.finalize, header.view, blockHash(header)), others.length + 1);
  const lyingRange = ({ blocks, certificate }: Range): Range => {
    const last = blocks.at(-1)!;
    const upon = notarizedUpon(last);
    switch (random.integer(0, 3)) {
      case 0:
        return { blocks, certificate: finalizedAlone(last) };
      case 1: {
        const { header } = last;
        const made = { ...last, header: { ...header, timestampMs: header.timestampMs + 1 } };
        const certified = random.chance(0.5) ? finalizedAlone(made) : certificate;
        return { blocks: [...blocks.slice(0, -1), made], certificate: certified };
      }
      case 2:
        return { blocks: blocks.slice(1), certificate };
      default:
        return upon ? { blocks: [...blocks, upon.block!], certificate: upon.certificate } : { blocks, certificate };
    }
  };
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
    received: (_from, message) => {
      if (message.type === 'proposal')
        proposed.set(toHex(blockHash(message.proposal.block.header)), message.proposal.block);
      if (message.type === 'certificate' && message.certificate.kind === VoteKind.notarize) {
        notarizations.push(message.certificate);
      }
      if (proposed.size > MAX_KEPT) proposed.delete(proposed.keys().next().value!);
      if (notarizations.length > MAX_KEPT) notarizations.shift();
    },
    servesRange: (range) => (random.chance(0.7) ? lyingRange(range) : undefined),
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
