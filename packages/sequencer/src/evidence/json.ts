/** Evidence as JSON: what it says in words and numbers, and `encoded`, from which alone it is verified. */

import {
  type BlockHeader,
  batchDigest,
  blockHash,
  type Epoch,
  EVIDENCE_MEANINGS,
  type Evidence,
  encodeEvidence,
  type SignedBatchHeader,
  type Statement,
  signersOf,
  toHex,
  type ValidatorIndex,
  VOTE_KIND_NAMES,
} from '@squad/types';
import type { HeldEvidence } from './keeper.ts';

/** `nameOf`: of a validator of the epoch that the evidence is of; null if nobody told it. */
export function evidenceJson(
  { evidence, conviction }: HeldEvidence,
  nameOf: (epoch: Epoch, validator: ValidatorIndex) => string | null,
): unknown {
  const { epoch } = conviction;
  return {
    kind: evidence.kind,
    meaning: EVIDENCE_MEANINGS[evidence.kind],
    epoch,
    ...conviction.place,
    validators: conviction.validators.map((index) => ({ index, name: nameOf(epoch, index) })),
    ...contentJson(evidence),
    encoded: toHex(encodeEvidence(evidence)),
  };
}

function contentJson(evidence: Evidence): Record<string, unknown> {
  switch (evidence.kind) {
    case 'E4': {
      const { vote, header, opening } = evidence;
      const { count, position, certificates, branch } = opening;
      return {
        vote: statementJson(vote),
        header: headerJson(header),
        opening: {
          count,
          position,
          certificate: certificates[0] === undefined ? null : statementJson(certificates[0]),
          branch: branch.map(toHex),
        },
      };
    }
    case 'E5':
      return { first: batchJson(evidence.first), second: batchJson(evidence.second) };
    default:
      return { first: statementJson(evidence.first), second: statementJson(evidence.second) };
  }
}

function statementJson(statement: Statement): unknown {
  return {
    kind: VOTE_KIND_NAMES[statement.kind],
    epoch: statement.epoch,
    view: statement.view,
    blockHash: toHex(statement.blockHash),
    signers: signersOf(statement),
    signature: toHex(statement.signature),
  };
}

function headerJson(header: BlockHeader): unknown {
  const { view, height, parentView, parentHash, leader, skipsRoot } = header;
  return {
    hash: toHex(blockHash(header)),
    view,
    height,
    parentView,
    parentHash: toHex(parentHash),
    leader,
    skipsRoot: toHex(skipsRoot),
  };
}

function batchJson({ header, signature }: SignedBatchHeader): unknown {
  const { author, seq, rollupId, transactionCount, createdAtMs } = header;
  return {
    digest: toHex(batchDigest(header)),
    author,
    seq,
    rollupId,
    transactionCount,
    createdAtMs,
    previousDigest: toHex(header.previousDigest),
    bodyRoot: toHex(header.bodyRoot),
    signature: toHex(signature),
  };
}
