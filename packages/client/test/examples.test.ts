/** Every function of the package has an example in its docstring, and each example runs: against an honest chain, over real JSON-RPC. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FeedBlock, OrderingReceipt, receiptToJson, VoteKind } from '@squad/types';
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as client from '../src/index.ts';
import * as node from '../src/node.ts';
import { transaction } from '../src/testing/index.ts';
import { FakeSequencer } from './fake-sequencer.ts';
import { genesisOf, hashOf, newChain, ROLLUP } from './support.ts';

const PACKAGES = fileURLToPath(new URL('../../', import.meta.url));
/** Of these the package's functions are. */
const SOURCES = ['client/src', 'types/src', 'crypto/src'];
/** Hashes have nothing to explain. */
const PLAIN = ['sha256'];

/** Examples by the name of what they stand before: an exported function or class, or a method of one, which counts as its class. */
function examplesIn(text: string): Map<string, string[]> {
  const examples = new Map<string, string[]>();
  const declared = [...text.matchAll(/^export (?:async )?(?:function\*?|class|const) (\w+)/gm)];
  for (const { 0: docstring, index } of text.matchAll(/\/\*\*(?:(?!\*\/)[\s\S])*\*\//g)) {
    const [, example] = docstring.split('@example\n');
    if (example === undefined) continue;
    const code = example.replaceAll(/^ *\*\/?$|^ *\* ?/gm, '');
    const ends = index + docstring.length;
    const next = declared.find((one) => one.index === ends + 1);
    const within = declared.findLast((one) => one.index < index);
    const name = (next ?? within)![1]!;
    examples.set(name, [...(examples.get(name) ?? []), code]);
  }
  return examples;
}

const files = SOURCES.flatMap((source) =>
  readdirSync(join(PACKAGES, source), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.startsWith('testing'))
    .map((name) => readFileSync(join(PACKAGES, source, name), 'utf8')),
);
const all = files.flatMap((text) => [...examplesIn(text)]);
const functions = Object.entries({ ...client, ...node })
  .filter(([name, value]) => (typeof value === 'function' || name === 'native') && !PLAIN.includes(name))
  .map(([name]) => [name, all.filter(([of]) => of === name).flatMap(([, codes]) => codes)] as const);

it('is there for every function', () => {
  expect(functions.filter(([, examples]) => examples.length === 0).map(([name]) => name)).toEqual([]);
  expect(functions.length).toBeGreaterThan(25);
});

/** An example that follows a sequence has no end of its own. */
const ENOUGH = new Error('enough was followed');

const chain = newChain({ epochLengthBlocks: 16 });
const raw = [1, 2, 3, 4].map((seed) => transaction(60, seed));
let sequencer: FakeSequencer;
let given: Readonly<Record<string, unknown>>;

beforeAll(async () => {
  sequencer = await FakeSequencer.start(chain);
  sequencer.onTaken = (rollupId, taken) => void chain.append([{ rollupId, transactions: [taken] }]);
  chain.append([{ rollupId: ROLLUP, transactions: raw }]);
  while (chain.head < 16) chain.append([]);
  const genesis = genesisOf(chain);
  const network = client.networkAccess(genesis, [sequencer.url], node.native);
  const proof = chain.blockProof(1);
  const batch = chain.batchOf(proof.block.refs[0]!);
  const receipt = client.proveTransaction(proof, batch, { batchIndex: 0, transactionIndex: 0 });
  given = {
    network,
    genesis,
    genesisText: JSON.stringify(chain.genesisFile),
    genesisTimeMs: chain.genesisTimeMs,
    endpoints: network.endpoints,
    checkpoint: network.checkpoint,
    validatorSet: genesis.validatorSet,
    proof,
    batch,
    block: { batches: [batch] },
    feedBlock: FeedBlock.serialize(chain.feedBlock(1, ROLLUP)),
    handOver: chain.handOver(0),
    receipt,
    receipts: [receipt],
    receiptText: JSON.stringify(receiptToJson(receipt)),
    bytes: OrderingReceipt.serialize(receipt),
    hash: hashOf(raw[0]!),
    transaction: transaction(60, 5),
    height: 1,
    cursor: 0,
    first: chain.certificateAt(1),
    second: chain.certify(VoteKind.finalize, chain.blocks[2]!.header),
    console: { log: () => {} },
  };
});
afterAll(() => sequencer.stop());

it.each(functions.flatMap(([name, examples]) => examples.map((code, index) => ({ name, number: index + 1, code }))))(
  'runs: $name, $number',
  async ({ code }) => {
    // Only following has no end of its own.
    const apply = code.includes(' follow(') ? () => Promise.reject(ENOUGH) : () => {};
    const names: Record<string, unknown> = { ...client, ...node, ...given, apply };
    const runnable = code
      .replaceAll(/^import .*$/gm, '')
      .replaceAll('http://127.0.0.1:8640', sequencer.url)
      .replaceAll(' apply(', ' await apply(');
    const AsyncFunction = (async () => {}).constructor as new (
      ...words: string[]
    ) => (...values: unknown[]) => Promise<void>;
    // In a block: an example may declare itself what others take as given.
    const run = new AsyncFunction(...Object.keys(names), `{\n${runnable}\n}`);
    await run(...Object.values(names)).catch((error: unknown) => {
      if (error !== ENOUGH) throw error;
    });
  },
);
