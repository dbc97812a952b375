/**
 * Hands transactions to a sequencer over JSON-RPC. One sequencer gets them all while it takes them, since transactions of
 * one sender that go into two lanes may be ordered the wrong way round; the next one is tried when it fails.
 */

import { mayBeTakenElsewhere } from '@squad/client';
import { type Logger, RpcError, rpcCall } from '@squad/service';
import { type Hex, type RollupId, SquadError } from '@squad/types';
import { z } from 'zod';
import { keccak256 } from '../execution/keccak.ts';
import { hexOf } from '../hex.ts';
import { Coalescer, type Submission } from './coalescer.ts';

/** Milliseconds that one sequencer has to answer before the next one is tried. */
export const SUBMIT_TIMEOUT_MS = 4_000;

const ErrorData = z.looseObject({ code: z.string(), remedy: z.string() });
const Outcome = z.union([
  z.object({ hash: z.string() }),
  z.object({ error: z.object({ code: z.int(), message: z.string(), data: ErrorData.optional() }) }),
]);

export interface RpcSubmitterConfig {
  /** At least one; in the order in which they are tried. */
  readonly urls: readonly string[];
  readonly rollupId: RollupId;
  readonly logger: Logger;
  readonly timeoutMs?: number;
}

export function createRpcSubmitter(config: RpcSubmitterConfig): (raw: Uint8Array) => Promise<Hex> {
  const submitter = new RpcSubmitter(config);
  const coalescer = new Coalescer((submissions) => submitter.send(submissions));
  return (raw) => coalescer.submit(raw);
}

class RpcSubmitter {
  readonly #config: RpcSubmitterConfig;
  /** The sequencer that took the last ones. */
  #preferred = 0;

  constructor(config: RpcSubmitterConfig) {
    this.#config = config;
  }

  async send(submissions: readonly Submission[]): Promise<void> {
    const { urls, logger } = this.#config;
    let open = submissions;
    let reason: unknown;
    const first = this.#preferred;
    for (let attempt = 0; attempt < urls.length; attempt++) {
      const index = (first + attempt) % urls.length;
      try {
        const before = open.length;
        const left = await this.#sendTo(urls[index]!, open, attempt > 0);
        if (left.submissions.length < before) this.#preferred = index;
        if (left.submissions.length === 0) return;
        open = left.submissions;
        reason = left.reason;
      } catch (error) {
        reason = error;
        logger.warn({ url: urls[index], err: error }, 'a sequencer did not take transactions: trying the next one');
      }
    }
    for (const { reject } of open) reject(reason instanceof RpcError ? reason : unreachable(urls.length, reason));
  }

  /** Settles what the sequencer decided; returns what another one may take. */
  async #sendTo(
    url: string,
    submissions: readonly Submission[],
    triedBefore: boolean,
  ): Promise<{ submissions: readonly Submission[]; reason: unknown }> {
    const { rollupId, timeoutMs = SUBMIT_TIMEOUT_MS } = this.#config;
    const raw = submissions.map((submission) => hexOf(submission.raw));
    const schema = z.array(Outcome).length(submissions.length);
    const outcomes = await rpcCall(url, 'squad_sendTransactions', [rollupId, raw], schema, { timeoutMs });
    let reason: unknown;
    const left = submissions.filter(({ resolve, reject }, index) => {
      const outcome = outcomes[index]!;
      if ('hash' in outcome) {
        resolve(outcome.hash as Hex);
        return false;
      }
      const { code, message, data } = outcome.error;
      const error = new RpcError(code, message, data);
      // The one before may have taken it and not have answered in time.
      const taken = triedBefore && data?.code === 'ALREADY_KNOWN';
      if (taken) resolve(hexOf(keccak256(submissions[index]!.raw)));
      else if (mayBeTakenElsewhere(code)) reason = error;
      else reject(error);
      return !taken && mayBeTakenElsewhere(code);
    });
    return { submissions: left, reason };
  }
}

function unreachable(count: number, cause: unknown): SquadError {
  return new SquadError(
    'NO_SEQUENCER',
    `none of ${count} sequencers took the transaction: ${cause instanceof Error ? cause.message : cause}`,
    'Try again; if it goes on, check the addresses in sequencerRpc.',
    {},
    cause,
  );
}
