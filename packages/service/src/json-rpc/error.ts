/** JSON-RPC errors, and how every kind of failure becomes one. */

import { SquadError } from '@squad/types';
import { RpcCode } from './code.ts';

/** `code`: stable, upper case, for programs. `remedy`: what whoever called may do about it. */
export interface RpcErrorData {
  readonly code: string;
  readonly remedy: string;
  readonly [detail: string]: unknown;
}

/** What a handler throws to answer with an error, and what the client throws when a server answered with one. */
export class RpcError extends Error {
  readonly code: number;
  readonly data: RpcErrorData | undefined;

  constructor(code: number, message: string, data?: RpcErrorData) {
    super(message);
    this.name = 'RpcError';
    this.code = code;
    this.data = data;
  }
}

export function methodNotFound(method: string): RpcError {
  return new RpcError(RpcCode.methodNotFound, `the method ${method.slice(0, 64)} does not exist/is not available`, {
    code: 'METHOD_NOT_FOUND',
    remedy: 'Call rpc.discover for the list of methods.',
  });
}

const REQUEST_FORM = 'Send {"jsonrpc":"2.0","id":1,"method":"…","params":[…]}, or an array of such.';

export function invalidRequest(reason: string, remedy: string = REQUEST_FORM): RpcError {
  return new RpcError(RpcCode.invalidRequest, `invalid request: ${reason}`, { code: 'INVALID_REQUEST', remedy });
}

export function invalidParams(reason: string, details: Record<string, unknown> = {}): RpcError {
  return new RpcError(RpcCode.invalidParams, `invalid params: ${reason}`, {
    code: 'INVALID_PARAMS',
    remedy: 'Compare the parameters with the method in rpc.discover.',
    ...details,
  });
}

export function rateLimited(retryAfterMs: number): RpcError {
  return new RpcError(RpcCode.limitExceeded, `too many calls: the rate limit of this endpoint is reached`, {
    code: 'RATE_LIMITED',
    remedy: `Try again in ${retryAfterMs} ms, or use another endpoint.`,
    retryAfterMs,
  });
}

export function bodyTooLarge(limitBytes: number): RpcError {
  return new RpcError(RpcCode.invalidRequest, `the body is larger than ${limitBytes} bytes`, {
    code: 'BODY_TOO_LARGE',
    remedy: 'Send fewer calls at once.',
    limitBytes,
  });
}

export function bodyInPieces(limit: number): RpcError {
  return new RpcError(RpcCode.invalidRequest, `the body came in more than ${limit} pieces`, {
    code: 'BODY_IN_PIECES',
    remedy: 'Send larger chunks, or a Content-Length.',
    limit,
  });
}

/** Bodies and answers of all callers take as much memory as they may. */
export function serverBusy(): RpcError {
  return new RpcError(RpcCode.limitExceeded, 'too much is being received and sent at present', {
    code: 'SERVER_BUSY',
    remedy: 'Try again shortly, with fewer calls at once, or use another endpoint.',
  });
}

/** An expected failure keeps its words; anything else is answered without internals (the server logs it). */
export function toRpcError(thrown: unknown): RpcError {
  if (thrown instanceof RpcError) return thrown;
  if (thrown instanceof SquadError) {
    return new RpcError(RpcCode.refused, thrown.message, { code: thrown.code, remedy: thrown.remedy });
  }
  return new RpcError(RpcCode.internalError, 'internal error', {
    code: 'INTERNAL_ERROR',
    remedy: 'The node has logged what happened; ask its operator.',
  });
}

export function isExpected(thrown: unknown): boolean {
  return thrown instanceof RpcError || thrown instanceof SquadError;
}
