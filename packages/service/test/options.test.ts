/** Options: where values come from, and what a person is told about a wrong one. */

import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  attachOptions,
  defineOptions,
  describeOptions,
  givenFlags,
  MAX_OPTIONS_FILE_BYTES,
  MAX_OPTIONS_FILE_DEPTH,
  nearest,
  type OptionSources,
  parseOptionsFile,
  readOptionsFile,
  resolveOptions,
} from '../src/index.ts';

const options = defineOptions({
  rpcPort: {
    type: z.int().min(0).max(65_535),
    default: 8_545,
    env: 'SQUAD_RPC_PORT',
    flag: '--rpc-port',
    help: 'JSON-RPC port',
  },
  dataDir: { type: z.string().min(1), env: 'SQUAD_DATA_DIR', flag: '--data-dir', help: 'Folder for data' },
  archive: { type: z.boolean(), default: false, env: 'SQUAD_ARCHIVE', flag: '--archive', help: 'Keep everything' },
  peers: { type: z.array(z.string()).max(3), default: [], env: 'SQUAD_PEERS', flag: '--peers', help: 'Addresses' },
  ports: { type: z.array(z.int()).optional(), env: 'SQUAD_PORTS', flag: '--ports', help: 'Numbers' },
  password: {
    type: z.string().min(8).optional(),
    env: 'SQUAD_PASSWORD',
    flag: '--password',
    help: 'Of the keystore',
    secret: true,
  },
});

const required = { dataDir: '/data' };
const resolved = (sources: OptionSources) => {
  const result = resolveOptions(options, sources);
  if (!result.ok) throw result.error;
  return result.value;
};
const refused = (sources: OptionSources) => {
  const result = resolveOptions(options, sources);
  if (result.ok) throw new Error('it was accepted');
  return result.error;
};
const file = (values: Record<string, unknown>) => ({ path: 'node.yaml', values });

describe('values', () => {
  it('come from the nearest source, and know which', () => {
    const all = {
      flags: { rpcPort: '1', dataDir: 'a' },
      env: { SQUAD_RPC_PORT: '2', SQUAD_ARCHIVE: 'true' },
      file: file({ rpcPort: 3, peers: ['x'] }),
    };
    const { values, origins } = resolved(all);
    expect(values).toMatchObject({ rpcPort: 1, dataDir: 'a', archive: true, peers: ['x'], password: undefined });
    expect(origins).toMatchObject({
      rpcPort: { kind: 'flag', name: '--rpc-port' },
      archive: { kind: 'environment', name: 'SQUAD_ARCHIVE' },
      peers: { kind: 'file', path: 'node.yaml', key: 'peers' },
      password: { kind: 'default' },
    });
    expect(resolved({ ...all, flags: required }).values.rpcPort).toBe(2);
    expect(resolved({ flags: required, file: all.file }).values.rpcPort).toBe(3);
    expect(resolved({ flags: required }).values.rpcPort).toBe(8_545);
  });

  it('are read from text by their type', () => {
    const { values } = resolved({
      flags: { dataDir: '123', archive: true },
      env: { SQUAD_PEERS: 'a, b,', SQUAD_PORTS: '1,2', SQUAD_RPC_PORT: '' },
    });
    expect(values).toMatchObject({ dataDir: '123', archive: true, peers: ['a', 'b'], ports: [1, 2], rpcPort: 8_545 });
  });

  it.each([
    ['text', { SQUAD_RPC_PORT: 'http' }, 'rpcPort', '"http"'],
    ['hex', { SQUAD_RPC_PORT: '0x10' }, 'rpcPort', '"0x10"'],
    ['one above the largest', { SQUAD_RPC_PORT: '65536' }, 'rpcPort', '65536'],
    ['negative', { SQUAD_RPC_PORT: '-1' }, 'rpcPort', '-1'],
    ['a fraction', { SQUAD_RPC_PORT: '1.5' }, 'rpcPort', '1.5'],
    ['no boolean', { SQUAD_ARCHIVE: 'maybe' }, 'archive', '"maybe"'],
    ['too many', { SQUAD_PEERS: 'a,b,c,d' }, 'peers', '["a","b","c","d"]'],
    ['an item of the wrong kind', { SQUAD_PORTS: '1,x' }, 'ports', '[1,"x"]'],
  ])('that are %s are refused, naming option, value and origin', (_what, env, option, shown) => {
    const { code, message, remedy } = refused({ flags: required, env });
    expect(code).toBe('OPTION_INVALID');
    expect(message).toContain(option);
    expect(message).toContain(shown);
    expect(message).toContain(`environment ${Object.keys(env)[0]}`);
    expect(remedy).toMatch(/--.*SQUAD_/);
  });

  it('that must be given are asked for in all the ways in which they can be', () => {
    const { code, message, remedy } = refused({});
    expect([code, message]).toEqual(['OPTION_MISSING', expect.stringContaining('dataDir')]);
    for (const way of ['--data-dir', 'SQUAD_DATA_DIR', 'dataDir']) expect(remedy).toContain(way);
  });

  it('are described though some are missing, but not if one is wrong', () => {
    const env = { SQUAD_RPC_PORT: '1' };
    const described = describeOptions(options, { env });
    expect(described).toMatchObject({ ok: true, value: { missing: ['dataDir'] } });
    expect(described.ok && described.value.rows).toContainEqual({
      name: 'rpcPort',
      value: '1',
      origin: 'environment SQUAD_RPC_PORT',
    });
    const wrong = describeOptions(options, { env: { SQUAD_RPC_PORT: 'x' } });
    expect(wrong).toMatchObject({ ok: false, error: { code: 'OPTION_INVALID' } });
    const unknown = describeOptions(options, { file: file({ rpcPrt: 1 }) });
    expect(unknown).toMatchObject({ ok: false, error: { code: 'OPTION_UNKNOWN' } });
  });

  it('are checked against each other', () => {
    const check = ({ rpcPort, archive }: { rpcPort: number; archive: boolean }) =>
      archive && rpcPort === 0 ? 'archive needs a fixed rpcPort' : undefined;
    const flags = { ...required, archive: true, rpcPort: '0' };
    expect(resolveOptions(options, { flags }, check)).toMatchObject({
      ok: false,
      error: { code: 'OPTIONS_INCONSISTENT' },
    });
    expect(resolveOptions(options, { flags: { ...flags, rpcPort: '1' } }, check)).toMatchObject({ ok: true });
  });

  it('that are secret never show, neither whole nor in errors', () => {
    const secret = 'correct horse';
    const found = resolved({ flags: { ...required, password: secret } });
    expect(found.values.password).toBe(secret);
    const described = describeOptions(options, { flags: { ...required, password: secret } });
    const seen = [JSON.stringify(found), inspect(found, { depth: 9 }), JSON.stringify(described)].join();
    expect(seen).not.toContain(secret);
    expect(seen).toContain('<hidden>');
    const error = refused({ flags: { ...required, password: 'short' } });
    expect(inspect(error) + JSON.stringify(error.data)).not.toContain('short');
  });
});

describe('the file', () => {
  it('may be YAML or JSON, or empty', () => {
    expect(parseOptionsFile('f', 'rpcPort: 1\npeers: [a, b]\n')).toMatchObject({
      value: { values: { rpcPort: 1, peers: ['a', 'b'] } },
    });
    expect(parseOptionsFile('f', '{"rpcPort": 1}')).toMatchObject({ value: { values: { rpcPort: 1 } } });
    expect(parseOptionsFile('f', '# nothing\n')).toMatchObject({ value: { values: {} } });
  });

  it.each([
    ['a list', '- a\n'],
    ['a number', '5'],
    ['broken', 'a: [1\nb: 2'],
    ['a key given twice', 'a: 1\na: 2\n'],
    ['an alias bomb', `a: &a [x]\n${'b: [*a, *a]\n'}`],
  ])('that is %s is refused, with its path', (_what, text) => {
    const result = parseOptionsFile('node.yaml', text);
    expect(result).toMatchObject({
      ok: false,
      error: { code: 'OPTIONS_FILE_INVALID', message: expect.stringContaining('node.yaml') },
    });
  });

  it.each([
    ['lists in brackets', (levels: number) => `a: ${'['.repeat(levels)}1${']'.repeat(levels)}`],
    ['mappings in braces', (levels: number) => `a: ${'{b: '.repeat(levels)}1${'}'.repeat(levels)}`],
    ['lists on one line', (levels: number) => `a:\n${'- '.repeat(levels)}1`],
    [
      'mappings on many lines',
      (levels: number) => Array.from({ length: levels }, (_, i) => `${'  '.repeat(i)}a:`).join('\n'),
    ],
  ])('is read with %s up to a depth, and no deeper', (_what, text) => {
    expect(parseOptionsFile('f', text(MAX_OPTIONS_FILE_DEPTH))).toMatchObject({ ok: true });
    for (const levels of [MAX_OPTIONS_FILE_DEPTH + 2, 3_000]) {
      const result = parseOptionsFile('f', text(levels).slice(0, MAX_OPTIONS_FILE_BYTES));
      expect(result).toMatchObject({ error: { message: expect.stringContaining('MAX_OPTIONS_FILE_DEPTH') } });
    }
  });

  it('names a key that is no option, and the nearest one', () => {
    const near = refused({ flags: required, file: file({ rpcprot: 1 }) });
    expect([near.code, near.remedy]).toEqual(['OPTION_UNKNOWN', 'Did you mean "rpcPort"?']);
    const far = refused({ flags: required, file: file({ zzzzzzzzzz: 1 }) });
    expect(far.remedy).toContain('rpcPort, dataDir');
    for (const key of ['__proto__', 'constructor', 'toString']) {
      const values = JSON.parse(`{"${key}": 1}`) as Record<string, unknown>;
      expect(refused({ flags: required, file: file(values) }).code).toBe('OPTION_UNKNOWN');
    }
  });

  it('is read up to its limit, and its absence explained', () => {
    const folder = mkdtempSync(join(tmpdir(), 'squad-options-'));
    const path = join(folder, 'node.yaml');
    const text = 'rpcPort: 1\n#';
    writeFileSync(path, text.padEnd(MAX_OPTIONS_FILE_BYTES, 'x'));
    expect(readOptionsFile(path)).toMatchObject({ ok: true, value: { values: { rpcPort: 1 } } });
    writeFileSync(path, text.padEnd(MAX_OPTIONS_FILE_BYTES + 1, 'x'));
    expect(readOptionsFile(path)).toMatchObject({ ok: false, error: { code: 'OPTIONS_FILE_INVALID' } });
    rmSync(path);
    // Its size tells nothing.
    symlinkSync('/dev/zero', path);
    expect(readOptionsFile(path)).toMatchObject({
      error: { message: expect.stringContaining('more bytes than MAX_') },
    });
    rmSync(folder, { recursive: true });
    expect(readOptionsFile(path)).toMatchObject({ ok: false, error: { code: 'OPTIONS_FILE_UNREADABLE' } });
  });
});

describe('commands', () => {
  const parse = (...argv: string[]) => {
    const command = attachOptions(new Command('node'), options);
    let output = '';
    const write = (text: string) => {
      output += text;
    };
    command.exitOverride().configureOutput({ writeErr: write, writeOut: write });
    try {
      command.parse(argv, { from: 'user' });
    } catch (error) {
      return { error, output, flags: {} };
    }
    return { error: undefined, output, flags: givenFlags(command, options) };
  };

  it('give only what was on the command line', () => {
    expect(parse('--rpc-port', '9', '--archive', '--peers', 'a,b', '--peers', 'c').flags).toEqual({
      rpcPort: '9',
      archive: true,
      peers: ['a,b', 'c'],
    });
    expect(resolved({ flags: { ...required, peers: ['a,b', 'c'] } }).values.peers).toEqual(['a', 'b', 'c']);
    expect(resolved({ flags: { ...required, ...parse('--archive', 'false').flags } }).values.archive).toBe(false);
  });

  it('refuse an unknown flag, with a suggestion', () => {
    const { error, output } = parse('--rpc-prot', '9');
    expect(error).toMatchObject({ code: 'commander.unknownOption' });
    expect(output).toContain('--rpc-port');
  });

  it('show default and environment of each flag, and no secret default', () => {
    const { output } = parse('--help');
    expect(output).toContain('8545');
    expect(output).toContain('SQUAD_RPC_PORT');
  });
});

describe('definitions', () => {
  const one = { type: z.string(), env: 'SQUAD_A', flag: '--a', help: 'h' };
  it.each([
    ['a flag twice', { a: one, b: { ...one, env: 'SQUAD_B' } }],
    ['a variable twice', { a: one, b: { ...one, flag: '--b' } }],
    ['a flag that is none', { a: { ...one, flag: 'a' } }],
    ['a variable without the prefix', { a: { ...one, env: 'A' } }],
    ['a name that is not camelCase', { 'a-b': one }],
    ['no help', { a: { ...one, help: '' } }],
    ['a default that is not valid', { a: { ...one, type: z.string().min(2), default: 'x' } }],
  ])('with %s are bugs', (_what, definitions) => {
    expect(() => defineOptions(definitions)).toThrow();
  });
});

it('suggests only what is near', () => {
  expect(nearest('rpcprot', ['rpcPort', 'dataDir'])).toBe('rpcPort');
  expect(nearest('datadri', ['rpcPort', 'dataDir'])).toBe('dataDir');
  expect(nearest('something', ['rpcPort', 'dataDir'])).toBeUndefined();
});
