// Puts the compiled program and all that it imports into a few files, packages/cli/dist/bundle/. A process of the testnet
// loads 1,600 modules otherwise, most of its time to start; five of them start at once. The files in dist/src stay what
// is published and debugged. Also fills Node's compile cache for the bundle.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(root, 'packages/cli/dist/bundle');

/** Native modules, and those that look for files beside them: they stay where they are installed. */
const KEPT_OUTSIDE = /^(@chainsafe\/(blst|hashtree)|classic-level|secp256k1|pino)$/;

const keepOutside = {
  name: 'keep-outside',
  setup({ onResolve, resolve }) {
    onResolve({ filter: KEPT_OUTSIDE }, async ({ path, kind, resolveDir, pluginData }) => {
      if (pluginData === 'asked') return undefined;
      const found = await resolve(path, { kind, resolveDir, pluginData: 'asked' });
      if (found.errors.length > 0) return found;
      return { path: `./${relative(output, found.path).replaceAll('\\', '/')}`, external: true };
    });
  },
};

/** A package's version is read from the package.json above its files: in the bundle it is written in. */
const versions = {
  name: 'versions',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]dist[\\/]src[\\/]version\.js$/ }, ({ path }) => {
      const { version } = JSON.parse(readFileSync(join(dirname(path), '../../package.json'), 'utf8'));
      return { contents: `export const readVersion = () => ${JSON.stringify(version)};` };
    });
  },
};

/** The compiler touches a package's build info whenever it writes any of its files. */
function isFresh() {
  const made = join(output, 'main.js');
  if (!existsSync(made)) return false;
  const madeAt = statSync(made).mtimeMs;
  return readdirSync(join(root, 'packages')).every((name) => {
    const info = join(root, 'packages', name, 'dist/tsconfig.tsbuildinfo');
    return !existsSync(info) || statSync(info).mtimeMs < madeAt;
  });
}

/** A network that runs may still load a chunk of the bundle that it was started from: those go only after a day. */
function dropOldFiles() {
  if (!existsSync(output)) return;
  for (const file of readdirSync(output)) {
    if (Date.now() - statSync(join(output, file)).mtimeMs > 86_400_000) rmSync(join(output, file));
  }
}

async function bundle() {
  dropOldFiles();
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: {
      main: join(root, 'packages/cli/dist/src/main.js'),
      // The admission threads look for their program beside them.
      worker: join(root, 'packages/sequencer/dist/src/admission/worker.js'),
    },
    outdir: output,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    metafile: true,
    logLevel: 'warning',
    plugins: [keepOutside, versions],
    // CommonJS modules inside still ask for Node's own ones.
    banner: {
      js: "import { createRequire as $createRequire } from 'node:module'; const require = $createRequire(import.meta.url);",
    },
  });
  return Object.keys(metafile.outputs)
    .filter((file) => !/\/(main|worker)\.js$/.test(file))
    .map((file) => join(root, file));
}

/** Loads every chunk once, so that the first start finds compiled code. What does not load only costs that. */
function warmUp(chunks) {
  const source = `
    import { enableCompileCache, flushCompileCache } from 'node:module';
    enableCompileCache();
    for (const chunk of ${JSON.stringify(chunks)}) await import(chunk).catch(() => {});
    flushCompileCache();
    process.exit(0);`;
  spawnSync(process.execPath, ['--input-type=module', '--eval', source], { stdio: 'ignore', timeout: 30_000 });
}

if (!isFresh()) warmUp(await bundle());
