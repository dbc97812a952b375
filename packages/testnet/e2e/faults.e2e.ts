/**
 * Processes are killed under load, some or all of them; what was accepted stays, and what must not happen does not. The
 * tests share one network and follow one another, as faults do.
 */

import { rpcCall } from '@squad/service';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { type TestnetProcess, waitFor } from '../src/index.ts';
import { ACCOUNTS, Signer } from './accounts.ts';
import { startLoad } from './load.ts';
import {
  chainOf,
  expectNoDoubleVotes,
  expectSameChain,
  finalHeightOf,
  launch,
  type RunningNet,
  showLogsOnFailure,
  signersOfLatest,
  statusOf,
  waitFinalHeight,
  waitReady,
  waitTransactionsFinal,
  watchGaps,
} from './support.ts';

const CHAIN_ID = 901;
/** The longest time without a new final block that one crash may cause. */
const MAX_GAP_MS = 3_000;
/** How long nothing may become final while there is no quorum. */
const STANDSTILL_MS = 4_000;

let net: RunningNet;
const nonces = new Map<number, number>();

beforeAll(async () => {
  net = await launch();
});
afterAll(() => net?.close());
beforeEach(() => showLogsOnFailure(net.testnet));

const nodes = () => net.testnet.nodes;
const node = (index: number) => nodes()[index]!;

const RollupBlock = z.object({ number: z.string(), hash: z.string(), stateRoot: z.string() });
const rollupBlock = (tag: string) =>
  rpcCall(net.testnet.rollupNodes[0]!.rpcUrl, 'eth_getBlockByNumber', [tag, false], RollupBlock);

it('bears the crash of one sequencer under load, which then comes back and votes', async () => {
  const load = startLoad(nodes(), CHAIN_ID, nonces);
  const watch = watchGaps(node(0));
  await waitFinalHeight(node(0), (await finalHeightOf(node(0))) + 5);

  await net.testnet.kill('sequencer-2', 'SIGKILL');
  const atCrash = await finalHeightOf(node(0));
  await waitFinalHeight(node(0), atCrash + 20, 60_000);
  expect(await watch.longestMs(), 'time without a new final block, ms').toBeLessThanOrEqual(MAX_GAP_MS);

  await net.testnet.restart('sequencer-2');
  await waitReady([node(2)]);
  await load.stop();
  const kept = [0, 1, 3].flatMap((index) => [...load.accepted(`sequencer-${index}`)]);
  expect(kept.length).toBeGreaterThan(100);
  await Promise.all(nodes().map((one) => waitTransactionsFinal(one, kept)));
  await waitFor('sequencer-2 votes again', async () => (await signersOfLatest(node(0))).includes(2), 30_000, 200);
  await expectNoDoubleVotes(nodes());
  await expectSameChain(nodes());
});

it('goes on after every process was killed at once', async () => {
  const load = startLoad(nodes(), CHAIN_ID, nonces);
  await waitFinalHeight(node(1), (await finalHeightOf(node(1))) + 5);
  const before = await finalHeightOf(node(1));
  const chainBefore = await chainOf(node(1), before);
  const headBefore = await rollupBlock('latest');
  await Promise.all(net.testnet.processes.map(({ name }) => net.testnet.kill(name, 'SIGKILL')));
  await load.stop();
  const accepted = nodes().flatMap(({ name }) => [...load.accepted(name)]);

  await Promise.all(net.testnet.processes.map(({ name }) => net.testnet.restart(name)));
  await waitReady(net.testnet.processes);
  expect(await chainOf(node(1), before)).toEqual(chainBefore);
  expect(await rollupBlock(headBefore.number)).toEqual(headBefore);
  // Accepted is durable: not even a crash of everything loses it.
  await waitTransactionsFinal(node(1), accepted);
  await sendOne(node(3), 8);
  await expectNoDoubleVotes(nodes());
  expect(await expectSameChain(nodes())).toBeGreaterThan(before);
});

it('stops without a quorum, says so, and goes on when it is back', async () => {
  await Promise.all(['sequencer-1', 'sequencer-2'].map((name) => net.testnet.kill(name, 'SIGKILL')));
  const live = [node(0), node(3)];
  await Promise.all(
    live.map((one) =>
      waitFor(
        `${one.name} says that it is not ready`,
        async () => {
          const { ready, reasons } = await statusOf(one);
          return !ready && reasons.length > 0 && (await fetch(`${one.metricsUrl}/health/ready`)).status === 503;
        },
        20_000,
      ),
    ),
  );
  const stopped = await Promise.all(live.map(finalHeightOf));
  // Nothing happens is what is awaited here: there is no event for it.
  await new Promise((resolve) => setTimeout(resolve, STANDSTILL_MS));
  expect(await Promise.all(live.map(finalHeightOf))).toEqual(stopped);

  await net.testnet.restart('sequencer-1');
  await waitFinalHeight(node(0), stopped[0]! + 3, 60_000);
  await waitReady([node(0), node(1), node(3)]);
  await sendOne(node(0), 7);
  await net.testnet.restart('sequencer-2');
  await waitReady([node(2)]);
  await expectNoDoubleVotes(nodes());
});

it('leaves every node with the same blocks and the rollup node with the same head', async () => {
  const height = await expectSameChain(nodes());
  expect(height).toBeGreaterThan(30);
  await waitReady(net.testnet.rollupNodes);
});

/** One transaction of an account that no load uses becomes final. */
async function sendOne(to: TestnetProcess, accountIndex: number): Promise<void> {
  const signer = new Signer(ACCOUNTS[accountIndex]!, CHAIN_ID, nonces.get(accountIndex) ?? 0);
  const { raw, hash } = await signer.sign({ to: ACCOUNTS[9]!.address, value: 1n });
  await rpcCall(to.rpcUrl, 'eth_sendRawTransaction', [raw], z.string());
  nonces.set(accountIndex, signer.nonce);
  await waitTransactionsFinal(to, [hash], 30_000);
}
