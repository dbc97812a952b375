/**
 * The client as a rollup team has it: the npm package, installed in an empty project, and the programs of its README, against
 * a live network of four, one of which is killed, and a feed that lies. Also bundled, as a browser loads it.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { createContext, runInContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { createRpcServer, defineMethod, defineSubscription, Quantity, rpcCall, silentLogger } from '@squad/service';
import { decodeFeedBlock, FeedBlock, FeedStage, fromHex, toHex } from '@squad/types';
import { buildSync } from 'esbuild';
import { chromium } from 'playwright-core';
import { publint } from 'publint';
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { type TestnetProcess, waitFor } from '../src/index.ts';
import { launch, type RunningNet, showLogsOnFailure } from './support.ts';

const ROLLUP = 901;
/** So few that all that is done here crosses epochs. */
const EPOCH_LENGTH_BLOCKS = 32;
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** Compressed bytes of all of the client, and of what verifies a receipt. */
const MAX_BUNDLE_BYTES = 125_000;
const MAX_RECEIPT_BUNDLE_BYTES = 80_000;

/** Debian's package, or whatever answers to these names. */
const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome']
  .flatMap((name) => (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, name)))
  .find((path) => existsSync(path));
if (CHROMIUM === undefined) console.warn('skipped, no Chromium on PATH: the page that judges receipts in a browser');
const CHROMIUM_ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'];

const run = promisify(execFile);
let net: RunningNet;
let folder: string;
let stage: string;

const inProject = (name: string) => join(folder, 'project', name);
const squad = (...args: string[]) => run(process.execPath, [join(ROOT, 'packages/cli/dist/bundle/main.js'), ...args]);
/** Runs a program of the README in the project. */
const program = async (name: string, ...args: string[]) =>
  (await run(process.execPath, [inProject(name), ...args], { cwd: join(folder, 'project') })).stdout;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'squad-client-'));
  const packing = install();
  const members = [0, 1, 2, 3].map((sequencer) => ({ sequencer, weight: 1 }));
  net = await launch({
    rollupKind: 'opaque',
    epochs: { lengthBlocks: EPOCH_LENGTH_BLOCKS, sets: [{ fromEpoch: 0, members }] },
  });
  await packing;
  copyFileSync(net.testnet.genesisPath, inProject('genesis.json'));
});
afterAll(async () => {
  await net?.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => showLogsOnFailure(net.testnet));

/** An empty project with the package, and the programs of its README. */
async function install(): Promise<void> {
  await run(process.execPath, [join(ROOT, 'scripts/pack-client.mjs'), folder]);
  stage = join(folder, 'package');
  const packed = await run('npm', ['pack', '--json', '--pack-destination', folder, stage]);
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
  mkdirSync(join(folder, 'project'));
  writeFileSync(inProject('package.json'), JSON.stringify({ name: 'project', private: true, type: 'module' }));
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', join(folder, filename)], {
    cwd: join(folder, 'project'),
  });
  const readme = readFileSync(join(stage, 'README.md'), 'utf8');
  for (const [, name, code] of readme.matchAll(/```js\n\/\/ (\S+\.mjs)\n(.*?)```/gs))
    writeFileSync(inProject(name!), code!);
}

const nodes = () => net.testnet.nodes;
const urls = (indexes: readonly number[]) => indexes.map((index) => nodes()[index]!.rpcUrl);

/** Passes on what a sequencer tells, but for what `lie` makes of a final block. */
async function lyingFeed(of: TestnetProcess, lie: (block: FeedBlock) => FeedBlock): Promise<string> {
  const sequence = defineSubscription({
    namespace: 'squad',
    name: 'sequence',
    summary: 'what it is told, changed',
    params: { rollupId: Quantity, fromHeight: Quantity, form: z.string() },
    result: { name: 'block', description: 'a block' },
    subscribe: ({ rollupId, fromHeight, form }, subscriber) => {
      const socket = new WebSocket(of.webSocketUrl);
      const params = ['sequence', rollupId, fromHeight, form];
      socket.onopen = () => socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'squad_subscribe', params }));
      socket.onmessage = ({ data }) => {
        const { params: told } = JSON.parse(data) as { params?: { result: { encoded: `0x${string}` } } };
        const block = told && decodeFeedBlock(fromHex(told.result.encoded));
        if (block?.ok) subscriber.emit({ encoded: toHex(FeedBlock.serialize(lie(block.value))) });
      };
      return () => socket.close();
    },
  });
  const blockProof = defineMethod({
    name: 'squad_getBlockProof',
    summary: 'what it is told',
    params: { height: z.union([z.number(), z.string()]) },
    result: { name: 'proof', description: 'a proof' },
    handler: ({ height }) => rpcCall(of.rpcUrl, 'squad_getBlockProof', [height], z.unknown()),
  });
  const server = await createRpcServer({
    host: '127.0.0.1',
    port: 0,
    info: { title: 'liar', version: '0' },
    methods: [blockProof],
    subscriptions: [sequence],
    logger: silentLogger,
  });
  onTestFinished(() => server.close());
  return server.url;
}

/** `follow.mjs`, and what it has printed. */
function startFollowing(...endpoints: string[]): {
  readonly lines: string[];
  readonly errors: string[];
  child: ChildProcess;
} {
  const args = [inProject('follow.mjs'), String(ROLLUP), '1', ...endpoints];
  const child = spawn(process.execPath, args, { cwd: join(folder, 'project'), stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill());
  const lines: string[] = [];
  const errors: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  return { lines, errors, child };
}

/** Every transaction of the rollup in order, by a node's own words: another way than the client's. */
async function sequenceOf(node: TestnetProcess, count: number): Promise<string[]> {
  const socket = new WebSocket(node.webSocketUrl);
  const texts: string[] = [];
  const params = ['sequence', ROLLUP, 1];
  socket.onopen = () => socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'squad_subscribe', params }));
  socket.onmessage = ({ data }) => {
    type Told = { stage: string; height: number; batches: { transactions: `0x${string}`[] }[] };
    const { params: told } = JSON.parse(data) as { params?: { result: Told } };
    if (told?.result.stage !== 'final') return;
    for (const { transactions } of told.result.batches) {
      for (const raw of transactions) texts.push(`${told.result.height} ${new TextDecoder().decode(fromHex(raw))}`);
    }
  };
  try {
    await waitFor(`${node.name} tells of ${count} transactions`, async () => texts.length >= count, 60_000);
  } finally {
    socket.close();
  }
  return texts;
}

/** The validators of a block of a later epoch than the first. */
async function setOf(height: number): Promise<{ epoch: number; hash: string }> {
  const epoch = Math.floor((height - 1) / EPOCH_LENGTH_BLOCKS);
  expect(epoch).toBeGreaterThan(0);
  const { hash } = await rpcCall(nodes()[2]!.rpcUrl, 'squad_getValidatorSet', [epoch], z.object({ hash: z.string() }));
  return { epoch, hash };
}

const Outcomes = z.array(z.object({ hash: z.string() }));

async function send(node: TestnetProcess, texts: readonly string[]): Promise<void> {
  const raw = texts.map((text) => toHex(new TextEncoder().encode(text)));
  await rpcCall(node.rpcUrl, 'squad_sendTransactions', [ROLLUP, raw], Outcomes, { timeoutMs: 10_000 });
}

it('follows through a feed that lies and the crash of a node: each transaction once, in order, and the liar named', async () => {
  let withBatches = 0;
  const liar = await lyingFeed(nodes()[3]!, (block) =>
    block.stage === FeedStage.final && block.batches.length > 0 && ++withBatches >= 3
      ? { ...block, batches: block.batches.slice(1) }
      : block,
  );
  const following = startFollowing(liar, ...urls([0, 1, 2, 3]));
  const sent: string[] = [];
  const sendTo = async (indexes: readonly number[], count: number) => {
    for (let i = 0; i < count; i++) {
      const texts = [0, 1, 2].map((n) => `transaction ${sent.length + n}`);
      sent.push(...texts);
      await send(nodes()[indexes[i % indexes.length]!]!, texts);
    }
  };
  await sendTo([0, 1, 2, 3], 40);
  await waitFor('the liar is named', async () => following.errors.length > 0, 60_000);
  // The endpoint after the liar: it is the one that is being followed.
  await waitFor('all is delivered', async () => following.lines.length >= sent.length, 60_000);
  await net.testnet.kill(nodes()[0]!.name, 'SIGKILL');
  await sendTo([1, 2, 3], 60);
  await waitFor('all is delivered', async () => following.lines.length >= sent.length, 60_000);
  expect(following.lines).toEqual((await sequenceOf(nodes()[2]!, sent.length)).slice(0, following.lines.length));
  const texts = following.lines.map((line) => line.slice(line.indexOf(' ') + 1));
  expect([...texts].sort()).toEqual([...sent].sort());
  expect(following.errors.map((line) => line.split(' ').slice(0, 3))).toEqual([['liar', liar, 'BATCH_OMITTED']]);
  expect(following.child.exitCode).toBeNull();
  await net.testnet.restart(nodes()[0]!.name);
});

it('submits, and verifies the receipt off-line; and so does what a browser loads', async () => {
  const [hash, submitted, height] = (await program('submit.mjs', String(ROLLUP), 'hello', ...urls([1, 2, 3]))).split(
    /\s/,
  );
  expect(submitted).toBe('final');
  const receipt = await rpcCall(nodes()[1]!.rpcUrl, 'squad_getReceipt', [hash], z.unknown());
  writeFileSync(inProject('receipt.json'), JSON.stringify(receipt));
  const set = await setOf(Number(height));
  expect(await program('verify.mjs', set.hash)).toContain(`final ${hash} block ${height} batch `);
  await expect(program('verify.mjs')).rejects.toThrow('WRONG_VALIDATOR_SET');

  const bundle = bundled(
    `import * as client from '@squad/client';
     globalThis.judge = (receipt, genesis, setHash) => {
       const decoded = client.receiptFromJson(receipt);
       const parsed = client.parseGenesis(genesis);
       const checkpoint = { ...client.checkpointOf(parsed.value), validatorSetHash: client.fromHex(setHash) };
       return client.verifyReceipt(decoded.value, checkpoint);
     };
     globalThis.all = client;`,
  );
  expect(gzipSync(bundle).length).toBeLessThan(MAX_BUNDLE_BYTES);
  // What a page has, and nothing of Node's.
  const page = createContext({ TextEncoder, TextDecoder, atob });
  runInContext(bundle, page);
  const judge = runInContext('(receipt, genesis, set) => judge(JSON.parse(receipt), JSON.parse(genesis), set)', page);
  const verdict = judge(JSON.stringify(receipt), readFileSync(inProject('genesis.json'), 'utf8'), set.hash);
  expect(verdict).toMatchObject({ ok: true, value: { stage: 'final', hash } });
  const receiptOnly = bundled(`import { receiptFromJson, verifyReceipt } from '@squad/client';
     globalThis.judge = (receipt, checkpoint) => verifyReceipt(receiptFromJson(receipt).value, checkpoint);`);
  expect(gzipSync(receiptOnly).length).toBeLessThan(MAX_RECEIPT_BUNDLE_BYTES);
});

it.skipIf(CHROMIUM === undefined)(
  'verifies the receipt in a browser, on the page that the program writes',
  async () => {
    const html = inProject('receipt.html');
    await squad('receipt', 'page', '--out', html);
    const sent = await program('submit.mjs', String(ROLLUP), 'for a page', ...urls([1, 2, 3]));
    const [hash, , height] = sent.split(/\s/);
    const [good, changed] = [inProject('page-receipt.ssz'), inProject('page-changed.ssz')];
    await squad('receipt', 'get', hash!, '--rpc', nodes()[1]!.rpcUrl, '--out', good);
    const bytes = readFileSync(good);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(changed, bytes);
    const { epoch, hash: setHash } = await setOf(Number(height));

    const browser = await chromium.launch({ executablePath: CHROMIUM!, args: CHROMIUM_ARGUMENTS });
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('request', (request) => request.url().startsWith('file:') || faults.push(request.url()));
    await page.goto(pathToFileURL(html).href);
    await page.setInputFiles('#genesis', inProject('genesis.json'));
    await page.setInputFiles('#receipt', good);
    await page.locator('#verdict.refused', { hasText: 'WRONG_VALIDATOR_SET' }).waitFor();
    await page.locator('summary').click();
    await page.fill('#set', setHash);
    await page
      .locator('#verdict.final', { hasText: hash! })
      .filter({ hasText: `validators of epoch ${epoch}` })
      .waitFor();
    await page.setInputFiles('#receipt', changed);
    await page.locator('#verdict.refused').waitFor();
    expect(faults).toEqual([]);
  },
);

it('reaches the present as a light client', async () => {
  // An epoch that has just begun has no final block yet.
  expect(await program('light-client.mjs', ...urls([1, 2, 3]))).toMatch(
    /^epoch [1-9]\d* set 0x[0-9a-f]{64} final (\d+|nothing yet)\n$/,
  );
});

it('is a package that other tools make sense of', async () => {
  expect((await publint({ pkgDir: stage, level: 'suggestion' })).messages).toEqual([]);
  const { exports } = JSON.parse(readFileSync(join(stage, 'package.json'), 'utf8')) as { exports: object };
  expect(Object.keys(exports)).toEqual(['.', './node']);
  const entry = await import(pathToFileURL(inProject('node_modules/@squad/client/dist/client/index.js')).href);
  expect(entry.follow).toBeTypeOf('function');
});

it('shows where it failed by its source', async () => {
  writeFileSync(inProject('fails.mjs'), "import { fromHex } from '@squad/client';\nfromHex('no hex');\n");
  const failed = run(process.execPath, ['--enable-source-maps', inProject('fails.mjs')]);
  await expect(failed).rejects.toMatchObject({
    stderr: expect.stringMatching(/if \(!isHex\(hex\)\) throw[\s\S]*at fromHex \(squad:\/\/\/types\/ids\.ts:\d+:/),
  });
});

/** As a browser loads it. */
function bundled(contents: string): string {
  const { outputFiles, warnings } = buildSync({
    stdin: { contents, resolveDir: join(folder, 'project') },
    bundle: true,
    minify: true,
    platform: 'browser',
    format: 'iife',
    target: 'es2022',
    write: false,
  });
  expect(warnings).toEqual([]);
  return outputFiles[0]!.text;
}
