/**
 * Real processes that follow an L1 (R24), each by an endpoint of its own: anchors go on when one endpoint dies, when that of
 * another validator shows a fork, and after a crash; what is sent is ordered all the while.
 */

import { FakeL1, type FakeL1Endpoint, serveFakeL1 } from '@squad/sequencer/testing';
import { rpcCall } from '@squad/service';
import { toHex } from '@squad/types';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { type TestnetProcess, waitFor } from '../src/index.ts';
import { finalHeightOf, launch, type RunningNet, showLogsOnFailure, waitFinalHeight, waitReady } from './support.ts';

/** A view that is lost on a slow machine makes all wait with their anchors. */
const WAIT_MS = 120_000;
const MINE_INTERVAL_MS = 250;

let net: RunningNet;
const chain = new FakeL1(20);
/** By the number of the sequencer. */
const endpoints: FakeL1Endpoint[] = [];
let mining: NodeJS.Timeout;

beforeAll(async () => {
  for (let i = 0; i < 4; i++) endpoints.push(await serveFakeL1(chain));
  mining = setInterval(() => chain.mine(), MINE_INTERVAL_MS);
  net = await launch({
    l1RpcOf: (name) => endpoints[Number(name.replace('sequencer-', ''))]!.url,
    sequencerOptions: { heartbeatMs: 250 },
  });
});
afterAll(async () => {
  clearInterval(mining);
  await net?.close();
  for (const endpoint of endpoints) await endpoint.close();
});
beforeEach(() => showLogsOnFailure(net.testnet));

const Anchor = z.object({ number: z.number(), hash: z.string() });
const Header = z.object({ height: z.number(), l1Anchor: Anchor });
const node = (index: number) => net.testnet.nodes[index]!;
const blockOf = (one: TestnetProcess, height: number) => rpcCall(one.rpcUrl, 'squad_getBlock', [height], Header);

async function anchorOf(one: TestnetProcess): Promise<number> {
  const status = z.object({ final: z.object({ l1Anchor: Anchor }) });
  return (await rpcCall(one.rpcUrl, 'squad_status', [], status)).final.l1Anchor.number;
}

async function waitAnchor(one: TestnetProcess, number: number): Promise<void> {
  await waitFor(
    `${one.name} has anchor ${number}`,
    async () => {
      const now = await anchorOf(one);
      if (now < number) throw new Error(`it has ${now}`);
      return true;
    },
    WAIT_MS,
    100,
  );
}

/** Of all final blocks: on the one chain, and never down. */
async function expectAnchors(one: TestnetProcess): Promise<void> {
  const height = await finalHeightOf(one);
  let before = 0;
  for (let at = 1; at <= height; at++) {
    const { number, hash } = (await blockOf(one, at)).l1Anchor;
    expect(number).toBeGreaterThanOrEqual(before);
    expect(hash).toBe(toHex(chain.idOf(number).hash));
    before = number;
  }
}

it('every block has an anchor, and it advances with the L1', async () => {
  const first = (await blockOf(node(0), 1)).l1Anchor;
  expect(first.number).toBeGreaterThan(0);
  await Promise.all(net.testnet.nodes.map((one) => waitAnchor(one, first.number + 2)));
});

it('goes on when one endpoint dies, and when its validator comes back to one that shows a fork', async () => {
  await endpoints[3]!.close();
  await waitAnchor(node(0), (await anchorOf(node(0))) + 3);
  const log = () => node(3).process.logTail(10_000);
  await waitFor('the log says so', () => log().includes('the L1 endpoint does not answer well'), WAIT_MS);
  const fork = chain.copy();
  const port = Number(new URL(endpoints[3]!.url).port);
  endpoints[3] = await serveFakeL1(fork, port);
  fork.mine(10);
  const height = await finalHeightOf(node(3));
  await waitFor('it is asked', () => endpoints[3]!.asked.length > 0, WAIT_MS);
  await waitFinalHeight(node(3), height + 8, WAIT_MS);
  endpoints[3]!.chain = chain;
});

it('goes on after a crash of one validator, from the anchor that the others have', async () => {
  await net.testnet.kill('sequencer-1', 'SIGKILL');
  const before = await anchorOf(node(0));
  await net.testnet.restart('sequencer-1');
  await waitReady([node(1)]);
  await Promise.all(net.testnet.nodes.map((one) => waitAnchor(one, before + 3)));
  await Promise.all(net.testnet.nodes.map(expectAnchors));
});
