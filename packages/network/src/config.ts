/** What a network is made from: the genesis file's part of it, this node's key, and the operator's options. */

import type { Bytes32, ValidatorIndex } from '@squad/types';
import type { GossipVerdict, NetworkHandlers, NetworkValidator, PeerId } from './api.ts';
import type { NetworkLimits } from './limits.ts';

/** The part of a pino logger that the network uses. */
export interface NetworkLogger {
  debug(data: object, message: string): void;
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
}

interface CommonConfig {
  /** Ed25519 seed, 32 bytes: the secret of this node's identity. */
  readonly nodeKeySeed: Uint8Array;
  readonly networkId: Bytes32;
  /** In the order of the validator set: position is `ValidatorIndex`. */
  readonly validators: readonly NetworkValidator[];
  /** Multiaddrs to listen on, such as /ip4/0.0.0.0/tcp/9000. None: dials only. */
  readonly listen: readonly string[];
  /** Multiaddrs with /p2p of peers to join by. */
  readonly bootstrap: readonly string[];
  /** Finds peers on the same link. */
  readonly mdns: boolean;
  readonly limits?: Partial<NetworkLimits>;
  readonly logger?: NetworkLogger;
}

export interface NetworkConfig extends CommonConfig {
  /** This node's position in the set; undefined for one that only follows. */
  readonly self: ValidatorIndex | undefined;
  /** Validators of other sets, as far as they are known: they may be in another epoch than this node, which is no fault. */
  readonly otherValidators?: readonly NetworkValidator[];
  readonly handlers: NetworkHandlers;
}

export interface EdgeNetworkConfig extends CommonConfig {
  /** Judges gossip that passes through; without it an edge node publishes and does not listen. */
  readonly onGossip?: (from: PeerId, message: Uint8Array) => Promise<GossipVerdict>;
}

export const SILENT_LOGGER: NetworkLogger = { debug: () => {}, info: () => {}, warn: () => {} };
