/**
 * Sixteen rollups of one set of four validators, all under load, one of them flooding, bundles across some of them; a validator
 * and a rollup node are killed in the middle. An EVM rollup, one for Nitro, a ledger and rules of a team's own have nodes, the
 * others are followed with the client. The tests share the network and what was sent; the first one makes it happen.
 */

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  bodyTransactions,
  checkpointOf,
  follow,
  type Liar,
  type NetworkAccess,
  networkAccess,
  parseGenesis,
  receiptFromJson,
  verifyBundle,
} from '@squad/client';
import { native } from '@squad/client/node';
import { developmentRollup } from '@squad/rollup-node/config';
import { rpcBatch, rpcCall } from '@squad/service';
import { fromHex, type Genesis, type GenesisFile, type Hex, type OrderingReceipt, toHex } from '@squad/types';
import { keccak256 } from 'viem';
import { afterAll, beforeAll, beforeEach, expect, it, onTestFailed } from 'vitest';
import { z } from 'zod';
import { type TestnetProcess, waitFor } from '../src/index.ts';
import { CountingProxy } from './counting-proxy.ts';
import { NitroFeed } from './nitro-feed.ts';
import { type RollupNode, RollupNodes } from './rollup-nodes.ts';
import { LEDGER_KEYS, type LoadedRollup, ledgerAfter, type Member, RollupsLoad } from './rollups-load.ts';
import { SequenceReader } from './sequences.ts';
import {
  expectNoDoubleVotes,
  expectSameChain,
  finalHeightOf,
  freePort,
  launch,
  type RunningNet,
  showLogsOnFailure,
  waitFinalHeight,
  waitReady,
} from './support.ts';

const [EVM, NITRO, LEDGER, OWN_RULES] = [901, 902, 905, 906] as const;
const EXECUTORS: Readonly<Record<number, 'evm' | 'nitro' | 'ledger' | 'custom'>> = {
  [EVM]: 'evm',
  [NITRO]: 'nitro',
  [LEDGER]: 'ledger',
  [OWN_RULES]: 'custom',
};
const EVM_ROLLUPS = 4;
const COUNT = 16;
const IDS = Array.from({ length: COUNT }, (_, i) => 901 + i);
const FLOOD = 916;
const KILLED = 'sequencer-2';
const kindOf = (rollupId: number) => (rollupId < 901 + EVM_ROLLUPS ? 'evm' : rollupId === LEDGER ? 'ledger' : 'bytes');
const rollupsOf = (ids: readonly number[]): LoadedRollup[] =>
  ids.map((rollupId) => ({ rollupId, kind: kindOf(rollupId) }));
const LIGHT = IDS.filter((id) => id !== FLOOD);
/** Both kinds at the door, and rollups of all four that have nodes. */
const BUNDLED = [EVM, LEDGER, 907, OWN_RULES, NITRO, 908, 909];
const FOLLOWED = IDS.filter((id) => EXECUTORS[id] === undefined);
/** Bytes that come with a block's encoding: its certificate, headers up to the certified one, the message around them. */
const AROUND_BLOCK_BYTES = 600;
/** Of a batch's header, signature and list of offsets. */
const AROUND_BATCH_BYTES = 512;
/** Of a connection's beginning, and all that is told now and then. */
const CONNECTION_BYTES = 64 * 1024;
/** Milliseconds for what has no other bound than the machine's speed. */
const PATIENCE_MS = 180_000;
/** Blocks under load before, between and after the faults. */
const PHASE_BLOCKS = 6;

/** Folds what is executed, in its order: another order, one transaction more or less, or one twice, and the result is another. */
const OWN_RULES_MODULE = `
import { createHash } from 'node:crypto';
export const createExecutor = ({ keyValue }) => keyValue((transaction, state) => {
  state.set('fold', createHash('sha256').update(state.get('fold')).update(transaction).digest('hex'));
  state.set('count', String(Number(state.get('count')) + 1));
});
export const rpcMethods = (executor) => ({
  fold_get: () => ({ fold: executor.read('fold', 'latest'), count: Number(executor.read('count', 'latest')) }),
});
`;

const Fold = z.object({ fold: z.string(), count: z.number() });

/** What follows one rollup: a node, or the client. */
interface Follower {
  readonly rollupId: number;
  /** All that it receives comes through it. */
  readonly proxy: CountingProxy;
}
interface ClientFollower extends Follower {
  readonly transactions: Hex[];
  readonly heights: number[];
}
interface NodeFollower extends Follower {
  readonly node: RollupNode;
  readonly nitroFeedUrl?: string;
}

let net: RunningNet;
let rollupNodes: RollupNodes;
let load: RollupsLoad;
let readers: SequenceReader[];
/** Every test looks at the blocks up to here: it has all that was accepted. */
let height: number;
let blocks: Awaited<ReturnType<SequenceReader['blocks']>>;
const nodeFollowers = new Map<number, NodeFollower>();
const clientFollowers: ClientFollower[] = [];
const liars: Liar[] = [];
const following = new AbortController();
let followed: Promise<unknown>;

const nodes = () => net.testnet.nodes;
const node = (index: number) => nodes()[index % nodes().length]!;
const sequenceOf = (rollupId: number) => readers[0]!.transactions(rollupId, height);

beforeAll(async () => {
  const rollups = { rollups: EVM_ROLLUPS, rollupNodes: 0, opaqueRollups: COUNT - EVM_ROLLUPS };
  net = await launch({ ...rollups, blockTimeMs: 500 });
  rollupNodes = new RollupNodes(net.testnet);
  await Promise.all([EVM, NITRO, LEDGER, OWN_RULES].map(startRollupNode));
});
afterAll(async () => {
  following.abort();
  await followed?.catch(() => {});
  for (const reader of readers ?? []) reader.close();
  await rollupNodes?.stop();
  for (const { proxy } of [...nodeFollowers.values(), ...clientFollowers]) proxy.close();
  await net?.close();
});
beforeEach(() => {
  showLogsOnFailure(net.testnet);
  onTestFailed(() => rollupNodes.showLogs());
});

async function startRollupNode(rollupId: number): Promise<void> {
  const proxy = new CountingProxy();
  const file = (name: string) => join(net.testnet.directory, `${rollupId}-${name}`);
  const genesis = JSON.parse(readFileSync(net.testnet.genesisPath, 'utf8')) as GenesisFile;
  for (const validator of genesis.validators) {
    const { p2pAddress } = net.testnet.process(validator.name);
    validator.addresses = [`/ip4/127.0.0.1/tcp/${await proxy.listen(Number(p2pAddress!.split('/').at(-1)))}`];
  }
  writeFileSync(file('genesis.json'), JSON.stringify(genesis));
  writeFileSync(file('rules.mjs'), OWN_RULES_MODULE);
  const about = { rollupId, genesisTimeMs: genesis.genesisTimeMs, blockTimeMs: 500 };
  const executor = EXECUTORS[rollupId]!;
  const rollup =
    executor === 'evm' ? developmentRollup(about) : { version: 1, name: `rollup-${rollupId}`, executor, ...about };
  writeFileSync(file('rollup.json'), JSON.stringify(rollup));
  const feedPort = await freePort();
  const more: Partial<Record<string, string[]>> = {
    nitro: ['--nitro-feed-port', String(feedPort)],
    custom: ['--executor', file('rules.mjs')],
  };
  const started = await rollupNodes.start({
    name: `node-${rollupId}`,
    rollupPath: file('rollup.json'),
    genesisPath: file('genesis.json'),
    more: more[executor] ?? [],
  });
  const nitroFeedUrl = `ws://127.0.0.1:${feedPort}`;
  nodeFollowers.set(rollupId, { rollupId, proxy, node: started, nitroFeedUrl });
}

function genesisOfNetwork(): Genesis {
  const genesis = parseGenesis(JSON.parse(readFileSync(net.testnet.genesisPath, 'utf8')));
  if (!genesis.ok) throw genesis.error;
  return genesis.value;
}

async function accessThrough(proxy: CountingProxy, first: number): Promise<NetworkAccess> {
  const endpoints: string[] = [];
  for (const one of [node(first), node(first + 1)]) {
    endpoints.push(`http://127.0.0.1:${await proxy.listen(Number(new URL(one.rpcUrl).port))}`);
  }
  return networkAccess(genesisOfNetwork(), endpoints, { ...native, onLiar: (liar) => liars.push(liar) });
}

async function startFollowing(): Promise<void> {
  const all = FOLLOWED.map(async (rollupId, index) => {
    const proxy = new CountingProxy();
    const follower: ClientFollower = { rollupId, proxy, transactions: [], heights: [] };
    clientFollowers.push(follower);
    const access = await accessThrough(proxy, index);
    // A validator that was away may be behind for a while, on a machine that is busy.
    for await (const block of follow(access, rollupId, { stallMs: PATIENCE_MS, signal: following.signal })) {
      follower.heights.push(block.header.height);
      for (const { body } of block.batches) follower.transactions.push(...bodyTransactions(body).map(toHex));
    }
  });
  followed = Promise.all(all);
  followed.catch(() => {});
}

async function receiptOf({ transaction }: Member): Promise<OrderingReceipt> {
  const json = await rpcCall(node(0).rpcUrl, 'squad_getReceipt', [keccak256(transaction)], z.unknown());
  const receipt = receiptFromJson(json);
  if (!receipt.ok) throw new Error(receipt.error.reason);
  return receipt.value;
}

/** Hashes of what the node of the EVM rollup has executed in final order. */
async function executedByEvm(): Promise<string[]> {
  const { rpcUrl } = nodeFollowers.get(EVM)!.node;
  const latest = Number(await rpcCall(rpcUrl, 'eth_blockNumber', [], z.string()));
  const calls = Array.from({ length: latest }, (_, i) => ({
    method: 'eth_getBlockByNumber',
    params: [`0x${(i + 1).toString(16)}`, false],
  }));
  const outcomes = await rpcBatch(rpcUrl, calls);
  return outcomes.flatMap((outcome) => {
    if (!outcome.ok) throw outcome.error;
    return z.object({ transactions: z.array(z.string()) }).parse(outcome.value).transactions;
  });
}

/** Bytes of a rollup's transactions, as they were sent. */
const bytesOf = (rollupId: number) => sequenceOf(rollupId).reduce((sum, raw) => sum + (raw.length - 2) / 2, 0);

/** Bytes of all blocks and what comes with each. */
const blockBytes = () => blocks.reduce((sum, { encodedBytes }) => sum + encodedBytes + AROUND_BLOCK_BYTES, 0);

const underLoad = async (one: TestnetProcess) =>
  waitFinalHeight(one, (await finalHeightOf(one)) + PHASE_BLOCKS, PATIENCE_MS);

it('orders all that was accepted, for each of sixteen rollups, each transaction once and the same everywhere', async () => {
  await startFollowing();
  load = new RollupsLoad(nodes(), rollupsOf(LIGHT), rollupsOf(BUNDLED), FLOOD);
  await underLoad(node(0));
  const bundlesAtKilled = () => load.bundlesOf.get(KILLED)!.length;
  await waitFor('bundles to be accepted', () => bundlesAtKilled() >= 3, PATIENCE_MS);
  await net.testnet.kill(KILLED, 'SIGKILL');
  await underLoad(node(0));
  const { node: ownRules } = nodeFollowers.get(OWN_RULES)!;
  await ownRules.process.kill('SIGKILL');
  await Promise.all([net.testnet.restart(KILLED), ownRules.process.start()]);
  await waitReady(nodes(), PATIENCE_MS);
  // What comes after in its lane is final only when all is that it was killed with.
  const before = bundlesAtKilled();
  await waitFor('bundles to be accepted again', () => bundlesAtKilled() > before, PATIENCE_MS);
  await underLoad(net.testnet.process(KILLED));
  await load.stop();

  readers = nodes().map((one) => new SequenceReader(one, IDS));
  const accepted = new Map([...load.fates].map(([id, fates]) => [id, fates.accepted] as const));
  await readers[0]!.have(accepted, PATIENCE_MS);
  height = await finalHeightOf(node(0));
  await Promise.all(readers.map((reader) => reader.reach(height, PATIENCE_MS)));
  await expectSameChain(nodes());
  await expectNoDoubleVotes(nodes());

  blocks = await readers[0]!.blocks(height);
  for (const rollupId of IDS) {
    const sequence = sequenceOf(rollupId);
    const { accepted: taken, unanswered } = load.fates.get(rollupId)!;
    expect(taken.size, `accepted of ${rollupId}`).toBeGreaterThan(0);
    const ordered = new Set(sequence);
    expect(ordered.size, `transactions of ${rollupId}, each once`).toBe(sequence.length);
    const lost = [...taken].filter((raw) => !ordered.has(raw));
    expect(lost, `accepted and not ordered, of ${rollupId}`).toEqual([]);
    const foreign = sequence.filter((raw) => !taken.has(raw) && !unanswered.has(raw));
    expect(foreign, `in the sequence of ${rollupId} and not its own`).toEqual([]);
    for (const [index, reader] of readers.entries()) {
      expect(reader.transactions(rollupId, height), `${rollupId} at ${node(index).name}`).toEqual(sequence);
    }
    const inBlocks = blocks.flatMap(({ members }) => members.filter((one) => one.rollupId === rollupId));
    expect(inBlocks.map(({ transaction }) => transaction)).toEqual(sequence);
  }
});

it('orders each bundle in one block, its transactions one after the other, or nothing of it', () => {
  const place = new Map<Hex, { block: number; at: number }>();
  for (const [block, { members }] of blocks.entries()) {
    for (const [at, { transaction }] of members.entries()) place.set(transaction, { block, at });
  }
  const { accepted, unanswered } = load.bundles;
  expect(accepted.length).toBeGreaterThan(0);
  const ordered = unanswered.filter((bundle) => bundle.some(({ transaction }) => place.has(transaction)));
  for (const bundle of [...accepted, ...ordered]) {
    const first = place.get(bundle[0]!.transaction)!;
    expect(blocks[first?.block]?.members.slice(first?.at, first?.at + bundle.length)).toEqual(bundle);
  }
});

it('proves bundles by receipts, those included that the killed validator had accepted', async () => {
  const checkpoint = checkpointOf(genesisOfNetwork());
  const last = [...load.bundlesOf.values()].map((bundles) => bundles.at(-1)!);
  for (const bundle of [...load.bundlesOf.get(KILLED)!, ...last]) {
    const verified = verifyBundle(await Promise.all(bundle.map(receiptOf)), checkpoint, native);
    if (!verified.ok) throw verified.error;
    const shown = verified.value.transactions.map((one) => toHex(one.transaction));
    expect(shown).toEqual(bundle.map(({ transaction }) => transaction));
    expect(verified.value.stage).toBe('final');
  }
});

it('sends who follows a rollup its own data, headers and refs, and nothing of the one that floods', async () => {
  await waitFor(
    'all followers are there',
    () => clientFollowers.every(({ heights }) => heights.at(-1)! >= height),
    PATIENCE_MS,
  );
  for (const { rollupId, transactions, heights } of clientFollowers) {
    expect(heights.slice(0, height), `heights of ${rollupId}`).toEqual(Array.from({ length: height }, (_, i) => i + 1));
    expect(transactions, `followed of ${rollupId}`).toEqual(sequenceOf(rollupId));
  }
  expect(liars).toEqual([]);
  // A client has each block soft and final, in hex; a node has it soft and final from each validator.
  const copies = { client: 2 * 2, node: 2 * nodes().length };
  const kinds = [
    ...clientFollowers.map((follower) => ({ ...follower, copies: copies.client })),
    ...[...nodeFollowers.values()].map((follower) => ({ ...follower, copies: copies.node })),
  ];
  for (const { rollupId, proxy, copies: most } of kinds) {
    const own = bytesOf(rollupId) + AROUND_BATCH_BYTES * readers[0]!.batchCount(rollupId, height);
    const mayReceive = most * (own + blockBytes()) + CONNECTION_BYTES;
    expect(proxy.received, `received of ${rollupId}`).toBeGreaterThan(bytesOf(rollupId));
    expect.soft(proxy.received, `received of ${rollupId}`).toBeLessThan(mayReceive);
    // Not one copy of the flood is in it.
    if (rollupId !== FLOOD) expect(proxy.received, `received of ${rollupId}`).toBeLessThan(bytesOf(FLOOD));
  }
});

it('is executed by a node of each kind, in order and once, also by the one that was killed', async () => {
  const own = sequenceOf(OWN_RULES);
  const fold = own.reduce((so, raw) => createHash('sha256').update(so).update(fromHex(raw)).digest('hex'), '');
  const executed = () => rpcCall(nodeFollowers.get(OWN_RULES)!.node.rpcUrl, 'fold_get', [], Fold);
  await waitFor('rules of a team’s own have it all', async () => (await executed()).count >= own.length, PATIENCE_MS);
  expect(await executed()).toEqual({ fold, count: own.length });

  const values = ledgerAfter(sequenceOf(LEDGER));
  for (const key of LEDGER_KEYS) {
    const { rpcUrl } = nodeFollowers.get(LEDGER)!.node;
    await waitFor(
      `the ledger’s ${key} is ${values.get(key)}`,
      async () => (await rpcCall(rpcUrl, 'ledger_get', [key], z.string())) === values.get(key),
      PATIENCE_MS,
    );
  }

  const hashes = sequenceOf(EVM).map((raw) => keccak256(raw));
  await waitFor('the EVM rollup has it all', async () => (await executedByEvm()).length >= hashes.length, PATIENCE_MS);
  expect(await executedByEvm()).toEqual(hashes);

  const feed = new NitroFeed(nodeFollowers.get(NITRO)!.nitroFeedUrl!);
  const nitro = sequenceOf(NITRO);
  await waitFor('the Nitro feed has it all', () => feed.transactions.length >= nitro.length, PATIENCE_MS);
  feed.close();
  expect(feed.transactions).toEqual(nitro);
});
