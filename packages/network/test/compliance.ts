/** What every implementation of the network port does. Run by a test file of each. */

import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_NETWORK_LIMITS } from '../src/index.ts';
import { Cluster, eventually, type Implementation, type Node, numbered, numberOf } from './cluster.ts';

export function networkCompliance(implementation: Implementation): void {
  describe(`network port: ${implementation.name}`, () => {
    let cluster: Cluster;
    afterEach(() => cluster.stop());

    describe('validator channels', () => {
      it('connects all validators and reports each once, in ascending order', async () => {
        cluster = await Cluster.meshed(implementation, 4);
        for (const [index, { network, journal }] of cluster.nodes.entries()) {
          const others = [0, 1, 2, 3].filter((other) => other !== index);
          expect(network.connectedValidators).toEqual(others);
          expect(journal.events.toSorted()).toEqual(others.map((other) => `connected ${other}`));
          expect(network.peerCount).toBe(3);
        }
      });

      it('delivers a frame to one, and to all others but not to oneself', async () => {
        cluster = await Cluster.meshed(implementation, 3);
        const [a, b, c] = cluster.nodes;
        a!.network.send(1, 'consensus', Uint8Array.of(1));
        a!.network.send('all', 'data', Uint8Array.of(2));
        a!.network.send(0, 'consensus', Uint8Array.of(3));
        await b!.journal.until('two frames', () => b!.journal.frames.length === 2);
        await c!.journal.until('one frame', () => c!.journal.frames.length === 1);
        expect(b!.journal.frames).toContainEqual({ from: 0, channel: 'consensus', frame: Uint8Array.of(1) });
        expect(c!.journal.frames).toEqual([{ from: 0, channel: 'data', frame: Uint8Array.of(2) }]);
        expect(a!.journal.frames).toEqual([]);
      });

      it('keeps the order of each channel, over frames of all sizes', async () => {
        cluster = await Cluster.meshed(implementation, 2);
        const [a, b] = cluster.nodes;
        const sizes = [4, 100, 4096, 65_536, 5, 300_000, 4, DEFAULT_NETWORK_LIMITS.maxDataFrameBytes, 17, 4];
        for (let number = 0; number < 40; number++) {
          a!.network.send(1, 'consensus', numbered(number, 200));
          a!.network.send(1, 'data', numbered(number, sizes[number % sizes.length]!));
        }
        await b!.journal.until('80 frames', () => b!.journal.frames.length === 80);
        for (const channel of ['consensus', 'data'] as const) {
          expect(b!.journal.framesOn(channel).map(numberOf)).toEqual(Array.from({ length: 40 }, (_, i) => i));
        }
        expect(b!.journal.framesOn('data').map((frame) => frame.length)).toEqual(
          Array.from({ length: 40 }, (_, i) => sizes[i % sizes.length]),
        );
      });

      it('takes the frame as it is at the call: the caller may reuse its buffer', async () => {
        cluster = await Cluster.meshed(implementation, 2);
        const [a, b] = cluster.nodes;
        const buffer = Uint8Array.of(1, 2, 3);
        a!.network.send(1, 'consensus', buffer);
        buffer.fill(9);
        await b!.journal.until('a frame', () => b!.journal.frames.length === 1);
        expect(b!.journal.frames[0]!.frame).toEqual(Uint8Array.of(1, 2, 3));
      });

      it('throws for a frame that no receiver would take, and for an unknown validator', async () => {
        cluster = await Cluster.meshed(implementation, 2);
        const { network } = cluster.nodes[0]!;
        const tooLong = new Uint8Array(DEFAULT_NETWORK_LIMITS.maxConsensusFrameBytes + 1);
        expect(() => network.send(1, 'consensus', tooLong)).toThrow(expect.objectContaining({ code: 'FRAME_INVALID' }));
        expect(() => network.send(1, 'data', new Uint8Array())).toThrow(/0 bytes/);
        expect(() => network.send(7, 'data', Uint8Array.of(1))).toThrow(/no validator 7/);
      });

      it('drops and counts frames to a validator that is not connected', async () => {
        cluster = await Cluster.create(implementation, 2);
        cluster.nodes.push(await cluster.node(0));
        const { network } = cluster.nodes[0]!;
        await network.start();
        network.send(1, 'consensus', Uint8Array.of(1));
        network.send('all', 'data', Uint8Array.of(1));
        expect(network.statistics().channels.consensus.framesSent).toBe(0);
        expect(network.connectedValidators).toEqual([]);
      });

      it('drops the oldest frames when a queue is full, keeps the newest, and counts', async () => {
        cluster = await Cluster.meshed(implementation, 2, { maxConsensusQueueBytes: 10_000 });
        const [a, b] = cluster.nodes;
        for (let number = 0; number < 100; number++) a!.network.send(1, 'consensus', numbered(number, 1_000));
        await b!.journal.until('the newest', () => b!.journal.framesOn('consensus').map(numberOf).includes(99));
        const received = b!.journal.framesOn('consensus').map(numberOf);
        const { framesDropped, framesSent } = a!.network.statistics().channels.consensus;
        expect(framesSent).toBe(100);
        expect(framesDropped).toBe(100 - received.length);
        expect(received.length).toBeLessThanOrEqual(10);
        expect(received).toEqual(Array.from({ length: received.length }, (_, i) => 100 - received.length + i));
      });

      it('survives a handler that throws', async () => {
        cluster = await Cluster.meshed(implementation, 2);
        const [a, b] = cluster.nodes;
        const { changed } = b!.journal;
        b!.journal.changed = () => {
          b!.journal.changed = changed;
          throw new Error('the owner failed');
        };
        a!.network.send(1, 'consensus', Uint8Array.of(1));
        a!.network.send(1, 'consensus', Uint8Array.of(2));
        await b!.journal.until('the second frame', () => b!.journal.frames.length === 2);
      });
    });

    describe('a change of the validator set', () => {
      it('keeps the channels of those who stay, drops who leaves, takes in who joins, by their new places', async () => {
        cluster = await Cluster.create(implementation, 4);
        const before = [0, 1, 2];
        for (const index of [0, 1, 2, 3]) cluster.nodes.push(await cluster.node(index, {}, before));
        const [stays, leaves, staysToo, joins] = cluster.nodes as [Node, Node, Node, Node];
        await Promise.all(cluster.nodes.map(({ network }) => network.start()));
        for (const { network, journal } of [stays, leaves, staysToo]) {
          await journal.until('the first mesh', () => network.connectedValidators.length === 2);
        }
        const after = [3, 2, 0];
        for (const [index, { network, journal }] of cluster.nodes.entries()) {
          journal.events.length = 0;
          const { validators, self } = cluster.set(index, after);
          network.changeValidators(validators, self);
        }
        for (const { network, journal } of [stays, staysToo, joins]) {
          await journal.until('the second mesh', () => network.connectedValidators.length === 2);
        }
        // It follows from now on, and has no channels.
        await leaves.journal.until('who it follows', () => leaves.network.connectedValidators.length === 3);
        expect([...stays.journal.events].sort()).toEqual(['connected 0', 'connected 1']);
        expect([...joins.journal.events].sort()).toEqual(['connected 1', 'connected 2']);
        joins.network.send(2, 'consensus', Uint8Array.of(3));
        staysToo.network.send('all', 'consensus', Uint8Array.of(2));
        leaves.network.send('all', 'consensus', Uint8Array.of(1));
        await stays.journal.until('frames', () => stays.journal.frames.length === 2);
        const heard = stays.journal.frames.map(({ from, frame }) => [from, frame[0]]);
        expect(heard.sort()).toEqual([
          [0, 3],
          [1, 2],
        ]);
        await joins.journal.until('a frame', () => joins.journal.frames.length === 1);
        expect(joins.journal.frames[0]!.from).toBe(1);
        await expect(joins.network.request(2, 'block', Uint8Array.of(9))).resolves.toEqual(Uint8Array.of(9));
      });
    });

    describe('loss and return of a validator', () => {
      it('reports a validator that stops, and connects again with one that restarts', async () => {
        cluster = await Cluster.meshed(implementation, 3);
        const [a, b, c] = cluster.nodes;
        await c!.network.stop();
        await a!.journal.until('loss', () => a!.journal.events.includes('disconnected 2'));
        await b!.journal.until('loss', () => b!.journal.events.includes('disconnected 2'));
        expect(a!.network.connectedValidators).toEqual([1]);
        await expect(a!.network.request(2, 'block', Uint8Array.of(1))).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
        cluster.nodes[2] = await cluster.node(2);
        const startedAt = Date.now();
        await cluster.nodes[2].network.start();
        await cluster.mesh();
        expect(Date.now() - startedAt).toBeLessThan(2_000);
        a!.network.send(2, 'consensus', Uint8Array.of(5));
        const returned = cluster.nodes[2].journal;
        await returned.until('a frame', () => returned.frames.length === 1);
      });

      it('closes and refuses a peer on disconnect, and lets it back in later', async () => {
        cluster = await Cluster.meshed(implementation, 2, { refusalMs: 300 });
        const [a, b] = cluster.nodes;
        const refusedAt = Date.now();
        a!.network.disconnect(1, 'it misbehaved');
        await a!.journal.until('loss', () => a!.journal.events.includes('disconnected 1'));
        await b!.journal.until('loss', () => b!.journal.events.includes('disconnected 0'));
        await cluster.mesh();
        expect(Date.now() - refusedAt).toBeGreaterThanOrEqual(290);
        expect(a!.network.statistics().refusals.disconnected).toBe(1);
      });
    });

    describe('requests', () => {
      it('answers with what the other side gives, for answers up to the limit', async () => {
        cluster = await Cluster.meshed(implementation, 2);
        const [a, b] = cluster.nodes;
        const answers = [new Uint8Array(), Uint8Array.of(7), new Uint8Array(5_000_000).fill(3)];
        for (const [i, protocol] of (['batches', 'block', 'range'] as const).entries()) {
          const seen: unknown[] = [];
          b!.journal.onRequest = async (...request) => {
            seen.push(request);
            return answers[i]!;
          };
          const answer = await a!.network.request(1, protocol, Uint8Array.of(1, i));
          expect(Buffer.compare(answer, answers[i]!)).toBe(0);
          expect(seen).toEqual([[a!.network.peerId, protocol, Uint8Array.of(1, i)]]);
        }
        expect((await a!.network.request(1, 'block', new Uint8Array())).length).toBe(answers[2]!.length);
      });

      it('serves several at once', async () => {
        cluster = await Cluster.meshed(implementation, 2);
        const [a] = cluster.nodes;
        const numbers = Array.from({ length: 12 }, (_, i) => i);
        const answers = await Promise.all(numbers.map((i) => a!.network.request(1, 'batches', Uint8Array.of(i))));
        expect(answers).toEqual(numbers.map((i) => Uint8Array.of(i)));
      });

      it('rejects late, failed and oversized answers, each with its code', async () => {
        const limits = { requestTimeoutMs: 150, maxAnswerBytes: 1_000 };
        cluster = await Cluster.meshed(implementation, 2, limits);
        const [a, b] = cluster.nodes;
        b!.journal.onRequest = () => new Promise(() => {});
        await expect(a!.network.request(1, 'block', Uint8Array.of(1))).rejects.toMatchObject({
          code: 'REQUEST_TIMEOUT',
        });
        b!.journal.onRequest = () => Promise.reject(new Error('nothing held'));
        await expect(a!.network.request(1, 'block', Uint8Array.of(1))).rejects.toMatchObject({
          code: 'REQUEST_FAILED',
        });
        b!.journal.onRequest = async () => new Uint8Array(1_001);
        await expect(a!.network.request(1, 'block', Uint8Array.of(1))).rejects.toMatchObject({
          code: 'REQUEST_FAILED',
        });
        b!.journal.onRequest = async () => new Uint8Array(1_000);
        expect((await a!.network.request(1, 'block', Uint8Array.of(1))).length).toBe(1_000);
        expect(a!.network.statistics()).toMatchObject({ requestsSent: 4, requestsFailed: 3 });
      });

      it('rejects when the validator stops in the middle', async () => {
        cluster = await Cluster.meshed(implementation, 2);
        const [a, b] = cluster.nodes;
        const asked = new Promise<void>((resolve) => {
          b!.journal.onRequest = () => {
            resolve();
            return new Promise(() => {});
          };
        });
        const answer = a!.network.request(1, 'block', Uint8Array.of(1));
        const rejection = expect(answer).rejects.toMatchObject({ code: 'REQUEST_FAILED' });
        await asked;
        await b!.network.stop();
        await rejection;
      });
    });

    describe('gossip', () => {
      it("delivers an edge node's message to every validator exactly once", async () => {
        cluster = await Cluster.meshed(implementation, 4);
        const edge = await cluster.edge('a');
        await eventually('somebody listens', async () => (await edge.publish(Uint8Array.of(0))) > 0);
        await edge.publish(Uint8Array.of(1, 2, 3));
        expect(await edge.publish(Uint8Array.of(1, 2, 3))).toBe(0);
        for (const { journal } of cluster.nodes) {
          await journal.until('the message', () => journal.gossip.some(({ message }) => message.length === 3));
        }
        await edge.publish(Uint8Array.of(9, 9));
        for (const { journal } of cluster.nodes) {
          await journal.until('the last', () => journal.gossip.some(({ message }) => message.length === 2));
          expect(journal.gossip.filter(({ message }) => message.length === 3)).toHaveLength(1);
        }
      });

      it('forwards what is accepted and nothing else', async () => {
        cluster = await Cluster.meshed(implementation, 2);
        const [a, b] = cluster.nodes;
        await eventually('validators listen', async () => (await a!.network.publish(Uint8Array.of(0))) === 1);
        await b!.journal.until('the first', () => b!.journal.gossip.length === 1);
        // An edge node that knows one validator only: what the other sees came through that one.
        const edge = await cluster.edge('a', { validators: cluster.validators.slice(0, 1) });
        await eventually('somebody listens', async () => (await edge.publish(Uint8Array.of(1))) > 0);
        await b!.journal.until('forwarded', () => b!.journal.gossip.length === 2);
        const verdicts = [
          [2, 'ignore'],
          [3, 'reject'],
          [4, 'accept'],
        ] as const;
        for (const [byte, verdict] of verdicts) {
          a!.journal.verdict = verdict;
          await edge.publish(Uint8Array.of(byte));
          await a!.journal.until('judged', () => a!.journal.gossip.some(({ message }) => message[0] === byte));
        }
        await b!.journal.until('the accepted one', () => b!.journal.gossip.length === 3);
        expect(b!.journal.gossip.map(({ message }) => message[0])).toEqual([0, 1, 4]);
        expect(a!.network.statistics().gossipReceived).toEqual({ accept: 2, ignore: 1, reject: 1 });
      });

      it('reports that nobody listens, and refuses a message that is too large', async () => {
        cluster = await Cluster.create(implementation, 2);
        cluster.nodes.push(await cluster.node(0));
        const { network } = cluster.nodes[0]!;
        await network.start();
        expect(await network.publish(Uint8Array.of(1))).toBe(0);
        const tooLarge = new Uint8Array(DEFAULT_NETWORK_LIMITS.maxGossipMessageBytes + 1);
        await expect(network.publish(tooLarge)).rejects.toMatchObject({ code: 'GOSSIP_TOO_LARGE' });
      });
    });

    describe('feeds', () => {
      it('carries frames both ways in order, and ends on both sides', async () => {
        cluster = await Cluster.meshed(implementation, 2);
        const server = cluster.nodes[1]!.journal;
        const edge = await cluster.edge('a');
        const feed = await edge.openFeed(1);
        expect(feed.peer).toBe(cluster.nodes[1]!.network.peerId);
        await feed.send(numbered(1, 100));
        await feed.send(numbered(2, 100));
        await server.until('a feed', () => server.feeds.length === 1);
        const serving = server.feeds[0]!;
        expect(serving.peer).toBe(edge.peerId);
        const sizes = [10, 2_000_000, 5, 70_000];
        const sent = Promise.all(sizes.map((size, i) => serving.send(numbered(i, size))));
        expect((await take(serving.frames(), 2)).map(numberOf)).toEqual([1, 2]);
        expect((await take(feed.frames(), 4)).map((frame) => [numberOf(frame), frame.length])).toEqual([
          ...sizes.entries(),
        ]);
        await sent;
        expect(cluster.nodes[1]!.network.statistics().feedsOpen).toBe(1);
        serving.close();
        expect(await take(feed.frames(), 1)).toEqual([]);
        await expect(serving.send(Uint8Array.of(1))).rejects.toMatchObject({ code: 'FEED_CLOSED' });
        await eventually('closed', () => cluster.nodes[1]!.network.statistics().feedsOpen === 0);
      });

      it('makes a sender wait for a reader that does not read', async () => {
        cluster = await Cluster.meshed(implementation, 2, { maxFeedUnreadBytes: 200_000 });
        const server = cluster.nodes[0]!.journal;
        const edge = await cluster.edge('a', { limits: { maxFeedUnreadBytes: 200_000 } });
        const feed = await edge.openFeed(0);
        await server.until('a feed', () => server.feeds.length === 1);
        const serving = server.feeds[0]!;
        let sent = 0;
        const sending = (async () => {
          for (let i = 0; i < 100; i++) {
            await serving.send(numbered(i, 100_000));
            sent++;
          }
        })();
        const sentSoFar = () => sent;
        await eventually('the sender is stuck', () => stable(sentSoFar));
        expect(sent).toBeLessThan(60);
        expect((await take(feed.frames(), 100)).map(numberOf)).toEqual(Array.from({ length: 100 }, (_, i) => i));
        await sending;
      });

      it('ends when the sequencer stops, and cannot be opened to one that is away', async () => {
        cluster = await Cluster.meshed(implementation, 2);
        const edge = await cluster.edge('a');
        const feed = await edge.openFeed(1);
        const server = cluster.nodes[1]!;
        await server.journal.until('a feed', () => server.journal.feeds.length === 1);
        await server.network.stop();
        expect(await take(feed.frames(), 1)).toEqual([]);
        await expect(feed.send(Uint8Array.of(1))).rejects.toMatchObject({ code: 'FEED_CLOSED' });
        await expect(edge.openFeed(1)).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
      });

      it('lets a node that only follows reach validators and ask them, within what they allow it', async () => {
        cluster = await Cluster.meshed(implementation, 2, {
          edgeRequestRate: { frames: { perSecond: 100, burst: 10 }, bytes: { perSecond: 1e6, burst: 1e6 } },
        });
        const follower = await cluster.node(undefined, {
          edgeRequestRate: { frames: { perSecond: 100, burst: 10 }, bytes: { perSecond: 1e6, burst: 1e6 } },
        });
        cluster.nodes.push(follower);
        const [a, b] = cluster.nodes;
        a!.journal.onRequest = async (_from, _protocol, request) => request;
        const before = a!.journal.events.length;
        await follower.network.start();
        await follower.journal.until('both', () => follower.network.connectedValidators.length === 2);
        expect(follower.journal.events.toSorted()).toEqual(['connected 0', 'connected 1']);
        const asked = Array.from({ length: 40 }, (_, i) => Uint8Array.of(i));
        for (let i = 0; i < asked.length; i += 2) {
          const some = asked.slice(i, i + 2);
          expect(await Promise.all(some.map((one) => follower.network.request(0, 'range', one)))).toEqual(some);
        }
        follower.network.send('all', 'consensus', Uint8Array.of(1));
        follower.network.send(1, 'data', Uint8Array.of(1));
        await b!.network.stop();
        await follower.journal.until('one less', () => follower.network.connectedValidators.length === 1);
        // To validators it is a peer like any other: no channel, and nothing that it would be struck for.
        expect([b!.journal.frames, a!.journal.frames]).toEqual([[], []]);
        const connectedSince = a!.journal.events.slice(before).filter((event) => event.startsWith('connected'));
        expect(connectedSince).toEqual([]);
        const { refusals } = a!.network.statistics();
        expect(Object.values(refusals).every((count) => count === 0)).toBe(true);
      });

      it('answers requests of an edge node', async () => {
        cluster = await Cluster.meshed(implementation, 2);
        const edge = await cluster.edge('a');
        await eventually('connected', () => edge.peerCount > 0);
        expect(await edge.request(1, 'range', Uint8Array.of(4))).toEqual(Uint8Array.of(4));
      });
    });
  });
}

async function take(frames: AsyncIterable<Uint8Array>, count: number): Promise<Uint8Array[]> {
  const taken: Uint8Array[] = [];
  for await (const frame of frames) {
    taken.push(frame);
    if (taken.length === count) break;
  }
  return taken;
}

/** Whether a number stays the same for a while. */
async function stable(read: () => number): Promise<boolean> {
  const before = read();
  await new Promise((resolve) => setTimeout(resolve, 50));
  return read() === before;
}
