// Puts the compiled program and all that it imports into a few files, packages/cli/dist/bundle/. A process of the testnet
// loads 1,600 modules otherwise, most of its time to start; five of them start at once. The files in dist/src stay what
// is published and debugged. Also fills Node's compile cache for the bundle, and makes the page that judges receipts.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(root, 'packages/cli/dist/bundle');

/** What the page that judges receipts is made of besides its program. */
const PAGE = ['packages/receipt-page/src/page.html', 'packages/receipt-page/src/page.css'];

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
  if (PAGE.some((file) => statSync(join(root, file)).mtimeMs > madeAt)) return false;
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

/** The page that judges receipts, in one file. Its policy lets it load nothing, and run nothing but its own script (and the WebAssembly in it). */
async function receiptPage() {
  const [markup, style] = PAGE.map((file) => readFileSync(join(root, file), 'utf8'));
  const { outputFiles } = await build({
    entryPoints: [join(root, 'packages/receipt-page/dist/src/main.js')],
    bundle: true,
    minify: true,
    charset: 'ascii',
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    inject: [join(root, 'scripts/ssz-buffer.mjs')],
    write: false,
    logLevel: 'warning',
  });
  const script = outputFiles[0].text.replaceAll('</script', '<\\/script');
  const hashOf = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const policy = `default-src 'none'; base-uri 'none'; form-action 'none'; script-src ${hashOf(script)} 'wasm-unsafe-eval'; style-src ${hashOf(style)}`;
  const page = [
    ['<meta charset="utf-8">', `<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">`],
    ['<link rel="stylesheet" href="page.css">', `<style>${style}</style>`],
    ['<script src="main.js"></script>', `<script>${script}</script>`],
  ].reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`${PAGE[0]} has no ${from}`);
    return text.replace(from, () => to);
  }, markup);
  writeFileSync(join(output, 'receipt-page.html'), page);
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

if (!isFresh()) {
  const chunks = await bundle();
  await receiptPage();
  warmUp(chunks);
}
