/** The genesis file: what is refused, that the error names the field, and what the network id binds. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  firstL1Anchor,
  MAX_L1_CONFIRMATIONS,
  MAX_TRANSACTION_BYTES,
  MAX_VALIDATORS,
  parseGenesis,
  toHex,
} from '../src/index.ts';
import { genesis, genesisJson, pattern } from './samples.ts';

/** The sample with the value at a path such as `validators.0.weight` replaced; `undefined` removes the field. */
function changed(path: string, value: unknown): unknown {
  const copy: unknown = structuredClone(genesisJson);
  const steps = path.split('.');
  const last = steps.pop()!;
  let at = copy as Record<string, unknown>;
  for (const step of steps) at = at[step] as Record<string, unknown>;
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy;
}

function errorOf(json: unknown) {
  const result = parseGenesis(json);
  if (result.ok) throw new Error('accepted');
  return result.error;
}

const [first, second] = genesisJson.validators as [Validator, Validator];
type Validator = (typeof genesisJson.validators)[number];
const upper = (hex: string): string => `0x${hex.slice(2).toUpperCase()}`;

const FAULTS: readonly (readonly [field: string, value: unknown])[] = [
  ['version', 2],
  ['name', ''],
  ['name', 'x'.repeat(65)],
  ['name', undefined],
  ['genesisTimeMs', -1],
  ['genesisTimeMs', 2 ** 53],
  ['genesisTimeMs', undefined],
  ['epochLengthBlocks', 15],
  ['epochLengthBlocks', 16.5],
  ['validators', []],
  ['validators', undefined],
  ['validators', Array.from({ length: MAX_VALIDATORS + 1 }, () => first)],
  ['validators.2.name', 7],
  ['validators.2.blsPublicKey', '0x12'],
  ['validators.2.blsPublicKey', second.blsPublicKey],
  ['validators.3.blsPublicKey', upper(first.blsPublicKey)],
  ['validators.1.nodePublicKey', first.nodePublicKey],
  ['validators.0.nodePublicKey', toHex(pattern(31, 0))],
  ['validators.0.proofOfPossession', `0x${'g'.repeat(192)}`],
  ['validators.0.weight', 0],
  ['validators.0.weight', 1_000_001],
  ['validators.0.weight', '1'],
  ['validators.0.addresses', Array.from({ length: 9 }, () => '/ip4/1.2.3.4')],
  ['validators.0.addresses.0', 'x'.repeat(257)],
  ['rollups', []],
  ['rollups', undefined],
  ['rollups.0.rollupId', 0],
  ['rollups.1.rollupId', 901],
  ['rollups.1.kind', 'wasm'],
  ['rollups.0.maxTransactionBytes', 0],
  ['rollups.0.maxTransactionBytes', MAX_TRANSACTION_BYTES + 1],
  ['rollups.0.maxBytesPerSecond', 0],
  ['rollups.0.maxBytesPerSecond', 1.5],
  ['rollups.0.minFeePerGas', 0],
  ['rollups.0.minFeePerGas', '1'],
  // The sample's second rollup is opaque.
  ['rollups.1.minFeePerGas', 1],
];

describe('parseGenesis', () => {
  it('accepts a good file and derives the set and the id', () => {
    expect(genesis.validatorSet).toMatchObject({ epoch: 0, validators: [1, 2, 3, 4].map((weight) => ({ weight })) });
    expect(genesis.networkId).toHaveLength(32);
  });

  it.each(FAULTS)('names %s when it is %j', (field, value) => {
    const error = errorOf(changed(field, value));
    expect(error).toMatchObject({ code: 'GENESIS_INVALID', remedy: expect.stringContaining('genesis') });
    expect(error.message).toContain(`: ${field}: `);
  });

  it('says whose key a repeated key is', () => {
    expect(errorOf(changed('validators.2.blsPublicKey', second.blsPublicKey)).message).toContain('validators.1');
  });

  it('names an unknown field', () => {
    expect(errorOf(changed('chainId', 1)).message).toContain('chainId');
    expect(errorOf(changed('validators.1.stake', 1)).message).toMatch(/validators\.1.*stake/);
  });

  it.each([null, undefined, 7, 'genesis', [], {}])('refuses %j as a whole', (json) => {
    expect(errorOf(json).code).toBe('GENESIS_INVALID');
  });

  it('never throws, whatever it is given', () => {
    const places = fc.constantFrom(
      ...['version', 'name', 'genesisTimeMs', 'epochLengthBlocks', 'validators', 'rollups'],
      ...['validators.0', 'validators.0.weight', 'validators.1.addresses', 'rollups.0', 'rollups.1.kind', 'extra'],
    );
    fc.assert(
      fc.property(places, fc.jsonValue(), (place, value) => {
        const json = changed(place, value);
        const result = parseGenesis(json);
        if (!result.ok) expect(result.error.code).toBe('GENESIS_INVALID');
      }),
      { numRuns: 200 },
    );
  });
});

describe('the L1', () => {
  const l1 = { chainId: 1, anchor: { number: 20_000_000, hash: toHex(pattern(32, 0xa0)) }, confirmations: 64 };
  const parsed = (value: unknown) => parseGenesis(changed('l1', value));
  const idOf = (value: unknown): string => {
    const result = parsed(value);
    if (!result.ok) throw result.error;
    return toHex(result.value.networkId);
  };

  it('gives the first anchor; without one there is none', () => {
    const result = parsed(l1);
    expect(result.ok && firstL1Anchor(result.value.file)).toEqual({ number: 20_000_000, hash: pattern(32, 0xa0) });
    expect(firstL1Anchor(genesis.file)).toEqual({ number: 0, hash: new Uint8Array(32) });
  });

  it('is bound by the network id, in every part', () => {
    const { anchor } = l1;
    const others = [
      undefined,
      { ...l1, chainId: 2 },
      { ...l1, confirmations: 65 },
      { ...l1, anchor: { ...anchor, number: 20_000_001 } },
      { ...l1, anchor: { ...anchor, hash: toHex(pattern(32, 0xa1)) } },
    ];
    expect(new Set([l1, ...others].map(idOf)).size).toBe(6);
  });

  it('may be confirmed by as many blocks as the limit says, and by no more', () => {
    expect(parsed({ ...l1, confirmations: MAX_L1_CONFIRMATIONS }).ok).toBe(true);
    expect(errorOf(changed('l1', { ...l1, confirmations: MAX_L1_CONFIRMATIONS + 1 })).message).toContain(
      ': l1.confirmations: ',
    );
  });

  it.each<readonly [field: string, value: unknown]>([
    ['l1.chainId', { ...l1, chainId: 0 }],
    ['l1.anchor', { ...l1, anchor: undefined }],
    ['l1.anchor.number', { ...l1, anchor: { ...l1.anchor, number: -1 } }],
    ['l1.anchor.hash', { ...l1, anchor: { ...l1.anchor, hash: '0x12' } }],
    ['l1.anchor.hash', { ...l1, anchor: { ...l1.anchor, hash: `0x${'0'.repeat(64)}` } }],
    ['l1.confirmations', { ...l1, confirmations: undefined }],
  ])('names %s when it is wrong', (field, value) => {
    const error = errorOf(changed('l1', value));
    expect(error.code).toBe('GENESIS_INVALID');
    expect(error.message).toContain(`: ${field}: `);
  });
});

describe('the network id', () => {
  const idOf = (json: unknown): string => {
    const result = parseGenesis(json);
    if (!result.ok) throw result.error;
    return toHex(result.value.networkId);
  };

  it.each<readonly [what: string, path: string, value: unknown]>([
    ['the name', 'name', 'other'],
    ['the time', 'genesisTimeMs', 1],
    ['the epoch length', 'epochLengthBlocks', 16],
    ['a BLS key', 'validators.0.blsPublicKey', toHex(pattern(48, 0xa0))],
    ['a node key', 'validators.0.nodePublicKey', toHex(pattern(32, 0xa0))],
    ['a rollup’s largest transaction', 'rollups.0.maxTransactionBytes', 7],
    ['a rollup’s rate', 'rollups.0.maxBytesPerSecond', 7],
    ['a rollup’s lowest fee', 'rollups.0.minFeePerGas', 7],
    ['a weight', 'validators.0.weight', 9],
    ['the order of validators', 'validators', genesisJson.validators.toReversed()],
    ['a rollup', 'rollups.0.rollupId', 902],
    ['a rollup’s kind', 'rollups.0.kind', 'opaque'],
  ])('changes with %s', (_, path, value) => {
    expect(idOf(changed(path, value))).not.toBe(idOf(genesisJson));
  });

  it.each<readonly [what: string, path: string, value: unknown]>([
    ['addresses', 'validators.0.addresses', []],
    ['names of validators', 'validators.0.name', 'renamed'],
    ['the case of hex digits', 'validators.0.blsPublicKey', upper(first.blsPublicKey)],
  ])('does not change with %s', (_, path, value) => {
    expect(idOf(changed(path, value))).toBe(idOf(genesisJson));
  });
});
