/** A server for operators and orchestrators, apart from the public one: /metrics, /health/live, /health/ready. */

import { fastify } from 'fastify';
import { type Bound, listenOrExplain } from './listen.ts';
import type { PrometheusMetrics } from './metrics.ts';

/** `reasons`: one sentence for each thing that is missing; empty when ready. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

export interface MonitorServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Default `--metrics-port`. */
  readonly portFlag?: string;
  readonly metrics: PrometheusMetrics;
  readonly readiness: () => Readiness | Promise<Readiness>;
  /** Shown with both health answers. */
  readonly version?: string;
}

export interface MonitorServer extends Bound {
  close(): Promise<void>;
}

/** Throws a `SquadError` if the port cannot be bound. */
export async function createMonitorServer(options: MonitorServerOptions): Promise<MonitorServer> {
  const { host, port, portFlag = '--metrics-port', metrics, readiness, version } = options;
  const startedMs = Date.now();
  const about = () => ({
    ...(version === undefined ? {} : { version }),
    uptimeSeconds: (Date.now() - startedMs) / 1000,
  });
  const app = fastify({ logger: false, forceCloseConnections: true });
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  app.get('/health/live', () => ({ live: true, ...about() }));
  app.get('/health/ready', async (_request, reply) => {
    const { ready, reasons } = await readinessOf(readiness);
    return reply.code(ready ? 200 : 503).send({ ready, reasons, ...about() });
  });
  app.setNotFoundHandler((_request, reply) => {
    reply.code(404).send({ error: 'not found', paths: ['/metrics', '/health/live', '/health/ready'] });
  });
  const bound = await listenOrExplain(app, { host, port, portFlag, what: 'the metrics server' });
  return { ...bound, close: () => app.close() };
}

/** A check that fails is a reason of its own: an orchestrator must not take a broken node for a ready one. */
async function readinessOf(readiness: MonitorServerOptions['readiness']): Promise<Readiness> {
  try {
    return await readiness();
  } catch (error) {
    return { ready: false, reasons: [`the readiness check failed: ${error instanceof Error ? error.message : error}`] };
  }
}
