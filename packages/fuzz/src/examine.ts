/** One input through one target, with what it cost: time, and bytes that were allocated on its behalf. */

import { getHeapStatistics } from 'node:v8';
import { DEFAULT_BUDGET, type Target, Violation } from './target.ts';

export interface Fault {
  readonly message: string;
  readonly stack: string;
}

export type Outcome = { readonly accepted: boolean } | { readonly fault: Fault };

/** Cost is measured again so often before it counts, in time of this thread: a pause is nobody's fault, nor a busy machine. */
const MEASUREMENTS = 4;

/** A synchronous target costs no promise. `valid`: it has to be accepted. */
export function examine(target: Target, input: Uint8Array, valid: boolean): Outcome | Promise<Outcome> {
  try {
    const before = allocatedBytes();
    const startedMs = performance.now();
    const accepted = target.check(input.slice());
    if (accepted instanceof Promise) return settle(target, input, valid, accepted, before, startedMs);
    const cost = { milliseconds: performance.now() - startedMs, bytes: allocatedBytes() - before };
    if (isDear(target, input, cost)) return measureAgain(target, input, valid, cost);
    return judge(accepted, valid);
  } catch (thrown) {
    return { fault: faultOf(thrown) };
  }
}

async function settle(
  target: Target,
  input: Uint8Array,
  valid: boolean,
  accepted: Promise<boolean>,
  before: number,
  startedMs: number,
): Promise<Outcome> {
  try {
    const isAccepted = await accepted;
    const cost = { milliseconds: performance.now() - startedMs, bytes: allocatedBytes() - before };
    return isDear(target, input, cost) ? await measureAgain(target, input, valid, cost) : judge(isAccepted, valid);
  } catch (thrown) {
    return { fault: faultOf(thrown) };
  }
}

interface Cost {
  readonly milliseconds: number;
  readonly bytes: number;
}

async function measureAgain(target: Target, input: Uint8Array, valid: boolean, first: Cost): Promise<Outcome> {
  let { milliseconds, bytes } = first;
  let accepted = false;
  try {
    for (let i = 0; i < MEASUREMENTS; i++) {
      const before = allocatedBytes();
      const startedMs = threadMilliseconds();
      accepted = await target.check(input.slice());
      milliseconds = Math.min(milliseconds, threadMilliseconds() - startedMs);
      bytes = Math.min(bytes, allocatedBytes() - before);
    }
  } catch (thrown) {
    return { fault: faultOf(thrown) };
  }
  if (!isDear(target, input, { milliseconds, bytes })) return judge(accepted, valid);
  const cost = `${milliseconds.toFixed(0)} ms and ${bytes} bytes`;
  return { fault: faultOf(new Violation(`reading ${input.length} bytes cost ${cost}`)) };
}

function isDear(target: Target, input: Uint8Array, { milliseconds, bytes }: Cost): boolean {
  const budget = target.budget ?? DEFAULT_BUDGET;
  return milliseconds > budget.milliseconds || bytes > budget.bytes + budget.bytesPerInputByte * input.length;
}

function judge(accepted: boolean, valid: boolean): Outcome {
  if (valid && !accepted) return { fault: faultOf(new Violation('a valid input was refused')) };
  return { accepted };
}

/** Processor time of this thread; wall time where Node cannot tell (before 23.9). */
function threadMilliseconds(): number {
  if (process.threadCpuUsage === undefined) return performance.now();
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** Heap in use and memory outside of it that the heap owns; falls when garbage is collected, else only rises. */
function allocatedBytes(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}

function faultOf(thrown: unknown): Fault {
  if (!(thrown instanceof Error)) return { message: `threw ${String(thrown)}`, stack: '' };
  const message = thrown instanceof Violation ? thrown.message : `threw ${thrown.name}: ${thrown.message}`;
  return { message: message.slice(0, 500), stack: thrown.stack ?? '' };
}
