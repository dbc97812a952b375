/** The programs of examples/, as their READMEs run them, against one network that orders an EVM rollup and an opaque one. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { waitFor } from '../src/index.ts';
import { RollupNodes } from './rollup-nodes.ts';
import { launch, type RunningNet, SQUAD_MAIN, showLogsOnFailure } from './support.ts';

const EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url));
const run = promisify(execFile);
const example = async (name: string, ...args: string[]) =>
  (await run(process.execPath, [join(EXAMPLES, name), ...args])).stdout;

let net: RunningNet;
let rollupNodes: RollupNodes;

beforeAll(async () => {
  net = await launch({ rollupKind: 'evm', opaqueRollups: 1 });
  rollupNodes = new RollupNodes(net.testnet);
});
afterAll(async () => {
  await rollupNodes?.stop();
  await net?.close();
});
beforeEach(() => showLogsOnFailure(net.testnet));

/** `squad rollup-node` for an example's rollup.json; its JSON-RPC address, once it is ready. */
async function rollupNode(name: string, ...more: string[]): Promise<string> {
  const node = await rollupNodes.start({ name, rollupPath: join(EXAMPLES, name, 'rollup.json'), more });
  await node.ready();
  return node.rpcUrl;
}

it('evm: a transfer is accepted, executed in soft order, and final', async () => {
  const url = await rollupNode('evm');
  const lines = (await example('evm/transfer.mjs', url)).trim().split('\n');
  expect(lines).toEqual([
    expect.stringMatching(/^accepted 0x[0-9a-f]{64}$/),
    expect.stringMatching(/^executed in block 1, (soft|final)$/),
    'final    in block 1, success',
    'balance  1000000000000000000n',
  ]);
});

it('order-book: rules of a team’s own run in the node, without a change to it', async () => {
  const url = await rollupNode('order-book', '--executor', join(EXAMPLES, 'order-book/rollup.mjs'));
  const text = await example('order-book/trade.mjs', url);
  expect(text).toMatch(/skipped order \S+-1 was given before/);
  expect(text).toContain("ann     { goods: '-2', cash: '202' }");
  expect(text).toContain("carol   { goods: '4', cash: '-402' }");
  expect(text).toMatch(/book {4}\{"buy":\[\],"sell":\[\{"id":"\S+-1","trader":"ann","price":101,"amount":3\}\]\}/);
});

it('order-book: a node that is not told the rules says what it lacks', async () => {
  const { directory, genesisPath } = net.testnet;
  const args = ['rollup-node', '--genesis', genesisPath, '--rollup', join(EXAMPLES, 'order-book/rollup.json')];
  const refused = run(process.execPath, [SQUAD_MAIN, ...args, '--data-directory', join(directory, 'no-rules')]);
  await expect(refused).rejects.toMatchObject({
    stderr: expect.stringMatching(/no executor is given[\s\S]*--executor/),
  });
});

it('follower: prints what was ordered for its rollup, and goes on after its cursor', async () => {
  const { directory, genesisPath, nodes } = net.testnet;
  const cursor = join(directory, 'cursor.txt');
  const follow = () =>
    spawn(process.execPath, [
      join(EXAMPLES, 'follower/follow.mjs'),
      ...[genesisPath, '902', cursor, nodes[1]!.rpcUrl, nodes[2]!.rpcUrl],
    ]);
  const first = follow();
  const lines = await linesUntil(first, 4);
  expect(lines).toHaveLength(4);
  for (const line of lines) expect(line).toMatch(/^\d+ from [0-3] 0x7b22/); // {"
  const height = Number(lines[3]!.split(' ')[0]);
  await waitFor('the cursor is past them', async () => cursorAt(cursor) > height || undefined, 30_000);
  first.kill();

  const second = follow();
  const [more] = await Promise.all([
    linesUntil(second, 1),
    example('order-book/trade.mjs', rollupNodes.find('order-book').rpcUrl),
  ]);
  expect(Number(more[0]!.split(' ')[0])).toBeGreaterThan(height);
  second.kill();
});

it('explorer: shows blocks, batches by rollup, and who signed', async () => {
  const [node] = net.testnet.nodes;
  const text = await example('explorer/explorer.mjs', node!.rpcUrl, '40');
  expect(text).toMatch(/^final block \d+, epoch 0, view \d+, 4 validators$/m);
  expect(text).toMatch(/^\d+ +\d\d:\d\d:\d\d\.\d{3} +sequencer-\d +(–|\d+: \d+).*( sequencer-\d){3}$/m);
  expect(text).toMatch(/^ {2}rollup 902: \d+$/m);
});

const cursorAt = (path: string): number => {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch {
    return 0;
  }
};

/** The first lines that a program prints; fails with what it complained of if it ends before. */
async function linesUntil(child: ChildProcess, count: number): Promise<string[]> {
  const lines: string[] = [];
  const errors: Buffer[] = [];
  child.stderr!.on('data', (chunk: Buffer) => errors.push(chunk));
  for await (const line of createInterface({ input: child.stdout! })) {
    lines.push(line);
    if (lines.length === count) return lines;
  }
  throw new Error(`it ended after ${lines.length} lines: ${Buffer.concat(errors).toString()}`);
}
