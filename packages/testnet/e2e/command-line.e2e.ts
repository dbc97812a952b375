/** `squad testnet` as a person or a script runs it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rpcCall } from '@squad/service';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { isAlive, pathsOf, readState, type TestnetState, waitFor } from '../src/index.ts';
import { ACCOUNTS, Signer } from './accounts.ts';
import { SQUAD_MAIN } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'squad-cli-e2e-'));
const directory = join(folder, 'net');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Running {
  readonly child: ChildProcess;
  output(): string;
  readonly exit: Promise<number | null>;
}

function squad(...args: string[]): Running {
  const child = spawn(process.execPath, [SQUAD_MAIN, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    output += chunk;
  });
  onTestFinished(() => void child.kill('SIGTERM'));
  return { child, output: () => output, exit: new Promise((resolve) => child.on('close', resolve)) };
}

const testnet = (...args: string[]) => squad('testnet', '--dir', directory, '--free-ports', ...args);

async function running(process: Running): Promise<TestnetState> {
  let ended = false;
  void process.exit.then(() => {
    ended = true;
  });
  await waitFor(
    'all nodes are ready',
    () => {
      if (ended) throw new Error(process.output());
      return process.output().includes('All nodes are ready');
    },
    60_000,
  );
  return readState(directory);
}

it('starts, orders a transaction, answers status, refuses a second start, stops on SIGINT', async () => {
  const first = testnet();
  const state = await running(first);
  const output = first.output();
  for (const { name, rpcUrl } of state.processes) {
    expect(output).toContain(name);
    expect(output).toContain(rpcUrl);
  }
  for (const { address } of ACCOUNTS) expect(output.toLowerCase()).toContain(address.toLowerCase());
  expect(output).toContain('test test test test test test test test test test test junk');
  // No terminal, no escape sequences.
  expect(output).not.toContain('\x1b');

  const signer = new Signer(ACCOUNTS[0]!, 901);
  const { raw, hash } = await signer.sign({ to: ACCOUNTS[1]!.address, value: 1n });
  await rpcCall(state.rollups[0]!.rpcUrl, 'eth_sendRawTransaction', [raw], z.string());
  const Receipt = z.object({ status: z.literal('0x1') });
  await waitFor('a receipt', () => rpcCall(state.rollups[0]!.rpcUrl, 'eth_getTransactionReceipt', [hash], Receipt));

  const status = squad('status', '--dir', directory, '--json');
  expect(await status.exit).toBe(0);
  const rows = JSON.parse(status.output()) as { name: string; state: string; finalHeight: number }[];
  expect(rows.map(({ state: is }) => is)).toEqual(['ready', 'ready', 'ready', 'ready', 'ready']);
  expect(rows[0]!.finalHeight).toBeGreaterThan(0);

  const second = testnet('--reset');
  expect(await second.exit).toBe(1);
  expect(second.output()).toMatch(/error: a testnet already runs in[\s\S]*remedy: /);

  first.child.kill('SIGINT');
  expect(await first.exit).toBe(0);
  expect(state.processes.some(({ pid }) => isAlive(pid!))).toBe(false);
  expect((await readState(directory)).state).toBe('stopped');
});

it('goes on from its data, and says what a dead process said', async () => {
  const again = testnet();
  const state = await running(again);
  const Block = z.object({ height: z.number(), stage: z.literal('final') });
  expect(await rpcCall(state.processes[0]!.rpcUrl, 'squad_getBlock', [1], Block)).toMatchObject({ height: 1 });
  process.kill(state.processes[3]!.pid!, 'SIGKILL');
  await waitFor('the notice', () => again.output().includes('sequencer-3 ended (signal SIGKILL)'), 10_000);
  expect(again.output()).toContain(pathsOf(directory).process('sequencer-3').configPath);
  again.child.kill('SIGTERM');
  expect(await again.exit).toBe(0);
});

it('ends with the child’s words if its data are corrupt', async () => {
  const { nodeKeyPath } = pathsOf(directory).process('sequencer-1');
  const text = readFileSync(nodeKeyPath, 'utf8');
  truncateSync(nodeKeyPath, 10);
  const broken = testnet();
  expect(await broken.exit).toBe(1);
  expect(broken.output()).toMatch(/error: sequencer-1 ended while it started \(exit code 1\)/);
  expect(broken.output()).toContain(nodeKeyPath);
  expect(broken.output()).not.toMatch(/\n\s+at .*\(/);
  writeFileSync(nodeKeyPath, text);
});

it('names the port that is taken, who wanted it and the option that moves it', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const refused = squad('testnet', '--dir', directory, '--rpc-port-base', String(port));
  expect(await refused.exit).toBe(1);
  expect(refused.output()).toMatch(new RegExp(`error: port ${port}, wanted by rollup-901.*another program listens`));
  expect(refused.output()).toMatch(/remedy: .*--rpc-port-base/);
});

it('says what is wrong with a store that was changed on disk', async () => {
  const store = join(pathsOf(directory).process('sequencer-0').dataDirectory, 'store');
  const segment = readdirSync(store, { recursive: true })
    .map((file) => join(store, String(file)))
    .find((file) => /[\\/]log[\\/]/.test(file) && statSync(file).isFile() && statSync(file).size > 4_096);
  const bytes = readFileSync(segment!);
  const changed = Buffer.from(bytes);
  changed.fill(0xff, 200, 260);
  writeFileSync(segment!, changed);
  const refused = testnet();
  expect(await refused.exit).toBe(1);
  expect(refused.output()).toMatch(/error: sequencer-0 ended while it started/);
  expect(refused.output()).toContain(segment);
  expect(refused.output()).not.toMatch(/\n\s+at .*\(/);
  writeFileSync(segment!, bytes);
});

it('says nothing when who reads its output has seen enough', async () => {
  const help = squad('help', 'sequencer');
  help.child.stdout?.destroy();
  expect(await help.exit).toBe(0);
  expect(help.output()).toBe('');
});

it.each([
  [['--nodes', '7'], /--nodes 7: the testnet in .* has 4[\s\S]*--reset/],
  [['--nodes', '3'], /--nodes 3: a testnet has 1 sequencer, or 4 to 16/],
  [['--nodes', 'four'], /the option nodes .*"four"/],
  [['--rpc-port-base', '99999'], /the option rpcPortBase .*99999/],
  [['--dir', '/'], /holds files but no testnet/],
])('refuses %j', async (args, message) => {
  const refused = testnet(...args);
  expect(await refused.exit).toBe(1);
  expect(refused.output()).toMatch(message);
  expect(refused.output()).toContain('remedy:');
});

it('begins anew with --reset, here with one sequencer and two rollups that are apart', async () => {
  const before = (await readState(directory)).networkId;
  const anew = testnet('--nodes', '1', '--rollups', '2', '--reset');
  const state = await running(anew);
  expect(state.networkId).not.toBe(before);
  expect(state.rollups.map(({ chainId }) => chainId)).toEqual([901, 902]);
  for (const { rpcUrl, chainId } of state.rollups) {
    expect(await rpcCall(rpcUrl, 'eth_chainId', [], z.string())).toBe(`0x${chainId.toString(16)}`);
  }
  const [first, second] = state.rollups.map(({ rpcUrl }) => rpcUrl);
  const { raw, hash } = await new Signer(ACCOUNTS[0]!, 902).sign({ to: ACCOUNTS[1]!.address, value: 1n });
  await rpcCall(second!, 'eth_sendRawTransaction', [raw], z.string());
  const Receipt = z.object({ status: z.literal('0x1') });
  await waitFor('a receipt on 902', () => rpcCall(second!, 'eth_getTransactionReceipt', [hash], Receipt));
  expect(await rpcCall(first!, 'eth_getTransactionReceipt', [hash], z.null())).toBeNull();
  await expect(rpcCall(first!, 'eth_sendRawTransaction', [raw], z.string())).rejects.toThrow(/chain/i);
  anew.child.kill('SIGINT');
  expect(await anew.exit).toBe(0);
});
