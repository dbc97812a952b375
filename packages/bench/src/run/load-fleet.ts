/** The load clients of a run: started, told when to begin, and listened to. */

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SquadError } from '@squad/types';
import type { FromClient, LoadConfig, LoadCounts, LoadResult, ToClient } from '../load/protocol.ts';

/** From here it is .js when compiled, .ts from source. */
const CLIENT_MAIN = fileURLToPath(
  new URL(`../load/main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);
/** After the last answer: longer, and what is not final counts as lost. */
export const DRAIN_TIMEOUT_MS = 30_000;

interface Client {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  readonly sent: Promise<void>;
  readonly done: Promise<LoadResult>;
  counts: LoadCounts | undefined;
}

export class LoadFleet {
  readonly #clients: Client[];

  constructor(configs: readonly LoadConfig[]) {
    this.#clients = configs.map(startClient);
  }

  get pids(): readonly (number | undefined)[] {
    return this.#clients.map(({ child }) => child.pid);
  }

  async ready(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.ready));
  }

  /** Resolves with every client's result, once all that was accepted is final or the wait for it is over. */
  async run(startAtUs: number): Promise<readonly LoadResult[]> {
    for (const { child } of this.#clients) tell(child, { type: 'start', startAtUs });
    await Promise.all(this.#clients.map(({ sent, done }) => Promise.race([sent, done])));
    const timer = setTimeout(() => {
      for (const { child } of this.#clients) tell(child, { type: 'finish' });
    }, DRAIN_TIMEOUT_MS);
    const results = await Promise.all(this.#clients.map(({ done }) => done));
    clearTimeout(timer);
    return results;
  }

  /** Of all clients together, as last heard. */
  get counts(): LoadCounts {
    const sum = { offered: 0, accepted: 0, soft: 0, final: 0, rejected: 0, unanswered: 0 };
    for (const { counts } of this.#clients) {
      if (counts === undefined) continue;
      for (const name of Object.keys(sum) as (keyof LoadCounts)[]) sum[name] += counts[name];
    }
    return sum;
  }

  stop(): void {
    for (const { child } of this.#clients) if (child.connected) child.disconnect();
  }
}

function tell(child: ChildProcess, message: ToClient): void {
  if (child.connected) child.send(message);
}

function startClient(config: LoadConfig): Client {
  const child = fork(CLIENT_MAIN, [], { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const name = `load-${config.client}`;
  const ready = Promise.withResolvers<void>();
  const sent = Promise.withResolvers<void>();
  const done = Promise.withResolvers<LoadResult>();
  const client: Client = {
    child,
    ready: ready.promise,
    sent: sent.promise,
    done: done.promise,
    counts: undefined,
  };
  const fail = (what: string) => {
    const error = new SquadError('LOAD_CLIENT_FAILED', `${name} ${what}`, 'The nodes’ logs may say more.');
    for (const { reject } of [ready, sent, done]) reject(error);
  };
  for (const { promise } of [ready, sent, done]) promise.catch(() => {});
  child.on('exit', (code, signal) => fail(`ended (${signal ?? `exit code ${code}`})`));
  child.on('message', (message: FromClient) => {
    switch (message.type) {
      case 'ready':
        return ready.resolve();
      case 'progress':
        client.counts = message.counts;
        return;
      case 'sent':
        return sent.resolve();
      case 'done':
        client.counts = message.result;
        return done.resolve(message.result);
      case 'failed':
        return fail(`failed: ${message.message}`);
    }
  });
  tell(child, { type: 'configure', config });
  return client;
}
