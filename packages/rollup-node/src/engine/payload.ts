/** A block of the rollup as the Engine API takes it. */

import { toQuantity } from '@squad/service';
import type { Hex } from '@squad/types';
import type { EvmBlock } from '../execution/evm/block.ts';
import { hexOf } from '../hex.ts';
import type { ExecutionPayload } from './api.ts';

/** What `engine_newPayloadV4` takes. */
export interface NewPayload {
  readonly payload: ExecutionPayload;
  readonly parentBeaconBlockRoot: Hex;
  readonly requests: readonly Hex[];
}

export function payloadOf({ header, summary, transactions, requests }: EvmBlock): NewPayload {
  return {
    payload: {
      parentHash: hexOf(header.parentHash),
      feeRecipient: hexOf(header.coinbase.bytes),
      stateRoot: hexOf(header.stateRoot),
      receiptsRoot: hexOf(header.receiptTrie),
      logsBloom: hexOf(header.logsBloom),
      prevRandao: hexOf(header.mixHash),
      blockNumber: quantity(header.number),
      gasLimit: quantity(header.gasLimit),
      gasUsed: quantity(header.gasUsed),
      timestamp: quantity(header.timestamp),
      extraData: hexOf(header.extraData),
      baseFeePerGas: quantity(header.baseFeePerGas ?? 0n),
      blockHash: hexOf(summary.hash),
      transactions: transactions.map(({ raw }) => hexOf(raw)),
      withdrawals: [],
      blobGasUsed: quantity(header.blobGasUsed ?? 0n),
      excessBlobGas: quantity(header.excessBlobGas ?? 0n),
    },
    parentBeaconBlockRoot: hexOf(header.parentBeaconBlockRoot ?? new Uint8Array(32)),
    requests: requests.map(hexOf),
  };
}

function quantity(value: bigint): Hex {
  return toQuantity(value) as Hex;
}
