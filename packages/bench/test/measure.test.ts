/** What is read from the system's own tables, and what is counted in a sequence. */

import { expect, it } from 'vitest';
import type { LoadResult } from '../src/load/protocol.ts';
import { mergeRanges } from '../src/load/recorder.ts';
import { parseStat } from '../src/measure/proc.ts';
import { cpuSecondsBetween } from '../src/measure/sampler.ts';
import { parseSocketBytes } from '../src/measure/wire.ts';
import { change } from '../src/micro/compare.ts';
import { fewerCores } from '../src/run/systems.ts';
import { allowedCores } from '../src/systems/squad.ts';
import { TransactionCounts } from '../src/systems/squad-sequence-check.ts';

it('reads CPU and memory of a process, whatever its name', () => {
  const rest = `S ${Array.from({ length: 10 }, () => 0).join(' ')} 250 50 0 0 20 0 11 0 100 5000000 300 0`;
  expect(parseStat(`42 (a) b (c) ${rest}`)).toEqual({ cpuSeconds: 3, residentBytes: 300 * 4096 });
});

it('takes CPU time between the samples that are nearest', () => {
  const samples = [0, 10, 20, 30].map((atUs) => ({ atUs, cpuSeconds: atUs / 10, residentBytes: 0 }));
  expect(cpuSecondsBetween(samples, 9, 31)).toBe(2);
  expect(cpuSecondsBetween([], 0, 1)).toBe(0);
});

it('counts what both ends of the connections of given ports sent', () => {
  const text = [
    '0 0 127.0.0.1:9000 127.0.0.1:50000 cubic bytes_sent:100 bytes_acked:100 bytes_received:40',
    '0 0 127.0.0.1:50000 127.0.0.1:9000 cubic bytes_sent:40 bytes_acked:40 bytes_received:100',
    '0 0 [::1]:9001 [::1]:50001 cubic bytes_received:7',
    '0 0 127.0.0.1:8000 127.0.0.1:50002 cubic bytes_sent:5000 bytes_acked:1',
  ].join('\n');
  expect(parseSocketBytes(text, [9000, 9001])).toBe(140);
});

it('finds accepted transactions that are missing and those that stand twice', () => {
  const load = (...acceptedNumbers: [number, number][]) => ({ acceptedNumbers }) as unknown as LoadResult;
  const counts = new TransactionCounts([load([0, 3]), load([5, 2], [100_000, 1])]);
  const hex = (client: number, number: number) =>
    `0x${client.toString(16).padStart(4, '0')}${number.toString(16).padStart(12, '0')}ffff`;
  // Of client 0: 1 is missing, 2 stands twice. Of client 1: 7 was not accepted and is there. 9 is nobody's.
  for (const [client, number] of [
    [0, 0],
    [0, 2],
    [0, 2],
    [1, 5],
    [1, 6],
    [1, 7],
    [1, 100_000],
    [9, 1],
  ] as const) {
    counts.add(hex(client, number));
  }
  expect(counts.compare()).toEqual({ lost: 1, duplicated: 1 });
});

it('joins ranges that touch', () => {
  expect(
    mergeRanges([
      [10, 5],
      [0, 10],
      [20, 1],
    ]),
  ).toEqual([
    [0, 15],
    [20, 1],
  ]);
});

it('says how much something changed', () => {
  expect([change(110, 100), change(50, 100), change(1, undefined)]).toEqual(['+10 %', '−50 %', undefined]);
});

it.each([
  [1, []],
  [2, [1]],
  [3, [1]],
  [8, [1, 2, 4]],
])('on a machine of %i cores also measures on %j', (all, fewer) => {
  expect(fewerCores(all)).toEqual(fewer);
});

it('pins processes to cores that they may run on', () => {
  expect(allowedCores('Name:\tnode\nCpus_allowed_list:\t0-2,8,10-11\n')).toEqual([0, 1, 2, 8, 10, 11]);
  expect(allowedCores().length).toBeGreaterThan(0);
});
