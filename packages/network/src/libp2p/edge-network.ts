/** `EdgeNetwork` on libp2p: what a rollup node runs. It dials validators, and none of them has to know it. */

import type { Connection } from '@libp2p/interface';
import type { ValidatorIndex } from '@squad/types';
import type { EdgeNetwork, FeedStream, NetworkStatistics, NetworkValidator, PeerId, RequestProtocol } from '../api.ts';
import { notConnected } from '../checks.ts';
import type { EdgeNetworkConfig } from '../config.ts';
import { openFeed } from './feed.ts';
import { TransactionGossip } from './gossip.ts';
import { createHost, type Host, startHost } from './host.ts';
import { PeerKeeper } from './keeper.ts';
import { ask } from './requests.ts';
import { toError } from './streams.ts';

/** Peers that an edge node stays connected with, to publish transactions by. Feeds and requests dial what they need. */
const WANTED_PEERS = 4;

/** Creates a network that is not started. Rejects with a SquadError that names what of the configuration is wrong. */
export async function createLibp2pEdgeNetwork(config: EdgeNetworkConfig): Promise<EdgeNetwork> {
  return new Libp2pEdgeNetwork(config, await createHost({ ...config, self: undefined }, { floodPublish: true }));
}

class Libp2pEdgeNetwork implements EdgeNetwork {
  readonly #config: EdgeNetworkConfig;
  readonly #host: Host;
  readonly #gossip: TransactionGossip;
  readonly #keeper: PeerKeeper;

  constructor(config: EdgeNetworkConfig, host: Host) {
    this.#config = config;
    this.#host = host;
    this.#gossip = new TransactionGossip(host, config.onGossip);
    this.#keeper = new PeerKeeper(host.libp2p, host.gate, host.limits, WANTED_PEERS);
    // Each node begins with another validator, so that edge nodes spread over the set.
    const { entries } = host.directory;
    const first = (config.nodeKeySeed[0] ?? 0) % Math.max(1, entries.length);
    for (const { peer, addresses } of [...entries.slice(first), ...entries.slice(0, first)]) {
      if (addresses.length > 0) this.#keeper.add(peer, addresses);
    }
  }

  get peerId(): PeerId {
    return this.#host.libp2p.peerId.toString();
  }

  get addresses(): readonly string[] {
    return this.#host.libp2p.getMultiaddrs().map(String);
  }

  get peerCount(): number {
    return this.#host.libp2p.getPeers().length;
  }

  async openFeed(to: ValidatorIndex): Promise<FeedStream> {
    return openFeed(this.#host, await this.#connection(to));
  }

  async request(to: ValidatorIndex, protocol: RequestProtocol, request: Uint8Array): Promise<Uint8Array> {
    return ask(this.#host, await this.#connection(to), protocol, request);
  }

  publish(message: Uint8Array): Promise<number> {
    return this.#gossip.publish(message);
  }

  disconnect(peer: ValidatorIndex | PeerId, reason: string): void {
    const id = typeof peer === 'number' ? this.#host.directory.at(peer).peer : peer;
    this.#host.gate.refuse(id, 'disconnected', reason);
  }

  changeValidators(validators: readonly NetworkValidator[]): void {
    this.#host.directory.change(validators);
    for (const { peer, addresses } of this.#host.directory.entries) {
      if (addresses.length > 0) this.#keeper.add(peer, addresses);
    }
  }

  statistics(): NetworkStatistics {
    return this.#host.statistics.snapshot({ consensus: 0, data: 0 });
  }

  async start(): Promise<void> {
    await startHost(this.#host, this.#config.listen);
    this.#gossip.start();
    this.#keeper.start();
  }

  async stop(): Promise<void> {
    this.#keeper.stop();
    await this.#host.libp2p.stop();
  }

  /** A connection with a validator, made now if there is none. libp2p checks that its peer id is the one dialed. */
  async #connection(to: ValidatorIndex): Promise<Connection> {
    const { libp2p, directory, limits } = this.#host;
    const { id, addresses } = directory.at(to);
    const open = libp2p.getConnections(id).findLast(({ status }) => status === 'open');
    if (open !== undefined) return open;
    try {
      if (addresses.length === 0) throw new Error('no address of it is known');
      return await libp2p.dial([...addresses], { signal: AbortSignal.timeout(limits.handshakeTimeoutMs) });
    } catch (cause) {
      throw notConnected(to, toError(cause).message, cause);
    }
  }
}
