/** Calls of JSON-RPC endpoints over HTTP, one or a batch at a time. Connections are kept alive by the platform's fetch. */

import { SquadError } from '@squad/types';
import type { z } from 'zod';
import { MAX_RPC_CLIENT_ANSWER_BYTES, RPC_CLIENT_TIMEOUT_MS } from '../limits.ts';
import { RpcError, type RpcErrorData } from './error.ts';

export interface RpcCallOptions {
  /** Default `RPC_CLIENT_TIMEOUT_MS`. */
  readonly timeoutMs?: number;
  /** Default `MAX_RPC_CLIENT_ANSWER_BYTES`. */
  readonly maxAnswerBytes?: number;
  readonly signal?: AbortSignal;
  /** Besides the content type. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RpcCall {
  readonly method: string;
  readonly params?: readonly unknown[];
}

export type RpcOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: RpcError };

/**
 * Calls one method and returns its result, checked against `schema`. Throws the server's `RpcError`, or a `SquadError`:
 * `RPC_UNREACHABLE`, `RPC_TIMEOUT`, `RPC_UNAUTHORIZED`, `RPC_BAD_ANSWER`.
 */
export async function rpcCall<Schema extends z.ZodType>(
  url: string,
  method: string,
  params: readonly unknown[],
  schema: Schema,
  options: RpcCallOptions = {},
): Promise<z.output<Schema>> {
  const answer = await post(url, { jsonrpc: '2.0', id: 1, method, params }, options);
  const outcome = outcomeOf(url, answer);
  if (!outcome.ok) throw outcome.error;
  const parsed = schema.safeParse(outcome.value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw badAnswer(url, `the result of ${method}: ${[...issue.path.map(String), issue.message].join(': ')}`);
  }
  return parsed.data;
}

/** Calls many methods in one request; outcomes in the order of the calls. Throws a `SquadError` as `rpcCall` does. */
export async function rpcBatch(
  url: string,
  calls: readonly RpcCall[],
  options: RpcCallOptions = {},
): Promise<RpcOutcome[]> {
  if (calls.length === 0) return [];
  const answers = await post(
    url,
    calls.map(({ method, params = [] }, id) => ({ jsonrpc: '2.0', id, method, params })),
    options,
  );
  if (!Array.isArray(answers)) {
    // A refusal of the whole batch, such as one that is too large.
    const refusal = outcomeOf(url, answers);
    throw refusal.ok ? badAnswer(url, 'a batch was answered with a single result') : refusal.error;
  }
  const outcomes = new Array<RpcOutcome | undefined>(calls.length);
  for (const answer of answers) {
    const id: unknown = typeof answer === 'object' && answer !== null ? (answer as { id?: unknown }).id : undefined;
    if (typeof id === 'number' && id in calls) outcomes[id] = outcomeOf(url, answer);
  }
  return outcomes.map((outcome, id) => {
    if (outcome === undefined) throw badAnswer(url, `call ${id} of the batch was not answered`);
    return outcome;
  });
}

async function post(url: string, body: unknown, options: RpcCallOptions): Promise<unknown> {
  const { timeoutMs = RPC_CLIENT_TIMEOUT_MS, maxAnswerBytes = MAX_RPC_CLIENT_ANSWER_BYTES, signal, headers } = options;
  const timeout = AbortSignal.timeout(timeoutMs);
  let text: string;
  let status: number;
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
    status = response.status;
    text = await readText(url, response, maxAnswerBytes);
  } catch (error) {
    if (error instanceof SquadError) throw error;
    throw timeout.aborted ? timedOut(url, timeoutMs, error) : unreachable(url, error);
  }
  if (status === 401 || status === 403) throw unauthorized(url, status, text);
  try {
    return JSON.parse(text);
  } catch {
    throw badAnswer(url, `HTTP ${status}, and the body is not JSON: ${text.slice(0, 80)}`);
  }
}

async function readText(url: string, response: Response, maxBytes: number): Promise<string> {
  if (response.body === null) return '';
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw badAnswer(url, `the answer is larger than ${maxBytes} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Reads one answer object. Throws `RPC_BAD_ANSWER` if it is none. */
export function outcomeOf(url: string, answer: unknown): RpcOutcome {
  if (typeof answer !== 'object' || answer === null) throw badAnswer(url, 'the answer is not a JSON-RPC answer');
  const { error, result } = answer as { error?: unknown; result?: unknown };
  if (error === undefined || error === null) {
    if (!('result' in answer)) throw badAnswer(url, 'the answer holds neither a result nor an error');
    return { ok: true, value: result };
  }
  const { code, message, data } = error as { code?: unknown; message?: unknown; data?: unknown };
  if (typeof code !== 'number' || typeof message !== 'string') throw badAnswer(url, 'the error has no code or message');
  if (isErrorData(data)) return { ok: false, error: new RpcError(code, message, data) };
  return { ok: false, error: new RpcError(code, `${message}${reasonIn(data)}`) };
}

/** Ethereum clients put the reason of an error of the Engine API there. */
function reasonIn(data: unknown): string {
  const reason = typeof data === 'object' && data !== null ? (data as { err?: unknown }).err : undefined;
  return typeof reason === 'string' ? `: ${reason}` : '';
}

function isErrorData(data: unknown): data is RpcErrorData {
  return typeof data === 'object' && data !== null && typeof (data as { code?: unknown }).code === 'string';
}

export function unreachable(url: string, cause: unknown): SquadError {
  const reason = reasonOf(cause);
  return new SquadError(
    'RPC_UNREACHABLE',
    `${url} cannot be reached: ${reason}`,
    'Check that the node runs and that the address and port are right.',
    { url },
    cause,
  );
}

function timedOut(url: string, timeoutMs: number, cause: unknown): SquadError {
  return new SquadError(
    'RPC_TIMEOUT',
    `${url} did not answer within ${timeoutMs} ms`,
    'Try again; if it goes on, the node is overloaded or stuck: look at its /health/ready and its log.',
    { url, timeoutMs },
    cause,
  );
}

function unauthorized(url: string, status: number, text: string): SquadError {
  return new SquadError(
    'RPC_UNAUTHORIZED',
    `${url} refuses who asks (HTTP ${status}): ${text.slice(0, 200).trim()}`,
    'Check the credentials that this endpoint wants, and the clocks of both machines.',
    { url, status },
  );
}

function badAnswer(url: string, reason: string): SquadError {
  return new SquadError(
    'RPC_BAD_ANSWER',
    `${url} gave an answer that cannot be used: ${reason}`,
    'Check that the address is that of a SQUAD or Ethereum JSON-RPC endpoint, of a version that fits.',
    { url },
  );
}

/** fetch wraps the reason, such as ECONNREFUSED, one or two levels deep. */
function reasonOf(error: unknown): string {
  let at = error;
  while (at instanceof Error && at.cause !== undefined) at = at.cause;
  if (at instanceof AggregateError && at.errors.length > 0) at = at.errors[0];
  return at instanceof Error ? at.message || String((at as NodeJS.ErrnoException).code) : String(at);
}
