/** What a node takes for confirmed of an L1 whose endpoints are away, behind, reorganised or lying (R24). */

import { MAX_L1_BLOCKS_HELD } from '@squad/consensus';
import { createLogger, createPrometheusMetrics, noMetrics } from '@squad/service';
import { type L1BlockId, toHex } from '@squad/types';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createL1Follower, MAX_L1_ANSWER_BYTES } from '../src/l1-follower.ts';
import { FakeL1, type FakeL1Endpoint, serveFakeL1 } from '../src/testing/fake-l1.ts';

const CONFIRMATIONS = 3;
/** The genesis file's anchor. */
const START = 5;

let chain: FakeL1;
let endpoints: FakeL1Endpoint[];
/** What it logged. */
let lines: { readonly msg: string; readonly code?: string }[];
let anchor: L1BlockId;
let running: { stop(): Promise<void> } | undefined;
/** What was told last, and who waits for the next word. */
let told: readonly L1BlockId[] | undefined;
let waiting: (() => void)[];

beforeEach(() => {
  chain = new FakeL1(START + 20);
  anchor = chain.idOf(START);
  endpoints = [];
  lines = [];
  told = undefined;
  waiting = [];
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  for (const endpoint of endpoints) await endpoint.close();
});

const serve = async (shown: FakeL1 = chain) => {
  const endpoint = await serveFakeL1(shown);
  endpoints.push(endpoint);
  return endpoint;
};
const logger = createLogger({ name: 'test', level: 'info', write: (line) => lines.push(JSON.parse(line)) });
const genesisL1 = (chainId = chain.chainId) => {
  const { number, hash } = chain.idOf(START);
  return { chainId, anchor: { number, hash: toHex(hash) }, confirmations: CONFIRMATIONS };
};
const follow = (urls: readonly string[], { chainId = chain.chainId, metrics = noMetrics } = {}) => {
  const follower = createL1Follower(genesisL1(chainId), {
    urls,
    anchor: () => anchor,
    onBlocks: (blocks) => {
      told = blocks;
      for (const wake of waiting.splice(0)) wake();
    },
    metrics,
    logger,
    intervalMs: 1,
  })!;
  running = follower;
  follower.start();
};
/** Looks until what it tells is as asked. */
const until = async (isIt: (blocks: readonly L1BlockId[]) => boolean) => {
  while (told === undefined || !isIt(told)) await new Promise<void>((resolve) => waiting.push(resolve));
};
const looks = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => waiting.push(resolve));
};
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => chain.idOf(from + i));
const tops = (number: number) => until((blocks) => blocks.at(-1)?.number === number);

it('tells of the blocks from the anchor up to the highest that is confirmed, and of more as they come', async () => {
  const { url } = await serve();
  const metrics = createPrometheusMetrics({ processMetrics: false });
  follow([url], { metrics });
  await tops(chain.head - CONFIRMATIONS);
  expect(told).toEqual(range(START, chain.head - CONFIRMATIONS));
  chain.mine();
  await tops(chain.head - CONFIRMATIONS);
  expect(await metrics.text()).toContain(`squad_l1_head_number_blocks ${chain.head}`);
  expect(await metrics.text()).toContain(`squad_l1_confirmed_number_blocks ${chain.head - CONFIRMATIONS}`);
});

it('begins at the anchor of the final head, also at one that it has not seen', async () => {
  const endpoint = await serve();
  follow([endpoint.url]);
  await tops(chain.head - CONFIRMATIONS);
  anchor = chain.idOf(START + 4);
  await until((blocks) => blocks[0]!.number === START + 4);
  expect(told!.at(-1)!.number).toBe(chain.head - CONFIRMATIONS);
  // Others see more of the L1 than this node.
  chain.mine(30);
  endpoint.lie = (answer) => (typeof answer === 'string' ? `0x${(START + 6).toString(16)}` : answer);
  anchor = chain.idOf(START + 40);
  await until((blocks) => blocks[0]!.number === START + 40);
  expect(told).toHaveLength(1);
  endpoint.lie = undefined;
  await tops(chain.head - CONFIRMATIONS);
});

it('asks for a header once, and for no more than it may hold', async () => {
  chain.mine(2 * MAX_L1_BLOCKS_HELD);
  const endpoint = await serve();
  follow([endpoint.url]);
  await tops(START + MAX_L1_BLOCKS_HELD - 1);
  await looks(3);
  expect(told).toHaveLength(MAX_L1_BLOCKS_HELD);
  const headers = endpoint.asked.filter((question) => question.startsWith('eth_getBlockByNumber'));
  expect(headers).toHaveLength(MAX_L1_BLOCKS_HELD - 1);
});

it('says once that an endpoint is away and once that it is back, and keeps what it knew', async () => {
  const endpoint = await serve();
  follow([endpoint.url]);
  await tops(chain.head - CONFIRMATIONS);
  const before = told;
  endpoint.lie = () => ({ not: 'an answer' });
  await looks(4);
  expect(told).toEqual(before);
  endpoint.lie = undefined;
  chain.mine();
  await tops(chain.head - CONFIRMATIONS);
  expect(lines.filter(({ msg }) => msg.includes('does not answer well'))).toHaveLength(1);
  expect(lines.filter(({ msg }) => msg.includes('answers well again'))).toHaveLength(1);
});

it('does not write the path of an endpoint, which may be a secret, into the log', async () => {
  const endpoint = await serve();
  const { origin } = new URL(endpoint.url);
  endpoint.lie = () => 'nonsense';
  follow([`${origin}/?key=secret`]);
  await looks(2);
  expect(JSON.stringify(lines)).not.toContain('secret');
  expect(JSON.stringify(lines)).toContain(origin);
});

it('asks the next endpoint when one fails', async () => {
  const [bad, good] = [await serve(), await serve()];
  bad.lie = () => null;
  follow([bad.url, good.url]);
  await tops(chain.head - CONFIRMATIONS);
  chain.mine();
  await tops(chain.head - CONFIRMATIONS);
  expect(bad.asked.filter((question) => question === 'eth_blockNumber')).toHaveLength(1);
});

it('takes nothing of a chain that does not stand on the anchor', async () => {
  const other = new FakeL1(START + 20, 1);
  const { url } = await serve(other);
  follow([url]);
  await looks(2);
  expect(told).toEqual([anchor]);
  expect(lines[0]!.code).toBe('L1_FORKED');
});

it('sees a fork that is deeper than the confirmations from the anchor on', async () => {
  const { url } = await serve();
  follow([url]);
  await tops(chain.head - CONFIRMATIONS);
  chain.reorganise(10);
  await tops(chain.head - CONFIRMATIONS);
  expect(told).toEqual(range(START, chain.head - CONFIRMATIONS));
  expect(lines.some(({ msg }) => msg.includes('is not there any more'))).toBe(true);
});

it('stays at the anchor if the fork is below it', async () => {
  const { url } = await serve();
  follow([url]);
  await tops(chain.head - CONFIRMATIONS);
  anchor = chain.idOf(START + 12);
  chain.reorganise(15);
  chain.mine(5);
  await until((blocks) => blocks.length === 1);
  await looks(2);
  expect(told).toEqual([anchor]);
});

it.each<readonly [what: string, code: string, lie: (answer: unknown) => unknown]>([
  [
    'a header that was changed',
    'L1_HEADER_WRONG',
    (answer) => (typeof answer === 'string' ? answer : { ...(answer as object), gasUsed: '0x7' }),
  ],
  [
    'a header of another height',
    'L1_HEADER_WRONG',
    (answer) => (typeof answer === 'string' ? answer : chain.at(START + 9)),
  ],
  ['no header', 'L1_UNKNOWN_BLOCK', (answer) => (typeof answer === 'string' ? answer : null)],
  ['a head that is no number', 'RPC_BAD_ANSWER', () => '0xfffffffffffffffff'],
  ['an answer that is too long', 'RPC_BAD_ANSWER', () => 'x'.repeat(MAX_L1_ANSWER_BYTES + 1)],
])('takes nothing of an endpoint that gives %s', async (_, code, lie) => {
  const endpoint = await serve();
  endpoint.lie = lie;
  follow([endpoint.url]);
  await looks(2);
  expect(told!.length).toBeLessThan(2);
  expect(lines[0]!.code).toBe(code);
});

it('takes a long answer that is within the limit', async () => {
  const endpoint = await serve();
  endpoint.lie = (answer) =>
    typeof answer === 'string' ? answer : { ...(answer as object), padding: 'x'.repeat(MAX_L1_ANSWER_BYTES - 4_096) };
  follow([endpoint.url]);
  await tops(chain.head - CONFIRMATIONS);
});

it('takes nothing of another chain', async () => {
  const { url } = await serve();
  follow([url], { chainId: 1 });
  await looks(1);
  expect(told).toEqual([]);
  expect(lines[0]!.code).toBe('L1_OTHER_CHAIN');
});

it('is refused where the genesis file names no L1, and says what a validator without one does', () => {
  const parts = { anchor: () => anchor, onBlocks: () => {}, metrics: noMetrics, logger };
  expect(() => createL1Follower(undefined, { ...parts, urls: ['http://127.0.0.1:1'] })).toThrow('names no L1');
  expect(createL1Follower(undefined, { ...parts, urls: [] })).toBeUndefined();
  expect(createL1Follower(genesisL1(), { ...parts, urls: [] })).toBeUndefined();
  expect(lines.map(({ msg }) => msg)).toEqual([expect.stringContaining('without --l1-rpc')]);
});
