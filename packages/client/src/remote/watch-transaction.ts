/** Follows one transaction until it is final. */

import type { TransactionHash } from '@squad/types';
import type { NetworkAccess } from './api.ts';
import { getReceipt, type VerifiedReceipt } from './get-receipt.ts';
import { unlessConflict } from './later-access.ts';
import { wait } from './wait.ts';

export interface WatchOptions {
  /** Milliseconds between two looks. Default `WATCH_INTERVAL_MS`. */
  readonly intervalMs?: number;
  readonly signal?: AbortSignal;
}

export const WATCH_INTERVAL_MS = 250;

/**
 * A verified receipt when the transaction is soft, unless it is final by then, again if a soft one is ordered elsewhere, and
 * when it is final; then it ends. Endpoints that fail are asked again. Ends early when the signal is aborted.
 *
 * @example
 * for await (const receipt of watchTransaction(network, hash)) {
 *   console.log(receipt.stage, receipt.header.height);
 * }
 */
export async function* watchTransaction(
  access: NetworkAccess,
  hash: TransactionHash,
  { intervalMs = WATCH_INTERVAL_MS, signal }: WatchOptions = {},
): AsyncGenerator<VerifiedReceipt, void, undefined> {
  let told: Uint8Array | undefined;
  while (!signal?.aborted) {
    const receipt = await getReceipt(access, hash, signal).catch(unlessConflict);
    if (receipt?.stage === 'final') {
      yield receipt;
      return;
    }
    if (receipt && `${receipt.blockHash}` !== `${told}`) {
      told = receipt.blockHash;
      yield receipt;
    }
    await wait(intervalMs, signal);
  }
}
