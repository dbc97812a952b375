// The front door: `npm start`, `npm test` and the other scripts come here. Runs on any Node from 18 on and needs nothing
// installed: it brings Node 24 and pnpm from the npm registry into .toolchain/ when they are missing, installs and builds
// the workspace when something changed, and then runs the task on the right Node.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_VERSION = '24.21.0';
const NODE_MINIMUM = [22, 13];
const PNPM_VERSION = '12.21.0';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const toolchain = join(root, '.toolchain');
const platform = `${process.platform}-${process.arch}`;
const started = Date.now();
const PARENT_WATCH_INTERVAL_MS = 500;
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

function say(text) {
  process.stderr.write(`\x1b[2m[${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s]\x1b[0m ${text}\n`);
}

function fail(text) {
  process.stderr.write(`\n${text}\n`);
  process.exit(1);
}

/** Runs a command in the repository and waits. Its output is shown only if it fails; on a terminal its last line meanwhile. */
async function run(command, args, { env = process.env, what = command } = {}) {
  let output = '';
  const { code, signal, error } = await start(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] }, (chunk) => {
    output += chunk;
    showProgress(output);
  });
  showProgress('');
  if (error) fail(`${what} could not be started: ${error.message}`);
  if (code !== 0) fail(`${what} failed (${signal ?? `exit code ${code}`}):\n${output}`);
  return code;
}

/** Runs a command that has the terminal for itself. Resolves with its exit code. */
async function show(command, args, env) {
  const { code, signal, error } = await start(command, args, { env, stdio: 'inherit' });
  if (error) fail(`${command} could not be started: ${error.message}`);
  return code ?? 128 + (constants.signals[signal] ?? 0);
}

/**
 * This process waits for its child however often it is interrupted, and passes on what it is sent: the child decides when
 * it is over. (Ctrl-C in a terminal reaches both; npm passes signals only to this one.)
 */
function start(command, args, options, onOutput = () => {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, ...options });
    const forward = (signal) => child.kill(signal);
    for (const signal of FORWARDED_SIGNALS) process.on(signal, forward);
    // npm that is told to terminate ends at once, and its shell with it, without a word to this process.
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.ppid !== parent) child.kill('SIGTERM');
    }, PARENT_WATCH_INTERVAL_MS);
    const finish = (outcome) => {
      clearInterval(watch);
      for (const signal of FORWARDED_SIGNALS) process.off(signal, forward);
      resolve(outcome);
    };
    child.stdout?.setEncoding('utf8').on('data', onOutput);
    child.stderr?.setEncoding('utf8').on('data', onOutput);
    child.on('error', (error) => finish({ error }));
    child.on('close', (code, signal) => finish({ code, signal }));
  });
}

function showProgress(output) {
  if (!process.stderr.isTTY) return;
  const line =
    output
      .trimEnd()
      .split(/[\r\n]/)
      .at(-1) ?? '';
  // Control characters of other programs' progress bars would move the cursor.
  const plain = [...line].filter((character) => character >= ' ').join('');
  process.stderr.write(`\r\x1b[2m${plain.slice(0, (process.stderr.columns ?? 80) - 1)}\x1b[0m\x1b[K`);
}

function nodeIsNewEnough() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor >= NODE_MINIMUM[1]);
}

/** Platform packages are installed directly: they need no install scripts, which newer npm and pnpm do not run. */
async function installTool(name, version, file) {
  const path = join(toolchain, 'node_modules', name, file);
  const stamp = join(toolchain, 'node_modules', name, 'package.json');
  if (existsSync(path) && JSON.parse(readFileSync(stamp, 'utf8')).version === version) return path;
  say(`installing ${name} ${version} into .toolchain/ …`);
  mkdirSync(toolchain, { recursive: true });
  const manifest = join(toolchain, 'package.json');
  if (!existsSync(manifest)) writeFileSync(manifest, '{ "private": true }\n');
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefix', toolchain, `${name}@${version}`], {
    what: `npm install ${name}`,
  });
  if (!existsSync(path)) fail(`${name}@${version} was installed but has no ${file}. Delete .toolchain/ and try again.`);
  return path;
}

function digestOf(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

async function main() {
  const [task = 'help', ...args] = process.argv.slice(2);

  const node = nodeIsNewEnough() ? process.execPath : await installTool(`node-${platform}`, NODE_VERSION, 'bin/node');
  const pnpm = await installTool(`@pnpm/exe.${platform}`, PNPM_VERSION, 'pnpm');
  // Child processes (pnpm, vitest, the testnet's nodes) must find the same Node first.
  const env = { ...process.env, PATH: [dirname(node), dirname(pnpm), process.env.PATH].join(delimiter) };

  const manifests = ['package.json', 'pnpm-workspace.yaml', 'pnpm-lock.yaml', 'examples/package.json'].filter((file) =>
    existsSync(join(root, file)),
  );
  for (const name of readdirSync(join(root, 'packages')).sort()) {
    const file = `packages/${name}/package.json`;
    if (existsSync(join(root, file))) manifests.push(file);
  }
  const wanted = digestOf(manifests);
  const stamp = join(root, 'node_modules', '.installed');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    say('installing dependencies …');
    await run(
      pnpm,
      ['install', process.env.SQUAD_LOCKFILE === 'update' ? '--no-frozen-lockfile' : '--frozen-lockfile'],
      {
        env,
        what: 'pnpm install',
      },
    );
    if (process.env.SQUAD_LOCKFILE !== 'update') writeFileSync(stamp, wanted);
  }

  const bin = (name) => join(root, 'node_modules', name);
  const build = async () => {
    say('building …');
    return run(node, [bin('typescript/bin/tsc'), '-b'], { env, what: 'the TypeScript build' });
  };
  const bundle = () => {
    say('bundling …');
    return run(node, [join(root, 'scripts/bundle.mjs')], { env, what: 'the bundle' });
  };
  const squad = (argv) => show(node, [join(root, 'packages/cli/dist/bundle/main.js'), ...argv], env);
  const biome = (argv) => show(node, [bin('@biomejs/biome/bin/biome'), ...argv], env);
  const script = (file, argv = []) => show(node, [join(root, 'scripts', file), ...argv], env);

  switch (task) {
    case 'start':
      await build();
      await bundle();
      return squad(['testnet', ...args]);
    case 'squad':
      await build();
      await bundle();
      return squad(args);
    case 'example': {
      await build();
      const [file, ...rest] = args;
      const path = join(root, 'examples', file ?? '');
      if (!file?.endsWith('.mjs') || !existsSync(path)) {
        fail(`there is no example "${file ?? ''}". Try: npm run example -- evm/transfer.mjs (see examples/README.md)`);
      }
      return show(node, [path, ...rest], env);
    }
    case 'build':
      return build();
    case 'format':
      return biome(['check', '--write', '.']);
    case 'check':
      await build();
      say('lint and format …');
      return (await biome(['check', '.'])) || (await script('architecture.mjs'));
    case 'unit':
      await build();
      return show(node, [bin('vitest/vitest.mjs'), 'run', '--project', 'unit*', ...args], env);
    case 'coverage': {
      await build();
      const covered = ['packages/consensus', 'packages/storage'];
      return show(
        node,
        [bin('vitest/vitest.mjs'), 'run', '--project', 'unit*', '--coverage.enabled', ...covered, ...args],
        env,
      );
    }
    case 'e2e':
    case 'faults':
      await build();
      await bundle();
      return show(node, [bin('vitest/vitest.mjs'), 'run', '--project', task, ...args], env);
    case 'bench':
      await build();
      await bundle();
      return show(node, [join(root, 'packages/bench/dist/src/main.js'), ...args], env);
    case 'bench:catch-up':
      await build();
      await bundle();
      return show(node, [join(root, 'packages/bench/dist/src/catch-up-main.js'), ...args], env);
    case 'bench:rollups':
      await build();
      await bundle();
      return show(node, [join(root, 'packages/bench/dist/src/rollups-main.js'), ...args], env);
    case 'bench:regions':
      await build();
      return show(node, [join(root, 'packages/bench/dist/src/regions/main.js'), ...args], env);
    case 'bench:micro':
      await build();
      return show(node, [join(root, 'packages/bench/dist/src/micro/main.js'), ...args], env);
    case 'bench:profile':
      await build();
      return show(node, [join(root, 'packages/bench/dist/src/profile-main.js'), ...args], env);
    case 'sim':
      await build();
      return show(node, [join(root, 'packages/simulator/dist/src/main.js'), ...args], env);
    case 'sim:mutants':
      await build();
      return show(node, ['--conditions=source', join(root, 'packages/simulator/src/mutants/main.ts'), ...args], env);
    case 'fuzz':
      await build();
      return show(node, [join(root, 'packages/fuzz/dist/src/main.js'), ...args], env);
    case 'model':
      return show(node, [join(root, 'spec/run.mjs'), ...args], env);
    case 'test':
      return script('test.mjs', args);
    default:
      fail(
        `unknown task "${task}". Tasks: start, test, squad, example, build, check, format, unit, e2e, sim, sim:mutants, bench, bench:catch-up, bench:rollups, bench:regions, bench:micro, bench:profile, fuzz, model.`,
      );
  }
}

process.exitCode = await main();
