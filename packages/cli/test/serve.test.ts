/** A node that cannot start ends: nothing that it had opened by then is left open. One that fails later says why. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { SquadError } from '@squad/types';
import { expect, it, onTestFinished, vi } from 'vitest';
import { serve } from '../src/serve.ts';
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

it.each([
  ['that was foreseen: what to do, no stack', new SquadError('CODE', 'no chain', 'Start it anew.'), false],
  ['that was not: with its stack', new TypeError('no chain'), true],
])('a failure while it serves %s', async (_, error, withStack) => {
  vi.stubEnv('SQUAD_DEBUG', undefined);
  const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  onTestFinished(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });
  const ended = serve(async () => ({ stop: async () => undefined }));
  process.listeners('uncaughtException').at(-1)!(error, 'uncaughtException');
  const shown = write.mock.calls.join('');
  process.listeners('SIGTERM').at(-1)!('SIGTERM');
  await ended;
  expect(exit).toHaveBeenCalledWith(1);
  expect(shown).toContain('error: no chain');
  expect(shown.includes('serve.test.ts')).toBe(withStack);
});
