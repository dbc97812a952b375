/**
 * How a part is measured alone: many rounds, the median of their costs. CPU time, which other processes on the machine do
 * not lengthen; wall time where waiting is the cost.
 */

/** Rounds of one case are repeated for this long. */
const CASE_MS = 400;
const MIN_ROUNDS = 5;
/** A round lasts at least this long, that the clock is fine enough for it. */
const ROUND_MS = 5;

export type MicroClock = 'cpu' | 'wall';

/** What one case costs. */
export interface MicroResult {
  /** Never changes: results of different times are compared by it. */
  readonly name: string;
  readonly clock: MicroClock;
  /** Median over rounds, for one operation. */
  readonly microseconds: number;
  readonly rounds: number;
}

export interface MicroSuite {
  /** `run` does `operations` at once, and is called until a round is long enough. Its argument counts the calls. */
  time(
    name: string,
    operations: number,
    run: (call: number) => void | Promise<void>,
    clock?: MicroClock,
  ): Promise<void>;
}

export class MicroRunner implements MicroSuite {
  readonly results: MicroResult[] = [];
  readonly #onResult: (result: MicroResult) => void;

  constructor(onResult: (result: MicroResult) => void) {
    this.#onResult = onResult;
  }

  async time(
    name: string,
    operations: number,
    run: (call: number) => void | Promise<void>,
    clock: MicroClock = 'cpu',
  ): Promise<void> {
    const rounds: number[] = [];
    const now = clock === 'cpu' ? cpuMicroseconds : wallMicroseconds;
    const startedMs = performance.now();
    let call = 0;
    // The first round warms up.
    for (let round = 0; round <= MIN_ROUNDS || performance.now() - startedMs < CASE_MS; round++) {
      const before = now();
      const roundStartedMs = performance.now();
      const firstCall = call;
      do {
        const pending = run(call++);
        if (pending !== undefined) await pending;
      } while (performance.now() - roundStartedMs < ROUND_MS);
      if (round > 0) rounds.push((now() - before) / ((call - firstCall) * operations));
    }
    rounds.sort((a, b) => a - b);
    const result = { name, clock, microseconds: rounds[rounds.length >> 1]!, rounds: rounds.length };
    this.results.push(result);
    this.#onResult(result);
  }
}

function cpuMicroseconds(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function wallMicroseconds(): number {
  return performance.now() * 1000;
}
