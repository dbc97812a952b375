/**
 * Headers, receipts and deposits of L1 blocks, read by JSON-RPC from an endpoint that is not trusted: the header must hash to
 * the hash that was asked for, the receipts to the header's receipts root. So whoever names the L1 block decides, and no
 * endpoint.
 */

import { RLP } from '@ethereumjs/rlp';
import { type RpcCallOptions, rpcCall } from '@squad/service';
import {
  type Bytes32,
  concatBytes,
  encodeL1Header,
  equalBytes,
  L1Data,
  L1Header,
  L1Quantity,
  SquadError,
  toHex,
} from '@squad/types';
import { z } from 'zod';
import { integerBytes } from '../../execution/evm/rlp.ts';
import { indexedRoot } from '../../execution/evm/trie.ts';
import { keccak256 } from '../../execution/keccak.ts';
import type { DepositTransaction } from './deposit.ts';
import { DEPOSIT_EVENT, type DepositLog, decodeDepositLog } from './deposit-log.ts';

const Receipt = z.object({
  type: L1Quantity.default(0n),
  status: L1Quantity,
  cumulativeGasUsed: L1Quantity,
  logsBloom: L1Data,
  logs: z.array(z.object({ address: L1Data, topics: z.array(L1Data).max(4), data: L1Data })),
});
export type L1Receipt = z.infer<typeof Receipt>;

export interface L1Log extends DepositLog {
  readonly address: Uint8Array;
}

/** Throws SquadError `L1_UNKNOWN_BLOCK` or `L1_HEADER_WRONG`, and what `rpcCall` throws. */
export async function readL1Header(url: string, hash: Bytes32, options: RpcCallOptions = {}): Promise<L1Header> {
  const header = await rpcCall(url, 'eth_getBlockByHash', [toHex(hash), false], L1Header.nullable(), options);
  if (header === null) throw unknown(url, hash);
  if (!equalBytes(keccak256(encodeL1Header(header)), hash)) {
    throw new SquadError(
      'L1_HEADER_WRONG',
      `${url} answers the question for L1 block ${toHex(hash)} with a header of another hash`,
      'Use another L1 endpoint. If all answer so, L1 has a fork that this version does not know.',
      { url, hash: toHex(hash) },
    );
  }
  return header;
}

/**
 * What the contract at `portal` tells of deposits in an L1 block, in the order of the logs. Throws SquadError
 * `L1_RECEIPTS_WRONG`, `L1_DEPOSIT_MALFORMED` (a deposit is never passed over), and what `readL1Header` throws.
 */
export async function readL1Deposits(url: string, hash: Bytes32, portal: Uint8Array): Promise<DepositTransaction[]> {
  return depositsIn(await readL1Logs(url, hash, await readL1Header(url, hash)), hash, portal);
}

/** All logs of an L1 block. `header`: the one of that hash. Throws as `readL1Deposits` does. */
export async function readL1Logs(
  url: string,
  hash: Bytes32,
  { receiptsRoot }: Pick<L1Header, 'receiptsRoot'>,
  options: RpcCallOptions = {},
): Promise<L1Log[]> {
  const receipts = await rpcCall(url, 'eth_getBlockReceipts', [toHex(hash)], z.array(Receipt).nullable(), options);
  if (receipts === null) throw unknown(url, hash);
  if (!equalBytes(indexedRoot(receipts.map(encodeReceipt)), receiptsRoot)) {
    throw new SquadError(
      'L1_RECEIPTS_WRONG',
      `${url} gives receipts of L1 block ${toHex(hash)} that do not have the receipts root of its header`,
      'Use another L1 endpoint.',
      { url, hash: toHex(hash) },
    );
  }
  return receipts.flatMap(({ logs }) => logs).map((log, index) => ({ ...log, index }));
}

/** Throws SquadError `L1_DEPOSIT_MALFORMED`. */
export function depositsIn(logs: readonly L1Log[], hash: Bytes32, portal: Uint8Array): DepositTransaction[] {
  return logs
    .filter(({ address, topics }) => equalBytes(address, portal) && isDeposit(topics))
    .map((log) => {
      const deposit = decodeDepositLog(log, hash);
      if (deposit.ok) return deposit.value;
      throw new SquadError(
        'L1_DEPOSIT_MALFORMED',
        `log ${log.index} of L1 block ${toHex(hash)} is a deposit that cannot be read: ${deposit.error}`,
        'The portal on L1 is newer than this program, or not an OptimismPortal: check deposit_contract_address.',
        { hash: toHex(hash), index: log.index },
      );
    });
}

/**
 * Whether a block with this bloom filter (yellow paper, 4.3.1) can hold a log of a contract; if not, nobody need read its
 * receipts. The filter stands in the header, and has no false negatives.
 */
export function mayHoldLogsOf(bloom: Uint8Array, address: Uint8Array): boolean {
  const hash = keccak256(address);
  return [0, 2, 4].every((at) => {
    const bit = ((hash[at]! << 8) | hash[at + 1]!) & 2047;
    return (bloom[255 - (bit >> 3)]! & (1 << (bit & 7))) !== 0;
  });
}

function isDeposit(topics: readonly Uint8Array[]): boolean {
  return topics[0] !== undefined && equalBytes(topics[0], DEPOSIT_EVENT);
}

export function encodeReceipt({ type, status, cumulativeGasUsed, logsBloom, logs }: L1Receipt): Uint8Array {
  const items = logs.map(({ address, topics, data: bytes }) => [address, topics, bytes]);
  const body = RLP.encode([integerBytes(status), integerBytes(cumulativeGasUsed), logsBloom, items]);
  return type === 0n ? body : concatBytes(integerBytes(type), body);
}

function unknown(url: string, hash: Bytes32): SquadError {
  return new SquadError(
    'L1_UNKNOWN_BLOCK',
    `${url} does not know L1 block ${toHex(hash)}`,
    'It may be behind, or have dropped old receipts, or be of another L1; use another endpoint.',
    { url, hash: toHex(hash) },
  );
}
