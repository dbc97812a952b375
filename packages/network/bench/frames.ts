/**
 * What a frame costs on the validator channels, over loopback with TLS, both ends in this process: CPU time and
 * throughput. Run: node --conditions=source bench/frames.ts
 */

import { Cluster, libp2pImplementation } from '../test/cluster.ts';

async function measure(cluster: Cluster, channel: 'consensus' | 'data', bytes: number, count: number): Promise<string> {
  const [a, b] = cluster.nodes;
  const frame = new Uint8Array(bytes).fill(7);
  const received = () => b!.network.statistics().channels[channel].framesReceived;
  const target = received() + count;
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  for (let sent = 0; sent < count; ) {
    // As a node sends: some frames in a turn of the event loop, and then others have theirs.
    for (let i = 0; i < 8 && sent < count; i++, sent++) a!.network.send(1, channel, frame);
    while (a!.network.statistics().channels[channel].queuedBytes > 1e6) await new Promise(setImmediate);
    await new Promise(setImmediate);
  }
  await b!.journal.until('all frames', () => received() === target, 60_000);
  const { user, system } = process.cpuUsage(cpu);
  const cpuMicroseconds = (user + system) / count;
  const seconds = (performance.now() - startedAt) / 1000;
  return `${channel} ${bytes} B: ${cpuMicroseconds.toFixed(0)} µs CPU a frame, ${((bytes * count) / seconds / 1e6).toFixed(1)} MB/s`;
}

const unlimited = { perSecond: 1e12, burst: 1e12 };
const rate = { frames: unlimited, bytes: unlimited };
const cluster = await Cluster.meshed(libp2pImplementation, 2, { consensusRate: rate, dataRate: rate });
for (let round = 0; round < 3; round++) {
  console.log(await measure(cluster, 'data', 65_536, 1_000));
  console.log(await measure(cluster, 'data', 500_000, 100));
  console.log(await measure(cluster, 'consensus', 200, 10_000));
}
await cluster.stop();
