// The front door: `npm start`, `npm test` and the other scripts come here. Runs on any Node from 18 on and needs nothing
// installed: it brings Node 24 and pnpm from the npm registry into .toolchain/ when they are missing, installs and builds
// the workspace when something changed, and then runs the task on the right Node.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_VERSION = '24.21.0';
const NODE_MINIMUM = [22, 13];
const PNPM_VERSION = '12.21.0';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const toolchain = join(root, '.toolchain');
const platform = `${process.platform}-${process.arch}`;
const started = Date.now();

function say(text) {
  process.stderr.write(`\x1b[2m[${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s]\x1b[0m ${text}\n`);
}

function fail(text) {
  process.stderr.write(`\n${text}\n`);
  process.exit(1);
}

/** Runs a command in the repository; its output is shown only if it fails, unless `show` is set. */
function run(command, args, { show = false, env = process.env, what = command } = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    env,
    stdio: show ? 'inherit' : 'pipe',
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (result.error) fail(`${what} could not be started: ${result.error.message}`);
  if (result.status !== 0 && !show) {
    fail(`${what} failed (exit ${result.status ?? result.signal}):\n${result.stdout}${result.stderr}`);
  }
  return result.status ?? 1;
}

function nodeIsNewEnough() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor >= NODE_MINIMUM[1]);
}

/** Platform packages are installed directly: they need no install scripts, which newer npm and pnpm do not run. */
function installTool(name, version, file) {
  const path = join(toolchain, 'node_modules', name, file);
  const stamp = join(toolchain, 'node_modules', name, 'package.json');
  if (existsSync(path) && JSON.parse(readFileSync(stamp, 'utf8')).version === version) return path;
  say(`installing ${name} ${version} into .toolchain/ …`);
  mkdirSync(toolchain, { recursive: true });
  const manifest = join(toolchain, 'package.json');
  if (!existsSync(manifest)) writeFileSync(manifest, '{ "private": true }\n');
  run('npm', ['install', '--no-audit', '--no-fund', '--prefix', toolchain, `${name}@${version}`], {
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

function main() {
  const [task = 'help', ...args] = process.argv.slice(2);

  const node = nodeIsNewEnough() ? process.execPath : installTool(`node-${platform}`, NODE_VERSION, 'bin/node');
  const pnpm = installTool(`@pnpm/exe.${platform}`, PNPM_VERSION, 'pnpm');
  // Child processes (pnpm, vitest, the testnet's nodes) must find the same Node first.
  const env = { ...process.env, PATH: [dirname(node), dirname(pnpm), process.env.PATH].join(delimiter) };

  const manifests = ['package.json', 'pnpm-workspace.yaml', 'pnpm-lock.yaml'].filter((file) =>
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
    run(pnpm, ['install', process.env.SQUAD_LOCKFILE === 'update' ? '--no-frozen-lockfile' : '--frozen-lockfile'], {
      env,
      what: 'pnpm install',
    });
    if (process.env.SQUAD_LOCKFILE !== 'update') writeFileSync(stamp, wanted);
  }

  const bin = (name) => join(root, 'node_modules', name);
  const tsc = () => run(node, [bin('typescript/bin/tsc'), '-b'], { env, what: 'the TypeScript build' });
  const squad = (argv) =>
    run(node, ['--enable-source-maps', join(root, 'packages/cli/dist/src/main.js'), ...argv], { env, show: true });
  const biome = (argv) => run(node, [bin('@biomejs/biome/bin/biome'), ...argv], { env, show: true });
  const script = (file, argv = []) => run(node, [join(root, 'scripts', file), ...argv], { env, show: true });

  switch (task) {
    case 'start':
      say('building …');
      tsc();
      return squad(['testnet', ...args]);
    case 'squad':
      tsc();
      return squad(args);
    case 'build':
      return tsc();
    case 'format':
      return biome(['check', '--write', '.']);
    case 'check':
      say('types …');
      tsc();
      say('lint and format …');
      return biome(['check', '.']) || script('architecture.mjs');
    case 'unit':
    case 'e2e':
      tsc();
      return run(node, [bin('vitest/vitest.mjs'), 'run', '--project', task, ...args], { env, show: true });
    case 'sim':
      tsc();
      return run(node, [join(root, 'packages/consensus/dist/sim/main.js'), ...args], { env, show: true });
    case 'test':
      return script('test.mjs', args);
    default:
      fail(`unknown task "${task}". Tasks: start, test, squad, build, check, format, unit, e2e, sim.`);
  }
}

process.exitCode = main();
