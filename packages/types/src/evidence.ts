/**
 * Evidence (section 4): what a validator signed and no honest one signs. Each kind holds all that a stranger with the
 * validator set needs to judge it. Who is convicted is said by `verifyEvidence` of `@squad/crypto`.
 */

import { ContainerType, NoneType, UnionType } from '@chainsafe/ssz';
import { SignedBatchHeader } from './batch.ts';
import { BlockHeader } from './block.ts';
import type { Epoch } from './ids.ts';
import { ok, type Result } from './result.ts';
import { SkipOpening } from './skip-opening.ts';
import { decode, decodeError } from './ssz.ts';
import { Certificate, checkKind, signerBits, type Vote } from './vote.ts';

export const EVIDENCE_KINDS = ['E1', 'E2', 'E3', 'E4', 'E5'] as const;
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];

/** What each kind shows, for people. */
export const EVIDENCE_MEANINGS: Readonly<Record<EvidenceKind, string>> = {
  E1: 'two NOTARIZE in one view',
  E2: 'two FINALIZE in one view',
  E3: 'NULLIFY and FINALIZE in one view',
  E4: 'NOTARIZE of a header that skips a view which its skips do not nullify',
  E5: 'two batches at one place of a lane',
};

/**
 * Votes of one content by one or more signers, with the sum of their signatures: a single vote, or a certificate. It has
 * a certificate's encoding, and no quorum is asked of it.
 */
export type Statement = Certificate;

/** Two statements that exclude each other: whoever signed both is convicted. */
export interface VoteConflict {
  kind: 'E1' | 'E2' | 'E3';
  first: Statement;
  second: Statement;
}

/** A NOTARIZE, the header whose hash it signs, and what that header's skips root opens to. */
export interface WrongSkip {
  kind: 'E4';
  vote: Statement;
  header: BlockHeader;
  opening: SkipOpening;
}

export interface LaneFork {
  kind: 'E5';
  first: SignedBatchHeader;
  second: SignedBatchHeader;
}

export type Evidence = VoteConflict | WrongSkip | LaneFork;

const VoteConflictType = new ContainerType({ first: Certificate, second: Certificate }, { typeName: 'VoteConflict' });
const WrongSkipType = new ContainerType(
  { vote: Certificate, header: BlockHeader, opening: SkipOpening },
  { typeName: 'WrongSkip' },
);
const LaneForkType = new ContainerType(
  { first: SignedBatchHeader, second: SignedBatchHeader },
  { typeName: 'LaneFork' },
);

/** An SSZ union: its selector is the kind's number, 1 to 5. Selector 0 is no evidence and does not decode. */
export const EvidenceType = new UnionType([
  new NoneType(),
  VoteConflictType,
  VoteConflictType,
  VoteConflictType,
  WrongSkipType,
  LaneForkType,
]);

/** Bytes of the longest encoding, which an E4 of the largest set has. */
export const MAX_EVIDENCE_BYTES: number = EvidenceType.maxSize;

export function encodeEvidence(evidence: Evidence): Uint8Array {
  const { kind, ...value } = evidence;
  return EvidenceType.serialize({ selector: EVIDENCE_KINDS.indexOf(kind) + 1, value });
}

/** Checks form only: neither that it shows anything nor any signature. */
export function decodeEvidence(bytes: Uint8Array): Result<Evidence> {
  const decoded = decode(EvidenceType, 'Evidence', bytes);
  if (!decoded.ok) return decoded;
  const kind = EVIDENCE_KINDS[decoded.value.selector - 1];
  if (kind === undefined) return decodeError('Evidence', 'selector 0 is no kind of evidence');
  const evidence = { kind, ...(decoded.value.value as object) } as Evidence;
  for (const certificate of certificatesIn(evidence)) {
    const checked = checkKind('Evidence', certificate);
    if (!checked.ok) return checked;
  }
  return ok(evidence);
}

function certificatesIn(evidence: Evidence): readonly Certificate[] {
  switch (evidence.kind) {
    case 'E4':
      return [evidence.vote, ...evidence.opening.certificates];
    case 'E5':
      return [];
    default:
      return [evidence.first, evidence.second];
  }
}

/** One validator's vote as a statement. `setSize`: validators in the epoch's set. */
export function statementOf({ kind, epoch, view, blockHash, signer, signature }: Vote, setSize: number): Statement {
  return { kind, epoch, view, blockHash, signers: signerBits(setSize, [signer]), signature };
}

/** The epoch whose set a piece of evidence accuses. */
export function epochOfEvidence(evidence: Evidence): Epoch {
  switch (evidence.kind) {
    case 'E4':
      return evidence.vote.epoch;
    case 'E5':
      return evidence.first.header.epoch;
    default:
      return evidence.first.epoch;
  }
}
