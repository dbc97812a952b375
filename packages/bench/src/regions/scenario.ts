/** What is simulated, and what comes of it. */

import type { Costs } from './costs.ts';

/** Who is down from the start: nobody, all validators of the first region, or as many as the set bears. */
export type Absent = 'none' | 'region' | 'faulty';

export interface RegionOptions {
  readonly validators: number;
  readonly absent: Absent;
  /** Milliseconds, from each region to each. Validators are dealt out to regions in turns. */
  readonly roundTripsMs: readonly (readonly number[])[];
  readonly costs: Costs;
  readonly uplinkMbit: number;
  /** Of TCP, at the start of each batch's transfer. */
  readonly windowBytes: number;
  readonly cores: number;
  readonly batchBytes: number;
  /** Of all validators together. */
  readonly batchesPerSecond: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly seed: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

/** Latencies in milliseconds, from when a batch was due to be sealed until a validator knows, for each batch and each validator. */
export interface RegionResult {
  readonly validators: number;
  readonly absent: Absent;
  readonly down: number;
  readonly soft: Percentiles | undefined;
  readonly final: Percentiles | undefined;
  readonly blocksPerSecond: number;
  /** 1 if no view is lost. */
  readonly viewsPerBlock: number;
  readonly cpuMsPerBlock: { readonly busiest: number; readonly median: number };
  /** Of one core, and of the uplink: the busiest node's share that is taken. */
  readonly cpuShare: number;
  readonly uplinkShare: number;
  /** Of a node: all that it sends but batches. */
  readonly consensusBytesPerBlock: number;
  /** Requests for what was missing, of all nodes, to the end. */
  readonly fetches: number;
  /** Batches of the measured time that were not sealed, as their lane was full. */
  readonly refused: number;
  /** Those that did not become final, counted at each validator. */
  readonly unfinished: number;
  /** What is taken by more than half, if something is; else how far apart they are. */
  readonly limit: 'CPU' | 'uplink' | 'distance';
}
