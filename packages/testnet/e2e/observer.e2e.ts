/**
 * A node that is no validator, as a process: it takes in the chain from genesis or from a checkpoint, follows the head, and
 * gets there though one validator of four lies to it, or never answers.
 */

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createNodeKey, writeNodeKeyFile } from '@squad/crypto/node';
import { rpcCall } from '@squad/service';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import { ManagedProcess, observe, type TestnetProcess, waitFor } from '../src/index.ts';
import { type Load, startLoad } from './load.ts';
import {
  chainOf,
  expectSameChain,
  finalHeightOf,
  launch,
  metricOf,
  type RunningNet,
  SQUAD_MAIN,
  showLogs,
  waitFinalHeight,
  waitReady,
  waitTransactionsFinal,
} from './support.ts';

const CHAIN_ID = 901;
const LIAR = 3;
const MISBEHAVED = 'squad_network_misbehaved_peers_total';

let net: RunningNet;
let load: Load | undefined;
let nonces = new Map<number, number>();
const others: ManagedProcess[] = [];

beforeEach(async () => {
  nonces = new Map();
  net = await launch();
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') {
    showLogs(net.testnet);
    for (const one of others) console.error(`── ${one.name} (${one.state})\n${one.logTail(15)}`);
  }
  await load?.stop();
  load = undefined;
  for (const one of others.splice(0)) await one.stop();
  await net?.close();
});

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Starts a sequencer without a keystore, in a folder of its own. */
async function startObserver(name: string, options: object = {}): Promise<TestnetProcess> {
  const directory = join(net.testnet.directory, name);
  mkdirSync(directory);
  const configPath = join(directory, 'observer.yaml');
  const nodeKey = join(directory, 'node-key.json');
  await writeNodeKeyFile(nodeKey, createNodeKey(randomBytes(32)));
  const [rpcPort, metricsPort] = [await freePort(), await freePort()];
  const dataDirectory = join(directory, 'data');
  const config = {
    name,
    genesis: net.testnet.genesisPath,
    dataDirectory,
    nodeKey,
    listen: [],
    rpcPort,
    metricsPort,
    ...options,
  };
  writeFileSync(configPath, stringify(config));
  const logPath = join(directory, 'log');
  const command = [process.execPath, SQUAD_MAIN, 'sequencer', '--config', configPath];
  const managed = new ManagedProcess({ name, command, logPath });
  others.push(managed);
  await managed.start();
  return {
    name,
    role: 'sequencer',
    rpcUrl: `http://127.0.0.1:${rpcPort}`,
    webSocketUrl: `ws://127.0.0.1:${rpcPort}`,
    p2pAddress: undefined,
    metricsUrl: `http://127.0.0.1:${metricsPort}`,
    logPath,
    dataDirectory,
    configPath,
    rollupId: undefined,
    process: managed,
  };
}

/** Transactions at the honest ones until there are so many blocks; what was accepted. */
async function ordered(blocks: number): Promise<string[]> {
  const accepting = net.testnet.nodes.slice(0, LIAR);
  load = startLoad(accepting, CHAIN_ID, nonces);
  await waitFinalHeight(accepting[0]!, (await finalHeightOf(accepting[0]!)) + blocks, 60_000);
  await load.stop();
  return accepting.flatMap(({ name }) => [...load!.accepted(name)]);
}

it('syncs from genesis, is ready, follows the head, serves what it has, and takes no transactions', async () => {
  const accepted = await ordered(150);
  const observer = await startObserver('observer');
  await waitReady([observer]);
  await waitTransactionsFinal(observer, accepted);
  const height = await finalHeightOf(observer);
  await waitFinalHeight(observer, height + 5);
  await expectSameChain([...net.testnet.nodes, observer]);
  const status = await rpcCall(observer.rpcUrl, 'squad_getCertificate', ['final'], z.looseObject({}));
  expect(status).toHaveProperty('certificate');
  const refused = rpcCall(observer.rpcUrl, 'squad_sendTransactions', [CHAIN_ID, ['0x00']], z.unknown());
  expect(JSON.stringify(await refused.catch((error: unknown) => String(error)))).toMatch(/no lane of its own/);
  for (const node of net.testnet.nodes) expect(await metricOf(node, MISBEHAVED)).toBe(0);
});

it('begins at a checkpoint, holds what came after it, and goes on there after a kill', async () => {
  await ordered(60);
  const [node] = net.testnet.nodes as [TestnetProcess];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    SQUAD_MAIN,
    'checkpoint',
    '--rpc',
    node.rpcUrl,
  ]);
  const { height, blockHash } = JSON.parse(stdout) as { height: number; blockHash: string };
  expect(stderr).toContain(blockHash);
  const checkpoint = join(net.testnet.directory, 'checkpoint.json');
  writeFileSync(checkpoint, stdout);
  const accepted = await ordered(40);
  const observer = await startObserver('observer', { checkpoint });
  await waitReady([observer]);
  await waitTransactionsFinal(observer, accepted);
  const Block = z.looseObject({ hash: z.string() }).nullable();
  const blockAt = (one: TestnetProcess, at: number) => rpcCall(one.rpcUrl, 'squad_getBlock', [at], Block);
  expect([(await blockAt(observer, height))?.hash, await blockAt(observer, height - 1)]).toEqual([blockHash, null]);
  await observer.process.kill('SIGKILL');
  await observer.process.start();
  await waitReady([observer]);
  const head = await finalHeightOf(observer);
  expect((await blockAt(observer, head))?.hash).toBe((await chainOf(node, head)).at(-1)!.hash);
});

it.each([
  ['forge-bodies', true],
  ['forge-certificates', true],
  ['unlink-blocks', true],
  ['answer-nothing', false],
  ['answer-never', false],
])('syncs though a validator lies to it: %s', async (how, isBlamed) => {
  const { name, process: honest, logPath } = net.testnet.nodes[LIAR]!;
  await net.testnet.kill(name, 'SIGTERM');
  const liar = new ManagedProcess({
    name,
    command: [...honest.command, '--test-misbehave', how],
    logPath,
    env: { SQUAD_ALLOW_MISBEHAVIOUR: '1' },
  });
  others.push(liar);
  await liar.start();
  const accepted = await ordered(80);
  const observer = await startObserver('observer');
  await waitFor(
    'the observer is ready',
    async () => {
      const { state, detail } = await observe('observer', observer.rpcUrl);
      if (state !== 'ready') throw new Error(detail ?? state);
      return true;
    },
    60_000,
  );
  await waitTransactionsFinal(observer, accepted);
  await expectSameChain([...net.testnet.nodes.slice(0, LIAR), observer]);
  if (!isBlamed) {
    expect(await metricOf(observer, MISBEHAVED)).toBe(0);
    return;
  }
  // Sooner or later it asks the liar: for blocks at the head, for bodies of what is new.
  load = startLoad(net.testnet.nodes.slice(0, LIAR), CHAIN_ID, nonces);
  await waitFor('the liar is disconnected', async () => ((await metricOf(observer, MISBEHAVED)) ?? 0) > 0, 60_000);
  await expectSameChain([...net.testnet.nodes.slice(0, LIAR), observer]);
});
