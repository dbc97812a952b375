/**
 * Where a node learns who is to validate later epochs (R22). Now the genesis file's schedule and an operator's file, on
 * which the validators must agree: a boundary block that names another set than this node's gets no vote of it.
 */

import { stat } from 'node:fs/promises';
import { checkSchedulePossession } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import { type Logger, readBoundedText } from '@squad/service';
import {
  type Epoch,
  err,
  type Genesis,
  type GenesisValidator,
  MAX_VALIDATOR_SCHEDULE_FILE_BYTES,
  parseValidatorSchedule,
  type Result,
  SquadError,
  toHex,
  type ValidatorSchedule,
  type ValidatorSet,
  validatorSetOf,
  validatorsByNodeKey,
} from '@squad/types';

/** Milliseconds between two looks at whether the operator's file has changed. */
const CHECK_INTERVAL_MS = 1_000;

export interface ValidatorSetSource {
  /** Those who are to validate from this epoch on; undefined: nothing says so, and the set of the epoch before stays. */
  setFrom(epoch: Epoch): readonly GenesisValidator[] | undefined;
  /** What the source says of a validator of whichever epoch, the newest word first: its name and addresses among it. */
  describe(nodePublicKey: Uint8Array): GenesisValidator | undefined;
  /** All sets that are named for later epochs. */
  laterSets(): ValidatorSet[];
  /** Calls back when the answers may have changed. */
  onChange(callback: () => void): void;
  stop(): void;
}

/** Reads the operator's file if there is one, and again whenever it changes. Throws what is wrong with it at the start. */
export async function openValidatorSets(
  { file }: Pick<Genesis, 'file'>,
  path: string | undefined,
  logger: Logger,
): Promise<ValidatorSetSource> {
  if (path === undefined) return genesisSchedule({ file });
  // Before it is read: what is written to it in between is seen at the next look.
  const changedMs = await changeTimeOf(path);
  const first = await readSchedule(path);
  if (!first.ok) throw first.error;
  return new FileSets(file, first.value, path, changedMs, logger);
}

/** What the genesis file says, and nothing besides. */
export function genesisSchedule({ file }: Pick<Genesis, 'file'>): ValidatorSetSource {
  return new ScheduledSets(file, []);
}

class ScheduledSets implements ValidatorSetSource {
  readonly #genesis: Genesis['file'];
  #own: ValidatorSchedule;
  #byNodeKey: ReadonlyMap<string, GenesisValidator>;
  protected changed: () => void = () => {};

  constructor(genesis: Genesis['file'], own: ValidatorSchedule) {
    this.#genesis = genesis;
    this.#own = own;
    this.#byNodeKey = this.#describeAll();
  }

  protected replace(own: ValidatorSchedule): void {
    this.#own = own;
    this.#byNodeKey = this.#describeAll();
    this.changed();
  }

  setFrom(epoch: Epoch): readonly GenesisValidator[] | undefined {
    const isIt = ({ fromEpoch }: ValidatorSchedule[number]) => fromEpoch === epoch;
    // What operators agreed on since goes before what genesis foresaw.
    return (this.#own.find(isIt) ?? this.#genesis.validatorSchedule?.find(isIt))?.validators;
  }

  laterSets(): ValidatorSet[] {
    const all = [...(this.#genesis.validatorSchedule ?? []), ...this.#own];
    return all.map(({ fromEpoch, validators }) => validatorSetOf(fromEpoch, validators));
  }

  describe(nodePublicKey: Uint8Array): GenesisValidator | undefined {
    return this.#byNodeKey.get(toHex(nodePublicKey));
  }

  onChange(callback: () => void): void {
    this.changed = callback;
  }

  stop(): void {}

  #describeAll(): ReadonlyMap<string, GenesisValidator> {
    const { validators, validatorSchedule = [] } = this.#genesis;
    const later = [...validatorSchedule, ...this.#own].map((entry) => entry.validators);
    return validatorsByNodeKey(validators, ...later);
  }
}

class FileSets extends ScheduledSets {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  #readMs: number | undefined;

  constructor(
    genesis: Genesis['file'],
    own: ValidatorSchedule,
    path: string,
    readMs: number | undefined,
    logger: Logger,
  ) {
    super(genesis, own);
    this.#path = path;
    this.#readMs = readMs;
    this.#logger = logger;
    this.#timer = setInterval(() => void this.#look(), CHECK_INTERVAL_MS);
  }

  override stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const changedMs = await changeTimeOf(this.#path);
    // A file that is being replaced is there again at the next look.
    if (changedMs === undefined || changedMs === this.#readMs) return;
    this.#readMs = changedMs;
    const schedule = await readSchedule(this.#path);
    if (schedule.ok) return this.replace(schedule.value);
    this.#logger.error(
      { err: schedule.error, path: this.#path },
      `the validator schedule cannot be used, what it said before stays: ${schedule.error.message}`,
    );
  }
}

/** Milliseconds; undefined if there is no such file now. */
async function changeTimeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
}

async function readSchedule(path: string): Promise<Result<ValidatorSchedule, SquadError>> {
  const json = await readJson(path);
  if (!json.ok) return json;
  const schedule = parseValidatorSchedule(json.value);
  if (!schedule.ok) return schedule;
  const possession = checkSchedulePossession(schedule.value, blstBls);
  return possession.ok ? schedule : possession;
}

async function readJson(path: string): Promise<Result<unknown, SquadError>> {
  const remedy =
    'Get the validator schedule that the validators agreed on, and name its path with --validator-schedule.';
  try {
    const limitName = 'MAX_VALIDATOR_SCHEDULE_FILE_BYTES';
    return { ok: true, value: JSON.parse(await readBoundedText(path, MAX_VALIDATOR_SCHEDULE_FILE_BYTES, limitName)) };
  } catch (cause) {
    const what = cause instanceof SyntaxError ? 'is not JSON' : `cannot be read: ${(cause as Error).message}`;
    return err(
      new SquadError(
        'VALIDATOR_SCHEDULE_UNREADABLE',
        `the validator schedule ${path} ${what}`,
        remedy,
        { path },
        cause,
      ),
    );
  }
}
