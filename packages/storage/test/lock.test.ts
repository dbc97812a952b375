/** Two processes and one folder; locks that the dead leave behind; a process that is killed while it writes. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import { lockFolder, openLog } from '../src/index.ts';
import { collect, record, rejection, temporaryFolder } from './support.ts';

const SOURCE = new URL('../src/', import.meta.url).href;
const children: ChildProcess[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) await end(child, 'SIGKILL');
});

/** Runs a module text in a process of its own, and resolves with its first line of output. */
async function start(text: string): Promise<{ child: ChildProcess; lines: AsyncIterator<string>; first: string }> {
  const flags = ['--conditions=source', '--experimental-strip-types', '--no-warnings', '--input-type=module'];
  const child = spawn(process.execPath, [...flags, '--eval', text], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const { value } = await lines.next();
  return { child, lines, first: value as string };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

const holder = (folder: string) => `
  const { lockFolder } = await import(${JSON.stringify(`${SOURCE}lock.ts`)});
  try {
    await lockFolder(${JSON.stringify(folder)});
    console.log('held');
  } catch (error) {
    console.log(error.code + ' ' + error.data.pid);
  }
  process.stdin.resume();
`;

describe('the lock of a folder', () => {
  it('names the process that holds it, and is taken over once that is dead', async () => {
    const folder = await temporaryFolder();
    const { child, first } = await start(holder(folder));
    expect(first).toBe('held');
    const error = await rejection(openLog({ directory: folder }), 'FOLDER_LOCKED');
    expect(error.message).toContain(`process ${child.pid}`);
    expect(error.data.pid).toBe(child.pid);
    expect((await start(holder(folder))).first).toBe(`FOLDER_LOCKED ${child.pid}`);
    await end(child, 'SIGKILL');
    expect(await readdir(folder)).toContain('LOCK');
    const log = await openLog({ directory: folder });
    expect((await start(holder(folder))).first).toBe(`FOLDER_LOCKED ${process.pid}`);
    await log.close();
    expect(await readdir(folder)).not.toContain('LOCK');
  });

  it('goes to one of many that take over the lock of a dead process at once', async () => {
    const folder = await temporaryFolder();
    const { child } = await start(holder(folder));
    await end(child, 'SIGKILL');
    const answers = (await Promise.all(Array.from({ length: 4 }, () => start(holder(folder))))).map(
      ({ first }) => first,
    );
    expect(answers.filter((answer) => answer === 'held')).toHaveLength(1);
    expect(answers.filter((answer) => answer.startsWith('FOLDER_LOCKED '))).toHaveLength(3);
    expect(await readdir(folder)).toEqual(['LOCK']);
  });

  it('is held once within one process too', async () => {
    const folder = await temporaryFolder();
    const lock = await lockFolder(folder);
    const error = await rejection(lockFolder(join(folder, '.')), 'FOLDER_LOCKED');
    expect(error.data.pid).toBe(process.pid);
    await lock.release();
    await lock.release();
    await (await lockFolder(folder)).release();
  });

  it('is taken over from what is not the lock of a living process', async () => {
    const self = JSON.parse(await ownLock()) as { pid: number; startedAt: string };
    const contents = [
      '',
      '{',
      'null',
      '[]',
      '12',
      '{"pid":"1","startedAt":""}',
      '{"pid":-1,"startedAt":""}',
      '{"pid":0,"startedAt":""}',
      '{"pid":1e9}',
      '{"pid":2147483646,"startedAt":""}',
      '{"pid":1.5,"startedAt":""}',
      '\0'.repeat(4096),
      // This very id, from a life before; and a living process that started at another time.
      JSON.stringify({ ...self, startedAt: 'another' }),
      JSON.stringify({ pid: process.ppid, startedAt: 'another boot:1' }),
    ];
    for (const content of contents) {
      const folder = await temporaryFolder();
      await writeFile(join(folder, 'LOCK'), content);
      const lock = await lockFolder(folder);
      expect(JSON.parse(await readFile(join(folder, 'LOCK'), 'utf8'))).toMatchObject({ pid: process.pid });
      await lock.release();
      expect(await readdir(folder)).toEqual([]);
    }
  });

  it('cannot be had where its place is taken by a folder', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'LOCK'));
    await rejection(lockFolder(folder), 'FOLDER_UNUSABLE');
    await rejection(openLog({ directory: folder }), 'FOLDER_UNUSABLE');
  });
});

async function ownLock(): Promise<string> {
  const folder = await temporaryFolder();
  const lock = await lockFolder(folder);
  const content = await readFile(join(folder, 'LOCK'), 'utf8');
  await lock.release();
  return content;
}

describe('a process that is killed while it writes', () => {
  it('leaves all that it had reported as synced', async () => {
    const folder = await temporaryFolder();
    const { child, lines } = await start(`
      const { openLog } = await import(${JSON.stringify(`${SOURCE}log/disk-log.ts`)});
      const log = await openLog({ directory: ${JSON.stringify(folder)}, segmentBytes: 100_000 });
      for (let i = 0; ; i++) {
        const payload = new Uint8Array(4 + (i * 997) % 20_000);
        new DataView(payload.buffer).setUint32(0, i);
        log.append([{ kind: 1, payload }]);
        if (i % 3 === 0) {
          await log.sync();
          console.log(i);
        }
      }
    `);
    let reported = 0;
    while (reported < 150) reported = Number((await lines.next()).value);
    await end(child, 'SIGKILL');
    for (let line = await lines.next(); line.done !== true; line = await lines.next()) reported = Number(line.value);
    const log = await openLog({ directory: folder, verifyAll: true });
    const numbers = (await collect(log.replay(0))).map(({ payload }) =>
      new DataView(payload.buffer, payload.byteOffset).getUint32(0),
    );
    expect(numbers.length).toBeGreaterThan(reported);
    expect(numbers).toEqual(numbers.map((_, i) => i));
    log.append([record(2)]);
    await log.close();
  });
});
