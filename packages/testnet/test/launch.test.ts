/** The launcher, with stand-ins in place of nodes: files, states, faults and the end. */

import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkPossession } from '@squad/crypto';
import { blstBls, readKeystoreFile, readNodeKeyFile } from '@squad/crypto/node';
import { rpcCall } from '@squad/service';
import { parseGenesis, toHex } from '@squad/types';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import {
  isAlive,
  observe,
  pathsOf,
  readState,
  startTestnet,
  type Testnet,
  type TestnetOptions,
  waitFor,
} from '../src/index.ts';
import { FAILING_VARIABLE, standIn } from './stand-in.ts';
import { temporaryDirectory } from './support.ts';

function optionsFor(directory: string, more: Partial<TestnetOptions> = {}): TestnetOptions {
  return { directory: join(directory, 'net'), program: standIn(directory), nodes: 4, ports: 'free', ...more };
}

async function start(options: TestnetOptions): Promise<Testnet> {
  const testnet = await startTestnet(options);
  onTestFinished(() => testnet.stop());
  return testnet;
}

describe('startTestnet', () => {
  it('starts every process and says in testnet.json what runs where', async () => {
    const options = optionsFor(temporaryDirectory(), { rollups: 2 });
    const testnet = await start(options);
    const state = await readState(options.directory);
    expect(state.state).toBe('running');
    expect(state.launcherPid).toBe(process.pid);
    expect(state.networkId).toBe(testnet.networkId);
    expect(state.processes.map(({ name }) => name)).toEqual([
      'sequencer-0',
      'sequencer-1',
      'sequencer-2',
      'sequencer-3',
      'rollup-901',
      'rollup-902',
    ]);
    expect(state.rollups.map(({ chainId }) => chainId)).toEqual([901, 902]);
    for (const one of state.processes) {
      expect(isAlive(one.pid!)).toBe(true);
      expect(await observe(one.name, one.rpcUrl)).toMatchObject({ state: 'ready', view: 7, finalHeight: 5 });
      expect(one.p2pAddress === null).toBe(one.role === 'rollup-node');
    }
    await testnet.stop();
    const stopped = await readState(options.directory);
    expect(stopped.state).toBe('stopped');
    expect(stopped.processes.every(({ pid }) => pid === null)).toBe(true);
    expect(existsSync(pathsOf(options.directory).lockPath)).toBe(false);
    expect(state.processes.some(({ pid }) => isAlive(pid!))).toBe(false);
  });

  it('makes a genesis file whose keys are those on disk, for their owner only', async () => {
    const options = optionsFor(temporaryDirectory());
    const testnet = await start(options);
    const genesis = parseGenesis(JSON.parse(readFileSync(testnet.genesisPath, 'utf8')));
    if (!genesis.ok) throw genesis.error;
    expect(toHex(genesis.value.networkId)).toBe(testnet.networkId);
    expect(checkPossession(genesis.value, blstBls).ok).toBe(true);
    for (const [index, validator] of genesis.value.file.validators.entries()) {
      const paths = pathsOf(options.directory).process(`sequencer-${index}`);
      const password = readFileSync(paths.passwordPath, 'utf8').trim();
      const secretKey = await readKeystoreFile(paths.keystorePath, password);
      expect(toHex(blstBls.publicKeyOf(secretKey))).toBe(validator.blsPublicKey);
      expect(toHex((await readNodeKeyFile(paths.nodeKeyPath)).publicKey)).toBe(validator.nodePublicKey);
      expect(validator.addresses).toEqual([testnet.nodes[index]!.p2pAddress]);
      for (const path of [paths.keystorePath, paths.passwordPath, paths.nodeKeyPath]) {
        expect(statSync(path).mode & 0o077).toBe(0);
      }
    }
  });

  it('spares processes the check of proofs that it made itself, and no others', async () => {
    const options = optionsFor(temporaryDirectory(), { nodes: 1 });
    const first = await start(options);
    const records = first.processes.map(({ dataDirectory }) => join(dataDirectory, 'possession-checked'));
    for (const path of records) expect(readFileSync(path, 'utf8')).toBe(`${first.networkId}\n`);
    await first.stop();
    for (const path of records) rmSync(path);
    await start(options);
    expect(records.filter((path) => existsSync(path))).toEqual([]);
  });

  it('gives its rollups the block time asked for', async () => {
    const options = optionsFor(temporaryDirectory(), { nodes: 1, blockTimeMs: 250 });
    await start(options);
    const file = join(pathsOf(options.directory).process('rollup-901').folder, 'rollup.json');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ blockTimeMs: 250 });
  });

  it('goes on as the same network, on whatever ports', async () => {
    const options = optionsFor(temporaryDirectory());
    const first = await start(options);
    const keystore = readFileSync(pathsOf(options.directory).process('sequencer-2').keystorePath, 'utf8');
    await first.stop();
    const { nodes: _nodes, ...rest } = options;
    const second = await start(rest);
    expect(second.created).toBe(false);
    expect(second.networkId).toBe(first.networkId);
    expect(second.nodes).toHaveLength(4);
    expect(readFileSync(pathsOf(options.directory).process('sequencer-2').keystorePath, 'utf8')).toBe(keystore);
  });

  it('begins anew when asked', async () => {
    const options = optionsFor(temporaryDirectory());
    const first = await start(options);
    await first.stop();
    const second = await start({ ...options, nodes: 1, reset: true });
    expect(second.created).toBe(true);
    expect(second.networkId).not.toBe(first.networkId);
  });

  it('refuses to start twice in one folder, and does not disturb the first', async () => {
    const options = optionsFor(temporaryDirectory());
    const testnet = await start(options);
    await expect(startTestnet({ ...options, reset: true })).rejects.toMatchObject({ code: 'TESTNET_RUNNING' });
    expect(testnet.processes.every(({ process }) => process.state === 'serving')).toBe(true);
    expect(existsSync(pathsOf(options.directory).lockPath)).toBe(true);
  });

  it('stops the others and frees the folder if one process does not come up', async () => {
    const options = optionsFor(temporaryDirectory());
    process.env[FAILING_VARIABLE] = 'sequencer-2';
    onTestFinished(() => {
      delete process.env[FAILING_VARIABLE];
    });
    await expect(startTestnet(options)).rejects.toMatchObject({
      code: 'CHILD_EXITED',
      message: expect.stringMatching(/sequencer-2[\s\S]*the disk is full/),
    });
    expect((await readState(options.directory)).processes.every(({ pid }) => pid === null)).toBe(true);
    delete process.env[FAILING_VARIABLE];
    await start(options);
  });

  it('stops everything if it is interrupted while it starts', async () => {
    const options = optionsFor(temporaryDirectory());
    const controller = new AbortController();
    const started = startTestnet({
      ...options,
      signal: controller.signal,
      onProgress: (text) => {
        if (text.startsWith('starting')) controller.abort(new Error('interrupted'));
      },
    });
    await expect(started).rejects.toThrow('interrupted');
    expect(existsSync(pathsOf(options.directory).lockPath)).toBe(false);
  });

  it('kills and restarts one process, and reports only what was not asked for', async () => {
    const unexpected: string[] = [];
    const options = optionsFor(temporaryDirectory(), { onUnexpectedExit: ({ name }) => void unexpected.push(name) });
    const testnet = await start(options);
    const pid = testnet.process('sequencer-1').process.pid!;
    await testnet.kill('sequencer-1', 'SIGKILL');
    expect(isAlive(pid)).toBe(false);
    expect((await readState(options.directory)).processes[1]!.pid).toBeNull();
    await testnet.restart('sequencer-1');
    expect((await readState(options.directory)).processes[1]!.pid).toBe(testnet.process('sequencer-1').process.pid);
    expect(unexpected).toEqual([]);
    process.kill(testnet.process('sequencer-3').process.pid!, 'SIGKILL');
    await waitFor('the report', () => unexpected.length > 0, 5_000);
    expect(unexpected).toEqual(['sequencer-3']);
  });

  it('keeps its own environment from the options of its children', async () => {
    process.env.SQUAD_RPC_PORT = '1';
    onTestFinished(() => {
      delete process.env.SQUAD_RPC_PORT;
    });
    const testnet = await start(optionsFor(temporaryDirectory(), { nodes: 1 }));
    const schema = z.object({ leaked: z.array(z.string()) });
    expect(await rpcCall(testnet.nodes[0]!.rpcUrl, 'squad_status', [], schema)).toEqual({ leaked: [] });
  });

  it('takes its children with it when it is killed', async () => {
    const directory = temporaryDirectory();
    const options = optionsFor(directory, { nodes: 1 });
    const source = join(directory, 'launcher.mts');
    const library = new URL('../src/index.ts', import.meta.url).href;
    writeFileSync(
      source,
      `import { startTestnet } from ${JSON.stringify(library)};
       await startTestnet(${JSON.stringify(options)});
       setInterval(() => {}, 1000);`,
    );
    const launcher = spawn(process.execPath, ['--conditions=source', source], { stdio: 'ignore' });
    onTestFinished(() => void launcher.kill('SIGKILL'));
    const state = await waitFor(
      'the start',
      async () => {
        const read = await readState(options.directory);
        return read.state === 'running' ? read : undefined;
      },
      20_000,
    );
    const pids = state.processes.map(({ pid }) => pid!);
    expect(pids.every(isAlive)).toBe(true);
    launcher.kill('SIGKILL');
    await waitFor('the end of the children', () => !pids.some(isAlive), 5_000);
  });
});

describe('testnet.json', () => {
  it('is explained when missing or broken', async () => {
    const directory = temporaryDirectory();
    await expect(readState(directory)).rejects.toMatchObject({ code: 'TESTNET_NOT_FOUND' });
    writeFileSync(pathsOf(directory).statePath, '{"version":1}');
    await expect(readState(directory)).rejects.toMatchObject({ code: 'TESTNET_FOLDER_CORRUPT' });
  });

  it('does not hide a corrupt genesis file', async () => {
    const options = optionsFor(temporaryDirectory());
    await (await start(options)).stop();
    writeFileSync(pathsOf(options.directory).genesisPath, '{"validators":[]}');
    await expect(startTestnet(options)).rejects.toMatchObject({
      code: 'TESTNET_FOLDER_CORRUPT',
      message: expect.stringContaining('genesis.json'),
    });
  });
});
