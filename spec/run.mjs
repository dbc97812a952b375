// Runs the model by Quint's simulator: `check` looks for a state that breaks the invariants and for witnesses of what must
// be reachable; `traces` writes the traces that the tests of packages/consensus replay. `npm run model` comes here.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
const quint = join(folder, '../node_modules/@informalsystems/quint/dist/src/cli.js');
const model = join(folder, 'voting.qnt');

const INVARIANT = 'safe';
const WITNESSES = [
  'finalizes',
  'finalizesTwice',
  'skipsAView',
  'finalizesAfterASkip',
  'notarizedAndNullified',
  'splitVote',
  'nullifiesAfterRestart',
];

/** `samples` traces of `steps` steps; quint counts a run from its seed. */
function simulate(main, { seed, samples, steps, invariant = INVARIANT, witnesses = [], more = [] }) {
  const args = ['run', model, `--main=${main}`, '--backend=typescript', '--verbosity=1', `--invariant=${invariant}`];
  args.push(`--seed=${seed}`, `--max-samples=${samples}`, `--max-steps=${steps}`, ...more);
  if (witnesses.length > 0) args.push('--witnesses', ...witnesses);
  const { status, stdout, stderr } = spawnSync(process.execPath, [quint, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return { status, output: stdout + stderr };
}

/** Each check is one line; true if all hold. `scale` multiplies the number of traces. */
function check(scale, seed) {
  let holds = true;
  const report = (ok, text, output) => {
    holds &&= ok;
    process.stdout.write(`${ok ? '✓' : '✗'} ${text}\n${ok ? '' : output}`);
  };
  for (const [main, samples, steps] of [
    ['voting4', 30, 70],
    ['voting5', 8, 60],
  ]) {
    const witnesses = main === 'voting4' ? WITNESSES : [];
    const { status, output } = simulate(main, { seed, samples: samples * scale, steps, witnesses });
    report(status === 0, `${main}: ${samples * scale} traces of ${steps} steps keep "${INVARIANT}"`, output);
    for (const witness of witnesses) {
      const times = Number(new RegExp(`^${witness} was witnessed in (\\d+)`, 'm').exec(output)?.[1] ?? 0);
      report(times > 0, `${main}: ${witness} in ${times} traces`, output);
    }
  }
  // A model in which nothing can go wrong shows nothing: with a quorum of 2f + 1 of 5 it must fork.
  const { status, output } = simulate('tooSmallQuorum', {
    seed,
    samples: 400,
    steps: 40,
    invariant: 'agreement',
    more: ['--step=equivocatingStep'],
  });
  const forks = status !== 0 && output.includes('[violation]');
  report(forks, 'tooSmallQuorum: a quorum of 2f + 1 of 5 forks', output);
  return holds;
}

/** ITF keeps integers as objects and names with their modules; plain ones are as valid, and a third as long. */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  if ('#bigint' in value) return Number(value['#bigint']);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key.split('::').at(-1), plain(inner)]));
}

/** One file for each trace, without the steps in which nothing happened. */
function traces(main, step, seed, count, steps) {
  const made = mkdtempSync(join(tmpdir(), 'squad-model-'));
  try {
    const more = [`--step=${step}`, `--out-itf=${join(made, 'trace-{seq}.json')}`, `--n-traces=${count}`];
    const { status, output } = simulate(main, { seed, samples: count * 2, steps, more });
    if (status !== 0) throw new Error(output);
    for (const [i, file] of readdirSync(made).sort().entries()) {
      const { vars, states } = plain(JSON.parse(readFileSync(join(made, file), 'utf8')));
      const moved = states.filter(({ last }) => last.name !== 'idle');
      const meta = { format: 'ITF', source: 'voting.qnt', main, step, seed, steps, trace: i };
      const name = `${main}-${step}-${seed}-${i}.itf.json`;
      const text = JSON.stringify({ '#meta': meta, vars: vars.map((name) => name.split('::').at(-1)), states: moved });
      writeFileSync(join(folder, 'traces', name), `${text}\n`);
      process.stdout.write(`${name}: ${moved.length} states\n`);
    }
  } finally {
    rmSync(made, { recursive: true });
  }
}

const [task = 'check', ...args] = process.argv.slice(2);
if (task === 'check') {
  const [scale = 1, seed = 1] = args.map(Number);
  process.exitCode = check(scale, seed) ? 0 : 1;
} else if (task === 'traces') {
  rmSync(join(folder, 'traces'), { recursive: true, force: true });
  mkdirSync(join(folder, 'traces'));
  traces('voting4', 'step', 7, 2, 90);
  traces('voting4', 'stormyStep', 7, 4, 90);
  traces('voting5', 'stormyStep', 7, 2, 70);
} else {
  process.stderr.write('node spec/run.mjs check [times as many traces] [seed] | traces\n');
  process.exitCode = 1;
}
