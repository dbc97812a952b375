/** A run of one target: its corpus, then numbered inputs, until one fails or all are done. */

import { toHex } from '@squad/types';
import { corpusOf } from './corpus.ts';
import { examine, type Fault } from './examine.ts';
import { Inputs } from './inputs.ts';
import { shrink } from './shrink.ts';
import type { Target } from './target.ts';

export interface RunOptions {
  readonly seed: string;
  readonly inputs: number;
  /** Number of the first input; default 0. */
  readonly from?: number;
  /** Told now and then how many inputs are done. */
  readonly onProgress?: (done: number) => void;
}

export interface RunFailure {
  /** Undefined for an entry of the corpus. */
  readonly index: number | undefined;
  readonly fault: Fault;
  readonly hex: string;
  readonly shrunkHex: string;
}

export interface RunReport {
  readonly target: string;
  readonly inputs: number;
  readonly accepted: number;
  /** Accepted, and not one of the valid inputs as they were made. */
  readonly acceptedMutated: number;
  readonly corpus: number;
  readonly seconds: number;
  readonly failure: RunFailure | undefined;
}

const PROGRESS_EVERY_MS = 200;

export async function run(target: Target, options: RunOptions): Promise<RunReport> {
  const { seed, inputs: count, from = 0, onProgress } = options;
  const startedMs = performance.now();
  let [accepted, acceptedMutated, done] = [0, 0, 0];
  let toldMs = startedMs;
  const report = (failure: RunFailure | undefined, corpus: number): RunReport => ({
    target: target.name,
    inputs: done,
    accepted,
    acceptedMutated,
    corpus,
    seconds: (performance.now() - startedMs) / 1000,
    failure,
  });
  const corpus = corpusOf(target.name);
  for (const { bytes } of corpus) {
    const outcome = await examine(target, bytes, false);
    if ('fault' in outcome) return report(await failed(target, undefined, bytes, outcome.fault), corpus.length);
  }
  const inputs = new Inputs(target, seed);
  for (let index = from; index < from + count; index++) {
    const nowMs = performance.now();
    if (nowMs - toldMs > PROGRESS_EVERY_MS) {
      onProgress?.(index - from);
      toldMs = nowMs;
    }
    const { bytes, valid } = inputs.at(index);
    let outcome = examine(target, bytes, valid);
    if (outcome instanceof Promise) outcome = await outcome;
    done++;
    if ('fault' in outcome) return report(await failed(target, index, bytes, outcome.fault), corpus.length);
    if (!outcome.accepted) continue;
    accepted++;
    if (!valid) acceptedMutated++;
  }
  return report(undefined, corpus.length);
}

async function failed(target: Target, index: number | undefined, bytes: Uint8Array, fault: Fault): Promise<RunFailure> {
  const shrunk = await shrink(target, bytes, fault);
  return { index, fault, hex: toHex(bytes), shrunkHex: toHex(shrunk) };
}
