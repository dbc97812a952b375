/** The form of parameters of the Engine API: exactly the fields of the version, hex in its canonical forms. */

import { z } from 'zod';

const QUANTITY = /^0x(0|[1-9a-f][0-9a-f]*)$/;
const quantity = (bits: number) =>
  z
    .string()
    .regex(QUANTITY, { error: 'not a canonical quantity' })
    .refine((value) => QUANTITY.test(value) && BigInt(value) < 1n << BigInt(bits), { error: `above ${bits} bits` });
const data = (bytes: number) =>
  z.string().regex(new RegExp(`^0x[0-9a-f]{${2 * bytes}}$`), { error: `not ${bytes} bytes` });
const anyData = (least: number, most: number) =>
  z.string().regex(new RegExp(`^0x([0-9a-f]{2}){${least},${most}}$`), { error: `not ${least} to ${most} bytes` });
const transaction = z.string().regex(/^0x([0-9a-f]{2})+$/, { error: 'not bytes' });
const withdrawal = z.strictObject({
  index: quantity(64),
  validatorIndex: quantity(64),
  address: data(20),
  amount: quantity(64),
});

export const ExecutionPayloadV3 = z.strictObject({
  parentHash: data(32),
  feeRecipient: data(20),
  stateRoot: data(32),
  receiptsRoot: data(32),
  logsBloom: data(256),
  prevRandao: data(32),
  blockNumber: quantity(64),
  gasLimit: quantity(64),
  gasUsed: quantity(64),
  timestamp: quantity(64),
  extraData: anyData(0, 32),
  baseFeePerGas: quantity(256),
  blockHash: data(32),
  transactions: z.array(transaction),
  withdrawals: z.array(withdrawal).max(16),
  blobGasUsed: quantity(64),
  excessBlobGas: quantity(64),
});

/** Of the OP Stack's fork Isthmus. */
export const OpExecutionPayload = ExecutionPayloadV3.extend({ withdrawalsRoot: data(32) });

const Requests = z
  .array(transaction.refine((request) => request.length > 4, { error: 'an empty request' }))
  .refine((all) => all.every((each, at) => at === 0 || all[at - 1]!.slice(2, 4) < each.slice(2, 4)), {
    error: 'types are not in strictly ascending order',
  });

export const NewPayloadV4 = z.tuple([ExecutionPayloadV3, z.array(data(32)), data(32), Requests]);
export const OpNewPayloadV4 = z.tuple([OpExecutionPayload, z.array(data(32)), data(32), Requests]);

const ForkchoiceStateV1 = z.strictObject({
  headBlockHash: data(32),
  safeBlockHash: data(32),
  finalizedBlockHash: data(32),
});

const PayloadAttributesV3 = z.strictObject({
  timestamp: quantity(64),
  prevRandao: data(32),
  suggestedFeeRecipient: data(20),
  withdrawals: z.array(withdrawal).max(16),
  parentBeaconBlockRoot: data(32),
});

/** With what op-geth and its kin add. */
export const ForcedAttributes = PayloadAttributesV3.extend({
  transactions: z.array(transaction),
  noTxPool: z.literal(true),
  gasLimit: quantity(64),
  eip1559Params: data(8).optional(),
  minBaseFee: z.number().min(0).optional(),
});

export const ForkchoiceUpdatedV3 = z.tuple([ForkchoiceStateV1, ForcedAttributes.nullable()]);
export const GetPayload = z.tuple([data(8)]);
export const AccountAt = z.tuple([data(20), z.strictObject({ blockHash: data(32) })]);
export const ExchangeCapabilities = z.tuple([
  z
    .array(z.string().regex(/^engine_\w+V\d+$/))
    .refine((all) => !all.includes('engine_exchangeCapabilities'), { error: 'names itself' }),
]);
export const BlockByNumber = z.tuple([z.union([quantity(64), z.enum(['latest', 'safe', 'finalized'])]), z.boolean()]);
export const None = z.tuple([]);
