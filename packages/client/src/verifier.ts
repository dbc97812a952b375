/**
 * Checks what a sequencer says the sequence is. It trusts no node: everything follows from the epoch's validator set,
 * which comes from the genesis file (or a hand-over proof), and from the block that the caller knows already.
 *
 * Pure: no clock, no I/O. Hashing and signatures are handed in, so a node uses native code and a browser portable code.
 */

import type { Hash } from '@squad/crypto';
import {
  BLOCK_VERSION,
  type Bytes32,
  blockHash,
  decodeFeedBlock,
  equalBytes,
  err,
  type FeedBlock,
  FeedStage,
  genesisBlock,
  ok,
  type Result,
  type RollupId,
  toHex,
  type UnixMs,
  type ValidatorSet,
  VoteKind,
} from '@squad/types';
import { checkBatches, refsOfRollup } from './batches.ts';
import { CertificateChecker, type Fault, type SignatureCheck } from './certificates.ts';
import { epilogueFault, refsFault, targetFault } from './certified.ts';
import type { VerificationError, VerificationErrorCode } from './errors.ts';
import type { BlockPoint, ProvenBatch, ProvenBlock } from './proven.ts';

export interface VerifierConfig {
  readonly networkId: Bytes32;
  /** From the genesis file; only `genesis` needs it. */
  readonly genesisTimeMs?: UnixMs;
  readonly rollupId: RollupId;
  /** Of the epoch that is followed. */
  readonly validatorSet: ValidatorSet;
  /** Heights of one epoch (R22), from the genesis file. */
  readonly epochLengthBlocks: number;
  readonly scheme: SignatureCheck;
  /** Hashes bodies; native in a node. */
  readonly sha256: Hash;
}

/** Finds the batches of a block that were proven before, with its soft confirmation. */
export type HeldBatches = (hash: Bytes32) => readonly ProvenBatch[] | undefined;

export interface Verifier {
  /** Where every sequence begins: follow from here, or from a final block that was verified before. */
  readonly genesis: BlockPoint;
  /**
   * A final block must be the child of `known`, the newest final block that the caller has. A soft block must only be
   * above it: blocks between may not have been announced, and one on a branch that lost may still be notarized.
   * `held` is asked only where a final block came without its bodies.
   */
  verifyFeedBlock(
    input: Uint8Array | FeedBlock,
    known: BlockPoint,
    held?: HeldBatches,
  ): Result<ProvenBlock, VerificationError>;
  /**
   * What is wrong with a block whatever its place and its bodies, if anything: whoever receives bodies one by one asks
   * before taking them, and then holds only what a quorum has certified.
   */
  checkCertified(feedBlock: FeedBlock): VerificationError | undefined;
}

/**
 * For a transport of your own; `follow` does it over JSON-RPC. `bytes`: of a `FeedBlock`, as `squad_subscribe` gives it with
 * `encoded`.
 *
 * @example
 * const scheme = createVoteScheme(native.bls, validatorSet);
 * const verifier = createVerifier({ ...network.checkpoint, validatorSet, scheme, sha256, rollupId: 901, genesisTimeMs });
 * const block = verifier.verifyFeedBlock(feedBlock, verifier.genesis);
 * if (!block.ok) throw new Error(`${block.error.code}: ${block.error.message}`);
 * const known = { height: block.value.header.height, hash: block.value.hash }; // what the next one builds on
 */
export function createVerifier(config: VerifierConfig): Verifier {
  const certificates = new CertificateChecker(config.networkId, config.validatorSet, config.scheme);
  const genesis = genesisBlock(config.networkId, config.genesisTimeMs ?? 0);
  return {
    genesis: { height: 0, hash: blockHash(genesis.header) },
    verifyFeedBlock(input, known, held) {
      if (!(input instanceof Uint8Array)) return verify(config, certificates, input, known, held);
      const decoded = decodeFeedBlock(input);
      if (decoded.ok) return verify(config, certificates, decoded.value, known, held);
      const message = `not a block of the feed: ${decoded.error.what}: ${decoded.error.reason}`;
      return err({ code: 'ENCODING', message, height: undefined });
    },
    checkCertified(feedBlock) {
      const fault = certifiedFault(config, certificates, feedBlock, blockHash(feedBlock.block.header));
      return fault && refusal(feedBlock, fault);
    },
  };
}

/** Cheap checks first: forged blocks cost one signature check, and no body is hashed for them. */
function verify(
  config: VerifierConfig,
  certificates: CertificateChecker,
  feedBlock: FeedBlock,
  known: BlockPoint,
  held: HeldBatches | undefined,
): Result<ProvenBlock, VerificationError> {
  const { header } = feedBlock.block;
  const hash = blockHash(header);
  const fault = checkPlace(feedBlock, known) ?? certifiedFault(config, certificates, feedBlock, hash);
  if (fault) return err(refusal(feedBlock, fault));
  const batches = provenBatches(config, feedBlock, hash, held);
  if (!batches.ok) return err(refusal(feedBlock, batches.error));
  return ok({
    stage: feedBlock.stage === FeedStage.final ? 'final' : 'soft',
    rollupId: config.rollupId,
    hash,
    header,
    batches: batches.value,
    certificate: feedBlock.certificate,
    path: feedBlock.path,
  });
}

function certifiedFault(
  config: VerifierConfig,
  certificates: CertificateChecker,
  feedBlock: FeedBlock,
  hash: Bytes32,
): Fault | undefined {
  const { header, refs } = feedBlock.block;
  return (
    checkForm(feedBlock) ??
    checkBelonging(config, feedBlock) ??
    targetFault(header, hash, feedBlock.path, feedBlock.certificate) ??
    certificates.check(feedBlock.certificate, kindOf(feedBlock)) ??
    refsFault(header, refs)
  );
}

function kindOf(feedBlock: FeedBlock): VoteKind {
  return feedBlock.stage === FeedStage.final ? VoteKind.finalize : VoteKind.notarize;
}

/** What the encoding allows and the protocol does not. */
function checkForm({ stage, path, bodiesOmitted, batches }: FeedBlock): Fault | undefined {
  if (stage !== FeedStage.soft && stage !== FeedStage.final)
    return fault('ENCODING', `stage ${stage} is neither 1 nor 2`);
  if (bodiesOmitted > 1) return fault('ENCODING', `bodiesOmitted is ${bodiesOmitted}, neither 0 nor 1`);
  if (bodiesOmitted === 1 && batches.length > 0) {
    return fault('ENCODING', `it says that bodies are left out, and has ${batches.length}`);
  }
  if (stage === FeedStage.soft && bodiesOmitted === 1)
    return fault('ENCODING', 'a soft block may not leave out its bodies');
  if (stage === FeedStage.soft && path.length > 0) return fault('ENCODING', 'a soft block has no path');
  return undefined;
}

function checkBelonging(config: VerifierConfig, { rollupId, block }: FeedBlock): Fault | undefined {
  const { networkId, version, epoch } = block.header;
  if (rollupId !== config.rollupId) {
    return fault('WRONG_ROLLUP', `it is for rollup ${rollupId}, this is rollup ${config.rollupId}`);
  }
  if (!equalBytes(networkId, config.networkId)) {
    return fault('WRONG_NETWORK', `its network id is ${toHex(networkId)}, this network's ${toHex(config.networkId)}`);
  }
  if (version !== BLOCK_VERSION) return fault('WRONG_VERSION', `its version is ${version}, known is ${BLOCK_VERSION}`);
  if (epoch !== config.validatorSet.epoch) {
    return fault('WRONG_EPOCH', `it is of epoch ${epoch}, the validator set of epoch ${config.validatorSet.epoch}`);
  }
  return epilogueFault(block.header, config.epochLengthBlocks);
}

function checkPlace({ stage, block }: FeedBlock, known: BlockPoint): Fault | undefined {
  const { height, parentHash } = block.header;
  if (height <= known.height) return fault('STALE', `height ${known.height} is final here already`);
  if (stage === FeedStage.soft) return undefined;
  if (height > known.height + 1) return fault('GAP', `the newest final block here is ${known.height}`);
  if (!equalBytes(parentHash, known.hash)) {
    return fault(
      'PARENT_MISMATCH',
      `its parent is ${toHex(parentHash)}, final at ${known.height} is ${toHex(known.hash)}`,
    );
  }
  return undefined;
}

function provenBatches(
  config: VerifierConfig,
  { block, batches, bodiesOmitted }: FeedBlock,
  hash: Bytes32,
  held: HeldBatches | undefined,
): Result<readonly ProvenBatch[], Fault & { readonly refIndex?: number }> {
  if (bodiesOmitted === 0) return checkBatches(batches, block.refs, config.rollupId, config.networkId, config.sha256);
  const wanted = refsOfRollup(block.refs, config.rollupId).length;
  if (wanted === 0) return ok([]);
  const proven = held?.(hash);
  if (proven) return ok(proven);
  return err({ code: 'BODIES_NOT_HELD', reason: `${wanted} bodies were left out, and none of them is held here` });
}

function fault(code: VerificationErrorCode, reason: string): Fault {
  return { code, reason };
}

function refusal(feedBlock: FeedBlock, found: Fault & { readonly refIndex?: number }): VerificationError {
  const { height } = feedBlock.block.header;
  const stage = feedBlock.stage === FeedStage.final ? 'final' : 'soft';
  const message = `the ${stage} block at height ${height} was refused: ${found.reason}`;
  const { code, refIndex } = found;
  return refIndex === undefined ? { code, message, height } : { code, message, height, refIndex };
}
