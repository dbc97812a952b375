/** The engine driver against a strict execution client: what it tells it, in which order, and from where it goes on. */

import { toHex } from '@squad/types';
import { afterEach, describe, expect, it } from 'vitest';
import { FORKCHOICE_EVERY_BLOCKS } from '../src/engine/limits.ts';
import { payloadOf } from '../src/engine/payload.ts';
import { requestsHash } from '../src/execution/evm/system-calls.ts';
import type { EngineServer } from '../src/testing/engine/index.ts';
import { builderOf, CHAIN, Chain, type Engine, type EngineTest, startEngine } from './support/engine.ts';
import { sign } from './support/transactions.ts';

const engines: Engine[] = [];
afterEach(async () => {
  for (const { close } of engines.splice(0)) await close();
});

async function start(test: EngineTest = {}): Promise<Engine> {
  const engine = await startEngine(test);
  engines.push(engine);
  return engine;
}

async function give(server: EngineServer, chain: Chain, numbers: readonly number[]): Promise<void> {
  for (const number of numbers) {
    const { payload, parentBeaconBlockRoot, requests } = payloadOf(chain.history.blockAt(number)!);
    await server.insert(payload as Parameters<EngineServer['insert']>[0], parentBeaconBlockRoot, requests);
  }
}

const count = ({ server }: Engine, method: string) => server.calls.filter((call) => call.method === method).length;
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe.each(['payload', 'attributes'] as const)('by %s', (mode) => {
  const withMode = async (test: EngineTest = {}): Promise<EngineTest> => {
    if (mode === 'payload') return test;
    return { ...test, mode, server: { build: await builderOf(test.changes), ...test.server } };
  };

  it.each(['prague', 'osaka'] as const)(
    'gives every block, and follows head, safe and finalized: %s',
    async (hardfork) => {
      const engine = await start(await withMode({ changes: { hardfork } }));
      const { chain, server } = engine;
      await chain.grow(3);
      await engine.followed();
      await chain.soft([chain.transfer()]);
      await chain.soft([chain.transfer()]);
      await engine.followed();
      expect([server.headNumber, chain.executor.latest.number]).toEqual([4, 3]);
      await chain.final();
      await engine.followed();
      expect(server.headNumber).toBe(5);
      expect(server.violations).toEqual([]);
    },
  );

  it('leads the client over when the soft order changes', async () => {
    const engine = await start(await withMode());
    const { chain, server } = engine;
    await chain.grow(2);
    for (let i = 0; i < 3; i++) await chain.soft([chain.transfer()]);
    await engine.followed();
    const replaced = server.head;
    chain.forgetSoft();
    for (let i = 0; i < 5; i++) await chain.soft([chain.transfer()], 'otherwise');
    await engine.followed();
    expect(server.canonical(4)!.hash).not.toBe(replaced);
    await chain.final();
    await engine.followed();
    expect(server.headNumber).toBe(7);
    expect(server.violations).toEqual([]);
  });

  it('goes on where the client was, when both start again', async () => {
    const engine = await start(await withMode());
    await engine.chain.grow(5);
    await engine.followed();
    await engine.driver.stop();
    await engine.chain.grow(2);
    const before = count(engine, 'engine_newPayloadV4');
    const again = await startEngine({ ...(await withMode()), chain: engine.chain, driven: engine.server });
    await again.followed();
    await again.driver.stop();
    expect(count(engine, 'engine_newPayloadV4') - before).toBe(2);
    expect(engine.server.violations).toEqual([]);
  });
});

it('gives a client that is behind all it lacks, and tells it of its head now and then', async () => {
  const chain = await Chain.open();
  await chain.grow(FORKCHOICE_EVERY_BLOCKS + 10);
  const engine = await start({ chain, prepare: (server) => give(server, chain, range(1, 3)) });
  await engine.followed();
  expect(count(engine, 'engine_newPayloadV4')).toBe(FORKCHOICE_EVERY_BLOCKS + 7);
  expect(count(engine, 'engine_forkchoiceUpdatedV3')).toBe(2);
  expect(engine.server.violations).toEqual([]);
});

it('finds the newest common block of a client on another branch, in few questions', async () => {
  const other = await Chain.open();
  const chain = await Chain.open();
  await chain.grow(40);
  await other.grow(15);
  await other.soft([other.transfer()], 'otherwise');
  for (let i = 0; i < 30; i++) await other.soft([other.transfer()]);
  const engine = await start({ chain, prepare: (server) => give(server, other, range(1, 44)) });
  const branch = engine.server.head;
  await engine.followed();
  expect(engine.server.head).not.toBe(branch);
  expect(count(engine, 'engine_newPayloadV4')).toBe(40 - 15);
  // Block 0, the newest, whether it is ours, six halvings of 40, and the common one for its hash.
  const first = engine.server.calls.findIndex(({ method }) => method === 'engine_newPayloadV4');
  const asked = engine.server.calls.slice(0, first).filter(({ method }) => method === 'eth_getBlockByNumber');
  expect(asked.length).toBeLessThanOrEqual(3 + 6 + 1);
  expect(engine.server.violations).toEqual([]);
  await other.rollup.derivation.close();
});

it('waits with a client that is ahead, and gives nothing twice', async () => {
  const ahead = await Chain.open();
  await ahead.grow(8);
  const chain = await Chain.open();
  await chain.grow(3);
  const engine = await start({ chain, prepare: (server) => give(server, ahead, range(1, 8)) });
  await engine.followed();
  expect(engine.server.headNumber).toBe(3);
  await chain.grow(7);
  await engine.followed();
  expect(engine.server.headNumber).toBe(10);
  expect(engine.log.join()).toContain('is ahead');
  expect(engine.server.violations).toEqual([]);
  await ahead.rollup.derivation.close();
});

it('does not repeat itself while nothing changes', async () => {
  const engine = await start();
  await engine.chain.grow(2);
  await engine.followed();
  for (let i = 0; i < 5; i++) await engine.chain.soft([]);
  await engine.chain.grow(1);
  await engine.followed();
  const told = engine.server.calls
    .filter(({ method }) => method === 'engine_forkchoiceUpdatedV3')
    .map(({ params }) => JSON.stringify(params));
  expect(new Set(told).size).toBe(told.length);
});

it('hands on what the system contracts ask for', async () => {
  const engine = await start();
  const { chain } = engine;
  const request = { to: '0x00000961ef480eb55e80d19ad83579a64c007002', value: 1n, gasLimit: 200_000n } as const;
  const data = new Uint8Array(56).fill(7);
  await chain.soft([sign(CHAIN, 1, { ...request, nonce: 0, data }), sign(CHAIN, 1, { ...request, nonce: 1, data })]);
  await chain.final();
  await engine.followed();
  const block = chain.history.blockAt(1)!;
  expect(block.requests).toHaveLength(1);
  // Type, then source address, public key and amount for each of the two.
  expect(block.requests[0]).toHaveLength(1 + 2 * (20 + 56));
  expect(toHex(block.header.requestsHash!)).toBe(toHex(requestsHash(block.requests)));
  expect(engine.server.calls.findLast(({ method }) => method === 'engine_newPayloadV4')!.params[3]).toEqual(
    block.requests.map((each) => toHex(each)),
  );
  expect(engine.server.violations).toEqual([]);
});

it('raises the time of each block, also of those of one slot', async () => {
  const engine = await start({ changes: { gasLimit: 100_000 } });
  const { chain } = engine;
  await chain.soft(Array.from({ length: 12 }, () => chain.transfer()));
  await chain.final();
  await engine.followed();
  expect(engine.server.headNumber).toBe(3);
  const times = range(0, 3).map((number) => Number(chain.history.blockAt(number)!.header.timestamp));
  expect(times).toEqual([times[0], times[0]! + 1, times[0]! + 2, times[0]! + 3]);
  expect(engine.server.violations).toEqual([]);
});
