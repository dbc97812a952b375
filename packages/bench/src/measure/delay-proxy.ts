/** A process between the validators that delays what passes: the emulation of a wide-area network. */

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const PROXY_MAIN = fileURLToPath(
  new URL(`./delay-proxy-main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

export class DelayProxy {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (port: number) => void>();

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message) => {
      const { target, port } = message as { target: number; port: number };
      this.#waiting.get(target)?.(port);
      this.#waiting.delete(target);
    });
  }

  static async start(delayMs: number): Promise<DelayProxy> {
    return new DelayProxy(fork(PROXY_MAIN, [String(delayMs)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Opens a port that leads to `target`; resolves with it. */
  listen(target: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(target, resolve);
      this.#child.once('exit', () => reject(new Error('the delay proxy ended')));
      this.#child.send({ target });
    });
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}
