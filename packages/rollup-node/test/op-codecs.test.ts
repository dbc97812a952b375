/** The OP Stack's formats, against what its chains and its specification hold. */

import { fromHex, toHex } from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keccak256 } from '../src/execution/keccak.ts';
import {
  type DepositTransaction,
  decodeDeposit,
  encodeDeposit,
  l1AttributesSource,
  upgradeSource,
} from '../src/stacks/op/deposit.ts';
import { DEPOSIT_EVENT, type DepositLog, decodeDepositLog } from '../src/stacks/op/deposit-log.ts';
import {
  decodeL1Attributes,
  encodeL1Attributes,
  type L1Attributes,
  type L1AttributesForm,
  l1AttributesDeposit,
} from '../src/stacks/op/l1-attributes.ts';
import { outputRoot } from '../src/stacks/op/output.ts';

/** The first transaction of block 124665056 of OP Mainnet. */
const OP_MAINNET = {
  hash: '0x312e290cf36df704a2217b015d6455396830b0ce678b860ebfcc30f41403d7b1',
  raw: '0x7ef8f8a0683079df94aa5b9cf86687d739a60a9b4f0835e520ec4d664e2e415dca17a6df94deaddeaddeaddeaddeaddeaddeaddeaddead00019442000000000000000000000000000000000000158080830f424080b8a4440a5e200000146b000f79c500000000000000040000000066d052e700000000013ad8a3000000000000000000000000000000000000000000000000000000003ef1278700000000000000000000000000000000000000000000000000000000000000012fdf87b89884a61e74b322bbcf60386f543bfae7827725efaaf0ab1de2294a590000000000000000000000006887246668a3b87f54deb3b94ba47a6f63f32985',
} as const;
/** Of Base, of Isthmus: https://basescan.org/tx/0xba56c8b0deb460ff070f8fca8e2ee01e51a3db27841cc862fdd94cc1a47662b6 */
const BASE = {
  hash: '0xba56c8b0deb460ff070f8fca8e2ee01e51a3db27841cc862fdd94cc1a47662b6',
  raw: '0x7ef90104a06c0c775b6b492bab9d7e81abdf27f77cafb698551226455a82f559e0f93fea3794deaddeaddeaddeaddeaddeaddeaddeaddead00019442000000000000000000000000000000000000158080830f424080b8b0098999be000008dd00101c1200000000000000020000000068869d6300000000015f277f000000000000000000000000000000000000000000000000000000000d42ac290000000000000000000000000000000000000000000000000000000000000001abf52777e63959936b1bf633a2a643f0da38d63deffe49452fed1bf8a44975d50000000000000000000000005050f69a9786f081509234f1a7f4684b5e5b76c9000000000000000000000000',
} as const;

/**
 * Of OP Mainnet, of Jovian: block 0x90caa11f7bec1b9836af2ff235ccce608fbd826b6c3dbc7928ffe94869c59da2, hash and call data as GetBlock's
 * documentation has them; encoded by the rule of the two above.
 */
const JOVIAN = {
  hash: '0x8298e19f39ad1e9a2d670739614fafbbed1d5b3824319384f479168d2d8c8f95',
  raw: '0x7ef90106a0c912db3c7247e182b351c44e56b691ebcafbc8ada96c394ee5f5aa65d90b930e94deaddeaddeaddeaddeaddeaddeaddeaddead00019442000000000000000000000000000000000000158080830f424080b8b23db6be2b0000146b000f79c50000000000000003000000006a04756f00000000017ec99d0000000000000000000000000000000000000000000000000000000020017d620000000000000000000000000000000000000000000000000000000001d918f3af6d6abe101cdf792f420a962b62de02ba52726b1d21f5b9d43aff3c572b27cf0000000000000000000000006887246668a3b87f54deb3b94ba47a6f63f329850000000000000000000000000190',
} as const;

function decoded(raw: `0x${string}`): DepositTransaction {
  const deposit = decodeDeposit(fromHex(raw));
  if (!deposit.ok) throw new Error(deposit.error);
  return deposit.value;
}

describe('deposited transactions', () => {
  it.each([OP_MAINNET, BASE, JOVIAN])('of a chain: $hash', ({ hash, raw }) => {
    expect(toHex(keccak256(fromHex(raw)))).toBe(hash);
    const deposit = decoded(raw);
    expect(deposit).toMatchObject({ mint: 0n, value: 0n, gasLimit: 1_000_000n, isSystem: false });
    expect(toHex(deposit.from)).toBe('0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001');
    expect(toHex(encodeDeposit(deposit))).toBe(raw);
  });

  it('come back as they were, and in no other encoding', () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const deposit = fc.record({
      sourceHash: bytes(32),
      from: bytes(20),
      to: fc.option(bytes(20), { nil: undefined }),
      mint: fc.bigInt(0n, 2n ** 256n - 1n),
      value: fc.bigInt(0n, 2n ** 256n - 1n),
      gasLimit: fc.bigInt(0n, 2n ** 64n - 1n),
      isSystem: fc.boolean(),
      data: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(deposit, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, at, change) => {
        const encoded = encodeDeposit(value);
        expect(decodeDeposit(encoded)).toEqual({ ok: true, value });
        const other = encoded.slice();
        other[at % other.length]! ^= change;
        const found = decodeDeposit(other);
        if (found.ok) expect(encodeDeposit(found.value)).toEqual(other);
      }),
    );
    const [first] = [fromHex(BASE.raw)];
    expect(decodeDeposit(first!.subarray(0, -1)).ok).toBe(false);
    expect(decodeDeposit(Uint8Array.of(...first!, 0)).ok).toBe(false);
    expect(decodeDeposit(new Uint8Array()).ok).toBe(false);
  });

  it('have the source hashes of the specification (ecotone_upgrade_transactions_test.go)', () => {
    for (const [intent, hash] of [
      ['Ecotone: L1 Block Proxy Update', '0x18acb38c5ff1c238a7460ebc1b421fa49ec4874bdf1e0a530d234104e5e67dbc'],
      [
        'Ecotone: beacon block roots contract deployment',
        '0x69b763c48478b9dc2f65ada09b3d92133ec592ea715ec65ad6e7f3dc519dc00c',
      ],
    ] as const) {
      expect(toHex(upgradeSource(intent))).toBe(hash);
    }
  });
});

describe('L1 attributes', () => {
  it.each([
    { chain: OP_MAINNET, form: 'ecotone', number: 20_633_763n, timestamp: 1_724_928_743n, sequenceNumber: 4n },
    { chain: BASE, form: 'isthmus', number: 23_013_247n, timestamp: 1_753_652_579n, sequenceNumber: 2n },
    { chain: JOVIAN, form: 'jovian', number: 25_086_365n, timestamp: 1_778_677_103n, daFootprintGasScalar: 400n },
  ] as const)('of $form, from a chain', ({ chain, form, ...expected }) => {
    const deposit = decoded(chain.raw);
    const found = decodeL1Attributes(deposit.data);
    expect(found).toMatchObject({ ok: true, value: { form, attributes: expected } });
    if (!found.ok) return;
    const { attributes } = found.value;
    expect(deposit.sourceHash).toEqual(l1AttributesSource(attributes.blockHash, Number(attributes.sequenceNumber)));
    expect(toHex(encodeDeposit(l1AttributesDeposit(form, attributes, true)))).toBe(chain.raw);
  });

  it('come back as they were in each form', () => {
    const zero = { feeOverhead: 0n, feeScalar: 0n, baseFeeScalar: 0n, blobBaseFeeScalar: 0n, blobBaseFee: 0n };
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const uint = (bits: bigint) => fc.bigInt(0n, 2n ** bits - 1n);
    const common = {
      number: uint(64n),
      timestamp: uint(64n),
      baseFee: uint(256n),
      blockHash: bytes,
      sequenceNumber: uint(64n),
      batcherHash: bytes,
    };
    const ofEcotone = { baseFeeScalar: uint(32n), blobBaseFeeScalar: uint(32n), blobBaseFee: uint(256n) };
    const ofIsthmus = { ...ofEcotone, operatorFeeScalar: uint(32n), operatorFeeConstant: uint(64n) };
    const none: Partial<L1Attributes> = {
      ...zero,
      operatorFeeScalar: 0n,
      operatorFeeConstant: 0n,
      daFootprintGasScalar: 0n,
    };
    for (const [form, length, fields] of [
      ['bedrock', 260, { feeOverhead: uint(256n), feeScalar: uint(256n) }],
      ['ecotone', 164, ofEcotone],
      ['isthmus', 176, ofIsthmus],
      ['jovian', 178, { ...ofIsthmus, daFootprintGasScalar: uint(16n) }],
    ] as [L1AttributesForm, number, Record<string, fc.Arbitrary<bigint>>][]) {
      fc.assert(
        fc.property(fc.record({ ...common, ...fields }), (some) => {
          const attributes = { ...none, ...some } as L1Attributes;
          const encoded = encodeL1Attributes(form, attributes);
          expect(encoded).toHaveLength(length);
          expect(decodeL1Attributes(encoded)).toEqual({ ok: true, value: { form, attributes } });
          expect(decodeL1Attributes(encoded.subarray(0, -1)).ok).toBe(false);
          expect(decodeL1Attributes(Uint8Array.of(...encoded, 0)).ok).toBe(false);
        }),
      );
    }
    expect(decodeL1Attributes(Uint8Array.of(1, 2, 3, 4)).ok).toBe(false);
  });

  it('have the selectors of l1_block_info.go, and before Regolith the gas of a system transaction', () => {
    const found = decodeL1Attributes(decoded(BASE.raw).data);
    if (!found.ok) throw new Error(found.error);
    const { attributes } = found.value;
    const deposit = l1AttributesDeposit('bedrock', attributes, false);
    expect(toHex(deposit.data.subarray(0, 4))).toBe('0x015d8eb9');
    expect(deposit).toMatchObject({ gasLimit: 150_000_000n, isSystem: true });
    expect(() => encodeL1Attributes('ecotone', { ...attributes, number: 2n ** 64n })).toThrow(RangeError);
  });
});

/** Of Sepolia, transaction 0x3b3e56f81c809b73bbd410c5ae3e683641113c956b0f3e5511ee9698e158a26b, with the hash that it has on L2. */
const SEPOLIA = {
  blockHash: fromHex('0xc95b9676fdff44b3c7d2205d5c571faa5577c73a846cbbdb70a43e1a99bb8959'),
  log: {
    index: 5,
    topics: [
      '0xb3813568d9991fc951961fcb4c784893574240a28925604d09fc577c55bb7c32',
      '0x000000000000000000000000707d44b65ba91c42f212e8bb61f71cc69fbf8fd7',
      '0x000000000000000000000000538d78c2d84efa321f68c115a59058ee5f671674',
      '0x0000000000000000000000000000000000000000000000000000000000000000',
    ].map((topic) => fromHex(topic as `0x${string}`)),
    data: fromHex(
      '0x0000000000000000000000000000000000000000000000000000000000000020000000000000000000000000000000000000000000000000000000000000004c000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000718143ab000000000000000c35000aabbcc0000000000000000000000000000000000000000',
    ),
  } satisfies DepositLog,
  l2Hash: '0xd6d833a2d52037f9e09737f53e0d5b54fdb1ce5f9c2fec0122f9231ca50c414b',
};

describe('deposits on L1', () => {
  it('give the transaction that L2 has', () => {
    const deposit = decodeDepositLog(SEPOLIA.log, SEPOLIA.blockHash);
    if (!deposit.ok) throw new Error(deposit.error);
    expect(deposit.value).toMatchObject({ mint: 0n, gasLimit: 50_000n, isSystem: false });
    expect(toHex(deposit.value.data)).toBe('0xaabbcc');
    expect(toHex(keccak256(encodeDeposit(deposit.value)))).toBe(SEPOLIA.l2Hash);
    expect(toHex(DEPOSIT_EVENT)).toBe('0xb3813568d9991fc951961fcb4c784893574240a28925604d09fc577c55bb7c32');
  });

  it('create a contract where they say so', () => {
    const data = SEPOLIA.log.data.slice();
    data[64 + 72] = 1;
    const deposit = decodeDepositLog({ ...SEPOLIA.log, data }, SEPOLIA.blockHash);
    expect(deposit).toMatchObject({ ok: true, value: { to: undefined } });
  });

  it('are refused in any other form', () => {
    const { log } = SEPOLIA;
    const changed = (at: number, value: number) => {
      const data = log.data.slice();
      data[at] = value;
      return { ...log, data };
    };
    const version = [...log.topics.slice(0, 3), fromHex(`0x${'00'.repeat(31)}01`)];
    for (const bad of [
      { ...log, topics: log.topics.slice(0, 3) },
      { ...log, topics: [log.topics[1]!, ...log.topics.slice(1)] },
      { ...log, topics: version },
      { ...log, data: log.data.subarray(0, -1) },
      { ...log, data: log.data.subarray(0, 32) },
      { ...log, data: Uint8Array.of(...log.data, ...new Uint8Array(32)) },
      changed(31, 64),
      changed(63, 97),
      changed(63, 72),
      changed(32, 1),
    ]) {
      expect(decodeDepositLog(bad, SEPOLIA.blockHash).ok).toBe(false);
    }
    expect(decodeDepositLog(changed(63, 96), SEPOLIA.blockHash).ok).toBe(true);
  });
});

/** Answers of optimism_outputAtBlock of OP chains, block 118818299 of OP Mainnet and block 16 of a new one. */
it.each([
  {
    outputRoot: '0xf1119e7d0fef8c54ab799be80fc61f503cea4e5c0aa1cf7ac104ef3a104f3bd1',
    blockHash: '0x6d39c46aabc847f5f2664a22bbc5f65a57286603095a9ebc946d1ed19ef4925c',
    withdrawalStorageRoot: '0x5c9a29a8ad2ecf97fb4bdea74c715fd2c13fa87d4861414478bc4579601c3585',
    stateRoot: '0x16849c0a93d00bb2d7ceacda11a1478854d2bbb0a377b4d6793b67a3f05eb6fe',
  },
  {
    outputRoot: '0xf9758545eb67c1a90276b44bb80047fa72148f88c69a8653f36cd157f537bde4',
    blockHash: '0x2d0d159b47e89cd85b82c18d217fa47f5901e81e71ae80356854849656b43354',
    withdrawalStorageRoot: '0x8ed4baae3a927be3dea54996b4d5899f8c01e7594bf50b17dc1e741388ce3d12',
    stateRoot: '0x965938f5738ae8c501d7de25f61597ea2a76ea2802fc535233eb427376b43328',
  },
] as const)('output root $outputRoot', ({ outputRoot: expected, ...parts }) => {
  const { stateRoot, withdrawalStorageRoot, blockHash } = parts;
  const output = {
    stateRoot: fromHex(stateRoot),
    withdrawalStorageRoot: fromHex(withdrawalStorageRoot),
    blockHash: fromHex(blockHash),
  };
  expect(toHex(outputRoot(output))).toBe(expected);
});
