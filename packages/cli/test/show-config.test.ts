/** `squad show-config`: values and where they came from; `--config` and its mistakes. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { squad, temporaryDirectory } from './support.ts';

interface Row {
  name: string;
  value: string;
  origin: string;
}

async function rows(...argv: string[]): Promise<Record<string, Row>> {
  const { code, stdout, stderr } = await squad('show-config', 'testnet', '--json', ...argv);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return Object.fromEntries((JSON.parse(stdout) as Row[]).map((row) => [row.name, row]));
}

it('a flag wins over the environment, the environment over the file, the file over the default', async () => {
  const path = join(temporaryDirectory(), 'net.yaml');
  writeFileSync(path, 'nodes: 5\nrollups: 3\nlogLevel: debug\n');
  process.env.SQUAD_TESTNET_NODES = '6';
  process.env.SQUAD_TESTNET_ROLLUPS = '2';
  onTestFinished(() => {
    delete process.env.SQUAD_TESTNET_NODES;
    delete process.env.SQUAD_TESTNET_ROLLUPS;
  });
  const found = await rows('--config', path, '--nodes', '7');
  expect(found.nodes).toMatchObject({ value: '7', origin: 'flag --nodes' });
  expect(found.rollups).toMatchObject({ value: '2', origin: 'environment SQUAD_TESTNET_ROLLUPS' });
  expect(found.logLevel).toMatchObject({ value: '"debug"', origin: `file ${path}` });
  expect(found.rpcPortBase).toMatchObject({ value: '8545', origin: 'default' });
});

it('takes the file from the environment', async () => {
  const path = join(temporaryDirectory(), 'net.json');
  writeFileSync(path, '{"nodes": 9}');
  process.env.SQUAD_CONFIG = path;
  onTestFinished(() => {
    delete process.env.SQUAD_CONFIG;
  });
  expect((await rows()).nodes).toMatchObject({ value: '9', origin: `file ${path}` });
});

it.each(['sequencer', 'rollup-node'])('a %s has a line for people unless it is told not to', async (role) => {
  const required = ['--genesis=g', '--rollup=r', '--data-directory=d', '--node-key=k'];
  const given = role === 'sequencer' ? required.filter((flag) => !flag.startsWith('--rollup')) : required;
  const { stdout } = await squad('show-config', role, ...given);
  expect(stdout).toMatch(/^statusSeconds +30 +default$/m);
});

it('prints a table for people', async () => {
  const { stdout } = await squad('show-config', 'testnet', '--nodes', '7');
  expect(stdout).toMatch(/^option +value +from\nnodes +7 +flag --nodes\n/);
});

it('shows all options and which are missing, before it fails for them', async () => {
  const { code, stdout, stderr } = await squad('show-config', 'sequencer', '--genesis', 'g', '--rpc-port=1');
  expect(code).toBe(1);
  expect(stdout).toMatch(/^genesis +"g" +flag --genesis$/m);
  expect(stdout).toMatch(/^dataDirectory +<missing> +give --data-directory or SQUAD_DATA_DIRECTORY$/m);
  expect(stdout).toMatch(/^rpcPort +1 +flag --rpc-port$/m);
  expect(stderr).toMatch(/^error: .*: dataDirectory, nodeKey\nremedy: Give --data-directory, --node-key, /);
});

it('shows options that do not go together, before it fails for them as the node does', async () => {
  const required = ['--genesis=g', '--rollup=r', '--data-directory=d'];
  const { code, stdout, stderr } = await squad('show-config', 'rollup-node', ...required, '--submit=rpc');
  expect([code, stderr]).toEqual([1, expect.stringContaining('sequencerRpc names no sequencer')]);
  expect(stdout).toMatch(/^submit +"rpc" +flag --submit$/m);
});
