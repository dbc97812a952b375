/**
 * What machines do to processes: they are suspended, their clocks jump, their disk is full. The tests share one network
 * under load. Run by `npm run faults`.
 */

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { waitFor } from '../src/index.ts';
import { type Load, startLoad } from './load.ts';
import {
  expectAllWell,
  finalHeightOf,
  launch,
  type RunningNet,
  showLogsOnFailure,
  waitFinalHeight,
  waitReady,
  watchGaps,
} from './support.ts';

const CHAIN_ID = 901;
/** The longest time without a new final block that one validator may cause. */
const MAX_GAP_MS = 3_000;
const MIB = 1024 * 1024;

let net: RunningNet;
let load: Load;
const nonces = new Map<number, number>();

const nodes = () => net.testnet.nodes;
const node = (index: number) => nodes()[index]!;

beforeAll(async () => {
  process.env.NODE_OPTIONS = `--import=${fileURLToPath(new URL('./clock.mjs', import.meta.url))}`;
  net = await launch();
});
afterAll(() => net?.close());
beforeEach(async () => {
  showLogsOnFailure(net.testnet);
  load = startLoad(nodes(), CHAIN_ID, nonces);
  await waitFinalHeight(node(0), (await finalHeightOf(node(0))) + 5);
});
afterEach(() => load.stop());

it('a validator that is suspended does not hold up the others, and is back when it goes on', async () => {
  const { pid } = node(3).process;
  const watch = watchGaps(node(0));
  process.kill(pid!, 'SIGSTOP');
  try {
    await waitFinalHeight(node(0), (await finalHeightOf(node(0))) + 40, 60_000);
    expect(await watch.longestMs(), 'time without a new final block, ms').toBeLessThanOrEqual(MAX_GAP_MS);
  } finally {
    process.kill(pid!, 'SIGCONT');
  }
  await expectAllWell(net, load, [0, 1, 2]);
});

it('a clock that jumps by an hour, forth and back, harms nobody', async () => {
  const offsetFile = join(dirname(node(1).configPath), 'clock-offset-ms');
  for (const offsetMs of [3_600_000, -3_600_000, 0]) {
    writeFileSync(offsetFile, String(offsetMs));
    await waitFinalHeight(node(0), (await finalHeightOf(node(0))) + 15, 60_000);
  }
  await expectAllWell(net, load, [0, 1, 2, 3]);
});

it('a validator whose disk is full ends and says so; with room again it is back, and nothing accepted is lost', async (context) => {
  const { name, dataDirectory } = node(2);
  if (!mayMount()) return context.skip('needs the right to mount a small file system: run as root');
  await net.testnet.kill(name, 'SIGTERM');
  onSmallFileSystem(dataDirectory);
  try {
    await net.testnet.restart(name);
    await waitReady([node(2)]);
    const filler = join(dataDirectory, 'filler');
    const { bavail, bsize } = statfsSync(dataDirectory);
    writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - MIB)));
    await waitFor(`${name} ends`, async () => node(2).process.state === 'exited', 120_000, 200);
    expect(node(2).process.logTail(20)).toMatch(/ENOSPC|no space/i);
    await waitFinalHeight(node(0), (await finalHeightOf(node(0))) + 20, 60_000);
    rmSync(filler);
    await net.testnet.restart(name);
    await expectAllWell(net, load, [0, 1, 2, 3]);
  } finally {
    await load.stop();
    await net.testnet.kill(name, 'SIGTERM');
    execFileSync('umount', [dataDirectory]);
  }
});

function mayMount(): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'squad-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory], { stdio: 'ignore' });
    execFileSync('umount', [directory]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Puts what is in the folder on a small file system of its own. */
function onSmallFileSystem(directory: string): void {
  const copy = mkdtempSync(join(tmpdir(), 'squad-data-'));
  cpSync(directory, copy, { recursive: true });
  mkdirSync(directory, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256m', 'tmpfs', directory]);
  cpSync(copy, directory, { recursive: true });
  rmSync(copy, { recursive: true });
}
