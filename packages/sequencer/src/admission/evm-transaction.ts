/**
 * Signed Ethereum transactions, decoded strictly: legacy with EIP-155, access list (EIP-2930), fee market (EIP-1559) and
 * set code (EIP-7702). Blob transactions (EIP-4844) are refused: no blobs are carried here.
 */

import { concatBytes, err, ok, type Result } from '@squad/types';
import { malformed, type Rejection, refused } from './rejection.ts';
import { encodeInteger, listPrefix, RlpCursor, RlpError } from './rlp.ts';

/** Type 0 stands for legacy. Byte fields are views into the raw bytes. */
export interface EvmTransaction {
  readonly type: 0 | 1 | 2 | 4;
  readonly chainId: number;
  readonly nonce: bigint;
  /** Wei for each gas; both are the gas price in types 0 and 1. */
  readonly maxPriorityFeePerGas: bigint;
  readonly maxFeePerGas: bigint;
  readonly gasLimit: bigint;
  /** Undefined: creates a contract. */
  readonly to: Uint8Array | undefined;
  readonly data: Uint8Array;
  readonly accessListAddresses: number;
  readonly accessListKeys: number;
  readonly authorizations: number;
  readonly yParity: number;
  readonly r: Uint8Array;
  readonly s: Uint8Array;
  /** What the sender signed the Keccak-256 of. */
  readonly signingPayload: Uint8Array;
}

const MAX_INTEGER_BYTES = 32;
/** EIP-2681: nonces are below 2^64-1. */
const MAX_NONCE = 2n ** 64n - 2n;

/** EIP-4844. */
const BLOB_TYPE = 3;

export function decodeEvmTransaction(raw: Uint8Array): Result<EvmTransaction, Rejection> {
  try {
    return ok(decode(raw));
  } catch (error) {
    if (error instanceof RlpError) return err(malformed(error.message));
    if (error instanceof Refusal) return err(error.rejection);
    throw error;
  }
}

/** The chain that a transaction is for, which routes it to its rollup. Decodes the whole transaction's form. */
export function chainIdOf(raw: Uint8Array): Result<number, Rejection> {
  const decoded = decodeEvmTransaction(raw);
  return decoded.ok ? ok(decoded.value.chainId) : decoded;
}

/** Carries a rejection out of the decoder. */
class Refusal extends Error {
  readonly rejection: Rejection;
  constructor(rejection: Rejection) {
    super(rejection.message);
    this.rejection = rejection;
  }
}

function decode(raw: Uint8Array): EvmTransaction {
  const type = raw[0];
  if (type === undefined) throw new RlpError('it has no bytes');
  if (type >= 0xc0) return decodeLegacy(raw);
  if (type === 1) return decodeAccessList(raw);
  if (type === 2) return decodeFeeMarket(raw);
  if (type === 4) return decodeSetCode(raw);
  if (type === BLOB_TYPE) {
    throw new Refusal(
      refused(
        'TRANSACTION_TYPE_NOT_SUPPORTED',
        'blob transactions (type 3, EIP-4844) are not ordered here',
        'Send the data as calldata of a type 2 transaction.',
      ),
    );
  }
  if (type < 0x80) {
    throw new Refusal(
      refused(
        'TRANSACTION_TYPE_NOT_SUPPORTED',
        `transaction type not supported: ${type}`,
        'Types 0 (legacy with EIP-155), 1, 2 and 4 are taken.',
      ),
    );
  }
  throw new RlpError('it begins with neither a type nor a list');
}

/** The one list that all the rest of the bytes must be. */
function body(raw: Uint8Array, start: number): RlpCursor {
  const outer = new RlpCursor(raw, start);
  const fields = outer.list('the transaction');
  outer.finish('the transaction');
  return fields;
}

function decodeLegacy(raw: Uint8Array): EvmTransaction {
  const fields = body(raw, 0);
  const start = fields.position;
  const nonce = readNonce(fields);
  const gasPrice = fields.integer('gasPrice', MAX_INTEGER_BYTES);
  const { gasLimit, to, data } = readCall(fields);
  const unsigned = raw.subarray(start, fields.position);
  const v = fields.safeInteger('v');
  const signature = readScalars(fields);
  if (v < 35) {
    throw new Refusal(
      refused(
        'NOT_REPLAY_PROTECTED',
        'only replay-protected (EIP-155) transactions allowed',
        'Sign it with the chain id of the rollup.',
      ),
    );
  }
  const yParity = (v - 35) % 2;
  const chainId = (v - 35 - yParity) / 2;
  // EIP-155: the chain id and two empty items stand where the signature will be.
  const suffix = concatBytes(encodeInteger(chainId), Uint8Array.of(0x80, 0x80));
  return {
    type: 0,
    chainId,
    nonce,
    maxPriorityFeePerGas: gasPrice,
    maxFeePerGas: gasPrice,
    gasLimit,
    to,
    data,
    accessListAddresses: 0,
    accessListKeys: 0,
    authorizations: 0,
    yParity,
    ...signature,
    signingPayload: concatBytes(listPrefix(unsigned.length + suffix.length), unsigned, suffix),
  };
}

function decodeAccessList(raw: Uint8Array): EvmTransaction {
  const fields = body(raw, 1);
  const start = fields.position;
  const chainId = fields.safeInteger('chainId');
  const nonce = readNonce(fields);
  const gasPrice = fields.integer('gasPrice', MAX_INTEGER_BYTES);
  const call = readCall(fields);
  const access = readAccessList(fields);
  const fees = { maxPriorityFeePerGas: gasPrice, maxFeePerGas: gasPrice };
  return { type: 1, chainId, nonce, ...fees, ...call, ...access, authorizations: 0, ...readSigned(raw, start, fields) };
}

function decodeFeeMarket(raw: Uint8Array): EvmTransaction {
  const fields = body(raw, 1);
  const start = fields.position;
  const head = readFeeMarketHead(fields);
  const call = readCall(fields);
  const access = readAccessList(fields);
  return { type: 2, ...head, ...call, ...access, authorizations: 0, ...readSigned(raw, start, fields) };
}

function decodeSetCode(raw: Uint8Array): EvmTransaction {
  const fields = body(raw, 1);
  const start = fields.position;
  const head = readFeeMarketHead(fields);
  const call = readCall(fields);
  if (call.to === undefined) throw new RlpError('to is empty, and a type 4 transaction cannot create a contract');
  const access = readAccessList(fields);
  const authorizations = readAuthorizations(fields);
  if (authorizations === 0) throw new RlpError('authorizationList is empty');
  return { type: 4, ...head, ...call, ...access, authorizations, ...readSigned(raw, start, fields) };
}

function readFeeMarketHead(fields: RlpCursor) {
  return {
    chainId: fields.safeInteger('chainId'),
    nonce: readNonce(fields),
    maxPriorityFeePerGas: fields.integer('maxPriorityFeePerGas', MAX_INTEGER_BYTES),
    maxFeePerGas: fields.integer('maxFeePerGas', MAX_INTEGER_BYTES),
  };
}

function readNonce(fields: RlpCursor): bigint {
  const nonce = fields.integer('nonce', 8);
  if (nonce > MAX_NONCE) throw new RlpError('nonce is 2^64-1, which no transaction may have (EIP-2681)');
  return nonce;
}

function readCall(fields: RlpCursor): Pick<EvmTransaction, 'gasLimit' | 'to' | 'data'> {
  const gasLimit = fields.integer('gasLimit', 8);
  const to = fields.string('to', 0, 20);
  if (to.length !== 0 && to.length !== 20) throw new RlpError(`to has ${to.length} bytes, expected 0 or 20`);
  fields.integerBytes('value', MAX_INTEGER_BYTES);
  const data = fields.string('data', 0, Number.MAX_SAFE_INTEGER);
  return { gasLimit, to: to.length === 0 ? undefined : to, data };
}

function readAccessList(fields: RlpCursor): Pick<EvmTransaction, 'accessListAddresses' | 'accessListKeys'> {
  const list = fields.list('accessList');
  let accessListAddresses = 0;
  let accessListKeys = 0;
  while (!list.done) {
    const entry = list.list('accessList entry');
    entry.string('accessList address', 20, 20);
    const keys = entry.list('accessList storageKeys');
    entry.finish('accessList entry');
    while (!keys.done) {
      keys.string('accessList storage key', 32, 32);
      accessListKeys++;
    }
    accessListAddresses++;
  }
  return { accessListAddresses, accessListKeys };
}

/** Counts them. Whether an authorization is good is the rollup's business: a bad one is skipped there. */
function readAuthorizations(fields: RlpCursor): number {
  const list = fields.list('authorizationList');
  let count = 0;
  while (!list.done) {
    const entry = list.list('authorization');
    entry.integerBytes('authorization chainId', MAX_INTEGER_BYTES);
    entry.string('authorization address', 20, 20);
    entry.integerBytes('authorization nonce', 8);
    entry.integerBytes('authorization yParity', 1);
    entry.integerBytes('authorization r', MAX_INTEGER_BYTES);
    entry.integerBytes('authorization s', MAX_INTEGER_BYTES);
    entry.finish('authorization');
    count++;
  }
  return count;
}

/** The signature of a typed transaction; what stands before it in the list was signed. */
function readSigned(raw: Uint8Array, start: number, fields: RlpCursor) {
  const unsigned = raw.subarray(start, fields.position);
  const yParity = fields.safeInteger('yParity');
  const signature = readScalars(fields);
  return {
    yParity,
    ...signature,
    signingPayload: concatBytes(raw.subarray(0, 1), listPrefix(unsigned.length), unsigned),
  };
}

function readScalars(fields: RlpCursor): Pick<EvmTransaction, 'r' | 's'> {
  const r = fields.integerBytes('r', MAX_INTEGER_BYTES);
  const s = fields.integerBytes('s', MAX_INTEGER_BYTES);
  fields.finish('the transaction');
  return { r, s };
}
