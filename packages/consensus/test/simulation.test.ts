/** The protocol whole: schedules of faults and adversaries, each from a seed that replays it exactly. Many more run beside the tests. */

import { MAX_BODY_LAG_BLOCKS } from '@squad/types';
import { describe, expect, it } from 'vitest';
import { EpochPlan } from '../sim/epoch-plan.ts';
import { runSchedule, runSeed } from '../sim/run.ts';
import { drawSchedule, formatSchedule, isOverloaded, parseSchedule } from '../sim/schedule.ts';
import { simplerSchedules } from '../sim/simpler.ts';

const SCHEDULES = 400;
const PARTS = 10;
const EPOCH_SCHEDULES = 60;
const EPOCH_PARTS = 6;
/** Its first set is there once; two operators name another set for epoch 1. */
const LEAVER =
  'seed=1 weights=1,1,1,1 faults= byzantine= trouble=900 latency=40 batches=300 settles=1 restore=0 ' +
  'epochs=4 sets=1,1,1,1/1,1,1,0/1,2,1,0 absentee=1 again=1 dispute=1:0+3:2500';

describe('safety and liveness', () => {
  it.each(Array.from({ length: PARTS }, (_, i) => i))('holds in every schedule, part %i', (part) => {
    const each = SCHEDULES / PARTS;
    for (let seed = 1 + part * each; seed <= (part + 1) * each; seed++) {
      const { failure, schedule } = runSeed(seed, {}, 0);
      if (!failure) continue;
      const again = runSchedule(schedule);
      throw new Error(`${formatSchedule(schedule)}\n${again.failure?.trace}\n${failure.message}`);
    }
  });
});

describe('safety and liveness across epochs', () => {
  it.each(Array.from({ length: EPOCH_PARTS }, (_, i) => i))('holds in every schedule, part %i', (part) => {
    const each = EPOCH_SCHEDULES / EPOCH_PARTS;
    let ends = 0;
    for (let seed = 1 + part * each; seed <= (part + 1) * each; seed++) {
      const { failure, schedule, counts } = runSeed(seed, { epochs: true, nodes: 4 + (seed % 2) }, 0);
      ends += counts.get('an epoch begins') ?? 0;
      if (!failure) continue;
      const again = runSchedule(schedule);
      throw new Error(`${formatSchedule(schedule)}\n${again.failure?.trace}\n${failure.message}`);
    }
    expect(ends).toBeGreaterThan(0);
  });

  it('holds through more epochs than bodies may lag in blocks', () => {
    const sets = 'epochs=5 sets=1,2,1,1/1,1,1,1/0,1,1,2/1,1,1,0 absentee=0';
    const calm = `seed=5 weights=1,1,1,1 faults= byzantine= trouble=25000 latency=10 batches=300 settles=1 restore=0 ${sets}`;
    const { failure, finalHeight } = runSchedule(parseSchedule(calm), 0);
    expect(failure).toBeUndefined();
    expect(finalHeight).toBeGreaterThan(MAX_BODY_LAG_BLOCKS + 5);
  });

  it('goes through the sets again from where the schedule says', () => {
    const plan = new EpochPlan([1, 1, 1, 1], parseSchedule(LEAVER).epochs);
    const membersOf = (number: number) => plan.at(number).members.join('');
    expect([0, 1, 2, 3, 4].map(membersOf)).toEqual(['0123', '012', '012', '012', '012']);
    expect([1, 2, 3].map((number) => plan.at(number).weights.join(''))).toEqual(['111', '121', '111']);
  });

  it('is split by operators who disagree if neither they nor the others are a quorum', () => {
    const plan = new EpochPlan([1, 1, 1, 1], parseSchedule(LEAVER).epochs);
    const isSplit = (identities: number[], byzantine: number[] = []) =>
      plan.isSplit({ epoch: 1, identities, lastsMs: 1 }, new Set(byzantine));
    expect(isSplit([0, 3])).toBe(true);
    expect(isSplit([0])).toBe(false);
    // With what is Byzantine each half is one.
    expect(isSplit([0, 3], [1])).toBe(false);
    expect(plan.disputedSet(1)).not.toEqual(plan.at(1).validatorSet);
  });

  it('gives no set more Byzantine weight than it tolerates, and changes the set', () => {
    let changes = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const { epochs, byzantine, weights } = drawSchedule(seed, { epochs: true });
      for (const set of epochs!.sets) {
        const total = set.reduce((sum, weight) => sum + weight, 0);
        const evil = [...byzantine.keys()].reduce((sum, identity) => sum + set[identity]!, 0);
        expect(3 * evil).toBeLessThan(total);
        expect(set.length).toBe(weights.length);
      }
      if (new Set(epochs!.sets.map(String)).size > 1) changes++;
    }
    expect(changes).toBeGreaterThan(200);
  });
});

describe('a schedule', () => {
  it('replays to the same event log, and that of another seed is another', () => {
    for (const seed of [11, 12, 13, 14, 15]) {
      const first = runSeed(seed);
      const second = runSeed(seed, {}, 0);
      expect(second.logHash).toBe(first.logHash);
      expect(second.counts).toEqual(first.counts);
      expect(runSeed(seed + 1_000).logHash).not.toBe(first.logHash);
    }
  });

  it('is the same after it was written out and read back', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const schedule = drawSchedule(seed);
      expect(parseSchedule(formatSchedule(schedule))).toEqual(schedule);
      const withEpochs = drawSchedule(seed, { epochs: true });
      expect(parseSchedule(formatSchedule(withEpochs))).toEqual(withEpochs);
      const withL1 = drawSchedule(seed, { l1: true });
      expect(parseSchedule(formatSchedule(withL1))).toEqual(withL1);
    }
    const away = parseSchedule(LEAVER);
    expect(away.epochs).toMatchObject({ repeatsFrom: 1, dispute: { epoch: 1, identities: [0, 3], lastsMs: 2_500 } });
    expect(formatSchedule(away)).toBe(LEAVER);
    const shrunk = { ...drawSchedule(7), without: new Set(['crash#2', 'partition#1']) };
    expect(parseSchedule(formatSchedule(shrunk))).toEqual(shrunk);
    expect(runSchedule(parseSchedule(formatSchedule(drawSchedule(11)))).logHash).toBe(runSeed(11).logHash);
  });

  it('that cannot be read is refused by what is wrong with it', () => {
    expect(() => parseSchedule('seed=1 weights=1,0')).toThrow('weights=1,0');
    expect(() => parseSchedule('seed=x weights=1')).toThrow('seed=x');
    expect(() => parseSchedule('nonsense')).toThrow('nonsense');
    const epochs = formatSchedule(drawSchedule(1, { epochs: true, nodes: 4 }));
    expect(() => parseSchedule(epochs.replace(/sets=\S*/, 'sets=1,1,1/1,1'))).toThrow('expected 4 weights');
    expect(() => parseSchedule(epochs.replace(/sets=\S*/, 'sets=0,0,0,0'))).toThrow('not all 0');
    expect(() => parseSchedule(`${epochs.replace(/sets=\S*/, 'sets=1,1,1,1/1,1,1,2')} again=2`)).toThrow('again=2');
    const l1 = formatSchedule(drawSchedule(1, { l1: true, nodes: 4 }));
    for (const wrong of ['0:good,good,good,good', '300:good,good,good', '300:good,good,good,blind']) {
      expect(() => parseSchedule(l1.replace(/l1=\S*/, `l1=${wrong}`))).toThrow(`l1=${wrong}`);
    }
    for (const wrong of ['0:1:100', '1:4:100', '1:1:soon', '1::100x']) {
      expect(() => parseSchedule(`${epochs} dispute=${wrong}`)).toThrow(`dispute=${wrong}`);
    }
    const schedule = formatSchedule(drawSchedule(1));
    expect(() => parseSchedule(schedule.replace(/faults=\S*/, 'faults=hail'))).toThrow('"hail" is no fault');
    expect(() => parseSchedule(schedule.replace(/byzantine=\S*/, 'byzantine=99:nuller'))).toThrow('no validator 99');
  });

  it('has no more than F of adversaries, but where it says so', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const { weights, byzantine } = drawSchedule(seed, { overload: false });
      expect(isOverloaded(weights, byzantine)).toBe(false);
      const more = drawSchedule(seed, { overload: true, nodes: 4 });
      const total = more.weights.reduce((sum, weight) => sum + weight, 0);
      const evil = [...more.byzantine.keys()].reduce((sum, index) => sum + more.weights[index]!, 0);
      expect(evil).toBeLessThan(total - Math.floor((total - 1) / 3));
    }
  });

  it('gets smaller in every way that it is offered', () => {
    const schedule = drawSchedule(42, { nodes: 5 });
    const smaller = [...simplerSchedules(schedule, ['crash#1', 'crash#2'])];
    expect(new Set(smaller.map(formatSchedule)).size).toBe(smaller.length);
    expect(smaller.some(({ weights }) => weights.length === 1)).toBe(true);
    expect(smaller.some(({ without }) => without.has('crash#2') && !without.has('crash#1'))).toBe(true);
    for (const each of simplerSchedules(drawSchedule(42, { nodes: 5, epochs: true }), [])) {
      expect(parseSchedule(formatSchedule(each))).toEqual(each);
    }
    for (const each of smaller) expect(formatSchedule(each)).not.toBe(formatSchedule(schedule));
  });
});
