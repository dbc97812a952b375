/** Station 2: which transactions are let in, and what the others are told. Transactions are signed by viem. */

import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { silentLogger } from '@squad/service';
import { concatBytes, type GenesisRollup, MAX_TRANSACTION_BYTES, toHex } from '@squad/types';
import { keccak256 } from 'viem';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { admitEvm } from '../src/admission/admit-evm.ts';
import { EvmPool } from '../src/admission/evm-pool.ts';
import {
  type Admission,
  chainIdOf,
  createAdmission,
  MAX_INIT_CODE_BYTES,
  MAX_INLINE_PER_TURN,
  MAX_WORKER_DEATHS,
  OSAKA_MAX_TRANSACTION_GAS,
  type Rejection,
  refused,
} from '../src/admission/index.ts';
import {
  accessList,
  account,
  CHAIN_ID,
  encodeFields,
  type Fields,
  feeMarket,
  fieldsOf,
  legacy,
  setCode,
  TO,
} from './admission-support.ts';

const rules = { osaka: false };
const evm: GenesisRollup = { rollupId: CHAIN_ID, kind: 'evm' };
const opaque: GenesisRollup = { rollupId: 7, kind: 'opaque' };
const admit = (raw: Uint8Array, osaka = false) => admitEvm(CHAIN_ID, raw, { osaka });
const rejection = (raw: Uint8Array, osaka = false): Rejection => {
  const outcome = admit(raw, osaka);
  if (outcome.ok) throw new Error('it was admitted');
  return outcome.error;
};
const sender = account.address.toLowerCase();

describe('transactions that are let in', () => {
  it.each([
    ['legacy with EIP-155', () => legacy()],
    ['legacy that creates a contract', () => legacy({ to: undefined, data: '0x6000', gas: 100_000n })],
    [
      'with an access list (EIP-2930)',
      () => accessList({ accessList: [{ address: TO, storageKeys: [`0x${'01'.repeat(32)}`] }] }),
    ],
    ['with a fee market (EIP-1559)', () => feeMarket()],
    ['with data', () => feeMarket({ data: `0x${'ab'.repeat(1_000)}`, gas: 100_000n })],
    ['with set code (EIP-7702)', () => setCode()],
    ['with a large nonce', () => feeMarket({ nonce: Number.MAX_SAFE_INTEGER })],
    ['without value or fee', () => feeMarket({ value: 0n, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n })],
  ])('%s: hash and sender are right', async (_what, make) => {
    const raw = await make();
    const outcome = admit(raw);
    if (!outcome.ok) throw new Error(outcome.error.message);
    expect(toHex(outcome.value.hash)).toBe(keccak256(raw));
    expect(toHex(outcome.value.sender)).toBe(sender);
    expect(chainIdOf(raw)).toEqual({ ok: true, value: CHAIN_ID });
  });

  it('tells the nonce', async () => {
    expect(admit(await feeMarket({ nonce: 77 }))).toMatchObject({ value: { nonce: 77n } });
  });
});

describe('transactions that are refused', () => {
  const cases: readonly (readonly [what: string, make: () => Promise<Uint8Array>, code: string, words: RegExp])[] = [
    ['of another chain', () => feeMarket({ chainId: 902 }), 'WRONG_CHAIN', /have 902 want 901/],
    ['legacy of another chain', () => legacy({ chainId: 1 }), 'WRONG_CHAIN', /have 1 want 901/],
    ['legacy without EIP-155', () => legacy({ chainId: undefined }), 'NOT_REPLAY_PROTECTED', /replay-protected/],
    ['with too little gas', () => feeMarket({ gas: 20_999n }), 'GAS_TOO_LOW', /gas 20999, minimum needed 21000/],
    [
      'with too much priority',
      () => feeMarket({ maxFeePerGas: 1n, maxPriorityFeePerGas: 1n }).then((raw) => withField(2, raw, 2, [2])),
      'FEE_INVALID',
      /2 > 1/,
    ],
    [
      'with a gas limit and price beyond 2^256',
      () => feeMarket({ gas: 100_000n, maxFeePerGas: 2n ** 240n, maxPriorityFeePerGas: 1n }),
      'FEE_INVALID',
      /above 2\^256-1/,
    ],
    ['with blobs', async () => Uint8Array.of(3, 0xc0), 'TRANSACTION_TYPE_NOT_SUPPORTED', /blob/],
    ['of type 5', async () => Uint8Array.of(5, 0xc0), 'TRANSACTION_TYPE_NOT_SUPPORTED', /5/],
    ['of type 0', async () => Uint8Array.of(0, 0xc0), 'TRANSACTION_TYPE_NOT_SUPPORTED', /0/],
    ['of type 127', async () => Uint8Array.of(127, 0xc0), 'TRANSACTION_TYPE_NOT_SUPPORTED', /127/],
  ];
  it.each(cases)('%s', async (_what, make, code, words) => {
    const refused = rejection(await make());
    expect(refused).toMatchObject({ code, rpcCode: -32_000, message: expect.stringMatching(words) });
    expect(refused.remedy).not.toBe('');
  });

  it('at one gas below what calldata, creation, access lists and authorizations cost, and not at that gas', async () => {
    const nonzero = (bytes: number) => `0x${'ff'.repeat(bytes)}` as const;
    const keys = [`0x${'01'.repeat(32)}`, `0x${'02'.repeat(32)}`];
    const cases: [make: (gas: bigint) => Promise<Uint8Array>, cost: number][] = [
      // EIP-7623: 40 for a byte that is not zero, 10 for one that is; more than the 16 and 4 of the older rule.
      [(gas) => feeMarket({ gas, data: nonzero(100) }), 21_000 + 100 * 40],
      [(gas) => feeMarket({ gas, data: `0x${'00'.repeat(100)}` }), 21_000 + 100 * 10],
      // Creation with one word of init code.
      [(gas) => feeMarket({ gas, to: undefined, data: nonzero(32) }), 21_000 + 32 * 16 + 32_000 + 2],
      [(gas) => feeMarket({ gas, to: undefined, data: nonzero(33) }), 21_000 + 33 * 16 + 32_000 + 4],
      [(gas) => accessList({ gas, accessList: [{ address: TO, storageKeys: keys }] }), 21_000 + 2_400 + 2 * 1_900],
      [(gas) => setCode({ gas }), 21_000 + 25_000],
    ];
    for (const [make, cost] of cases) {
      expect(rejection(await make(BigInt(cost - 1)))).toMatchObject({
        code: 'GAS_TOO_LOW',
        message: expect.stringContaining(String(cost)),
      });
      expect(admit(await make(BigInt(cost))).ok).toBe(true);
    }
  });

  it('one gas above the cap of EIP-7825, if the rollups run Osaka', async () => {
    const [at, above] = [
      await feeMarket({ gas: OSAKA_MAX_TRANSACTION_GAS }),
      await feeMarket({ gas: OSAKA_MAX_TRANSACTION_GAS + 1n }),
    ];
    expect([admit(at, true).ok, admit(above, false).ok]).toEqual([true, true]);
    expect(rejection(above, true)).toMatchObject({
      code: 'GAS_TOO_HIGH',
      message: expect.stringContaining('16777216'),
    });
  });

  it('one byte above the init code limit of EIP-3860; data of a call may be larger', async () => {
    const creation = (bytes: number) => feeMarket({ to: undefined, gas: 10_000_000n, data: `0x${'00'.repeat(bytes)}` });
    expect(admit(await creation(MAX_INIT_CODE_BYTES)).ok).toBe(true);
    expect(rejection(await creation(MAX_INIT_CODE_BYTES + 1))).toMatchObject({ code: 'INIT_CODE_TOO_LARGE' });
    const call = await feeMarket({ gas: 10_000_000n, data: `0x${'00'.repeat(MAX_INIT_CODE_BYTES + 1)}` });
    expect(admit(call).ok).toBe(true);
  });

  it('with the other, higher s that is as valid on the curve', async () => {
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const fields = fieldsOf(await feeMarket());
    const s = BigInt(toHex(fields[11] as Uint8Array));
    const parity = (fields[9] as Uint8Array).length === 0 ? [1] : [];
    fields[9] = Uint8Array.from(parity);
    fields[11] = bytesOf(order - s);
    expect(rejection(encodeFields(2, fields))).toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  it.each([
    ['y parity 2', 9, [2]],
    ['r = 0', 10, []],
    ['s = 0', 11, []],
    ['r = the order', 10, [...bytesOf(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n)]],
    ['s = the order', 11, [...bytesOf(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n)]],
    ['r beyond the field', 10, Array(32).fill(255)],
    ['s beyond the order', 11, Array(32).fill(255)],
  ])('with a signature where %s', async (_what, index, bytes) => {
    expect(rejection(withField(2, await feeMarket(), index, bytes))).toMatchObject({
      code: 'SIGNATURE_INVALID',
      rpcCode: -32_000,
    });
  });

  it('by another sender, when any signed field was changed', async () => {
    const raw = await feeMarket({ value: 255n });
    for (const [index, bytes] of [
      [1, [9]],
      [4, [0x52, 0x09]],
      [5, Array(20).fill(9)],
      [6, [9]],
    ] as const) {
      const outcome = admit(withField(2, raw, index, [...bytes]));
      if (outcome.ok) expect(toHex(outcome.value.sender)).not.toBe(sender);
      else expect(outcome.error.code).toBe('SIGNATURE_INVALID');
    }
  });
});

describe('bytes that are no transaction', () => {
  it('are refused as such, whatever is wrong with them: 64 and more ways', async () => {
    const raw = await feeMarket();
    const old = await legacy();
    const fields = fieldsOf(raw);
    const cases: [what: string, bytes: Uint8Array][] = [];
    const typed = (what: string, index: number, value: Fields[number]) => {
      cases.push([
        `${what} in field ${index}`,
        encodeFields(
          2,
          fields.map((field, i) => (i === index ? value : field)),
        ),
      ]);
    };
    // Every byte string where a list belongs, and every list where bytes belong.
    for (let index = 0; index < 12; index++) typed('the other kind', index, index === 8 ? Uint8Array.of(1) : []);
    // Integers with a leading zero, and longer than they may be.
    for (const index of [0, 1, 2, 3, 4, 6, 9, 10, 11]) {
      typed('a leading zero', index, Uint8Array.of(0, 1));
      typed('a zero byte', index, Uint8Array.of(0));
      typed('33 bytes', index, new Uint8Array(33).fill(1));
    }
    for (const length of [1, 19, 21, 32]) typed(`an address of ${length} bytes`, 5, new Uint8Array(length).fill(1));
    typed('a nonce of 2^64-1', 1, new Uint8Array(8).fill(255));
    typed('a chain id of 2^53', 0, Uint8Array.of(0x20, 0, 0, 0, 0, 0, 0));
    const entries: [string, Fields][] = [
      ['no entry list', [Uint8Array.of(1)]],
      ['an empty entry', [[]]],
      ['no keys', [[new Uint8Array(20)]]],
      ['a short address', [[new Uint8Array(19), []]]],
      ['a short key', [[new Uint8Array(20), [new Uint8Array(31)]]]],
      ['a key that is a list', [[new Uint8Array(20), [[]]]]],
      ['too much in an entry', [[new Uint8Array(20), [], []]]],
    ];
    for (const [what, list] of entries) typed(what, 8, list);
    cases.push(['a field less', encodeFields(2, fields.slice(0, 11))]);
    cases.push(['a field more', encodeFields(2, [...fields, Uint8Array.of(1)])]);
    cases.push(['no fields', encodeFields(2, [])]);
    cases.push(['a byte after the end', concatBytes(raw, Uint8Array.of(0))]);
    cases.push(['the transaction twice', concatBytes(raw, raw)]);
    cases.push(['a type and nothing', Uint8Array.of(2)]);
    cases.push(['a byte string of it', concatBytes(Uint8Array.of(0xb8, raw.length), raw)]);
    for (const first of [0x80, 0x81, 0xb7, 0xb8, 0xbf]) cases.push([`first byte ${first}`, Uint8Array.of(first, 1, 2)]);
    for (const [what, header] of [
      ['a long list of short length', [2, 0xf8, 5]],
      ['a length with a leading zero', [2, 0xf9, 0, 0x70]],
      ['a length of 8 bytes', [2, 0xff, 255, 255, 255, 255, 255, 255, 255, 255]],
      ['a length of 4 GiB', [2, 0xfb, 255, 255, 255, 255]],
      ['a length that is cut off', [2, 0xf9, 1]],
    ] as const) {
      cases.push([what, concatBytes(Uint8Array.from(header), raw.subarray(3))]);
    }
    cases.push(['nonce 5 with a prefix', concatBytes(Uint8Array.of(2, 0xc2, 0x81, 5))]);
    cases.push(['a legacy field less', encodeFields(undefined, fieldsOf(old).slice(0, 8))]);
    cases.push(['a legacy field more', encodeFields(undefined, [...fieldsOf(old), Uint8Array.of(1)])]);
    cases.push(['legacy with type 1', concatBytes(Uint8Array.of(1), old)]);
    const code = fieldsOf(await setCode());
    const withAuthorizations = (list: Fields) =>
      encodeFields(
        4,
        code.map((field, i) => (i === 9 ? list : field)),
      );
    cases.push(['no authorization', withAuthorizations([])]);
    cases.push(['an authorization that is empty', withAuthorizations([[]])]);
    cases.push([
      'an authorization with a field more',
      withAuthorizations([[...((code[9] as Fields)[0] as Fields), Uint8Array.of(1)]]),
    ]);
    cases.push([
      'set code that creates',
      encodeFields(
        4,
        code.map((field, i) => (i === 5 ? new Uint8Array(0) : field)),
      ),
    ]);
    expect(cases.length).toBeGreaterThanOrEqual(64);
    for (const [what, bytes] of cases) {
      expect([what, rejection(bytes).code]).toEqual([what, 'TRANSACTION_MALFORMED']);
      expect(rejection(bytes).rpcCode).toBe(-32_602);
    }
  });

  it('cut short anywhere, or with any bit flipped, never pass as what they were', async () => {
    for (const raw of [await feeMarket(), await legacy(), await accessList(), await setCode()]) {
      for (let end = 0; end < raw.length; end++) expect(admit(raw.subarray(0, end)).ok).toBe(false);
      for (let bit = 0; bit < raw.length * 8; bit += 3) {
        const flipped = raw.slice();
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        const outcome = admit(flipped);
        if (outcome.ok) expect(toHex(outcome.value.sender)).not.toBe(sender);
      }
    }
  });

  it('that are random never make it throw', () => {
    let state = 12_345;
    const next = () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 16;
    };
    for (let i = 0; i < 5_000; i++) {
      const bytes = Uint8Array.from({ length: next() % 200 }, () => next() & 0xff);
      if (i % 2 === 0 && bytes.length > 2) bytes.set([[1, 2, 4, 0xf8][next() % 4]!, 0xf8, bytes.length - 3], 0);
      expect(admit(bytes).ok).toBe(false);
    }
  });

  it('nested 40,000 lists deep are refused at once', () => {
    // Each level needs its length: a reader that recursed or copied would need gigabytes.
    let depth: Uint8Array = new Uint8Array(0);
    const parts: Uint8Array[] = [];
    for (let length = 0; length < 120_000; ) {
      const header =
        length <= 55
          ? Uint8Array.of(0xc0 + length)
          : Uint8Array.of(0xfa, length >> 16, (length >> 8) & 255, length & 255);
      parts.push(header);
      length += header.length;
    }
    depth = concatBytes(...parts.reverse());
    const started = performance.now();
    for (let i = 0; i < 100; i++) rejection(concatBytes(Uint8Array.of(2), depth));
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});

describe('admission', () => {
  let admission: Admission | undefined;
  afterEach(async () => {
    await admission?.close();
    admission = undefined;
  });
  const start = (options: Partial<Parameters<typeof createAdmission>[0]> = {}) => {
    admission = createAdmission({ logger: silentLogger, ...options });
    return admission;
  };

  it('lets any bytes of an opaque rollup in, from one to the limit and no more', async () => {
    const at = new Uint8Array(MAX_TRANSACTION_BYTES);
    const outcomes = await start().admit(opaque, [
      Uint8Array.of(0),
      at,
      new Uint8Array(0),
      new Uint8Array(MAX_TRANSACTION_BYTES + 1),
    ]);
    expect(outcomes).toMatchObject([
      { ok: true, value: { hash: keccak256(Uint8Array.of(0)), evm: undefined } },
      { ok: true, value: { hash: keccak256(at) } },
      { ok: false, error: { code: 'TRANSACTION_EMPTY' } },
      { ok: false, error: { code: 'TRANSACTION_TOO_LARGE', message: expect.stringContaining('131072') } },
    ]);
  });

  it('measures EVM transactions too, before anything else', async () => {
    const outcomes = await start().admit(evm, [new Uint8Array(0), new Uint8Array(MAX_TRANSACTION_BYTES + 1)]);
    expect(outcomes).toMatchObject([
      { error: { code: 'TRANSACTION_EMPTY' } },
      { error: { code: 'TRANSACTION_TOO_LARGE' } },
    ]);
    expect(await start().admit(evm, [])).toEqual([]);
  });

  it('gives outcomes in order, mixed as they are', async () => {
    const good = await feeMarket();
    const outcomes = await start().admit(evm, [good, Uint8Array.of(1), await feeMarket({ chainId: 5 }), good]);
    expect(outcomes.map((outcome) => (outcome.ok ? outcome.value.hash : outcome.error.code))).toEqual([
      keccak256(good),
      'TRANSACTION_MALFORMED',
      'WRONG_CHAIN',
      keccak256(good),
    ]);
  });
});

describe('a rollup’s policy', () => {
  const start = (options: Partial<Parameters<typeof createAdmission>[0]> = {}) =>
    createAdmission({ logger: silentLogger, threads: 0, ...options });

  it('from the genesis file: the largest transaction, and the lowest fee', async () => {
    const admission = start();
    const bytes = new Uint8Array(65).fill(1);
    expect(await admission.admit({ ...opaque, maxTransactionBytes: 64 }, [bytes.subarray(1), bytes])).toMatchObject([
      { ok: true },
      {
        ok: false,
        error: { code: 'TRANSACTION_TOO_LARGE', message: expect.stringContaining('limit 64'), byPolicy: true },
      },
    ]);
    const asks = { ...evm, minFeePerGas: 1_000 };
    const fee = (maxFeePerGas: bigint) => feeMarket({ maxFeePerGas, maxPriorityFeePerGas: 0n });
    const offers = [
      await fee(1_000n),
      await fee(999n),
      await legacy({ gasPrice: 999n }),
      await legacy({ gasPrice: 2n ** 200n }),
    ];
    expect(await admission.admit(asks, offers)).toMatchObject([
      { ok: true, value: { evm: { maxFeePerGas: 1_000n } } },
      { ok: false, error: { code: 'FEE_TOO_LOW', remedy: expect.stringContaining('1000 wei') } },
      { ok: false, error: { code: 'FEE_TOO_LOW' } },
      { ok: true, value: { evm: { maxFeePerGas: 2n ** 200n } } },
    ]);
  });

  it('is asked for what passed all else, and is the rollup’s own alone', async () => {
    const asked: string[] = [];
    const admission = start({
      policyOf: ({ rollupId }) =>
        rollupId !== opaque.rollupId
          ? undefined
          : {
              refusal: (raw, { hash }) => {
                asked.push(hash);
                return raw[0] === 2 ? refused('FEE_TOO_LOW', 'begins with 2', 'begin with another byte') : undefined;
              },
            },
    });
    const outcomes = await admission.admit(opaque, [new Uint8Array(0), Uint8Array.of(1), Uint8Array.of(2)]);
    expect(outcomes).toMatchObject([
      { error: { code: 'TRANSACTION_EMPTY' } },
      { ok: true },
      { error: { message: 'begins with 2' } },
    ]);
    expect(asked).toHaveLength(2);
    expect(await admission.admit({ ...opaque, rollupId: 8 }, [Uint8Array.of(2)])).toMatchObject([{ ok: true }]);
  });
});

describe('the pool of workers', () => {
  const pools: EvmPool[] = [];
  afterAll(() => Promise.all(pools.map((pool) => pool.close())));
  const start = (options: Partial<ConstructorParameters<typeof EvmPool>[0]> = {}) => {
    const where = { inline: 0, worker: 0 };
    const pool = new EvmPool({
      rules,
      logger: silentLogger,
      threads: 2,
      onChecked: (place, transactions) => {
        where[place] += transactions;
      },
      ...options,
    });
    pools.push(pool);
    return { pool, where };
  };
  /** Gives the pool work for more and more threads until so many are loaded, and the machine room to load them. */
  const loaded = async (pool: EvmPool, threads: number) => {
    const raw = await many(40);
    while (pool.readyThreads < threads) {
      await pool.check(CHAIN_ID, raw);
      await sleep(20);
    }
  };
  const many = async (count: number) => Promise.all(Array.from({ length: count }, (_, nonce) => feeMarket({ nonce })));

  it('checks in workers as it does in place, broken ones included', async () => {
    const raw = [
      ...(await many(100)),
      Uint8Array.of(2, 0xc0),
      await legacy(),
      await setCode(),
      await feeMarket({ chainId: 3 }),
    ];
    const { pool, where } = start();
    const expected = raw.map((bytes) => admit(bytes));
    // Until a worker is loaded all is checked in place.
    expect(await pool.check(CHAIN_ID, raw)).toEqual(expected);
    await loaded(pool, 1);
    const before = { ...where };
    expect(await pool.check(CHAIN_ID, raw)).toEqual(expected);
    expect(where).toEqual({ inline: before.inline, worker: before.worker + raw.length });
    expect(pool.waiting).toBe(0);
  });

  it('checks few in place, without a worker', async () => {
    const { pool, where } = start();
    await pool.check(CHAIN_ID, await many(3));
    expect(where).toEqual({ inline: 3, worker: 0 });
  });

  it('settles a rollup’s calls in the order in which they came, whoever was faster', async () => {
    const { pool } = start();
    const raw = await many(100);
    await loaded(pool, 2);
    const order: number[] = [];
    // Slow ones, whose senders are recovered, and quick ones, which are of another chain: different threads have them.
    const calls = Array.from({ length: 20 }, (_, i) =>
      pool.check(i % 2 === 0 ? CHAIN_ID : 902, raw.slice(0, 100 - i)).then(() => order.push(i)),
    );
    await Promise.all(calls);
    for (const rollup of [0, 1]) {
      const own = order.filter((i) => i % 2 === rollup);
      expect(own).toEqual([...own].sort((a, b) => a - b));
    }
  });

  it('lets a rollup wait for no more than a turn of another one that floods', async () => {
    const { pool } = start({ threads: 0 });
    const order: number[] = [];
    const flood = (await many(100)).map((raw) => pool.check(CHAIN_ID, [raw]).then(() => order.push(CHAIN_ID)));
    const light = pool.check(902, [await feeMarket({ chainId: 902 })]).then(() => order.push(902));
    await Promise.all([...flood, light]);
    expect(order.indexOf(902)).toBeLessThan(MAX_INLINE_PER_TURN);
  });

  it('refuses a rollup that floods what it has beyond its share, and nothing of another one', async () => {
    const { pool } = start({ maxWaiting: 20, threads: 0 });
    const flood = pool.check(CHAIN_ID, await many(30));
    const light = pool.check(902, [await feeMarket({ chainId: 902 })]);
    expect((await flood).filter(({ ok }) => ok)).toHaveLength(10);
    expect(await light).toMatchObject([{ ok: true }]);
  });

  it('loses nothing when workers die, and does without them when they keep dying', async () => {
    let started = 0;
    const { pool, where } = start({
      threads: 1,
      startWorker: () => {
        started++;
        const dying =
          "const { parentPort } = require('node:worker_threads'); parentPort.on('message', () => process.exit(1)); parentPort.postMessage('ready');";
        return new Worker(dying, { eval: true });
      },
    });
    const raw = await many(50);
    const expected = raw.map((bytes) => admit(bytes));
    let rounds = 0;
    while (started < MAX_WORKER_DEATHS || pool.readyThreads > 0) {
      expect(await pool.check(CHAIN_ID, raw)).toEqual(expected);
      expect(++rounds).toBeLessThan(1_000);
    }
    expect(await pool.check(CHAIN_ID, raw)).toEqual(expected);
    expect([started, where.worker]).toEqual([MAX_WORKER_DEATHS, 0]);
  });

  it('refuses what is beyond its queue, and takes more once there is room', async () => {
    const { pool } = start({ maxWaiting: 20, threads: 0 });
    const raw = await many(11);
    const outcomes = await pool.check(CHAIN_ID, raw);
    expect(outcomes.slice(0, 10).every(({ ok }) => ok)).toBe(true);
    expect(outcomes[10]).toMatchObject({
      ok: false,
      error: { code: 'ADMISSION_BUSY', rpcCode: -32_005, retryAfterMs: 250 },
    });
    expect((await pool.check(CHAIN_ID, raw.slice(10)))[0]).toMatchObject({ ok: true });
  });

  it('answers what still waits when it is closed, and all that comes later', async () => {
    const { pool } = start();
    const waiting = pool.check(CHAIN_ID, await many(50));
    await pool.close();
    expect((await waiting).at(-1)).toMatchObject({ ok: false, error: { code: 'ADMISSION_BUSY' } });
    expect(await pool.check(CHAIN_ID, [await feeMarket()])).toMatchObject([
      { ok: false, error: { code: 'ADMISSION_BUSY' } },
    ]);
  });
});

function bytesOf(value: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
}

/** The transaction with one field's bytes replaced. */
function withField(type: number, raw: Uint8Array, index: number, bytes: readonly number[]): Uint8Array {
  const fields = fieldsOf(raw);
  fields[index] = Uint8Array.from(bytes);
  return encodeFields(type, fields);
}
