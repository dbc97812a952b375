/**
 * Real processes from epoch to epoch (R22): validators leave and join, one is killed and away for three epochs, sets come
 * from the genesis file and from an operator's file. What any of them accepted is final everywhere, on one chain.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVoteScheme, verifyHandOver } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import { rpcCall } from '@squad/service';
import { decodeHandOverProof, fromHex, type GenesisFile, lastHeightOf, parseGenesis } from '@squad/types';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { type TestnetProcess, waitFor } from '../src/index.ts';
import { startLoad } from './load.ts';
import {
  expectNoDoubleVotes,
  expectSameChain,
  finalHeightOf,
  launch,
  type RunningNet,
  showLogsOnFailure,
  waitReady,
  waitTransactionsFinal,
} from './support.ts';

const CHAIN_ID = 901;
const LENGTH = 32;
const members = (...sequencers: number[]) => sequencers.map((sequencer) => ({ sequencer }));

let net: RunningNet;
const folder = mkdtempSync(join(tmpdir(), 'squad-epochs-'));
/** What the operators agree on: the same file at all of them here. */
const schedulePath = join(folder, 'validator-schedule.json');
const nonces = new Map<number, number>();

beforeAll(async () => {
  writeFileSync(schedulePath, JSON.stringify({ version: 1, validatorSchedule: [] }));
  net = await launch({
    nodes: 5,
    epochs: {
      lengthBlocks: LENGTH,
      sets: [
        { fromEpoch: 0, members: members(0, 1, 2, 3) },
        { fromEpoch: 1, members: members(4, 1, 0, 2) },
      ],
    },
    sequencerOptions: { heartbeatMs: 250, validatorSchedule: schedulePath },
  });
});
afterAll(async () => {
  await net?.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => showLogsOnFailure(net.testnet));

const node = (index: number) => net.testnet.nodes[index]!;
const Status = z.object({ epoch: z.number(), validatorIndex: z.number().nullable() });
const statusOf = (one: TestnetProcess) => rpcCall(one.rpcUrl, 'squad_status', [], Status, { timeoutMs: 5_000 });

async function waitEpoch(nodes: readonly TestnetProcess[], epoch: number): Promise<void> {
  for (const one of nodes) {
    await waitFor(
      `${one.name} is in epoch ${epoch}`,
      async () => {
        const { epoch: now } = await statusOf(one);
        if (now < epoch) throw new Error(`it is in epoch ${now}`);
        return true;
      },
      120_000,
      100,
    );
  }
}

async function expectAllFinal(accepted: readonly string[]): Promise<void> {
  await Promise.all(net.testnet.nodes.map((one) => waitTransactionsFinal(one, accepted)));
  await expectNoDoubleVotes(net.testnet.nodes);
  await expectSameChain(net.testnet.nodes);
}

it('takes in a validator that joins, and loses nothing of one that leaves', async () => {
  const { nodes } = net.testnet;
  expect((await statusOf(node(4))).validatorIndex).toBeNull();
  const load = startLoad(nodes.slice(0, 4), CHAIN_ID, nonces);
  await waitEpoch(nodes, 1);
  expect((await Promise.all(nodes.map(statusOf))).map(({ validatorIndex }) => validatorIndex)).toEqual([
    2,
    1,
    3,
    null,
    0,
  ]);
  await load.stop();
  const accepted = nodes.slice(0, 4).flatMap(({ name }) => [...load.accepted(name)]);
  expect(load.accepted('sequencer-3').length).toBeGreaterThan(20);
  await expectAllFinal(accepted);
});

it('takes back a validator that was killed and away for three epochs', async () => {
  const { nodes } = net.testnet;
  const { epoch } = await statusOf(node(0));
  const load = startLoad([node(0), node(1), node(4)], CHAIN_ID, nonces);
  await net.testnet.kill('sequencer-2', 'SIGKILL');
  await waitEpoch([node(0)], epoch + 3);
  await net.testnet.restart('sequencer-2');
  await waitEpoch([node(2)], epoch + 3);
  await waitReady(nodes);
  // It is needed now.
  await net.testnet.kill('sequencer-1', 'SIGKILL');
  const height = await finalHeightOf(node(0));
  await waitFor('it goes on', async () => (await finalHeightOf(node(0))) > height + 10, 60_000, 100);
  await net.testnet.restart('sequencer-1');
  await load.stop();
  await waitReady(nodes);
  await expectAllFinal(['sequencer-0', 'sequencer-4'].flatMap((name) => [...load.accepted(name)]));
});

it('goes over to the set that an operator’s file names, on which all agree, without a stop', async () => {
  const { nodes } = net.testnet;
  const { validators, validatorSchedule } = JSON.parse(readFileSync(net.testnet.genesisPath, 'utf8')) as GenesisFile;
  const byName = new Map([...validators, ...validatorSchedule![0]!.validators].map((one) => [one.name, one]));
  const fromEpoch = (await statusOf(node(0))).epoch + 2;
  const names = ['sequencer-3', 'sequencer-0', 'sequencer-1', 'sequencer-4', 'sequencer-2'];
  writeFileSync(
    schedulePath,
    JSON.stringify({
      version: 1,
      validatorSchedule: [{ fromEpoch, validators: names.map((name) => byName.get(name)) }],
    }),
  );
  const load = startLoad(nodes, CHAIN_ID, nonces);
  await waitEpoch(nodes, fromEpoch);
  const places = (await Promise.all(nodes.map(statusOf))).map(({ validatorIndex }) => validatorIndex);
  expect(places).toEqual([1, 2, 4, 0, 3]);
  await waitEpoch(nodes, fromEpoch + 1);
  await load.stop();
  await expectAllFinal(nodes.flatMap(({ name }) => [...load.accepted(name)]));
});

it('is followed by the proofs alone from genesis to now, and by the rollup node', async () => {
  const genesis = parseGenesis(JSON.parse(readFileSync(net.testnet.genesisPath, 'utf8')));
  if (!genesis.ok) throw genesis.error;
  const { networkId } = genesis.value;
  let { validatorSet } = genesis.value;
  const { epoch: now } = await statusOf(node(0));
  for (let epoch = 0; epoch < now; epoch++) {
    const bytes = await rpcCall(node(epoch % 5).rpcUrl, 'squad_getHandOver', [epoch], z.string());
    const proof = decodeHandOverProof(fromHex(bytes));
    if (!proof.ok) throw new Error(proof.error.reason);
    const scheme = createVoteScheme(blstBls, validatorSet);
    const context = { networkId, validatorSet, lastHeight: lastHeightOf(epoch, LENGTH), scheme };
    const next = verifyHandOver(proof.value, context);
    if (!next.ok) throw new Error(next.error.reason);
    validatorSet = next.value;
  }
  expect(validatorSet.validators).toHaveLength(5);
  const [rollupNode] = net.testnet.rollupNodes;
  const Followed = z.object({ ready: z.boolean(), epoch: z.number() });
  const followed = await rpcCall(rollupNode!.rpcUrl, 'squad_status', [], Followed);
  expect(followed).toMatchObject({ ready: true });
  expect(followed.epoch).toBeGreaterThanOrEqual(now);
});
