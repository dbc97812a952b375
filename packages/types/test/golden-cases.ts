/** What the golden vectors hold: of each signed or hashed object its value, its encoding and the roots that are signed. */

import {
  BatchHeader,
  BatchRefs,
  BlockHeader,
  batchDigest,
  batchSigningRoot,
  blockHash,
  Certificate,
  EvidenceType,
  encodeBatch,
  encodeEvidence,
  encodeValidatorMessage,
  FeedBlock,
  HandOverProof,
  Proposal,
  SignedBatchHeader,
  SkipCertificates,
  signersOf,
  toHex,
  ValidatorSet,
  VOTE_KIND_NAMES,
  Vote,
  VoteKind,
  validatorSetHash,
  voteSigningRoot,
} from '../src/index.ts';
import * as samples from './samples.ts';

export interface GoldenFile {
  readonly description: string;
  readonly cases: readonly Readonly<Record<string, unknown>>[];
}

const KINDS: readonly VoteKind[] = [VoteKind.notarize, VoteKind.nullify, VoteKind.finalize];

/** SSZ's JSON of a bit list is its packed bytes; the signers' positions say more. */
function certificateJson(certificate: Certificate): unknown {
  const { signers: _, ...json } = Certificate.toJson(certificate) as Record<string, unknown>;
  return { ...json, set_size: certificate.signers.bitLen, signers: signersOf(certificate) };
}

export function goldenFiles(): Readonly<Record<string, GoldenFile>> {
  const { batch, block, proposal, genesis, genesisOfNetwork, networkId, validatorSet, skips } = samples;
  const network = toHex(networkId);
  return {
    votes: {
      description:
        'Votes: SSZ encoding, and the root that the BLS key signs, bound to kind, network, epoch, view and block.',
      cases: KINDS.map((kind) => {
        const vote = samples.vote(kind);
        return {
          name: VOTE_KIND_NAMES[kind],
          networkId: network,
          value: Vote.toJson(vote),
          encoding: toHex(Vote.serialize(vote)),
          signingRoot: toHex(voteSigningRoot(networkId, vote)),
        };
      }),
    },
    certificates: {
      description:
        'Certificates: SSZ encoding, hash tree root (a leaf of skipsRoot), and the root that its signers signed.',
      cases: KINDS.map((kind) => samples.certificate(kind, 40, samples.pattern(32, 0x60))).map((certificate) => ({
        name: VOTE_KIND_NAMES[certificate.kind],
        networkId: network,
        value: certificateJson(certificate),
        encoding: toHex(Certificate.serialize(certificate)),
        hashTreeRoot: toHex(Certificate.hashTreeRoot(certificate)),
        signingRoot: toHex(voteSigningRoot(networkId, certificate)),
      })),
    },
    blocks: {
      description:
        'Blocks: header encoding, block hash (the header\u2019s hash tree root), and the roots of refs and skips.',
      cases: [
        { name: 'genesis', value: genesisOfNetwork, skips: [] },
        { name: 'block', value: block(), skips },
        { name: 'no refs, no skips', value: { ...block(), refs: [] }, skips: [] },
      ].map(({ name, value, skips }) => ({
        name,
        header: BlockHeader.toJson(value.header),
        headerEncoding: toHex(BlockHeader.serialize(value.header)),
        blockHash: toHex(blockHash(value.header)),
        refs: BatchRefs.toJson(value.refs),
        refsRoot: toHex(BatchRefs.hashTreeRoot(value.refs)),
        skips: skips.map(certificateJson),
        skipsRoot: toHex(SkipCertificates.hashTreeRoot(skips)),
      })),
    },
    evidence: {
      description:
        'Evidence: SSZ encoding (a union whose selector is the kind\u2019s number) and hash tree root. The signatures are none.',
      cases: Object.entries(samples.evidence).map(([name, evidence]) => ({
        name,
        kind: evidence.kind,
        encoding: toHex(encodeEvidence(evidence)),
        hashTreeRoot: toHex(EvidenceType.hashTreeRoot(EvidenceType.deserialize(encodeEvidence(evidence)))),
      })),
    },
    proposals: {
      description: 'A proposal: its SSZ encoding, and the root of the leader\u2019s NOTARIZE vote that it carries.',
      cases: [
        {
          name: 'two skipped views',
          networkId: network,
          encoding: toHex(Proposal.serialize(proposal)),
          blockHash: toHex(blockHash(proposal.block.header)),
          leaderSigningRoot: toHex(
            voteSigningRoot(networkId, {
              kind: VoteKind.notarize,
              epoch: proposal.block.header.epoch,
              view: proposal.block.header.view,
              blockHash: blockHash(proposal.block.header),
            }),
          ),
        },
      ],
    },
    batches: {
      description:
        'A batch: header, digest (the header\u2019s hash tree root), the root that the node key signs, wire form.',
      cases: [
        {
          name: 'three transactions',
          value: SignedBatchHeader.toJson(batch.signed),
          headerEncoding: toHex(BatchHeader.serialize(batch.signed.header)),
          digest: toHex(batchDigest(batch.signed.header)),
          signingRoot: toHex(batchSigningRoot(batch.signed.header)),
          body: toHex(batch.body),
          encoding: toHex(encodeBatch(batch)),
        },
      ],
    },
    'validator-sets': {
      description: 'A validator set and its hash (hash tree root), as an epoch\u2019s last block names the next set.',
      cases: [
        {
          name: 'four validators, epoch 7',
          value: ValidatorSet.toJson(validatorSet),
          encoding: toHex(ValidatorSet.serialize(validatorSet)),
          hash: toHex(validatorSetHash(validatorSet)),
        },
      ],
    },
    'hand-overs': {
      description:
        'Proofs that an epoch is over (R22): SSZ encoding, and the hashes that link it. The signatures are none.',
      cases: Object.entries(samples.handOvers).map(([name, proof]) => ({
        name,
        encoding: toHex(HandOverProof.serialize(proof)),
        hashTreeRoot: toHex(HandOverProof.hashTreeRoot(proof)),
        boundaryHash: toHex(blockHash(proof.boundaryHeader)),
        nextValidatorSetHash: toHex(validatorSetHash(proof.nextValidatorSet)),
        pathHashes: proof.path.map((header) => toHex(blockHash(header))),
      })),
    },
    networks: {
      description: 'A genesis file and the network id that follows from it.',
      cases: [
        {
          name: 'golden',
          genesis: samples.genesisJson,
          networkId: network,
          validatorSetHash: toHex(validatorSetHash(genesis.validatorSet)),
        },
      ],
    },
    'feed-blocks': {
      description: 'Blocks as a rollup node gets them: SSZ encodings of FeedBlock.',
      cases: Object.entries(samples.feedBlocks).map(([name, value]) => ({
        name,
        stage: value.stage,
        encoding: toHex(FeedBlock.serialize(value)),
      })),
    },
    'validator-messages': {
      description: 'Frames between validators: a kind byte, then the object.',
      cases: samples.validatorMessages.map((message) => ({
        name: message.type,
        encoding: toHex(encodeValidatorMessage(message)),
      })),
    },
  };
}
