/** Entry points of the libp2p implementation. libp2p is loaded when a network is created, so importing this package is cheap. */

import type { EdgeNetwork, Network } from './api.ts';
import type { EdgeNetworkConfig, NetworkConfig } from './config.ts';

/**
 * A validator's network, or that of a node that only follows (`self` undefined); call `start` on it. Rejects with a
 * SquadError: `NODE_KEY_INVALID`, `NODE_KEY_MISMATCH`, `ADDRESS_INVALID`, `LIMIT_INVALID`.
 */
export async function createNetwork(config: NetworkConfig): Promise<Network> {
  const { createLibp2pNetwork } = await import('./libp2p/network.ts');
  return createLibp2pNetwork(config);
}

/** A rollup node's network; call `start` on it. Rejects as `createNetwork` does. */
export async function createEdgeNetwork(config: EdgeNetworkConfig): Promise<EdgeNetwork> {
  const { createLibp2pEdgeNetwork } = await import('./libp2p/edge-network.ts');
  return createLibp2pEdgeNetwork(config);
}
