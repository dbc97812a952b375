/**
 * Validators in network namespaces of their own: a cable is pulled, the network is split in halves, a link comes and goes.
 * No connection is closed by it: that a peer is gone shows in what does not come. Run by `npm run faults`, as root.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Load, startLoad } from './load.ts';
import { Namespaces, whyNoNamespaces } from './namespaces.ts';
import {
  expectAllWell,
  finalHeightOf,
  launch,
  type RunningNet,
  showLogsOnFailure,
  waitFinalHeight,
  watchGaps,
} from './support.ts';

const CHAIN_ID = 901;
const MAX_GAP_MS = 3_000;
/** How long nothing may become final without a quorum. */
const STANDSTILL_MS = 8_000;

const obstacle = whyNoNamespaces();
if (obstacle !== undefined) console.warn(`skipped, no network namespaces here: ${obstacle}`);

describe.skipIf(obstacle !== undefined)('four validators, each with a network of its own', () => {
  let namespaces: Namespaces;
  let net: RunningNet;
  let load: Load;
  const nonces = new Map<number, number>();
  const node = (index: number) => net.testnet.nodes[index]!;

  beforeAll(async () => {
    namespaces = new Namespaces(4);
    const placeOf = (name: string) => namespaces.placeOf(Number(name.split('-')[1]));
    net = await launch({ rollupKind: 'evm', placeOf: (name) => (name.startsWith('rollup') ? HERE : placeOf(name)) });
  });
  afterAll(async () => {
    namespaces?.heal();
    await net?.close();
    namespaces?.remove();
  });
  beforeEach(async () => {
    showLogsOnFailure(net.testnet);
    load = startLoad(net.testnet.nodes, CHAIN_ID, nonces);
    await waitFinalHeight(node(0), (await finalHeightOf(node(0))) + 5);
  });
  afterEach(async () => {
    namespaces.heal();
    await load.stop();
  });

  it('bear a pulled cable, and the one behind it is back when it is in again', async () => {
    const watch = watchGaps(node(0));
    namespaces.pullCable(3);
    await waitFinalHeight(node(0), (await finalHeightOf(node(0))) + 40, 90_000);
    expect(await watch.longestMs(), 'time without a new final block, ms').toBeLessThanOrEqual(MAX_GAP_MS);
    namespaces.heal();
    await expectAllWell(net, load, [0, 1, 2, 3]);
  });

  it('stop when they are split in halves, and go on when they are not', async () => {
    namespaces.splitOff([2, 3]);
    // What was under way may still become final.
    await sleep(1_000);
    const before = await finalHeightOf(node(0));
    await sleep(STANDSTILL_MS);
    expect(await finalHeightOf(node(0))).toBe(before);
    expect(await finalHeightOf(node(1))).toBeLessThanOrEqual(before);
    namespaces.heal();
    await waitFinalHeight(node(0), before + 10, 60_000);
    await expectAllWell(net, load, [0, 1, 2, 3]);
  });

  it('bear a link that comes and goes', async () => {
    for (let i = 0; i < 6; i++) {
      namespaces.pullCable(1);
      await sleep(1_500);
      namespaces.heal();
      await sleep(1_500);
    }
    await expectAllWell(net, load, [0, 1, 2, 3]);
  });
});

const HERE = { host: '127.0.0.1', within: [] };
