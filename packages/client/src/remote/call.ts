/** One JSON-RPC call over HTTP, with the platform's fetch. */

import { SquadError } from '@squad/types';
import { CALL_TIMEOUT_MS, MAX_ANSWER_CHARACTERS } from './api.ts';
import { MAX_QUOTED_CHARACTERS } from './limits.ts';

export interface CallOptions {
  /** Default `CALL_TIMEOUT_MS`. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The result, whatever it is. Throws a SquadError: `RPC_UNREACHABLE`, `RPC_TIMEOUT`, `RPC_BAD_ANSWER`; or `RPC_REFUSED`, whose
 * data has the error's `rpcCode` and, if the endpoint gave them, `reason` (its own code) and `retryAfterMs`.
 *
 * @example
 * const status = await call('http://127.0.0.1:8640', 'squad_status', []);
 */
export async function call(
  endpoint: string,
  method: string,
  params: readonly unknown[],
  { timeoutMs = CALL_TIMEOUT_MS, signal }: CallOptions = {},
): Promise<unknown> {
  const timeout = AbortSignal.timeout(timeoutMs);
  let text: string;
  try {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
    });
    text = await boundedText(endpoint, response);
  } catch (error) {
    if (error instanceof SquadError || signal?.aborted) throw error;
    throw timeout.aborted ? timedOut(endpoint, timeoutMs, error) : unreachable(endpoint, error);
  }
  return resultOf(endpoint, text);
}

async function boundedText(endpoint: string, response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) return '';
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    text += decoder.decode(value, { stream: true });
    if (text.length <= MAX_ANSWER_CHARACTERS) continue;
    void reader.cancel();
    throw badAnswer(endpoint, `it is longer than MAX_ANSWER_CHARACTERS = ${MAX_ANSWER_CHARACTERS}`);
  }
}

function resultOf(endpoint: string, text: string): unknown {
  let answer: { result?: unknown; error?: { code?: unknown; message?: unknown; data?: unknown } } | null;
  try {
    answer = JSON.parse(text);
  } catch {
    throw badAnswer(endpoint, `it is not JSON: ${text.slice(0, 80)}`);
  }
  if (answer?.error) throw refusal(endpoint, answer.error);
  if (answer?.result === undefined) throw badAnswer(endpoint, 'it holds neither a result nor an error');
  return answer.result;
}

/** The endpoint's own words, as an error. */
export function refusal(
  endpoint: string,
  error: { readonly code?: unknown; readonly message?: unknown; readonly data?: unknown },
): SquadError {
  const data = Object(error.data) as { code?: unknown; remedy?: unknown; retryAfterMs?: unknown };
  const hasRemedy = typeof data.remedy === 'string' && data.remedy !== '';
  const remedy = hasRemedy ? quoted(data.remedy) : 'Ask another endpoint.';
  return new SquadError('RPC_REFUSED', `${endpoint}: ${quoted(error.message)}`, remedy, {
    endpoint,
    rpcCode: error.code,
    ...(typeof data.code === 'string' ? { reason: data.code } : {}),
    ...(typeof data.retryAfterMs === 'number' ? { retryAfterMs: data.retryAfterMs } : {}),
  });
}

/** Words of an endpoint, for an error. Whatever is no text is named by its kind: an object may refuse to become one. */
export function quoted(words: unknown): string {
  if (typeof words !== 'string') return `(${typeof words})`;
  return words.slice(0, MAX_QUOTED_CHARACTERS) || '(no words)';
}

function unreachable(endpoint: string, cause: unknown): SquadError {
  const remedy = 'Check that the node runs and that address and port are right; give more endpoints than one.';
  return new SquadError(
    'RPC_UNREACHABLE',
    `${endpoint} cannot be reached: ${reasonOf(cause)}`,
    remedy,
    { endpoint },
    cause,
  );
}

function timedOut(endpoint: string, timeoutMs: number, cause: unknown): SquadError {
  const remedy = 'Try again, or give more endpoints than one.';
  const data = { endpoint, timeoutMs };
  return new SquadError('RPC_TIMEOUT', `${endpoint} did not answer within ${timeoutMs} ms`, remedy, data, cause);
}

export function badAnswer(endpoint: string, reason: string): SquadError {
  const remedy = 'Check that the address is that of a SQUAD sequencer, of a version that fits.';
  return new SquadError('RPC_BAD_ANSWER', `${endpoint} gave an answer that cannot be used: ${reason}`, remedy, {
    endpoint,
  });
}

/** fetch wraps the reason, such as ECONNREFUSED, one or two levels deep. */
function reasonOf(error: unknown): string {
  let at = error;
  while (at instanceof Error && at.cause !== undefined) at = at.cause;
  return at instanceof Error ? at.message || at.name : String(at);
}
