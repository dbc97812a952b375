/**
 * The golden vectors of `../vectors`: bytes and roots that may change only on purpose, as a change breaks every deployed
 * network. `SQUAD_UPDATE_VECTORS=1` writes them anew; the diff is then what a reviewer judges.
 */

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import {
  batchDigest,
  batchSigningRoot,
  blockHash,
  type Certificate,
  DOMAINS,
  signersOf,
  toHex,
  VOTE_KIND_NAMES,
  VoteKind,
  validatorSetHash,
  voteSigningRoot,
} from '../src/index.ts';
import { goldenFiles } from './golden-cases.ts';
import { naiveRoot, type Schema } from './naive-ssz.ts';
import * as samples from './samples.ts';

const folder = new URL('../vectors/', import.meta.url);
const files = goldenFiles();

describe('golden vectors', () => {
  it.each(Object.keys(files))('%s', async (name) => {
    const path = new URL(`${name}.json`, folder);
    const text = `${JSON.stringify(files[name], null, 1)}\n`;
    if (process.env.SQUAD_UPDATE_VECTORS === '1') {
      await mkdir(folder, { recursive: true });
      await writeFile(path, text);
    }
    expect(JSON.parse(text)).toEqual(JSON.parse(await readFile(path, 'utf8')));
  });

  it('holds no file that no test compares', async () => {
    expect((await readdir(folder)).sort()).toEqual(
      Object.keys(files)
        .map((name) => `${name}.json`)
        .sort(),
    );
  });
});

// The field orders and limits of the protocol, written down a second time on purpose.
const uint64: Schema = { uintBytes: 8 };
const uint32: Schema = { uintBytes: 4 };
const uint16: Schema = { uintBytes: 2 };
const uint8: Schema = { uintBytes: 1 };
const bytes = (length: number): Schema => ({ bytes: length });

const VOTE_DATA: Schema = [
  ['networkId', bytes(32)],
  ['epoch', uint64],
  ['view', uint64],
  ['blockHash', bytes(32)],
];
const SIGNING_DATA: Schema = [
  ['objectRoot', bytes(32)],
  ['domain', bytes(32)],
];
const CERTIFICATE: Schema = [
  ['kind', uint8],
  ['epoch', uint64],
  ['view', uint64],
  ['blockHash', bytes(32)],
  ['signers', { bitListLimit: 256 }],
  ['signature', bytes(96)],
];
const BATCH_REF: Schema = [
  ['author', uint16],
  ['seq', uint64],
  ['rollupId', uint64],
  ['digest', bytes(32)],
  ['joinsNext', { uintBytes: 1 }],
];
const BLOCK_HEADER: Schema = [
  ['version', uint16],
  ['networkId', bytes(32)],
  ['epoch', uint64],
  ['view', uint64],
  ['height', uint64],
  ['parentView', uint64],
  ['parentHash', bytes(32)],
  ['leader', uint16],
  ['timestampMs', uint64],
  ['l1AnchorNumber', uint64],
  ['l1AnchorHash', bytes(32)],
  ['refsRoot', bytes(32)],
  ['skipsRoot', bytes(32)],
  ['nextValidatorSetHash', bytes(32)],
];
const BATCH_HEADER: Schema = [
  ['networkId', bytes(32)],
  ['epoch', uint64],
  ['author', uint16],
  ['seq', uint64],
  ['previousDigest', bytes(32)],
  ['rollupId', uint64],
  ['bodyRoot', bytes(32)],
  ['byteLength', uint32],
  ['transactionCount', uint32],
  ['createdAtMs', uint64],
  ['joinsNext', { uintBytes: 1 }],
];
const VALIDATOR_SET: Schema = [
  ['epoch', uint64],
  [
    'validators',
    {
      listLimit: 256,
      of: [
        ['blsPublicKey', bytes(48)],
        ['nodePublicKey', bytes(32)],
        ['weight', uint64],
      ],
    },
  ],
];
const NO_PARAMETERS = { maxTransactionBytes: 0, maxBytesPerSecond: 0, minFeePerGas: 0 };
const NETWORK: Schema = [
  ['name', { byteListLimit: 256 }],
  ['genesisTimeMs', uint64],
  ['epochLengthBlocks', uint64],
  ['validatorSetHash', bytes(32)],
  [
    'validatorSchedule',
    {
      listLimit: 64,
      of: [
        ['fromEpoch', uint64],
        ['validatorSetHash', bytes(32)],
      ],
    },
  ],
  [
    'rollups',
    {
      listLimit: 1024,
      of: [
        ['rollupId', uint64],
        ['kind', { byteListLimit: 16 }],
        ['maxTransactionBytes', uint32],
        ['maxBytesPerSecond', uint64],
        ['minFeePerGas', uint64],
      ],
    },
  ],
];

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const domain = (name: string): Uint8Array => {
  const out = new Uint8Array(32);
  out.set(ascii(name));
  return out;
};
const signed = (objectRoot: Uint8Array, name: string): string =>
  toHex(naiveRoot(SIGNING_DATA, { objectRoot, domain: domain(name) }));
const certificateValue = (certificate: Certificate) => ({
  ...certificate,
  signers: Array.from({ length: certificate.signers.bitLen }, (_, i) => signersOf(certificate).includes(i)),
});

describe('roots against a naive SSZ merkleization', () => {
  const { networkId, genesis } = samples;

  it.each([VoteKind.notarize, VoteKind.nullify, VoteKind.finalize])('signing root of a vote of kind %i', (kind) => {
    const { epoch, view, blockHash } = samples.vote(kind);
    const root = naiveRoot(VOTE_DATA, { networkId, epoch, view, blockHash });
    expect(toHex(voteSigningRoot(networkId, samples.vote(kind)))).toBe(
      signed(root, `squad:${VOTE_KIND_NAMES[kind]}:1`),
    );
  });

  it('batch digest and signing root', () => {
    const { header } = samples.batch.signed;
    const digest = naiveRoot(BATCH_HEADER, header);
    expect(toHex(batchDigest(header))).toBe(toHex(digest));
    expect(toHex(batchSigningRoot(header))).toBe(signed(digest, 'squad:batch:1'));
  });

  it('block hash, refs root and skips root', () => {
    for (const { header, refs } of [samples.block(), samples.genesisOfNetwork]) {
      expect(toHex(blockHash(header))).toBe(toHex(naiveRoot(BLOCK_HEADER, header)));
      expect(toHex(header.refsRoot)).toBe(toHex(naiveRoot({ listLimit: 512, of: BATCH_REF }, refs)));
    }
    const skipList: Schema = { listLimit: 4096, of: CERTIFICATE };
    expect(toHex(samples.block().header.skipsRoot)).toBe(
      toHex(naiveRoot(skipList, samples.skips.map(certificateValue))),
    );
    expect(toHex(samples.genesisOfNetwork.header.skipsRoot)).toBe(toHex(naiveRoot(skipList, [])));
  });

  it('validator set hash and network id', () => {
    expect(toHex(validatorSetHash(samples.validatorSet))).toBe(toHex(naiveRoot(VALIDATOR_SET, samples.validatorSet)));
    const { name, genesisTimeMs, epochLengthBlocks, rollups } = genesis.file;
    const identity = {
      name: ascii(name),
      genesisTimeMs,
      epochLengthBlocks,
      validatorSetHash: naiveRoot(VALIDATOR_SET, genesis.validatorSet),
      validatorSchedule: [],
      rollups: rollups.map(({ rollupId, kind }) => ({ ...NO_PARAMETERS, rollupId, kind: ascii(kind) })),
    };
    expect(toHex(networkId)).toBe(toHex(naiveRoot(NETWORK, identity)));
  });

  it('no two domains are alike', () => {
    const names = Object.values(DOMAINS).map(toHex);
    expect(new Set(names).size).toBe(names.length);
    for (const value of Object.values(DOMAINS)) expect(value.length).toBe(32);
  });
});
