/** Votes and certificates: NOTARIZE, NULLIFY, FINALIZE, and what a quorum of one kind makes. */

import { BitArray, BitListType, ContainerType, type ValueOf } from '@chainsafe/ssz';
import { DOMAINS } from './domains.ts';
import type { Bytes32, ValidatorIndex, View } from './ids.ts';
import { equalBytes, ZERO_HASH } from './ids.ts';
import { MAX_VALIDATORS } from './limits.ts';
import type { Result } from './result.ts';
import { signingRoot } from './signing.ts';
import {
  Bytes32Type,
  Bytes96Type,
  decode,
  decodeError,
  EpochType,
  Uint8,
  ValidatorIndexType,
  ViewType,
} from './ssz.ts';

export const VoteKind = { notarize: 1, nullify: 2, finalize: 3 } as const;
export type VoteKind = (typeof VoteKind)[keyof typeof VoteKind];

export const VOTE_KIND_NAMES: Readonly<Record<VoteKind, 'notarize' | 'nullify' | 'finalize'>> = {
  1: 'notarize',
  2: 'nullify',
  3: 'finalize',
};

/** What a vote says; signed under the domain of its kind. */
export const VoteData = new ContainerType(
  { networkId: Bytes32Type, epoch: EpochType, view: ViewType, blockHash: Bytes32Type },
  { typeName: 'VoteData', jsonCase: 'eth2' },
);

export const Vote = new ContainerType(
  {
    kind: Uint8,
    epoch: EpochType,
    view: ViewType,
    /** Zero for NULLIFY. */
    blockHash: Bytes32Type,
    signer: ValidatorIndexType,
    signature: Bytes96Type,
  },
  { typeName: 'Vote', jsonCase: 'eth2' },
);
export type Vote = Omit<ValueOf<typeof Vote>, 'kind'> & { kind: VoteKind };

/** `signers`: bit i stands for validator i of the epoch's set. `signature`: the sum of theirs. */
export const Certificate = new ContainerType(
  {
    kind: Uint8,
    epoch: EpochType,
    view: ViewType,
    blockHash: Bytes32Type,
    signers: new BitListType(MAX_VALIDATORS),
    signature: Bytes96Type,
  },
  { typeName: 'Certificate', jsonCase: 'eth2' },
);
export type Certificate = Omit<ValueOf<typeof Certificate>, 'kind'> & { kind: VoteKind };

/** The 32 bytes that a vote of this content signs. */
export function voteSigningRoot(
  networkId: Bytes32,
  vote: { readonly kind: VoteKind; readonly epoch: number; readonly view: View; readonly blockHash: Bytes32 },
): Bytes32 {
  const { kind, epoch, view, blockHash } = vote;
  return signingRoot(VoteData.hashTreeRoot({ networkId, epoch, view, blockHash }), DOMAINS[VOTE_KIND_NAMES[kind]]);
}

export function decodeVote(bytes: Uint8Array): Result<Vote> {
  const vote = decode(Vote, 'Vote', bytes);
  return vote.ok ? checkKind('Vote', vote.value) : vote;
}

export function decodeCertificate(bytes: Uint8Array): Result<Certificate> {
  const certificate = decode(Certificate, 'Certificate', bytes);
  return certificate.ok ? checkKind('Certificate', certificate.value) : certificate;
}

/** Kind is one of the three, and a NULLIFY names no block. */
export function checkKind<T extends { kind: number; blockHash: Bytes32 }>(
  what: string,
  value: T,
): Result<Omit<T, 'kind'> & { kind: VoteKind }> {
  if (value.kind < 1 || value.kind > 3) return decodeError(what, `kind ${value.kind} is none of 1, 2, 3`);
  if (value.kind === VoteKind.nullify && !equalBytes(value.blockHash, ZERO_HASH)) {
    return decodeError(what, 'a nullify names a block');
  }
  return { ok: true, value: value as Omit<T, 'kind'> & { kind: VoteKind } };
}

export function signersOf(certificate: Pick<Certificate, 'signers'>): ValidatorIndex[] {
  const signers: ValidatorIndex[] = [];
  for (let i = 0; i < certificate.signers.bitLen; i++) if (certificate.signers.get(i)) signers.push(i);
  return signers;
}

export function signerBits(setSize: number, signers: Iterable<ValidatorIndex>): BitArray {
  const bits = BitArray.fromBitLen(setSize);
  for (const signer of signers) bits.set(signer, true);
  return bits;
}
