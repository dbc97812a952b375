/**
 * A derived block as an OP Stack execution client builds it, by https://specs.optimism.io/protocol/isthmus/exec-engine.html
 * (Jovian: https://specs.optimism.io/protocol/jovian/exec-engine.html) and what it rests upon: first the L1 attributes, then the
 * deposits of the L1 origin if this is its first block, then what was ordered. `prevRandao` is the derived block's hash: it
 * stands for the rollup file, all order and all of L1 up to this block, so the block can be found by it.
 */

import type { Common } from '@ethereumjs/common';
import { toQuantity } from '@squad/service';
import { fromHex, type Hex } from '@squad/types';
import type { RollupFile } from '../../config/rollup-file.ts';
import type { ExecutionPayload, StackAdapter } from '../../engine/api.ts';
import { createSharedCommon } from '../../execution/evm/common.ts';
import { decodeTransaction, maxGasPrice, type SentTransaction } from '../../execution/evm/transaction.ts';
import { hexOf } from '../../hex.ts';
import { encodeDeposit } from './deposit.ts';
import type { OpBlock } from './executor.ts';
import { l1AttributesDeposit } from './l1-attributes.ts';
import type { OriginPlace } from './origin.ts';
import { batcherHash, DEFAULT_DA_FOOTPRINT_GAS_SCALAR, type SystemConfig } from './system-config.ts';

/** The predeploy SequencerFeeVault. */
const FEE_RECIPIENT: Hex = '0x4200000000000000000000000000000000000011';

/** `file`: of the executor "op". */
export function opStack(file: RollupFile): StackAdapter<OpBlock> {
  const chain = file.op!;
  const isJovian = chain.jovianTime !== undefined;
  const gasLimitOf = ({ place }: OpBlock) => toQuantity(place.config.gasLimit) as Hex;
  const common = createSharedCommon(file.rollupId, file.hardfork);
  const timestampOf = ({ summary }: OpBlock) => toQuantity(summary.timestampSeconds) as Hex;
  return {
    genesisHash: chain.genesisHash.toLowerCase() as Hex,
    attributes: (block) => ({
      timestamp: timestampOf(block),
      prevRandao: hexOf(block.summary.hash),
      suggestedFeeRecipient: FEE_RECIPIENT,
      withdrawals: [],
      parentBeaconBlockRoot: hexOf(block.place.origin.parentBeaconBlockRoot),
      transactions: [attributesOf(block.place, isJovian), ...block.deposits, ...block.transactions].map(hexOf),
      noTxPool: true,
      gasLimit: gasLimitOf(block),
      eip1559Params: eip1559Params(block.place.config),
      ...(isJovian ? { minBaseFee: exactNumber(block.place.config.minBaseFee) } : {}),
    }),
    // Not by the transactions: of those the client left some out, and another order may have had just that.
    matches: ({ summary }, found) => found.mixHash === hexOf(summary.hash),
    spending: (raw) => {
      const { transaction, from } = sent(fromHex(raw), common);
      const { nonce, gasLimit, value } = transaction;
      return { from: hexOf(from), nonce, cost: gasLimit * maxGasPrice(transaction) + value };
    },
    check: (block, built) => {
      const wanted: Partial<ExecutionPayload> = {
        blockNumber: toQuantity(block.summary.number) as Hex,
        timestamp: timestampOf(block),
        prevRandao: hexOf(block.summary.hash),
        feeRecipient: FEE_RECIPIENT,
        gasLimit: gasLimitOf(block),
      };
      const field = (Object.keys(wanted) as (keyof ExecutionPayload)[]).find((name) => wanted[name] !== built[name]);
      return field && `its ${field} is ${built[field]}, asked for was ${wanted[field]}`;
    },
  };
}

function attributesOf({ origin, sequenceNumber, config }: OriginPlace, isJovian: boolean): Uint8Array {
  const { daFootprintGasScalar } = config;
  const attributes = {
    number: BigInt(origin.number),
    timestamp: origin.timestamp,
    baseFee: origin.baseFee,
    blockHash: origin.hash,
    sequenceNumber: BigInt(sequenceNumber),
    batcherHash: batcherHash(config),
    feeOverhead: 0n,
    feeScalar: 0n,
    baseFeeScalar: config.baseFeeScalar,
    blobBaseFeeScalar: config.blobBaseFeeScalar,
    blobBaseFee: origin.blobBaseFee,
    operatorFeeScalar: config.operatorFeeScalar,
    operatorFeeConstant: config.operatorFeeConstant,
    daFootprintGasScalar: daFootprintGasScalar === 0n ? DEFAULT_DA_FOOTPRINT_GAS_SCALAR : daFootprintGasScalar,
  };
  return encodeDeposit(l1AttributesDeposit(isJovian ? 'jovian' : 'isthmus', attributes, true));
}

/** In JSON all its digits, also above 2^53: a uint64. */
function exactNumber(value: bigint): number {
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): number };
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : rawJSON(String(value));
}

function eip1559Params({ eip1559Denominator, eip1559Elasticity }: SystemConfig): Hex {
  const uint32 = (value: bigint) => value.toString(16).padStart(8, '0');
  return `0x${uint32(eip1559Denominator)}${uint32(eip1559Elasticity)}`;
}

/** It was decoded before it was put into a block. */
function sent(raw: Uint8Array, common: Common): SentTransaction {
  const decoded = decodeTransaction(raw, common);
  if ('reason' in decoded) throw new Error(`a block holds what is no transaction: ${decoded.reason}`);
  return decoded;
}
