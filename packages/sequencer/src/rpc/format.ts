/**
 * How domain values look in JSON. SQUAD's own methods write numbers as numbers (all are below 2^53), bytes as 0x-hex, and
 * give `encoded`, the canonical SSZ, wherever somebody may want to verify a hash or a signature.
 */

import {
  Block,
  type BlockHeader,
  BlockProof,
  batchDigest,
  blockHash,
  bodyTransactions,
  Certificate,
  encodeBatch,
  FeedBlock,
  FeedStage,
  quorumWeight,
  type RollupId,
  signersOf,
  toHex,
  totalWeight,
  ValidatorSet,
  VOTE_KIND_NAMES,
  VoteKind,
  validatorSetHash,
} from '@squad/types';
import type { Rejection } from '../admission/rejection.ts';
import { hexOf } from '../hex.ts';
import type {
  LanePlaces,
  NamedValidatorSet,
  SequenceBlock,
  SequencerApi,
  SequencerStatus,
  StagedBlock,
  StagedCertificate,
  SubmitOutcome,
} from './api.ts';

export interface RejectionJson {
  readonly code: number;
  readonly message: string;
  readonly data: { readonly code: string; readonly remedy: string; readonly [detail: string]: unknown };
}

export function rejectionJson({ rpcCode, message, code, remedy, retryAfterMs }: Rejection): RejectionJson {
  return {
    code: rpcCode,
    message,
    data: {
      code,
      remedy,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  };
}

export function outcomeJson(outcome: SubmitOutcome): { hash: string } | { error: RejectionJson } {
  return outcome.accepted ? { hash: outcome.hash } : { error: rejectionJson(outcome.rejection) };
}

/** Some bytes a call in place of a hash a transaction: for who sends many. */
export function placesJson(
  { epoch, validatorIndex }: SequencerApi['lane'],
  places: readonly LanePlaces[],
  outcomes: readonly SubmitOutcome[],
): unknown {
  return {
    epoch,
    author: validatorIndex ?? null,
    places: places.map(({ seq, transactionIndex, count }) => [seq, transactionIndex, count]),
    rejected: outcomes.flatMap((outcome, index) =>
      outcome.accepted ? [] : [{ index, error: rejectionJson(outcome.rejection) }],
    ),
  };
}

export function validatorSetJson({ set, names }: NamedValidatorSet): unknown {
  return {
    epoch: set.epoch,
    hash: toHex(validatorSetHash(set)),
    totalWeight: totalWeight(set),
    quorumWeight: quorumWeight(totalWeight(set)),
    validators: set.validators.map(({ blsPublicKey, nodePublicKey, weight }, index) => ({
      index,
      name: names[index] ?? null,
      blsPublicKey: toHex(blsPublicKey),
      nodePublicKey: toHex(nodePublicKey),
      weight,
    })),
    encoded: toHex(ValidatorSet.serialize(set)),
  };
}

export function statusJson(status: SequencerStatus): unknown {
  return { ...status, validatorIndex: status.validatorIndex ?? null, leader: status.leader ?? null };
}

function headerJson(header: BlockHeader) {
  return {
    hash: toHex(blockHash(header)),
    version: header.version,
    epoch: header.epoch,
    view: header.view,
    height: header.height,
    parentView: header.parentView,
    parentHash: toHex(header.parentHash),
    leader: header.leader,
    timestampMs: header.timestampMs,
    l1Anchor: { number: header.l1AnchorNumber, hash: toHex(header.l1AnchorHash) },
    refsRoot: toHex(header.refsRoot),
    skipsRoot: toHex(header.skipsRoot),
    nextValidatorSetHash: toHex(header.nextValidatorSetHash),
  };
}

export type BlockJson = ReturnType<typeof blockJson>;

/** A block without its encoding, as subscribers get it. */
export function blockJson({ stage, block }: StagedBlock) {
  const refs = block.refs.map(({ author, seq, rollupId, digest, joinsNext }) => ({
    author,
    seq,
    rollupId,
    digest: toHex(digest),
    joinsNext,
  }));
  return { stage, ...headerJson(block.header), refs };
}

export function encodedBlockJson(staged: StagedBlock): unknown {
  return { ...blockJson(staged), encoded: toHex(Block.serialize(staged.block)) };
}

function certificateFields(certificate: Certificate) {
  return {
    kind: VOTE_KIND_NAMES[certificate.kind],
    epoch: certificate.epoch,
    view: certificate.view,
    blockHash: toHex(certificate.blockHash),
    signers: signersOf(certificate),
    signature: toHex(certificate.signature),
    encoded: toHex(Certificate.serialize(certificate)),
  };
}

export function certificateJson({ stage, header, certificate, path }: StagedCertificate): unknown {
  return {
    stage,
    height: header.height,
    header: headerJson(header),
    certificate: certificateFields(certificate),
    path: path.map(headerJson),
  };
}

/** What a verifier takes. */
export function encodedSequenceBlockJson(rollupId: RollupId, sequenceBlock: SequenceBlock): unknown {
  const { stage, block, certificate, path, batches } = sequenceBlock;
  const { height } = block.header;
  const feedBlock: FeedBlock = {
    stage: FeedStage[stage],
    rollupId,
    block,
    certificate,
    path: [...path],
    bodiesOmitted: 0,
    batches: batches.map(encodeBatch),
  };
  return { stage, height, encoded: hexOf(FeedBlock.serialize(feedBlock)) };
}

export function blockProofJson(proof: BlockProof): unknown {
  const { header } = proof.block;
  const stage = proof.certificate.kind === VoteKind.finalize ? 'final' : 'soft';
  return { stage, height: header.height, hash: toHex(blockHash(header)), encoded: hexOf(BlockProof.serialize(proof)) };
}

export function sequenceBlockJson({ batches, certificate, path: _, ...staged }: SequenceBlock): unknown {
  return {
    ...blockJson(staged),
    certificate: certificateFields(certificate),
    batches: batches.map(({ signed: { header }, body }) => ({
      digest: toHex(batchDigest(header)),
      author: header.author,
      seq: header.seq,
      createdAtMs: header.createdAtMs,
      transactions: bodyTransactions(body).map(hexOf),
    })),
  };
}
