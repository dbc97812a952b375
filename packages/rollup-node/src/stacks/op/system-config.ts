/**
 * The SystemConfig of an OP Stack chain: what its contract on L1 sets for L2, and the events by which it changes, as
 * https://github.com/ethereum-optimism/optimism, op-node/rollup/derive/system_config.go, reads them: one that cannot be read
 * changes nothing.
 */

import { RLP } from '@ethereumjs/rlp';
import { bytesToBigInt } from '@ethereumjs/util';
import { type Bytes32, concatBytes, equalBytes, err, fromHex, ok, type Result } from '@squad/types';
import type { OpChain } from '../../config/op-chain.ts';
import { integerBytes } from '../../execution/evm/rlp.ts';
import { keccak256 } from '../../execution/keccak.ts';

export interface SystemConfig {
  /** 20 bytes. */
  readonly batcher: Uint8Array;
  readonly baseFeeScalar: bigint;
  readonly blobBaseFeeScalar: bigint;
  readonly gasLimit: bigint;
  /** 0, 0: as in the execution client's genesis file. */
  readonly eip1559Denominator: bigint;
  readonly eip1559Elasticity: bigint;
  readonly operatorFeeScalar: bigint;
  readonly operatorFeeConstant: bigint;
  /** In wei; of Jovian. */
  readonly minBaseFee: bigint;
  /** Of Jovian; 0: `DEFAULT_DA_FOOTPRINT_GAS_SCALAR`. */
  readonly daFootprintGasScalar: bigint;
}

export const DEFAULT_DA_FOOTPRINT_GAS_SCALAR = 400n;
/** event ConfigUpdate(uint256 indexed version, UpdateType indexed updateType, bytes data) */
export const CONFIG_UPDATE_EVENT: Bytes32 = keccak256(new TextEncoder().encode('ConfigUpdate(uint256,uint8,bytes)'));
const WORD_BYTES = 32;
const NUMBERS: readonly Exclude<keyof SystemConfig, 'batcher'>[] = [
  'baseFeeScalar',
  'blobBaseFeeScalar',
  'gasLimit',
  'eip1559Denominator',
  'eip1559Elasticity',
  'operatorFeeScalar',
  'operatorFeeConstant',
  'minBaseFee',
  'daFootprintGasScalar',
];

export function genesisSystemConfig(chain: OpChain, gasLimit: number): SystemConfig {
  return {
    batcher: fromHex(chain.batcher.toLowerCase() as `0x${string}`),
    baseFeeScalar: BigInt(chain.baseFeeScalar),
    blobBaseFeeScalar: BigInt(chain.blobBaseFeeScalar),
    gasLimit: BigInt(gasLimit),
    eip1559Denominator: BigInt(chain.eip1559Denominator),
    eip1559Elasticity: BigInt(chain.eip1559Elasticity),
    operatorFeeScalar: BigInt(chain.operatorFeeScalar),
    operatorFeeConstant: BigInt(chain.operatorFeeConstant),
    minBaseFee: BigInt(chain.minBaseFee),
    daFootprintGasScalar: BigInt(chain.daFootprintGasScalar),
  };
}

/** What a log of `CONFIG_UPDATE_EVENT` changes. */
export function configUpdate(log: {
  readonly topics: readonly Uint8Array[];
  readonly data: Uint8Array;
}): Result<Partial<SystemConfig>, string> {
  const [event, version, type] = log.topics;
  if (log.topics.length !== 3 || !equalBytes(event!, CONFIG_UPDATE_EVENT)) return err('not a ConfigUpdate event');
  if (version!.some((byte) => byte !== 0)) return err('a version that is not known');
  if (bytesToBigInt(type!) > BigInt(Number.MAX_SAFE_INTEGER)) return err('a type that is not known');
  const kind = Number(bytesToBigInt(type!));
  // The unsafe block signer: nobody gossips unsafe blocks here.
  if (kind === 3) return ok({});
  const data = updateData(log.data, kind === 1 ? 2 : 1);
  if (!data.ok) return data;
  switch (kind) {
    case 0:
      return leading(data.value, 20, (batcher) => ok({ batcher }));
    case 1:
      return ok(scalars(data.value.subarray(WORD_BYTES)));
    case 2:
      return leading(data.value, 8, (gasLimit) => ok({ gasLimit: bytesToBigInt(gasLimit) }));
    case 4:
      return eip1559(data.value);
    case 5:
      return ok({ operatorFeeScalar: field(data.value, 20, 24), operatorFeeConstant: field(data.value, 24, 32) });
    case 6:
      return leading(data.value, 8, (minBaseFee) => ok({ minBaseFee: bytesToBigInt(minBaseFee) }));
    case 7:
      return leading(data.value, 2, (scalar) => ok({ daFootprintGasScalar: bytesToBigInt(scalar) }));
    default:
      return err(`type ${kind} is not known`);
  }
}

/** ABI encoding of one `bytes` of so many words, and nothing more. */
function updateData(data: Uint8Array, words: number): Result<Uint8Array, string> {
  if (data.length !== (2 + words) * WORD_BYTES) return err(`${data.length} bytes of data`);
  if (field(data, 0, 32) !== 32n || field(data, 32, 64) !== BigInt(words * WORD_BYTES)) {
    return err('the data are not where they belong');
  }
  return ok(data.subarray(2 * WORD_BYTES));
}

/** The last so many bytes of a word, the others of which are zero. */
function leading<T>(
  word: Uint8Array,
  bytes: number,
  then: (value: Uint8Array) => Result<T, string>,
): Result<T, string> {
  if (field(word, 0, WORD_BYTES - bytes) !== 0n) return err('a value too large');
  return then(word.subarray(WORD_BYTES - bytes));
}

/**
 * The scalar of `setGasConfig` (version 0) or `setGasConfigEcotone` (version 1); one in no form of the two changes nothing.
 * https://specs.optimism.io/protocol/system-config.html#ecotone-scalar-overhead-uint256uint256-change
 */
function scalars(word: Uint8Array): Partial<SystemConfig> {
  const baseFeeScalar = field(word, 28, 32);
  if (word[0] === 0 && field(word, 1, 28) === 0n) return { baseFeeScalar, blobBaseFeeScalar: 0n };
  if (word[0] === 1 && field(word, 1, 24) === 0n) return { baseFeeScalar, blobBaseFeeScalar: field(word, 24, 28) };
  return {};
}

function eip1559(word: Uint8Array): Result<Partial<SystemConfig>, string> {
  const eip1559Denominator = field(word, 24, 28);
  const eip1559Elasticity = field(word, 28, 32);
  if ((eip1559Denominator === 0n) !== (eip1559Elasticity === 0n)) return err('one of the EIP-1559 parameters is 0');
  return ok({ eip1559Denominator, eip1559Elasticity });
}

function field(bytes: Uint8Array, from: number, to: number): bigint {
  return bytesToBigInt(bytes.subarray(from, to));
}

/** As it is stored with a block. */
export function encodeSystemConfig(config: SystemConfig): Uint8Array {
  return RLP.encode([config.batcher, ...NUMBERS.map((name) => integerBytes(config[name]))]);
}

export function decodeSystemConfig(bytes: Uint8Array): SystemConfig {
  const [batcher, ...numbers] = RLP.decode(bytes) as [Uint8Array, ...Uint8Array[]];
  const fields = NUMBERS.map((name, at) => [name, bytesToBigInt(numbers[at]!)] as const);
  return { batcher, ...(Object.fromEntries(fields) as Record<(typeof NUMBERS)[number], bigint>) };
}

/** The 32 bytes by which L1 attributes name the batcher. */
export function batcherHash({ batcher }: SystemConfig): Bytes32 {
  return concatBytes(new Uint8Array(WORD_BYTES - batcher.length), batcher);
}
