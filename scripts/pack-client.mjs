// Makes the npm package @squad/client: the compiled client with the parts of @squad/types and @squad/crypto that it uses, so
// that whoever installs it needs no other package of this repository. `node scripts/pack-client.mjs OUT` after a build
// writes the folder OUT/package; `npm pack OUT/package` makes the tarball.
import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';
import { importsOf } from './architecture.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** What the package exports, by the file of the client that it is. */
const ENTRIES = { '.': 'index', './node': 'node' };
/** Only the entry for Node needs them; where they cannot be installed the other entry works. */
const OPTIONAL = ['@chainsafe/blst', 'hash-wasm'];

/** Where the code of @chainsafe/ssz stands in the package: it wants Node's Buffer, which a browser has not. */
const SSZ = { specifier: '@chainsafe/ssz', path: 'vendor/ssz.js' };

/** Writes the package's folder anew and returns its path. */
export function stageClient(out) {
  const stage = join(out, 'package');
  rmSync(stage, { recursive: true, force: true });
  const external = new Set();
  const done = new Set();
  for (const entry of Object.values(ENTRIES)) copyFrom({ name: 'client', file: `${entry}.js` }, stage, done, external);
  vendorSsz(stage);
  for (const wanted of sszDependencies()) external.add(wanted);
  const client = JSON.parse(readFileSync(join(root, 'packages/client/package.json'), 'utf8'));
  const { name, version, description, license, type } = client;
  const dependencies = Object.fromEntries([...external].sort().map((wanted) => [wanted, versionOf(wanted)]));
  const take = (isOptional) =>
    Object.fromEntries(Object.entries(dependencies).filter(([wanted]) => OPTIONAL.includes(wanted) === isOptional));
  const exported = Object.entries(ENTRIES).map(([path, entry]) => [
    path,
    { types: `./dist/client/${entry}.d.ts`, default: `./dist/client/${entry}.js` },
  ]);
  const manifest = {
    name,
    version,
    description,
    license,
    type,
    exports: Object.fromEntries(exported),
    // It chooses the hasher of SSZ when it is loaded.
    sideEffects: ['./dist/types/ssz.js'],
    files: ['dist'],
    engines: { node: '>=22.13' },
    dependencies: take(false),
    optionalDependencies: take(true),
  };
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  copyFileSync(join(root, 'packages/client/README.md'), join(stage, 'README.md'));
  copyFileSync(join(root, 'LICENSE'), join(stage, 'LICENSE'));
  return stage;
}

/** A module, its declarations, and all that either of them imports of this repository. */
function copyFrom({ name, file }, stage, done, external) {
  for (const path of [file, file.replace(/\.js$/, '.d.ts')]) {
    const key = `${name}/${path}`;
    if (done.has(key)) continue;
    done.add(key);
    const source = join(root, 'packages', name, 'dist/src', path);
    if (!existsSync(source)) throw new Error(`${relative(root, source)} is missing: build first`);
    let text = readFileSync(source, 'utf8');
    if (path === file) copySourceMap(source, stage, key);
    else text = text.replace(/^\/\/# sourceMappingURL=.*$/m, '');
    for (const { specifier } of importsOf(text)) {
      if (specifier.startsWith('node:')) {
        // Only the entry for Node leads to a file that imports one.
        if (name === 'crypto' && path.startsWith('node/')) continue;
        throw new Error(`${key} imports ${specifier}`);
      }
      const target = targetOf(specifier, name, path);
      // Declarations go on naming the library, which so remains a dependency.
      if (specifier === SSZ.specifier && path === file)
        text = renamed(text, specifier, relative(dirname(key), SSZ.path));
      if (target === undefined) {
        external.add(
          specifier
            .split('/')
            .slice(0, specifier.startsWith('@') ? 2 : 1)
            .join('/'),
        );
        continue;
      }
      text = renamed(text, specifier, relative(dirname(key), `${target.name}/${target.file}`));
      copyFrom(target, stage, done, external);
    }
    mkdirSync(dirname(join(stage, 'dist', key)), { recursive: true });
    writeFileSync(join(stage, 'dist', key), text);
  }
}

/** With the source in it: the package has no other copy, and whoever debugs sees what was written. */
function copySourceMap(source, stage, key) {
  const map = JSON.parse(readFileSync(`${source}.map`, 'utf8'));
  const sourcesContent = map.sources.map((name) => readFileSync(join(dirname(source), name), 'utf8'));
  const sources = [`squad:///${key.replace(/\.js$/, '.ts')}`];
  const path = join(stage, 'dist', `${key}.map`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify({ ...map, sourceRoot: '', sources, sourcesContent }));
}

function renamed(text, specifier, path) {
  const to = path.startsWith('.') ? path : `./${path}`;
  return [`'`, `"`].reduce((out, quote) => out.replaceAll(quote + specifier + quote, quote + to + quote), text);
}

/** The library in one file, with a Buffer of its own in place of the global one. */
function vendorSsz(stage) {
  buildSync({
    stdin: { contents: `export * from '${SSZ.specifier}';`, resolveDir: join(root, 'packages/types') },
    inject: [join(root, 'scripts/ssz-buffer.mjs')],
    outfile: join(stage, 'dist', SSZ.path),
    bundle: true,
    external: sszDependencies(),
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    legalComments: 'inline',
  });
}

/** Where a module of this repository is; undefined for one of a library. */
function targetOf(specifier, name, path) {
  if (specifier.startsWith('.')) {
    return { name, file: join(dirname(path), specifier).replace(/\.ts$/, '.js') };
  }
  const [scope, squad, ...rest] = specifier.split('/');
  if (scope !== '@squad') return undefined;
  const manifest = JSON.parse(readFileSync(join(root, 'packages', squad, 'package.json'), 'utf8'));
  const entry = manifest.exports[rest.length === 0 ? '.' : `./${rest.join('/')}`];
  return { name: squad, file: entry.default.replace('./dist/src/', '') };
}

/** The library's folder, as it is installed. */
const sszFolder = () => realpathSync(join(root, 'packages/types/node_modules', SSZ.specifier));

function sszDependencies() {
  return Object.keys(JSON.parse(readFileSync(join(sszFolder(), 'package.json'), 'utf8')).dependencies);
}

/** As the catalog of the workspace says; what only the library wants, as it is installed beside it. */
function versionOf(name) {
  const catalog = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8');
  const line = new RegExp(`^  "?${name}"?: (\\S+)`, 'm').exec(catalog);
  if (line) return line[1];
  return `^${JSON.parse(readFileSync(join(sszFolder(), '../..', name, 'package.json'), 'utf8')).version}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const out = process.argv[2];
  if (!out) throw new Error('usage: node scripts/pack-client.mjs OUT');
  process.stdout.write(`${stageClient(out)}\n`);
}
