/**
 * The L1 attributes transaction, the first of every block of an OP Stack chain: tells L2 of its L1 origin.
 * https://specs.optimism.io/protocol/deposits.html#l1-attributes-deposited-transaction, and for the call data
 * https://github.com/ethereum-optimism/optimism, op-node/rollup/derive/l1_block_info.go.
 */

import { type Bytes32, concatBytes, err, fromHex, ok, type Result } from '@squad/types';
import { keccak256 } from '../../execution/keccak.ts';
import { type DepositTransaction, l1AttributesSource } from './deposit.ts';

/** Named by the fork that brought the form. The first block of a fork still has the form before it. */
export type L1AttributesForm = 'bedrock' | 'ecotone' | 'isthmus' | 'jovian';

/** Amounts in wei. */
export interface L1Attributes {
  readonly number: bigint;
  /** Seconds since 1970. */
  readonly timestamp: bigint;
  readonly baseFee: bigint;
  readonly blockHash: Bytes32;
  /** L2 blocks with this L1 origin before this one. */
  readonly sequenceNumber: bigint;
  /** 32 bytes: the batcher's address, after 12 of zero. */
  readonly batcherHash: Bytes32;
  /** Bedrock only. */
  readonly feeOverhead: bigint;
  readonly feeScalar: bigint;
  /** From Ecotone. */
  readonly baseFeeScalar: bigint;
  readonly blobBaseFeeScalar: bigint;
  readonly blobBaseFee: bigint;
  /** From Isthmus. */
  readonly operatorFeeScalar: bigint;
  readonly operatorFeeConstant: bigint;
  /** From Jovian. */
  readonly daFootprintGasScalar: bigint;
}

type Field = readonly [name: keyof L1Attributes, bytes: number];

/** Call data after the selector: fields and their widths, big-endian. */
const BEDROCK: readonly Field[] = [
  ['number', 32],
  ['timestamp', 32],
  ['baseFee', 32],
  ['blockHash', 32],
  ['sequenceNumber', 32],
  ['batcherHash', 32],
  ['feeOverhead', 32],
  ['feeScalar', 32],
];
const ECOTONE: readonly Field[] = [
  ['baseFeeScalar', 4],
  ['blobBaseFeeScalar', 4],
  ['sequenceNumber', 8],
  ['timestamp', 8],
  ['number', 8],
  ['baseFee', 32],
  ['blobBaseFee', 32],
  ['blockHash', 32],
  ['batcherHash', 32],
];
const ISTHMUS: readonly Field[] = [...ECOTONE, ['operatorFeeScalar', 4], ['operatorFeeConstant', 8]];
const FORMS: Readonly<Record<L1AttributesForm, { readonly selector: Uint8Array; readonly fields: readonly Field[] }>> =
  {
    bedrock: {
      selector: selectorOf('setL1BlockValues(uint64,uint64,uint256,bytes32,uint64,bytes32,uint256,uint256)'),
      fields: BEDROCK,
    },
    ecotone: { selector: selectorOf('setL1BlockValuesEcotone()'), fields: ECOTONE },
    isthmus: {
      selector: selectorOf('setL1BlockValuesIsthmus()'),
      fields: ISTHMUS,
    },
    // https://specs.optimism.io/protocol/jovian/l1-attributes.html
    jovian: {
      selector: selectorOf('setL1BlockValuesJovian()'),
      fields: [...ISTHMUS, ['daFootprintGasScalar', 2]],
    },
  };
/** Fields that a form of 32-byte words holds as uint64. */
const UINT64: readonly (keyof L1Attributes)[] = ['number', 'timestamp', 'sequenceNumber'];

const DEPOSITOR = fromHex('0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001');
const L1_BLOCK = fromHex('0x4200000000000000000000000000000000000015');
const GAS_LIMIT = 1_000_000n;
const GAS_LIMIT_BEFORE_REGOLITH = 150_000_000n;

const NOTHING: L1Attributes = {
  number: 0n,
  timestamp: 0n,
  baseFee: 0n,
  blockHash: new Uint8Array(32),
  sequenceNumber: 0n,
  batcherHash: new Uint8Array(32),
  feeOverhead: 0n,
  feeScalar: 0n,
  baseFeeScalar: 0n,
  blobBaseFeeScalar: 0n,
  blobBaseFee: 0n,
  operatorFeeScalar: 0n,
  operatorFeeConstant: 0n,
  daFootprintGasScalar: 0n,
};

/** Throws a RangeError for a value that does not fit its field. */
export function encodeL1Attributes(form: L1AttributesForm, attributes: L1Attributes): Uint8Array {
  const { selector, fields } = FORMS[form];
  return concatBytes(selector, ...fields.map(([name, bytes]) => encodeField(name, attributes[name], bytes)));
}

/** What the form does not hold is zero. */
export function decodeL1Attributes(
  callData: Uint8Array,
): Result<{ readonly form: L1AttributesForm; readonly attributes: L1Attributes }, string> {
  const form = (Object.keys(FORMS) as L1AttributesForm[]).find(
    (name) => Buffer.compare(FORMS[name].selector, callData.subarray(0, 4)) === 0,
  );
  if (form === undefined) return err('not the call data of L1 attributes, or of a later fork');
  const attributes: Record<string, bigint | Uint8Array> = { ...NOTHING };
  let at = 4;
  for (const [name, bytes] of FORMS[form].fields) {
    const field = callData.subarray(at, at + bytes);
    at += bytes;
    if (field.length !== bytes) return err(`${callData.length} bytes are too few for ${form}`);
    const value = typeof NOTHING[name] === 'bigint' ? BigInt(`0x${Buffer.from(field).toString('hex')}`) : field;
    if (UINT64.includes(name) && (value as bigint) >= 2n ** 64n) return err(`${name} is no uint64`);
    attributes[name] = value;
  }
  if (at !== callData.length) return err(`${callData.length} bytes are too many for ${form}`);
  return ok({ form, attributes: attributes as unknown as L1Attributes });
}

/** `isRegolith`: the L2 block is of Regolith or later. */
export function l1AttributesDeposit(
  form: L1AttributesForm,
  attributes: L1Attributes,
  isRegolith: boolean,
): DepositTransaction {
  return {
    sourceHash: l1AttributesSource(attributes.blockHash, Number(attributes.sequenceNumber)),
    from: DEPOSITOR,
    to: L1_BLOCK,
    mint: 0n,
    value: 0n,
    gasLimit: isRegolith ? GAS_LIMIT : GAS_LIMIT_BEFORE_REGOLITH,
    isSystem: !isRegolith,
    data: encodeL1Attributes(form, attributes),
  };
}

function encodeField(name: string, value: bigint | Uint8Array, bytes: number): Uint8Array {
  const hex = typeof value === 'bigint' ? value.toString(16) : Buffer.from(value).toString('hex');
  if (hex.length > 2 * bytes || hex.startsWith('-')) throw new RangeError(`${name} does not fit ${bytes} bytes`);
  return Buffer.from(hex.padStart(2 * bytes, '0'), 'hex');
}

function selectorOf(signature: string): Uint8Array {
  return keccak256(new TextEncoder().encode(signature)).subarray(0, 4);
}
