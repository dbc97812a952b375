/** The command line as a whole: help, mistakes, exit codes. */

import { expect, it, onTestFinished } from 'vitest';
import { COMMANDS } from '../src/index.ts';
import { squad } from './support.ts';

it('shows help without arguments, with every command and examples', async () => {
  const { code, stdout } = await squad();
  expect(code).toBe(0);
  for (const { name, summary } of COMMANDS) {
    expect(stdout).toContain(name);
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(summary);
  }
  expect(stdout).toContain('Examples:');
});

it.each(COMMANDS.map(({ name }) => name))('shows help of %s', async (name) => {
  for (const argv of [
    [name, '--help'],
    ['help', name],
  ]) {
    const { code, stdout } = await squad(...argv);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: squad ${name}`);
  }
});

it.each([
  [['testnte'], 'Did you mean testnet?'],
  [['show-confg'], 'Did you mean show-config?'],
  [['testnet', '--node', '4'], 'Did you mean --nodes?'],
  [['keys', 'new', '--nmae', 'x'], 'Did you mean --name?'],
  [['keys', 'shwo'], 'Did you mean show?'],
  [['status', '--jsn'], 'Did you mean --json?'],
])('suggests what %j may have meant', async (argv, suggestion) => {
  const { code, stderr } = await squad(...argv);
  expect(code).toBe(1);
  expect(stderr).toContain(suggestion);
});

it('prints what happened and what to do, without a stack', async () => {
  const { code, stderr } = await squad('keys', 'new');
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: the option name is not set.*\nremedy: .*--name.*SQUAD_KEYS_NAME.*\n$/);
});

it('prints the stack as well if asked to', async () => {
  process.env.SQUAD_DEBUG = '1';
  onTestFinished(() => {
    delete process.env.SQUAD_DEBUG;
  });
  const { stderr } = await squad('keys', 'new');
  expect(stderr).toMatch(/\n {4}at /);
});

it('prints versions', async () => {
  expect((await squad('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(JSON.parse((await squad('version', '--json')).stdout)).toMatchObject({ node: process.versions.node });
});
