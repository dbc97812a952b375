/** One EVM transaction through all checks at the door. Pure and synchronous: runs in a worker or in place. */

import { keccak256, recoverAddress } from '@squad/crypto/node';
import { err, MAX_TRANSACTION_BYTES, ok, type Result } from '@squad/types';
import { brokenRule, type EvmRules } from './evm-rules.ts';
import { decodeEvmTransaction } from './evm-transaction.ts';
import { emptyTransaction, type Rejection, refused, transactionTooLarge } from './rejection.ts';

/** What is known of an accepted transaction. Bytes, as they come from a worker; the hash is 32, the sender 20 of them. */
export interface AdmittedEvm {
  readonly hash: Uint8Array;
  readonly sender: Uint8Array;
  readonly nonce: bigint;
  /** Wei; the gas price of a transaction that has one. */
  readonly maxFeePerGas: bigint;
}

/** Undefined if the size is within its limits. */
export function sizeFault(raw: Uint8Array): Rejection | undefined {
  if (raw.length === 0) return emptyTransaction();
  if (raw.length > MAX_TRANSACTION_BYTES) return transactionTooLarge(raw.length, MAX_TRANSACTION_BYTES);
  return undefined;
}

/** `chainId`: the rollup's. Cheap checks first; the signature, which costs the most, last. */
export function admitEvm(chainId: number, raw: Uint8Array, rules: EvmRules): Result<AdmittedEvm, Rejection> {
  const size = sizeFault(raw);
  if (size !== undefined) return err(size);
  const decoded = decodeEvmTransaction(raw);
  if (!decoded.ok) return decoded;
  const transaction = decoded.value;
  if (transaction.chainId !== chainId) return err(wrongChain(transaction.chainId, chainId));
  const broken = brokenRule(transaction, rules);
  if (broken !== undefined) return err(broken);
  const { r, s, yParity, signingPayload, nonce, maxFeePerGas } = transaction;
  const sender = recoverAddress(keccak256(signingPayload), r, s, yParity);
  if (sender === undefined) return err(badSignature());
  return ok({ hash: keccak256(raw), sender, nonce, maxFeePerGas });
}

function wrongChain(have: number, want: number): Rejection {
  return refused(
    'WRONG_CHAIN',
    `invalid chain id for signer: have ${have} want ${want}`,
    `Sign it with chain id ${want}, or send it to the rollup ${have}.`,
  );
}

function badSignature(): Rejection {
  return refused(
    'SIGNATURE_INVALID',
    'invalid sender: the values v, r, s recover to no key, or s is in the upper half of the order (EIP-2)',
    'Sign it again with a current wallet or library.',
  );
}
