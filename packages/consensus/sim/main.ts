/** `npm run sim -- …`: runs schedules, shows what they reached, and on a failure how to see it again. */

import { parseArgs } from 'node:util';
import { ADVERSARY_NAMES, type AdversaryName } from './adversaries/index.ts';
import { describeSchedule, type RunResult, runSchedule } from './run.ts';
import { FAULT_NAMES, type FaultName, type ScheduleOptions } from './schedule.ts';

const USAGE = `Usage: npm run sim -- [options]
  --seeds N         how many schedules (default 1000)
  --seed S          the first seed (default 1)
  --nodes N         validators in each (default: drawn, 1 to 10)
  --faults a,b,…    faults that may be drawn, of: ${FAULT_NAMES.join(' ')}; "none" for none
  --adversaries a,… of: ${ADVERSARY_NAMES.join(' ')}
  --trouble MS      virtual time of trouble before the faults end (default: drawn)
  --keep-going      go on after a failure
  --trace           print the events of the last schedule
  --trace-lines N   how many of the last events (default 60)`;

function fail(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

function whole(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) fail(`--${name} ${text}: expected a whole number`);
  return value;
}

function names<T extends string>(option: string, text: string | undefined, known: readonly T[]): T[] | undefined {
  if (text === undefined) return undefined;
  if (text === 'none') return [];
  return text.split(',').map((name) => {
    const found = known.find((candidate) => candidate === name);
    return found ?? fail(`--${option}: "${name}" is none of ${known.join(' ')}`);
  });
}

function coverage(counts: ReadonlyMap<string, number>): string {
  const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([kind, count]) => `${kind} ${count}`).join(' · ');
}

function replayCommand(seed: number, args: readonly string[]): string {
  return ['npm run sim -- --seed', seed, '--seeds 1 --trace', ...args].join(' ');
}

function report(result: RunResult, passedOn: readonly string[]): void {
  const { failure, schedule } = result;
  if (!failure) return;
  process.stdout.write(
    `\nFAILED  ${describeSchedule(schedule)}\n\n${failure.trace}\n\n${failure.invariant}: ${failure.message}\n\n` +
      `Again: ${replayCommand(schedule.seed, passedOn)}\n`,
  );
}

function main(): number {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      nodes: { type: 'string' },
      faults: { type: 'string' },
      adversaries: { type: 'string' },
      trouble: { type: 'string' },
      trace: { type: 'boolean' },
      'trace-lines': { type: 'string' },
      'keep-going': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const first = whole('seed', values.seed) ?? 1;
  const seeds = whole('seeds', values.seeds) ?? 1000;
  const nodes = whole('nodes', values.nodes);
  const trouble = whole('trouble', values.trouble);
  const faults: FaultName[] | undefined = names('faults', values.faults, FAULT_NAMES);
  const adversaries: AdversaryName[] | undefined = names('adversaries', values.adversaries, ADVERSARY_NAMES);
  const options: ScheduleOptions = {
    ...(nodes !== undefined && { nodes }),
    ...(faults && { faults }),
    ...(adversaries && { adversaries }),
    ...(trouble !== undefined && { troubleMs: trouble }),
  };
  const passedOn = (['nodes', 'faults', 'adversaries', 'trouble'] as const).flatMap((name) =>
    values[name] === undefined ? [] : [`--${name} ${values[name]}`],
  );
  const lines = whole('trace-lines', values['trace-lines']) ?? 60;
  const counts = new Map<string, number>();
  const started = performance.now();
  let failures = 0;
  let steps = 0;
  let heights = 0;
  let done = 0;
  let shown = started;
  for (let seed = first; seed < first + seeds; seed++) {
    // The trace costs time: a failing schedule is simply run again with it.
    let result = runSchedule(seed, options, 0);
    if (result.failure || (values.trace && seeds === 1)) result = runSchedule(seed, options, lines);
    done++;
    steps += result.steps;
    heights += result.finalHeight;
    for (const [kind, count] of result.counts) counts.set(kind, (counts.get(kind) ?? 0) + count);
    if (values.trace && seeds === 1) {
      process.stdout.write(`${describeSchedule(result.schedule)}\nevent log ${result.logHash}\n`);
      if (!result.failure) process.stdout.write(`final height ${result.finalHeight}, ${result.steps} steps\n`);
    }
    if (result.failure) {
      failures++;
      report(result, passedOn);
      if (!values['keep-going']) break;
    }
    const now = performance.now();
    if (now - shown > 2_000) {
      shown = now;
      const rate = (done / ((now - started) / 1000)).toFixed(0);
      process.stderr.write(`  ${done}/${seeds} schedules, ${rate} a second, ${failures} failed\n`);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  const processor = process.cpuUsage().user / 1e6;
  process.stdout.write(
    `${done} schedules from seed ${first}: ${failures} failed; ${seconds.toFixed(1)} s, ${(done / seconds).toFixed(0)} a second, ` +
      `${(done / processor).toFixed(0)} a second of processor time; ` +
      `${steps} steps, ${heights} final heights\n`,
  );
  process.stdout.write(`reached: ${coverage(counts)}\n`);
  return failures === 0 ? 0 : 1;
}

process.exitCode = main();
