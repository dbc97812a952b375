/** What the engine driver does about a client that is away, confused, or of another opinion. */

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { Hex } from '@squad/types';
import { afterEach, describe, expect, it } from 'vitest';
import { MAX_BUILD_ATTEMPTS, MAX_FORKCHOICE_REFUSALS } from '../src/engine/limits.ts';
import type { Answer, Call } from '../src/testing/engine/index.ts';
import { builderOf, type Engine, type EngineTest, startEngine } from './support/engine.ts';

const engines: Engine[] = [];
afterEach(async () => {
  for (const { close } of engines.splice(0)) await close();
});

async function start(test: EngineTest = {}): Promise<Engine> {
  const engine = await startEngine(test);
  engines.push(engine);
  return engine;
}

/** Answers so to the first calls of the method. */
function times(count: number, method: string, answer: Answer) {
  let left = count;
  return (call: Call): Answer | undefined => (call.method === method && left-- > 0 ? answer : undefined);
}

const NEW_PAYLOAD = 'engine_newPayloadV4';
const FORKCHOICE = 'engine_forkchoiceUpdatedV3';
const status = (name: string, latestValidHash: string | null = null, validationError: string | null = null) => ({
  status: name,
  latestValidHash,
  validationError,
});

const STRANGER = {
  number: '0x0',
  parentHash: `0x${'00'.repeat(32)}`,
  timestamp: '0x1',
  mixHash: `0x${'00'.repeat(32)}`,
  transactions: [],
};

describe('passes', () => {
  const answers: [string, Answer, string][] = [
    ['a connection that breaks', 'break', NEW_PAYLOAD],
    ['a proxy in trouble', { httpStatus: 502, text: '<html>bad gateway</html>' }, NEW_PAYLOAD],
    ['a server error', { error: { code: -32000, message: 'disk full' } }, NEW_PAYLOAD],
    ['an internal error', { error: { code: -32603, message: 'internal error' } }, FORKCHOICE],
    ['an answer of another form', { result: { status: 'GOOD' } }, NEW_PAYLOAD],
    ['SYNCING', { result: status('SYNCING') }, NEW_PAYLOAD],
    ['SYNCING of a head', { result: { payloadStatus: status('SYNCING'), payloadId: null } }, FORKCHOICE],
    ['-38002', { error: { code: -38002, message: 'Invalid forkchoice state' } }, FORKCHOICE],
    ['an unknown token', { httpStatus: 401, text: 'signature is invalid' }, 'engine_exchangeCapabilities'],
    ['trouble when asked for a block', { error: { code: -32000, message: 'busy' } }, 'eth_getBlockByNumber'],
  ];
  it.each(answers)('%s', async (_, answer, method) => {
    const engine = await start({
      prepare: async (server, chain) => {
        await chain.grow(3);
        server.intercept = times(3, method, answer);
      },
    });
    await engine.followed();
    expect(engine.server.headNumber).toBe(3);
    expect(engine.log.filter((line) => line.includes('trying again')).length).toBeGreaterThan(0);
    await engine.chain.grow(1);
    await engine.followed();
    expect(engine.server.violations).toEqual([]);
  });

  it('a client that does not answer', async () => {
    // Long enough for a busy machine to answer the second time.
    const engine = await start({ executeTimeoutMs: 1_500 });
    engine.server.intercept = times(1, NEW_PAYLOAD, 'silence');
    await engine.chain.grow(2);
    await engine.followed();
    expect(engine.log.join()).toContain('did not answer within 1500 ms');
  });

  it('ACCEPTED: the block is executed as the head', async () => {
    const engine = await start();
    engine.server.intercept = async (call) => {
      if (call.method !== NEW_PAYLOAD) return undefined;
      await engine.server.insertQuietly(call);
      return { result: status('ACCEPTED') };
    };
    await engine.chain.grow(2);
    await engine.followed();
    expect(engine.server.headNumber).toBe(2);
  });

  it('a client that is away for a while', async () => {
    const engine = await start();
    await engine.chain.grow(2);
    await engine.followed();
    await engine.server.stop();
    await engine.chain.grow(3);
    await engine.server.start();
    await engine.followed();
    expect(engine.server.headNumber).toBe(5);
  });

  it('a client that lost its newest blocks', async () => {
    const engine = await start();
    await engine.chain.grow(20);
    await engine.followed();
    engine.server.forgetAbove(4);
    await engine.chain.grow(1);
    await engine.followed();
    expect(engine.server.headNumber).toBe(21);
    expect(engine.server.violations).toEqual([]);
  });

  it('a client that knows blocks and lost their state in a crash: told of each, it executes them again', async () => {
    const engine = await start();
    const { server, chain } = engine;
    await chain.grow(3);
    await engine.followed();
    const stateless = new Set([1, 2, 3].map((number) => server.canonical(number)!.hash));
    server.head = server.safe = server.finalized = server.canonical(0)!.hash;
    server.intercept = ({ method, params: [first] }) => {
      const { blockHash, parentHash, headBlockHash } = (first ?? {}) as Record<string, Hex>;
      if (method === FORKCHOICE) stateless.delete(headBlockHash!);
      if (method !== NEW_PAYLOAD) return undefined;
      if (stateless.has(blockHash!)) return { result: status('VALID', blockHash) };
      return stateless.has(parentHash!) ? { result: status('ACCEPTED') } : undefined;
    };
    await chain.grow(1);
    await engine.followed();
    expect(server.headNumber).toBe(4);
  });

  it('a client that has a head, and not the blocks to build upon', async () => {
    const engine = await start();
    await engine.chain.grow(20);
    await engine.followed();
    // Until it is given what lies before block 12, it wants more.
    let mended = false;
    engine.server.intercept = (call) => {
      if (call.method !== NEW_PAYLOAD) return undefined;
      mended ||= Number(call.params[0].blockNumber) < 12;
      return mended ? undefined : { result: status('SYNCING') };
    };
    await engine.chain.grow(1);
    await engine.followed();
    expect(engine.server.headNumber).toBe(21);
  });

  it('a client that takes again what it has, and not the next: that is no progress', async () => {
    const engine = await start();
    const refusals = Promise.withResolvers<void>();
    let left = 4;
    engine.server.intercept = ({ method, params: [payload] }) => {
      if (left === 0 || method !== NEW_PAYLOAD || Number(payload.blockNumber) < 2) return undefined;
      if (--left === 0) refusals.resolve();
      return { result: status('SYNCING') };
    };
    await engine.chain.grow(3);
    await refusals.promise;
    await engine.followed();
    expect(engine.server.headNumber).toBe(3);
    const again = engine.log.filter((line) => line.includes('trying again'));
    const attempts = again.map((line) => /attempt\D+(\d+)/.exec(line)?.[1]);
    expect(attempts).toEqual(['1', '2', '3', '4']);
    expect(engine.log.join()).toContain('snap sync incomplete');
  });

  it('another secret: the file is read anew', async () => {
    const engine = await start();
    await engine.chain.grow(1);
    await engine.followed();
    const secret = randomBytes(32);
    engine.server.secret = secret;
    const refused = engine.server.refusedOnce();
    await engine.chain.grow(1);
    await refused;
    writeFileSync(engine.secretPath, secret.toString('hex'));
    await engine.followed();
    expect(engine.log.join()).toContain('signature is invalid');
    expect(engine.log.join()).toContain('read anew at each attempt');
  });

  it('a clock that is wrong, until it is right', async () => {
    let wrongSeconds = 61;
    const engine = await start({ server: { nowSeconds: () => Math.floor(Date.now() / 1000) + wrongSeconds } });
    await engine.server.refusedOnce();
    wrongSeconds = 58;
    await engine.chain.grow(1);
    await engine.followed();
    expect(engine.log.join()).toContain('stale token');
  });
});

describe('ends the driver', () => {
  const fatal: [string, string, Answer, RegExp][] = [
    [
      'INVALID',
      NEW_PAYLOAD,
      { result: status('INVALID', null, 'gas used mismatch') },
      /ENGINE_BLOCK_INVALID.*block 1 .*gas used mismatch/,
    ],
    [
      'INVALID, with the newest block before that is valid',
      NEW_PAYLOAD,
      { result: status('INVALID', `0x${'22'.repeat(32)}`, 'links to previously rejected block') },
      /ENGINE_BLOCK_INVALID.*previously rejected/,
    ],
    ['INVALID_BLOCK_HASH', NEW_PAYLOAD, { result: status('INVALID_BLOCK_HASH') }, /ENGINE_BLOCK_INVALID/],
    [
      'VALID with another hash',
      NEW_PAYLOAD,
      { result: status('VALID', `0x${'11'.repeat(32)}`) },
      /ENGINE_BLOCK_INVALID.*names 0x1111/,
    ],
    [
      'INVALID of a head',
      FORKCHOICE,
      { result: { payloadStatus: status('INVALID'), payloadId: null } },
      /ENGINE_BLOCK_INVALID/,
    ],
    [
      '-38005',
      NEW_PAYLOAD,
      { error: { code: -38005, message: 'Unsupported fork' } },
      /ENGINE_REFUSED.*-38005.*rollup-genesis/,
    ],
    ['-38003', FORKCHOICE, { error: { code: -38003, message: 'Invalid attributes' } }, /ENGINE_REFUSED.*-38003/],
    [
      '-32602',
      NEW_PAYLOAD,
      { error: { code: -32602, message: 'Invalid params' } },
      /ENGINE_REFUSED.*compare their versions/,
    ],
    [
      '-32601',
      FORKCHOICE,
      { error: { code: -32601, message: 'no such method' } },
      /ENGINE_REFUSED.*authenticated port/,
    ],
    [
      'another genesis',
      'eth_getBlockByNumber',
      { result: { ...STRANGER, hash: `0x${'44'.repeat(32)}` } },
      /ENGINE_WRONG_GENESIS.*block 0 is 0x4444.*rollup-genesis/,
    ],
    [
      'no genesis at all',
      'eth_getBlockByNumber',
      { result: null },
      /ENGINE_WRONG_GENESIS.*block 0 is missing.*rollup-genesis/,
    ],
    ['another chain', 'eth_chainId', { result: '0x1' }, /ENGINE_WRONG_CHAIN.*chain id 1, the rollup 901/],
    [
      'a client that is too old',
      'engine_exchangeCapabilities',
      { result: [NEW_PAYLOAD] },
      /ENGINE_CAPABILITIES.*forkchoiceUpdatedV3/,
    ],
  ];
  it.each(fatal)('%s', async (_, method, answer, message) => {
    const engine = await start({
      prepare: async (server, chain) => {
        await chain.grow(2);
        server.intercept = times(Number.POSITIVE_INFINITY, method, answer);
      },
    });
    const error = await engine.failed;
    expect(`${error.code} ${error.message} ${error.remedy}`).toMatch(message);
    expect(engine.driver.state).toBe('failed');
    // Never silently on: nothing more is said to the client.
    const said = engine.server.calls.length;
    await engine.chain.grow(1);
    expect(engine.server.calls).toHaveLength(said);
  });

  it('INVALID of what it was SYNCING about before: the ancestor turned out to be wrong', async () => {
    let asked = 0;
    const engine = await start({
      prepare: async (server, chain) => {
        await chain.grow(3);
        server.intercept = ({ method }) =>
          method === NEW_PAYLOAD ? { result: status(++asked < 3 ? 'SYNCING' : 'INVALID') } : undefined;
      },
    });
    expect((await engine.failed).code).toBe('ENGINE_BLOCK_INVALID');
    expect(asked).toBe(3);
  });

  it(`${MAX_FORKCHOICE_REFUSALS} refusals of a forkchoice, not one less`, async () => {
    const refusal: Answer = {
      error: { code: -38002, message: 'Invalid forkchoice state', data: { err: 'final block' } },
    };
    const patient = await start();
    patient.server.intercept = times(MAX_FORKCHOICE_REFUSALS - 1, FORKCHOICE, refusal);
    await patient.chain.grow(1);
    await patient.followed();
    const engine = await start();
    engine.server.intercept = times(MAX_FORKCHOICE_REFUSALS, FORKCHOICE, refusal);
    await engine.chain.grow(1);
    const { message, remedy } = await engine.failed;
    expect(message).toMatch(/-38002.*Invalid forkchoice state: final block/);
    expect(remedy).toContain('new data directory');
  });
});

describe('while the client builds', () => {
  it(`a payload that it forgot is begun anew, ${MAX_BUILD_ATTEMPTS} times before it counts as trouble`, async () => {
    const forgotten: Answer = { error: { code: -38001, message: 'Unknown payload' } };
    for (const forgets of [MAX_BUILD_ATTEMPTS - 1, MAX_BUILD_ATTEMPTS]) {
      const engine = await start({ mode: 'attributes', server: { build: await builderOf() } });
      engine.server.intercept = times(forgets, 'engine_getPayloadV4', forgotten);
      await engine.chain.grow(2);
      await engine.followed();
      expect(engine.server.headNumber).toBe(2);
      expect(engine.server.violations).toEqual([]);
      expect(engine.log.join().includes('trying again')).toBe(forgets === MAX_BUILD_ATTEMPTS);
    }
  });

  it('one that ignores the transactions is found out', async () => {
    const engine = await start({ mode: 'attributes' });
    await engine.chain.grow(1);
    const error = await engine.failed;
    expect(error.code).toBe('ENGINE_BUILT_OTHERWISE');
    expect(error.message).toContain('it has 0 transactions, 1 were to be in it');
    expect(error.remedy).toContain('--engine-mode payload');
    expect(engine.server.headNumber).toBe(0);
  });

  it('one that executes otherwise is found out', async () => {
    const build = await builderOf();
    const engine = await start({
      mode: 'attributes',
      server: {
        build: async (parent, attributes) => {
          const { payload, requests } = await build(parent, attributes);
          return {
            payload: { ...payload, stateRoot: `0x${'22'.repeat(32)}`, blockHash: `0x${'33'.repeat(32)}` },
            requests,
          };
        },
      },
    });
    await engine.chain.grow(1);
    const error = await engine.failed;
    expect(error.message).toMatch(/its stateRoot is "0x2222.*derived is/);
  });

  it('one that does not build after all is given up', async () => {
    const engine = await start({ mode: 'attributes', server: { build: await builderOf() } });
    const { server } = engine;
    server.intercept = (call) =>
      call.method === FORKCHOICE && call.params[1] !== null
        ? { result: { payloadStatus: status('VALID', call.params[0].headBlockHash), payloadId: null } }
        : undefined;
    await engine.chain.grow(1);
    expect((await engine.failed).code).toBe('ENGINE_NO_PROGRESS');
  });
});

it('stops while a call is under way', async () => {
  const engine = await start();
  engine.server.intercept = times(1, NEW_PAYLOAD, 'silence');
  await engine.chain.grow(1);
  await engine.server.until(() => engine.server.calls.some(({ method }) => method === NEW_PAYLOAD));
  await engine.driver.stop();
  expect(engine.driver.state).toBe('stopped');
});
