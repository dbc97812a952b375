/**
 * A CPU profile of a node while it runs. SIGUSR1 makes Node open its inspector; over it the profiler is started and
 * stopped, so the profile holds the time of interest and nothing of the start.
 */

import { statSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { waitFor } from '@squad/testnet';
import { SquadError } from '@squad/types';
import { WebSocket } from 'ws';

const INSPECTOR_TIMEOUT_MS = 10_000;
/** Between two samples. */
export const PROFILE_INTERVAL_US = 500;

/** Put before the program of a process: its inspector takes a free port when SIGUSR1 opens it. */
export const INSPECTOR_FLAGS: readonly string[] = ['--inspect-port=127.0.0.1:0'];

export interface RunningProfile {
  /** Writes the profile: Chrome's and VS Code's .cpuprofile. */
  stop(path: string): Promise<void>;
}

/** `logPath`: where the process writes its standard error, in which Node says on what address the inspector listens. */
export async function startProfile(pid: number, logPath: string): Promise<RunningProfile> {
  const url = await openInspector(pid, logPath);
  const session = await connectSession(url);
  await session.call('Profiler.enable');
  await session.call('Profiler.setSamplingInterval', { interval: PROFILE_INTERVAL_US });
  await session.call('Profiler.start');
  return {
    stop: async (path) => {
      const { profile } = (await session.call('Profiler.stop')) as { profile: unknown };
      session.close();
      await writeFile(path, JSON.stringify(profile));
    },
  };
}

async function openInspector(pid: number, logPath: string): Promise<string> {
  const from = statSync(logPath).size;
  process.kill(pid, 'SIGUSR1');
  return waitFor(
    `process ${pid} opens its inspector`,
    async () => {
      const text = await readFrom(logPath, from);
      const failed = /Starting inspector on .* failed: .*/.exec(text);
      if (failed !== null) {
        throw new SquadError('INSPECTOR_FAILED', failed[0], 'Profile one process at a time, or free that port.');
      }
      return /Debugger listening on (ws:\S+)/.exec(text)?.[1];
    },
    INSPECTOR_TIMEOUT_MS,
  );
}

async function readFrom(path: string, from: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.max(0, size - from));
    await file.read(buffer, 0, buffer.length, from);
    return buffer.toString('utf8');
  } finally {
    await file.close();
  }
}

interface Session {
  call(method: string, params?: object): Promise<unknown>;
  close(): void;
}

function connectSession(url: string): Promise<Session> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { maxPayload: 1 << 30, perMessageDeflate: false });
    const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
    let nextId = 1;
    socket.on('open', () =>
      resolve({
        call: (method, params = {}) =>
          new Promise((done, failed) => {
            const id = nextId++;
            waiting.set(id, { resolve: done, reject: failed });
            socket.send(JSON.stringify({ id, method, params }));
          }),
        close: () => socket.close(),
      }),
    );
    socket.on('message', (data) => {
      const { id, result, error } = JSON.parse(String(data)) as {
        id?: number;
        result?: unknown;
        error?: { message: string };
      };
      if (id === undefined) return;
      const call = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(new Error(error.message));
    });
    const fail = (error: Error) => {
      reject(error);
      for (const call of waiting.values()) call.reject(error);
      waiting.clear();
    };
    socket.on('error', fail);
    socket.on('close', () => fail(new Error('the inspector closed the connection')));
  });
}
