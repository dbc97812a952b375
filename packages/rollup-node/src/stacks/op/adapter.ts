/**
 * A derived block as an OP Stack execution client builds it, by https://specs.optimism.io/protocol/isthmus/exec-engine.html
 * and what it rests upon: first the L1 attributes, of the one L1 origin that the chain has, then what was ordered. `prevRandao`
 * is the derived block's hash: it stands for the rollup file and all order up to this block, so the block can be found by it.
 */

import type { Common } from '@ethereumjs/common';
import { toQuantity } from '@squad/service';
import { fromHex, type Hex, toHex, ZERO_HASH } from '@squad/types';
import type { OpChain } from '../../config/op-chain.ts';
import type { RollupFile } from '../../config/rollup-file.ts';
import type { ExecutionPayload, StackAdapter } from '../../engine/api.ts';
import { createSharedCommon } from '../../execution/evm/common.ts';
import { decodeTransaction, maxGasPrice, type SentTransaction } from '../../execution/evm/transaction.ts';
import { hexOf } from '../../hex.ts';
import { encodeDeposit } from './deposit.ts';
import type { OpBlock } from './executor.ts';
import { l1AttributesDeposit } from './l1-attributes.ts';

/** The predeploy SequencerFeeVault. */
const FEE_RECIPIENT: Hex = '0x4200000000000000000000000000000000000011';

/** `file`: of the executor "op". */
export function opStack(file: RollupFile): StackAdapter<OpBlock> {
  const chain = file.op!;
  const gasLimit = toQuantity(file.gasLimit) as Hex;
  const common = createSharedCommon(file.rollupId, file.hardfork);
  const timestampOf = ({ summary }: OpBlock) => toQuantity(summary.timestampSeconds) as Hex;
  return {
    name: 'op',
    genesisHash: chain.genesisHash.toLowerCase() as Hex,
    attributes: (block) => ({
      timestamp: timestampOf(block),
      prevRandao: hexOf(block.summary.hash),
      suggestedFeeRecipient: FEE_RECIPIENT,
      withdrawals: [],
      parentBeaconBlockRoot: toHex(ZERO_HASH),
      transactions: [hexOf(attributesOf(chain, block.summary.number)), ...block.transactions.map(hexOf)],
      noTxPool: true,
      gasLimit,
      eip1559Params: eip1559Params(chain),
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
        gasLimit,
      };
      const field = (Object.keys(wanted) as (keyof ExecutionPayload)[]).find((name) => wanted[name] !== built[name]);
      return field && `its ${field} is ${built[field]}, asked for was ${wanted[field]}`;
    },
  };
}

/** The block's number counts the blocks with this L1 origin, too: genesis is the first. */
function attributesOf(chain: OpChain, number: number): Uint8Array {
  const { l1Origin } = chain;
  const attributes = {
    number: BigInt(l1Origin.number),
    timestamp: BigInt(l1Origin.timestamp),
    baseFee: BigInt(l1Origin.baseFee),
    blockHash: fromHex(l1Origin.hash),
    sequenceNumber: BigInt(number),
    batcherHash: fromHex(`0x${'00'.repeat(12)}${chain.batcher.slice(2)}`),
    feeOverhead: 0n,
    feeScalar: 0n,
    baseFeeScalar: BigInt(chain.baseFeeScalar),
    blobBaseFeeScalar: BigInt(chain.blobBaseFeeScalar),
    blobBaseFee: BigInt(l1Origin.blobBaseFee),
    operatorFeeScalar: BigInt(chain.operatorFeeScalar),
    operatorFeeConstant: BigInt(chain.operatorFeeConstant),
  };
  return encodeDeposit(l1AttributesDeposit('isthmus', attributes, true));
}

function eip1559Params({ eip1559Denominator, eip1559Elasticity }: OpChain): Hex {
  const uint32 = (value: number) => value.toString(16).padStart(8, '0');
  return `0x${uint32(eip1559Denominator)}${uint32(eip1559Elasticity)}`;
}

/** It was decoded before it was put into a block. */
function sent(raw: Uint8Array, common: Common): SentTransaction {
  const decoded = decodeTransaction(raw, common);
  if ('reason' in decoded) throw new Error(`a block holds what is no transaction: ${decoded.reason}`);
  return decoded;
}
