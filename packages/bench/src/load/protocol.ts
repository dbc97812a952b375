/** What the bench and its load clients say to each other over IPC. */

import type { SparseHistogram } from './histogram.ts';

export interface LoadTarget {
  readonly name: string;
  /** Of a SQUAD validator: whose lane takes what is sent to it. */
  readonly author: number;
  readonly rpcUrl: string;
  readonly webSocketUrl: string;
}

/** `squad-evm` and `ethereum` differ in that the first tells what is soft. */
export type LoadKind = 'squad-opaque' | 'squad-evm' | 'cometbft' | 'ethereum';

export interface LoadConfig {
  readonly kind: LoadKind;
  readonly client: number;
  readonly clients: number;
  readonly targets: readonly LoadTarget[];
  /** Requests take turns. For EVM loads one, the chain id. */
  readonly rollupIds: readonly number[];
  readonly transactionBytes: number;
  readonly transactionsPerRequest: number;
  readonly connectionsPerTarget: number;
  /** Transactions a second of all clients together; undefined: as many as the nodes take. */
  readonly rate: number | undefined;
  /** Without a rate: transactions of this client that may be on their way, not final yet. */
  readonly window: number;
  /** From the start to the last due time. */
  readonly durationUs: number;
  readonly seed: number;
  /** For EVM loads: transfers that are signed ahead for each connection, and the senders' keys, one a connection. */
  readonly signedPerConnection: number;
  readonly senderKeys: readonly string[];
}

export type ToClient =
  | { readonly type: 'configure'; readonly config: LoadConfig }
  | { readonly type: 'start'; readonly startAtUs: number }
  /** Wait no longer for what is not final. */
  | { readonly type: 'finish' };

export interface LoadCounts {
  /** Due (with a rate), or sent. */
  readonly offered: number;
  readonly accepted: number;
  readonly soft: number;
  readonly final: number;
  readonly rejected: number;
  /** Sent, and the connection broke before the answer. */
  readonly unanswered: number;
}

/** Sums over transactions of the time at each station, in microseconds, and how many transactions they are of. */
export interface StationSums {
  readonly accepted: number;
  readonly soft: number;
  readonly final: number;
  /** Due to sent: in the client. */
  readonly queueUs: number;
  /** Sent to answered: RPC, admission, lane, disk. */
  readonly acceptUs: number;
  /** Answered to the block's timestamp: waiting for a block. */
  readonly orderUs: number;
  /** From there to soft at the client. */
  readonly notarizeUs: number;
  /** From the block's timestamp to final at the client. */
  readonly finalUs: number;
}

/** Latency of the transactions that were due in one second of the run. */
export interface SecondResult {
  readonly second: number;
  readonly offered: number;
  readonly accepted: SparseHistogram;
  readonly soft: SparseHistogram;
  readonly final: SparseHistogram;
  readonly stations: StationSums;
}

export interface LoadResult extends LoadCounts {
  readonly seconds: readonly SecondResult[];
  /** How many were accepted, soft, final in each tenth of a second of the run. */
  readonly reached: Readonly<Record<'accepted' | 'soft' | 'final', readonly number[]>>;
  /** Numbers of the accepted transactions: [first, count], ascending. */
  readonly acceptedNumbers: readonly (readonly [first: number, count: number])[];
  readonly rejectedByCode: Readonly<Record<string, number>>;
  readonly finalTwice: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export type FromClient =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly counts: LoadCounts }
  /** Everything that was due was sent and answered. */
  | { readonly type: 'sent' }
  | { readonly type: 'done'; readonly result: LoadResult }
  | { readonly type: 'failed'; readonly message: string };
