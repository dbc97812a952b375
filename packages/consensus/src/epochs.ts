/**
 * The end of an epoch (R22): what its boundary block must name, when it is over, and how nodes that are behind learn of it.
 * Without `ConsensusConfig.epoch` nothing here does anything: the set validates for ever.
 */

import { verifyHandOver } from '@squad/crypto';
import {
  type BlockHeader,
  type Bytes32,
  blockHash,
  type Certificate,
  type ConsensusMessage,
  type Epoch,
  equalBytes,
  type HandOverProof,
  type Height,
  MAX_HAND_OVER_PATH_HEADERS,
  toHex,
  type ValidatorIndex,
  validatorSetHash,
  ZERO_HASH,
} from '@squad/types';
import type { ConsensusRecord, Input } from './api.ts';
import type { ChainBlock } from './chain.ts';
import type { State } from './state.ts';

/** The epoch that a message belongs to: of a hand-over, the one that it ends. */
export function epochOf(message: ConsensusMessage): Epoch {
  switch (message.type) {
    case 'proposal':
      return message.proposal.block.header.epoch;
    case 'vote':
      return message.vote.epoch;
    case 'certificate':
      return message.certificate.epoch;
    case 'handOver':
      return message.proof.boundaryHeader.epoch;
  }
}

/** What a block of this height names as the next set; undefined if that is not known here. */
export function nextSetHashAt(s: State, height: Height): Bytes32 | undefined {
  if (height !== s.lastHeight) return ZERO_HASH;
  const next = s.config.epoch?.nextValidatorSet();
  return next && validatorSetHash(next);
}

/** What a message of another epoch is good for: it shows who is behind. Nothing in it counts here. */
export function onOtherEpoch(s: State, from: ValidatorIndex, message: ConsensusMessage): void {
  const epoch = epochOf(message);
  if (epoch > s.config.validatorSet.epoch) return askForHandOver(s, [from]);
  if (message.type !== 'handOver') answerWithProof(s, from, s.config.epoch?.proof);
}

/** All that a core does whose epoch is over: it tells those who do not know it yet. */
export function answerAfterTheEnd(s: State, input: Input): void {
  if (input.type === 'start') s.out.push({ type: 'epochEnded', ...s.ended! });
  if (input.type === 'peerConnected') return answerWithProof(s, input.peer, s.ended?.proof);
  if (input.type !== 'message' || input.message.type === 'handOver') return;
  if (epochOf(input.message) <= s.config.validatorSet.epoch) answerWithProof(s, input.from, s.ended?.proof);
}

/** At most once for each peer and retry time. */
function answerWithProof(s: State, to: ValidatorIndex, proof: HandOverProof | undefined): void {
  const answeredAtMs = s.answeredAtMs.get(to);
  if (!proof || (answeredAtMs !== undefined && s.now < answeredAtMs + s.pacemaker.retryMs)) return;
  s.answeredAtMs.set(to, s.now);
  s.out.push({ type: 'send', to, message: { type: 'handOver', proof } });
}

/** Asks for the proof that this epoch is over, at most once in each retry time. */
export function askForHandOver(s: State, holders: readonly ValidatorIndex[]): void {
  if (!s.config.epoch || s.handOver || s.ended || s.now < s.handOverAgainAtMs) return;
  s.handOverAgainAtMs = s.now + s.pacemaker.retryMs;
  s.out.push({ type: 'fetchHandOver', epoch: s.config.validatorSet.epoch, holders });
}

/** A proof from a peer, unchecked. `from` undefined: not of this epoch's set. */
export function onHandOver(s: State, from: ValidatorIndex | undefined, proof: HandOverProof): void {
  if (!s.config.epoch || s.handOver || s.ended || proof.boundaryHeader.epoch !== s.config.validatorSet.epoch) return;
  const judged = verifyHandOver(proof, { ...s.config, lastHeight: s.lastHeight });
  if (judged.ok) {
    s.handOver = proof;
    s.handOverAgainAtMs = s.now;
  } else s.misbehaved(from, `sent a hand-over that proves nothing: ${judged.error.reason}`);
}

/** With a proof from a peer the epoch ends as soon as all blocks up to its boundary are here. */
export function endByHandOver(s: State): void {
  if (!s.handOver || s.ended) return;
  const path = s.chain.pathFromHead(toHex(blockHash(s.handOver.boundaryHeader)));
  if (path) endEpoch(s, path, s.handOver);
}

/** Whether the proof that is held shows this block to be final. */
export function isBoundaryOfHandOver(s: State, hash: Bytes32): boolean {
  return s.handOver !== undefined && equalBytes(blockHash(s.handOver.boundaryHeader), hash);
}

/**
 * A finalization covers the boundary block: the epoch is over. `path`: from the final head on, exclusive. Without the next
 * set there is no proof, and all is held back until it is known, from the driver or from a peer.
 */
export function endByFinalization(s: State, path: readonly ChainBlock[], certificate: Certificate): void {
  const blocks = path.filter(({ block }) => block.header.height <= s.lastHeight);
  const epilogue = path.slice(blocks.length).map(({ block }) => block.header);
  const proof = s.handOver ?? proofOf(s, blocks.at(-1)!.block.header, epilogue, certificate);
  if (proof) endEpoch(s, blocks, proof);
  else askForHandOver(s, []);
}

function proofOf(
  s: State,
  boundaryHeader: BlockHeader,
  path: BlockHeader[],
  certificate: Certificate,
): HandOverProof | undefined {
  const nextValidatorSet = s.config.epoch?.nextValidatorSet();
  if (!nextValidatorSet || path.length > MAX_HAND_OVER_PATH_HEADERS) return undefined;
  if (!equalBytes(validatorSetHash(nextValidatorSet), boundaryHeader.nextValidatorSetHash)) return undefined;
  return { boundaryHeader, path, certificate, nextValidatorSet };
}

/** `blocks`: from the final head on to the boundary block. Nothing of the epoch is kept or sent from here on. */
function endEpoch(s: State, blocks: readonly ChainBlock[], proof: HandOverProof): void {
  const boundary = blocks.at(-1)!;
  for (const block of blocks) s.persistBlock(block);
  s.persist({ type: 'epochEnded', block: boundary.block, proof });
  s.chain.finalize(boundary.hash, proof.certificate);
  const { certificate, path } = proof;
  s.out.push({ type: 'final', blocks: blocks.map(({ block }) => block), certificate, path });
  s.out.push({ type: 'epochEnded', block: boundary.block, proof });
  s.ended = { block: boundary.block, proof };
}

export type EpochEndedRecord = Extract<ConsensusRecord, { type: 'epochEnded' }>;

/**
 * Where a restart begins: the end of the last epoch that is over, whose proof holds the present set, and the records since
 * then. `ended` is undefined in epoch 0. The driver makes the core of the present epoch from both.
 */
export function sinceLastEpoch(records: readonly ConsensusRecord[]): {
  readonly ended: EpochEndedRecord | undefined;
  readonly records: readonly ConsensusRecord[];
} {
  const at = records.findLastIndex(({ type }) => type === 'epochEnded');
  return { ended: records[at] as EpochEndedRecord | undefined, records: records.slice(at + 1) };
}
