// The whole suite, as `npm test` and CI run it: types, lint and format, architecture, unit tests, the model, end-to-end
// tests with real processes. Every stage runs even if one before it failed. The last line is plain: `N passed, N failed`.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkArchitecture } from './architecture.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const binary = (path) => join(root, 'node_modules', path);
/** A stage that takes longer hangs; it is stopped and counts as failed. */
const STAGE_TIMEOUT_MS = 10 * 60_000;

const total = { passed: 0, failed: 0, skipped: 0 };
const summary = [];
/** What failed, by name: said again at the end, where a log that was cut still has it. */
const failures = [];

/** Runs Node with arguments, its output passed on. Resolves with the exit code, or undefined if it had to be stopped. */
function node(args) {
  return new Promise((resolve) => {
    // One stream for both outputs keeps the last line last.
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', process.stdout, process.stdout] });
    const timer = setTimeout(() => child.kill('SIGKILL'), STAGE_TIMEOUT_MS);
    child.on('error', (error) => {
      process.stdout.write(`${error.message}\n`);
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve(code ?? undefined);
    });
  });
}

async function stage(name, work) {
  process.stdout.write(`\n── ${name} ${'─'.repeat(Math.max(0, 76 - name.length))}\n`);
  const started = performance.now();
  const { passed, failed, skipped = 0, names = [name] } = await work();
  if (failed > 0) failures.push(...names);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  summary.push({ name, passed, failed, skipped, seconds });
}

async function single(args) {
  const code = await node(args);
  if (code !== 0) process.stdout.write(code === undefined ? 'stopped: it took too long\n' : `exit code ${code}\n`);
  return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

function architecture() {
  let failed = 0;
  const checks = checkArchitecture(root);
  for (const { name, faults } of checks) {
    if (faults.length === 0) continue;
    failed++;
    process.stdout.write(`✗ ${name}\n${faults.map((fault) => `    ${fault}\n`).join('')}`);
  }
  process.stdout.write(`${checks.length - failed} of ${checks.length} checks hold\n`);
  return {
    passed: checks.length - failed,
    failed,
    names: checks.filter((c) => c.faults.length > 0).map((c) => c.name),
  };
}

/** One vitest project. A file that does not load, or an error outside any test, is a failure of its own. */
async function vitest(project, extra) {
  const folder = mkdtempSync(join(tmpdir(), 'squad-test-'));
  const report = join(folder, 'report.json');
  try {
    const code = await node([
      binary('vitest/vitest.mjs'),
      'run',
      '--project',
      project,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...extra,
    ]);
    if (!existsSync(report)) {
      process.stdout.write(
        `the ${project} tests wrote no report (${code === undefined ? 'stopped' : `exit ${code}`})\n`,
      );
      return { passed: 0, failed: 1 };
    }
    return counted(JSON.parse(readFileSync(report, 'utf8')), code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const firstLine = (text = '') => text.split('\n', 1)[0].slice(0, 300);

function counted(report, code) {
  let [passed, skipped] = [0, 0];
  const names = [];
  for (const file of report.testResults) {
    const before = names.length;
    const path = relative(root, file.name);
    for (const { status, fullName, failureMessages } of file.assertionResults) {
      if (status === 'passed') passed++;
      else if (status === 'failed') names.push(`${path}: ${fullName}\n    ${firstLine(failureMessages[0])}`);
      else skipped++;
    }
    if (file.status === 'failed' && names.length === before) names.push(`${path}\n    ${firstLine(file.message)}`);
  }
  if (names.length === 0 && (code !== 0 || passed === 0))
    names.push(`vitest: exit code ${code}, an error outside any test: see its output`);
  return { passed, failed: names.length, skipped, names };
}

/** What one stage alone needs to be made first, lest it tests old code. */
const NEEDS = {
  unit: ['types'],
  sim: ['types'],
  'sim-epochs': ['types'],
  'sim-l1': ['types'],
  'sim-node': ['types'],
  'sim-node-epochs': ['types'],
  bundle: ['types'],
  e2e: ['types', 'bundle'],
};
const simulator = join(root, 'packages/simulator/dist/src/main.js');
const only = process.argv[2];
const chosen = (name) => only === undefined || only === name || NEEDS[only]?.includes(name);
const stages = [
  ['types', () => single([binary('typescript/bin/tsc'), '-b'])],
  ['lint', () => single([binary('@biomejs/biome/bin/biome'), 'check', '.'])],
  ['architecture', architecture],
  ['unit', () => vitest('unit*', [])],
  ['model', () => single([join(root, 'spec/run.mjs'), 'check'])],
  // The campaigns of the simulator, and every schedule that ever failed.
  ['sim', () => single([simulator, '--seeds', '20000', '--complete'])],
  ['sim-epochs', () => single([simulator, '--mode', 'epochs', '--seeds', '400', '--complete', '--no-corpus'])],
  ['sim-l1', () => single([simulator, '--mode', 'l1', '--seeds', '100', '--no-corpus'])],
  ['sim-node', () => single([simulator, '--mode', 'node', '--seeds', '40', '--no-corpus'])],
  ['sim-node-epochs', () => single([simulator, '--mode', 'node-epochs', '--seeds', '5', '--no-corpus'])],
  ['bundle', () => single([join(root, 'scripts/bundle.mjs')])],
  ['e2e', () => vitest('e2e', [])],
].filter(([name]) => chosen(name));
if (stages.length === 0) {
  process.stdout.write(
    `unknown stage "${only}"; choose types, lint, architecture, unit, model, sim, sim-epochs, sim-l1, sim-node, sim-node-epochs, bundle or e2e, or none for all\n`,
  );
  process.exitCode = 1;
} else {
  for (const [name, work] of stages) await stage(name, work);
  process.stdout.write('\n');
  for (const { name, passed, failed, skipped, seconds } of summary) {
    const rest = skipped > 0 ? `, ${skipped} skipped` : '';
    process.stdout.write(`${name.padEnd(16)}${`${passed} passed, ${failed} failed${rest}`.padEnd(34)}${seconds} s\n`);
  }
  for (const name of failures) process.stdout.write(`✗ ${name}\n`);
  process.exitCode = total.failed > 0 ? 1 : 0;
  process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
}
