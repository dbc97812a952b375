/** The SystemConfig of an OP rollup: how its events on L1 change it, from which block on, and what of it is Jovian's. */

import { fromHex, type Hex, toHex } from '@squad/types';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MAX_BLOB_SCHEDULE_ENTRIES } from '../src/config/op-chain.ts';
import { parseRollupFile } from '../src/config/rollup-file.ts';
import { openRollup } from '../src/derivation/open.ts';
import { opStack } from '../src/stacks/op/adapter.ts';
import { decodeDeposit } from '../src/stacks/op/deposit.ts';
import { decodeL1Attributes } from '../src/stacks/op/l1-attributes.ts';
import { configUpdate, decodeSystemConfig, encodeSystemConfig } from '../src/stacks/op/system-config.ts';
import { type FakeL1, FakeL1 as L1 } from '../src/testing/index.ts';
import { temporaryDirectory } from './support/directory.ts';
import { CHAIN, type OpEngine, Order, opClient, opFile, startOp } from './support/op.ts';
import { follow, followingFile, startL1 } from './support/op-l1.ts';
import { recipient, sign } from './support/transactions.ts';

const ADDRESS = fromHex(`0x${'ba'.repeat(20)}`);
const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

const transfer = (nonce: number, gasLimit = 21_000n) =>
  sign(CHAIN, 0, { nonce, gasLimit, to: recipient(nonce), value: 1n });
const begun = ({ client }: OpEngine) =>
  client.calls.flatMap(({ method, params }) =>
    method === 'engine_forkchoiceUpdatedV3' && params[1] !== null ? [params[1]] : [],
  );
const attributesOf = ({ transactions }: { transactions: Hex[] }) => {
  const deposit = decodeDeposit(fromHex(transactions[0]!));
  const decoded = deposit.ok ? decodeL1Attributes(deposit.value.data) : deposit;
  if (!decoded.ok) throw new Error(decoded.error);
  return decoded.value;
};

function l1Topics(): Uint8Array[] {
  return new L1(1, 1).configUpdate(0, 0n).topics.map(fromHex);
}

describe('a ConfigUpdate', () => {
  const l1 = new L1(1, 1);
  const read = ({ topics, data }: ReturnType<FakeL1['configUpdate']>) =>
    configUpdate({ topics: topics.map(fromHex), data: fromHex(data) });
  const scalar = (version: number, blob: bigint, base: bigint) => (BigInt(version) << 248n) | (blob << 32n) | base;

  // Encoded as op-node/rollup/derive/system_config_test.go has them.
  it.each([
    ['batcher', l1.configUpdate(0, ADDRESS), { batcher: ADDRESS }],
    [
      'gas config',
      l1.configUpdate(1, 188n, scalar(0, 0n, 684_000n)),
      { baseFeeScalar: 684_000n, blobBaseFeeScalar: 0n },
    ],
    ['gas config of Ecotone', l1.configUpdate(1, 0n, scalar(1, 5n, 7n)), { baseFeeScalar: 7n, blobBaseFeeScalar: 5n }],
    ['gas config of Ecotone, padded', l1.configUpdate(1, 0n, scalar(1, 5n, 7n) | (1n << 64n)), {}],
    ['gas config of no version', l1.configUpdate(1, 0n, scalar(2, 5n, 7n)), {}],
    ['gas config of Bedrock, padded', l1.configUpdate(1, 0n, scalar(0, 5n, 7n)), {}],
    ['gas limit', l1.configUpdate(2, 60_000_000n), { gasLimit: 60_000_000n }],
    ['unsafe signer', l1.configUpdate(3, ADDRESS), {}],
    ['EIP-1559 parameters', l1.configUpdate(4, (8n << 32n) | 2n), { eip1559Denominator: 8n, eip1559Elasticity: 2n }],
    ['operator fee', l1.configUpdate(5, (9n << 64n) | 3n), { operatorFeeScalar: 9n, operatorFeeConstant: 3n }],
    ['least base fee', l1.configUpdate(6, 1_000n), { minBaseFee: 1_000n }],
    ['DA footprint', l1.configUpdate(7, 0xffffn), { daFootprintGasScalar: 0xffffn }],
  ])('of the %s', (_, log, value) => {
    expect(read(log)).toEqual({ ok: true, value });
  });

  it.each([
    ['another type', l1.configUpdate(8, 1n)],
    [
      'a type above 2^53',
      {
        ...l1.configUpdate(0, ADDRESS),
        topics: [...l1.configUpdate(0, ADDRESS).topics.slice(0, 2), `0x01${'00'.repeat(31)}` as const],
      },
    ],
    [
      'another version',
      {
        ...l1.configUpdate(2, 1n),
        topics: [l1.configUpdate(2, 1n).topics[0]!, `0x${'01'.repeat(32)}` as const, l1.configUpdate(2, 1n).topics[2]!],
      },
    ],
    ['too few topics', { ...l1.configUpdate(2, 1n), topics: l1.configUpdate(2, 1n).topics.slice(0, 2) }],
    [
      'another event',
      {
        ...l1.configUpdate(2, 1n),
        topics: [`0x${'00'.repeat(32)}` as const, ...l1.configUpdate(2, 1n).topics.slice(1)],
      },
    ],
    ['more data', l1.configUpdate(2, 1n, 2n)],
    ['less data', l1.configUpdate(1, 1n)],
    ['an address too large', l1.configUpdate(0, 1n << 160n)],
    ['a gas limit too large', l1.configUpdate(2, 1n << 64n)],
    ['one EIP-1559 parameter', l1.configUpdate(4, 8n << 32n)],
    ['a least base fee too large', l1.configUpdate(6, 1n << 64n)],
    ['a DA footprint too large', l1.configUpdate(7, 1n << 16n)],
  ])('of %s is none', (_, log) => {
    expect(read(log).ok).toBe(false);
  });
});

it('a ConfigUpdate of whatever bytes is read or refused', () => {
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
  const type = fc.nat(9).map((value) => fromHex(`0x${value.toString(16).padStart(64, '0')}`));
  const [event, version] = l1Topics();
  fc.assert(
    fc.property(type, bytes(200), fc.array(bytes(40), { maxLength: 4 }), (kind, data, topics) => {
      for (const all of [topics, [event!, version!, kind]])
        expect(configUpdate({ topics: all, data })).toHaveProperty('ok');
    }),
  );
});

it('a SystemConfig comes back from the disk as it was', () => {
  const numbers = ['baseFeeScalar', 'blobBaseFeeScalar', 'gasLimit', 'eip1559Denominator', 'eip1559Elasticity'];
  const more = ['operatorFeeScalar', 'operatorFeeConstant', 'minBaseFee', 'daFootprintGasScalar'];
  const fields = [...numbers, ...more].map((name, at) => [name, BigInt(at) * 3n]);
  const config = { batcher: ADDRESS, ...Object.fromEntries(fields) };
  expect(decodeSystemConfig(encodeSystemConfig(config))).toEqual(config);
});

describe('changes on L1', () => {
  let l1: FakeL1;
  beforeEach(async () => {
    l1 = await startL1();
    open.push({ close: () => l1.stop() });
  });

  it('hold from the first block of their origin on; what cannot be read changes nothing, and is told of', async () => {
    const directory = temporaryDirectory();
    const following = await follow(l1, { directory });
    const { order, anchor, log } = following;
    const client = opClient();
    const engine = await startOp(client, { order });
    await order.final([transfer(0, 25_000_000n)]);
    const elsewhere = { ...l1.configUpdate(2, 1n), address: l1.portal };
    const first = [l1.configUpdate(2, 40_000_000n), l1.configUpdate(0, ADDRESS), elsewhere, l1.configUpdate(9, 1n)];
    anchor(l1.mine([first, [l1.configUpdate(4, (8n << 32n) | 2n), l1.configUpdate(2, 22_000_000n)]]));
    // Of the new limit a transaction may ask for 21 million.
    const [fits, tooMuch] = [transfer(1, 21_000_000n), transfer(2, 21_000_001n)];
    await order.final([fits, tooMuch], [transfer(2)], []);
    await engine.followed();
    const asked = begun(engine);
    expect(asked.map(({ gasLimit }) => Number(gasLimit))).toEqual([30_000_000, 22_000_000, 22_000_000]);
    expect(asked.map(({ eip1559Params }) => eip1559Params)).toEqual([
      '0x0000000000000000',
      '0x0000000800000002',
      '0x0000000800000002',
    ]);
    expect(asked.map((each) => toHex(attributesOf(each).attributes.batcherHash).slice(-40))).toEqual([
      '22'.repeat(20),
      'ba'.repeat(20),
      'ba'.repeat(20),
    ]);
    expect(asked[1].transactions.slice(1)).toEqual([toHex(fits)]);
    expect(order.executor.refusal(tooMuch)).toMatchObject({ code: 'GAS_LIMIT' });
    expect(log.filter((line) => line.includes('changes nothing'))).toHaveLength(1);
    expect(client.violations).toEqual([]);
    await engine.close();
    await following.close();
    // After a restart the last one's config is there without L1.
    const again = await follow(l1, { directory });
    open.push(again);
    const { config } = again.order.executor.blockAt(3)!.place;
    expect([toHex(config.batcher), config.gasLimit]).toEqual([toHex(ADDRESS), 22_000_000n]);
    expect(again.order.executor.refusal(tooMuch)).toMatchObject({ code: 'GAS_LIMIT' });
  });
});

describe('Jovian', () => {
  const jovian = { jovianTime: 0, minBaseFee: 77 };

  it('has attributes of its own, and a least base fee', async () => {
    const changes = { op: { ...opFile().op!, ...jovian } };
    const engine = await startOp(opClient({ fork: 'jovian' }), { changes });
    open.push(engine);
    await engine.order.final([transfer(0)], []);
    await engine.followed();
    const [asked] = begun(engine);
    expect(asked.minBaseFee).toBe(77);
    expect(attributesOf(asked)).toMatchObject({
      form: 'jovian',
      attributes: { daFootprintGasScalar: 400n, operatorFeeScalar: 12n },
    });
    const extraData = toHex(engine.client.canonical(1)!.block.header.extraData);
    expect(extraData).toBe('0x01000000fa00000006000000000000004d');
    expect(engine.client.violations).toEqual([]);
  });

  it('has a least base fee with all its digits', async () => {
    const { attributes } = opStack(opFile({ op: { ...opFile().op!, ...jovian } }));
    const rollup = await openRollup(opFile({ op: { ...opFile().op!, ...jovian } }), temporaryDirectory());
    open.push(rollup.derivation);
    const { place, ...block } = new Order(rollup).executor.blockAt(0)!;
    const config = { ...place.config, minBaseFee: 2n ** 64n - 1n };
    expect(JSON.stringify(await attributes({ ...block, place: { ...place, config } }))).toContain(
      '"minBaseFee":18446744073709551615}',
    );
  });

  it('ends a block where its transactions’ bytes, 100 each at least, come to its gas limit by the scalar', async () => {
    const raw = transfer(0);
    const counts = async (scalar: number, ...transactions: Uint8Array[]) => {
      const op = { ...opFile().op!, ...jovian, daFootprintGasScalar: scalar };
      const rollup = await openRollup(opFile({ op, gasLimit: 2_000_000 }), temporaryDirectory());
      open.push(rollup.derivation);
      const order = new Order(rollup);
      await order.final(transactions, []);
      const numbers = Array.from({ length: order.executor.head.number }, (_, index) => index + 1);
      return numbers.map((number) => order.executor.blockAt(number)!.transactions.length);
    };
    expect(raw.length).toBeGreaterThan(100);
    const short = sign(CHAIN, 0, { nonce: 0, gasLimit: 60_000n });
    expect(short.length).toBeLessThan(100);
    expect(await counts(2_000_000 / 200, short, short, short)).toEqual([2, 1]);
    expect(await counts(2_000_000 / 200 + 1, short, short, short)).toEqual([1, 1, 1]);
    const three = Math.floor(2_000_000 / (3 * raw.length));
    expect(await counts(three, raw, raw, raw, raw)).toEqual([3, 1]);
    expect(await counts(three + 1, raw, raw, raw, raw)).toEqual([2, 2]);
    // One that is too large by itself is left out.
    const one = Math.floor(2_000_000 / raw.length);
    expect(await counts(one, raw, raw)).toEqual([1, 1]);
    expect(await counts(one + 1, raw, raw)).toEqual([]);
  });

  it('takes a change of the scalar from L1', async () => {
    const l1 = await startL1();
    open.push({ close: () => l1.stop() });
    const following = await follow(l1, { file: followingFile(l1, {}, jovian) });
    open.push(following);
    following.anchor(l1.mine([[l1.configUpdate(7, 0xffffn), l1.configUpdate(6, 5n)]]));
    const many = Array.from({ length: 9 }, (_, nonce) => transfer(nonce));
    await following.order.final(many, []);
    const { transactions, place } = following.order.executor.blockAt(1)!;
    expect(transactions.length).toBe(Math.floor(30_000_000 / (0xffff * many[0]!.length)));
    expect(place.config).toMatchObject({ daFootprintGasScalar: 0xffffn, minBaseFee: 5n });
  });
});

describe('the rollup file', () => {
  const { op } = opFile();
  const l1 = { chainId: 1, depositContract: `0x${'d0'.repeat(20)}`, systemConfig: `0x${'5c'.repeat(20)}` };
  const fault = (changes: object) => {
    const parsed = parseRollupFile({ ...opFile(), op: { ...op, ...changes } });
    return parsed.ok ? undefined : parsed.error.message;
  };

  it('may say when Jovian begins: with genesis, and no later', () => {
    const genesis = Math.floor(opFile().genesisTimeMs / 1000);
    expect(fault({ jovianTime: genesis, minBaseFee: 1, daFootprintGasScalar: 1 })).toBeUndefined();
    expect(fault({ jovianTime: genesis + 1 })).toContain('jovianTime after genesis');
    expect(fault({ minBaseFee: 1 })).toContain('of Jovian');
    expect(fault({ daFootprintGasScalar: 1 })).toContain('of Jovian');
    expect(fault({ jovianTime: 0, daFootprintGasScalar: 0x10000 })).toContain('daFootprintGasScalar');
  });

  it('may say which L1 the chain follows, with its blob schedule', () => {
    const entry = (time: number) => ({ time, baseFeeUpdateFraction: 1 });
    const entries = (count: number) => Array.from({ length: count }, (_, time) => entry(time));
    expect(fault({ l1 })).toBeUndefined();
    expect(fault({ l1: { ...l1, chainId: 0 } })).toContain('chainId');
    expect(fault({ l1: { ...l1, blobSchedule: entries(MAX_BLOB_SCHEDULE_ENTRIES) } })).toBeUndefined();
    expect(fault({ l1: { ...l1, blobSchedule: entries(MAX_BLOB_SCHEDULE_ENTRIES + 1) } })).toContain('blobSchedule');
    expect(fault({ l1: { ...l1, blobSchedule: [entry(0), entry(5), entry(5)] } })).toContain('ascending');
    expect(fault({ l1: { ...l1, blobSchedule: [entry(1)] } })).toContain('begin at time 0');
  });
});
