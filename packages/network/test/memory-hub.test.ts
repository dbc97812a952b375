/** What the memory hub adds for tests: delays, loss and cuts that repeat with a seed. */

import { afterEach, describe, expect, it } from 'vitest';
import { MemoryHub } from '../src/index.ts';
import { Cluster, memoryImplementation, numbered, numberOf } from './cluster.ts';
import { random } from './random.ts';

/** A clock that moves only when it is told to. */
function virtualTime() {
  let nowMs = 0;
  let tasks: { atMs: number; callback: () => void }[] = [];
  return {
    now: () => nowMs,
    schedule: (delayMs: number, callback: () => void) => {
      const task = { atMs: nowMs + delayMs, callback };
      tasks.push(task);
      return () => {
        tasks = tasks.filter((other) => other !== task);
      };
    },
    async run(untilMs: number) {
      for (;;) {
        const next = tasks.reduce((a, b) => (b.atMs < a.atMs ? b : a), {
          atMs: Number.POSITIVE_INFINITY,
          callback: () => {},
        });
        if (next.atMs > untilMs) break;
        nowMs = next.atMs;
        tasks = tasks.filter((task) => task !== next);
        next.callback();
        await Promise.resolve();
      }
      nowMs = untilMs;
    },
  };
}

describe('memory hub', () => {
  let cluster: Cluster;
  afterEach(() => cluster.stop());

  async function run(seed: number): Promise<number[]> {
    const time = virtualTime();
    const draw = random(seed);
    const hub = new MemoryHub({
      schedule: time.schedule,
      random: () => draw(1_000) / 1_000,
      delayMs: () => 5 + draw(50),
      loss: 0,
    });
    cluster = await Cluster.create(memoryImplementation(hub), 2);
    cluster.nodes.push(await cluster.node(0), await cluster.node(1));
    for (const { network } of cluster.nodes) await network.start();
    await time.run(100);
    hub.loss = 0.3;
    for (let i = 0; i < 100; i++) cluster.nodes[0]!.network.send(1, 'consensus', numbered(i, 4));
    await time.run(1_000);
    return cluster.nodes[1]!.journal.framesOn('consensus').map(numberOf);
  }

  it('loses a share, keeps the order, and repeats with its seed', async () => {
    const first = await run(7);
    expect(first.length).toBeGreaterThan(50);
    expect(first.length).toBeLessThan(90);
    expect(first).toEqual(first.toSorted((a, b) => a - b));
    expect(await run(7)).toEqual(first);
    expect(await run(8)).not.toEqual(first);
  });

  it('times requests out on the injected clock', async () => {
    const time = virtualTime();
    const hub = new MemoryHub({ schedule: time.schedule });
    cluster = await Cluster.create(memoryImplementation(hub), 2);
    cluster.nodes.push(await cluster.node(0), await cluster.node(1));
    for (const { network } of cluster.nodes) await network.start();
    await time.run(1);
    cluster.nodes[1]!.journal.onRequest = () => new Promise(() => {});
    const answer = cluster.nodes[0]!.network.request(1, 'block', Uint8Array.of(1));
    const rejected = expect(answer).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' });
    await time.run(6_000);
    await rejected;
  });

  it('cuts and heals a link', async () => {
    const hub = new MemoryHub();
    cluster = await Cluster.meshed(memoryImplementation(hub), 3);
    const [a, b] = cluster.nodes;
    hub.cut(a!.network.peerId, b!.network.peerId);
    expect(a!.network.connectedValidators).toEqual([2]);
    expect(b!.network.connectedValidators).toEqual([2]);
    hub.heal(a!.network.peerId, b!.network.peerId);
    await cluster.mesh();
    expect(a!.journal.events.filter((event) => event.endsWith(' 1'))).toEqual([
      'connected 1',
      'disconnected 1',
      'connected 1',
    ]);
  });
});
