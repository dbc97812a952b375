/** A real geth, or op-geth, if there is one on PATH: started from a rollup's genesis, killed, started again. */

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RollupFile } from '@squad/rollup-node/config';
import { ethereumGenesis } from '@squad/rollup-node/ethereum-genesis';
import { rpcCall } from '@squad/service';
import { z } from 'zod';
import { waitFor } from '../src/index.ts';
import { freePort } from './support.ts';

export type GethProgram = 'geth' | 'op-geth';

/** Undefined if there is no such program. */
export function gethVersion(program: GethProgram): string | undefined {
  const found = spawnSync(program, ['version'], { encoding: 'utf8' });
  // A build of op-geth that is not a release says what it is a fork of.
  const version = /^Upstream Version: (.*)$/m.exec(found.stdout ?? '') ?? /^Version: (.*)$/m.exec(found.stdout ?? '');
  if (found.status === 0 && version !== null) return version[1];
  console.warn(`no ${program} on PATH: what drives a real one is skipped`);
  return undefined;
}

/** Such as `1.16.9-stable`; undefined if there is no geth. */
export const GETH_VERSION: string | undefined = gethVersion('geth');

const GethBlock = z.looseObject({ number: z.string(), hash: z.string(), stateRoot: z.string() }).nullable();

export class Geth {
  readonly jwtSecretPath: string;
  readonly url: string;
  readonly #folder: string;
  readonly #program: GethProgram;
  readonly #flags: Readonly<Record<string, string>>;
  readonly #port: number;
  readonly #secret = randomBytes(32);
  #process: ChildProcess | undefined;

  private constructor(folder: string, port: number, program: GethProgram, flags: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.#program = program;
    this.#flags = flags;
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.jwtSecretPath = join(folder, 'jwt.hex');
    writeFileSync(this.jwtSecretPath, this.#secret.toString('hex'));
  }

  /** `genesis`: the text of a genesis file; by default made of the rollup file. */
  static create(folder: string, rollup: RollupFile, genesis?: string): Promise<Geth> {
    return Geth.launch(folder, 'geth', genesis ?? Geth.genesis(rollup));
  }

  /** The text of a rollup's genesis file. */
  static genesis(rollup: RollupFile): string {
    return JSON.stringify(ethereumGenesis(rollup));
  }

  /** `flags`: besides those that all have. */
  static async launch(
    folder: string,
    program: GethProgram,
    genesis: string,
    flags: Readonly<Record<string, string>> = {},
  ): Promise<Geth> {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, 'genesis.json');
    writeFileSync(path, genesis);
    execFileSync(program, ['init', '--datadir', join(folder, 'data'), path], { stdio: 'pipe' });
    // As late as can be: until it listens, anybody may take the port.
    const geth = new Geth(folder, await freePort(), program, flags);
    await geth.start();
    return geth;
  }

  async start(): Promise<void> {
    const log = openSync(join(this.#folder, 'log'), 'a');
    const flags = {
      datadir: join(this.#folder, 'data'),
      'authrpc.port': this.#port,
      'authrpc.jwtsecret': this.jwtSecretPath,
      syncmode: 'full',
      maxpeers: 0,
      port: 0,
      'cache.preimages': false,
      ...this.#flags,
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    this.#process = spawn(this.#program, [...args, '--nodiscover', '--ipcdisable', '--cache=64'], {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const serves = () => this.call('eth_chainId', [], z.string()).then(() => true);
    const withLog = (error: Error) => Promise.reject(new Error(`${error.message}\n${this.logTail(10)}`));
    await waitFor('geth serves', () => serves().catch(withLog), 60_000, 50);
  }

  /** SIGTERM: it writes its state. */
  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  /** SIGKILL: nothing is written in the end. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined || process.exitCode !== null) return;
    const ended = new Promise((resolve) => process.once('exit', resolve));
    process.kill(signal);
    await ended;
  }

  logTail(lines: number): string {
    return readFileSync(join(this.#folder, 'log'), 'utf8').split('\n').slice(-lines).join('\n');
  }

  block(at: number | string): Promise<z.output<typeof GethBlock>> {
    const tag = typeof at === 'number' ? `0x${at.toString(16)}` : at;
    return this.call('eth_getBlockByNumber', [tag, false], GethBlock);
  }

  call<Schema extends z.ZodType>(
    method: string,
    params: readonly unknown[],
    schema: Schema,
  ): Promise<z.output<Schema>> {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ iat: Math.floor(Date.now() / 1000) })}`;
    const token = `${signed}.${createHmac('sha256', this.#secret).update(signed).digest('base64url')}`;
    return rpcCall(this.url, method, params, schema, { headers: { authorization: `Bearer ${token}` } });
  }
}
