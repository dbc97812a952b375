/** CPU and memory of processes, from /proc. Elsewhere than on Linux there is none: the report says so. */

import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessUsage {
  /** User and system time of all threads since the process started. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

/** Of one tick of /proc/PID/stat; USER_HZ is 100 on every Linux that Node runs on. */
const TICK_SECONDS = 0.01;
const PAGE_BYTES = 4096;

/** Undefined if there is no such process, or no /proc. */
export function usageOf(pid: number): ProcessUsage | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined;
  }
}

/** Reads a line of /proc/PID/stat; see proc_pid_stat(5). The name, field 2, may hold spaces and parentheses. */
export function parseStat(text: string): ProcessUsage {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // Field n of the manual is fields[n - 3]: utime 14, stime 15, rss 24.
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) * TICK_SECONDS,
    residentBytes: Number(fields[21]) * PAGE_BYTES,
  };
}

/** Whether CPU and memory can be measured here. */
export function hasProc(): boolean {
  try {
    return readdirSync('/proc/self').length > 0;
  } catch {
    return false;
  }
}
