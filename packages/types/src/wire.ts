/**
 * What crosses a process boundary. Validator channel frames are one kind byte and the object's encoding; requests and
 * their answers are SSZ. Every decoder here is for hostile bytes: it returns a `Result` and never throws.
 */

import { ByteListType, ContainerType, ListCompositeType, type ValueOf } from '@chainsafe/ssz';
import { type Batch, decodeBatch, encodeBatch, HASH_PREFIX_BYTES, splitBatch } from './batch.ts';
import { Block, BlockHeader, decodeProposal, Proposal } from './block.ts';
import { decodeEvidence, type Evidence, encodeEvidence } from './evidence.ts';
import { decodeHandOverProof, HandOverProof } from './hand-over.ts';
import { concatBytes, type Epoch } from './ids.ts';
import {
  MAX_BATCH_BODY_BYTES,
  MAX_BATCH_REFS_PER_BLOCK,
  MAX_BLOCKS_PER_RANGE,
  MAX_HAND_OVER_PATH_HEADERS,
  MAX_TRANSACTION_BYTES,
  MAX_VALIDATORS,
} from './limits.ts';
import { ok, type Result } from './result.ts';
import {
  Bytes32Type,
  decode,
  decodeError,
  EpochType,
  HeightType,
  LaneSeqType,
  plainBytes,
  RollupIdType,
  Uint8,
  ValidatorIndexType,
} from './ssz.ts';
import { Certificate, checkKind, decodeCertificate, decodeVote, Vote } from './vote.ts';

/** "I hold every batch of this lane up to seq, durably; the one at seq has this digest" (R3). */
export const Acknowledgement = new ContainerType(
  { author: ValidatorIndexType, seq: LaneSeqType, digest: Bytes32Type },
  { typeName: 'Acknowledgement' },
);
export type Acknowledgement = ValueOf<typeof Acknowledgement>;
/** Positions and places are those of one epoch. */
const Acknowledgements = new ContainerType(
  { epoch: EpochType, acknowledgements: new ListCompositeType(Acknowledgement, MAX_VALIDATORS) },
  { typeName: 'Acknowledgements' },
);

/** What validators say to each other. */
export type ValidatorMessage =
  | { readonly type: 'proposal'; readonly proposal: Proposal }
  | { readonly type: 'vote'; readonly vote: Vote }
  | { readonly type: 'certificate'; readonly certificate: Certificate }
  | {
      readonly type: 'batch';
      readonly batch: Batch;
      /** The batch encoded, where that is at hand: as it came, or to be sent without encoding it again. */
      readonly encoded?: Uint8Array;
      /** The first `HASH_PREFIX_BYTES` of each transaction's hash, so that not every node hashes all: the author's word only. */
      readonly hashPrefixes?: Uint8Array;
    }
  | {
      readonly type: 'acknowledgements';
      readonly epoch: Epoch;
      readonly acknowledgements: readonly Acknowledgement[];
    }
  | { readonly type: 'evidence'; readonly evidence: Evidence }
  /** To a validator that speaks of an epoch that is over (R22). */
  | { readonly type: 'handOver'; readonly proof: HandOverProof };

/** The part of it that the consensus core reads. */
export type ConsensusMessage = Extract<ValidatorMessage, { type: 'proposal' | 'vote' | 'certificate' | 'handOver' }>;

const KIND = { proposal: 1, vote: 2, certificate: 3, batch: 4, acknowledgements: 5, evidence: 6, handOver: 7 } as const;

function frame(kind: number, payload: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(kind), payload);
}

export function encodeValidatorMessage(message: ValidatorMessage): Uint8Array {
  switch (message.type) {
    case 'proposal':
      return frame(KIND.proposal, Proposal.serialize(message.proposal));
    case 'vote':
      return frame(KIND.vote, Vote.serialize(message.vote));
    case 'certificate':
      return frame(KIND.certificate, Certificate.serialize(message.certificate));
    case 'batch':
      return concatBytes(
        Uint8Array.of(KIND.batch),
        message.encoded ?? encodeBatch(message.batch),
        message.hashPrefixes ?? new Uint8Array(),
      );
    case 'acknowledgements':
      return frame(
        KIND.acknowledgements,
        Acknowledgements.serialize({ epoch: message.epoch, acknowledgements: [...message.acknowledgements] }),
      );
    case 'evidence':
      return frame(KIND.evidence, encodeEvidence(message.evidence));
    case 'handOver':
      return frame(KIND.handOver, HandOverProof.serialize(message.proof));
  }
}

export function decodeValidatorMessage(bytes: Uint8Array): Result<ValidatorMessage> {
  const payload = bytes.subarray(1);
  switch (bytes[0]) {
    case KIND.proposal:
      return map(decodeProposal(payload), (proposal) => ({ type: 'proposal', proposal }));
    case KIND.vote:
      return map(decodeVote(payload), (vote) => ({ type: 'vote', vote }));
    case KIND.certificate:
      return map(decodeCertificate(payload), (certificate) => ({ type: 'certificate', certificate }));
    case KIND.batch:
      return decodeBatchMessage(payload);
    case KIND.acknowledgements:
      return map(decode(Acknowledgements, 'Acknowledgements', payload), (value) => ({
        type: 'acknowledgements',
        ...value,
      }));
    case KIND.evidence:
      return map(decodeEvidence(payload), (evidence) => ({ type: 'evidence', evidence }));
    case KIND.handOver:
      return map(decodeHandOverProof(payload), (proof) => ({ type: 'handOver', proof }));
    default:
      return decodeError('ValidatorMessage', bytes.length === 0 ? 'empty' : `unknown kind ${bytes[0]}`);
  }
}

/** A batch, and nothing or the prefixes of all its transactions' hashes. */
function decodeBatchMessage(payload: Uint8Array): Result<ValidatorMessage> {
  const parts = splitBatch(payload);
  if (!parts.ok) return parts;
  const batch = decodeBatch(parts.value.batch);
  if (!batch.ok) return batch;
  const hashPrefixes = parts.value.rest;
  const encoded = plainBytes(parts.value.batch);
  if (hashPrefixes.length === 0) return ok({ type: 'batch', batch: batch.value, encoded });
  const { transactionCount } = batch.value.signed.header;
  if (hashPrefixes.length !== HASH_PREFIX_BYTES * transactionCount) {
    return decodeError(
      'ValidatorMessage',
      `${hashPrefixes.length} bytes after a batch of ${transactionCount} transactions`,
    );
  }
  return ok({ type: 'batch', batch: batch.value, encoded, hashPrefixes: plainBytes(hashPrefixes) });
}

function map<T, U>(result: Result<T>, f: (value: T) => U): Result<U> {
  return result.ok ? ok(f(result.value)) : result;
}

/** Batches in one answer to a batch request, and digests in one request. */
export const MAX_BATCHES_PER_REQUEST = 128;
const ENCODED_BATCH_MAX_BYTES = MAX_BATCH_BODY_BYTES + 512;

/** Asks for batches by digest. The answer is a `BatchesResponse`, in any order, without what is not held and what is too much for it. */
export const BatchesRequest = new ListCompositeType(Bytes32Type, MAX_BATCHES_PER_REQUEST);
export const BatchesResponse = new ListCompositeType(
  new ByteListType(ENCODED_BATCH_MAX_BYTES),
  MAX_BATCHES_PER_REQUEST,
);

/** Asks for one block by hash, final or not. The answer is a list of no or one block. */
export const BlockRequest = new ContainerType({ hash: Bytes32Type });
export const BlockResponse = new ListCompositeType(Block, 1);

/** Asks for the proof that an epoch is over (R22). The answer is an encoded `HandOverProof`; no bytes: it is not held. */
export const HandOverRequest = new ContainerType({ epoch: EpochType });

/** Asks for final blocks from a height on. */
export const RangeRequest = new ContainerType({ fromHeight: HeightType });
/** Consecutive blocks by height; `certificates` holds the finalization of the last one, or nothing if there are no blocks. */
export const RangeResponse = new ContainerType({
  blocks: new ListCompositeType(Block, MAX_BLOCKS_PER_RANGE),
  certificates: new ListCompositeType(Certificate, 1),
});
export type RangeResponse = ValueOf<typeof RangeResponse>;

/** A `RangeResponse` of what is encoded already: who catches up asks for much, and who floods for as much as it may. */
export function encodeRangeResponse(blocks: readonly Uint8Array[], certificates: readonly Uint8Array[]): Uint8Array {
  const parts = [encodeList(blocks), encodeList(certificates)];
  return encodeList(parts); // SSZ encodes a container of variable parts like a list of them
}

/** SSZ of a list whose elements vary in size: their offsets, then they. */
function encodeList(elements: readonly Uint8Array[]): Uint8Array {
  let offset = 4 * elements.length;
  const bytes = new Uint8Array(elements.reduce((sum, element) => sum + element.length, offset));
  const view = new DataView(bytes.buffer);
  for (const [i, element] of elements.entries()) {
    view.setUint32(4 * i, offset, true);
    bytes.set(element, offset);
    offset += element.length;
  }
  return bytes;
}

/** `decode` checks the form of a `RangeResponse`; this also checks the certificate's kind. */
export function decodeRangeResponse(
  bytes: Uint8Array,
): Result<Omit<RangeResponse, 'certificates'> & { certificates: Certificate[] }> {
  const response = decode(RangeResponse, 'RangeResponse', bytes);
  if (!response.ok) return response;
  for (const certificate of response.value.certificates) {
    const checked = checkKind('Certificate', certificate);
    if (!checked.ok) return checked;
  }
  return ok({ ...response.value, certificates: response.value.certificates as Certificate[] });
}

/** A rollup node registers for a rollup's sequence, from a height on (feed). */
export const FeedSubscribe = new ContainerType({ rollupId: RollupIdType, fromHeight: HeightType });
export type FeedSubscribe = ValueOf<typeof FeedSubscribe>;

/** The rollup node's word that it has delivered every final block up to a height: others need not post it. */
export const FeedAcknowledgement = new ContainerType({ height: HeightType });
export type FeedAcknowledgement = ValueOf<typeof FeedAcknowledgement>;

export const FeedStage = { soft: 1, final: 2 } as const;
export type FeedStage = (typeof FeedStage)[keyof typeof FeedStage];

/**
 * One block as a rollup gets it. Soft: `certificate` notarizes the block, `path` is empty. Final: `certificate` finalizes
 * the block itself, or the last header of `path`, its descendants in order. `batches`: the encoded batches of every ref of
 * this rollup, in ref order; or none at all with `bodiesOmitted` = 1, when the receiver got them with the soft block.
 */
export const FeedBlock = new ContainerType(
  {
    stage: Uint8,
    rollupId: RollupIdType,
    block: Block,
    certificate: Certificate,
    // The last block of an epoch may be proven by its epilogue.
    path: new ListCompositeType(BlockHeader, MAX_BLOCKS_PER_RANGE + MAX_HAND_OVER_PATH_HEADERS),
    bodiesOmitted: Uint8,
    batches: new ListCompositeType(new ByteListType(ENCODED_BATCH_MAX_BYTES), MAX_BATCH_REFS_PER_BLOCK),
  },
  { typeName: 'FeedBlock' },
);
export type FeedBlock = Omit<ValueOf<typeof FeedBlock>, 'certificate'> & { certificate: Certificate };

/** Transactions of one rollup from an edge peer, many in one gossip message (R4). */
export const GossipTransactions = new ContainerType(
  { rollupId: RollupIdType, transactions: new ListCompositeType(new ByteListType(MAX_TRANSACTION_BYTES), 1024) },
  { typeName: 'GossipTransactions' },
);
export type GossipTransactions = ValueOf<typeof GossipTransactions>;
