/**
 * One process of the testnet: started, watched, stopped. Its output goes straight into its log file, so nothing is lost
 * when the launcher dies. The IPC channel tells the child that its launcher lives, and the launcher that the child serves.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs';
import { dirname } from 'node:path';
import { SquadError } from '@squad/types';
import { SERVING_MESSAGE } from './serving.ts';

/** From SIGTERM to SIGKILL. */
export const STOP_TIMEOUT_MS = 8_000;
/** From start to serving. */
export const START_TIMEOUT_MS = 60_000;
const LOG_TAIL_BYTES = 64 * 1024;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type ProcessState = 'stopped' | 'starting' | 'serving' | 'exited';

export interface ManagedProcessOptions {
  readonly name: string;
  /** The program and all its arguments. */
  readonly command: readonly string[];
  readonly logPath: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly startTimeoutMs?: number;
}

export class ManagedProcess {
  readonly name: string;
  readonly logPath: string;
  readonly command: readonly string[];
  readonly #options: ManagedProcessOptions;
  #child: ChildProcess | undefined;
  #state: ProcessState = 'stopped';
  #exit: Promise<Exit> = Promise.resolve({ code: 0, signal: null });
  #lastExit: Exit | undefined;
  #stopping = false;
  #startedAtMs: number | undefined;
  #onExit: ((exit: Exit, expected: boolean) => void) | undefined;

  constructor(options: ManagedProcessOptions) {
    this.#options = options;
    this.name = options.name;
    this.logPath = options.logPath;
    this.command = options.command;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get state(): ProcessState {
    return this.#state;
  }

  get lastExit(): Exit | undefined {
    return this.#lastExit;
  }

  get startedAtMs(): number | undefined {
    return this.#startedAtMs;
  }

  /** `expected`: it was told to stop. One listener. */
  onExit(listener: (exit: Exit, expected: boolean) => void): void {
    this.#onExit = listener;
  }

  /** Spawns and resolves once the process serves. Rejects with `CHILD_EXITED` or `CHILD_TIMEOUT`, with its last lines. */
  async start(): Promise<void> {
    if (this.#child !== undefined) throw new Error(`${this.name} runs already`);
    this.#stopping = false;
    this.#state = 'starting';
    this.#startedAtMs = Date.now();
    mkdirSync(dirname(this.logPath), { recursive: true });
    const log = openSync(this.logPath, 'a');
    const [program, ...args] = this.command;
    const child = spawn(program!, args, {
      // A group of its own: Ctrl-C in a terminal reaches the launcher only, which then stops all in order.
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
      env: { ...withMemorySettings(inheritedEnvironment()), ...this.#options.env },
    });
    closeSync(log);
    this.#child = child;
    this.#exit = new Promise((resolve) => {
      child.once('error', (error) => {
        if (child.pid === undefined) {
          this.#ended({ code: null, signal: null });
          resolve({ code: null, signal: null });
        } else if (!this.#stopping) process.emitWarning(error);
      });
      child.once('exit', (code, signal) => {
        this.#ended({ code, signal });
        resolve({ code, signal });
      });
    });
    await this.#serving(child);
  }

  #ended(exit: Exit): void {
    this.#child = undefined;
    this.#lastExit = exit;
    this.#state = this.#stopping ? 'stopped' : 'exited';
    this.#onExit?.(exit, this.#stopping);
  }

  async #serving(child: ChildProcess): Promise<void> {
    const timeoutMs = this.#options.startTimeoutMs ?? START_TIMEOUT_MS;
    let timer: NodeJS.Timeout | undefined;
    const outcome = await Promise.race([
      new Promise<'serving'>((resolve) => {
        child.on('message', (message) => {
          if (message === SERVING_MESSAGE) resolve('serving');
        });
      }),
      this.#exit,
      new Promise<'timeout'>((resolve) => {
        timer = setTimeout(() => resolve('timeout'), timeoutMs);
      }),
    ]);
    clearTimeout(timer);
    if (outcome === 'serving') {
      this.#state = 'serving';
      return;
    }
    if (outcome === 'timeout') {
      await this.stop(0);
      throw this.#failure('CHILD_TIMEOUT', `did not serve within ${timeoutMs / 1000} s and was stopped`);
    }
    if (this.#stopping) throw this.#failure('CHILD_EXITED', 'was stopped while it started');
    throw this.#failure('CHILD_EXITED', `ended while it started (${describeExit(outcome)})`);
  }

  #failure(code: string, what: string): SquadError {
    return new SquadError(
      code,
      `${this.name} ${what}. The end of its log:\n${indent(this.logTail(12))}`,
      `Read ${this.logPath}; to see it fail by itself, run:\n  ${shellLine(this.command)}`,
      { process: this.name },
    );
  }

  /** Sends a signal and waits for the end. Does nothing if it does not run. */
  async kill(signal: NodeJS.Signals): Promise<Exit | undefined> {
    if (this.#child === undefined) return this.#lastExit;
    this.#stopping = true;
    this.#child.kill(signal);
    return this.#exit;
  }

  /** SIGTERM, then SIGKILL after the time-out. */
  async stop(timeoutMs: number = STOP_TIMEOUT_MS): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#stopping = true;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    await this.#exit;
    clearTimeout(timer);
  }

  /** The last lines of the log, made readable if they are JSON. */
  logTail(lines: number): string {
    return tailOf(this.logPath, lines).map(readableLine).join('\n') || '(empty)';
  }
}

/**
 * The launcher's environment without the options of `squad` in it: SQUAD_RPC_PORT meant for one process must not move the
 * ports of all.
 */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('SQUAD_') || name === 'SQUAD_DEBUG'),
  );
}

/**
 * What docs/operators.md says of a node's memory: at full load V8's young generation would grow to 128 MiB, and glibc keep an
 * arena for each thread. What the environment says itself comes later, and wins.
 */
function withMemorySettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const nodeOptions = `--max-semi-space-size=16 ${environment.NODE_OPTIONS ?? ''}`.trim();
  return { MALLOC_ARENA_MAX: '1', ...environment, NODE_OPTIONS: nodeOptions };
}

export function describeExit(exit: Exit): string {
  if (exit.signal !== null) return `signal ${exit.signal}`;
  return exit.code === null ? 'it could not be started' : `exit code ${exit.code}`;
}

export function shellLine(command: readonly string[]): string {
  return command.map((word) => (/^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ');
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}

/** The last lines of a file, however long it is: reads at most LOG_TAIL_BYTES from its end. */
function tailOf(path: string, lines: number): string[] {
  if (!existsSync(path)) return [];
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const length = Math.min(size, LOG_TAIL_BYTES);
    const buffer = Buffer.alloc(length);
    readSync(file, buffer, 0, length, size - length);
    return buffer.toString('utf8').split('\n').filter(Boolean).slice(-lines);
  } finally {
    closeSync(file);
  }
}

const LEVELS: Readonly<Record<string, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** A pino line as text; any other line as it is. */
export function readableLine(line: string): string {
  try {
    const { time, level, msg, err, error, ...rest } = JSON.parse(line) as Record<string, unknown>;
    if (typeof msg !== 'string') return line;
    const at = typeof time === 'number' ? new Date(time).toISOString().slice(11, 23) : String(time ?? '').slice(11, 23);
    const { pid: _pid, hostname: _hostname, name: _name, ...fields } = rest;
    const cause = (err ?? error) as { message?: string; remedy?: string } | string | undefined;
    const why = typeof cause === 'object' ? [cause.message, cause.remedy].filter(Boolean).join(' – ') : cause;
    const data = Object.keys(fields).length > 0 ? ` ${JSON.stringify(fields)}` : '';
    return `${at} ${(LEVELS[String(level)] ?? String(level ?? '')).padEnd(5)} ${msg}${why ? `: ${why}` : ''}${data}`;
  } catch {
    return line;
  }
}
