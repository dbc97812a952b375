/** The ways in which a failing schedule can be made smaller, the greatest steps first. */

import { isFit } from './epoch-plan.ts';
import type { Schedule } from './schedule.ts';

const LEAST_TROUBLE_MS = 20;

/** `acts`: what the faults did in the run that failed. */
export function* simplerSchedules(schedule: Schedule, acts: readonly string[]): Generator<Schedule> {
  const { faults, byzantine, weights, troubleMs, without } = schedule;
  if (schedule.settles) yield { ...schedule, settles: false };
  if (!schedule.reconnects) yield { ...schedule, reconnects: true };
  const { epochs } = schedule;
  if (epochs) {
    yield { ...schedule, epochs: undefined };
    if (epochs.hasAbsentee) yield { ...schedule, epochs: { ...epochs, hasAbsentee: false } };
    if (epochs.dispute) yield { ...schedule, epochs: { ...epochs, dispute: undefined } };
    if (epochs.repeatsFrom) yield { ...schedule, epochs: { ...epochs, repeatsFrom: undefined } };
    for (const part of parts(epochs.sets)) {
      const sets = epochs.sets.filter((set) => !part.includes(set));
      const repeatsFrom = Math.min(epochs.repeatsFrom ?? 0, sets.length - 1) || undefined;
      if (sets.length > 0) yield { ...schedule, epochs: { ...epochs, sets, repeatsFrom } };
    }
  }
  const { l1 } = schedule;
  if (l1) {
    if (![...byzantine.values()].includes('anchor-liar')) yield { ...schedule, l1: undefined };
    for (const [identity, eye] of l1.eyes.entries()) {
      const eyes = l1.eyes.with(identity, 'good');
      if (eye !== 'good') yield { ...schedule, l1: { ...l1, eyes } };
    }
  }
  if (schedule.checksRestore) yield { ...schedule, checksRestore: false };
  for (const part of parts([...faults])) yield { ...schedule, faults: minus(faults, part) };
  for (const part of parts([...byzantine.keys()])) {
    const fewer = new Map([...byzantine].filter(([index]) => !part.includes(index)));
    yield { ...schedule, byzantine: fewer };
  }
  for (let size = 1; size < weights.length; size++) {
    const kept = new Map([...byzantine].filter(([index]) => index < size));
    const sets = epochs?.sets.map((set) => set.slice(0, size));
    if (sets && !sets.every((set) => isFit(set, new Set(kept.keys())))) continue;
    if (epochs?.dispute?.identities.some((identity) => identity >= size)) continue;
    const fewer = epochs && sets ? { epochs: { ...epochs, sets } } : {};
    const seeing = l1 ? { l1: { ...l1, eyes: l1.eyes.slice(0, size) } } : {};
    yield { ...schedule, weights: weights.slice(0, size), byzantine: kept, ...fewer, ...seeing };
  }
  if (weights.some((weight) => weight > 1)) yield { ...schedule, weights: weights.map(() => 1) };
  for (const share of [0.25, 0.5, 0.75, 0.9]) {
    const shorter = Math.round(troubleMs * share);
    if (shorter >= LEAST_TROUBLE_MS) yield { ...schedule, troubleMs: shorter };
  }
  const left = [...new Set(acts)].filter((act) => !without.has(act));
  for (const part of parts(left)) yield { ...schedule, without: new Set([...without, ...part]) };
  if (schedule.latencyMs > 10) yield { ...schedule, latencyMs: 10 };
  if (schedule.batchIntervalMs < 2_000) yield { ...schedule, batchIntervalMs: 2_000 };
}

/** All, each half, each quarter, and so on down to each one. */
function* parts<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let length = items.length; length >= 1; length = length === 1 ? 0 : Math.ceil(length / 2)) {
    for (let from = 0; from < items.length; from += length) yield items.slice(from, from + length);
  }
}

function minus<T>(set: ReadonlySet<T>, part: readonly T[]): Set<T> {
  return new Set([...set].filter((item) => !part.includes(item)));
}
