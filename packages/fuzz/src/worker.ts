/** Runs one target on a thread of its own: a decoder that never ends, or fills the memory, cannot take the driver along. */

import { parentPort, workerData } from 'node:worker_threads';
import { type RunOptions, run } from './run.ts';
import { findTarget } from './targets/index.ts';

const { name, options } = workerData as { name: string; options: RunOptions };
const target = findTarget(name)!;
const report = await run(target, { ...options, onProgress: (done) => parentPort!.postMessage({ done }) });
parentPort!.postMessage({ report });
