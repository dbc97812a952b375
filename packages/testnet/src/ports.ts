/** TCP ports on loopback: asked for, or found free. */

import { createServer } from 'node:net';
import { SquadError } from '@squad/types';

/** The ports of one process. A rollup node has no p2p port: it only dials. */
export interface ProcessPorts {
  readonly rpc: number;
  readonly metrics: number;
  readonly p2p?: number;
}

/** First port of each kind; a node adds its index. */
export interface PortBases {
  /** JSON-RPC (HTTP and WebSocket) of the rollup nodes. */
  readonly rollupRpc: number;
  /** JSON-RPC (HTTP and WebSocket) of the sequencers. */
  readonly sequencerRpc: number;
  /** libp2p of the sequencers. */
  readonly sequencerP2p: number;
  /** Metrics and health: the sequencers, then the rollup nodes. */
  readonly metrics: number;
}

export const DEFAULT_PORT_BASES: PortBases = { rollupRpc: 8545, sequencerRpc: 9545, sequencerP2p: 9645, metrics: 9745 };

export const LOOPBACK = '127.0.0.1';

/** Which option moves a port, for the error a person reads. */
const FLAGS: Readonly<Record<keyof PortBases, string>> = {
  rollupRpc: '--rpc-port-base',
  sequencerRpc: '--sequencer-rpc-port-base',
  sequencerP2p: '--p2p-port-base',
  metrics: '--metrics-port-base',
};

interface Wanted {
  readonly process: string;
  readonly use: keyof ProcessPorts;
  readonly base: keyof PortBases;
  readonly offset: number;
}

/**
 * Ports for every process. A base of 0 means: find free ones. Throws a SquadError `PORT_TAKEN` that names the port, who
 * wanted it and the option that moves it. Found ports can be taken by another process before they are bound; that is
 * rare, as they are drawn from below the range that systems use for outgoing connections.
 */
export async function assignPorts(
  sequencers: readonly string[],
  rollupNodes: readonly string[],
  bases: PortBases,
): Promise<Map<string, ProcessPorts>> {
  const all = [...sequencers, ...rollupNodes];
  const wanted: Wanted[] = [
    ...rollupNodes.map((process, offset) => ({ process, use: 'rpc', base: 'rollupRpc', offset }) as const),
    ...sequencers.map((process, offset) => ({ process, use: 'rpc', base: 'sequencerRpc', offset }) as const),
    ...sequencers.map((process, offset) => ({ process, use: 'p2p', base: 'sequencerP2p', offset }) as const),
    ...all.map((process, offset) => ({ process, use: 'metrics', base: 'metrics', offset }) as const),
  ];
  const taken = new Set<number>();
  const assigned = new Map<string, { rpc: number; metrics: number; p2p?: number }>();
  for (const want of wanted) {
    const base = bases[want.base];
    const port = base === 0 ? await freePort(taken) : await fixedPort(base + want.offset, want, taken);
    taken.add(port);
    assigned.set(want.process, { rpc: 0, metrics: 0, ...assigned.get(want.process), [want.use]: port });
  }
  return assigned;
}

async function fixedPort(port: number, want: Wanted, taken: ReadonlySet<number>): Promise<number> {
  const flag = FLAGS[want.base];
  if (port > 65_535) {
    throw new SquadError(
      'PORT_TAKEN',
      `${flag} ${port - want.offset} leads to port ${port}, beyond 65535`,
      `Choose a lower ${flag}.`,
    );
  }
  if (taken.has(port)) {
    throw new SquadError(
      'PORT_TAKEN',
      `two processes of the testnet would use port ${port}; the second is ${want.process} (${want.use})`,
      `Move one of the ranges with ${Object.values(FLAGS).join(', ')}.`,
    );
  }
  const error = await tryPort(port);
  if (error === undefined) return port;
  throw new SquadError(
    'PORT_TAKEN',
    `port ${port}, wanted by ${want.process} (${want.use}), cannot be used: ${error}`,
    `Stop what uses it (see: ss -ltnp 'sport = :${port}'), choose others with ${flag} PORT, or take any free ones with --free-ports.`,
    { port },
  );
}

const FREE_PORTS = { from: 20_000, count: 10_000 } as const;

async function freePort(taken: ReadonlySet<number>): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = FREE_PORTS.from + Math.floor(Math.random() * FREE_PORTS.count);
    if (!taken.has(port) && (await tryPort(port)) === undefined) return port;
  }
  throw new SquadError(
    'PORT_TAKEN',
    'no free port was found in 200 attempts',
    'Close programs that listen on many ports.',
  );
}

/** Undefined if the port can be bound on loopback, otherwise why not. */
function tryPort(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'EADDRINUSE' ? 'another program listens on it' : error.message);
    });
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
