/** The consensus part of the log: what each record's kind is and how it is encoded. */

import { ContainerType, ListCompositeType } from '@chainsafe/ssz';
import type { Checkpoint, ConsensusRecord, HeldBatch } from '@squad/consensus';
import type { LogRecord } from '@squad/storage';
import {
  type Batch,
  Block,
  Bytes32Type,
  batchDigest,
  Certificate,
  HandOverProof,
  HeightType,
  LaneSeqType,
  MAX_VALIDATORS,
  SignedBatchHeader,
  SquadError,
  toHex,
  Vote,
} from '@squad/types';

const KIND = { vote: 1, block: 2, certificate: 3, finalized: 4, checkpoint: 5, batch: 6, epochEnded: 7 } as const;

const Finalized = new ContainerType({ hash: Bytes32Type, height: HeightType, certificate: Certificate });
const EpochEnded = new ContainerType({ block: Block, proof: HandOverProof });
const LaneTip = new ContainerType({ nextSeq: LaneSeqType, lastDigest: Bytes32Type });
/** Far above what the core keeps: a bound of the encoding, not of the protocol. */
const MAX_CHECKPOINT_ITEMS = 65_536;
const CheckpointType = new ContainerType({
  finalized: Block,
  finalization: Certificate,
  laneTips: new ListCompositeType(LaneTip, MAX_VALIDATORS),
  blocks: new ListCompositeType(Block, MAX_CHECKPOINT_ITEMS),
  certificates: new ListCompositeType(Certificate, MAX_CHECKPOINT_ITEMS),
  votes: new ListCompositeType(Vote, MAX_CHECKPOINT_ITEMS),
});

/** A batch that is held and not ordered for good yet: its header is repeated here, so that a restart need not read bodies. */
export interface BatchRecord {
  readonly type: 'batch';
  readonly signed: SignedBatchHeader;
}

export type NodeRecord = ConsensusRecord | BatchRecord;

export function encodeRecord(record: NodeRecord): LogRecord {
  switch (record.type) {
    case 'vote':
      return { kind: KIND.vote, payload: Vote.serialize(record.vote) };
    case 'block':
      return { kind: KIND.block, payload: Block.serialize(record.block) };
    case 'certificate':
      return { kind: KIND.certificate, payload: Certificate.serialize(record.certificate) };
    case 'finalized': {
      const { height, certificate } = record;
      return {
        kind: KIND.finalized,
        payload: Finalized.serialize({ hash: certificate.blockHash, height, certificate }),
      };
    }
    case 'epochEnded': {
      const { block, proof } = record;
      return { kind: KIND.epochEnded, payload: EpochEnded.serialize({ block, proof }) };
    }
    case 'checkpoint': {
      const { laneTips, blocks, certificates, votes, ...rest } = record.checkpoint;
      const payload = CheckpointType.serialize({
        ...rest,
        laneTips: [...laneTips],
        blocks: [...blocks],
        certificates: [...certificates],
        votes: [...votes],
      });
      return { kind: KIND.checkpoint, payload };
    }
    case 'batch':
      return { kind: KIND.batch, payload: SignedBatchHeader.serialize(record.signed) };
  }
}

/** Throws a SquadError: what this node wrote itself, under a checksum, has to be readable. */
export function decodeRecord({ kind, payload }: LogRecord): NodeRecord {
  try {
    switch (kind) {
      case KIND.vote:
        return { type: 'vote', vote: Vote.deserialize(payload) as Vote };
      case KIND.block:
        return { type: 'block', block: Block.deserialize(payload) };
      case KIND.certificate:
        return { type: 'certificate', certificate: Certificate.deserialize(payload) as Certificate };
      case KIND.finalized: {
        const { hash, height, certificate } = Finalized.deserialize(payload);
        return { type: 'finalized', hash: toHex(hash), height, certificate: certificate as Certificate };
      }
      case KIND.epochEnded: {
        const { block, proof } = EpochEnded.deserialize(payload);
        return { type: 'epochEnded', block, proof: proof as HandOverProof };
      }
      case KIND.checkpoint:
        return { type: 'checkpoint', checkpoint: CheckpointType.deserialize(payload) as Checkpoint };
      case KIND.batch:
        return { type: 'batch', signed: SignedBatchHeader.deserialize(payload) };
    }
  } catch (cause) {
    throw unreadable(kind, cause);
  }
  throw unreadable(kind, undefined);
}

function unreadable(kind: number, cause: unknown): SquadError {
  return new SquadError(
    'RECORD_UNREADABLE',
    `a record of kind ${kind} in the node’s log cannot be read`,
    'The data folder was written by another version of squad. Start the version that wrote it, or move the folder away ' +
      'and let the node catch up from its peers; a validator must then wait until its old votes are final.',
    { kind },
    cause,
  );
}

/** What the core must know of a batch. */
export function heldBatch(signed: Batch['signed'], digest: Uint8Array = batchDigest(signed.header)): HeldBatch {
  const { author, seq, rollupId, joinsNext, previousDigest } = signed.header;
  return { ref: { author, seq, rollupId, digest, joinsNext }, previousDigest };
}
