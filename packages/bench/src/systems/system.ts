/** What the bench needs of a system under test: SQUAD itself, or one that it is compared with. */

import type { LoadKind, LoadResult, LoadTarget } from '../load/protocol.ts';
import type { WatchedProcess } from '../measure/sampler.ts';

export interface SystemContext {
  /** A folder of its own for this run, deleted after it. */
  readonly directory: string;
  readonly onProgress: (text: string) => void;
}

/** What was looked at when the load was over. */
export interface Verification {
  /** In words: what was checked. */
  readonly checked: string;
  /** Accepted transactions that are not final, or not in the sequence. */
  readonly lost: number;
  /** Transactions that are in it more than once. */
  readonly duplicated: number;
  readonly blocks: number;
  /** Between the first and the last block's timestamp; 0 if the system does not tell. */
  readonly blocksSeconds: number;
}

export interface RunningSystem {
  readonly kind: LoadKind;
  readonly targets: readonly LoadTarget[];
  readonly rollupId: number;
  readonly processes: readonly WatchedProcess[];
  /** Ports between nodes: what passes there is counted as the wire's. */
  readonly p2pPorts: readonly number[];
  /** What the system's RPC takes at most in one request. */
  readonly maxPerRequest: number;
  /** Transactions on their way at once at which it is at its best; undefined: as many as any. */
  readonly maxWindow?: number;
  /** Log file of a process, for a profile of it. */
  logPathOf(name: string): string | undefined;
  /** Ends nodes without a word (SIGKILL), the last ones first. */
  crash(count: number): Promise<void>;
  /** Starts those again that were ended. */
  recover(): Promise<void>;
  verify(loads: readonly LoadResult[]): Promise<Verification>;
  stop(): Promise<void>;
}

export interface System {
  /** In results: `squad`, `single`, `cometbft-stock` … */
  readonly id: string;
  readonly title: string;
  readonly nodes: number;
  readonly version: string;
  start(context: SystemContext): Promise<RunningSystem>;
}
