/**
 * From the text of a request to the text of its answer, by https://www.jsonrpc.org/specification. One pass over a batch;
 * answers are put together as text, so that each result is serialised once. Handlers that answer at once cost no promise.
 */

import type { Logger } from '../logger.ts';
import { type Counter, type Histogram, type Metrics, noMetrics } from '../metrics.ts';
import { type BatchOutcome, runBatch } from './batch.ts';
import { RpcCode } from './code.ts';
import { invalidRequest, isExpected, methodNotFound, RpcError, rateLimited, serverBusy, toRpcError } from './error.ts';
import type { Held } from './memory.ts';
import { defineMethod, type RawParams, type RpcContext, type RpcMethod } from './method.ts';
import { type OpenRpcDocument, openRpcDocument, type ServiceInfo } from './open-rpc.ts';

export interface DispatcherOptions {
  readonly info: ServiceInfo;
  readonly methods: readonly RpcMethod[];
  readonly logger: Logger;
  readonly maxBatchCalls: number;
  readonly maxResponseBytes: number;
  readonly metrics?: Metrics;
}

/** The text to answer with; undefined when nothing is to be answered (notifications only). */
export type Answer = string | undefined;

export interface Dispatcher {
  /** The memory of the answer is taken from `held`; one that it has no room for is a refusal instead. */
  handle(text: string, context: RpcContext, held: Held): Answer | Promise<Answer>;
  readonly methods: ReadonlyMap<string, RpcMethod>;
}

type Id = string | number | null;

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  return new TableDispatcher(options);
}

class TableDispatcher implements Dispatcher {
  readonly methods: Map<string, RpcMethod>;
  readonly #options: DispatcherOptions;
  readonly #calls: Counter<'method' | 'outcome'>;
  readonly #duration: Histogram<'method'>;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.methods = new Map(options.methods.map((method) => [method.name, method]));
    if (this.methods.size !== options.methods.length) throw new Error('two methods have the same name');
    const discover = discoverMethod(options.info, this.methods);
    this.methods.set(discover.name, discover);
    const metrics = options.metrics ?? noMetrics;
    const names = [...this.methods.keys(), 'unknown'];
    this.#calls = metrics.counter({
      name: 'squad_rpc_calls_total',
      help: 'JSON-RPC calls by method and outcome',
      labels: { method: names, outcome: ['ok', 'refused', 'failed'] },
    });
    this.#duration = metrics.histogram({
      name: 'squad_rpc_call_duration_seconds',
      help: 'Time from a parsed call to its answer',
      labels: { method: names },
      buckets: [0.0005, 0.002, 0.01, 0.05, 0.25, 1, 5],
    });
  }

  handle(text: string, context: RpcContext, held: Held): Answer | Promise<Answer> {
    let request: unknown;
    try {
      request = JSON.parse(text);
    } catch {
      return errorAnswer(null, parseError());
    }
    if (Array.isArray(request)) return this.#batch(request, context, held);
    const answer = this.#one(request, context);
    return answer instanceof Promise ? answer.then((settled) => kept(settled, held)) : kept(answer, held);
  }

  #batch(requests: readonly unknown[], context: RpcContext, held: Held): Answer | Promise<Answer> {
    const { maxBatchCalls, maxResponseBytes } = this.#options;
    if (requests.length === 0) return errorAnswer(null, invalidRequest('an empty batch'));
    if (requests.length > maxBatchCalls) return errorAnswer(null, batchTooLarge(requests.length, maxBatchCalls));
    let left = maxResponseBytes;
    const outcome = runBatch({
      count: requests.length,
      call: (index) => this.#one(requests[index], context),
      keep: (characters) => {
        left -= characters;
        if (left < 0) return answerTooLarge(maxResponseBytes);
        return held.take(characters) ? undefined : serverBusy();
      },
    });
    return outcome instanceof Promise ? outcome.then(joined) : joined(outcome);
  }

  #one(request: unknown, context: RpcContext): Answer | Promise<Answer> {
    if (typeof request !== 'object' || request === null || Array.isArray(request)) {
      return errorAnswer(null, invalidRequest('a call is an object'));
    }
    const { jsonrpc, method: name, params, id } = request as Record<string, unknown>;
    const fault = faultOf(jsonrpc, name, params, id);
    if (fault !== undefined) return errorAnswer(isId(id) ? id : null, invalidRequest(fault));
    return this.#call(id as Id | undefined, name as string, (params ?? undefined) as RawParams, context);
  }

  #call(id: Id | undefined, name: string, params: RawParams, context: RpcContext): Answer | Promise<Answer> {
    const method = this.methods.get(name);
    if (method === undefined) {
      this.#calls.increment({ method: 'unknown', outcome: 'refused' });
      return this.#respondError(id, methodNotFound(name));
    }
    const startedMs = performance.now();
    try {
      const retryAfterMs = context.charge(1);
      if (retryAfterMs > 0) throw rateLimited(retryAfterMs);
      const result = method.call(params, context);
      if (result instanceof Promise) {
        return result.then(
          (value) => this.#succeeded(id, name, value, startedMs),
          (thrown: unknown) => this.#failed(id, name, thrown, startedMs),
        );
      }
      return this.#succeeded(id, name, result, startedMs);
    } catch (thrown) {
      return this.#failed(id, name, thrown, startedMs);
    }
  }

  #succeeded(id: Id | undefined, name: string, result: unknown, startedMs: number): Answer {
    let text: string;
    try {
      text = JSON.stringify(result) ?? 'null';
    } catch (thrown) {
      return this.#failed(id, name, thrown, startedMs);
    }
    if (text.length > this.#options.maxResponseBytes) {
      return this.#failed(id, name, answerTooLarge(this.#options.maxResponseBytes), startedMs);
    }
    this.#measure(name, 'ok', startedMs);
    return id === undefined ? undefined : `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${text}}`;
  }

  #failed(id: Id | undefined, name: string, thrown: unknown, startedMs: number): Answer {
    const expected = isExpected(thrown);
    if (!expected) this.#options.logger.error({ err: thrown, method: name }, 'a JSON-RPC handler threw');
    this.#measure(name, expected ? 'refused' : 'failed', startedMs);
    return this.#respondError(id, toRpcError(thrown));
  }

  #measure(method: string, outcome: 'ok' | 'refused' | 'failed', startedMs: number): void {
    this.#calls.increment({ method, outcome });
    this.#duration.observe((performance.now() - startedMs) / 1000, { method });
  }

  #respondError(id: Id | undefined, error: RpcError): Answer {
    return id === undefined ? undefined : errorAnswer(id, error);
  }
}

function kept(answer: Answer, held: Held): Answer {
  return answer === undefined || held.take(answer.length) ? answer : errorAnswer(null, serverBusy());
}

function joined(outcome: BatchOutcome): Answer {
  return 'refusal' in outcome ? errorAnswer(null, outcome.refusal) : outcome.text;
}

/** What is wrong with a request object; undefined if it is well formed. */
function faultOf(jsonrpc: unknown, method: unknown, params: unknown, id: unknown): string | undefined {
  if (jsonrpc !== '2.0') return '"jsonrpc" must be "2.0"';
  if (typeof method !== 'string') return '"method" must be a string';
  if (id !== undefined && !isId(id)) return '"id" must be a string, a number or null';
  if (params !== undefined && typeof params !== 'object') return '"params" must be an array or an object';
  return undefined;
}

function isId(id: unknown): id is Id {
  return typeof id === 'string' || typeof id === 'number' || id === null;
}

/** The text of one error answer. */
export function errorAnswer(id: Id, error: RpcError): string {
  const { code, message, data } = error;
  return JSON.stringify({
    jsonrpc: '2.0',
    id,
    error: data === undefined ? { code, message } : { code, message, data },
  });
}

function parseError(): RpcError {
  return new RpcError(RpcCode.parseError, 'parse error: the request is not JSON', {
    code: 'PARSE_ERROR',
    remedy: 'Send UTF-8 JSON text.',
  });
}

function batchTooLarge(calls: number, limit: number): RpcError {
  return new RpcError(RpcCode.invalidRequest, `a batch of ${calls} calls, at most ${limit} are taken`, {
    code: 'BATCH_TOO_LARGE',
    remedy: `Send at most ${limit} calls in one batch.`,
    limit,
  });
}

function answerTooLarge(limitBytes: number): RpcError {
  return new RpcError(RpcCode.answerTooLarge, `the answer would be larger than ${limitBytes} bytes`, {
    code: 'ANSWER_TOO_LARGE',
    remedy: 'Ask for less at once.',
    limitBytes,
  });
}

function discoverMethod(info: ServiceInfo, methods: ReadonlyMap<string, RpcMethod>): RpcMethod {
  let document: OpenRpcDocument | undefined;
  return defineMethod({
    name: 'rpc.discover',
    summary: 'The OpenRPC description of this endpoint',
    params: {},
    result: { name: 'document', description: 'OpenRPC 1.3 document' },
    handler: () => {
      document ??= openRpcDocument(info, methods.values());
      return document;
    },
  });
}
