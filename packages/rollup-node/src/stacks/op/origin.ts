/**
 * L1 origins: the L1 block that each block of an OP Stack chain is told of, and what comes with it. A block's origin is its
 * parent's or the L1 block after that, never one further on: https://specs.optimism.io/protocol/derivation.html.
 */

import { RLP } from '@ethereumjs/rlp';
import { bytesToBigInt } from '@ethereumjs/util';
import { type Bytes32, fromHex, type Hex, ZERO_HASH } from '@squad/types';
import type { OpChain } from '../../config/op-chain.ts';
import { integerBytes } from '../../execution/evm/rlp.ts';
import { decodeSystemConfig, encodeSystemConfig, type SystemConfig } from './system-config.ts';

/** What L2 is told of an L1 block. Fees in wei. */
export interface L1Origin {
  readonly number: number;
  readonly hash: Bytes32;
  readonly parentHash: Bytes32;
  /** Seconds since 1970. */
  readonly timestamp: bigint;
  readonly baseFee: bigint;
  readonly blobBaseFee: bigint;
  /** Zero where the L1 block has none. */
  readonly parentBeaconBlockRoot: Bytes32;
}

/** A block's place after its L1 origin. */
export interface OriginPlace {
  readonly origin: L1Origin;
  /** Blocks with this origin before this one. */
  readonly sequenceNumber: number;
  /** As of this origin. */
  readonly config: SystemConfig;
}

const MIN_BLOB_BASE_FEE = 1n;

/** What the rollup file does not say, the parent's hash and the beacon root, is zero. */
export function genesisOrigin({ l1Origin }: OpChain): L1Origin {
  return {
    number: l1Origin.number,
    hash: fromHex(l1Origin.hash.toLowerCase() as Hex),
    parentHash: ZERO_HASH,
    timestamp: BigInt(l1Origin.timestamp),
    baseFee: BigInt(l1Origin.baseFee),
    blobBaseFee: BigInt(l1Origin.blobBaseFee),
    parentBeaconBlockRoot: ZERO_HASH,
  };
}

/** `fake_exponential` of EIP-4844, with a fraction that depends on the L1 block's time (EIP-7840, EIP-7892). */
export function blobBaseFee(
  schedule: NonNullable<OpChain['l1']>['blobSchedule'],
  timestamp: bigint,
  excessBlobGas: bigint | undefined,
): bigint {
  if (excessBlobGas === undefined) return MIN_BLOB_BASE_FEE;
  const entry = schedule.findLast(({ time }) => BigInt(time) <= timestamp) ?? schedule[0]!;
  const denominator = BigInt(entry.baseFeeUpdateFraction);
  let output = 0n;
  let term = MIN_BLOB_BASE_FEE * denominator;
  for (let i = 1n; term > 0n; i++) {
    output += term;
    term = (term * excessBlobGas) / (denominator * i);
  }
  return output / denominator;
}

/** As it is stored with a block. */
export function encodeOriginPlace({ origin, sequenceNumber, config }: OriginPlace): Uint8Array {
  const { number, hash, parentHash, timestamp, baseFee, blobBaseFee: blobFee, parentBeaconBlockRoot } = origin;
  const numbers = [BigInt(number), timestamp, baseFee, blobFee, BigInt(sequenceNumber)];
  return RLP.encode([
    hash,
    parentHash,
    parentBeaconBlockRoot,
    ...numbers.map(integerBytes),
    encodeSystemConfig(config),
  ]);
}

export function decodeOriginPlace(bytes: Uint8Array): OriginPlace {
  const [hash, parentHash, beaconRoot, ...rest] = RLP.decode(bytes) as Uint8Array[];
  const [number, timestamp, baseFee, blobFee, sequenceNumber, config] = rest;
  const origin = {
    number: Number(bytesToBigInt(number!)),
    hash: hash!,
    parentHash: parentHash!,
    timestamp: bytesToBigInt(timestamp!),
    baseFee: bytesToBigInt(baseFee!),
    blobBaseFee: bytesToBigInt(blobFee!),
    parentBeaconBlockRoot: beaconRoot!,
  };
  return { origin, sequenceNumber: Number(bytesToBigInt(sequenceNumber!)), config: decodeSystemConfig(config!) };
}
