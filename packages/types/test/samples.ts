/** One object of each kind, the same in every run: what the golden vectors describe and the decoders are fuzzed from. */

import {
  type Batch,
  BatchRefs,
  type Block,
  type BlockHeader,
  batchDigest,
  blockHash,
  type Certificate,
  type Evidence,
  encodeBatch,
  encodeBody,
  type FeedBlock,
  FeedStage,
  genesisBlock,
  type HandOverProof,
  openSkips,
  type Proposal,
  parseGenesis,
  SkipCertificates,
  signerBits,
  statementOf,
  toHex,
  type ValidatorMessage,
  type ValidatorSet,
  type Vote,
  VoteKind,
  validatorSetHash,
  ZERO_HASH,
} from '../src/index.ts';

/** `length` bytes that count up from `first`. Not a point of any curve: these samples are about form. */
export function pattern(length: number, first: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (first + i) & 0xff);
}

export const genesisJson = {
  version: 1,
  name: 'golden',
  genesisTimeMs: 1_700_000_000_000,
  epochLengthBlocks: 3600,
  validators: [1, 2, 3, 4].map((i) => ({
    name: `validator-${i}`,
    blsPublicKey: toHex(pattern(48, 0x10 * i)),
    proofOfPossession: toHex(pattern(96, 0x11 * i)),
    nodePublicKey: toHex(pattern(32, 0x12 * i)),
    weight: i,
    addresses: [`/ip4/10.0.0.${i}/tcp/9000`],
  })),
  rollups: [
    { rollupId: 901, kind: 'evm' },
    { rollupId: 9_007_199_254_740_991, kind: 'opaque' },
  ],
};

const parsed = parseGenesis(genesisJson);
if (!parsed.ok) throw parsed.error;
export const genesis = parsed.value;
export const networkId = genesis.networkId;

export const validatorSet: ValidatorSet = { ...genesis.validatorSet, epoch: 7 };

export function vote(kind: VoteKind, view = 42): Vote {
  return {
    kind,
    epoch: 7,
    view,
    blockHash: kind === VoteKind.nullify ? ZERO_HASH : pattern(32, 0x80),
    signer: 3,
    signature: pattern(96, kind),
  };
}

export function certificate(kind: VoteKind, view: number, hash: Uint8Array): Certificate {
  return {
    kind,
    epoch: 7,
    view,
    blockHash: kind === VoteKind.nullify ? ZERO_HASH : hash,
    signers: signerBits(4, [0, 2, 3]),
    signature: pattern(96, view),
  };
}

const body = encodeBody([pattern(3, 1), pattern(150, 2), pattern(1, 0xff)]);
export const batch: Batch = {
  signed: {
    header: {
      networkId,
      epoch: 7,
      author: 2,
      seq: 11,
      previousDigest: pattern(32, 0x20),
      rollupId: 901,
      bodyRoot: pattern(32, 0x30),
      byteLength: body.length,
      transactionCount: 3,
      createdAtMs: 1_700_000_123_456,
      joinsNext: true,
    },
    signature: pattern(64, 0x40),
  },
  body,
};

const refs: Block['refs'] = [
  { author: 0, seq: 5, rollupId: 901, digest: pattern(32, 0x50), joinsNext: false },
  { author: 2, seq: 11, rollupId: 901, digest: batchDigest(batch.signed.header), joinsNext: true },
  { author: 2, seq: 12, rollupId: 9_007_199_254_740_991, digest: pattern(32, 0x52), joinsNext: false },
];

export const skips: Certificate[] = [41, 42].map((view) => certificate(VoteKind.nullify, view, ZERO_HASH));

export function block(view = 43, height = 30): Block {
  const header: BlockHeader = {
    version: 1,
    networkId,
    epoch: 7,
    view,
    height,
    parentView: 40,
    parentHash: pattern(32, 0x60),
    leader: 1,
    timestampMs: 1_700_000_200_000,
    l1AnchorNumber: 19_000_000,
    l1AnchorHash: pattern(32, 0x70),
    refsRoot: BatchRefs.hashTreeRoot(refs),
    skipsRoot: SkipCertificates.hashTreeRoot(skips),
    nextValidatorSetHash: ZERO_HASH,
  };
  return { header, refs };
}

export const genesisOfNetwork: Block = genesisBlock(networkId, genesis.file.genesisTimeMs);

export const proposal: Proposal = {
  block: block(),
  parentCertificate: certificate(VoteKind.notarize, 40, pattern(32, 0x60)),
  skips,
  leaderSignature: pattern(96, 0x90),
};

export const feedBlocks: Record<'soft' | 'final' | 'finalByDescendant', FeedBlock> = {
  soft: {
    stage: FeedStage.soft,
    rollupId: 901,
    block: block(),
    certificate: certificate(VoteKind.notarize, 43, blockHash(block().header)),
    path: [],
    bodiesOmitted: 0,
    batches: [encodeBatch(batch), pattern(5, 0)],
  },
  final: {
    stage: FeedStage.final,
    rollupId: 901,
    block: block(),
    certificate: certificate(VoteKind.finalize, 43, blockHash(block().header)),
    path: [],
    bodiesOmitted: 1,
    batches: [],
  },
  finalByDescendant: {
    stage: FeedStage.final,
    rollupId: 901,
    block: { ...block(), refs: [] },
    certificate: certificate(VoteKind.finalize, 45, pattern(32, 1)),
    path: [block(44, 31).header, block(45, 32).header],
    bodiesOmitted: 1,
    batches: [],
  },
};

const fork = { ...batch.signed, header: { ...batch.signed.header, createdAtMs: 1_700_000_123_457 } };
const bare = { ...block().header, skipsRoot: SkipCertificates.hashTreeRoot([]) };

/** One of each kind, and both forms of E4: a certificate at a position, and their number alone. */
export const evidence: Readonly<Record<string, Evidence>> = {
  E1: {
    kind: 'E1',
    first: statementOf(vote(VoteKind.notarize), 4),
    second: certificate(VoteKind.notarize, 42, pattern(32, 0x81)),
  },
  E2: {
    kind: 'E2',
    first: certificate(VoteKind.finalize, 42, pattern(32, 0x80)),
    second: certificate(VoteKind.finalize, 42, pattern(32, 0x81)),
  },
  E3: {
    kind: 'E3',
    first: certificate(VoteKind.nullify, 42, ZERO_HASH),
    second: statementOf(vote(VoteKind.finalize), 4),
  },
  'E4, a certificate': {
    kind: 'E4',
    vote: certificate(VoteKind.notarize, 43, blockHash(block().header)),
    header: block().header,
    opening: openSkips(skips, 1),
  },
  'E4, the number': {
    kind: 'E4',
    vote: certificate(VoteKind.notarize, 43, blockHash(bare)),
    header: bare,
    opening: openSkips([]),
  },
  E5: { kind: 'E5', first: batch.signed, second: fork },
};

/** Epoch 7 to 8: one joins and one weighs more. The form alone: nothing here is linked or signed. */
const nextValidatorSet: ValidatorSet = {
  epoch: 8,
  validators: [
    ...validatorSet.validators.slice(1).map((validator) => ({ ...validator, weight: validator.weight + 1 })),
    { blsPublicKey: pattern(48, 0xa0), nodePublicKey: pattern(32, 0xa1), weight: 9 },
  ],
};
const boundaryHeader: BlockHeader = {
  ...block(44, 31).header,
  nextValidatorSetHash: validatorSetHash(nextValidatorSet),
};
export const handOvers: Record<'direct' | 'byEpilogue', HandOverProof> = {
  direct: {
    boundaryHeader,
    path: [],
    certificate: certificate(VoteKind.finalize, 44, blockHash(boundaryHeader)),
    nextValidatorSet,
  },
  byEpilogue: {
    boundaryHeader,
    path: [block(45, 32).header, block(47, 33).header],
    certificate: certificate(VoteKind.finalize, 47, blockHash(block(47, 33).header)),
    nextValidatorSet,
  },
};

export const validatorMessages: readonly ValidatorMessage[] = [
  { type: 'proposal', proposal },
  { type: 'vote', vote: vote(VoteKind.finalize) },
  { type: 'certificate', certificate: skips[0]! },
  { type: 'batch', batch },
  {
    type: 'acknowledgements',
    epoch: 7,
    acknowledgements: [
      { author: 0, seq: 5, digest: pattern(32, 0x50) },
      { author: 3, seq: 0, digest: pattern(32, 0x51) },
    ],
  },
  { type: 'batch', batch, hashPrefixes: pattern(24, 0x60) },
  { type: 'evidence', evidence: evidence.E1! },
  { type: 'handOver', proof: handOvers.byEpilogue },
];
