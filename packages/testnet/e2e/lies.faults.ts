/** A node that takes in the chain gets there though one validator of four lies to it, or never answers. */

import { afterEach, beforeEach, expect, it } from 'vitest';
import { ManagedProcess, observe, waitFor } from '../src/index.ts';
import type { Load } from './load.ts';
import { LIAR, Observers } from './observers.ts';
import { expectSameChain, launch, metricOf, type RunningNet, showLogs, waitTransactionsFinal } from './support.ts';

const MISBEHAVED = 'squad_network_misbehaved_peers_total';

let net: RunningNet;
let observers: Observers;
let load: Load | undefined;

beforeEach(async () => {
  net = await launch();
  observers = new Observers(net.testnet);
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') {
    showLogs(net.testnet);
    observers.showLogs();
  }
  await load?.stop();
  load = undefined;
  await observers.stop();
  await net?.close();
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
  observers.processes.push(liar);
  await liar.start();
  const accepted = await observers.ordered(80);
  const observer = await observers.start('observer');
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
  load = observers.startLoad();
  await waitFor('the liar is disconnected', async () => ((await metricOf(observer, MISBEHAVED)) ?? 0) > 0, 60_000);
  await expectSameChain([...net.testnet.nodes.slice(0, LIAR), observer]);
});
