/** Judges that a quorum stands behind a block. Pure, for hostile input. */

import { type Bls, createVoteScheme, type Hash, nobleBls } from '@squad/crypto';
import {
  type BatchRef,
  BLOCK_VERSION,
  type BlockHeader,
  BlockProof,
  type Bytes32,
  blockHash,
  type Certificate,
  decodeBlockProof,
  equalBytes,
  ok,
  type Result,
  type SquadError,
  toHex,
  VoteKind,
  validatorSetHash,
} from '@squad/types';
import { CertificateChecker, type Fault } from '../certificates.ts';
import { epilogueFault, refsFault, targetFault } from '../certified.ts';
import type { Checkpoint } from './checkpoint.ts';
import { refused } from './fault.ts';

export interface ProofOptions {
  /** Default `nobleBls`, which runs everywhere; `native.bls` of `@squad/client/node` is 30 times faster. */
  readonly bls?: Bls;
  /** Default: portable ones. */
  readonly sha256?: Hash;
  readonly keccak256?: Hash;
}

/** A block that the set of a checkpoint stands behind. */
export interface CertifiedBlock {
  /** `soft`: notarized. `final`: finalized, itself or a descendant. */
  readonly stage: 'soft' | 'final';
  readonly hash: Bytes32;
  readonly header: BlockHeader;
  /** All of them: none is left out. */
  readonly refs: readonly BatchRef[];
  readonly certificate: Certificate;
}

/**
 * The block of a proof, if a quorum of the trusted set certified it: one signature check, the last thing done, and a hash for
 * each header, ref and validator.
 *
 * @example
 * const block = verifyBlockProof(proof, checkpoint);
 * if (block.ok) console.log(block.value.stage, block.value.header.height);
 */
export function verifyBlockProof(
  input: Uint8Array | BlockProof,
  checkpoint: Checkpoint,
  options: ProofOptions = {},
): Result<CertifiedBlock, SquadError> {
  const decoded = decodeBlockProof(input instanceof Uint8Array ? input : BlockProof.serialize(input));
  if (!decoded.ok) return refused('the block proof', { code: 'ENCODING', reason: decoded.error.reason });
  const proof = decoded.value;
  const hash = blockHash(proof.block.header);
  const fault = linkFault(proof, hash, checkpoint) ?? signatureFault(proof, checkpoint, options);
  if (fault) return refused('the block proof', fault);
  return ok(certifiedBlock(proof, hash));
}

/** All but the signature: belonging, links, refs. */
export function linkFault(proof: BlockProof, hash: Bytes32, checkpoint: Checkpoint): Fault | undefined {
  const { block, path, certificate, validatorSet } = proof;
  const { header, refs } = block;
  if (!equalBytes(header.networkId, checkpoint.networkId)) {
    const reason = `its network id is ${toHex(header.networkId)}, trusted is ${toHex(checkpoint.networkId)}`;
    return { code: 'WRONG_NETWORK', reason };
  }
  const setHash = validatorSetHash(validatorSet);
  if (!equalBytes(setHash, checkpoint.validatorSetHash)) {
    const reason = `its validator set, of epoch ${validatorSet.epoch}, has the hash ${toHex(setHash)}, trusted is ${toHex(checkpoint.validatorSetHash)}`;
    return { code: 'WRONG_VALIDATOR_SET', reason };
  }
  if (header.version !== BLOCK_VERSION) {
    return { code: 'WRONG_VERSION', reason: `the block's version is ${header.version}, known is ${BLOCK_VERSION}` };
  }
  if (header.epoch !== validatorSet.epoch) {
    const reason = `the block is of epoch ${header.epoch}, the validator set of epoch ${validatorSet.epoch}`;
    return { code: 'WRONG_EPOCH', reason };
  }
  return (
    epilogueFault(header, checkpoint.epochLengthBlocks) ??
    targetFault(header, hash, path, certificate) ??
    refsFault(header, refs)
  );
}

export function signatureFault(
  { certificate, validatorSet }: BlockProof,
  { networkId }: Checkpoint,
  { bls = nobleBls }: ProofOptions,
): Fault | undefined {
  const scheme = createVoteScheme(bls, validatorSet);
  return new CertificateChecker(networkId, validatorSet, scheme).check(certificate, certificate.kind);
}

export function certifiedBlock({ block, certificate }: BlockProof, hash: Bytes32): CertifiedBlock {
  const stage = certificate.kind === VoteKind.finalize ? 'final' : 'soft';
  return { stage, hash, header: block.header, refs: block.refs, certificate };
}
