/** What a load client counts and times. */

import { Histogram } from './histogram.ts';
import type { LoadCounts, LoadResult, SecondResult, StationSums } from './protocol.ts';
import type { Request, Stage } from './session.ts';

export const REACHED_BIN_US = 100_000;
export type RecordedStage = 'accepted' | Stage;

interface Second {
  offered: number;
  readonly accepted: Histogram;
  readonly soft: Histogram;
  readonly final: Histogram;
  readonly stations: { -readonly [Name in keyof StationSums]: number };
}

export class Recorder {
  readonly #startUs: number;
  readonly #seconds: Second[] = [];
  readonly #reached: Record<RecordedStage, number[]> = { accepted: [], soft: [], final: [] };
  readonly #totals: Record<RecordedStage, number> = { accepted: 0, soft: 0, final: 0 };
  readonly #rejectedByCode: Record<string, number> = {};
  readonly #acceptedNumbers: [number, number][] = [];
  #offered = 0;
  #rejected = 0;
  #unanswered = 0;

  constructor(startUs: number) {
    this.#startUs = startUs;
  }

  offered(dueUs: number, count: number): void {
    this.#offered += count;
    this.#second(dueUs).offered += count;
  }

  accepted(request: Request, count: number): void {
    this.#record('accepted', request, request.answeredUs, count);
    const { stations } = this.#second(request.dueUs);
    stations.accepted += count;
    stations.queueUs += count * (request.sentUs - request.dueUs);
    stations.acceptUs += count * (request.answeredUs - request.sentUs);
  }

  reached(stage: Stage, request: Request, atUs: number, count: number, proposedUs: number | undefined): void {
    this.#record(stage, request, atUs, count);
    if (proposedUs === undefined) return;
    const { stations } = this.#second(request.dueUs);
    // The answer may come after the block was made: the wait is over then.
    const proposed = Math.min(atUs, Math.max(proposedUs, request.answeredUs));
    if (stage === 'soft') {
      stations.soft += count;
      stations.orderUs += count * (proposed - request.answeredUs);
      stations.notarizeUs += count * (atUs - proposed);
    } else {
      stations.final += count;
      stations.finalUs += count * (atUs - proposed);
    }
  }

  /** Transactions `first` to `first + count` were accepted. */
  acceptedNumbers(first: number, count: number): void {
    if (count === 0) return;
    const last = this.#acceptedNumbers.at(-1);
    if (last !== undefined && last[0] + last[1] === first) last[1] += count;
    else this.#acceptedNumbers.push([first, count]);
  }

  rejected(code: string, count: number): void {
    this.#rejected += count;
    this.#rejectedByCode[code] = (this.#rejectedByCode[code] ?? 0) + count;
  }

  unanswered(count: number): void {
    this.#unanswered += count;
  }

  get counts(): LoadCounts {
    return { offered: this.#offered, ...this.#totals, rejected: this.#rejected, unanswered: this.#unanswered };
  }

  result(more: Pick<LoadResult, 'finalTwice' | 'bytesSent' | 'bytesReceived'>): LoadResult {
    const seconds = this.#seconds.map(
      ({ offered, accepted, soft, final, stations }, second): SecondResult => ({
        second,
        offered,
        accepted: accepted.toSparse(),
        soft: soft.toSparse(),
        final: final.toSparse(),
        stations,
      }),
    );
    return {
      ...this.counts,
      seconds,
      reached: this.#reached,
      acceptedNumbers: mergeRanges(this.#acceptedNumbers),
      rejectedByCode: this.#rejectedByCode,
      ...more,
    };
  }

  #record(stage: RecordedStage, { dueUs }: Request, atUs: number, count: number): void {
    this.#totals[stage] += count;
    this.#second(dueUs)[stage].record(atUs - dueUs, count);
    const bin = Math.max(0, Math.floor((atUs - this.#startUs) / REACHED_BIN_US));
    const bins = this.#reached[stage];
    while (bins.length <= bin) bins.push(0);
    bins[bin]! += count;
  }

  #second(dueUs: number): Second {
    const second = Math.max(0, Math.floor((dueUs - this.#startUs) / 1e6));
    while (this.#seconds.length <= second) {
      this.#seconds.push({
        offered: 0,
        accepted: new Histogram(),
        soft: new Histogram(),
        final: new Histogram(),
        stations: {
          accepted: 0,
          soft: 0,
          final: 0,
          queueUs: 0,
          acceptUs: 0,
          orderUs: 0,
          notarizeUs: 0,
          finalUs: 0,
        },
      });
    }
    return this.#seconds[second]!;
  }
}

/** Sorts, and joins those that touch. */
export function mergeRanges(ranges: readonly (readonly [number, number])[]): [number, number][] {
  const merged: [number, number][] = [];
  for (const [first, count] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && last[0] + last[1] === first) last[1] += count;
    else merged.push([first, count]);
  }
  return merged;
}
