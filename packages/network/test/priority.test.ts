/** Votes do not stand behind bodies: the delay of the consensus channel while the data channel is full. */

import { afterEach, describe, expect, it } from 'vitest';
import { Cluster, libp2pImplementation, numbered, numberOf } from './cluster.ts';

describe('two channels over one connection', () => {
  let cluster: Cluster;
  afterEach(() => cluster.stop());

  it('carries votes past megabytes of bodies that wait', async () => {
    cluster = await Cluster.meshed(libp2pImplementation, 2);
    const [a, b] = cluster.nodes;
    const bodies = 40;
    for (let i = 0; i < bodies; i++) a!.network.send(1, 'data', numbered(i, 500_000));
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      a!.network.send(1, 'consensus', numbered(i, 200));
    }
    await b!.journal.until('all votes', () => b!.journal.framesOn('consensus').length === 10);
    expect(b!.journal.framesOn('data').length).toBeLessThan(bodies);
    await b!.journal.until('all bodies', () => b!.journal.framesOn('data').length === bodies);
    expect(b!.journal.framesOn('consensus').map(numberOf)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(a!.network.statistics().channels.data.framesDropped).toBe(0);
  });
});
