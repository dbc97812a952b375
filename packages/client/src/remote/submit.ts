/** Hands transactions to sequencers, each as often as it takes and never by two names. */

import { keccak256 as portableKeccak256 } from '@squad/crypto';
import { type RollupId, SquadError, type TransactionHash, toHex } from '@squad/types';
import type { NetworkAccess } from './api.ts';
import { checkEndpoints } from './ask-each.ts';
import { badAnswer, call, quoted, refusal } from './call.ts';
import { getReceipt, type VerifiedReceipt } from './get-receipt.ts';
import { unlessConflict } from './later-access.ts';
import { wait } from './wait.ts';
import { WATCH_INTERVAL_MS } from './watch-transaction.ts';

export interface SubmitOptions {
  /**
   * `accepted`, the default: one sequencer says that it will be ordered. `soft`, `final`: until a verified receipt shows it, and
   * after `retryAfterMs` without one, the transaction is given to the next endpoint, too.
   */
  readonly until?: 'accepted' | 'soft' | 'final';
  /** Endpoints that are given it at most. Default F + 1 of as many validators as there are endpoints: one of them is honest. */
  readonly maxEndpoints?: number;
  /** Milliseconds. Default `RESUBMIT_AFTER_MS`. */
  readonly retryAfterMs?: number;
  /** Milliseconds until SUBMIT_TIMEOUT. Default `SUBMIT_TIMEOUT_MS`. */
  readonly withinMs?: number;
  readonly signal?: AbortSignal;
}

export interface Submitted {
  /** Keccak-256 of the transaction: its name everywhere. */
  readonly hash: TransactionHash;
  /** Who said that they have it. */
  readonly acceptedBy: readonly string[];
  /** Unless `until` was `accepted`. */
  readonly receipt: VerifiedReceipt | undefined;
}

export const RESUBMIT_AFTER_MS = 2_000;
export const SUBMIT_TIMEOUT_MS = 60_000;

/** JSON-RPC codes: a limit, not ready, an internal error, no such method. */
const OF_THE_SEQUENCER: ReadonlySet<unknown> = new Set([-32005, -32002, -32603, -32601]);

/**
 * Whether a refusal's JSON-RPC code says something of the sequencer, not of the transaction: another one may take it.
 *
 * @example
 * if (mayBeTakenElsewhere(-32005)) console.log('that one has a limit: ask another');
 */
export function mayBeTakenElsewhere(rpcCode: unknown): boolean {
  return OF_THE_SEQUENCER.has(rpcCode);
}

/**
 * Idempotent: a sequencer that has the transaction says so, which counts as accepted, and calling again with the same bytes does
 * no harm. A transaction that two lanes were given may be ordered twice, as any may: an EVM rollup skips the second by its nonce.
 *
 * Throws a SquadError: `RPC_REFUSED` with a sequencer's reason if F + 1 of them judged the transaction itself (bad signature, too
 * large, unknown rollup); `NO_ENDPOINT` if none took it; `SUBMIT_TIMEOUT`.
 *
 * @example
 * const { hash } = await submit(network, 901, transaction);
 * const { receipt } = await submit(network, 901, transaction, { until: 'final' });
 */
export async function submit(
  access: NetworkAccess,
  rollupId: RollupId,
  transaction: Uint8Array,
  options: SubmitOptions = {},
): Promise<Submitted> {
  checkEndpoints(access.endpoints);
  const { until = 'accepted', retryAfterMs = RESUBMIT_AFTER_MS, withinMs = SUBMIT_TIMEOUT_MS } = options;
  const { endpoints, keccak256 = portableKeccak256 } = access;
  const most = options.maxEndpoints ?? Math.floor((endpoints.length - 1) / 3) + 1;
  const hash = toHex(keccak256(transaction));
  const deadline = AbortSignal.timeout(withinMs);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  const acceptedBy: string[] = [];
  let next = 0;
  let judgements = 0;
  let failure: unknown;
  /** Gives it to one more; false if all were tried. */
  const give = async (): Promise<boolean> => {
    while (next < endpoints.length && acceptedBy.length < most) {
      const endpoint = endpoints[next++]!;
      try {
        await giveTo(access, endpoint, rollupId, transaction, hash, signal);
        acceptedBy.push(endpoint);
        return true;
      } catch (error) {
        options.signal?.throwIfAborted();
        failure = error;
        // One alone may lie about the transaction; of so many, one is honest.
        if (isJudgement(error) && ++judgements >= most && acceptedBy.length === 0) throw error;
      }
    }
    return false;
  };
  if (!(await give())) throw isJudgement(failure) ? failure : noEndpoint(next, failure);
  if (until === 'accepted') return { hash, acceptedBy, receipt: undefined };
  for (let sinceMs = 0; !signal.aborted; ) {
    const receipt = await getReceipt(access, hash, signal).catch(unlessConflict);
    if (receipt && (receipt.stage === 'final' || until === 'soft')) return { hash, acceptedBy, receipt };
    await wait(WATCH_INTERVAL_MS, signal);
    sinceMs = receipt ? 0 : sinceMs + WATCH_INTERVAL_MS;
    if (sinceMs < retryAfterMs) continue;
    sinceMs = 0;
    await give();
  }
  options.signal?.throwIfAborted();
  throw new SquadError(
    'SUBMIT_TIMEOUT',
    `transaction ${hash} is not ${until} after ${withinMs} ms; ${acceptedBy.join(', ')} said that it would be ordered`,
    'Call submit again with the same bytes and more endpoints; it may still be ordered.',
    { hash, acceptedBy },
  );
}

async function giveTo(
  { timeoutMs }: NetworkAccess,
  endpoint: string,
  rollupId: RollupId,
  transaction: Uint8Array,
  hash: TransactionHash,
  signal: AbortSignal,
): Promise<void> {
  const options = { ...(timeoutMs === undefined ? {} : { timeoutMs }), signal };
  const answer = await call(endpoint, 'squad_sendTransactions', [rollupId, [toHex(transaction)]], options);
  const outcome = (Array.isArray(answer) && answer.length === 1 ? answer[0] : undefined) as
    | { hash?: unknown; error?: { code?: unknown; message?: unknown; data?: { code?: unknown } } }
    | undefined;
  if (outcome?.error) {
    if (outcome.error.data?.code === 'ALREADY_KNOWN') return;
    throw refusal(endpoint, outcome.error);
  }
  if (outcome?.hash !== hash)
    throw badAnswer(endpoint, `it names the transaction ${quoted(outcome?.hash)}, not ${hash}`);
}

/** Of the transaction, not of the sequencer. */
function isJudgement(error: unknown): boolean {
  return error instanceof SquadError && error.code === 'RPC_REFUSED' && !mayBeTakenElsewhere(error.data.rpcCode);
}

function noEndpoint(tried: number, cause: unknown): SquadError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const remedy = 'Try again; if it goes on, check the addresses and give more endpoints.';
  return new SquadError('NO_ENDPOINT', `none of ${tried} endpoints took the transaction: ${reason}`, remedy, {}, cause);
}
