/** JSON-RPC error codes. A file of its own, with an entry of its own, for threads that must load quickly. */

/** https://www.jsonrpc.org/specification#error_object and https://eips.ethereum.org/EIPS/eip-1474#error-codes */
export const RpcCode = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  /** The call is well formed, and what it asks for is refused: what other Ethereum nodes answer a bad transaction with. */
  refused: -32000,
  /** The node cannot serve this now: it is starting, or behind. */
  unavailable: -32002,
  /** The answer would be larger than `MAX_RPC_RESPONSE_BYTES`. */
  answerTooLarge: -32003,
  notSupported: -32004,
  /** A rate, queue or count limit. */
  limitExceeded: -32005,
} as const;
