/** Records of the consensus core in the node's log. A checksum stands over them; what decodes must still be canonical. */

import type { Checkpoint } from '@squad/consensus';
import { decodeRecord, encodeRecord, type NodeRecord } from '@squad/sequencer/testing';
import { Block, Certificate, HandOverProof, SignedBatchHeader, SquadError, toHex, Vote } from '@squad/types';
import type { Random } from '../random.ts';
import { randomValue } from '../ssz.ts';
import { demandSameBytes, type Target } from '../target.ts';

function value<T>(type: unknown, random: Random): T {
  return randomValue(type as never, random) as T;
}

function some<T>(type: unknown, random: Random): T[] {
  return Array.from({ length: random.below(3) }, () => value<T>(type, random));
}

function randomCheckpoint(random: Random): Checkpoint {
  return {
    finalized: value(Block, random),
    finalization: value(Certificate, random),
    laneTips: Array.from({ length: random.below(5) }, () => ({
      nextSeq: random.number(),
      lastDigest: random.bytes(32),
    })),
    blocks: some(Block, random),
    certificates: some(Certificate, random),
    votes: some(Vote, random),
  };
}

/** The record's kind, then its payload. */
function randomRecord(random: Random): Uint8Array {
  const certificate = value<Certificate>(Certificate, random);
  const records: readonly (() => NodeRecord)[] = [
    () => ({ type: 'vote', vote: value(Vote, random) }),
    () => ({ type: 'block', block: value(Block, random) }),
    () => ({ type: 'certificate', certificate }),
    () => ({ type: 'finalized', hash: toHex(certificate.blockHash), height: random.number(), certificate }),
    () => ({ type: 'checkpoint', checkpoint: randomCheckpoint(random) }),
    () => ({ type: 'epochEnded', block: value(Block, random), proof: value(HandOverProof, random) }),
    () => ({ type: 'batch', signed: value(SignedBatchHeader, random) }),
  ];
  const { kind, payload } = encodeRecord(random.pick(records)());
  return Buffer.concat([Uint8Array.of(kind), payload]);
}

function check(input: Uint8Array): boolean {
  let record: NodeRecord;
  try {
    record = decodeRecord({ kind: input[0] ?? 0, payload: input.subarray(1) });
  } catch (error) {
    if (error instanceof SquadError) return false;
    throw error;
  }
  // The hash of a `finalized` record stands in its certificate, too: written by this node, from there.
  if (record.type === 'finalized' && record.hash !== toHex(record.certificate.blockHash)) return false;
  demandSameBytes(input.subarray(1), encodeRecord(record).payload, 'a record');
  return true;
}

export const RECORD_TARGETS: readonly Target[] = [
  { name: 'consensus-record', what: 'disk: a record of the consensus core', make: randomRecord, check },
];
