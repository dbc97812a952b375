/** A node that is no validator, as a process: it takes in the chain from genesis or from a checkpoint, and follows the head. */

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { rpcCall } from '@squad/service';
import { afterAll, beforeAll, beforeEach, expect, it, onTestFailed } from 'vitest';
import { z } from 'zod';
import { type TestnetProcess, waitFor } from '../src/index.ts';
import { CHAIN_ID, Observers } from './observers.ts';
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

/** Blocks of an epoch: some end while the tests run. */
const LENGTH = 24;
let net: RunningNet;
let observers: Observers;

beforeAll(async () => {
  const members = [0, 1, 2, 3].map((sequencer) => ({ sequencer }));
  net = await launch({ epochs: { lengthBlocks: LENGTH, sets: [{ fromEpoch: 0, members }] } });
  observers = new Observers(net.testnet);
});
afterAll(async () => {
  await observers?.stop();
  await net?.close();
});
beforeEach(() =>
  onTestFailed(() => {
    showLogs(net.testnet);
    observers.showLogs();
  }),
);

it('syncs from genesis, is ready, follows the head, serves what it has, and takes no transactions', async () => {
  const accepted = await observers.ordered(60);
  const observer = await observers.start('observer');
  await waitReady([observer]);
  await waitTransactionsFinal(observer, accepted);
  const height = await finalHeightOf(observer);
  await waitFinalHeight(observer, height + 5);
  await expectSameChain([...net.testnet.nodes, observer]);
  const status = await rpcCall(observer.rpcUrl, 'squad_getCertificate', ['final'], z.looseObject({}));
  expect(status).toHaveProperty('certificate');
  const refused = rpcCall(observer.rpcUrl, 'squad_sendTransactions', [CHAIN_ID, ['0x00']], z.unknown());
  expect(JSON.stringify(await refused.catch((error: unknown) => String(error)))).toMatch(/no lane of its own/);
  for (const node of net.testnet.nodes) expect(await metricOf(node, 'squad_network_misbehaved_peers_total')).toBe(0);
});

it('begins at a checkpoint of a later epoch, holds what came after it, and goes on there after a kill', async () => {
  await observers.ordered(60);
  const [node] = net.testnet.nodes as [TestnetProcess];
  // An epoch may just have ended, which is no place to begin at.
  const { stdout, stderr } = await waitFor(
    'a checkpoint',
    () => promisify(execFile)(process.execPath, [SQUAD_MAIN, 'checkpoint', '--rpc', node.rpcUrl]),
    30_000,
    500,
  );
  const file = JSON.parse(stdout) as { height: number; blockHash: string; handOvers?: string[] };
  const { height, blockHash, handOvers } = file;
  expect(handOvers?.length).toBe(Math.floor((height - 1) / LENGTH));
  expect(stderr).toContain(blockHash);
  const checkpoint = join(net.testnet.directory, 'checkpoint.json');
  writeFileSync(checkpoint, stdout);
  const accepted = await observers.ordered(20);
  const observer = await observers.start('late', { checkpoint });
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
