/** One managed process: that it is told apart when it serves, ends, hangs or is killed. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SquadError } from '@squad/types';
import { describe, expect, it, vi } from 'vitest';
import { isAlive } from '../src/lock.ts';
import { ManagedProcess, readableLine, shellLine } from '../src/process.ts';
import { program, temporaryDirectory } from './support.ts';

const SERVES = `
  process.on('SIGTERM', () => { console.log('bye'); process.exit(0); });
  process.on('disconnect', () => process.exit(0));
  process.send('serving');
  console.log('hello');
`;

function managed(source: string, options: { startTimeoutMs?: number } = {}) {
  const directory = temporaryDirectory();
  return new ManagedProcess({
    name: 'sequencer-0',
    command: program(directory, source),
    logPath: join(directory, 'log', 'log.jsonl'),
    ...options,
  });
}

describe('ManagedProcess', () => {
  it('serves, stops on request and keeps its log', async () => {
    const child = managed(SERVES);
    await child.start();
    expect(child.state).toBe('serving');
    const pid = child.pid!;
    await child.stop();
    expect(child.state).toBe('stopped');
    expect(child.lastExit).toEqual({ code: 0, signal: null });
    expect(isAlive(pid)).toBe(false);
    expect(readFileSync(child.logPath, 'utf8')).toContain('bye');
  });

  it('runs with the settings that keep its memory small; those of the environment win', async () => {
    const tells = `console.log(JSON.stringify([process.env.MALLOC_ARENA_MAX, process.env.NODE_OPTIONS])); ${SERVES}`;
    const settingsIn = async (environment: Readonly<Record<string, string>>) => {
      vi.stubEnv('NODE_OPTIONS', undefined);
      for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
      const child = managed(tells);
      await child.start().finally(() => vi.unstubAllEnvs());
      await child.stop();
      return JSON.parse(readFileSync(child.logPath, 'utf8').split('\n')[0]!) as unknown;
    };
    expect(await settingsIn({})).toEqual(['1', '--max-semi-space-size=16']);
    // Of an option that is given twice Node takes the last.
    const own = { MALLOC_ARENA_MAX: '4', NODE_OPTIONS: '--max-semi-space-size=64' };
    expect(await settingsIn(own)).toEqual(['4', '--max-semi-space-size=16 --max-semi-space-size=64']);
  });

  it('shows the last lines of a child that ends while it starts, and how to run it by hand', async () => {
    const child = managed(`console.log('one'); console.error('the disk is full'); process.exitCode = 3;`);
    const error = await child.start().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(SquadError);
    expect((error as SquadError).code).toBe('CHILD_EXITED');
    expect((error as SquadError).message).toMatch(
      /sequencer-0 ended while it started \(exit code 3\)[\s\S]*the disk is full/,
    );
    expect((error as SquadError).remedy).toContain(shellLine(child.command));
    expect(child.state).toBe('exited');
  });

  it('says so when the program does not exist', async () => {
    const child = new ManagedProcess({
      name: 'sequencer-0',
      command: [join(temporaryDirectory(), 'nothing-here')],
      logPath: join(temporaryDirectory(), 'log.jsonl'),
    });
    await expect(child.start()).rejects.toThrow(/it could not be started/);
  });

  it('stops a child that never serves', async () => {
    const child = managed(`setInterval(() => {}, 1000); process.on('SIGTERM', () => {});`, { startTimeoutMs: 300 });
    await expect(child.start()).rejects.toMatchObject({ code: 'CHILD_TIMEOUT' });
    expect(child.pid).toBeUndefined();
  });

  it('kills a child that ignores SIGTERM', async () => {
    const child = managed(`process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); process.send('serving');`);
    await child.start();
    await child.stop(50);
    expect(child.lastExit?.signal).toBe('SIGKILL');
  });

  it('reports an unexpected end, not an expected one', async () => {
    const child = managed(SERVES);
    const exits: boolean[] = [];
    const ended = new Promise<void>((resolve) => {
      child.onExit((_exit, expected) => {
        exits.push(expected);
        resolve();
      });
    });
    await child.start();
    process.kill(child.pid!, 'SIGKILL');
    await ended;
    expect(child.state).toBe('exited');
    await child.start();
    await child.kill('SIGKILL');
    expect(child.state).toBe('stopped');
    expect(exits).toEqual([false, true]);
  });
});

describe('readableLine', () => {
  it('turns a structured line into text and leaves others alone', () => {
    const line = JSON.stringify({
      level: 50,
      time: 0,
      pid: 1,
      hostname: 'h',
      msg: 'stopped',
      err: { message: 'disk full' },
      file: 'a',
    });
    expect(readableLine(line)).toBe('00:00:00.000 error stopped: disk full {"file":"a"}');
    expect(readableLine('plain text')).toBe('plain text');
    expect(readableLine('{"broken')).toBe('{"broken');
  });
});
