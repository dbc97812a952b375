// The architecture's rules, checked on the sources: which package may import which, that the pure packages are pure, that
// what is imported is declared, and that no file names a path of the machine it was written on. Needs nothing installed.
// `node scripts/architecture.mjs` prints each check; test.mjs counts them.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** A package imports only packages of a lower layer. One that is not listed here fails the check. */
const LAYERS = {
  types: 0,
  crypto: 1,
  consensus: 2,
  storage: 2,
  network: 2,
  client: 2,
  service: 2,
  l1: 2,
  'receipt-page': 3,
  sequencer: 3,
  'rollup-node': 3,
  operator: 3,
  testnet: 4,
  simulator: 4,
  cli: 5,
  bench: 5,
  fuzz: 6,
};

const PURE = ['types', 'consensus', 'client'];
const NATIVE_ENTRIES = ['@squad/crypto/node', '@squad/crypto/native'];
/** Folders of pure packages with what must ask others: timers, clocks and the platform's fetch, but no node:*. */
const EDGES = { client: ['remote/'] };
/** Files of pure packages that only Node loads, by an export of their own. */
const NATIVE = { client: ['node.ts'] };
const MAX_FILE_LINES = 500;

/** What a pure package never says, with the reason. `only`: in these packages; otherwise in all pure ones. */
const IMPURE = [
  { pattern: /\bDate\s*\.\s*now\b/, why: 'reads a clock (take the time as a parameter)' },
  { pattern: /\bnew\s+Date\b/, why: 'reads a clock (take the time as a parameter)' },
  { pattern: /\bperformance\s*\./, why: 'reads a clock (take the time as a parameter)' },
  { pattern: /\bMath\s*\.\s*random\b/, why: 'draws a random number' },
  { pattern: /\bgetRandomValues\b|\brandomUUID\b|\brandomBytes\b/, why: 'draws a random number' },
  {
    pattern: /\bset(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/,
    why: 'sets a timer (return when to be woken)',
  },
  { pattern: /\bprocess\s*\.|\bBuffer\b|\bglobalThis\b/, why: 'uses what only Node or only a page has' },
  { pattern: /\bconsole\s*\./, why: 'prints' },
  { pattern: /\basync\b|\bawait\b|\bPromise\b/, why: 'waits: the core is synchronous', only: ['consensus'] },
];

/** Replaces comments (and, if asked, the text of strings) with spaces, so that rules see only code. */
export function stripped(source, { strings }) {
  return source.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g,
    (token) => {
      const comment = token.startsWith('/*') || token.startsWith('//');
      // A template may hold code in its holes: it is kept.
      if (comment || (strings && !token.startsWith('`'))) return token.replace(/[^\n]/g, ' ');
      return token;
    },
  );
}

/** The module specifiers that a source imports. */
export function importsOf(source) {
  const code = stripped(source, { strings: false });
  const imports = [];
  const statement = /(?:^|[;\n}])\s*(?:import|export)\s+(?:[^'"`;()]*?\sfrom\s*)?['"]([^'"]+)['"]/g;
  for (const match of code.matchAll(statement)) imports.push({ specifier: match[1] });
  for (const match of code.matchAll(/\bimport\s*\(\s*['"]([^'"]+)['"]/g)) {
    imports.push({ specifier: match[1] });
  }
  return imports;
}

const builtins = new Set(builtinModules);
const packageOf = (specifier) =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

/** Faults of one source file of a package, as text. `declared`: the names in its package.json. */
export function importFaults(name, file, source, declared) {
  const faults = [];
  for (const { specifier } of importsOf(source)) {
    if (specifier.startsWith('.')) {
      if (resolve('/p', dirname(file), specifier).split('/')[1] !== 'p') faults.push(`${specifier} leaves the package`);
      else if (!/\.(ts|json)$/.test(specifier)) faults.push(`${specifier} must be written with its .ts`);
      continue;
    }
    if (specifier.startsWith('node:') || builtins.has(specifier)) {
      if (PURE.includes(name)) faults.push(`${specifier}: ${name} is pure and runs in a browser`);
      continue;
    }
    const imported = packageOf(specifier);
    if (!declared.includes(imported)) faults.push(`${imported} is not among the dependencies in package.json`);
    if (!imported.startsWith('@squad/')) continue;
    const lower = imported.slice('@squad/'.length);
    if (!(lower in LAYERS)) faults.push(`${imported} has no layer in scripts/architecture.mjs`);
    else if (LAYERS[lower] >= LAYERS[name]) {
      faults.push(`${imported} (layer ${LAYERS[lower]}) is not below ${name} (layer ${LAYERS[name]})`);
    }
    const isNative = (NATIVE[name] ?? []).some((allowed) => file === `src/${allowed}`);
    if (PURE.includes(name) && NATIVE_ENTRIES.includes(specifier) && !isNative) {
      faults.push(`${specifier}: ${name} is pure and runs in a browser`);
    }
  }
  return faults;
}

export function purityFaults(name, source) {
  if (!PURE.includes(name)) return [];
  const lines = stripped(source, { strings: true }).split('\n');
  const faults = [];
  for (const { pattern, why, only } of IMPURE) {
    if (only && !only.includes(name)) continue;
    lines.forEach((line, index) => {
      const match = pattern.exec(line);
      if (match) faults.push(`line ${index + 1}: \`${match[0]}\` ${why}`);
    });
  }
  return faults;
}

/** Paths that only exist on the machine of whoever wrote them. */
export function machinePathFaults(text, paths) {
  const faults = [];
  for (const path of paths) if (text.includes(path)) faults.push(`names ${path}`);
  const home = /(?:^|[\s'"`(=:])(\/(?:home|Users)\/[A-Za-z][\w.-]*\/)/m.exec(text);
  if (home) faults.push(`names ${home[1]}`);
  return faults;
}

function filesUnder(directory, extension) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true })
    .map((file) => String(file).split(sep).join('/'))
    .filter((file) => file.endsWith(extension) && !file.includes('node_modules/') && !file.endsWith('.d.ts'))
    .sort();
}

/** Every check: `{ name, faults }`; a check without faults passed. */
export function checkArchitecture(root) {
  const checks = [];
  const packages = readdirSync(join(root, 'packages')).filter((name) =>
    existsSync(join(root, 'packages', name, 'package.json')),
  );
  for (const name of packages) checks.push(...checkPackage(root, name));
  checks.push({ name: 'LIMITS.md has every limit of the code', faults: checkLimits(root, packages) });
  checks.push({ name: 'no file names a path of this machine', faults: checkPaths(root) });
  checks.push({ name: 'the checks themselves see what they should', faults: selfTest() });
  return checks;
}

function checkPackage(root, name) {
  const folder = join(root, 'packages', name);
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const declared = Object.keys(manifest.dependencies ?? {});
  const sources = filesUnder(join(folder, 'src'), '.ts').filter((file) => !file.endsWith('.test.ts'));
  const directions = [];
  const purity = [];
  const shape = [];
  const imported = new Set();

  if (!(name in LAYERS)) directions.push('has no layer in scripts/architecture.mjs');
  for (const dependency of declared) {
    const lower = dependency.startsWith('@squad/') ? dependency.slice('@squad/'.length) : undefined;
    if (lower !== undefined && !(LAYERS[lower] < LAYERS[name])) {
      directions.push(`package.json: depends on ${dependency}, which is not in a lower layer`);
    }
  }
  for (const file of sources) {
    const source = readFileSync(join(folder, 'src', file), 'utf8');
    for (const { specifier } of importsOf(source)) imported.add(packageOf(specifier));
    directions.push(...importFaults(name, `src/${file}`, source, declared).map((fault) => `src/${file}: ${fault}`));
    if (!(EDGES[name] ?? []).some((folder) => file.startsWith(folder))) {
      purity.push(...purityFaults(name, source).map((fault) => `src/${file}: ${fault}`));
    }
    if (!file.endsWith('index.ts') && !/^(#![^\n]*\n)?\s*(\/\*\*|\/\/)/.test(source)) {
      shape.push(`src/${file}: begins without a comment that says what it is for`);
    }
    const lines = source.split('\n').length;
    if (lines > MAX_FILE_LINES) shape.push(`src/${file}: ${lines} lines, more than ${MAX_FILE_LINES}`);
  }
  for (const dependency of declared) {
    if (!imported.has(dependency)) shape.push(`package.json: ${dependency} is declared and never imported in src`);
  }
  if (!existsSync(join(folder, 'README.md'))) shape.push('has no README.md');

  const checks = [
    { name: `${name}: imports only declared packages of lower layers`, faults: directions },
    { name: `${name}: files say what they are for, dependencies are used`, faults: shape },
  ];
  if (PURE.includes(name)) checks.push({ name: `${name}: is pure`, faults: purity });
  return checks;
}

/** Every exported constant that is named as a limit stands in LIMITS.md by its name, and every name there is in the code. */
function checkLimits(root, packages) {
  const listed = new Set(
    [...readFileSync(join(root, 'LIMITS.md'), 'utf8').matchAll(/^\| `(\w+)` /gm)].map(([, name]) => name),
  );
  const known = new Set();
  const faults = [];
  for (const name of packages) {
    const folder = join(root, 'packages', name, 'src');
    for (const file of filesUnder(folder, '.ts')) {
      const source = readFileSync(join(folder, file), 'utf8');
      for (const [, keyword, constant] of source.matchAll(/^(export )?const ([A-Z][A-Z0-9_]+)\b/gm)) {
        known.add(constant);
        if (keyword && constant.startsWith('MAX_') && !listed.has(constant))
          faults.push(`${name}/src/${file}: ${constant} is not in LIMITS.md`);
      }
    }
  }
  for (const name of listed) if (!known.has(name)) faults.push(`LIMITS.md: ${name} is in no package`);
  return faults;
}

function checkPaths(root) {
  const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  // Outside a git checkout (a source archive) there is nothing to list, and nothing that a commit could carry away.
  if (listed.status !== 0) return [];
  const paths = [root, `${homedir()}/`].filter((path) => path.length > 2);
  const faults = [];
  for (const file of listed.stdout.split('\0').filter(Boolean)) {
    const path = join(root, file);
    if (!existsSync(path) || !statSync(path).isFile() || statSync(path).size > 4 << 20) continue;
    const bytes = readFileSync(path);
    if (bytes.includes(0)) continue;
    faults.push(...machinePathFaults(bytes.toString('utf8'), paths).map((fault) => `${file}: ${fault}`));
  }
  return faults;
}

/** A check that cannot fail checks nothing: each rule is shown a source that breaks it. */
function selfTest() {
  const expectations = [
    [
      'an upward import',
      importFaults('types', 'src/a.ts', "import { x } from '@squad/cli';", ['@squad/cli']).length,
      1,
    ],
    [
      'a sideways import',
      importFaults('storage', 'src/a.ts', "import { x } from '@squad/network';", ['@squad/network']).length,
      1,
    ],
    [
      'a downward import',
      importFaults('cli', 'src/a.ts', "import { x } from '@squad/types';", ['@squad/types']).length,
      0,
    ],
    ['an undeclared import', importFaults('cli', 'src/a.ts', "const a = await import('zod');", []).length, 1],
    ['a multi-line import', importFaults('cli', 'src/a.ts', "import {\n  a,\n  b,\n} from 'zod';", []).length, 1],
    ['a commented import', importFaults('cli', 'src/a.ts', "// import 'zod';", []).length, 0],
    ['a Node import in a pure package', importFaults('client', 'src/a.ts', "import fs from 'node:fs';", []).length, 1],
    [
      'an import that leaves the package',
      importFaults('cli', 'src/a.ts', "import '../../types/src/a.ts';", []).length,
      1,
    ],
    [
      'native crypto in what a browser loads',
      importFaults('client', 'src/a.ts', "import { a } from '@squad/crypto/native';", ['@squad/crypto']).length,
      1,
    ],
    [
      'native crypto in what only Node loads',
      importFaults('client', 'src/node.ts', "import { a } from '@squad/crypto/native';", ['@squad/crypto']).length,
      0,
    ],
    [
      'native crypto in a pure package',
      importFaults('consensus', 'src/a.ts', "import { a } from '@squad/crypto/node';", ['@squad/crypto']).length,
      1,
    ],
    ['a clock', purityFaults('types', 'const a = Date.now();').length, 1],
    ['a clock in a comment', purityFaults('types', '// Date.now()\nconst a = 1;').length, 0],
    ['a promise in the core', purityFaults('consensus', 'async function a() {}').length, 1],
    ['a promise in the client', purityFaults('client', 'async function a() {}').length, 0],
    ['a timer', purityFaults('client', 'setTimeout(a, 1);').length, 1],
    ['a machine path', machinePathFaults('see /somewhere/checkout/a', ['/somewhere/checkout']).length, 1],
    ['a home folder', machinePathFaults(`"/${'home'}/someone/a"`, []).length, 1],
  ];
  return expectations
    .filter(([, found, expected]) => (expected === 0 ? found !== 0 : found < expected))
    .map(([what, found, expected]) => `${what}: found ${found} faults, expected ${expected}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  let failed = 0;
  for (const { name, faults } of checkArchitecture(root)) {
    if (faults.length > 0) failed++;
    process.stdout.write(`${faults.length > 0 ? '✗' : '✓'} ${name}\n`);
    for (const fault of faults) process.stdout.write(`    ${fault}\n`);
  }
  if (failed > 0)
    process.stdout.write(`\n${failed} checks of ${relative(process.cwd(), root) || 'the architecture'} failed.\n`);
  process.exitCode = failed > 0 ? 1 : 0;
}
