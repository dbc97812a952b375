/** Why a transaction is not let in: typed, with what the sender can do, and the JSON-RPC code that other clients give. */

import { RpcCode } from '@squad/service/rpc-code';

export type RejectionCode =
  | 'TRANSACTION_EMPTY'
  | 'TRANSACTION_TOO_LARGE'
  | 'TRANSACTION_MALFORMED'
  | 'TRANSACTION_TYPE_NOT_SUPPORTED'
  | 'WRONG_CHAIN'
  | 'NOT_REPLAY_PROTECTED'
  | 'GAS_TOO_LOW'
  | 'GAS_TOO_HIGH'
  | 'FEE_INVALID'
  | 'INIT_CODE_TOO_LARGE'
  | 'SIGNATURE_INVALID'
  | 'ALREADY_KNOWN'
  | 'ROLLUP_UNKNOWN'
  | 'FEE_TOO_LOW'
  | 'ROLLUP_RATE_EXCEEDED'
  | 'BUNDLE_TOO_LARGE'
  | 'ADMISSION_BUSY'
  | 'LANE_FULL'
  | 'NOT_READY';

export interface Rejection {
  readonly code: RejectionCode;
  readonly message: string;
  readonly remedy: string;
  /** What JSON-RPC answers with. */
  readonly rpcCode: number;
  /** With `LANE_FULL`, `ROLLUP_RATE_EXCEEDED` and `ADMISSION_BUSY`: when to try again. */
  readonly retryAfterMs?: number;
  /** It is the rollup's own policy that refuses it: others may pass it on and do no wrong. */
  readonly byPolicy?: boolean;
}

/** The bytes are no transaction at all: -32602, as a parameter that does not fit. */
export function malformed(message: string): Rejection {
  return {
    code: 'TRANSACTION_MALFORMED',
    message: `not a transaction: ${message}`,
    remedy: 'Send the signed transaction exactly as a wallet or library encodes it.',
    rpcCode: RpcCode.invalidParams,
  };
}

/** A well-formed transaction that the rules refuse: -32000, as other Ethereum nodes answer. */
export function refused(code: RejectionCode, message: string, remedy: string): Rejection {
  return { code, message, remedy, rpcCode: RpcCode.refused };
}

export function emptyTransaction(): Rejection {
  return { ...malformed('it has no bytes'), code: 'TRANSACTION_EMPTY' };
}

export function transactionTooLarge(bytes: number, limit: number): Rejection {
  return {
    code: 'TRANSACTION_TOO_LARGE',
    message: `oversized data: transaction size ${bytes}, limit ${limit} bytes`,
    remedy: 'Split the data over several transactions.',
    rpcCode: RpcCode.refused,
  };
}

/** `rollupId`: a number, or whatever stands in its place. */
export function rollupUnknown(rollupId: number | string, known: readonly number[]): Rejection {
  return {
    code: 'ROLLUP_UNKNOWN',
    message: `no rollup ${rollupId} is ordered here`,
    remedy: `The rollups of this network are: ${known.join(', ')}.`,
    rpcCode: RpcCode.invalidParams,
  };
}

/** `waiting`: of this rollup. */
export function admissionBusy(waiting: number, retryAfterMs: number): Rejection {
  return {
    code: 'ADMISSION_BUSY',
    message: `${waiting} transactions of this rollup wait to be checked, its share`,
    remedy: `Try again in ${retryAfterMs} ms, or send to another validator.`,
    rpcCode: RpcCode.limitExceeded,
    retryAfterMs,
  };
}

/** The rollup's share of what may wait for the lane is used up. `waiting`: what it has there. */
export function laneFull(
  rollupId: number,
  waiting: { readonly bytes: number; readonly transactions: number },
  retryAfterMs: number,
): Rejection {
  return {
    code: 'LANE_FULL',
    message:
      `rollup ${rollupId} has ${waiting.transactions} transactions, ${waiting.bytes} bytes, ` +
      'waiting for a place in this validator’s lane, its share of what may wait',
    remedy: `Try again in ${retryAfterMs} ms, or send to another validator.`,
    rpcCode: RpcCode.limitExceeded,
    retryAfterMs,
  };
}

export function bundleTooLarge(bytes: number, limit: number): Rejection {
  return refused(
    'BUNDLE_TOO_LARGE',
    `the bundle's transactions have ${bytes} bytes, limit ${limit}`,
    'Put only what has to stand in one block into a bundle.',
  );
}

/** The genesis file bounds what each validator takes in of this rollup. */
export function rollupRateExceeded(rollupId: number, bytesPerSecond: number, retryAfterMs: number): Rejection {
  return {
    code: 'ROLLUP_RATE_EXCEEDED',
    message: `this validator takes in ${bytesPerSecond} bytes a second of rollup ${rollupId}, as the genesis file says`,
    remedy: `Try again in ${retryAfterMs} ms, or send to another validator.`,
    rpcCode: RpcCode.limitExceeded,
    retryAfterMs,
  };
}

export function alreadyKnown(): Rejection {
  return refused('ALREADY_KNOWN', 'already known', 'Nothing to do: it was accepted before. Ask for its status.');
}

export function notReady(reasons: readonly string[]): Rejection {
  return {
    code: 'NOT_READY',
    message: `this node takes no transactions yet: ${reasons.join('; ')}`,
    remedy: 'Try again shortly, or send to another validator.',
    rpcCode: RpcCode.unavailable,
  };
}

/** Of a node that does not validate now: to wait helps nobody. */
export function noLane(): Rejection {
  return {
    code: 'NOT_READY',
    message: 'this node takes no transactions: it follows and has no lane of its own',
    remedy: 'Send to a validator (squad_getValidatorSet tells who validates).',
    rpcCode: RpcCode.unavailable,
  };
}
