/** What the end-to-end tests share: a testnet of real processes, raw JSON-RPC, and looks at what all nodes agree on. */

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rpcBatch, rpcCall } from '@squad/service';
import { expect, onTestFailed } from 'vitest';
import { z } from 'zod';
import {
  observe,
  startTestnet,
  type Testnet,
  type TestnetOptions,
  type TestnetProcess,
  waitFor,
} from '../src/index.ts';
import type { Load } from './load.ts';

/** The program as `npm start` runs it. */
export const SQUAD_MAIN = fileURLToPath(new URL('../../cli/dist/bundle/main.js', import.meta.url));

export interface RunningNet {
  readonly testnet: Testnet;
  /** Stops everything and deletes the folder. */
  close(): Promise<void>;
}

export async function launch(options: Partial<TestnetOptions> = {}): Promise<RunningNet> {
  if (!existsSync(SQUAD_MAIN)) throw new Error(`${SQUAD_MAIN} is missing: run it by \`npm run e2e\`, which makes it`);
  const directory = mkdtempSync(join(tmpdir(), 'squad-e2e-'));
  const testnet = await startTestnet({
    directory,
    program: [process.execPath, SQUAD_MAIN],
    nodes: 4,
    rollups: 1,
    ports: 'free',
    ...options,
  });
  await waitReady(testnet.processes);
  return {
    testnet,
    close: async () => {
      await testnet.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A port that nobody has at the moment. */
export function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number };
    server.close(() => resolve(port));
  });
  return promise;
}

/** On failure, shows the end of every process's log with the test's output. */
export function showLogsOnFailure(testnet: Testnet): void {
  onTestFailed(() => showLogs(testnet));
}

export function showLogs(testnet: Testnet): void {
  for (const { name, process } of testnet.processes) {
    console.error(`── ${name} (${process.state})\n${process.logTail(15)}`);
  }
}

export async function waitReady(processes: readonly TestnetProcess[], timeoutMs = 60_000): Promise<void> {
  await Promise.all(
    processes.map(({ name, rpcUrl }) =>
      waitFor(
        `${name} is ready`,
        async () => {
          const { state, detail } = await observe(name, rpcUrl);
          if (state !== 'ready') throw new Error(detail ?? state);
          return true;
        },
        timeoutMs,
      ),
    ),
  );
}

const Head = z.object({ height: z.number(), hash: z.string() });
const Status = z.object({
  ready: z.boolean(),
  reasons: z.array(z.string()),
  view: z.number(),
  soft: Head,
  final: Head,
});
export type Status = z.infer<typeof Status>;

export function statusOf(node: TestnetProcess): Promise<Status> {
  return rpcCall(node.rpcUrl, 'squad_status', [], Status, { timeoutMs: 5_000 });
}

export async function finalHeightOf(node: TestnetProcess): Promise<number> {
  return (await statusOf(node)).final.height;
}

export async function waitFinalHeight(node: TestnetProcess, height: number, timeoutMs = 30_000): Promise<void> {
  await waitFor(
    `${node.name} has final height ${height}`,
    async () => {
      const now = await finalHeightOf(node);
      if (now < height) throw new Error(`it has ${now}`);
      return true;
    },
    timeoutMs,
  );
}

const BLOCKS_PER_REQUEST = 50;

/** Hash and references of every final block from 1 to a height, as one node tells them. */
export async function chainOf(node: TestnetProcess, height: number): Promise<{ hash: string; refs: string }[]> {
  const chain: { hash: string; refs: string }[] = [];
  for (let from = 1; from <= height; from += BLOCKS_PER_REQUEST) {
    const heights = Array.from({ length: Math.min(BLOCKS_PER_REQUEST, height - from + 1) }, (_, i) => from + i);
    const outcomes = await rpcBatch(
      node.rpcUrl,
      heights.map((at) => ({ method: 'squad_getBlock', params: [at] })),
    );
    for (const [index, outcome] of outcomes.entries()) {
      if (!outcome.ok || outcome.value === null) throw new Error(`${node.name} has no block ${heights[index]}`);
      const { hash, refs, stage } = outcome.value as { hash: string; refs: unknown; stage: string };
      expect(stage).toBe('final');
      chain.push({ hash, refs: JSON.stringify(refs) });
    }
  }
  return chain;
}

/** Every node has the same final block at every height that all of them have. Returns that height. */
export async function expectSameChain(nodes: readonly TestnetProcess[]): Promise<number> {
  const height = Math.min(...(await Promise.all(nodes.map(finalHeightOf))));
  const chains = await Promise.all(nodes.map((node) => chainOf(node, height)));
  for (const [index, chain] of chains.entries()) {
    expect(chain, `${nodes[index]!.name} against ${nodes[0]!.name}`).toEqual(chains[0]);
  }
  return height;
}

/** Waits until a node calls every one of these transactions final. */
export async function waitTransactionsFinal(
  node: TestnetProcess,
  hashes: readonly string[],
  timeoutMs = 60_000,
): Promise<void> {
  let missing = [...hashes];
  await waitFor(
    `${hashes.length} transactions are final at ${node.name}`,
    async () => {
      const still: string[] = [];
      const states: Record<string, number> = {};
      for (let from = 0; from < missing.length; from += BLOCKS_PER_REQUEST) {
        const asked = missing.slice(from, from + BLOCKS_PER_REQUEST);
        const outcomes = await rpcBatch(
          node.rpcUrl,
          asked.map((hash) => ({ method: 'squad_getTransactionStatus', params: [hash] })),
        );
        for (const [index, outcome] of outcomes.entries()) {
          const state = outcome.ok ? (outcome.value as { status: string }).status : outcome.error.message;
          if (state === 'final') continue;
          states[state] = (states[state] ?? 0) + 1;
          still.push(asked[index]!);
        }
      }
      missing = still;
      if (missing.length > 0) throw new Error(`${missing.length} are not: ${JSON.stringify(states)}`);
      return true;
    },
    timeoutMs,
    200,
  );
}

/** The value of a metric summed over its labels, 0 before its first event; undefined if there is none of this name. */
export async function metricOf(node: TestnetProcess, name: string): Promise<number | undefined> {
  const text = await (await fetch(`${node.metricsUrl}/metrics`)).text();
  let sum: number | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith(`# TYPE ${name} `)) sum ??= 0;
    const match = /^([a-z0-9_]+)(?:\{[^}]*\})? (\S+)$/.exec(line);
    if (match?.[1] === name) sum = (sum ?? 0) + Number(match[2]);
  }
  return sum;
}

const SignersOf = z.object({ certificate: z.object({ signers: z.array(z.number()) }) });

/** Who signed the certificate of the newest final block. */
export async function signersOfLatest(one: TestnetProcess): Promise<number[]> {
  const height = await finalHeightOf(one);
  const { certificate } = await rpcCall(one.rpcUrl, 'squad_getCertificate', [height], SignersOf);
  return certificate.signers;
}

/** Counts double votes seen; every node has it, and it must stay 0. */
const EVIDENCE_METRIC = 'squad_consensus_evidence_found_total';

export async function expectNoDoubleVotes(nodes: readonly TestnetProcess[]): Promise<void> {
  for (const one of nodes) {
    const seen = await metricOf(one, EVIDENCE_METRIC);
    expect(seen, `${EVIDENCE_METRIC} of ${one.name}`).toBe(0);
  }
}

/** Looks at a node's final height all the time; `longestMs` stops and tells the longest time between two changes. */
export function watchGaps(one: TestnetProcess): { longestMs(): Promise<number> } {
  let running = true;
  const done = (async () => {
    let height = -1;
    let changedAt = performance.now();
    let longest = 0;
    while (running) {
      const now = await finalHeightOf(one);
      if (now !== height) {
        if (height >= 0) longest = Math.max(longest, performance.now() - changedAt);
        changedAt = performance.now();
        height = now;
      }
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    return Math.max(longest, performance.now() - changedAt);
  })();
  return {
    longestMs: () => {
      running = false;
      return done;
    },
  };
}

/** The load ends; what these nodes accepted is final everywhere, all validators vote, and nobody voted twice. */
export async function expectAllWell({ testnet }: RunningNet, load: Load, accepting: readonly number[]): Promise<void> {
  const { nodes } = testnet;
  await waitReady(nodes);
  await load.stop();
  const accepted = accepting.flatMap((index) => [...load.accepted(nodes[index]!.name)]);
  expect(accepted.length).toBeGreaterThan(50);
  await Promise.all(nodes.map((one) => waitTransactionsFinal(one, accepted)));
  for (const [index, { name }] of nodes.entries()) {
    await waitFor(`${name} votes`, async () => (await signersOfLatest(nodes[0]!)).includes(index), 30_000, 100);
  }
  await expectNoDoubleVotes(nodes);
  await expectSameChain(nodes);
}
