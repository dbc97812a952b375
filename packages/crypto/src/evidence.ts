/**
 * Judging evidence (section 4). Pure, for hostile input, and self-contained: the evidence, the validator set of its epoch
 * and the network id are all it needs, in a node (blst) as in a browser (noble). It convicts nobody of whom not both
 * statements are shown to be signed.
 */

import {
  type Bytes32,
  batchDigest,
  blockHash,
  type Epoch,
  type Evidence,
  type EvidenceKind,
  equalBytes,
  err,
  type LaneFork,
  type LaneSeq,
  ok,
  opensSkips,
  quorumWeight,
  type Result,
  type Statement,
  signersOf,
  totalWeight,
  type ValidatorIndex,
  type ValidatorSet,
  type View,
  type VoteConflict,
  VoteKind,
  voteSigningRoot,
  type WrongSkip,
} from '@squad/types';
import { verifyBatchHeader } from './batch.ts';
import { certificateFault } from './certificate-fault.ts';
import { verifyEd25519 as portableEd25519, type VerifyEd25519 } from './ed25519.ts';
import type { VoteScheme } from './vote-scheme.ts';

/** What a piece of evidence proves: these validators, at least one, did this. */
export interface Conviction {
  readonly kind: EvidenceKind;
  readonly epoch: Epoch;
  /** Ascending. */
  readonly validators: readonly ValidatorIndex[];
  /** Where: the view (E1 to E4), or the place in the validator's lane (E5). */
  readonly place: { readonly view: View } | { readonly seq: LaneSeq };
}

/** Why a piece of evidence proves nothing. */
export interface EvidenceFault {
  readonly code: 'EVIDENCE_EPOCH' | 'EVIDENCE_NETWORK' | 'EVIDENCE_SET' | 'EVIDENCE_CONTENT' | 'EVIDENCE_SIGNATURE';
  readonly reason: string;
}

/**
 * Who is convicted, or why nobody is. `voteVerifier`: over the keys of `validatorSet`, which must have proven possession.
 * Costs at most two signature checks.
 */
export function verifyEvidence(
  evidence: Evidence,
  validatorSet: ValidatorSet,
  networkId: Bytes32,
  voteVerifier: Pick<VoteScheme, 'verify'>,
  verifyEd25519: VerifyEd25519 = portableEd25519,
): Result<Conviction, EvidenceFault> {
  const accusation = accusationOf(evidence, validatorSet, networkId);
  if (!accusation.ok) return accusation;
  const isSigned = (statement: Statement) =>
    voteVerifier.verify(signersOf(statement), voteSigningRoot(networkId, statement), statement.signature);
  switch (evidence.kind) {
    case 'E5': {
      const { nodePublicKey } = validatorSet.validators[evidence.first.header.author]!;
      for (const [name, signed] of Object.entries({ first: evidence.first, second: evidence.second })) {
        if (!verifyBatchHeader(signed, nodePublicKey, verifyEd25519)) {
          return fault('EVIDENCE_SIGNATURE', `the ${name} batch header is not signed by its author`);
        }
      }
      return accusation;
    }
    case 'E4': {
      if (!isSigned(evidence.vote)) return fault('EVIDENCE_SIGNATURE', 'the vote is not signed by all of its signers');
      const [skip] = evidence.opening.certificates;
      if (skip === undefined) return accusation;
      const quorum = quorumWeight(totalWeight(validatorSet));
      const isNullified =
        isNullificationOf(skip, skippedView(evidence)) &&
        certificateFault(skip, { networkId, validatorSet, quorum, scheme: voteVerifier }) === undefined;
      return isNullified ? fault('EVIDENCE_CONTENT', `view ${skip.view} is nullified as it must be`) : accusation;
    }
    default:
      for (const [name, statement] of Object.entries({ first: evidence.first, second: evidence.second })) {
        if (!isSigned(statement)) {
          return fault('EVIDENCE_SIGNATURE', `the ${name} statement is not signed by all of its signers`);
        }
      }
      return accusation;
  }
}

/**
 * Whom the evidence would convict if every signature in it (and for E4 none of the opened nullification) is good: cheap,
 * and enough to see whether it is worth verifying. Proves nothing by itself.
 */
export function accusationOf(
  evidence: Evidence,
  validatorSet: ValidatorSet,
  networkId: Bytes32,
): Result<Conviction, EvidenceFault> {
  switch (evidence.kind) {
    case 'E4':
      return wrongSkip(evidence, validatorSet, networkId);
    case 'E5':
      return laneFork(evidence, validatorSet, networkId);
    default:
      return voteConflict(evidence, validatorSet);
  }
}

function voteConflict({ kind, first, second }: VoteConflict, set: ValidatorSet): Result<Conviction, EvidenceFault> {
  const misfit = statementFault(first, set) ?? statementFault(second, set);
  if (misfit) return misfit;
  if (first.view !== second.view) {
    return fault('EVIDENCE_CONTENT', `the statements are of two views, ${first.view} and ${second.view}`);
  }
  const found = conflictOf(first, second);
  if (found === undefined) return fault('EVIDENCE_CONTENT', 'the statements do not exclude each other');
  if (found !== kind) return fault('EVIDENCE_CONTENT', `the statements show ${found}, not ${kind}`);
  const validators = signersOf(first).filter((signer) => second.signers.get(signer));
  if (validators.length === 0) return fault('EVIDENCE_CONTENT', 'no validator signed both statements');
  return ok({ kind, epoch: set.epoch, validators, place: { view: first.view } });
}

/** The fault of whoever says both in one view; undefined if an honest validator may. */
export function conflictOf(
  first: Pick<Statement, 'kind' | 'blockHash'>,
  second: Pick<Statement, 'kind' | 'blockHash'>,
): VoteConflict['kind'] | undefined {
  if (first.kind !== second.kind) {
    return first.kind === VoteKind.notarize || second.kind === VoteKind.notarize ? undefined : 'E3';
  }
  if (first.kind === VoteKind.nullify || equalBytes(first.blockHash, second.blockHash)) return undefined;
  return first.kind === VoteKind.notarize ? 'E1' : 'E2';
}

function wrongSkip(evidence: WrongSkip, set: ValidatorSet, networkId: Bytes32): Result<Conviction, EvidenceFault> {
  const { vote, header, opening } = evidence;
  const misfit = statementFault(vote, set);
  if (misfit) return misfit;
  if (!equalBytes(header.networkId, networkId)) return otherNetwork('header');
  if (header.epoch !== set.epoch) return otherEpoch('header', header.epoch, set);
  if (vote.kind !== VoteKind.notarize || vote.view !== header.view || !equalBytes(vote.blockHash, blockHash(header))) {
    return fault('EVIDENCE_CONTENT', 'the vote is no NOTARIZE of this header');
  }
  const skipped = header.view - header.parentView - 1;
  if (skipped < 1) return fault('EVIDENCE_CONTENT', 'the header skips no view');
  if (!opensSkips(opening, header.skipsRoot)) {
    return fault('EVIDENCE_CONTENT', 'the opening is not one of the header’s skips root');
  }
  const showsCount = opening.certificates.length === 0;
  if (showsCount !== (opening.count !== skipped)) {
    return fault(
      'EVIDENCE_CONTENT',
      showsCount
        ? `the header names a certificate for each of the ${skipped} views that it skips`
        : `the header names ${opening.count} certificates for ${skipped} views: the count is what is to be shown`,
    );
  }
  const validators = signersOf(vote);
  if (validators.length === 0) return fault('EVIDENCE_CONTENT', 'nobody signed the vote');
  return ok({ kind: 'E4', epoch: set.epoch, validators, place: { view: vote.view } });
}

/** The view that the opened certificate must nullify. */
function skippedView({ header, opening }: WrongSkip): View {
  return header.parentView + 1 + opening.position;
}

function isNullificationOf(certificate: Statement, view: View): boolean {
  return certificate.kind === VoteKind.nullify && certificate.view === view;
}

function laneFork(
  { first, second }: LaneFork,
  set: ValidatorSet,
  networkId: Bytes32,
): Result<Conviction, EvidenceFault> {
  for (const { header } of [first, second]) {
    if (!equalBytes(header.networkId, networkId)) return otherNetwork('batch header');
    if (header.epoch !== set.epoch) return otherEpoch('batch header', header.epoch, set);
  }
  const { author, seq } = first.header;
  if (set.validators[author] === undefined) {
    return fault('EVIDENCE_SET', `validator ${author} is not in the set of ${set.validators.length}`);
  }
  if (second.header.author !== author || second.header.seq !== seq) {
    return fault('EVIDENCE_CONTENT', 'the batch headers are of two places');
  }
  if (equalBytes(batchDigest(first.header), batchDigest(second.header))) {
    return fault('EVIDENCE_CONTENT', 'the batch headers are the same');
  }
  return ok({ kind: 'E5', epoch: set.epoch, validators: [author], place: { seq } });
}

type Fault = ReturnType<typeof fault>;

/** A statement must be of this epoch and set, and somebody's. */
function statementFault(statement: Statement, set: ValidatorSet): Fault | undefined {
  if (statement.epoch !== set.epoch) return otherEpoch('statement', statement.epoch, set);
  if (statement.signers.bitLen !== set.validators.length) {
    return fault(
      'EVIDENCE_SET',
      `the statement is made for a set of ${statement.signers.bitLen}, this one has ${set.validators.length}`,
    );
  }
  return undefined;
}

function otherNetwork(what: string): Fault {
  return fault('EVIDENCE_NETWORK', `the ${what} belongs to another network`);
}

function otherEpoch(what: string, epoch: Epoch, set: ValidatorSet): Fault {
  return fault('EVIDENCE_EPOCH', `the ${what} is of epoch ${epoch}, the validator set of epoch ${set.epoch}`);
}

function fault(code: EvidenceFault['code'], reason: string): { readonly ok: false; readonly error: EvidenceFault } {
  return err({ code, reason });
}
