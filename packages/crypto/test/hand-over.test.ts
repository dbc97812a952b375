/** `verifyHandOver`: what a quorum of the old set signed leads to the next one, and nothing else does. */

import {
  BatchRefs,
  type BlockHeader,
  blockHash,
  decodeHandOverProof,
  genesisBlock,
  HandOverProof,
  signerBits,
  type ValidatorSet,
  VoteKind,
  validatorSetHash,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import { describe, expect, it } from 'vitest';
import { createNodeKey, createVoteScheme, type HandOverContext, nobleBls, verifyHandOver } from '../src/index.ts';
import { blstBls } from '../src/node/index.ts';

const keys = [0, 1, 2, 3, 4].map((index) => {
  const seed = new Uint8Array(32).fill(index + 1);
  return { bls: blstBls.secretKeyFromSeed(seed), node: createNodeKey(seed) };
});
const setOf = (epoch: number, members: readonly number[]): ValidatorSet => ({
  epoch,
  validators: members.map((index) => ({
    blsPublicKey: blstBls.publicKeyOf(keys[index]!.bls),
    nodePublicKey: keys[index]!.node.publicKey,
    weight: 1,
  })),
});
const networkId = new Uint8Array(32).fill(9);
const oldSet = setOf(4, [0, 1, 2, 3]);
const nextSet = setOf(5, [1, 2, 3, 4]);
const LAST_HEIGHT = 50;
const context: HandOverContext = {
  networkId,
  validatorSet: oldSet,
  lastHeight: LAST_HEIGHT,
  scheme: createVoteScheme(blstBls, oldSet),
};

function headerOf(parent: BlockHeader | undefined, change: Partial<BlockHeader> = {}): BlockHeader {
  return {
    ...genesisBlock(networkId, 1).header,
    epoch: 4,
    view: (parent?.view ?? 60) + 2,
    height: parent ? parent.height + 1 : LAST_HEIGHT,
    parentView: parent?.view ?? 60,
    parentHash: parent ? blockHash(parent) : new Uint8Array(32).fill(1),
    nextValidatorSetHash: parent ? ZERO_HASH : validatorSetHash(nextSet),
    ...change,
  };
}

interface Parts {
  readonly boundary?: Partial<BlockHeader>;
  readonly path?: readonly Partial<BlockHeader>[];
  readonly set?: ValidatorSet;
  readonly signers?: readonly number[];
  readonly kind?: VoteKind;
  /** What is signed in place of the last header's view and hash. */
  readonly signed?: { readonly view?: number; readonly epoch?: number; readonly blockHash?: Uint8Array };
}

/** A proof that a quorum signed as it is, however wrong its content. */
function proofOf({ boundary, path = [], set = nextSet, signers = [0, 1, 2], kind, signed }: Parts = {}): HandOverProof {
  const headers = [headerOf(undefined, boundary)];
  for (const change of path) headers.push(headerOf(headers.at(-1), change));
  const last = headers.at(-1)!;
  const content = {
    kind: kind ?? VoteKind.finalize,
    epoch: 4,
    view: last.view,
    blockHash: blockHash(last),
    ...signed,
  };
  const root = voteSigningRoot(networkId, content);
  const signatures = signers.map((signer) => blstBls.sign(keys[signer]!.bls, root));
  return {
    boundaryHeader: headers[0]!,
    path: headers.slice(1),
    certificate: {
      ...content,
      signers: signerBits(4, signers),
      signature: blstBls.aggregateSignatures(signatures)!,
    },
    nextValidatorSet: set,
  };
}

const judge = (parts: Parts, change: Partial<HandOverContext> = {}) =>
  verifyHandOver(proofOf(parts), { ...context, ...change });

describe('a hand-over', () => {
  it.each([
    ['directly final', 0],
    ['final by the epilogue', 3],
  ])('%s leads to the next set, for both BLS implementations', (_, length) => {
    const parts = { path: Array.from({ length }, () => ({})) };
    expect(judge(parts)).toEqual({ ok: true, value: nextSet });
    expect(judge(parts, { scheme: createVoteScheme(nobleBls, oldSet) })).toEqual({ ok: true, value: nextSet });
  });

  it('is the same after its encoding', () => {
    const decoded = decodeHandOverProof(HandOverProof.serialize(proofOf({ path: [{}] })));
    if (!decoded.ok) throw new Error(decoded.error.reason);
    expect(verifyHandOver(decoded.value, context)).toEqual({ ok: true, value: nextSet });
  });

  it('of another epoch, network or height is none of this set', () => {
    expect(judge({ boundary: { epoch: 3 } })).toMatchObject({ error: { code: 'HAND_OVER_EPOCH' } });
    expect(judge({ boundary: { networkId: ZERO_HASH } })).toMatchObject({ error: { code: 'HAND_OVER_NETWORK' } });
    expect(judge({ boundary: { height: LAST_HEIGHT - 1 } })).toMatchObject({ error: { code: 'HAND_OVER_HEIGHT' } });
    expect(judge({}, { lastHeight: LAST_HEIGHT + 1 })).toMatchObject({ error: { code: 'HAND_OVER_HEIGHT' } });
  });

  it('shows the set that the boundary block names, of the next epoch, and fit', () => {
    expect(judge({ set: setOf(5, [1, 2, 3]) })).toMatchObject({ error: { code: 'HAND_OVER_SET' } });
    const bound = (set: ValidatorSet) => judge({ set, boundary: { nextValidatorSetHash: validatorSetHash(set) } });
    expect(bound(setOf(6, [1, 2]))).toMatchObject({ error: { reason: 'the next set is of epoch 6, not 5' } });
    expect(bound(setOf(5, []))).toMatchObject({ error: { code: 'HAND_OVER_SET' } });
    expect(bound(setOf(5, [1, 2, 1]))).toMatchObject({ error: { code: 'HAND_OVER_SET' } });
    const weightless = { ...nextSet, validators: nextSet.validators.map((each) => ({ ...each, weight: 0 })) };
    expect(bound(weightless)).toMatchObject({ error: { code: 'HAND_OVER_SET' } });
    expect(bound(setOf(5, [1, 2]))).toMatchObject({ ok: true });
  });

  it.each([
    ['another parent', { parentHash: ZERO_HASH }],
    ['another parent view', { parentView: 1 }],
    ['a gap in the heights', { height: LAST_HEIGHT + 3 }],
    ['another epoch', { epoch: 5 }],
    ['another network', { networkId: ZERO_HASH }],
    [
      'refs',
      { refsRoot: BatchRefs.hashTreeRoot([{ author: 0, seq: 0, rollupId: 1, digest: ZERO_HASH, joinsNext: false }]) },
    ],
    ['a next set of its own', { nextValidatorSetHash: validatorSetHash(nextSet) }],
  ] satisfies [string, Partial<BlockHeader>][])('is none over an epilogue header with %s', (_, change) => {
    expect(judge({ path: [{}, change] })).toMatchObject({ error: { code: 'HAND_OVER_PATH' } });
  });

  it('needs a finalization of its last header by a quorum of the old set', () => {
    const refused = { error: { code: 'HAND_OVER_CERTIFICATE' } };
    expect(judge({ kind: VoteKind.notarize })).toMatchObject(refused);
    expect(judge({ signers: [0, 1] })).toMatchObject(refused);
    expect(judge({ signed: { view: 99 } })).toMatchObject(refused);
    expect(judge({ signed: { epoch: 5 } })).toMatchObject(refused);
    expect(judge({ signed: { blockHash: ZERO_HASH } })).toMatchObject(refused);
    const proof = proofOf({ path: [{}] });
    // The certificate of the path's end shows nothing of the boundary alone.
    expect(verifyHandOver({ ...proof, path: [] }, context)).toMatchObject(refused);
    const stolen = { ...proof, certificate: { ...proof.certificate, signers: signerBits(4, [0, 1, 3]) } };
    expect(verifyHandOver(stolen, context)).toMatchObject(refused);
    expect(judge({}, { networkId: ZERO_HASH })).toMatchObject({ error: { code: 'HAND_OVER_NETWORK' } });
  });
});
