/** The file of a checkpoint: what is taken, and what is refused with a reason (R21). */

import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVoteScheme } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import { openMemoryNodeStore } from '@squad/storage';
import {
  BatchRefs,
  Block,
  blockHash,
  blockHashHex,
  Certificate,
  type Genesis,
  genesisBlock,
  HandOverProof,
  signerBits,
  toHex,
  type ValidatorSet,
  VoteKind,
  validatorSetHash,
  voteSigningRoot,
} from '@squad/types';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { beginAt, readCheckpoint, refuseToValidate } from '../src/checkpoint.ts';
import { CheckpointFile, MAX_CHECKPOINT_EPOCHS, MAX_CHECKPOINT_FILE_BYTES } from '../src/checkpoint-file.ts';
import { HandOvers } from '../src/hand-overs.ts';
import { readRecords } from '../src/restart.ts';
import { createGenesis, keysOf, refOf, sealBatch } from './support.ts';

const genesis = createGenesis(4);
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'squad-checkpoint-'));
});
afterEach(() => rm(directory, { recursive: true }));

const refs = [refOf(sealBatch(genesis, 1))];
const { header } = genesisBlock(genesis.networkId, 0);
const block: Block = {
  header: { ...header, height: 70, view: 80, refsRoot: BatchRefs.hashTreeRoot(refs) },
  refs,
};

function certificateOf(
  kind: VoteKind,
  signers: readonly number[],
  { header }: Pick<Block, 'header'> = block,
): Certificate {
  const { epoch, view } = header;
  const content = { kind, epoch, view, blockHash: blockHash(header) };
  const root = voteSigningRoot(genesis.networkId, content);
  const schemes = signers.map((signer) => createVoteScheme(blstBls, genesis.validatorSet, keysOf(signer).bls));
  const signature = schemes[0]!.aggregate(schemes.map((scheme) => scheme.sign(root)))!;
  return { ...content, signers: signerBits(4, signers), signature };
}

const whole = {
  format: 'squad-checkpoint',
  networkId: toHex(genesis.networkId),
  height: 70,
  blockHash: blockHashHex(block.header),
  block: toHex(Block.serialize(block)),
  certificate: toHex(Certificate.serialize(certificateOf(VoteKind.finalize, [0, 1, 3]))),
};

async function read(content: object | string, of: Genesis = genesis) {
  const path = join(directory, 'checkpoint.json');
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return readCheckpoint(path, of);
}

it('is read, and an empty store begins there, once', async () => {
  const checkpoint = await read(whole);
  expect(checkpoint.block).toEqual(block);
  const store = await openMemoryNodeStore();
  await refuseToValidate(store);
  expect(await beginAt(store, checkpoint)).toBe(true);
  expect([store.head, await beginAt(store, checkpoint)]).toEqual([70, false]);
  await expect(refuseToValidate(store)).rejects.toMatchObject({ code: 'CHECKPOINT_OF_VALIDATOR' });
});

const certified = (certificate: Certificate) => ({ ...whole, certificate: toHex(Certificate.serialize(certificate)) });
const other: Block = { ...block, header: { ...block.header, height: 71 } };

it.each<[string, object | string, RegExp]>([
  ['no JSON', '{', /not JSON/],
  ['another form', { ...whole, format: 'checkpoint' }, /format squad-checkpoint/],
  ['digits in upper case', { ...whole, certificate: whole.certificate.toUpperCase() }, /certificate: expected 0x/],
  [
    'more digits than a pattern may repeat',
    { ...whole, networkId: `0x${'00'.repeat(8_000_000)}` },
    /of network 0x0{64},/,
  ],
  ['another network', { ...whole, networkId: toHex(new Uint8Array(32)) }, /of network/],
  ['a block that is none', { ...whole, block: '0x0102' }, /does not decode/],
  ['a certificate that is none', { ...whole, certificate: '0x01' }, /does not decode/],
  ['another block than it names', { ...whole, block: toHex(Block.serialize(other)) }, /not the one that it names/],
  ['another height than its block’s', { ...whole, height: 71 }, /not the one that it names/],
  ['refs that are not the block’s', { ...whole, block: toHex(Block.serialize({ ...block, refs: [] })) }, /refs/],
  ['a notarization', certified(certificateOf(VoteKind.notarize, [0, 1, 2])), /does not finalize/],
  [
    'the finalization of another block',
    certified(certificateOf(VoteKind.finalize, [0, 1, 2], other)),
    /does not final/,
  ],
  ['less than a quorum', certified(certificateOf(VoteKind.finalize, [0, 1])), /less than the quorum/],
  [
    'a forged signature',
    certified({
      ...certificateOf(VoteKind.finalize, [0, 1, 3]),
      signature: certificateOf(VoteKind.finalize, [0, 1, 2]).signature,
    }),
    /signed badly/,
  ],
])('with %s is refused', async (_, content, reason) => {
  await expect(read(content)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringMatching(reason),
  });
});

describe('in a later epoch', () => {
  const LENGTH = 32;
  const short = createGenesis(4, 0, { epochLengthBlocks: LENGTH });
  const { networkId } = short;
  const { header: first } = genesisBlock(networkId, 0);
  const setOf = (epoch: number) => ({ ...short.validatorSet, epoch });
  const changed = { epoch: 2, validators: short.validatorSet.validators.slice(1) };

  function endOf(epoch: number, nextValidatorSet: ValidatorSet = setOf(epoch + 1)) {
    const nextValidatorSetHash = validatorSetHash(nextValidatorSet);
    const refsRoot = BatchRefs.hashTreeRoot(refs);
    const height = (epoch + 1) * LENGTH;
    const boundary: Block = { header: { ...first, epoch, height, view: 50, refsRoot, nextValidatorSetHash }, refs };
    const proof: HandOverProof = {
      boundaryHeader: boundary.header,
      path: [],
      certificate: signed(boundary, [0, 1, 2]),
      nextValidatorSet,
    };
    return { boundary, proof };
  }

  /** Finalized by keys, whose places in the set are those given. */
  function signed({ header }: Block, keys: readonly number[], places = keys, size = 4): Certificate {
    const content = { kind: VoteKind.finalize, epoch: header.epoch, view: header.view, blockHash: blockHash(header) };
    const root = voteSigningRoot(networkId, content);
    const schemes = keys.map((key) => createVoteScheme(blstBls, short.validatorSet, keysOf(key).bls));
    const signature = schemes[0]!.aggregate(schemes.map((scheme) => scheme.sign(root)))!;
    return { ...content, signers: signerBits(size, [...places]), signature };
  }

  const [zero, one] = [endOf(0), endOf(1, changed)];
  const at: Block = {
    header: { ...first, epoch: 2, height: 2 * LENGTH + 5, view: 9, refsRoot: BatchRefs.hashTreeRoot(refs) },
    refs,
  };
  const hexOf = (proof: HandOverProof) => toHex(HandOverProof.serialize(proof));
  const fileOf = (block: Block, certificate: Certificate) => ({
    ...whole,
    networkId: toHex(networkId),
    height: block.header.height,
    blockHash: blockHashHex(block.header),
    block: toHex(Block.serialize(block)),
    certificate: toHex(Certificate.serialize(certificate)),
    handOvers: [hexOf(zero.proof), hexOf(one.proof)],
    boundaryBlock: toHex(Block.serialize(one.boundary)),
  });
  // Keys 1 to 3 are all validators of epoch 2.
  const later = fileOf(at, signed(at, [1, 2, 3], [0, 1, 2], 3));

  it('is followed there from genesis by the proofs, which the store keeps, with the end that the epoch began with', async () => {
    const checkpoint = await read(later, short);
    expect(checkpoint.validatorSet).toEqual(changed);
    const store = await openMemoryNodeStore();
    expect(await beginAt(store, checkpoint)).toBe(true);
    const { records } = await readRecords(store);
    expect(records.map(({ type }) => type)).toEqual(['epochEnded', 'checkpoint']);
    expect(records[0]).toMatchObject({ block: one.boundary, proof: one.proof });
    const handOvers = new HandOvers(store);
    expect([await handOvers.read(0), await handOvers.read(1)]).toEqual([zero.proof, one.proof]);
  });

  const forged = {
    ...one.proof,
    certificate: { ...one.proof.certificate, signature: zero.proof.certificate.signature },
  };
  const ofOthers = endOf(1);
  const last: Block = { ...at, header: { ...at.header, height: 3 * LENGTH } };

  it.each<[string, object, RegExp]>([
    ['no proofs', { ...later, handOvers: [] }, /of epoch 2, and 0 proofs lead there/],
    ['a proof too few', { ...later, handOvers: later.handOvers.slice(1) }, /1 proofs lead there/],
    ['a proof too many', { ...later, handOvers: [...later.handOvers, later.handOvers[1]] }, /3 proofs lead there/],
    ['a proof that is none', { ...later, handOvers: [later.handOvers[0], '0x01'] }, /end of epoch 1 does not decode/],
    [
      'proofs in another order',
      { ...later, handOvers: [...later.handOvers].reverse() },
      /end of epoch 0 proves nothing/,
    ],
    ['a forged proof', { ...later, handOvers: [later.handOvers[0], hexOf(forged)] }, /end of epoch 1 proves nothing/],
    [
      'a proof with less than a quorum',
      {
        ...later,
        handOvers: [later.handOvers[0], hexOf({ ...one.proof, certificate: signed(one.boundary, [0, 1]) })],
      },
      /end of epoch 1 proves nothing: .*quorum/,
    ],
    [
      'a set that the boundary block does not name',
      { ...later, handOvers: [later.handOvers[0], hexOf({ ...one.proof, nextValidatorSet: setOf(2) })] },
      /not the one that the boundary block names/,
    ],
    ['no boundary block', { ...later, boundaryBlock: undefined }, /last block of epoch 1 is not in it/],
    [
      'another boundary block',
      { ...later, boundaryBlock: toHex(Block.serialize(ofOthers.boundary)) },
      /not the last one of epoch 1/,
    ],
    [
      'the boundary block without its refs',
      { ...later, boundaryBlock: toHex(Block.serialize({ ...one.boundary, refs: [] })) },
      /not the last one of epoch 1/,
    ],
    ['a finalization by the set before', fileOf(at, signed(at, [0, 1, 2])), /its certificate is/],
    ['a block that ends an epoch', fileOf(last, signed(last, [1, 2, 3], [0, 1, 2], 3)), /ends an epoch/],
  ])('with %s is refused', async (_, content, reason) => {
    await expect(read(content, short)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(reason),
    });
  });

  it('takes proofs of so many epochs and of no more', () => {
    const handOvers = Array.from({ length: MAX_CHECKPOINT_EPOCHS }, () => '0x');
    expect(CheckpointFile.safeParse({ ...whole, handOvers }).success).toBe(true);
    expect(CheckpointFile.safeParse({ ...whole, handOvers: [...handOvers, '0x'] }).success).toBe(false);
  });

  it('larger than a file may be is not read', async () => {
    const path = join(directory, 'large.json');
    await writeFile(path, '');
    await truncate(path, MAX_CHECKPOINT_FILE_BYTES + 1);
    await expect(readCheckpoint(path, short)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
    await truncate(path, 0);
    await expect(readCheckpoint(path, short)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
  });
});

it('that is not there is said to be so', async () => {
  await expect(readCheckpoint(join(directory, 'none.json'), genesis)).rejects.toMatchObject({
    code: 'CHECKPOINT_UNREADABLE',
  });
});
