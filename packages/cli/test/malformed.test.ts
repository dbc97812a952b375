/**
 * Whatever a person gets wrong in flags, configuration files, keystores and key files, they are told in a sentence that names
 * it and one that says what to do: exit code 1, no stack, nothing written.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MAX_SECRET_FILE_BYTES } from '@squad/crypto/node';
import { MAX_ROLLUP_FILE_BYTES } from '@squad/rollup-node/config';
import { MAX_OPTIONS_FILE_BYTES } from '@squad/service';
import { MAX_GENESIS_FILE_BYTES, MAX_VALIDATOR_SCHEDULE_FILE_BYTES, parseGenesis } from '@squad/types';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_VALIDATOR_FILE_BYTES } from '../src/validator-file.ts';
import { type Outcome, squad } from './support.ts';

/** What a command would make by default. A person may have run `npm start`, or followed the guides, before the tests. */
const present = () => ['genesis.json', '.squad', 'keys'].filter((file) => existsSync(join(process.cwd(), file)));
const presentBefore = present();

/** Malformed inputs of each kind. */
const RUNS = 64;

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'squad-malformed-'));
  writeFileSync(join(folder, 'password.txt'), 'password\n');
  const { code } = await squad('keys', 'new', '--name', 'alice', '--dir', join(folder, 'alice'), ...password());
  expect(code).toBe(0);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const password = () => ['--password-file', join(folder, 'password.txt')];

/** An error a person can act on. */
function expectExplained({ code, stdout, stderr }: Outcome, what: string): void {
  expect(code, what).toBe(1);
  expect(stdout, what).toBe('');
  expect(stderr, what).toMatch(/^error: .+/);
  expect(stderr, what).toMatch(/\nremedy: .{10,}|Did you mean|--help lists/);
  expect(stderr, what).not.toContain('was not foreseen');
  expect(stderr, what).not.toMatch(/\n {4}at /);
  expect(stderr.length, what).toBeLessThan(4_000);
}

describe('flags', () => {
  const numbers = ['--nodes', '--rollups', '--rpc-port-base', '--p2p-port-base', '--metrics-port-base'] as const;
  const notNumbers = fc.oneof(
    fc.constantFrom(
      '',
      ' ',
      '-1',
      '1e3',
      '0x10',
      '4.5',
      'NaN',
      'Infinity',
      '９',
      '4 4',
      'four',
      '--',
      '70000',
      '1e999',
    ),
    fc.string({ minLength: 1, maxLength: 40 }).filter((text) => !/^\s*\d+\s*$/.test(text)),
  );

  it('refuses what is no number', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...numbers), notNumbers, async (flag, text) => {
        // Nodes may be any integer here; whether a testnet of that size exists is asked when it starts.
        fc.pre(!(text === '-1' || text === '70000') || (flag !== '--nodes' && flag !== '--rollups'));
        expectExplained(await squad('show-config', 'testnet', `${flag}=${text}`), `${flag}=${JSON.stringify(text)}`);
      }),
      { numRuns: RUNS },
    );
  });

  it('refuses unknown flags', async () => {
    const words = fc.stringMatching(/^[a-z]{1,8}(-[a-z]{1,8})?$/);
    await fc.assert(
      fc.asyncProperty(words, async (word) => {
        fc.pre(
          !['nodes', 'rollups', 'dir', 'reset', 'json', 'help', 'config', 'free-ports', 'log-level'].includes(word),
        );
        fc.pre(!word.endsWith('-base'));
        expectExplained(await squad('show-config', 'testnet', `--${word}`), word);
      }),
      { numRuns: RUNS },
    );
  });

  it('refuses unknown commands', async () => {
    await fc.assert(
      fc.asyncProperty(fc.stringMatching(/^[a-z]{3,12}x[a-z]{0,4}$/), async (word) => {
        expectExplained(await squad(word), word);
      }),
      { numRuns: RUNS },
    );
  });
});

describe('configuration files', () => {
  const faults = [
    'nodes: four',
    'nodes: [4]',
    'nodes: {a: 1}',
    'nodes: 4.5',
    'nodes: "4"',
    'nodes: null',
    'nodes: true',
    'nodez: 4',
    'NODES: 4',
    'nodes: 4\nnodes: 5',
    'rollups: -',
    'reset: maybe',
    'reset: 1',
    'logLevel: loud',
    'logLevel: 3',
    'directory: ""',
    'directory: 7',
    'directory: []',
    'rpcPortBase: -1',
    'rpcPortBase: 65536',
    'rpcPortBase: 1e9',
    'p2pPortBase: "9000"',
    'metricsPortBase: .inf',
    'freePorts: "yes"',
    '- nodes',
    '"nodes"',
    '42',
    'true',
    '[1, 2]',
    '{"nodes": 4',
    'nodes: [',
    'nodes: "4',
    "nodes: '4",
    '\tnodes: 4',
    'nodes: 4\n rollups: 1',
    'a: b: c',
    '&a [*a]',
    'nodes: *missing',
    'nodes: &n 4\nrollups: *n',
    '%YAML 9.9\n---\nnodes: four',
    '---\nnodes: 4\n---\nnodes: 5',
    '!!binary nodes',
    'nodes: !!str 4',
    'nodes: 0b100',
    '? nodes\n: four',
    '__proto__: {nodes: 4}',
    'constructor: 1',
    'toString: 1',
    'nodes: 99999999999999999999',
    'nodes: -0.5',
    'nodes: 2030-01-01',
    'logLevel: [info]',
    'logLevel: INFO',
    'logLevel: " info"',
    'directory: {}',
    'directory: true',
    '{nodes: 4, nodes: 5}',
    '{"nodes": 4,, "rollups": 1}',
    '<xml/>',
    'nodes = 4',
    '[nodes]\nvalue = 4',
    `nodes: "${'9'.repeat(500)}"`,
    '"nodes": 4}',
    '\u0000',
    '\u0000\u0001\u0002binary',
    `${'a: {'.repeat(200)}`,
    'rpc-port-base: 1',
    'rpcportbase: 1',
  ];

  it.each(faults.map((text) => [text]))('refuses %j', async (text) => {
    const path = join(folder, 'net.yaml');
    writeFileSync(path, text);
    const outcome = await squad('show-config', 'testnet', '--config', path);
    expectExplained(outcome, text);
    expect(outcome.stderr).toContain(path);
  });

  it('has enough of them', () => {
    expect(new Set(faults).size).toBeGreaterThanOrEqual(RUNS);
  });

  it('refuses a file that is not there, a folder, and one that is too large', async () => {
    expectExplained(await squad('show-config', 'testnet', '--config', join(folder, 'nowhere.yaml')), 'missing');
    expectExplained(await squad('show-config', 'testnet', '--config', folder), 'a folder');
    const path = join(folder, 'large.yaml');
    writeFileSync(path, `directory: ${'x'.repeat(2 << 20)}\n`);
    expectExplained(await squad('show-config', 'testnet', '--config', path), 'large');
  });
});

/** JSON with one value changed, removed or added, somewhere. */
function mutations(json: unknown): fc.Arbitrary<unknown> {
  const paths = pathsOf(json);
  const junk = fc.constantFrom<unknown>(null, true, -1, 2 ** 60, '', 'zz', '0x', [], {}, [[]], '0xzz', 'a'.repeat(300));
  return fc.tuple(fc.constantFrom(...paths), fc.constantFrom('replace', 'remove'), junk).map(([path, how, value]) => {
    const copy = structuredClone(json) as Record<string, unknown>;
    let at = copy;
    for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
    const last = path.at(-1)!;
    if (how === 'remove') delete at[last];
    else at[last] = value;
    return copy;
  });
}

function pathsOf(json: unknown, prefix: readonly string[] = []): string[][] {
  if (typeof json !== 'object' || json === null) return [];
  return Object.entries(json).flatMap(([key, value]) => [[...prefix, key], ...pathsOf(value, [...prefix, key])]);
}

describe('key files', () => {
  /** Runs `keys show` on changed files; either it is refused in words, or the change did not matter to what it read. */
  async function showWith(file: string, text: string): Promise<Outcome> {
    const path = join(folder, 'alice', file);
    const original = readFileSync(path, 'utf8');
    writeFileSync(path, text);
    try {
      return await squad('keys', 'show', '--dir', join(folder, 'alice'), ...password());
    } finally {
      writeFileSync(path, original);
    }
  }

  /** Fields that say nothing about the key: free text, or read by nobody. */
  const IRRELEVANT: Readonly<Record<string, readonly string[]>> = {
    'bls-keystore.json': ['description', 'path', 'uuid', 'name'],
    'node-key.json': [],
    'validator.json': ['name', 'weight', 'addresses'],
  };

  it.each(['bls-keystore.json', 'node-key.json', 'validator.json'])(
    'refuses a changed %s',
    async (file) => {
      const original = JSON.parse(readFileSync(join(folder, 'alice', file), 'utf8')) as Record<string, unknown>;
      let refused = 0;
      await fc.assert(
        fc.asyncProperty(mutations(original), async (mutation) => {
          const outcome = await showWith(file, JSON.stringify(mutation));
          const changed = Object.keys(original).filter(
            (key) => JSON.stringify((mutation as Record<string, unknown>)[key]) !== JSON.stringify(original[key]),
          );
          if (outcome.code === 0) {
            // The keystore's checksum message and cipher parameters of no effect may be accepted; keys never.
            expect(
              changed.every((key) => key === 'crypto' || IRRELEVANT[file]!.includes(key)),
              changed.join(),
            ).toBe(true);
          } else {
            expectExplained(outcome, JSON.stringify(mutation).slice(0, 300));
            refused++;
          }
        }),
        { numRuns: 2 * RUNS },
      );
      expect(refused).toBeGreaterThanOrEqual(RUNS);
    },
    120_000,
  );

  it.each(['bls-keystore.json', 'node-key.json', 'validator.json'])('refuses a cut off %s', async (file) => {
    const text = readFileSync(join(folder, 'alice', file), 'utf8');
    for (let length = 0; length < text.length - 2; length += Math.ceil(text.length / RUNS)) {
      expectExplained(await showWith(file, text.slice(0, length)), `${file} cut to ${length}`);
    }
  });
});

describe('genesis files', () => {
  /** A sequencer that gets as far as the genesis file: its other files are good. */
  function sequencerWith(text: string | undefined): Promise<Outcome> {
    const path = join(folder, 'genesis.json');
    if (text === undefined) rmSync(path, { force: true });
    else writeFileSync(path, text);
    return squad(
      'sequencer',
      `--genesis=${path}`,
      `--data-directory=${join(folder, 'data')}`,
      `--keystore=${join(folder, 'alice', 'bls-keystore.json')}`,
      `--keystore-password-file=${join(folder, 'password.txt')}`,
      `--node-key=${join(folder, 'alice', 'node-key.json')}`,
      '--rpc-port=0',
      '--metrics-port=0',
      '--listen=/ip4/127.0.0.1/tcp/0',
    );
  }

  /** Without this validator's place in it, any genesis file is refused in the end; here it must be refused before. */
  const REFUSED_LATER = /is not a validator|not in the (genesis|set|validator)/i;

  it('refuses a changed one', async () => {
    const validators = [JSON.parse(readFileSync(join(folder, 'alice', 'validator.json'), 'utf8'))];
    const original = {
      version: 1,
      name: 'pilot',
      genesisTimeMs: 0,
      epochLengthBlocks: 1_000,
      validators,
      rollups: [{ rollupId: 901, kind: 'evm' }],
    };
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(mutations(original), async (mutation) => {
        // Another name, or a removed address, is another network, not a fault.
        fc.pre(!parseGenesis(mutation).ok);
        const outcome = await sequencerWith(JSON.stringify(mutation));
        expectExplained(outcome, JSON.stringify(mutation).slice(0, 300));
        expect(outcome.stderr).not.toMatch(REFUSED_LATER);
        expect(outcome.stderr).toMatch(/genesis/);
        refused++;
      }),
      { numRuns: RUNS },
    );
    expect(refused).toBeGreaterThanOrEqual(RUNS);
  }, 120_000);

  it('refuses one that is cut off, empty, no JSON or not there', async () => {
    expectExplained(await sequencerWith(undefined), 'missing');
    for (const text of ['', '{', 'null', '[]', '42', '"genesis"', '{}', '\u0000', 'version: 1']) {
      expectExplained(await sequencerWith(text), text);
    }
  });

  it('refuses a good one of which this key is no part, or whose proof of possession is another’s', async () => {
    const { code } = await squad('keys', 'new', '--name', 'bob', '--dir', join(folder, 'bob'), ...password());
    expect(code).toBe(0);
    const alice = JSON.parse(readFileSync(join(folder, 'alice', 'validator.json'), 'utf8'));
    const bob = JSON.parse(readFileSync(join(folder, 'bob', 'validator.json'), 'utf8'));
    const genesis = (validator: unknown) =>
      JSON.stringify({
        version: 1,
        name: 'pilot',
        genesisTimeMs: 0,
        epochLengthBlocks: 1_000,
        validators: [validator],
        rollups: [{ rollupId: 901, kind: 'evm' }],
      });
    expectExplained(await sequencerWith(genesis(bob)), 'of bob');
    const stolen = await sequencerWith(genesis({ ...alice, proofOfPossession: bob.proofOfPossession }));
    expectExplained(stolen, 'stolen');
    expect(stolen.stderr).toContain('proofOfPossession');
  });
});

describe('files beyond their limits', () => {
  const large = () => join(folder, 'large');
  /** A byte more than the limit; sparse, so that it takes nothing. */
  function makeLarge(limit: number): void {
    writeFileSync(large(), '');
    truncateSync(large(), limit + 1);
  }
  const aliceJson = () => join(folder, 'alice', 'validator.json');
  const schedule = (validator: string, file: string) =>
    squad('schedule', '--from-epoch', '3', '--validator', validator, '--file', file);

  it.each<[string, number, () => Promise<Outcome>]>([
    ['MAX_VALIDATOR_FILE_BYTES', MAX_VALIDATOR_FILE_BYTES, () => schedule(large(), join(folder, 'none'))],
    ['MAX_VALIDATOR_SCHEDULE_FILE_BYTES', MAX_VALIDATOR_SCHEDULE_FILE_BYTES, () => schedule(aliceJson(), large())],
    [
      'MAX_SECRET_FILE_BYTES',
      MAX_SECRET_FILE_BYTES,
      () => squad('keys', 'new', '--name=a', '--dir', join(folder, 'a'), '--password-file', large()),
    ],
    ['MAX_SECRET_FILE_BYTES', MAX_SECRET_FILE_BYTES, () => sequencer({ password: large() })],
    ['MAX_GENESIS_FILE_BYTES', MAX_GENESIS_FILE_BYTES, () => sequencer({ genesis: large() })],
    ['MAX_ROLLUP_FILE_BYTES', MAX_ROLLUP_FILE_BYTES, () => squad('rollup-genesis', large())],
    ['MAX_OPTIONS_FILE_BYTES', MAX_OPTIONS_FILE_BYTES, () => squad('show-config', 'sequencer', '--config', large())],
  ])('are refused, and %s = %i named', async (name, limit, run) => {
    makeLarge(limit);
    const outcome = await run();
    expectExplained(outcome, name);
    expect(outcome.stderr).toContain(large());
    expect(outcome.stderr).toContain(`more bytes than ${name} = ${limit}`);
  });

  function sequencer({ genesis, password }: { readonly genesis?: string; readonly password?: string }) {
    const good = join(folder, 'genesis-good.json');
    const validators = [JSON.parse(readFileSync(aliceJson(), 'utf8'))];
    const rollups = [{ rollupId: 901, kind: 'evm' }];
    const file = { version: 1, name: 'pilot', genesisTimeMs: 0, epochLengthBlocks: 1_000, validators, rollups };
    writeFileSync(good, JSON.stringify(file));
    return squad(
      'sequencer',
      `--genesis=${genesis ?? good}`,
      `--data-directory=${join(folder, 'data')}`,
      `--keystore=${join(folder, 'alice', 'bls-keystore.json')}`,
      `--keystore-password-file=${password ?? join(folder, 'password.txt')}`,
      `--node-key=${join(folder, 'alice', 'node-key.json')}`,
      '--rpc-port=0',
      '--metrics-port=0',
      '--listen=/ip4/127.0.0.1/tcp/0',
    );
  }

  it('are read at them', async () => {
    const validator = join(folder, 'full.json');
    writeFileSync(validator, readFileSync(aliceJson(), 'utf8').padEnd(MAX_VALIDATOR_FILE_BYTES));
    expect(await schedule(validator, join(folder, 'schedule.json'))).toMatchObject({ code: 0 });
  });
});

it.each(['sequencer', 'rollup-node'])(
  '%s takes as many L1 endpoints as it asks in turn, and not one more',
  async (kind) => {
    const endpoints = (count: number) =>
      Array.from({ length: count }, (_, i) => ['--l1-rpc', `http://127.0.0.1:${i + 1}`]).flat();
    const most = await squad('show-config', kind, ...endpoints(8));
    expect(most.stderr).not.toContain('--l1-rpc');
    expectExplained(await squad('show-config', kind, ...endpoints(9)), 'nine endpoints');
  },
);

it('never wrote anything', () => {
  expect(present()).toEqual(presentBefore);
});
