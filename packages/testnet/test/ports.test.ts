/** Ports: distinct, free, and a clear word when one is not. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { assignPorts, LOOPBACK } from '../src/ports.ts';

const FREE = { rollupRpc: 0, sequencerRpc: 0, sequencerP2p: 0, metrics: 0 };

async function listen(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

it('finds free ports, each once', async () => {
  const ports = await assignPorts(['sequencer-0', 'sequencer-1'], ['rollup-901'], FREE);
  const all = [...ports.values()]
    .flatMap((one) => [one.rpc, one.p2p, one.metrics])
    .filter((port) => port !== undefined);
  expect(new Set(all).size).toBe(8);
  expect(ports.get('rollup-901')?.p2p).toBeUndefined();
});

it('counts up from a base', async () => {
  const base = (await assignPorts(['sequencer-0'], [], FREE)).get('sequencer-0')!.rpc;
  const ports = await assignPorts(['sequencer-0'], [], { ...FREE, sequencerRpc: base });
  expect(ports.get('sequencer-0')?.rpc).toBe(base);
});

it('names a taken port, who wanted it and the option that moves it', async () => {
  const port = await listen();
  await expect(assignPorts(['sequencer-0'], ['rollup-901'], { ...FREE, rollupRpc: port })).rejects.toMatchObject({
    code: 'PORT_TAKEN',
    message: expect.stringMatching(new RegExp(`port ${port}.*rollup-901.*another program listens`)),
    remedy: expect.stringContaining('--rpc-port-base'),
  });
});

it('refuses ranges that overlap or leave the ports that exist', async () => {
  const sequencers = ['sequencer-0', 'sequencer-1'];
  await expect(
    assignPorts(sequencers, [], { ...FREE, sequencerRpc: 28_101, sequencerP2p: 28_102 }),
  ).rejects.toMatchObject({
    message: expect.stringContaining('28102'),
  });
  await expect(assignPorts(sequencers, [], { ...FREE, sequencerRpc: 65_535 })).rejects.toMatchObject({
    message: expect.stringContaining('beyond 65535'),
  });
});
