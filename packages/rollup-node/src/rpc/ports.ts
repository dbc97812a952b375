/** What the JSON-RPC methods need from the process around them. */

import type { Hex } from '@squad/types';

export interface RollupRpcPorts {
  /**
   * Hands a transaction that passed the checks here to a sequencer. Resolves with its hash once a sequencer took it;
   * rejects with an `RpcError` or `SquadError` if all refused it or none could be reached.
   */
  submit(raw: Uint8Array): Promise<Hex>;
  /** False when the node is at the head of the sequence; else where it stands, in rollup block numbers. */
  syncing(): false | { readonly startingBlock: number; readonly currentBlock: number; readonly highestBlock: number };
  /** Sequencers that the node is connected to. */
  peerCount(): number;
  /** Such as `squad/0.1.0/rollup-node`. */
  readonly clientVersion: string;
  /** Milliseconds, monotonic; for the expiry of filters and remembered transactions. Default: `performance.now`. */
  now?(): number;
}
