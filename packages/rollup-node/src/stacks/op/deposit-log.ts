/**
 * Deposits as the OptimismPortal on L1 tells of them: the event TransactionDeposited, its opaque data of version 0. As
 * https://github.com/ethereum-optimism/optimism, op-node/rollup/derive/deposit_log.go, reads them.
 */

import { bytesToBigInt } from '@ethereumjs/util';
import { type Bytes32, equalBytes, err, ok, type Result, toHex } from '@squad/types';
import { keccak256 } from '../../execution/keccak.ts';
import { type DepositTransaction, userDepositSource } from './deposit.ts';

/** event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData) */
export const DEPOSIT_EVENT: Bytes32 = keccak256(
  new TextEncoder().encode('TransactionDeposited(address,address,uint256,bytes)'),
);
const WORD_BYTES = 32;
/** Version 0: mint and value, 32 bytes each, gas limit 8, whether a contract is created 1; the rest is the call data. */
const OPAQUE_HEAD_BYTES = 73;

export interface DepositLog {
  readonly topics: readonly Uint8Array[];
  readonly data: Uint8Array;
  /** Among all logs of its L1 block. */
  readonly index: number;
}

/** The deposit that a log of `DEPOSIT_EVENT` stands for. */
export function decodeDepositLog(log: DepositLog, l1BlockHash: Bytes32): Result<DepositTransaction, string> {
  const [event, from, to, version] = log.topics;
  if (log.topics.length !== 4 || !equalBytes(event!, DEPOSIT_EVENT)) return err('not a TransactionDeposited event');
  if (version!.some((byte) => byte !== 0)) return err(`version ${toHex(version!)} of the deposit is not known`);
  const opaque = opaqueData(log.data);
  if (!opaque.ok) return opaque;
  const { value } = opaque;
  if (value.length < OPAQUE_HEAD_BYTES) return err(`${value.length} bytes of opaque data are too few`);
  return ok({
    sourceHash: userDepositSource(l1BlockHash, log.index),
    from: from!.subarray(12),
    to: value[72] === 0 ? to!.subarray(12) : undefined,
    mint: bytesToBigInt(value.subarray(0, 32)),
    value: bytesToBigInt(value.subarray(32, 64)),
    gasLimit: bytesToBigInt(value.subarray(64, 72)),
    isSystem: false,
    data: value.subarray(OPAQUE_HEAD_BYTES),
  });
}

/** ABI encoding of one `bytes`: offset 32, length, content, padded to whole words and no further. */
function opaqueData(data: Uint8Array): Result<Uint8Array, string> {
  if (data.length < 2 * WORD_BYTES || data.length % WORD_BYTES !== 0) return err('the data are not whole words');
  if (bytesToBigInt(data.subarray(0, WORD_BYTES)) !== 32n) return err('the opaque data are not where they belong');
  const length = bytesToBigInt(data.subarray(WORD_BYTES, 2 * WORD_BYTES));
  const room = BigInt(data.length - 2 * WORD_BYTES);
  if (length > room || length + 32n <= room) return err(`${length} bytes of opaque data in ${room}`);
  return ok(data.subarray(2 * WORD_BYTES, 2 * WORD_BYTES + Number(length)));
}
