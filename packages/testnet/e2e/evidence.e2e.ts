/**
 * Evidence end to end: one validator of four misbehaves, by a flag that only tests may give or because two processes have
 * its keys. Every honest node convicts it and nobody else, the command line verifies that, and ordering goes on.
 */

import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rpcCall } from '@squad/service';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { ManagedProcess, type TestnetProcess, waitFor } from '../src/index.ts';
import { type Load, startLoad } from './load.ts';
import {
  expectSameChain,
  finalHeightOf,
  launch,
  metricOf,
  type RunningNet,
  SQUAD_MAIN,
  showLogs,
  waitFinalHeight,
  waitReady,
} from './support.ts';

const CHAIN_ID = 901;
const LIAR = 3;

const Evidence = z.array(
  z.looseObject({
    kind: z.string(),
    validators: z.array(z.object({ index: z.number(), name: z.string() })),
    encoded: z.string(),
  }),
);

let net: RunningNet;
let load: Load | undefined;
let liar: ManagedProcess | undefined;

beforeEach(async () => {
  net = await launch();
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') showLogs(net.testnet);
  await load?.stop();
  await liar?.stop();
  [load, liar] = [undefined, undefined];
  await net?.close();
});

const honest = () => net.testnet.nodes.filter((_, index) => index !== LIAR);
const evidenceOf = (node: TestnetProcess) => rpcCall(node.rpcUrl, 'squad_getEvidence', [], Evidence);

/** Kinds of which a node's evidence convicts the liar. Fails if it convicts anybody else. */
async function kindsAt(node: TestnetProcess): Promise<string[]> {
  const evidence = await evidenceOf(node);
  const others = evidence.filter(({ validators }) => validators.some(({ index }) => index !== LIAR));
  expect(others, `evidence of ${node.name} against others`).toEqual([]);
  return [...new Set(evidence.map(({ kind }) => kind))].sort();
}

/** Every honest node convicts the liar of these kinds at least; of any one, if none is named. */
async function waitConvicted(kinds: readonly string[]): Promise<void> {
  await Promise.all(
    honest().map((node) =>
      waitFor(
        `${node.name} convicts the liar of ${kinds.join(', ') || 'anything'}`,
        async () => {
          const found = await kindsAt(node);
          if (found.length > 0 && kinds.every((kind) => found.includes(kind))) return true;
          throw new Error(`it has ${found.join(', ') || 'nothing'}`);
        },
        120_000,
        200,
      ),
    ),
  );
}

/** Runs the liar's process anew with a misbehaviour. */
async function startLiar(how: string): Promise<void> {
  const { name, process, logPath } = net.testnet.nodes[LIAR]!;
  if (process.state === 'serving') await net.testnet.kill(name, 'SIGTERM');
  await liar?.stop();
  liar = new ManagedProcess({
    name,
    command: [...process.command, '--test-misbehave', how],
    logPath,
    env: { SQUAD_ALLOW_MISBEHAVIOUR: '1' },
  });
  await liar.start();
}

/** A copy of the genesis file in which these validators have no address. Returns its path. */
function genesisWithout(validators: readonly number[], path: string): string {
  const genesis = JSON.parse(readFileSync(net.testnet.genesisPath, 'utf8')) as {
    validators: { addresses: string[] }[];
  };
  for (const index of validators) genesis.validators[index]!.addresses = [];
  writeFileSync(path, JSON.stringify(genesis));
  return path;
}

/** Not `spawnSync`: connections to the nodes would go stale meanwhile. */
function squad(...argv: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [SQUAD_MAIN, ...argv], (_error, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

/** Ordering goes on, and what every node lists verifies by the file and the genesis file alone. */
async function expectProven(): Promise<void> {
  const before = Math.max(...(await Promise.all(honest().map(finalHeightOf))));
  await Promise.all(honest().map((node) => waitFinalHeight(node, before + 3, 60_000)));
  const proven = honest().map(async (node) => {
    expect(await metricOf(node, 'squad_consensus_convicted_validators')).toBe(1);
    expect(await metricOf(node, 'squad_consensus_evidence_found_total')).toBeGreaterThan(0);
    const file = join(net.testnet.directory, `evidence-${node.name}.json`);
    const listed = await squad('evidence', 'list', '--rpc', node.rpcUrl, '--json');
    writeFileSync(file, listed.stdout);
    const verified = await squad('evidence', 'verify', file, '--genesis', net.testnet.genesisPath);
    expect(verified).toMatchObject({ code: 0 });
    expect(verified.stdout).toMatch(/^(convicts {2}validator 3 \(sequencer-3\) {2}of E\d, .*\n)+$/);
  });
  await Promise.all(proven);
  await expectSameChain(honest());
}

/** What was listed still is once they all were restarted. */
async function expectKept(): Promise<void> {
  const evidence = await Promise.all(honest().map(evidenceOf));
  await Promise.all(honest().map((node) => net.testnet.restart(node.name)));
  await waitReady(honest());
  for (const [index, node] of honest().entries()) {
    const after = new Set((await evidenceOf(node)).map(({ encoded }) => encoded));
    expect(evidence[index]!.filter(({ encoded }) => !after.has(encoded))).toEqual([]);
    await kindsAt(node);
  }
}

describe('a validator is convicted by every honest node, and nobody else is', () => {
  it('that votes twice, and then forks its lane', async () => {
    await startLiar('equivocate-votes');
    await waitConvicted(['E1', 'E2', 'E3']);
    await startLiar('equivocate-lane');
    await waitReady([net.testnet.nodes[LIAR]!]);
    load = startLoad(net.testnet.nodes, CHAIN_ID, new Map());
    await waitConvicted(['E1', 'E2', 'E3', 'E5']);
    await load.stop();
    await expectProven();
    await expectKept();
  });

  it('that proposes twice', async () => {
    await startLiar('equivocate-proposals');
    await waitConvicted(['E1']);
    await expectProven();
  });

  it('whose keys two processes have', async () => {
    const { configPath, name, process: original } = net.testnet.nodes[LIAR]!;
    await net.testnet.kill(name, 'SIGTERM');
    const folder = join(net.testnet.directory, 'twin');
    mkdirSync(folder);
    const twinConfig = join(folder, 'config.yaml');
    const config = {
      ...(parse(readFileSync(configPath, 'utf8')) as Record<string, unknown>),
      name: 'twin',
      // Each dials other validators: both on one would take its link from each other again and again.
      genesis: genesisWithout([0], join(folder, 'genesis.json')),
      dataDirectory: join(folder, 'data'),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      rpcPort: 0,
      metricsPort: 0,
    };
    writeFileSync(twinConfig, stringify(config));
    const twin = new ManagedProcess({
      name: `the twin of ${name}`,
      command: [process.execPath, SQUAD_MAIN, 'sequencer', '--config', twinConfig],
      logPath: join(folder, 'log.jsonl'),
    });
    liar = new ManagedProcess({
      name,
      command: [...original.command, '--genesis', genesisWithout([1, 2], join(folder, 'genesis-of-the-other.json'))],
      logPath: original.logPath,
    });
    try {
      await twin.start();
      await liar.start();
      // Two proposals of one view, or a FINALIZE where the other one gave up: whichever comes first.
      await waitConvicted([]);
    } finally {
      await twin.stop();
    }
    await liar.stop();
    await expectProven();
  });
});
