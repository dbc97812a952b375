/** Looks at CPU and memory of every process of a run, at a steady pace. */

import { nowUs } from '../load/clock.ts';
import { type ProcessUsage, usageOf } from './proc.ts';

export const SAMPLE_INTERVAL_MS = 500;

export interface WatchedProcess {
  readonly name: string;
  readonly role: string;
  /** Asked at every look: a process that is restarted has a new one. */
  readonly pid: () => number | undefined;
}

export interface Sample extends ProcessUsage {
  readonly atUs: number;
}

export interface SampledProcess {
  readonly name: string;
  readonly role: string;
  readonly samples: readonly Sample[];
}

export class Sampler {
  readonly #processes: (WatchedProcess & {
    readonly samples: Sample[];
    ended: number;
    last: number;
    lastPid: number;
  })[];
  #timer: NodeJS.Timeout | undefined;

  constructor(processes: readonly WatchedProcess[]) {
    this.#processes = processes.map((one) => ({ ...one, samples: [], ended: 0, last: 0, lastPid: 0 }));
  }

  start(): void {
    this.sample();
    this.#timer = setInterval(() => this.sample(), SAMPLE_INTERVAL_MS);
  }

  /** Once now, outside of the pace: where a window begins or ends. */
  sample(): void {
    for (const one of this.#processes) {
      const pid = one.pid();
      const usage = pid === undefined ? undefined : usageOf(pid);
      if (usage === undefined) continue;
      // CPU time goes on adding up over a restart.
      if (pid !== one.lastPid) {
        one.ended += one.last;
        one.lastPid = pid!;
      }
      one.last = usage.cpuSeconds;
      one.samples.push({ ...usage, cpuSeconds: one.ended + usage.cpuSeconds, atUs: nowUs() });
    }
  }

  stop(): readonly SampledProcess[] {
    clearInterval(this.#timer);
    return this.#processes.map(({ name, role, samples }) => ({ name, role, samples }));
  }
}

/** CPU seconds between two times, by the nearest samples. */
export function cpuSecondsBetween(samples: readonly Sample[], fromUs: number, toUs: number): number {
  if (samples.length === 0) return 0;
  return nearest(samples, toUs).cpuSeconds - nearest(samples, fromUs).cpuSeconds;
}

function nearest(samples: readonly Sample[], atUs: number): Sample {
  return samples.reduce((best, sample) => (Math.abs(sample.atUs - atUs) < Math.abs(best.atUs - atUs) ? sample : best));
}
