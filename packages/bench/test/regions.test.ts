/** Sets of validators over regions: what the simulation says is what its parts add up to, each time the same. */

import { expect, it } from 'vitest';
import { readRecord } from '../src/micro/compare.ts';
import { Costs } from '../src/regions/costs.ts';
import { INITIAL_WINDOW_BYTES, windowRounds } from '../src/regions/links.ts';
import { REGIONS, ROUND_TRIPS_MS } from '../src/regions/matrix.ts';
import type { RegionOptions } from '../src/regions/scenario.ts';
import { RegionWorld } from '../src/regions/world.ts';

const REFERENCE = readRecord(new URL('../reference/micro.json', import.meta.url).pathname)!.microseconds;
const FREE = Object.fromEntries(Object.keys(REFERENCE).map((name) => [name, 0]));

/** A batch now and then, in a network that is idle otherwise. */
const idle: RegionOptions = {
  validators: 4,
  absent: 'none',
  roundTripsMs: [[0]],
  costs: new Costs(FREE),
  uplinkMbit: 1e9,
  windowBytes: INITIAL_WINDOW_BYTES,
  cores: 1,
  batchBytes: 1_000,
  batchesPerSecond: 2,
  warmUpSeconds: 2,
  seconds: 20,
  seed: 1,
};
const world: RegionOptions = {
  ...idle,
  roundTripsMs: ROUND_TRIPS_MS,
  costs: new Costs(REFERENCE),
  uplinkMbit: 1_000,
  seconds: 8,
};

function simulate(options: RegionOptions) {
  const result = new RegionWorld(options).run();
  expect(result).toMatchObject({ refused: 0, unfinished: 0 });
  const { soft, final } = result;
  return { ...result, soft: soft!, final: final! };
}

// What a batch waits for, R there and back, S for a sync. Its author stores it, S, and sends it, R/2. A leader that is another one
// stores it and proposes it in one turn, S, R/2; the others vote, S, R/2; at a quorum it is soft and FINALIZE is on record, S; R/2 and S
// later it is final. Where the leader is its author, for one batch in four, it waits for an acknowledgement: R/2 and S more.
it.each([
  { roundTripMs: 0, syncMs: 1, soft: [4, 5], final: [5, 6] },
  { roundTripMs: 100, syncMs: 1, soft: [154, 205], final: [205, 256] },
])('is as fast as calculated by hand: $roundTripMs ms there and back', ({ roundTripMs, syncMs, soft, final }) => {
  const costs = new Costs({
    ...FREE,
    'wal-append-sync-200': syncMs * 1e3,
    'store-batch-200': syncMs * 1e3,
    'store-batch-128k': syncMs * 1e3,
  });
  const result = simulate({ ...idle, costs, roundTripsMs: [[roundTripMs]] });
  expect(result.soft.p50).toBeCloseTo(soft[0]!, 0);
  expect(result.soft.p99).toBeCloseTo(soft[1]!, 0);
  expect(result.final.p50).toBeCloseTo(final[0]!, 0);
  expect(result.final.p99).toBeCloseTo(final[1]!, 0);
  expect(result.cpuMsPerBlock).toEqual({ busiest: 0, median: 0 });
});

it('charges what is signed: two votes a block and validator', () => {
  const result = simulate({ ...idle, costs: new Costs({ ...FREE, 'vote-sign': 10_000 }) });
  expect(result.cpuMsPerBlock.median).toBeCloseTo(20, 0);
  // The leader's NOTARIZE, another one's, and FINALIZE before it is soft.
  expect(result.soft.p50).toBeCloseTo(30, 0);
});

it('says the same for the same seed, and something else for another one', () => {
  expect(simulate(world)).toEqual(simulate(world));
  expect(simulate({ ...world, seed: 2 }).final).not.toEqual(simulate(world).final);
});

it('is slower over slower links, on slower cores, and with some away', () => {
  const base = simulate({ ...world, batchBytes: 100_000 });
  const than = (change: Partial<RegionOptions>) => simulate({ ...world, batchBytes: 100_000, ...change }).final.p50;
  expect(than({ roundTripsMs: ROUND_TRIPS_MS.map((row) => row.map((ms) => 2 * ms)) })).toBeGreaterThan(
    1.5 * base.final.p50,
  );
  expect(than({ uplinkMbit: 10 })).toBeGreaterThan(base.final.p50 + 80);
  expect(than({ costs: new Costs(REFERENCE, 10) })).toBeGreaterThan(base.final.p50 + 50);
  expect(than({ windowBytes: Number.POSITIVE_INFINITY })).toBeLessThan(0.8 * base.final.p50);
  expect(base.viewsPerBlock).toBe(1);
  const faulty = simulate({ ...world, validators: 7, absent: 'faulty' });
  expect(faulty.down).toBe(2);
  expect(faulty.viewsPerBlock).toBeGreaterThan(1);
});

it('charges what was measured, and lines between', () => {
  const costs = new Costs(REFERENCE);
  expect(costs.verify(67)).toBeCloseTo(REFERENCE['certificate-verify-100']!, 6);
  expect(costs.aggregate(3)).toBeCloseTo(REFERENCE['votes-aggregate-4']!, 6);
  expect(costs.sync(131_072)).toBeCloseTo(REFERENCE['store-batch-128k']!, 6);
  expect(2 * costs.dataFrame(65_536)).toBeCloseTo(REFERENCE['frame-data-64k']!, 6);
  expect(new Costs(REFERENCE, 2).sign).toBe(2 * costs.sign);
  expect(() => new Costs({}).sign).toThrow('vote-sign');
});

it('knows the way from each region to each, and how TCP begins', () => {
  for (const row of [...ROUND_TRIPS_MS, ROUND_TRIPS_MS]) expect(row).toHaveLength(REGIONS.length);
  ROUND_TRIPS_MS.forEach((row, from) => {
    row.forEach((ms, to) => {
      // The two directions were measured apart, and nearly agree; a mistyped figure would not.
      expect(Math.abs(ms - ROUND_TRIPS_MS[to]![from]!)).toBeLessThan(5);
    });
  });
  expect([14_600, 14_601, 43_800, 43_801].map((bytes) => windowRounds(bytes, INITIAL_WINDOW_BYTES))).toEqual([
    0, 1, 1, 2,
  ]);
});
