/** Processes of other people's programs: started with a log file, stopped by pid. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { promisify } from 'node:util';

const STOP_TIMEOUT_MS = 5_000;

/** The version that a program prints, or undefined if it is not on PATH. */
export async function versionOf(program: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(program, [...args]);
    return /\d+\.\d+\.\d+[^\s]*/.exec(stdout)?.[0] ?? stdout.trim().split('\n')[0];
  } catch {
    return undefined;
  }
}

export class ForeignProcess {
  readonly logPath: string;
  readonly #child: ChildProcess;
  readonly #exit: Promise<void>;

  constructor(program: string, args: readonly string[], logPath: string) {
    const log = openSync(logPath, 'a');
    this.logPath = logPath;
    this.#child = spawn(program, [...args], { stdio: ['ignore', log, log] });
    closeSync(log);
    this.#exit = new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      this.#child.once('error', () => resolve());
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exit;
    clearTimeout(timer);
  }
}

/** Ports on loopback that nobody has now; all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject);
          server.listen(0, '127.0.0.1', () => {
            const address = server.address();
            resolve(address !== null && typeof address === 'object' ? address.port : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
