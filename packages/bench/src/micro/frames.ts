/** What a frame costs between two validators, and a gossiped message: over loopback with TLS, both ends in this process. */

import { createNodeKey } from '@squad/crypto';
import { type Channel, createNetwork, type Network } from '@squad/network';
import { freePorts } from '../systems/child.ts';
import type { MicroSuite } from './suite.ts';

const QUEUE_BYTES = 1_000_000;
/** As a node sends: some frames in a turn of the event loop, and then others have theirs. */
const FRAMES_PER_TURN = 8;
/** Between two attempts to publish before there is a mesh. */
const MESH_LOOK_MS = 50;
const UNLIMITED = { perSecond: 1e12, burst: 1e12 };
const LIMITS = {
  consensusRate: { frames: UNLIMITED, bytes: UNLIMITED },
  dataRate: { frames: UNLIMITED, bytes: UNLIMITED },
};

/** Wakes whoever waits for a condition, at each event of the networks. */
class Events {
  readonly #waiting = new Set<() => void>();

  happened(): void {
    for (const look of [...this.#waiting]) look();
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }
}

export async function frames(suite: MicroSuite): Promise<void> {
  const ports = await freePorts(2);
  const seeds = [1, 2].map((fill) => new Uint8Array(32).fill(fill));
  const validators = seeds.map((seed, index) => ({
    nodePublicKey: createNodeKey(seed).publicKey,
    addresses: [`/ip4/127.0.0.1/tcp/${ports[index]}`],
  }));
  let gossiped = 0;
  const events = new Events();
  const networks: Network[] = [];
  for (const [self, nodeKeySeed] of seeds.entries()) {
    networks.push(
      await createNetwork({
        self,
        nodeKeySeed,
        networkId: new Uint8Array(32).fill(3),
        validators,
        listen: validators[self]!.addresses,
        bootstrap: [],
        mdns: false,
        limits: LIMITS,
        handlers: {
          onFrame: () => events.happened(),
          onValidatorConnected: () => events.happened(),
          onValidatorDisconnected: () => {},
          onRequest: async (_from, _protocol, request) => request,
          onGossip: async () => {
            gossiped++;
            events.happened();
            return 'accept';
          },
          onFeed: () => {},
        },
      }),
    );
  }
  const [a, b] = networks as [Network, Network];
  try {
    await Promise.all(networks.map((network) => network.start()));
    await events.until(() => a.connectedValidators.length === 1 && b.connectedValidators.length === 1);
    await suite.time('frame-consensus-200', 1_000, () => send(events, a, b, 'consensus', 200, 1_000));
    await suite.time('frame-data-64k', 100, () => send(events, a, b, 'data', 65_536, 100));
    await suite.time('frame-data-512k', 20, () => send(events, a, b, 'data', 500_000, 20));
    await gossip(suite, events, a, () => gossiped);
  } finally {
    await Promise.all(networks.map((network) => network.stop()));
  }
}

async function send(
  events: Events,
  from: Network,
  to: Network,
  channel: Channel,
  byteLength: number,
  count: number,
): Promise<void> {
  const frame = new Uint8Array(byteLength).fill(7);
  const received = () => to.statistics().channels[channel].framesReceived;
  const target = received() + count;
  for (let sent = 0; sent < count; ) {
    for (let i = 0; i < FRAMES_PER_TURN && sent < count; i++, sent++) from.send(1, channel, frame);
    do await new Promise(setImmediate);
    while (from.statistics().channels[channel].queuedBytes > QUEUE_BYTES);
  }
  await events.until(() => received() >= target);
}

/** Ten at a time: the rate at which gossip is taken is limited. */
async function gossip(suite: MicroSuite, events: Events, from: Network, received: () => number): Promise<void> {
  const message = (index: number) => {
    const bytes = new Uint8Array(1024);
    new DataView(bytes.buffer).setUint32(0, index);
    return bytes;
  };
  let next = 0;
  // The mesh of the topic forms some heartbeats after the connection.
  for (let handed = 0; handed === 0; ) {
    handed = await from.publish(message(next++));
    await new Promise((resolve) => setTimeout(resolve, MESH_LOOK_MS));
  }
  await events.until(() => received() > 0);
  await suite.time('gossip-1k', 10, async () => {
    const target = received() + 10;
    for (let i = 0; i < 10; i++) await from.publish(message(next++));
    await events.until(() => received() >= target);
  });
}
