/** From what was measured to the result: windows, losses, ratios, the knee, and pages made of it. */

import { describe, expect, it } from 'vitest';
import { Histogram } from '../src/load/histogram.ts';
import type { LoadResult } from '../src/load/protocol.ts';
import { Recorder } from '../src/load/recorder.ts';
import { baselineOf, entryOf, kneeOf } from '../src/report/combine.ts';
import { reportHtml } from '../src/report/html.ts';
import { plotsOf } from '../src/report/plots.ts';
import { BenchReport, type Entry, REPORT_FORMAT, REPORT_VERSION, RunResult } from '../src/report/schema.ts';
import { summarize } from '../src/report/summarize.ts';
import { lineChart, ticks } from '../src/report/svg.ts';
import { reportText } from '../src/report/table.ts';
import type { Measured } from '../src/run/measurement.ts';

const START_US = 5_000_000;

/** 100 transactions a second for 4 seconds, 10 in a request, soft after 20 ms and final after 30 ms. */
function load(change: (recorder: Recorder) => void = () => {}): LoadResult {
  const recorder = new Recorder(START_US);
  for (let i = 0; i < 40; i++) {
    const dueUs = START_US + i * 100_000;
    const request = { dueUs, sentUs: dueUs + 1_000, answeredUs: dueUs + 5_000 };
    recorder.offered(dueUs, 10);
    recorder.accepted(request, 10);
    recorder.acceptedNumbers(i * 10, 10);
    recorder.reached('soft', request, dueUs + 20_000, 10, dueUs + 12_000);
    recorder.reached('final', request, dueUs + 30_000, 10, dueUs + 12_000);
  }
  change(recorder);
  return recorder.result({ finalTwice: 0, bytesSent: 0, bytesReceived: 0 });
}

function measured(loads: readonly LoadResult[], lost = 0): Measured {
  const sample = (atUs: number, cpuSeconds: number) => ({ atUs, cpuSeconds, residentBytes: 1e6 });
  return {
    plan: {
      system: {
        id: 'squad',
        title: 'SQUAD',
        nodes: 4,
        version: '1',
        start: () => Promise.reject(new Error('not here')),
      },
      rate: 100,
      fault: { kind: 'none' },
    },
    transactionsPerRequest: 10,
    startUs: START_US,
    fromUs: START_US + 1e6,
    toUs: START_US + 4e6,
    loads,
    processes: [
      { name: 'sequencer-0', role: 'sequencer', samples: [sample(START_US + 1e6, 1), sample(START_US + 4e6, 1.6)] },
      { name: 'load-0', role: 'load', samples: [sample(START_US + 1e6, 1), sample(START_US + 4e6, 1.3)] },
    ],
    wireBytes: 300_000,
    verification: { checked: 'all', lost, duplicated: 0, blocks: 100, blocksSeconds: 5 },
    profilePath: undefined,
  };
}

const run = (rate: number | null, finalizedTps: number): RunResult => ({
  ...summarize(measured([load()]), 256),
  rate,
  offeredTps: rate ?? finalizedTps,
  finalizedTps,
});

function report(): BenchReport {
  const own = entryOf([run(null, 100)]);
  return BenchReport.parse({
    ...own,
    format: REPORT_FORMAT,
    version: REPORT_VERSION,
    startedAt: '2026-01-01T00:00:00Z',
    commit: null,
    machine: { cpu: 'a <cpu>', cores: 2, memoryBytes: 8e9, platform: 'linux-x64', kernel: '6' },
    versions: { node: 'v24' },
    seed: 1,
    workload: 'opaque',
    txSize: 256,
    latency: 'none',
    options: { warmup: 1 },
    baselines: { single: baselineOf(own, { ...entryOf([run(null, 200)]), system: 'single' }) },
    sweep: { squad: [entryOf([run(50, 50)]), entryOf([run(100, 100)])] },
    kneeTps: 100,
    notes: [],
  });
}

describe('a summary', () => {
  it('is of the window, without the warm-up', () => {
    const result = RunResult.parse(summarize(measured([load(), load()]), 256));
    expect(result).toMatchObject({ offeredTps: 200, acceptedTps: 200, finalizedTps: 200, lost: 0, rejected: 0 });
    expect(result.latencyMs.soft!.p50).toBeCloseTo(20, 0);
    expect(result.latencyMs.final!.p99).toBeCloseTo(30, 0);
    expect(result.cpuSecondsPer1000).toBeCloseTo(1);
    expect(result.loadCpuSecondsPer1000).toBeCloseTo(0.5);
    expect(result.wireBytesPerTx).toBeCloseTo(500);
    expect(result.blocksPerSecond).toBe(20);
    expect(result.stations.map(({ meanMs }) => Math.round(meanMs))).toEqual([1, 4, 7, 8, 10]);
  });

  it('takes the worse of what clients and what the check missed', () => {
    const unseen = load((recorder) => {
      recorder.accepted({ dueUs: START_US, sentUs: START_US, answeredUs: START_US }, 3);
    });
    expect(summarize(measured([unseen]), 256).lost).toBe(3);
    expect(summarize(measured([load()], 5), 256).lost).toBe(5);
  });

  it('shows the longest time in which nothing became final', () => {
    const gap = load();
    const final = gap.reached.final.map((count, bin) => (bin >= 20 && bin < 27 ? 0 : count));
    expect(summarize(measured([{ ...gap, reached: { ...gap.reached, final } }]), 256).longestGapMs).toBe(700);
  });
});

it('shows the repetition in the middle, with the spread, and hides no loss', () => {
  const entry = entryOf([run(null, 300), { ...run(null, 100), lost: 2 }, run(null, 200)]);
  expect(entry).toMatchObject({ finalizedTps: 200, repetitions: 3, lost: 2 });
  expect(entry.spread.finalizedTps).toEqual({ min: 100, median: 200, max: 300 });
});

it('finds the highest rate that is borne', () => {
  const step = (rate: number, finalizedTps: number, rejected = 0): Entry => ({
    ...entryOf([run(rate, finalizedTps)]),
    rejected,
  });
  expect(kneeOf([step(100, 100), step(200, 199), step(300, 250), step(400, 400, 7)])).toBe(200);
  expect(kneeOf([step(300, 100)])).toBeNull();
});

it('divides by the baseline', () => {
  expect(baselineOf(entryOf([run(null, 100)]), entryOf([run(null, 200)]))).toMatchObject({
    ratio: 0.5,
    ratios: { finalizedTps: 0.5, finalP50: 1, finalP99: 1, cpuSecondsPer1000: 1 },
  });
});

it('shows a long name beside a plot in lines that are not cut', () => {
  const labels = { title: 'T', x: 'x', y: 'y' };
  const name = 'accepted → in a block (others hold it) of <one> validator alone';
  const svg = lineChart({ ...labels, series: [{ name, points: [[1, 1]] }] });
  const lines = [...svg.matchAll(/<tspan[^>]*>([^<]*)<\/tspan>/g)].map(([, text]) => text!);
  expect(lines.join(' ')).toBe(name.replace('<', '&lt;').replace('>', '&gt;'));
  for (const line of lines) expect(line.replaceAll(/&[lg]t;/g, '<').length).toBeLessThanOrEqual(27);
});

it('becomes a page and plots that are well formed, with every name escaped', () => {
  const html = reportHtml(report());
  expect(html).toContain('a &lt;cpu&gt;');
  expect(html).not.toContain('NaN');
  for (const { svg } of plotsOf(report())) {
    const open = [...svg.matchAll(/<([a-z]+)[^>]*[^/]>/g)].length;
    expect([...svg.matchAll(/<\/[a-z]+>/g)]).toHaveLength(open);
    expect(svg).not.toMatch(/NaN|Infinity/);
  }
  expect(plotsOf(report()).map(({ id }) => id)).toContain('throughput-latency');
  expect(reportText({ color: false }, report())).toContain('0.50 ×');
});

it('has round ticks', () => {
  expect(ticks(0, 97)).toEqual([0, 20, 40, 60, 80]);
  expect(new Histogram().total).toBe(0);
});
