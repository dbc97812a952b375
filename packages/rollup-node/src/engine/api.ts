/**
 * The ports of the engine driver: what it reads of the rollup, and what stands between a derived block and the block of an
 * execution client. Shapes are those of https://github.com/ethereum/execution-apis/tree/main/src/engine.
 */

import type { Hex } from '@squad/types';
import type { BlockSummary } from '../execution/api.ts';

/** A block of the rollup: what the driver needs of it. What a client needs is between the chain and its stack. */
export interface DerivedBlock {
  readonly summary: BlockSummary;
}

/** The rollup's own chain, read at any moment. */
export interface DerivedChain<Block extends DerivedBlock> {
  /** Number of the newest sealed block, soft order included; it may be undone. */
  readonly headNumber: number;
  /** Number of the newest block whose order is final; it never is. */
  readonly finalNumber: number;
  /** A sealed block. */
  blockAt(number: number): Block | undefined;
}

/** ExecutionPayloadV3, and what a stack adds to it. */
export interface ExecutionPayload {
  readonly parentHash: Hex;
  readonly feeRecipient: Hex;
  readonly stateRoot: Hex;
  readonly receiptsRoot: Hex;
  readonly logsBloom: Hex;
  readonly prevRandao: Hex;
  readonly blockNumber: Hex;
  readonly gasLimit: Hex;
  readonly gasUsed: Hex;
  readonly timestamp: Hex;
  readonly extraData: Hex;
  readonly baseFeePerGas: Hex;
  readonly blockHash: Hex;
  readonly transactions: readonly Hex[];
  readonly withdrawals: readonly unknown[];
  readonly blobGasUsed: Hex;
  readonly excessBlobGas: Hex;
}

/** PayloadAttributesV3, and what op-geth and its kin add: transactions that the block must hold, in this order. */
export interface PayloadAttributes {
  readonly timestamp: Hex;
  readonly prevRandao: Hex;
  readonly suggestedFeeRecipient: Hex;
  readonly withdrawals: readonly unknown[];
  readonly parentBeaconBlockRoot: Hex;
  readonly transactions: readonly Hex[];
  /** Always: nothing but `transactions` goes into the block. */
  readonly noTxPool: true;
  readonly gasLimit: Hex;
  /** 8 bytes, where the stack's fork asks for it (Holocene). */
  readonly eip1559Params?: Hex;
  /** In wei, where the stack's fork asks for it (Jovian); a number in JSON, unlike the others. */
  readonly minBaseFee?: number;
}

/** Of an answer of `eth_getBlockByNumber`. */
export interface ClientBlock {
  readonly number: number;
  readonly hash: Hex;
  readonly parentHash: Hex;
  /** Seconds since 1970. */
  readonly timestamp: number;
  /** `prevRandao`. */
  readonly mixHash: Hex;
  /** Hashes. */
  readonly transactions: readonly Hex[];
}

/** What a transaction asks of its sender. */
export interface Spending {
  readonly from: Hex;
  readonly nonce: bigint;
  /** The most that it may cost on L2, in wei: value and gas. */
  readonly cost: bigint;
}

/**
 * A stack of rollup software around an execution client, such as the OP Stack: from the derived block to what the client is
 * to build. Rollup block n becomes the client's block n. Deterministic: derived again after a restart, a block gives the
 * same attributes.
 */
export interface StackAdapter<Block extends DerivedBlock> {
  /** Hash of the client's block 0; another one is refused. */
  readonly genesisHash: Hex;
  /** Transactions of the stack's own (deposits, L1 attributes) go before the derived ones. */
  attributes(block: Block): PayloadAttributes | Promise<PayloadAttributes>;
  /** Whether a block of the client is the one that these attributes give. A block that matches has ancestors that do. */
  matches(block: Block, found: ClientBlock): boolean;
  /** Of a derived transaction. Where it is, the client judges them: those that it refuses are left out. */
  readonly spending?: (raw: Hex) => Spending;
  /** What is wrong with the block that the client built, if anything: it is not adopted then, and the driver stops. */
  check(block: Block, built: ExecutionPayload): string | undefined;
}
