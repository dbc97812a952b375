/**
 * The rollup whose execution is an OP Stack client's, op-geth's: of each block what it is to be built of. Gas is counted in
 * gas limits, so that the client never refuses a transaction for what others in the block might use.
 */

import { RLP } from '@ethereumjs/rlp';
import { type Bytes32, concatBytes } from '@squad/types';
import { L1_ATTRIBUTES_GAS } from '../../config/op-chain.ts';
import type { RollupFile } from '../../config/rollup-file.ts';
import type { BlockEnvironment, BlockSummary } from '../../execution/api.ts';
import { encodeList } from '../../execution/evm/rlp.ts';
import { keccak256 } from '../../execution/keccak.ts';
import { OrderedExecutor } from '../../execution/ordered.ts';
import { numberKey } from '../../execution/store.ts';
import { MAX_OP_BLOCK_BYTES, MAX_OP_BLOCK_TRANSACTIONS } from './limits.ts';

export interface OpBlock {
  readonly summary: BlockSummary;
  /** As they were ordered; the L1 attributes are not among them. */
  readonly transactions: readonly Uint8Array[];
}

export class OpExecutor extends OrderedExecutor {
  readonly kind = 'op';

  static async open(file: RollupFile, directory: string): Promise<OpExecutor> {
    const blockGas = file.gasLimit - L1_ATTRIBUTES_GAS;
    return new OpExecutor(file, await OrderedExecutor.openBlocks(file, directory), blockGas);
  }

  /** A sealed block, provisional or durable; 0 has no transactions. */
  blockAt(number: number): OpBlock | undefined {
    if (number === 0) return { summary: this.genesis, transactions: [] };
    const block = this.sealedAt(number);
    if (block === undefined) return undefined;
    const [, ...transactions] = RLP.decode(block.body) as Uint8Array[];
    return { summary: block.summary, transactions };
  }

  protected isTooLarge(transactionCount: number, bytes: number): boolean {
    return transactionCount > MAX_OP_BLOCK_TRANSACTIONS || bytes > MAX_OP_BLOCK_BYTES;
  }

  /** The randomness is there for the hash. */
  protected encodeBody(transactions: readonly Uint8Array[], { randomness }: BlockEnvironment): Uint8Array {
    return encodeList([randomness, ...transactions]);
  }

  protected hashOf({ parentHash, number, timestampSeconds }: Omit<BlockSummary, 'hash'>, body: Uint8Array): Bytes32 {
    return keccak256(concatBytes(parentHash, numberKey(number), numberKey(timestampSeconds), body));
  }

  /** The client wants it to rise: blocks of one slot are a second apart. */
  protected override timeOf({ timestampSeconds }: BlockEnvironment): number {
    return Math.max(timestampSeconds, this.head.timestampSeconds + 1);
  }
}
