/** A node that cannot start ends: nothing that it had opened by then is left open. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { squad, temporaryDirectory } from './support.ts';

async function listen(port = 0): Promise<Server> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return server;
}

const portOf = (server: Server) => (server.address() as AddressInfo).port;

it.each(['rpc', 'metrics'])('a sequencer whose %s port is taken gives the other one free', async (taken) => {
  const folder = temporaryDirectory();
  const [keys, genesis] = [join(folder, 'keys'), join(folder, 'genesis.json')];
  await squad('keys', 'new', '--name', 'a', '--dir', keys);
  const validator = join(keys, 'validator.json');
  await squad('init', '--name', 'n', '--rollup', '901', '--validator', validator, '--output', genesis);
  const [busy, free] = [await listen(), await listen()];
  const [busyPort, freePort] = [portOf(busy), portOf(free)];
  await once(free.close(), 'close');
  const other = taken === 'rpc' ? 'metrics' : 'rpc';

  const { code, stderr } = await squad(
    'sequencer',
    ...['--genesis', genesis, '--data-directory', join(folder, 'data'), '--node-key', join(keys, 'node-key.json')],
    ...[`--${taken}-port=${busyPort}`, `--${other}-port=${freePort}`, '--log-level', 'silent'],
  );
  expect([code, stderr]).toEqual([1, expect.stringContaining(`port ${busyPort} on 127.0.0.1 is in use`)]);
  await expect(listen(freePort)).resolves.toBeDefined();
});
