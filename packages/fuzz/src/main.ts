/** `npm run fuzz`: targets side by side, each on a thread; progress, a table, and for a failure the command that repeats it. */

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { RunOptions, RunReport } from './run.ts';
import type { Target } from './target.ts';
import { findTarget, TARGETS } from './targets/index.ts';

/** A target that makes no progress for so many seconds of this process hangs. */
const HANG_SECONDS = 300;
const MAX_HEAP_MEGABYTES = 768;

const HELP = `npm run fuzz -- [--inputs N] [--seed S] [--from I] [--target NAME]… [--jobs N] [--list] [--report]

  --inputs N     inputs for each target; default 20,000
  --seed S       any text; each input follows from it, the target's name and its number; default 1
  --from I       number of the first input; default 0
  --target NAME  only this one; may be given again
  --jobs N       targets at once; default: one for each core
  --report       fewer inputs where a target says that a million would take too long, and a table in Markdown
  --list         names of the targets
`;

function fail(text: string): never {
  process.stderr.write(`${text}\n`);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        inputs: { type: 'string', default: '20000' },
        seed: { type: 'string', default: '1' },
        from: { type: 'string', default: '0' },
        target: { type: 'string', multiple: true },
        jobs: { type: 'string', default: String(availableParallelism()) },
        report: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return fail(`${(error as Error).message}\n\n${HELP}`);
  }
}

function count(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least)
    fail(`--${name} ${text}: expected a whole number from ${least} on`);
  return value;
}

/** Resolves with a report; a thread that dies or hangs has failed. */
function runInThread(target: Target, options: RunOptions, onProgress: (done: number) => void): Promise<RunReport> {
  return new Promise((resolve) => {
    const worker = new Worker(new URL(import.meta.url.replace(/main\.(js|ts)$/, 'worker.$1')), {
      workerData: { name: target.name, options },
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MEGABYTES },
    });
    let done = 0;
    let silentSeconds = 0;
    const finish = (report: RunReport) => {
      clearInterval(watch);
      void worker.terminate();
      resolve(report);
    };
    const died = (message: string) =>
      finish({
        target: target.name,
        inputs: done,
        accepted: 0,
        acceptedMutated: 0,
        corpus: 0,
        seconds: 0,
        failure: { index: (options.from ?? 0) + done, fault: { message, stack: '' }, hex: '', shrunkHex: '' },
      });
    // Seconds of this process, not of the wall: while both are paused, nothing hangs.
    const watch = setInterval(() => {
      if (++silentSeconds > HANG_SECONDS)
        died(`no progress for ${HANG_SECONDS} s at this input or one soon after it: it hangs`);
    }, 1000);
    worker.on('message', (message: { done?: number; report?: RunReport }) => {
      silentSeconds = 0;
      if (message.report !== undefined) return finish(message.report);
      done = message.done ?? done;
      onProgress(done);
    });
    worker.on('error', (error) => died(`the thread died at or after this input: ${error.message}`));
  });
}

function describe({ target, inputs, acceptedMutated, corpus, seconds, failure }: RunReport): string {
  const rate = Math.round(inputs / Math.max(seconds, 0.001)).toLocaleString('en');
  const line =
    `${failure ? '✗' : '✓'} ${target.padEnd(22)} ${inputs.toLocaleString('en').padStart(10)} inputs ` +
    `${seconds.toFixed(1).padStart(7)} s ${rate.padStart(8)}/s  ${acceptedMutated.toLocaleString('en')} mutated accepted` +
    `${corpus > 0 ? `, ${corpus} of the corpus` : ''}\n`;
  if (!failure) return line;
  const again =
    failure.index === undefined ? '' : `--target ${target} --seed ${seed} --from ${failure.index} --inputs 1`;
  return (
    `${line}  ${failure.fault.message}\n  ${failure.fault.stack.split('\n').slice(1, 6).join('\n  ')}\n` +
    `  input   ${failure.hex.slice(0, 2000)}\n  shrunk  ${failure.shrunkHex.slice(0, 2000)}\n` +
    `  again   npm run fuzz -- ${again}\n`
  );
}

const given = readArguments();
const { seed } = given;
if (given.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
if (given.list) {
  for (const { name, what } of TARGETS) process.stdout.write(`${name.padEnd(22)} ${what}\n`);
  process.exit(0);
}
const inputs = count('inputs', given.inputs, 1);
const from = count('from', given.from, 0);
const jobs = count('jobs', given.jobs, 1);
const targets =
  given.target?.map((name) => findTarget(name) ?? fail(`no target "${name}"; --list names them`)) ?? TARGETS;

const waiting = [...targets];
const reports: RunReport[] = [];
async function work(): Promise<void> {
  for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
    const { name, longRunInputs } = target;
    const wanted = given.report ? Math.min(inputs, longRunInputs ?? inputs) : inputs;
    const report = await runInThread(target, { seed, inputs: wanted, from }, (done) => {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2m${name} ${done} of ${wanted}\x1b[0m\x1b[K\r`);
    });
    reports.push(report);
    process.stdout.write(describe(report));
  }
}
await Promise.all(Array.from({ length: Math.min(jobs, waiting.length) }, work));

if (given.report) {
  process.stdout.write('\n| target | inputs | a second | mutated and accepted | failures |\n|---|---|---|---|---|\n');
  for (const { target, inputs: done, seconds, acceptedMutated, failure } of reports) {
    const cells = [`\`${target}\``, done, Math.round(done / seconds), acceptedMutated].map((cell) =>
      cell.toLocaleString('en'),
    );
    process.stdout.write(`| ${cells.join(' | ')} | ${failure ? 1 : 0} |\n`);
  }
}
const failures = reports.filter(({ failure }) => failure !== undefined).length;
const total = reports.reduce((sum, report) => sum + report.inputs, 0);
process.stdout.write(`${total.toLocaleString('en')} inputs, ${reports.length} targets, ${failures} failures\n`);
process.exitCode = failures > 0 ? 1 : 0;
