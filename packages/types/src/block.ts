/** Blocks and proposals (R7, R8). A block is a header and the batch references that its refs root commits to. */

import { ContainerType, ListCompositeType, type ValueOf } from '@chainsafe/ssz';
import { BatchRef } from './batch.ts';
import { type BlockHash, type Bytes32, type Epoch, toHex, type UnixMs, ZERO_HASH } from './ids.ts';
import { MAX_BATCH_REFS_PER_BLOCK, MAX_SKIPPED_VIEWS } from './limits.ts';
import { ok, type Result } from './result.ts';
import {
  Bytes32Type,
  Bytes96Type,
  decode,
  EpochType,
  HeightType,
  Uint16,
  Uint64,
  UnixMsType,
  ValidatorIndexType,
  ViewType,
} from './ssz.ts';
import { Certificate, checkKind, signerBits, VoteKind } from './vote.ts';

export const BLOCK_VERSION = 1;

export const BlockHeader = new ContainerType(
  {
    version: Uint16,
    networkId: Bytes32Type,
    epoch: EpochType,
    view: ViewType,
    height: HeightType,
    parentView: ViewType,
    parentHash: Bytes32Type,
    leader: ValidatorIndexType,
    timestampMs: UnixMsType,
    l1AnchorNumber: Uint64,
    l1AnchorHash: Bytes32Type,
    /** Hash tree root of the block's `BatchRefs`. */
    refsRoot: Bytes32Type,
    /** Hash tree root of the proposal's `SkipCertificates`. */
    skipsRoot: Bytes32Type,
    /** The next set's hash in the last block of an epoch; zero in every other. */
    nextValidatorSetHash: Bytes32Type,
  },
  { typeName: 'BlockHeader', jsonCase: 'eth2' },
);
export type BlockHeader = ValueOf<typeof BlockHeader>;

export const BatchRefs = new ListCompositeType(BatchRef, MAX_BATCH_REFS_PER_BLOCK);
export const SkipCertificates = new ListCompositeType(Certificate, MAX_SKIPPED_VIEWS);

export const Block = new ContainerType({ header: BlockHeader, refs: BatchRefs }, { typeName: 'Block' });
export type Block = ValueOf<typeof Block>;

/**
 * A block with its whole justification: the parent's certificate and one nullification for every view between parent
 * and block, ascending. `leaderSignature` is the leader's NOTARIZE of the block.
 */
const ProposalType = new ContainerType(
  { block: Block, parentCertificate: Certificate, skips: SkipCertificates, leaderSignature: Bytes96Type },
  { typeName: 'Proposal' },
);

export { ProposalType as Proposal };
export interface Proposal {
  block: Block;
  parentCertificate: Certificate;
  skips: Certificate[];
  leaderSignature: Uint8Array;
}

/** A block of the L1 that a network follows (R24). */
export interface L1BlockId {
  readonly number: number;
  readonly hash: Bytes32;
}

/** Of a network that follows no L1. */
export const NO_L1_ANCHOR: L1BlockId = { number: 0, hash: ZERO_HASH };

/** A header is never changed once it is made, and asked for its hash in many places. */
const hashes = new WeakMap<BlockHeader, Bytes32>();

export function blockHash(header: BlockHeader): Bytes32 {
  const known = hashes.get(header);
  if (known) return known;
  const hash = BlockHeader.hashTreeRoot(header);
  hashes.set(header, hash);
  return hash;
}

export function blockHashHex(header: BlockHeader): BlockHash {
  return toHex(blockHash(header));
}

const NO_REFS_ROOT: Bytes32 = BatchRefs.hashTreeRoot([]);
const NO_SKIPS_ROOT: Bytes32 = SkipCertificates.hashTreeRoot([]);

/** The block that all nodes agree on without a vote: height 0, view 0, the network's id and start. */
export function genesisBlock(networkId: Bytes32, timestampMs: UnixMs): Block {
  return {
    header: {
      version: BLOCK_VERSION,
      networkId,
      epoch: 0,
      view: 0,
      height: 0,
      parentView: 0,
      parentHash: ZERO_HASH,
      leader: 0,
      timestampMs,
      l1AnchorNumber: 0,
      l1AnchorHash: ZERO_HASH,
      refsRoot: NO_REFS_ROOT,
      skipsRoot: NO_SKIPS_ROOT,
      nextValidatorSetHash: ZERO_HASH,
    },
    refs: [],
  };
}

export function decodeProposal(bytes: Uint8Array): Result<Proposal> {
  const proposal = decode(ProposalType, 'Proposal', bytes);
  if (!proposal.ok) return proposal;
  for (const certificate of [proposal.value.parentCertificate, ...proposal.value.skips]) {
    const checked = checkKind('Certificate', certificate);
    if (!checked.ok) return checked;
  }
  return ok(proposal.value as Proposal);
}

/**
 * Stands for the certificate of the block that an epoch starts after (genesis, or the boundary block of the epoch before) in
 * the epoch's first proposals: view 0, no signers, no signature.
 */
export function genesisCertificate(setSize: number, startHash: Bytes32, epoch: Epoch = 0): Certificate {
  return {
    ...Certificate.defaultValue(),
    kind: VoteKind.finalize,
    epoch,
    blockHash: startHash,
    signers: signerBits(setSize, []),
  };
}
