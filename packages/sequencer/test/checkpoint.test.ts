/** The file of a checkpoint: what is taken, and what is refused with a reason (R21). */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
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
  signerBits,
  toHex,
  VoteKind,
  voteSigningRoot,
} from '@squad/types';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { beginAt, readCheckpoint, refuseToValidate } from '../src/checkpoint.ts';
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

function certificateOf(kind: VoteKind, signers: readonly number[], of: Block = block): Certificate {
  const content = { kind, epoch: 0, view: 80, blockHash: blockHash(of.header) };
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
  expect(await beginAt(store, checkpoint, 4)).toBe(true);
  expect([store.head, await beginAt(store, checkpoint, 4)]).toEqual([70, false]);
  await expect(refuseToValidate(store)).rejects.toMatchObject({ code: 'CHECKPOINT_OF_VALIDATOR' });
});

const certified = (certificate: Certificate) => ({ ...whole, certificate: toHex(Certificate.serialize(certificate)) });
const other: Block = { ...block, header: { ...block.header, height: 71 } };

it.each<[string, object | string, RegExp]>([
  ['no JSON', '{', /not JSON/],
  ['another form', { ...whole, format: 'checkpoint' }, /format squad-checkpoint/],
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

it('that is not there is said to be so', async () => {
  await expect(readCheckpoint(join(directory, 'none.json'), genesis)).rejects.toMatchObject({
    code: 'CHECKPOINT_UNREADABLE',
  });
});
