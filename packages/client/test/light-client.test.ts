/** The light client: epoch by epoch on proofs alone, past liars, and not past a fork. */

import { createNodeKey } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import {
  BatchRefs,
  type BlockHeader,
  type BlockProof,
  blockHash,
  type Epoch,
  genesisBlock,
  HandOverProof,
  lastHeightOf,
  signerBits,
  type ValidatorSet,
  VoteKind,
  validatorSetHash,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import { describe, expect, it } from 'vitest';
import {
  type Conflict,
  LightClient,
  type LightClientSource,
  MAX_REMEMBERED_BLOCKS,
  verifyHandOverFrom,
} from '../src/index.ts';
import { native } from './support.ts';

const LENGTH = 16;
const keys = [0, 1, 2, 3, 4, 5].map((index) => {
  const seed = new Uint8Array(32).fill(index + 1);
  return { bls: blstBls.secretKeyFromSeed(seed), node: createNodeKey(seed) };
});
/** Each epoch one validator goes and another comes. */
const members = (epoch: Epoch) => [0, 1, 2, 3].map((index) => (index + epoch) % keys.length);
const setOf = (epoch: Epoch): ValidatorSet => ({
  epoch,
  validators: members(epoch).map((index) => ({
    blsPublicKey: blstBls.publicKeyOf(keys[index]!.bls),
    nodePublicKey: keys[index]!.node.publicKey,
    weight: 1,
  })),
});
const networkId = new Uint8Array(32).fill(9);

function headerOf(epoch: Epoch, height: number, change: Partial<BlockHeader> = {}): BlockHeader {
  const header = genesisBlock(networkId, 1).header;
  return { ...header, epoch, height, view: height + 10, parentView: height + 9, ...change };
}

function finalization(header: BlockHeader, signers = [0, 1, 2]): BlockProof['certificate'] {
  const content = { kind: VoteKind.finalize, epoch: header.epoch, view: header.view, blockHash: blockHash(header) };
  const root = voteSigningRoot(networkId, content);
  const signatures = signers.map((signer) => blstBls.sign(keys[members(header.epoch)[signer]!]!.bls, root));
  return { ...content, signers: signerBits(4, signers), signature: blstBls.aggregateSignatures(signatures)! };
}

function handOver(epoch: Epoch, change: Partial<BlockHeader> = {}, signers?: number[]): HandOverProof {
  const nextValidatorSet = setOf(epoch + 1);
  const nextValidatorSetHash = validatorSetHash(nextValidatorSet);
  const boundaryHeader = headerOf(epoch, lastHeightOf(epoch, LENGTH), { nextValidatorSetHash, ...change });
  return { boundaryHeader, path: [], certificate: finalization(boundaryHeader, signers), nextValidatorSet };
}

function blockProof(epoch: Epoch, height: number, change: Partial<BlockHeader> = {}, signers?: number[]): BlockProof {
  const header = headerOf(epoch, height, {
    refsRoot: BatchRefs.hashTreeRoot([]),
    nextValidatorSetHash: ZERO_HASH,
    ...change,
  });
  return {
    validatorSet: setOf(epoch),
    block: { header, refs: [] },
    path: [],
    certificate: finalization(header, signers),
  };
}

/** Honest, in an epoch and at a height; a test replaces what it lies about. */
function source(name: string, epoch: Epoch, height: number, lies: Partial<LightClientSource> = {}): LightClientSource {
  return {
    name,
    handOver: async (asked) => (asked < epoch ? handOver(asked) : undefined),
    finalBlock: async () => blockProof(epoch, height),
    ...lies,
  };
}

function client(onRefused: (name: string, code: string) => void = () => {}): LightClient {
  const validatorSet = setOf(0);
  return new LightClient({
    ...native,
    checkpoint: { networkId, epochLengthBlocks: LENGTH, validatorSetHash: validatorSetHash(validatorSet) },
    validatorSet,
    onRefused: ({ source: name, error }) => onRefused(name, error.code),
  });
}

const failing: Partial<LightClientSource> = {
  handOver: () => Promise.reject(new Error('down')),
  finalBlock: () => Promise.reject(new Error('down')),
};

describe('a light client', () => {
  it('reaches the present through every hand-over, with one source that works', async () => {
    const light = client();
    await light.advance([source('down', 0, 0, failing), source('a', 7, 7 * LENGTH + 3)]);
    expect(light.known.validatorSet).toEqual(setOf(7));
    expect(light.known.checkpoint.validatorSetHash).toEqual(validatorSetHash(setOf(7)));
    expect(light.head?.header.height).toBe(7 * LENGTH + 3);
    // From where it is.
    const later = new LightClient({ ...native, ...light.known });
    await later.advance([source('a', 9, 9 * LENGTH + 1)]);
    expect(later.known.validatorSet.epoch).toBe(9);
  });

  it('takes the head of an epoch that begins while it asks', async () => {
    const light = client();
    let epoch = 0;
    const growing: LightClientSource = {
      name: 'growing',
      handOver: async (asked) => (asked < epoch ? handOver(asked) : undefined),
      finalBlock: async () => {
        epoch = 1;
        return blockProof(1, LENGTH + 1);
      },
    };
    const boasting = source('boasting', 0, 0, { finalBlock: async () => blockProof(5, 5 * LENGTH + 1) });
    await light.advance([growing, boasting]);
    expect(light.known.validatorSet.epoch).toBe(1);
    expect(light.head?.header.height).toBe(LENGTH + 1);
  });

  it('is not led astray by proofs that are none, and names who gave them', async () => {
    const lies: [string, string][] = [];
    const light = client((...lie) => lies.push(lie));
    const liars = [
      source('too few', 1, 0, {
        handOver: async (epoch) => handOver(epoch, {}, [0, 1]),
        finalBlock: async () => undefined,
      }),
      source('another epoch', 1, 0, {
        handOver: async (epoch) => handOver(epoch + 1),
        finalBlock: async () => undefined,
      }),
      source('another set', 1, 0, {
        handOver: async (epoch) => ({ ...handOver(epoch), nextValidatorSet: { ...setOf(5), epoch: epoch + 1 } }),
        finalBlock: async () => undefined,
      }),
      source('forged head', 1, 0, { finalBlock: async () => blockProof(1, LENGTH + 5, {}, [0]) }),
    ];
    await light.advance([...liars, source('honest', 1, LENGTH + 2)]);
    expect(light.known.validatorSet).toEqual(setOf(1));
    expect(light.head?.header.height).toBe(LENGTH + 2);
    expect(lies).toContainEqual(['too few', 'HAND_OVER_CERTIFICATE']);
    expect(lies).toContainEqual(['another epoch', 'HAND_OVER_EPOCH']);
    expect(lies).toContainEqual(['another set', 'HAND_OVER_SET']);
    expect(lies).toContainEqual(['forged head', 'BELOW_QUORUM']);
    expect(lies.map(([name]) => name)).not.toContain('honest');
  });

  it('stops at two ends of one epoch, with what convicts who signed both', async () => {
    const fork = handOver(0, { timestampMs: 77 }, [1, 2, 3]);
    const other = source('b', 1, LENGTH + 1, { handOver: async (epoch) => (epoch === 0 ? fork : undefined) });
    const refusal = await client()
      .advance([source('a', 1, LENGTH + 1), other])
      .catch((error) => error);
    expect(refusal).toMatchObject({ code: 'CONFLICTING_HISTORY' });
    const { conflict } = refusal.data as { conflict: Conflict };
    expect(conflict.signedBoth).toEqual([1, 2]);
    expect(conflict.evidence?.kind).toBe('E2');
  });

  it('stops at two final blocks of one height; of unlike views it can name, and not convict', () => {
    const light = client();
    expect(light.acceptBlock(blockProof(0, 5)).ok).toBe(true);
    expect(light.acceptBlock(blockProof(0, 5)).ok).toBe(true);
    let refusal: { code?: string; data?: { conflict: Conflict } } = {};
    try {
      light.acceptBlock(blockProof(0, 5, { view: 99 }));
    } catch (error) {
      refusal = error as typeof refusal;
    }
    expect(refusal.code).toBe('CONFLICTING_HISTORY');
    expect(refusal.data?.conflict).toMatchObject({ signedBoth: [0, 1, 2], evidence: undefined });
  });

  it('remembers as many blocks as the limit', () => {
    const long = setOf(0);
    const checkpoint = { networkId, epochLengthBlocks: 10_000, validatorSetHash: validatorSetHash(long) };
    const light = new LightClient({ ...native, checkpoint, validatorSet: long });
    for (let height = 1; height <= MAX_REMEMBERED_BLOCKS; height++) light.acceptBlock(blockProof(0, height));
    expect(() => light.acceptBlock(blockProof(0, 1, { view: 99 }))).toThrow('block 1');
    light.acceptBlock(blockProof(0, MAX_REMEMBERED_BLOCKS + 1));
    expect(light.acceptBlock(blockProof(0, 1, { view: 99 })).ok).toBe(true);
  });

  it('does not begin with a set that is not the checkpoint’s', () => {
    const { checkpoint } = client().known;
    expect(() => new LightClient({ checkpoint, validatorSet: setOf(1) })).toThrow('not the one whose hash');
  });

  it('takes the bytes of a hand-over proof, and no others', () => {
    const { known } = client();
    const bytes = HandOverProof.serialize(handOver(0));
    const next = verifyHandOverFrom(known, bytes, native);
    expect(next.ok && next.value.validatorSet).toEqual(setOf(1));
    const cut = verifyHandOverFrom(known, bytes.slice(1), native);
    expect(!cut.ok && cut.error.code).toBe('HAND_OVER_ENCODING');
  });
});
