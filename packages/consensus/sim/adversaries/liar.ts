/** Answers requests with blocks that were never proposed, with blocks that are not final, and with ends of epochs that no quorum signed. */

import {
  type Block,
  blockHash,
  type Certificate,
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
  /** By hash: blocks that it has seen proposed, and the notarizations with which others built on them. */
  const proposed = new Map<string, Block>();
  const notarizations = new Map<string, Certificate>();
  /** The last of these blocks, or the one upon them, for which it has a notarization: as if that made it final. */
  const notarizedIn = (blocks: readonly Block[]): Range | undefined => {
    const hashes = blocks.map(({ header }) => toHex(blockHash(header)));
    const upon = [...proposed.values()].find(({ header }) => toHex(header.parentHash) === hashes.at(-1));
    const all = upon ? [...blocks, upon] : blocks;
    const last = all.findLastIndex(({ header }) => notarizations.has(toHex(blockHash(header))));
    if (last < 0) return undefined;
    const certificate = notarizations.get(toHex(blockHash(all[last]!.header)))!;
    return { blocks: all.slice(0, last + 1), certificate };
  };
  /** The finalization of a block by this one alone. */
  const finalizedAlone = ({ header }: Block): Certificate =>
    statementOf(sign(VoteKind.finalize, header.view, blockHash(header)), others.length + 1);
  const lyingRange = ({ blocks, certificate }: Range): Range => {
    const last = blocks.at(-1)!;
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
        return notarizedIn(blocks) ?? { blocks, certificate };
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
      if (message.type !== 'proposal') return;
      const { block, parentCertificate } = message.proposal;
      proposed.set(toHex(blockHash(block.header)), block);
      notarizations.set(toHex(parentCertificate.blockHash), parentCertificate);
      for (const kept of [proposed, notarizations]) if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value!);
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
