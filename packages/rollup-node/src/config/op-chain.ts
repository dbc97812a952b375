/**
 * What a rollup file says of an OP Stack chain: the values that op-node would read from L1, of the one L1 origin that all
 * blocks have, and from the chain's SystemConfig there. They stay as they are: the network follows no L1.
 * The chain is of the fork Isthmus from genesis on, and of no later one.
 */

import { z } from 'zod';
import { address, wei, word } from './values.ts';

const uint32 = z.int().min(0).max(0xffff_ffff);
const safeInteger = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Gas that each block keeps for its L1 attributes transaction, whose gas limit this is. */
export const L1_ATTRIBUTES_GAS = 1_000_000;
const MIN_GAS_LIMIT = 2 * L1_ATTRIBUTES_GAS;

/** Names in brackets are those of op-node's `rollup.json`. */
export const OpChain = z.strictObject({
  /** Of the execution client [genesis.l2.hash]. */
  genesisHash: word,
  /** The L1 block at which the chain begins [genesis.l1], and its header's time in seconds and fees in wei. */
  l1Origin: z.strictObject({
    number: safeInteger,
    hash: word,
    timestamp: safeInteger,
    baseFee: wei,
    blobBaseFee: wei.default('1'),
  }),
  /** [genesis.system_config.batcherAddr] */
  batcher: address,
  /** What users pay for data on L1 [genesis.system_config.scalar]: 0, 0 is nothing. */
  baseFeeScalar: uint32.default(0),
  blobBaseFeeScalar: uint32.default(0),
  /** [genesis.system_config.operatorFeeParams] */
  operatorFeeScalar: uint32.default(0),
  operatorFeeConstant: safeInteger.default(0),
  /** [genesis.system_config.eip1559Params]; 0, 0: as in the execution client's genesis file. */
  eip1559Denominator: uint32.default(0),
  eip1559Elasticity: uint32.default(0),
});
export type OpChain = z.infer<typeof OpChain>;

/** What else has to be so in the rollup file. */
export function opChainFault(file: {
  readonly op?: OpChain | undefined;
  readonly hardfork: string;
  readonly blockTimeMs: number;
  readonly gasLimit: number;
  readonly alloc: object;
}): string | undefined {
  const { eip1559Denominator, eip1559Elasticity } = file.op!;
  if (file.hardfork !== 'prague') return 'needs the hardfork prague, which Isthmus is built upon';
  if (file.blockTimeMs < 1_000) return 'needs a blockTimeMs of 1000 or more: timestamps are whole seconds, and rise';
  if (file.gasLimit < MIN_GAS_LIMIT) {
    return `needs a gasLimit of ${MIN_GAS_LIMIT} or more: each block keeps ${L1_ATTRIBUTES_GAS} for its L1 attributes`;
  }
  if (Object.keys(file.alloc).length > 0) return "needs an empty alloc: the state is of the client's own genesis file";
  if ((eip1559Denominator === 0) !== (eip1559Elasticity === 0)) {
    return 'has one of eip1559Denominator and eip1559Elasticity: both are 0, or neither';
  }
  return undefined;
}

/** In a fixed order, however they are written. */
export function opChainFields({ genesisHash, l1Origin, batcher, ...fees }: OpChain): unknown[] {
  const { number, hash, timestamp, baseFee, blobBaseFee } = l1Origin;
  return [
    genesisHash.toLowerCase(),
    [number, hash.toLowerCase(), timestamp, String(BigInt(baseFee)), String(BigInt(blobBaseFee))],
    batcher.toLowerCase(),
    [fees.baseFeeScalar, fees.blobBaseFeeScalar, fees.operatorFeeScalar, fees.operatorFeeConstant],
    [fees.eip1559Denominator, fees.eip1559Elasticity],
  ];
}
