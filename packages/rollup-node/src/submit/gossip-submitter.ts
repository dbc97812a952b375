/** Publishes transactions to the network's gossip topic, many in one message: no sequencer's RPC is needed (R4). */

import type { EdgeNetwork } from '@squad/network';
import { GossipTransactions, type Hex, type RollupId, SquadError, toHex } from '@squad/types';
import { keccak256 } from '../execution/keccak.ts';
import { Coalescer } from './coalescer.ts';

/** Resolves with the hash once a peer has the message; whether it is ordered shows in the sequence. */
export function createGossipSubmitter(
  network: Pick<EdgeNetwork, 'publish'>,
  rollupId: RollupId,
): (raw: Uint8Array) => Promise<Hex> {
  const coalescer = new Coalescer(async (submissions) => {
    const transactions = submissions.map(({ raw }) => raw);
    const peers = await network.publish(GossipTransactions.serialize({ rollupId, transactions }));
    if (peers === 0) throw noPeers();
    for (const { raw, resolve } of submissions) resolve(toHex(keccak256(raw)));
  });
  return (raw) => coalescer.submit(raw);
}

function noPeers(): SquadError {
  return new SquadError(
    'NO_GOSSIP_PEERS',
    'no peer takes part in gossip with this node, or the same transactions were sent a moment ago',
    'Try again shortly; if it goes on, check that the node is connected (squad_status), or give sequencerRpc.',
  );
}
