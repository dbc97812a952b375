/**
 * Who may connect. Strangers share a bounded number of places, so they cannot crowd out validators; a peer that broke a
 * limit is refused for a while; what one network address may open is bounded from its first packet on.
 */

import type { Connection, ConnectionGater, Libp2p, MultiaddrConnection } from '@libp2p/interface';
import type { PeerId, RefusalReason } from '../api.ts';
import type { NetworkLogger } from '../config.ts';
import { MAX_REMEMBERED_PEERS, type NetworkLimits } from '../limits.ts';
import type { StatisticsCounter } from '../statistics.ts';
import type { ValidatorDirectory } from './directory.ts';

/** An edge peer that behaved for this long starts anew. */
const STRIKES_FORGOTTEN_MS = 60_000;

interface GateOptions {
  readonly directory: ValidatorDirectory;
  readonly limits: NetworkLimits;
  readonly statistics: StatisticsCounter;
  readonly logger: NetworkLogger;
}

export class PeerGate {
  readonly #options: GateOptions;
  #libp2p: Libp2p | undefined;
  /** Peers that are refused, with the time until when. Oldest first. */
  readonly #refusedUntilMs = new Map<PeerId, number>();
  readonly #strikes = new Map<PeerId, { count: number; atMs: number }>();
  /** Open and half-open connections by network address. */
  readonly #connectionsFrom = new Map<string, number>();

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** The rules as libp2p asks for them, while it upgrades a connection. */
  get connectionGater(): ConnectionGater {
    return {
      denyDialPeer: (peer) => this.isRefused(peer.toString()),
      denyInboundConnection: (connection) => this.#denyAddress(connection),
      denyInboundEncryptedConnection: (peer) => this.#denyPeer(peer.toString()),
      denyOutboundEncryptedConnection: (peer) => this.isRefused(peer.toString()),
    };
  }

  /** Watches the connections of a node that is being set up. */
  attach(libp2p: Libp2p): void {
    this.#libp2p = libp2p;
    libp2p.addEventListener('connection:open', (event) => this.#bound(event.detail));
  }

  isRefused(peer: PeerId): boolean {
    const untilMs = this.#refusedUntilMs.get(peer);
    if (untilMs === undefined) return false;
    if (untilMs > Date.now()) return true;
    this.#refusedUntilMs.delete(peer);
    return false;
  }

  /** Strikes against an edge peer, for its gossip score. */
  strikesOf(peer: PeerId): number {
    const strikes = this.#strikes.get(peer);
    return strikes !== undefined && Date.now() - strikes.atMs < STRIKES_FORGOTTEN_MS ? strikes.count : 0;
  }

  /** Counts a wrong step. An edge peer that took too many is disconnected and refused. */
  strike(peer: PeerId, reason: RefusalReason): void {
    this.#options.statistics.refusals[reason]++;
    if (this.#options.directory.has(peer)) return;
    const count = this.strikesOf(peer) + 1;
    remember(this.#strikes, peer, { count, atMs: Date.now() });
    if (count >= this.#options.limits.maxStrikes) this.#refuse(peer, reason);
  }

  /** A peer that has become a validator: what it did before it was known for one is forgotten. */
  pardon(peer: PeerId): void {
    this.#strikes.delete(peer);
    this.#refusedUntilMs.delete(peer);
  }

  /** Closes all connections to a peer and refuses it for a while. */
  refuse(peer: PeerId, reason: RefusalReason, detail?: string): void {
    this.#options.statistics.refusals[reason]++;
    this.#refuse(peer, reason, detail);
  }

  #refuse(peer: PeerId, reason: RefusalReason, detail?: string): void {
    this.#options.logger.warn({ peer, reason, detail, forMs: this.#options.limits.refusalMs }, 'peer refused');
    remember(this.#refusedUntilMs, peer, Date.now() + this.#options.limits.refusalMs);
    this.#strikes.delete(peer);
    for (const connection of this.#connectionsOf(peer)) connection.abort(new Error(`refused: ${detail ?? reason}`));
  }

  #denyAddress(connection: MultiaddrConnection): boolean {
    const address = String(connection.remoteAddr.getComponents()[0]?.value ?? '');
    const count = this.#connectionsFrom.get(address) ?? 0;
    if (count >= this.#options.limits.maxConnectionsPerAddress) {
      this.#options.statistics.refusals.tooManyConnections++;
      return true;
    }
    this.#connectionsFrom.set(address, count + 1);
    connection.addEventListener('close', () => this.#released(address), { once: true });
    return false;
  }

  #released(address: string): void {
    const count = (this.#connectionsFrom.get(address) ?? 1) - 1;
    if (count <= 0) this.#connectionsFrom.delete(address);
    else this.#connectionsFrom.set(address, count);
  }

  #denyPeer(peer: PeerId): boolean {
    if (this.isRefused(peer)) {
      this.#options.statistics.refusals.refusedPeer++;
      return true;
    }
    if (this.#options.directory.has(peer) || this.#connectionsOf(peer).length > 0) return false;
    if (this.#edgePeers() < this.#options.limits.maxEdgePeers) return false;
    this.#options.statistics.refusals.tooManyConnections++;
    return true;
  }

  /** After the upgrade, since several may have been under way at once: the newest connection of a peer wins. */
  #bound(opened: Connection): void {
    const peer = opened.remotePeer.toString();
    const validator = this.#options.directory.has(peer);
    const { maxConnectionsPerValidator, maxConnectionsPerEdgePeer, maxEdgePeers } = this.#options.limits;
    const others = this.#connectionsOf(peer).filter((connection) => connection !== opened);
    const excess = others.length + 1 - (validator ? maxConnectionsPerValidator : maxConnectionsPerEdgePeer);
    const denied = !validator && others.length === 0 && this.#edgePeers(peer) >= maxEdgePeers;
    const closing = denied ? [opened] : others.slice(0, Math.max(0, excess));
    for (const connection of closing) {
      this.#options.statistics.refusals.tooManyConnections++;
      connection.abort(new Error('too many connections'));
    }
  }

  #edgePeers(except?: PeerId): number {
    const peers = this.#libp2p?.getPeers() ?? [];
    let count = 0;
    for (const peer of peers) {
      const text = peer.toString();
      if (text !== except && !this.#options.directory.has(text)) count++;
    }
    return count;
  }

  #connectionsOf(peer: PeerId): Connection[] {
    const connections = this.#libp2p?.getConnections() ?? [];
    return connections.filter((connection) => connection.remotePeer.toString() === peer);
  }
}

/** Sets an entry of a map that forgets its oldest entries. */
function remember<T>(map: Map<PeerId, T>, peer: PeerId, value: T): void {
  map.delete(peer);
  map.set(peer, value);
  if (map.size > MAX_REMEMBERED_PEERS) map.delete(map.keys().next().value!);
}
