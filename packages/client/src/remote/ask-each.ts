/** One call to each endpoint in turn, as far as the caller wants to hear. */

import { SquadError } from '@squad/types';
import { MAX_ENDPOINTS, type NetworkAccess } from './api.ts';
import { call } from './call.ts';

export interface EndpointAnswer {
  readonly endpoint: string;
  readonly answer: unknown;
}

/** Passes over endpoints that fail. Throws the last one's error if none answered, and when the signal is aborted. */
export async function* askEach(
  { endpoints, timeoutMs }: Pick<NetworkAccess, 'endpoints' | 'timeoutMs'>,
  method: string,
  params: readonly unknown[],
  signal?: AbortSignal,
): AsyncGenerator<EndpointAnswer, void, undefined> {
  checkEndpoints(endpoints);
  let failure: unknown;
  let answers = 0;
  for (const endpoint of endpoints) {
    signal?.throwIfAborted();
    let answer: unknown;
    try {
      answer = await call(endpoint, method, params, { ...(timeoutMs === undefined ? {} : { timeoutMs }), signal });
    } catch (error) {
      signal?.throwIfAborted();
      failure = error;
      continue;
    }
    answers++;
    yield { endpoint, answer };
  }
  if (answers === 0) throw failure;
}

/** Throws the SquadError that says what is wrong with a list of endpoints. */
export function checkEndpoints(endpoints: readonly string[]): void {
  const bad = endpoints.find((endpoint) => !/^https?:\/\//.test(endpoint));
  if (endpoints.length >= 1 && endpoints.length <= MAX_ENDPOINTS && bad === undefined) return;
  throw new SquadError(
    'ENDPOINTS_INVALID',
    bad === undefined ? `there are ${endpoints.length} endpoints, not 1 to ${MAX_ENDPOINTS}` : `"${bad}" is no address`,
    'Give the JSON-RPC addresses of sequencers, such as http://127.0.0.1:8640.',
  );
}
