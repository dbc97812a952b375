/** One thread of a campaign: runs the schedules it is given, and tells after each few what they came to. */

import { parentPort, workerData } from 'node:worker_threads';
import { type Chunk, type ChunkResult, runChunk, type WorkerData } from './chunk.ts';

const { mode, options, current } = workerData as WorkerData;
const port = parentPort!;

port.on('message', (chunk: Chunk) => {
  runChunk(mode, options, chunk, (seed) => Atomics.store(current, 0, seed)).then(
    (result: ChunkResult) => port.postMessage(result),
    (error: unknown) => {
      throw error;
    },
  );
});
