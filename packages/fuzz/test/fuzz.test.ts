/** A slice of every fuzz target, the whole corpus, and that the driver sees what it should see. */

import { describe, expect, it } from 'vitest';
import { corpusOf } from '../src/corpus.ts';
import { examine } from '../src/examine.ts';
import { run, TARGETS, type Target, Violation } from '../src/index.ts';
import { Inputs } from '../src/inputs.ts';

/** The long run of docs/qa/fuzzing.md takes a million; here they only show that nothing obvious broke. */
const SLICE_INPUTS = 400;
const SLOW_SLICE_INPUTS = 80;

describe('every decoder', () => {
  it.each(TARGETS)('$name withstands a slice and its corpus', async (target) => {
    const inputs = target.longRunInputs === undefined ? SLICE_INPUTS : SLOW_SLICE_INPUTS;
    const { failure, accepted, corpus } = await run(target, { seed: 'slice', inputs });
    expect(
      failure && { ...failure, again: `npm run fuzz -- --target ${target.name} --seed slice --from ${failure.index}` },
    ).toBe(undefined);
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(inputs);
    expect(corpus).toBe(corpusOf(target.name).length);
  });
});

describe('the driver', () => {
  /** Accepts what begins with 1; misbehaves as its second byte says. */
  const target = (misbehave: (input: Uint8Array) => void): Target => ({
    name: 'made-up',
    what: 'nothing',
    make: (random) => Uint8Array.of(1, ...random.bytes(8)),
    check: (input) => {
      misbehave(input);
      return input[0] === 1;
    },
  });

  it('makes the same inputs from the same seed, each by its number, and others from another', () => {
    const one = target(() => {});
    const bytes = (seed: string, index: number) => new Inputs(one, seed).at(index).bytes;
    const numbers = [0, 47, 48, 4095, 4096, 100_000];
    expect(numbers.map((index) => bytes('1', index))).toEqual(numbers.map((index) => bytes('1', index)));
    expect(bytes('1', 100_000)).not.toEqual(bytes('2', 100_000));
  });

  it('reports an exception, with the input and a shorter one', async () => {
    const { failure } = await run(
      target((input) => {
        if (input.includes(0xff)) throw new RangeError('a byte of 255');
      }),
      { seed: '1', inputs: 10_000 },
    );
    expect(failure).toMatchObject({ fault: { message: 'threw RangeError: a byte of 255' }, shrunkHex: '0xff' });
  });

  it('reports a valid input that is refused', async () => {
    const refusing: Target = { ...target(() => {}), check: () => false };
    expect((await run(refusing, { seed: '1', inputs: 1 })).failure?.fault.message).toBe('a valid input was refused');
  });

  it('reports bytes that are allocated for nothing, and a target that says so itself', async () => {
    const kept: Uint8Array[] = [];
    const hungry = target(() => kept.push(new Uint8Array(16 << 20)));
    expect(await examine(hungry, Uint8Array.of(1), true)).toMatchObject({
      fault: { message: expect.stringMatching(/cost \d+ ms and \d+ bytes/) },
    });
    const honest = target(() => {
      throw new Violation('other bytes');
    });
    expect(await examine(honest, Uint8Array.of(1), true)).toMatchObject({ fault: { message: 'other bytes' } });
  });
});
