/** Test clusters: a few validators and edge nodes on one of the implementations, with what they received written down. */

import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { createServer } from 'node:net';
import type { ValidatorIndex } from '@squad/types';
import {
  type Channel,
  createEdgeNetwork,
  createNetwork,
  type EdgeNetwork,
  type EdgeNetworkConfig,
  type FeedStream,
  type GossipVerdict,
  MemoryHub,
  type Network,
  type NetworkConfig,
  type NetworkLimits,
  type NetworkValidator,
  type PeerId,
  type RequestProtocol,
} from '../src/index.ts';

export const NETWORK_ID = createHash('sha256').update('network').digest();

export interface Implementation {
  readonly name: string;
  createNetwork(config: NetworkConfig): Promise<Network>;
  createEdgeNetwork(config: EdgeNetworkConfig): Promise<EdgeNetwork>;
}

export const libp2pImplementation: Implementation = { name: 'libp2p', createNetwork, createEdgeNetwork };

export function memoryImplementation(hub = new MemoryHub()): Implementation {
  return {
    name: 'memory',
    createNetwork: async (config) => hub.createNetwork(config),
    createEdgeNetwork: async (config) => hub.createEdgeNetwork(config),
  };
}

/** Events of one node, and waiting for them. */
export class Journal {
  readonly frames: { from: ValidatorIndex; channel: Channel; frame: Uint8Array }[] = [];
  readonly gossip: { from: PeerId; message: Uint8Array }[] = [];
  readonly feeds: FeedStream[] = [];
  readonly events: string[] = [];
  onRequest: (from: PeerId, protocol: RequestProtocol, request: Uint8Array) => Promise<Uint8Array> = async (
    _from,
    _protocol,
    request,
  ) => request;
  verdict: GossipVerdict = 'accept';
  onFeed: (feed: FeedStream) => void = () => {};
  readonly #waiting = new Set<() => void>();

  changed(): void {
    for (const check of [...this.#waiting]) check();
  }

  /** Resolves when the condition holds, which is looked at after each event. */
  until(what: string, condition: () => boolean, timeoutMs = 10_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error) => {
        clearTimeout(timer);
        this.#waiting.delete(check);
        if (error === undefined) resolve();
        else reject(error);
      };
      const check = () => {
        if (condition()) settle();
      };
      const timer = setTimeout(() => settle(new Error(`did not come: ${what}`)), timeoutMs);
      this.#waiting.add(check);
      check();
    });
  }

  framesOn(channel: Channel): Uint8Array[] {
    return this.frames.filter((entry) => entry.channel === channel).map((entry) => entry.frame);
  }
}

export interface Node {
  readonly network: Network;
  readonly journal: Journal;
}

export function seedOf(name: string): Uint8Array {
  return createHash('sha256').update(`seed ${name}`).digest();
}

/** Raw Ed25519 public key of a seed, by node:crypto: not by the code under test. */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  return new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32));
}

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

export class Cluster {
  readonly implementation: Implementation;
  readonly validators: readonly NetworkValidator[];
  readonly nodes: Node[] = [];
  readonly #edges: EdgeNetwork[] = [];

  private constructor(implementation: Implementation, validators: readonly NetworkValidator[]) {
    this.implementation = implementation;
    this.validators = validators;
  }

  static async create(implementation: Implementation, size: number): Promise<Cluster> {
    const validators: NetworkValidator[] = [];
    for (let index = 0; index < size; index++) {
      const nodePublicKey = publicKeyOf(seedOf(`validator ${index}`));
      validators.push({ nodePublicKey, addresses: [`/ip4/127.0.0.1/tcp/${await freePort()}`] });
    }
    return new Cluster(implementation, validators);
  }

  /** A cluster whose validators are all connected. */
  static async meshed(implementation: Implementation, size: number, limits?: Partial<NetworkLimits>): Promise<Cluster> {
    const cluster = await Cluster.create(implementation, size);
    for (let index = 0; index < size; index++) cluster.nodes.push(await cluster.node(index, limits));
    await Promise.all(cluster.nodes.map(({ network }) => network.start()));
    await cluster.mesh();
    return cluster;
  }

  async mesh(): Promise<void> {
    const others = this.validators.length - 1;
    await Promise.all(
      this.nodes.map(({ network, journal }) =>
        journal.until('all validators connected', () => network.connectedValidators.length === others),
      ),
    );
  }

  /**
   * A validator's network, or that of a node that only follows; not started. `set`: the positions in `validators` of those
   * whom it takes for validators; `others`: of those whom it knows to be validators of another set.
   */
  async node(
    self: ValidatorIndex | undefined,
    limits: Partial<NetworkLimits> = {},
    set: readonly ValidatorIndex[] = [...this.validators.keys()],
    others: readonly ValidatorIndex[] = [],
  ): Promise<Node> {
    const journal = new Journal();
    const log = (event: string) => {
      journal.events.push(event);
      journal.changed();
    };
    const network = await this.implementation.createNetwork({
      nodeKeySeed: seedOf(`validator ${self}`),
      networkId: NETWORK_ID,
      ...(self === undefined ? { validators: this.validators, self } : this.set(self, set)),
      otherValidators: others.map((index) => this.validators[index]!),
      listen: self === undefined ? [] : [...this.validators[self]!.addresses],
      bootstrap: [],
      mdns: false,
      limits,
      handlers: {
        onFrame: (from, channel, frame) => {
          journal.frames.push({ from, channel, frame });
          journal.changed();
        },
        onValidatorConnected: (peer) => log(`connected ${peer}`),
        onValidatorDisconnected: (peer) => log(`disconnected ${peer}`),
        onRequest: (from, protocol, request) => journal.onRequest(from, protocol, request),
        onGossip: async (from, message) => {
          journal.gossip.push({ from, message });
          journal.changed();
          return journal.verdict;
        },
        onFeed: (feed) => {
          journal.feeds.push(feed);
          journal.onFeed(feed);
          journal.changed();
        },
      },
    });
    return { network, journal };
  }

  /** A validator set made of some of the validators, and the place of one of them in it. */
  set(self: ValidatorIndex, set: readonly ValidatorIndex[]): Pick<NetworkConfig, 'validators' | 'self'> {
    const place = set.indexOf(self);
    return { validators: set.map((index) => this.validators[index]!), self: place === -1 ? undefined : place };
  }

  /** An edge node that is started. */
  async edge(name: string, options: Partial<EdgeNetworkConfig> = {}): Promise<EdgeNetwork> {
    const edge = await this.implementation.createEdgeNetwork({
      nodeKeySeed: seedOf(`edge ${name}`),
      networkId: NETWORK_ID,
      validators: this.validators,
      listen: [],
      bootstrap: [],
      mdns: false,
      ...options,
    });
    this.#edges.push(edge);
    await edge.start();
    return edge;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.nodes.map(({ network }) => network.stop()), ...this.#edges.map((edge) => edge.stop())]);
  }
}

/** Asks again until the condition holds: for counters that have no event. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`did not come: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A frame that says which one it is. */
export function numbered(number: number, length: number): Uint8Array {
  const frame = new Uint8Array(length);
  new DataView(frame.buffer).setUint32(0, number, true);
  return frame;
}

export function numberOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getUint32(0, true);
}
