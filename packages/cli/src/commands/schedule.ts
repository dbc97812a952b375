/** `squad schedule`: writes down who validates from a later epoch on, for the operators to agree on. */

import { writeFile } from 'node:fs/promises';
import { checkSchedulePossession, nobleBls } from '@squad/crypto';
import { defineOptions, readBoundedText } from '@squad/service';
import {
  faultyWeight,
  MAX_VALIDATOR_SCHEDULE_FILE_BYTES,
  parseValidatorSchedule,
  SquadError,
  toHex,
  totalWeight,
  type ValidatorSchedule,
  validatorSetHash,
  validatorSetOf,
} from '@squad/types';
import type { Command } from 'commander';
import { z } from 'zod';
import { addOptions, readOptions } from '../options.ts';
import { readValidatorFile } from '../validator-file.ts';

const scheduleOptions = defineOptions({
  fromEpoch: {
    type: z.int().min(1),
    env: 'SQUAD_SCHEDULE_FROM_EPOCH',
    flag: '--from-epoch',
    help: 'first epoch that they validate; they stay until another entry replaces them',
  },
  validators: {
    type: z.array(z.string().min(1)).min(1).max(256),
    env: 'SQUAD_SCHEDULE_VALIDATORS',
    flag: '--validator',
    help: 'validator.json of one validator; may be repeated, or a list with commas',
  },
  file: {
    type: z.string().min(1),
    default: 'validator-schedule.json',
    env: 'SQUAD_SCHEDULE_FILE',
    flag: '--file',
    help: 'the schedule to add to; made if absent. An entry of the same epoch is replaced',
  },
});

export function define(command: Command): void {
  addOptions(command, scheduleOptions)
    .addHelpText(
      'after',
      '\nExample:\n  $ squad schedule --from-epoch 12 --validator alice.json,bob.json,carol.json,erin.json' +
        '\n  $ squad sequencer --config sequencer.yaml --validator-schedule validator-schedule.json',
    )
    .action(() => schedule(command));
}

async function schedule(command: Command): Promise<void> {
  const { fromEpoch, validators: paths, file } = readOptions(command, scheduleOptions).values;
  const validators = [];
  for (const path of paths) validators.push(await readValidatorFile(path));
  const others = (await existing(file)).filter((entry) => entry.fromEpoch !== fromEpoch);
  const entries = [...others, { fromEpoch, validators }].sort((a, b) => a.fromEpoch - b.fromEpoch);
  const parsed = parseValidatorSchedule({ version: 1, validatorSchedule: entries });
  if (!parsed.ok) throw parsed.error;
  const possession = checkSchedulePossession(parsed.value, nobleBls);
  if (!possession.ok) throw possession.error;
  await writeFile(file, `${JSON.stringify({ version: 1, validatorSchedule: parsed.value }, null, 2)}\n`);
  const set = validatorSetOf(fromEpoch, validators);
  const total = totalWeight(set);
  process.stdout.write(
    [
      `from epoch  ${fromEpoch}`,
      `validators  ${validators.length}, weight ${total}, of which ${faultyWeight(total)} may be faulty`,
      `set hash    ${toHex(validatorSetHash(set))}`,
      `written to  ${file}`,
      '',
      'Every validator needs the same schedule before the epoch before ends. Operators compare the set hash.',
      '',
    ].join('\n'),
  );
}

async function existing(file: string): Promise<ValidatorSchedule> {
  let text: string;
  try {
    text = await readBoundedText(file, MAX_VALIDATOR_SCHEDULE_FILE_BYTES, 'MAX_VALIDATOR_SCHEDULE_FILE_BYTES');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw unusable(file, (error as Error).message);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw unusable(file, (error as Error).message);
  }
  const parsed = parseValidatorSchedule(json);
  if (parsed.ok) return parsed.value;
  throw parsed.error;
}

function unusable(file: string, reason: string): SquadError {
  const remedy = 'Mend the file, or choose another one with --file.';
  return new SquadError('VALIDATOR_SCHEDULE_UNREADABLE', `${file} cannot be read: ${reason}`, remedy, { file });
}
