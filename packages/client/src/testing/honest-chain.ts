/**
 * For tests of whoever reads or serves a sequence: an honest validator set with real keys that builds a chain of blocks
 * with real batches and certificates. Whatever is wrong in a test was made wrong there.
 */

import {
  type Bls,
  bodyRoot,
  createNodeKey,
  createVoteScheme,
  type Hash,
  type NodeKey,
  signBatchHeader,
} from '@squad/crypto';
import {
  type Batch,
  type BatchRef,
  BatchRefs,
  BLOCK_VERSION,
  type Block,
  type BlockHeader,
  type BlockProof,
  type Bytes32,
  batchDigest,
  blockHash,
  type Certificate,
  decodeBatch,
  type Epoch,
  encodeBatch,
  encodeBody,
  epochOfHeight,
  type FeedBlock,
  FeedStage,
  type GenesisFile,
  type GenesisL1,
  type GenesisRollup,
  genesisBlock,
  type HandOverProof,
  type Height,
  type Hex,
  lastHeightOf,
  parseGenesis,
  quorumWeight,
  type RollupId,
  SkipCertificates,
  signerBits,
  toHex,
  totalWeight,
  type ValidatorIndex,
  type ValidatorSet,
  VoteKind,
  validatorSetHash,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import { refsOfRollup } from '../batches.ts';
import type { SignatureCheck } from '../certificates.ts';

export interface HonestChainOptions {
  readonly bls: Bls;
  readonly sha256: Hash;
  /** One validator for each, 4 of weight 1 unless given. */
  readonly weights?: readonly number[];
  /** Other seeds, other keys. */
  readonly seed?: number;
  /** What the genesis file orders; rollups 901 and 902, opaque, unless given. */
  readonly rollups?: readonly GenesisRollup[];
  /** None unless given. Blocks have the anchors that they are given, whatever it says. */
  readonly l1?: GenesisL1;
  /** A million unless given. */
  readonly epochLengthBlocks?: number;
}

const DEFAULT_ROLLUPS: readonly GenesisRollup[] = [
  { rollupId: 901, kind: 'opaque' },
  { rollupId: 902, kind: 'opaque' },
];

/** What a block orders: transactions of one rollup, as one batch of one author. */
export interface BatchPlan {
  readonly rollupId: RollupId;
  /** The batch that its author seals next belongs with it. */
  readonly joinsNext?: boolean;
  readonly author?: ValidatorIndex;
  readonly transactions: readonly Uint8Array[];
}

export interface FeedBlockPlan {
  readonly stage?: FeedStage;
  readonly bodiesOmitted?: boolean;
  /** Finalize this descendant instead, and prove the block by the path to it. */
  readonly certifiedHeight?: Height;
}

/** By secret key: chains of one seed have the same keys, and a proof takes longer than all else here. */
const proofs = new Map<Hex, Hex>();

function proofOf(bls: Bls, secretKey: Uint8Array): Hex {
  const key = toHex(secretKey);
  const proof = proofs.get(key) ?? toHex(bls.provePossession(secretKey));
  proofs.set(key, proof);
  return proof;
}

export class HonestChain {
  /** As a network would hand it out. */
  readonly genesisFile: GenesisFile;
  readonly networkId: Bytes32;
  readonly genesisTimeMs = 1_700_000_000_000;
  readonly validatorSet: ValidatorSet;
  readonly scheme: SignatureCheck;
  /** Encoded batches by digest. */
  readonly batches = new Map<Hex, Uint8Array>();
  /** By height; [0] is genesis. */
  readonly blocks: Block[];
  readonly #certificates = new Map<string, Certificate>();
  readonly #bls: Bls;
  readonly #sha256: Hash;
  readonly #secretKeys: Uint8Array[];
  readonly #nodeKeys: NodeKey[];
  readonly #laneTips: { epoch: Epoch; seq: number; digest: Bytes32 }[];

  constructor(options: HonestChainOptions) {
    const { bls, sha256, weights = [1, 1, 1, 1], seed = 0, rollups = DEFAULT_ROLLUPS, l1 } = options;
    this.#bls = bls;
    this.#sha256 = sha256;
    const seedOf = (index: number) => sha256(Uint8Array.of(seed, index));
    this.#secretKeys = weights.map((_, index) => bls.secretKeyFromSeed(seedOf(index)));
    this.#nodeKeys = weights.map((_, index) => createNodeKey(seedOf(index)));
    this.#laneTips = weights.map(() => ({ epoch: 0, seq: 0, digest: ZERO_HASH }));
    this.genesisFile = {
      version: 1,
      name: `honest-chain-${seed}`,
      genesisTimeMs: this.genesisTimeMs,
      epochLengthBlocks: options.epochLengthBlocks ?? 1_000_000,
      validators: weights.map((weight, index) => ({
        name: `validator-${index}`,
        blsPublicKey: toHex(bls.publicKeyOf(this.#secretKeys[index]!)),
        proofOfPossession: proofOf(bls, this.#secretKeys[index]!),
        nodePublicKey: toHex(this.#nodeKeys[index]!.publicKey),
        weight,
        addresses: [],
      })),
      rollups: [...rollups],
      ...(l1 && { l1 }),
    };
    const genesis = parseGenesis(this.genesisFile);
    if (!genesis.ok) throw genesis.error;
    this.networkId = genesis.value.networkId;
    this.validatorSet = genesis.value.validatorSet;
    this.scheme = createVoteScheme(bls, this.validatorSet);
    this.blocks = [genesisBlock(this.networkId, this.genesisTimeMs)];
  }

  get head(): Height {
    return this.blocks.length - 1;
  }

  hashAt(height: Height): Bytes32 {
    return blockHash(this.blocks[height]!.header);
  }

  /** Of the block that comes next: lanes begin empty with each epoch (R1). */
  get #epoch(): Epoch {
    return epochOfHeight(this.head + 1, this.genesisFile.epochLengthBlocks);
  }

  /** Seals a batch in its author's lane and returns what a block holds of it. `change` makes a header that lies. */
  seal(plan: BatchPlan, change: Partial<Parameters<typeof batchDigest>[0]> = {}): BatchRef {
    const author = plan.author ?? 0;
    const epoch = this.#epoch;
    const last = this.#laneTips[author]!;
    const tip = last.epoch === epoch ? last : { seq: 0, digest: ZERO_HASH };
    const body = encodeBody(plan.transactions);
    const header = {
      networkId: this.networkId,
      epoch,
      author,
      seq: tip.seq,
      previousDigest: tip.digest,
      rollupId: plan.rollupId,
      bodyRoot: bodyRoot(body, this.#sha256),
      byteLength: body.length,
      transactionCount: plan.transactions.length,
      createdAtMs: this.genesisTimeMs,
      joinsNext: plan.joinsNext ?? false,
      ...change,
    };
    const digest = batchDigest(header);
    const signed = signBatchHeader(header, this.#nodeKeys[author]!);
    this.batches.set(toHex(digest), encodeBatch({ signed, body }));
    this.#laneTips[author] = { epoch, seq: tip.seq + 1, digest };
    return { author, seq: tip.seq, rollupId: plan.rollupId, digest, joinsNext: plan.joinsNext ?? false };
  }

  /** Appends a block that orders these batches. `change` replaces header fields. */
  append(plans: readonly BatchPlan[], change: Partial<BlockHeader> = {}): Block {
    return this.appendRefs(
      plans.map((plan) => this.seal(plan)),
      change,
    );
  }

  appendRefs(refs: BatchRef[], change: Partial<BlockHeader> = {}): Block {
    const block = this.build(refs, change);
    this.blocks.push(block);
    return block;
  }

  /** A child of the newest block that is not appended: for forks and lies. The next epoch's set has the same validators (R22). */
  build(refs: BatchRef[], change: Partial<BlockHeader> = {}): Block {
    const parent = this.blocks.at(-1)!.header;
    const { epochLengthBlocks } = this.genesisFile;
    const height = parent.height + 1;
    const epoch = epochOfHeight(height, epochLengthBlocks);
    // An epoch begins in view 1, on the boundary block as if it stood in view 0.
    const parentView = epoch === parent.epoch ? parent.view : 0;
    const isBoundary = height === lastHeightOf(epoch, epochLengthBlocks);
    const header: BlockHeader = {
      version: BLOCK_VERSION,
      networkId: this.networkId,
      epoch,
      view: parentView + 1,
      height,
      parentView,
      parentHash: blockHash(parent),
      leader: (parentView + 1) % this.validatorSet.validators.length,
      timestampMs: parent.timestampMs + 250,
      l1AnchorNumber: 0,
      l1AnchorHash: ZERO_HASH,
      refsRoot: BatchRefs.hashTreeRoot(refs),
      skipsRoot: SkipCertificates.hashTreeRoot([]),
      nextValidatorSetHash: isBoundary ? validatorSetHash(this.setOf(epoch + 1)) : ZERO_HASH,
      ...change,
    };
    return { header, refs };
  }

  /** Signed by these validators, or by the first ones that make a quorum. `change` is made before signing. */
  certify(
    kind: VoteKind,
    header: BlockHeader,
    signers: readonly ValidatorIndex[] = this.quorum(),
    change: Partial<Certificate> = {},
  ): Certificate {
    const vote = { kind, epoch: header.epoch, view: header.view, blockHash: blockHash(header), ...change };
    const root = voteSigningRoot(this.networkId, vote);
    const signatures = signers.map((signer) => this.#bls.sign(this.#secretKeys[signer]!, root));
    const signature = this.#bls.aggregateSignatures(signatures)!;
    return { ...vote, signers: signerBits(this.validatorSet.validators.length, signers), signature };
  }

  quorum(): ValidatorIndex[] {
    const signers: ValidatorIndex[] = [];
    const needed = quorumWeight(totalWeight(this.validatorSet));
    for (let weight = 0; weight < needed; ) {
      weight += this.validatorSet.validators[signers.length]!.weight;
      signers.push(signers.length);
    }
    return signers;
  }

  /** What an honest sequencer posts of a block. */
  feedBlock(height: Height, rollupId: RollupId, plan: FeedBlockPlan = {}): FeedBlock {
    const { stage = FeedStage.final, bodiesOmitted = false, certifiedHeight = height } = plan;
    const kind = stage === FeedStage.final ? VoteKind.finalize : VoteKind.notarize;
    return {
      ...this.wrap(this.blocks[height]!, rollupId, this.certificateAt(certifiedHeight, kind), stage),
      path: this.blocks.slice(height + 1, certifiedHeight + 1).map((block) => block.header),
      ...(bodiesOmitted ? { bodiesOmitted: 1, batches: [] } : {}),
    };
  }

  setOf(epoch: Epoch): ValidatorSet {
    return { ...this.validatorSet, epoch };
  }

  /** The proof that an epoch is over, once its boundary block is there. */
  handOver(epoch: Epoch): HandOverProof | undefined {
    const boundary = this.blocks[lastHeightOf(epoch, this.genesisFile.epochLengthBlocks)];
    if (!boundary) return undefined;
    const { height } = boundary.header;
    const certificate = this.certificateAt(height);
    return { boundaryHeader: boundary.header, path: [], certificate, nextValidatorSet: this.setOf(epoch + 1) };
  }

  /** Of a block and who certified it, as a sequencer serves it. Final, certified by its own finalization, unless told else. */
  blockProof(height: Height, { stage = FeedStage.final, certifiedHeight = height }: FeedBlockPlan = {}): BlockProof {
    const block = this.blocks[height]!;
    return {
      validatorSet: this.setOf(block.header.epoch),
      block,
      path: this.blocks.slice(height + 1, certifiedHeight + 1).map((block) => block.header),
      certificate: this.certificateAt(
        certifiedHeight,
        stage === FeedStage.final ? VoteKind.finalize : VoteKind.notarize,
      ),
    };
  }

  /** The batch of a ref, decoded. */
  batchOf(ref: BatchRef): Batch {
    const batch = decodeBatch(this.batches.get(toHex(ref.digest))!);
    if (!batch.ok) throw new Error(batch.error.reason);
    return batch.value;
  }

  /** Of a block of the chain, signed once. */
  certificateAt(height: Height, kind: VoteKind = VoteKind.finalize): Certificate {
    const { header } = this.blocks[height]!;
    const key = `${kind} ${toHex(blockHash(header))}`;
    const certificate = this.#certificates.get(key) ?? this.certify(kind, header);
    this.#certificates.set(key, certificate);
    return certificate;
  }

  /** A block, on the chain or not, with the batches that it orders for the rollup. */
  wrap(block: Block, rollupId: RollupId, certificate: Certificate, stage: FeedStage = FeedStage.final): FeedBlock {
    const batches = refsOfRollup(block.refs, rollupId).map((ref) => this.batches.get(toHex(ref.digest))!);
    return { stage, rollupId, block, certificate, path: [], bodiesOmitted: 0, batches };
  }
}

/** Some bytes that look like nothing in particular. */
export function transaction(byteLength: number, seed: number): Uint8Array {
  const out = new Uint8Array(byteLength);
  for (let i = 0, state = seed + 1; i < byteLength; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    out[i] = state >>> 16;
  }
  return out;
}
