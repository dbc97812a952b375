/**
 * What a rollup file says of an OP Stack chain: the values that op-node would read from L1, of the L1 block at which the chain
 * begins, and from the chain's SystemConfig there. With `l1` both follow L1 from there on, by the anchors of the ordered
 * blocks; without, they stay as they are. The chain is of the fork Isthmus or Jovian, from genesis on.
 */

import { z } from 'zod';
import { address, wei, word } from './values.ts';

const uint32 = z.int().min(0).max(0xffff_ffff);
const uint16 = z.int().min(0).max(0xffff);
const safeInteger = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
/** Of the fork Prague (EIP-7691). */
const PRAGUE_BASE_FEE_UPDATE_FRACTION = 5_007_716;
/** Changes of L1's blob parameters that a rollup file may tell of. */
export const MAX_BLOB_SCHEDULE_ENTRIES = 64;

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
  /** Seconds since 1970 [jovian_time]; absent: the chain is of Isthmus. */
  jovianTime: safeInteger.optional(),
  /** In wei [genesis.system_config.minBaseFee]; of Jovian. */
  minBaseFee: safeInteger.default(0),
  /** [genesis.system_config.daFootprintGasScalar]; of Jovian. 0: the OP Stack's default, 400. */
  daFootprintGasScalar: uint16.default(0),
  /** Where the L1 is that the chain follows; absent: it follows none. */
  l1: z
    .strictObject({
      /** [l1_chain_id] */
      chainId: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
      /** The OptimismPortal [deposit_contract_address]. */
      depositContract: address,
      /** [l1_system_config_address] */
      systemConfig: address,
      /**
       * `baseFeeUpdateFraction` of L1's `blobSchedule` (EIP-7840), from an L1 time in seconds on: what the blob base fee
       * follows from. In ascending order, the first from 0 on.
       */
      blobSchedule: z
        .array(z.strictObject({ time: safeInteger, baseFeeUpdateFraction: z.int().min(1).max(0xffff_ffff) }))
        .min(1)
        .max(MAX_BLOB_SCHEDULE_ENTRIES)
        .default([{ time: 0, baseFeeUpdateFraction: PRAGUE_BASE_FEE_UPDATE_FRACTION }]),
    })
    .optional(),
});
export type OpChain = z.infer<typeof OpChain>;

/** What else has to be so in the rollup file. */
export function opChainFault(file: {
  readonly op?: OpChain | undefined;
  readonly hardfork: string;
  readonly genesisTimeMs: number;
  readonly blockTimeMs: number;
  readonly gasLimit: number;
  readonly alloc: object;
}): string | undefined {
  const { eip1559Denominator, eip1559Elasticity, jovianTime, minBaseFee, daFootprintGasScalar, l1 } = file.op!;
  if (file.hardfork !== 'prague') return 'needs the hardfork prague, which Isthmus is built upon';
  if (file.blockTimeMs < 1_000) return 'needs a blockTimeMs of 1000 or more: timestamps are whole seconds, and rise';
  if (file.gasLimit < MIN_GAS_LIMIT) {
    return `needs a gasLimit of ${MIN_GAS_LIMIT} or more: each block keeps ${L1_ATTRIBUTES_GAS} for its L1 attributes`;
  }
  if (Object.keys(file.alloc).length > 0) return "needs an empty alloc: the state is of the client's own genesis file";
  if ((eip1559Denominator === 0) !== (eip1559Elasticity === 0)) {
    return 'has one of eip1559Denominator and eip1559Elasticity: both are 0, or neither';
  }
  if (jovianTime !== undefined && jovianTime * 1000 > file.genesisTimeMs) {
    return 'has a jovianTime after genesis: the upgrade transactions of its first block are not known here';
  }
  if (jovianTime === undefined && (minBaseFee > 0 || daFootprintGasScalar > 0)) {
    return 'has a minBaseFee or daFootprintGasScalar, which are of Jovian, and no jovianTime';
  }
  if (
    l1 !== undefined &&
    !l1.blobSchedule.every(({ time }, at) => (at === 0 ? 0 : l1.blobSchedule[at - 1]!.time + 1) <= time)
  ) {
    return 'has an l1.blobSchedule that is not in ascending order';
  }
  if (l1 !== undefined && l1.blobSchedule[0]!.time !== 0) return 'has an l1.blobSchedule that does not begin at time 0';
  return undefined;
}

/** In a fixed order, however they are written. */
export function opChainFields({ genesisHash, l1Origin, batcher, l1, ...fees }: OpChain): unknown[] {
  const { number, hash, timestamp, baseFee, blobBaseFee } = l1Origin;
  return [
    genesisHash.toLowerCase(),
    [number, hash.toLowerCase(), timestamp, String(BigInt(baseFee)), String(BigInt(blobBaseFee))],
    batcher.toLowerCase(),
    [fees.baseFeeScalar, fees.blobBaseFeeScalar, fees.operatorFeeScalar, fees.operatorFeeConstant],
    [fees.eip1559Denominator, fees.eip1559Elasticity],
    // Absent where they are off: the hash of files from before there were such fields stays.
    ...(fees.jovianTime === undefined ? [] : [['jovian', fees.jovianTime, fees.minBaseFee, fees.daFootprintGasScalar]]),
    ...(l1 === undefined ? [] : [['l1', ...l1Fields(l1)]]),
  ];
}

function l1Fields({ chainId, depositContract, systemConfig, blobSchedule }: NonNullable<OpChain['l1']>): unknown[] {
  const schedule = blobSchedule.map(({ time, baseFeeUpdateFraction }) => [time, baseFeeUpdateFraction]);
  return [chainId, depositContract.toLowerCase(), systemConfig.toLowerCase(), schedule];
}
