/** An operator's file of later validator sets: what is refused at the start, what a change brings, what a bad change leaves. */

import { mkdtempSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MAX_VALIDATOR_SCHEDULE_FILE_BYTES } from '@squad/types';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openValidatorSets, type ValidatorSetSource } from '../src/validator-sets.ts';
import { createGenesis, Journal, until } from './support.ts';

const genesis = createGenesis(2);
const [first, second] = genesis.file.validators as [
  (typeof genesis.file.validators)[0],
  (typeof genesis.file.validators)[0],
];
let folder: string;
let path: string;
let journal: Journal;
let sets: ValidatorSetSource | undefined;
let writes = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'squad-schedule-'));
  path = join(folder, 'validator-schedule.json');
  journal = new Journal();
});
afterEach(() => {
  sets?.stop();
  sets = undefined;
  rmSync(folder, { recursive: true });
});

/** Each writing has a time of its own, however fast they follow. */
function write(text: string): void {
  writeFileSync(path, text);
  utimesSync(path, 1_000 + ++writes, 1_000 + writes);
}
const schedule = (fromEpoch: number, validator: typeof first) =>
  JSON.stringify({ version: 1, validatorSchedule: [{ fromEpoch, validators: [validator] }] });
const open = async () => {
  sets = await openValidatorSets(genesis, path, journal);
  return sets;
};

it('is refused at the start by what is wrong with it', async () => {
  await expect(open()).rejects.toMatchObject({ code: 'VALIDATOR_SCHEDULE_UNREADABLE' });
  write('{');
  await expect(open()).rejects.toMatchObject({
    code: 'VALIDATOR_SCHEDULE_UNREADABLE',
    message: expect.stringContaining('is not JSON'),
  });
  truncateSync(path, MAX_VALIDATOR_SCHEDULE_FILE_BYTES + 1);
  await expect(open()).rejects.toMatchObject({
    code: 'VALIDATOR_SCHEDULE_UNREADABLE',
    message: expect.stringContaining('cannot be read: it has more bytes than MAX_VALIDATOR_SCHEDULE_FILE_BYTES'),
  });
  write(schedule(0, first));
  await expect(open()).rejects.toMatchObject({
    code: 'VALIDATOR_SCHEDULE_INVALID',
    message: expect.stringContaining('0.fromEpoch'),
  });
  write(schedule(3, { ...first, proofOfPossession: second.proofOfPossession }));
  await expect(open()).rejects.toMatchObject({ code: 'VALIDATOR_SCHEDULE_POSSESSION_INVALID' });
});

it('names sets by the epoch that they begin with, and is read again when it changes', async () => {
  write(schedule(3, first));
  const source = await open();
  expect([source.setFrom(2), source.setFrom(3), source.setFrom(4)]).toEqual([undefined, [first], undefined]);
  let changes = 0;
  source.onChange(() => changes++);
  write(schedule(4, { ...second, addresses: ['/ip4/10.0.0.9/tcp/1'] }));
  await until('the change', () => changes === 1);
  expect(source.setFrom(3)).toBeUndefined();
  expect(source.setFrom(4)).toHaveLength(1);
  expect(source.describe(genesis.validatorSet.validators[1]!.nodePublicKey)?.addresses).toEqual([
    '/ip4/10.0.0.9/tcp/1',
  ]);
});

it('is read once if it does not change: no change is told of what was read already', async () => {
  write(schedule(3, first));
  const source = await open();
  let changes = 0;
  source.onChange(() => changes++);
  // As long as a look would take.
  for (let read = 0; read < 20; read++) await readFile(path);
  expect(changes).toBe(0);
  write(schedule(4, first));
  await until('the change', () => source.setFrom(4) !== undefined);
  expect(changes).toBe(1);
});

it('stays what it was after a change that is none, and says so', async () => {
  write(schedule(3, first));
  const source = await open();
  write(schedule(3, { ...first, weight: 0 }));
  await until('the word of it', () => journal.errors.length === 1);
  expect(JSON.stringify(journal.errors)).toContain('what it said before stays');
  expect(source.setFrom(3)).toEqual([first]);
});
