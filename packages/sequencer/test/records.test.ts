/** Records of the log: each kind comes back as it was; what is none is refused with a remedy. */

import {
  type Block,
  Block as BlockType,
  type Certificate,
  genesisBlock,
  genesisCertificate,
  SquadError,
  signerBits,
  toHex,
  type Vote,
  VoteKind,
  ZERO_HASH,
} from '@squad/types';
import { describe, expect, it } from 'vitest';
import { decodeRecord, encodeRecord, heldBatch, type NodeRecord } from '../src/records.ts';
import { createGenesis, mutations, refOf, sealBatch, sealRun } from './support.ts';

const genesis = createGenesis(4);
const hash = new Uint8Array(32).fill(7);
const block: Block = {
  ...genesisBlock(genesis.networkId, 1_700_000_000_000),
  refs: sealRun(genesis, 1, 3).map(refOf),
};
const certificateOf = (kind: Certificate['kind'], view: number): Certificate => ({
  kind,
  epoch: 0,
  view,
  blockHash: kind === VoteKind.nullify ? ZERO_HASH : hash,
  signers: signerBits(4, [0, 2, 3]),
  signature: new Uint8Array(96).fill(view),
});
const voteOf = (kind: Vote['kind'], view: number): Vote => ({
  kind,
  epoch: 0,
  view,
  blockHash: kind === VoteKind.nullify ? ZERO_HASH : hash,
  signer: 2,
  signature: new Uint8Array(96).fill(view),
});

const checkpoint = {
  finalized: block,
  finalization: certificateOf(VoteKind.finalize, 9),
  laneTips: [0, 1, 2, 3].map((nextSeq) => ({ nextSeq, lastDigest: new Uint8Array(32).fill(nextSeq) })),
  blocks: [block, block],
  certificates: [certificateOf(VoteKind.notarize, 10), certificateOf(VoteKind.nullify, 11)],
  votes: [voteOf(VoteKind.notarize, 10), voteOf(VoteKind.nullify, 11)],
};
const handOver = {
  boundaryHeader: block.header,
  path: [block.header, block.header],
  certificate: certificateOf(VoteKind.finalize, 9),
  nextValidatorSet: { ...genesis.validatorSet, epoch: 1 },
};
const empty = {
  finalized: genesisBlock(genesis.networkId, 0),
  finalization: genesisCertificate(4, hash),
  laneTips: [],
  blocks: [],
  certificates: [],
  votes: [],
};

const records: readonly (readonly [string, NodeRecord])[] = [
  ['a notarize vote', { type: 'vote', vote: voteOf(VoteKind.notarize, 3) }],
  ['a nullify vote', { type: 'vote', vote: voteOf(VoteKind.nullify, 4) }],
  ['a finalize vote', { type: 'vote', vote: voteOf(VoteKind.finalize, 5) }],
  ['a block', { type: 'block', block }],
  ['a certificate', { type: 'certificate', certificate: certificateOf(VoteKind.notarize, 6) }],
  [
    'a finalization',
    { type: 'finalized', hash: toHex(hash), height: 12, certificate: certificateOf(VoteKind.finalize, 7) },
  ],
  ['the end of an epoch', { type: 'epochEnded', block, proof: handOver }],
  ['a checkpoint', { type: 'checkpoint', checkpoint }],
  ['an empty checkpoint', { type: 'checkpoint', checkpoint: empty }],
  ['a batch', { type: 'batch', signed: sealBatch(genesis, 1, { seq: 4 }).batch.signed }],
];

describe('a record', () => {
  it.each(records)('of %s comes back as it was', (_, record) => {
    const encoded = encodeRecord(record);
    const decoded = decodeRecord(encoded);
    expect(decoded.type).toBe(record.type);
    expect(encodeRecord(decoded)).toEqual(encoded);
    expect(JSON.stringify(decoded, asText)).toBe(JSON.stringify(record, asText));
  });

  it.each(records)(
    'of %s that was damaged is refused with a remedy, or is another record; it never throws else',
    (_, record) => {
      const { kind, payload } = encodeRecord(record);
      let refused = 0;
      for (const damaged of mutations(payload, 96, kind)) {
        try {
          decodeRecord({ kind, payload: damaged });
        } catch (error) {
          refused++;
          expect(error).toBeInstanceOf(SquadError);
          expect(error).toMatchObject({ code: 'RECORD_UNREADABLE', data: { kind } });
          expect((error as SquadError).remedy).toContain('move the folder away');
        }
      }
      expect(refused).toBeGreaterThan(20);
    },
  );

  it('of a kind that there is not is refused', () => {
    for (const kind of [0, 8, 100, 239, 255]) {
      expect(() => decodeRecord({ kind, payload: BlockType.serialize(block) })).toThrow(SquadError);
    }
  });

  it('has a kind of its own', () => {
    const kinds = new Set(records.map(([, record]) => `${record.type} ${encodeRecord(record).kind}`));
    expect(kinds.size).toBe(7);
    expect(new Set([...kinds].map((kind) => kind.split(' ')[1])).size).toBe(7);
  });
});

it('a batch as the core sees it', () => {
  const { batch, digest } = sealBatch(genesis, 3, { seq: 8, previous: hash });
  const held = heldBatch(batch.signed);
  expect(held).toEqual({ ref: refOf({ batch, digest }), previousDigest: hash });
});

function asText(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? toHex(value) : value;
}
