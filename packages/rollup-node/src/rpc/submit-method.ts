/**
 * eth_sendRawTransaction: checks here what would be skipped when ordered, in the words wallets know, then hands over to a
 * sequencer. The checks see the pending state and the waiting transactions of this node; the sequencers decide.
 */

import { RLP } from '@ethereumjs/rlp';
import type { Account } from '@ethereumjs/util';
import { defineMethod, hexBytes, type RpcError, type RpcMethod } from '@squad/service';
import { MAX_TRANSACTION_BYTES, toHex } from '@squad/types';
import { transactionGasCap } from '../config/rollup-file.ts';
import { PlainTransaction } from '../execution/evm/plain-transaction.ts';
import { decodeTransaction, maxGasPrice, type SignedTransaction } from '../execution/evm/transaction.ts';
import { hasCalldataFloor, transferGas } from '../execution/evm/transfer.ts';
import { keccak256, keyOf } from '../execution/keccak.ts';
import { nextBaseFee } from './chain-methods.ts';
import type { RpcState } from './context.ts';
import { refused } from './errors.ts';
import type { SubmittedTransaction } from './submitted.ts';

export function submitMethod(state: RpcState): RpcMethod {
  return defineMethod({
    name: 'eth_sendRawTransaction',
    summary: 'Sends a signed transaction to a sequencer',
    params: { transaction: hexBytes({ minBytes: 1, maxBytes: MAX_TRANSACTION_BYTES }) },
    result: { name: 'transactionHash', description: '32 bytes' },
    handler: ({ transaction }) => submit(state, transaction),
  });
}

/** Checks read state, some sooner than others; transactions are handed over in the order in which they came. */
async function submit(state: RpcState, raw: Uint8Array): Promise<string> {
  const place = state.submissions.enter();
  try {
    const transaction = await check(state, raw);
    await place.turn;
    const submitted = handOver(state, raw, transaction);
    place.leave();
    return await submitted;
  } finally {
    place.leave();
  }
}

/** Throws `RpcError` for what would be skipped when ordered. */
async function check(state: RpcState, raw: Uint8Array): Promise<SubmittedTransaction> {
  const hash = keccak256(raw);
  if (isWaiting(state, hash)) throw alreadyKnown();
  const { common, file, knownSenders } = state.executor;
  const decoded = decodeTransaction(raw, common);
  if ('reason' in decoded) {
    refuseForeignChain(raw, file.rollupId);
    const message =
      decoded.code === 'UNSUPPORTED' ? `transaction type not supported: ${decoded.reason}` : decoded.reason;
    throw refused(message, decoded.code, 'Sign a transaction of type 0, 1, 2 or 4 for this chain.');
  }
  const { transaction, from } = decoded;
  const sender = await state.reader.account(from, state.block({ tag: 'pending' }));
  // Only then can it be in a block: the disk need not be asked about any other.
  const mayBeInBlock = sender !== undefined && transaction.nonce < sender.nonce;
  if (mayBeInBlock && state.history.transaction(hash) !== undefined) throw alreadyKnown();
  checkGas(state, transaction);
  checkSender(transaction, sender);
  knownSenders.add(hash, from);
  return { hash, from, decoded: transaction };
}

async function handOver(state: RpcState, raw: Uint8Array, transaction: SubmittedTransaction): Promise<string> {
  const { hash } = transaction;
  // The same one may have come twice, and both have been checked side by side.
  if (state.submitted.get(hash) !== undefined) throw alreadyKnown();
  state.submitted.add(transaction);
  try {
    return await state.ports.submit(raw);
  } catch (error) {
    state.submitted.remove(hash);
    throw error;
  }
}

/** Sent, or executed and not durable. */
function isWaiting({ submitted, executor }: RpcState, hash: Uint8Array): boolean {
  return submitted.get(hash) !== undefined || executor.pendingTransactions.has(keyOf(hash));
}

function alreadyKnown(): RpcError {
  return refused('already known', 'ALREADY_KNOWN', 'Wait for its receipt.');
}

/** Before the library's words for it, which do not name the chain. Typed transactions begin with the chain id. */
function refuseForeignChain(raw: Uint8Array, chainId: number): void {
  const signed = chainIdOf(raw);
  if (signed === undefined || signed === BigInt(chainId)) return;
  throw refused(
    `invalid chain id for signer: have ${signed} want ${chainId}`,
    'WRONG_CHAIN',
    `Sign for chain ${chainId}.`,
  );
}

function checkGas(state: RpcState, transaction: SignedTransaction): void {
  const { gasLimit } = transaction;
  const cap = transactionGasCap(state.executor.file);
  if (gasLimit > cap) {
    const message = `transaction gas limit too high (cap: ${cap}, tx: ${gasLimit})`;
    throw refused(message, 'GAS_LIMIT', `Use at most ${cap} gas.`);
  }
  const minimum =
    transaction instanceof PlainTransaction
      ? transferGas(transaction, hasCalldataFloor(state.executor.common))
      : transaction.getMinimumGasLimit();
  if (gasLimit < minimum) {
    const message = `intrinsic gas too low: gas ${gasLimit}, minimum needed ${minimum}`;
    throw refused(message, 'INTRINSIC_GAS', 'Raise the gas limit; eth_estimateGas tells it.');
  }
  const price = maxGasPrice(transaction);
  const baseFee = nextBaseFee(state);
  if (price < baseFee) {
    const message = `max fee per gas less than block base fee: maxFeePerGas: ${price}, baseFee: ${baseFee}`;
    throw refused(message, 'FEE_TOO_LOW', 'Raise the fee; eth_feeHistory tells the base fee.');
  }
}

function checkSender(transaction: SignedTransaction, sender: Account | undefined): void {
  const { nonce = 0n, balance = 0n } = sender ?? {};
  if (transaction.nonce < nonce) {
    const message = `nonce too low: next nonce ${nonce}, tx nonce ${transaction.nonce}`;
    throw refused(message, 'NONCE_TOO_LOW', `Sign again with nonce ${nonce}.`);
  }
  const price = maxGasPrice(transaction);
  const cost = transaction.value + transaction.gasLimit * price;
  if (balance < cost) {
    const message = `insufficient funds for gas * price + value: balance ${balance}, tx cost ${cost}, overshot ${cost - balance}`;
    throw refused(message, 'INSUFFICIENT_FUNDS', 'Fund the sender, or send less.');
  }
}

/** The chain that a transaction was signed for; undefined if it names none, or is malformed. */
function chainIdOf(raw: Uint8Array): bigint | undefined {
  const typed = raw[0]! < 0x80;
  try {
    const fields = RLP.decode(typed ? raw.subarray(1) : raw);
    const field = fields[typed ? 0 : 6];
    if (!(field instanceof Uint8Array) || field.length > 32) return undefined;
    const value = field.length === 0 ? 0n : BigInt(toHex(field));
    if (typed) return value;
    return value >= 35n ? (value - 35n) / 2n : undefined;
  } catch {
    return undefined;
  }
}
