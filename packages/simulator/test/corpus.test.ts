/** The schedules that failed once, and the form of the file that keeps them. */

import { describe, expect, it } from 'vitest';
import { parseCorpus, readCorpus } from '../src/corpus.ts';
import { modeOf } from '../src/modes.ts';

describe('the corpus', () => {
  it('holds: whatever failed once does not fail again', async () => {
    for (const { mode, schedule, what } of readCorpus()) {
      const { failure } = await modeOf(mode)!.run(schedule, 0);
      expect(failure, `${what}: ${schedule}`).toBeUndefined();
    }
  });

  it('is lines of a mode, a schedule and what it was', () => {
    expect(parseCorpus('# a remark\n\ncore | seed=1 weights=1 | a fork\n')).toEqual([
      { mode: 'core', schedule: 'seed=1 weights=1', what: 'a fork' },
    ]);
    expect(() => parseCorpus('core | seed=1\n')).toThrow('corpus line 1');
  });
});
