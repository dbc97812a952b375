/** `npm run sim -- …`: the corpus, then a campaign; on a failure the smallest schedule, its trace, and how to see it again. */

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { runCampaign } from './campaign.ts';
import type { FailedSchedule } from './chunk.ts';
import { readCorpus } from './corpus.ts';
import type { DrawOptions, Mode } from './mode.ts';
import { MODES, modeOf } from './modes.ts';
import { coverageLines, notReached, replayCommand, summaryLine } from './report.ts';
import { shrink } from './shrink.ts';

const PROGRESS_INTERVAL_MS = 2_000;
const SHOWN_FAILURES = 10;

const USAGE = `Usage: npm run sim -- [options]
  --mode M          ${MODES.map(({ name }) => name).join(' or ')} (default core)
  --seeds N         how many schedules (default 1000)
  --seed S          the first seed (default 1)
  --nodes N         validators in each (default: drawn)
  --faults a,b,…    faults that may be drawn, or "none"
  --adversaries a,… adversaries that may be drawn
  --trouble MS      virtual time of trouble (default: drawn)
  --settle, --no-settle      only schedules that must come to rest and finish, or none of them
  --overload, --no-overload  only schedules with more adversaries than tolerated, or none of them
  --schedule TEXT   runs one schedule, as a failure prints it
  --workers N       threads (default: one for each core)
  --keep-going      go on after a failure
  --no-shrink       report failures as they are
  --complete        fail if the campaign did not reach every fault, adversary and rule
  --no-corpus       do not run the schedules that failed once
  --trace           print the last events of the schedule (with --seeds 1 or --schedule)
  --trace-lines N   how many of them (default 80)
Faults and adversaries:
${MODES.map((mode) => `  ${mode.name}: ${mode.faults.join(' ')}\n    ${mode.adversaries.join(' ')}`).join('\n')}`;

function fail(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function whole(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  return Number.isInteger(value) && value >= 0 ? value : fail(`--${name} ${text}: expected a whole number`);
}

function names(option: string, text: string | undefined, known: readonly string[]): string[] | undefined {
  if (text === undefined) return undefined;
  if (text === 'none') return [];
  const list = text.split(',');
  for (const name of list) if (!known.includes(name)) fail(`--${option}: "${name}" is none of ${known.join(' ')}`);
  return list;
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowNegative: true,
      options: {
        mode: { type: 'string', default: 'core' },
        seeds: { type: 'string' },
        seed: { type: 'string' },
        nodes: { type: 'string' },
        faults: { type: 'string' },
        adversaries: { type: 'string' },
        trouble: { type: 'string' },
        settle: { type: 'boolean' },
        overload: { type: 'boolean' },
        schedule: { type: 'string' },
        workers: { type: 'string' },
        'keep-going': { type: 'boolean', default: false },
        shrink: { type: 'boolean', default: true },
        corpus: { type: 'boolean', default: true },
        complete: { type: 'boolean', default: false },
        trace: { type: 'boolean', default: false },
        'trace-lines': { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

type Arguments = ReturnType<typeof parse>;

async function showOne(mode: Mode, schedule: string, lines: number): Promise<boolean> {
  const outcome = await mode.run(schedule, Math.max(lines, 1));
  say(`${schedule}\nevent log ${outcome.logHash}, ${outcome.steps} steps, final height ${outcome.finalHeight}`);
  const { failure } = outcome;
  if (failure) say(`\n${failure.trace}\n\nFAILED ${failure.invariant}: ${failure.message}`);
  else say('every invariant held');
  return failure === undefined;
}

async function report(mode: Mode, { schedule, failure }: FailedSchedule, args: Arguments, lines: number) {
  say(`\nFAILED ${failure.invariant}: ${failure.message.split('\n')[0]}\n  ${schedule}`);
  if (failure.invariant === 'ends') return;
  let smallest = schedule;
  if (args.shrink) {
    const shrunk = await shrink(mode, schedule, failure.invariant);
    smallest = shrunk.schedule;
    say(`  shrunk in ${shrunk.runs} runs to\n  ${smallest}`);
  }
  const again = await mode.run(smallest, lines);
  if (again.failure) say(`\n${again.failure.trace}\n\n${again.failure.message}`);
  say(`\nAgain: ${replayCommand(mode, smallest)}`);
}

async function runCorpus(): Promise<boolean> {
  const entries = readCorpus();
  let holds = true;
  for (const { mode: name, schedule, what } of entries) {
    const mode = modeOf(name) ?? fail(`corpus: there is no mode "${name}"`);
    const { failure } = await mode.run(schedule, 0);
    if (!failure) continue;
    holds = false;
    say(`FAILED again (${what}): ${failure.message.split('\n')[0]}\n  Again: ${replayCommand(mode, schedule)}`);
  }
  say(`corpus: ${entries.length} schedules that failed once`);
  return holds;
}

async function main(): Promise<number> {
  const args = parse(process.argv.slice(2));
  if (args.help) {
    say(USAGE);
    return 0;
  }
  const mode = modeOf(args.mode) ?? fail(`--mode ${args.mode}: there are ${MODES.map(({ name }) => name).join(', ')}`);
  const lines = whole('trace-lines', args['trace-lines'], 80);
  if (args.schedule !== undefined) return (await showOne(mode, args.schedule, lines)) ? 0 : 1;

  const firstSeed = whole('seed', args.seed, 1);
  const seeds = whole('seeds', args.seeds, 1000);
  const faults = names('faults', args.faults, mode.faults);
  const adversaries = names('adversaries', args.adversaries, mode.adversaries);
  const draw: DrawOptions = {
    ...(args.nodes !== undefined && { nodes: whole('nodes', args.nodes, 4) }),
    ...(faults && { faults }),
    ...(adversaries && { adversaries }),
    ...(args.trouble !== undefined && { troubleMs: whole('trouble', args.trouble, 1000) }),
    ...(args.settle !== undefined && { settles: args.settle }),
    ...(args.overload !== undefined && { overload: args.overload }),
  };
  if (args.trace && seeds === 1) return (await showOne(mode, mode.draw(firstSeed, draw), lines)) ? 0 : 1;

  const corpusHolds = args.corpus ? await runCorpus() : true;
  const started = performance.now();
  let shown = started;
  const result = await runCampaign({
    mode,
    firstSeed,
    seeds,
    draw,
    workers: whole('workers', args.workers, availableParallelism()),
    keepGoing: args['keep-going'],
    onProgress: ({ done, failed }) => {
      const now = performance.now();
      if (now - shown < PROGRESS_INTERVAL_MS) return;
      shown = now;
      const rate = (done / ((now - started) / 1000)).toFixed(0);
      process.stderr.write(`  ${done}/${seeds} schedules, ${rate} a second, ${failed.length} failed\n`);
    },
  });
  const seconds = (performance.now() - started) / 1000;
  for (const failed of result.failed.slice(0, SHOWN_FAILURES)) await report(mode, failed, args, lines);
  if (result.failed.length > SHOWN_FAILURES) say(`and ${result.failed.length - SHOWN_FAILURES} more`);
  say(summaryLine(mode, result, firstSeed, seconds));
  say('reached, by rule:');
  for (const line of coverageLines(mode, result.counts)) say(line);
  const missing = args.complete ? notReached(mode, result.counts) : [];
  if (missing.length > 0) say(`FAILED: the campaign did not reach: ${missing.join(', ')}`);
  return result.failed.length === 0 && corpusHolds && missing.length === 0 ? 0 : 1;
}

process.exitCode = await main();
