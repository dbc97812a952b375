/** Metrics, health and logs, as whoever watches a node sees them. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  createLogger,
  createMonitorServer,
  createNotifier,
  createPrometheusMetrics,
  type MonitorServer,
  REDACTED_FIELDS,
  type Readiness,
  statusLine,
} from '../src/index.ts';

describe('metrics', () => {
  it('are exposed as Prometheus text', async () => {
    const metrics = createPrometheusMetrics({ processMetrics: false });
    const votes = metrics.counter({
      name: 'squad_consensus_votes_total',
      help: 'Votes',
      labels: { kind: ['notarize', 'nullify'] },
    });
    votes.increment({ kind: 'notarize' });
    votes.add(2, { kind: 'notarize' });
    metrics.gauge({ name: 'squad_consensus_view_number', help: 'View' }).set(7);
    metrics.gauge({ name: 'squad_network_connected_peers', help: 'Peers', read: () => 3 });
    const delay = metrics.histogram({ name: 'squad_consensus_soft_delay_seconds', help: 'Delay', buckets: [0.1, 1] });
    delay.observe(0.5);
    const text = await metrics.text();
    expect(text).toContain('squad_consensus_votes_total{kind="notarize"} 3');
    expect(text).toContain('squad_consensus_view_number 7');
    expect(text).toContain('squad_network_connected_peers 3');
    expect(text).toContain('squad_consensus_soft_delay_seconds_bucket{le="0.1"} 0');
    expect(text).toContain('squad_consensus_soft_delay_seconds_bucket{le="1"} 1');
  });

  it('ask for totals that somebody else keeps at every scrape', async () => {
    const metrics = createPrometheusMetrics({ processMetrics: false });
    const counts: Record<string, number> = { one: 3 };
    const definition = { help: 'Frames', label: 'channel', labels: { channel: ['one', 'two'] } } as const;
    metrics.totals({ ...definition, name: 'squad_network_sent_frames_total', read: () => counts });
    expect(await metrics.text()).toContain('squad_network_sent_frames_total{channel="one"} 3');
    Object.assign(counts, { one: 5, two: 1, three: 9 });
    const text = await metrics.text();
    expect(text).toContain('squad_network_sent_frames_total{channel="one"} 5');
    expect(text).toContain('squad_network_sent_frames_total{channel="two"} 1');
    expect(text).not.toContain('three');
    expect(() => metrics.totals({ ...definition, name: 'squad_a_b_bytes', read: () => counts })).toThrow('_total');
  });

  it('count a label value outside its set as "other", so that series stay few', async () => {
    const metrics = createPrometheusMetrics({ processMetrics: false });
    const calls = metrics.counter({ name: 'squad_rpc_calls_total', help: 'Calls', labels: { method: ['known'] } });
    for (let i = 0; i < 100; i++) calls.increment({ method: `method-${i}` });
    const text = await metrics.text();
    expect(text).toContain('squad_rpc_calls_total{method="other"} 100');
    expect(text).not.toContain('method-');
  });

  it('refuse names that are not squad_<part>_<name>_<unit>, and one name twice', () => {
    const metrics = createPrometheusMetrics({ processMetrics: false });
    for (const name of ['votes_total', 'squad_votes', 'squad_Consensus_votes_total', 'squad_consensus_delay-ms']) {
      expect(() => metrics.gauge({ name, help: 'h' })).toThrow(name);
    }
    expect(() => metrics.counter({ name: 'squad_consensus_votes_count', help: 'h' })).toThrow('_total');
    metrics.gauge({ name: 'squad_a_b_bytes', help: 'h' });
    expect(() => metrics.gauge({ name: 'squad_a_b_bytes', help: 'h' })).toThrow('twice');
  });
});

describe('the monitor server', () => {
  let server: MonitorServer | undefined;
  afterEach(async () => {
    await server?.close();
    server = undefined;
  });
  const start = async (readiness: () => Readiness | Promise<Readiness>) => {
    server = await createMonitorServer({
      host: '127.0.0.1',
      port: 0,
      metrics: createPrometheusMetrics(),
      readiness,
      version: '1.2.3',
    });
    return async (path: string) => {
      const response = await fetch(server!.url + path);
      return { status: response.status, body: await response.text() };
    };
  };

  it('says whether the process lives and whether it is ready, with reasons', async () => {
    let now: Readiness = { ready: false, reasons: ['the head of the set was not seen yet'] };
    const get = await start(() => now);
    expect(await get('/health/live')).toMatchObject({ status: 200, body: expect.stringContaining('1.2.3') });
    const notReady = await get('/health/ready');
    expect([notReady.status, JSON.parse(notReady.body)]).toEqual([503, expect.objectContaining(now)]);
    now = { ready: true, reasons: [] };
    expect((await get('/health/ready')).status).toBe(200);
    expect((await get('/elsewhere')).status).toBe(404);
  });

  it('is not ready when the check itself fails', async () => {
    const get = await start(() => Promise.reject(new Error('the log is closed')));
    expect(await get('/health/ready')).toMatchObject({
      status: 503,
      body: expect.stringContaining('the log is closed'),
    });
  });

  it('exposes CPU, memory and event-loop lag of the process', async () => {
    const get = await start(() => ({ ready: true, reasons: [] }));
    const { body } = await get('/metrics');
    for (const name of [
      'process_cpu_user_seconds_total',
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_seconds',
    ]) {
      expect(body).toContain(name);
    }
  });

  it('names its own flag when the port is taken', async () => {
    const first = await createMonitorServer({
      host: '127.0.0.1',
      port: 0,
      metrics: createPrometheusMetrics({ processMetrics: false }),
      readiness: () => ({ ready: true, reasons: [] }),
    });
    const { port } = first;
    const again = createMonitorServer({
      host: '127.0.0.1',
      port,
      metrics: createPrometheusMetrics({ processMetrics: false }),
      readiness: () => ({ ready: true, reasons: [] }),
    });
    await expect(again).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      remedy: expect.stringContaining('--metrics-port'),
    });
    await first.close();
  });
});

describe('logs', () => {
  const collect = (level: 'info' | 'debug' = 'info') => {
    const lines: Record<string, unknown>[] = [];
    const logger = createLogger({ name: 'validator-1', level, write: (line) => lines.push(JSON.parse(line)) });
    return { logger, lines };
  };

  it('are JSON lines with level names, node name and fields of the part', () => {
    const { logger, lines } = collect();
    logger.child({ part: 'consensus' }).info({ view: 5 }, 'entered a view');
    logger.debug('not at this level');
    expect(lines).toMatchObject([
      { level: 'info', name: 'validator-1', part: 'consensus', view: 5, msg: 'entered a view' },
    ]);
    expect(new Date(lines[0]!.time as string).getTime()).toBeGreaterThan(0);
  });

  it('keep stack and cause of an error', () => {
    const { logger, lines } = collect();
    logger.error({ err: new Error('outer', { cause: new Error('inner') }) }, 'failed');
    expect(JSON.stringify(lines[0])).toMatch(/outer.*inner/);
  });

  it.each(REDACTED_FIELDS)('never hold the value of a field "%s", up to two levels down', (field) => {
    const { logger, lines } = collect();
    logger.info({ [field]: 's3cr3t', a: { [field]: 's3cr3t', b: { [field]: 's3cr3t' } } }, 'configured');
    expect(JSON.stringify(lines)).not.toContain('s3cr3t');
    expect(JSON.stringify(lines)).toContain('<hidden>');
  });

  it('go to a file whose folder is made', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'squad-log-'));
    const file = join(folder, 'deep', 'node.log');
    createLogger({ name: 'n', level: 'info', file }).info('hello');
    await vi.waitFor(() => expect(existsSync(file) && readFileSync(file, 'utf8')).toContain('hello'));
    rmSync(folder, { recursive: true });
  });
});

describe('the status line', () => {
  it('is one line for people', () => {
    const fields = { view: 1204, 'soft lag': '0.12 s', peers: 3, 'tx/s': 1234.56 };
    expect(statusLine('validator-1', fields, new Date('2026-01-02T12:30:05Z'))).toBe(
      '12:30:05  validator-1  view 1,204 · soft lag 0.12 s · peers 3 · tx/s 1,234.6',
    );
  });

  it('is printed in every interval until stopped', () => {
    vi.useFakeTimers();
    const lines: string[] = [];
    const notifier = createNotifier({
      name: 'n',
      intervalMs: 1_000,
      read: () => ({ view: 1 }),
      write: (line) => lines.push(line),
    });
    vi.advanceTimersByTime(2_500);
    expect(lines).toHaveLength(2);
    notifier.stop();
    vi.advanceTimersByTime(5_000);
    expect(lines).toHaveLength(2);
    vi.useRealTimers();
  });
});
