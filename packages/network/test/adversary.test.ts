/**
 * Peers that do what no honest peer does, over real sockets: a bare libp2p node with or without a validator's key. After
 * each, the node under attack still serves an honest validator.
 */

import { connect } from 'node:net';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { identify } from '@libp2p/identify';
import type { Connection, Libp2p, StreamHandler } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { tls } from '@libp2p/tls';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeFrame } from '../src/framing.ts';
import { DEFAULT_NETWORK_LIMITS, type NetworkLimits, protocolNames } from '../src/index.ts';
import { closing, flood, gossipRpc, malformed, names, socketClosing, throwAt, trySend, usable } from './attacks.ts';
import { Cluster, eventually, libp2pImplementation, type Node, numbered, seedOf } from './cluster.ts';
import { random } from './random.ts';

const GOSSIP = '/meshsub/1.2.0';

describe('under attack', () => {
  let cluster: Cluster;
  let attackers: Libp2p[] = [];
  afterEach(async () => {
    await Promise.all([cluster.stop(), ...attackers.map((attacker) => attacker.stop())]);
    attackers = [];
  });

  /** Validators 0 and 1 run; 2 is in the genesis file and its key is the attacker's. */
  async function victims(limits: Partial<NetworkLimits> = {}): Promise<[Node, Node]> {
    cluster = await Cluster.create(libp2pImplementation, 3);
    for (const index of [0, 1]) {
      cluster.nodes.push(await cluster.node(index, { maxConnectionsPerAddress: 40, ...limits }));
    }
    await Promise.all(cluster.nodes.map(({ network }) => network.start()));
    const [victim, honest] = cluster.nodes as [Node, Node];
    await victim.journal.until('the honest peer', () => victim.network.connectedValidators.includes(1));
    await honest.journal.until('the honest peer', () => honest.network.connectedValidators.includes(0));
    return [victim, honest];
  }

  /** A bare libp2p node that accepts every stream it is offered on the validator protocols and says nothing. */
  async function attacker(name: string, onChannel: StreamHandler = () => {}): Promise<Libp2p> {
    const node = await createLibp2p({
      privateKey: await generateKeyPairFromSeed('Ed25519', seedOf(name)),
      transports: [tcp()],
      connectionEncrypters: [tls()],
      streamMuxers: [yamux()],
      services: { identify: identify() },
      connectionMonitor: { enabled: false },
    });
    for (const protocol of Object.values(names.channels)) await node.handle(protocol, onChannel);
    attackers.push(node);
    return node;
  }

  function addressOf(node: Node) {
    return multiaddr(node.network.addresses[0]!);
  }

  async function expectServed([victim, honest]: readonly [Node, Node]): Promise<void> {
    const before = victim.journal.frames.length;
    honest.network.send(0, 'consensus', Uint8Array.of(1, 2, 3));
    await victim.journal.until('an honest frame', () =>
      victim.journal.frames.slice(before).some(({ from }) => from === 1),
    );
    expect(await honest.network.request(0, 'block', Uint8Array.of(9))).toEqual(Uint8Array.of(9));
  }

  it('reads nothing from a stranger on the validator protocols, and refuses it when it goes on', async () => {
    const nodes = await victims();
    const [victim] = nodes;
    const stranger = await attacker('stranger');
    const connection = await stranger.dial(addressOf(victim));
    for (let i = 0; i < DEFAULT_NETWORK_LIMITS.maxStrikes; i++) {
      const protocol = i % 2 === 0 ? names.channels.consensus : names.channels.data;
      // The reset may come before or after the stream is agreed on.
      const stream = await connection.newStream(protocol).catch(() => undefined);
      if (stream !== undefined) trySend(stream, encodeFrame(Uint8Array.of(6, 6, 6)));
      await eventually('struck', () => victim.network.statistics().refusals.notValidator === i + 1);
    }
    await eventually('closed', () => connection.status !== 'open');
    expect(await usable(stranger, victim)).toBe(false);
    expect(victim.journal.frames.filter(({ frame }) => frame[0] === 6)).toEqual([]);
    expect(victim.network.statistics().refusals.notValidator).toBe(DEFAULT_NETWORK_LIMITS.maxStrikes);
    await expectServed(nodes);
  });

  it('reads nothing from a validator of another set that it knows, and holds nothing against it', async () => {
    cluster = await Cluster.create(libp2pImplementation, 3);
    const behind = await cluster.node(0, {}, [0, 1], [2]);
    cluster.nodes.push(behind);
    await behind.network.start();
    const ahead = await attacker('validator 2');
    const connection = await ahead.dial(addressOf(behind));
    for (let i = 0; i <= DEFAULT_NETWORK_LIMITS.maxStrikes; i++) {
      const stream = await connection.newStream(names.channels.consensus).catch(() => undefined);
      if (stream !== undefined) await closing(stream);
    }
    expect(connection.status).toBe('open');
    expect(behind.network.formerValidators).toEqual([ahead.peerId.toString()]);
    expect([behind.journal.frames, behind.network.statistics().refusals.notValidator]).toEqual([[], 0]);
  });

  it('has nothing to say to a node of another network', async () => {
    const nodes = await victims();
    const other = await attacker('validator 2');
    const connection = await other.dial(addressOf(nodes[0]));
    const foreign = protocolNames(new Uint8Array(32).fill(1));
    for (const protocol of [...Object.values(foreign.channels), ...Object.values(foreign.requests), foreign.feed]) {
      await expect(connection.newStream(protocol)).rejects.toMatchObject({ name: 'UnsupportedProtocolError' });
    }
    await expectServed(nodes);
  });

  it('disconnects and refuses a validator whose frame is too long, and lets it back in later', async () => {
    const nodes = await victims({ refusalMs: 500 });
    const [victim] = nodes;
    const attacking = await attacker('validator 2');
    for (const channel of ['consensus', 'data'] as const) {
      const limit =
        channel === 'consensus'
          ? DEFAULT_NETWORK_LIMITS.maxConsensusFrameBytes
          : DEFAULT_NETWORK_LIMITS.maxDataFrameBytes;
      const connection = await attacking.dial(addressOf(victim));
      const stream = await connection.newStream(names.channels[channel]);
      stream.send(encodeFrame(new Uint8Array(limit).fill(8)));
      await victim.journal.until('a frame at the limit', () => victim.journal.framesOn(channel).length > 0);
      stream.send(encodeFrame(new Uint8Array(limit + 1)).subarray(0, 4));
      await eventually('closed', () => connection.status !== 'open');
      expect(await usable(attacking, victim)).toBe(false);
      await eventually('back in', () => usable(attacking, victim));
    }
    expect(victim.network.statistics().refusals.frameTooLarge).toBe(2);
    expect(victim.journal.frames).toHaveLength(2);
    await expectServed(nodes);
  });

  it('outlives 64 malformed inputs on each protocol', async () => {
    const nodes = await victims({
      refusalMs: 1,
      maxStrikes: 1e9,
      requestTimeoutMs: 400,
      maxNewConnectionsPerSecondPerAddress: 1e6,
    });
    const [victim] = nodes;
    const protocols = [...Object.values(names.channels), ...Object.values(names.requests), names.feed, GOSSIP];
    let inputs = 0;
    for (const [i, protocol] of protocols.entries()) {
      const attacking = await attacker('validator 2');
      const draw = random(100 + i);
      for (let round = 0; round < 16; round++) {
        const attempts = Array.from({ length: 4 }, () => throwAt(attacking, victim, protocol, malformed(draw)));
        inputs += (await Promise.all(attempts)).length;
      }
      await attacking.stop();
    }
    expect(inputs).toBe(64 * protocols.length);
    await expectServed(nodes);
  });

  it('slows a validator that floods to its rate, and hears the others meanwhile', async () => {
    const rate = { frames: { perSecond: 500, burst: 500 }, bytes: { perSecond: 1e6, burst: 1e6 } };
    const nodes = await victims({ consensusRate: rate, dataRate: rate });
    const [victim] = nodes;
    const connection = await (await attacker('validator 2')).dial(addressOf(victim));
    const streams = await Promise.all(Object.values(names.channels).map((protocol) => connection.newStream(protocol)));
    const before = process.memoryUsage();
    const startedAt = Date.now();
    const body = encodeFrame(new Uint8Array(100_000));
    const stop = flood(streams, () => body);
    await eventually('paused', () => victim.network.statistics().readsPaused > 2);
    for (let i = 0; i < 5; i++) await expectServed(nodes);
    const offered = stop();
    const { data, consensus } = victim.network.statistics().channels;
    const seconds = (Date.now() - startedAt) / 1000;
    const window = DEFAULT_NETWORK_LIMITS.maxStreamWindowBytes;
    expect(data.bytesReceived + consensus.bytesReceived).toBeLessThan(2 * (1e6 + seconds * 1e6 + 2 * window));
    expect(offered).toBeGreaterThan(2e6);
    expect(connection.status).toBe('open');
    expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(64e6);
  });

  it("refuses requests beyond an edge peer's rate, then the peer", async () => {
    const rate = { frames: { perSecond: 1, burst: 10 }, bytes: { perSecond: 1e6, burst: 1e6 } };
    const nodes = await victims({ edgeRequestRate: rate });
    const [victim] = nodes;
    const stranger = await attacker('stranger');
    const connection = await stranger.dial(addressOf(victim));
    for (let i = 0; i < 20 && connection.status === 'open'; i++) {
      await throwAt(stranger, victim, names.requests.block, Uint8Array.of(1, 7));
    }
    await eventually('refused', () => connection.status !== 'open');
    const { refusals, requestsAnswered } = victim.network.statistics();
    expect(refusals.rate).toBe(DEFAULT_NETWORK_LIMITS.maxStrikes);
    expect(requestsAnswered).toBe(10);
    await expectServed(nodes);
  });

  it('gives up on requests that never come whole, and on streams beyond their number', async () => {
    const nodes = await victims({ requestTimeoutMs: 300, maxStrikes: 1e9, maxRequestsInFlightPerPeer: 4 });
    const [victim] = nodes;
    const connection = await (await attacker('stranger')).dial(addressOf(victim));
    const halfOpen: Promise<void>[] = [];
    for (const protocol of Object.values(names.requests)) {
      for (let i = 0; i < 4; i++) {
        const stream = await connection.newStream(protocol);
        halfOpen.push(closing(stream));
        // Says that 100 bytes follow, and sends one of them.
        if (i % 2 === 0) trySend(stream, Uint8Array.of(100, 1));
      }
    }
    await expectServed(nodes);
    await Promise.all(halfOpen);
    const { refusals } = victim.network.statistics();
    expect(refusals.tooManyRequests).toBe(4 * (Object.values(names.requests).length - 1));
    expect(refusals.requestInvalid).toBe(4);
  });

  it('serves a bounded number of feeds to a peer, and closes one that sends too much', async () => {
    const nodes = await victims({ maxFeedsPerPeer: 2, maxStrikes: 1e9 });
    const [victim] = nodes;
    const connection = await (await attacker('stranger')).dial(addressOf(victim));
    const streams = [await connection.newStream(names.feed), await connection.newStream(names.feed)];
    await eventually('two feeds', () => victim.network.statistics().feedsOpen === 2);
    await closing(await connection.newStream(names.feed));
    expect(victim.network.statistics()).toMatchObject({ feedsOpen: 2, refusals: { tooManyFeeds: 1 } });
    streams[0]!.send(encodeFrame(new Uint8Array(DEFAULT_NETWORK_LIMITS.maxFeedRequestBytes + 1)));
    await eventually('closed', () => connection.status !== 'open');
    await eventually('no feeds', () => victim.network.statistics().feedsOpen === 0);
    await expectServed(nodes);
  });

  it('keeps places for validators when strangers take all theirs', async () => {
    const nodes = await victims({ maxEdgePeers: 2 });
    const [victim] = nodes;
    const usableBy = async (name: string) => usable(await attacker(name), victim);
    expect(await usableBy('a')).toBe(true);
    expect(await usableBy('b')).toBe(true);
    expect(await usableBy('c')).toBe(false);
    expect(await usableBy('validator 2')).toBe(true);
    expect(victim.network.statistics().refusals.tooManyConnections).toBeGreaterThan(0);
    await expectServed(nodes);
  });

  it('reads gossip from a peer that floods no faster than its rate', async () => {
    const rate = { frames: { perSecond: 1e6, burst: 1e6 }, bytes: { perSecond: 50_000, burst: 50_000 } };
    // The honest peer asks all the time: that many requests are not what is limited here.
    const requests = { frames: { perSecond: 1e6, burst: 1e6 }, bytes: { perSecond: 1e9, burst: 1e9 } };
    const nodes = await victims({
      gossipRate: rate,
      validatorRequestRate: requests,
      maxStreamWindowBytes: 256 * 1024,
    });
    const [victim] = nodes;
    const connection = await (await attacker('stranger')).dial(addressOf(victim));
    const stream = await connection.newStream(GOSSIP);
    const startedAt = Date.now();
    let number = 0;
    const stop = flood([stream], () => gossipRpc(numbered(number++, 1_000)));
    await victim.journal.until('messages', () => victim.journal.gossip.length > 50);
    while (Date.now() < startedAt + 1_000) await expectServed(nodes);
    stop();
    // What is in flight when the reading stops is one window of the stream, twice as it opens again.
    const allowed = 50_000 * (1 + (Date.now() - startedAt) / 1_000) + 2 * 256 * 1024;
    expect(victim.journal.gossip.length * 1_000).toBeLessThan(allowed);
    expect(number * 1_000).toBeGreaterThan(victim.journal.gossip.length * 1_000);
  });

  it('moves its channels to the connection on which a validator opens its own anew', async () => {
    const nodes = await victims();
    const [victim] = nodes;
    const channelsOn: Connection[] = [];
    const returning = await attacker('validator 2', (_stream, connection) => void channelsOn.push(connection));
    const first = await returning.dial(addressOf(victim));
    await first.newStream(names.channels.consensus);
    const eventsOf2 = () => victim.journal.events.filter((event) => event.endsWith(' 2'));
    await victim.journal.until('a link', () => eventsOf2().length === 1);
    // As if the machine had restarted and no packet had said so: a new connection beside the old one.
    const second = await returning.dial(addressOf(victim), { force: true });
    await second.newStream(names.channels.consensus);
    await victim.journal.until('a new link', () => eventsOf2().length === 3);
    expect(channelsOn.map(({ id }) => id)).toEqual([first.id, first.id, second.id, second.id]);
    expect(eventsOf2()).toEqual(['connected 2', 'disconnected 2', 'connected 2']);
    await expectServed(nodes);
  });

  it('closes a connection on which a probe is not answered, and gives a busy peer all of its time before', async () => {
    const probeTimeoutMs = 2_000;
    const nodes = await victims({ probeTimeoutMs });
    const silent = await attacker('silent');
    const probed = new Promise<number>((resolve) => {
      void silent.handle('/ipfs/ping/1.0.0', () => resolve(performance.now()));
    });
    const connection = await silent.dial(addressOf(nodes[0]));
    const closed = new Promise((resolve) => connection.addEventListener('close', resolve));
    const probedAtMs = await probed;
    await closed;
    // It was opened a little before it came here.
    expect(performance.now() - probedAtMs).toBeGreaterThan(0.6 * probeTimeoutMs);
    await expectServed(nodes);
  });

  it('bounds the connections of one peer: the newest stay', async () => {
    const nodes = await victims();
    const [victim] = nodes;
    const greedy = await attacker('stranger');
    const connections: Connection[] = [];
    for (let i = 0; i < 4; i++) connections.push(await greedy.dial(addressOf(victim), { force: true }));
    await eventually('the oldest closed', () => connections.filter(({ status }) => status === 'open').length === 2);
    expect(connections.map(({ status }) => status === 'open')).toEqual([false, false, true, true]);
    await expectServed(nodes);
  });

  it('bounds and drops sockets that never shake hands', async () => {
    const nodes = await victims({
      maxConnectionsPerAddress: 12,
      handshakeTimeoutMs: 300,
      maxNewConnectionsPerSecondPerAddress: 1e6,
    });
    const port = Number(/tcp\/(\d+)/.exec(nodes[0].network.addresses[0]!)![1]);
    const sockets = Array.from({ length: 30 }, () => connect(port, '127.0.0.1').on('error', () => {}));
    await Promise.all(sockets.map(socketClosing));
    expect(nodes[0].network.statistics().refusals.tooManyConnections).toBeGreaterThan(0);
    await expectServed(nodes);
  });

  it('rejects gossip that is too large, and refuses who goes on', async () => {
    const nodes = await victims({ maxGossipMessageBytes: 1_000 });
    const [victim] = nodes;
    // An edge node with a larger limit of its own: a message that gossipsub carries and the victim does not take.
    const edge = await cluster.edge('large', { validators: cluster.validators.slice(0, 1) });
    await eventually('somebody listens', async () => (await edge.publish(Uint8Array.of(0))) > 0);
    for (let i = 0; i < DEFAULT_NETWORK_LIMITS.maxStrikes; i++) await edge.publish(new Uint8Array(1_001).fill(i));
    await eventually('refused', () => edge.peerCount === 0);
    expect(victim.network.statistics().gossipReceived.reject).toBe(DEFAULT_NETWORK_LIMITS.maxStrikes);
    expect(victim.journal.gossip.every(({ message }) => message.length === 1)).toBe(true);
    await expectServed(nodes);
  });
});
