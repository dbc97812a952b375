/** Names on the wire. Each has 8 hex digits of the network id, so nodes of different networks have nothing to say to each other. */

import { type Bytes32, toHex } from '@squad/types';
import type { Channel, RequestProtocol } from './api.ts';

export interface ProtocolNames {
  readonly channels: Readonly<Record<Channel, string>>;
  readonly requests: Readonly<Record<RequestProtocol, string>>;
  readonly feed: string;
  readonly transactionsTopic: string;
}

export function protocolNames(networkId: Bytes32): ProtocolNames {
  const prefix = `/squad/${toHex(networkId.subarray(0, 4)).slice(2)}`;
  return {
    channels: { consensus: `${prefix}/consensus/1`, data: `${prefix}/data/1` },
    requests: {
      batches: `${prefix}/batches/1`,
      block: `${prefix}/block/1`,
      range: `${prefix}/range/1`,
      handOver: `${prefix}/hand-over/1`,
    },
    feed: `${prefix}/feed/1`,
    transactionsTopic: `${prefix}/transactions/1`,
  };
}

export const CHANNELS = ['consensus', 'data'] as const satisfies readonly Channel[];
export const REQUEST_PROTOCOLS = [
  'batches',
  'block',
  'range',
  'handOver',
] as const satisfies readonly RequestProtocol[];
