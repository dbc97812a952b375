/** Binds an HTTP server, and says in plain words why it could not. */

import type { Server } from 'node:net';
import { SquadError } from '@squad/types';

/** What binds: a Fastify application, or whatever is as simple. */
export interface Bindable {
  listen(at: { readonly host: string; readonly port: number }): Promise<unknown>;
  close(): PromiseLike<unknown>;
  readonly server: Pick<Server, 'address'>;
}

export interface Bound {
  readonly port: number;
  /** http://host:port */
  readonly url: string;
}

/** Throws a `SquadError`: `PORT_IN_USE` or `LISTEN_FAILED`. */
export async function listenOrExplain(
  app: Bindable,
  options: { readonly host: string; readonly port: number; readonly portFlag: string; readonly what: string },
): Promise<Bound> {
  const { host, port, portFlag, what } = options;
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw explain(error, options);
  }
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error(`${what} is bound to no port`);
  return { port: address.port, url: `http://${urlHost(host)}:${address.port}` };

  function explain(error: unknown, at: { host: string; port: number }): SquadError {
    const code = (error as NodeJS.ErrnoException).code;
    const data = { ...at, cause: code };
    if (code === 'EADDRINUSE') {
      return new SquadError(
        'PORT_IN_USE',
        `port ${port} on ${host} is in use: ${what} cannot listen there`,
        `Stop the other process (find it with: ss -ltnp 'sport = :${port}'), or choose another port with ${portFlag}.`,
        data,
        error,
      );
    }
    const reason = error instanceof Error ? error.message : String(error);
    return new SquadError(
      'LISTEN_FAILED',
      `${what} cannot listen on ${host}:${port}: ${reason}`,
      `Choose another port with ${portFlag} (below 1024 needs privileges), or an address of this machine.`,
      data,
      error,
    );
  }
}

/** An address that listens on all interfaces is reached over the loopback one. */
function urlHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
