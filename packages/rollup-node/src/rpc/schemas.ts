/** Parameters of the eth_* methods, in the form of https://github.com/ethereum/execution-apis, checked and decoded. */

import { hexBytes } from '@squad/service';
import { z } from 'zod';
import type { CallRequest } from '../execution/evm/call-request.ts';
import type { LogFilter } from '../execution/evm/history.ts';
import { MAX_CALL_AUTHORIZATIONS, MAX_CALL_DATA_BYTES, MAX_FILTER_ALTERNATIVES } from './limits.ts';

const QUANTITY = /^0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})$/;

export const Address: z.ZodType<Uint8Array, string> = hexBytes({ minBytes: 20, maxBytes: 20 });
export const Word: z.ZodType<Uint8Array, string> = hexBytes({ minBytes: 32, maxBytes: 32 });

/** 0x-hex without leading zeros, up to 32 bytes. */
export const BigQuantity: z.ZodType<bigint, string> = z
  .string()
  .regex(QUANTITY, { error: 'expected a quantity: 0x and hex digits without leading zeros, at most 32 bytes' })
  .transform((text) => (QUANTITY.test(text) ? BigInt(text) : 0n));

/** An index or a count: a quantity below 2^53. */
export const SmallQuantity: z.ZodType<number, string> = BigQuantity.transform((value, context): number => {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  context.issues.push({ code: 'custom', input: value, message: 'above 2^53-1' });
  return z.NEVER;
}) as z.ZodType<number, string>;

/** A storage slot: 32 bytes, or a quantity, as clients send either. */
export const Slot: z.ZodType<Uint8Array, string> = z.string().transform((text, context): Uint8Array => {
  if (/^0x[0-9a-fA-F]{1,64}$/.test(text)) return new Uint8Array(Buffer.from(text.slice(2).padStart(64, '0'), 'hex'));
  context.issues.push({ code: 'custom', input: text, message: 'expected 0x and 1 to 64 hex digits' });
  return z.NEVER;
});

export type BlockTag = 'latest' | 'pending' | 'safe' | 'finalized' | 'earliest';
export type BlockReference = { readonly tag: BlockTag } | { readonly number: number } | { readonly hash: Uint8Array };

const Tag: z.ZodType<BlockReference, string> = z
  .enum(['latest', 'pending', 'safe', 'finalized', 'earliest'])
  .transform((tag) => ({ tag }));
const Numbered: z.ZodType<BlockReference, string> = SmallQuantity.transform((number) => ({ number }));
const NOT_A_BLOCK = 'expected a block: latest, pending, safe, finalized, earliest, or a quantity';

/** A tag or a quantity. */
export const BlockNumber: z.ZodType<BlockReference, string> = z.union([Tag, Numbered], { error: NOT_A_BLOCK });

/** A tag, a quantity, or EIP-1898's object. */
const AnyBlock: z.ZodType<BlockReference, unknown> = z.union(
  [
    Tag,
    Numbered,
    z.strictObject({ blockNumber: Numbered }).transform(({ blockNumber }) => blockNumber),
    z
      .strictObject({ blockHash: Word, requireCanonical: z.boolean().optional() })
      .transform(({ blockHash }): BlockReference => ({ hash: blockHash })),
  ],
  { error: `${NOT_A_BLOCK}, or {blockHash} or {blockNumber}` },
);

/** Absent: latest. */
export const BlockChoice: z.ZodType<BlockReference, unknown> = AnyBlock.default({ tag: 'latest' });

/** Absent: pending, since what is estimated will be executed after that. */
export const PendingBlockChoice: z.ZodType<BlockReference, unknown> = AnyBlock.default({ tag: 'pending' });

const AccessList = z
  .array(z.strictObject({ address: Address, storageKeys: z.array(Word).max(1000) }))
  .max(1000)
  .transform((items) => items.map(({ address, storageKeys }) => [address, storageKeys] as const));

/** EIP-7702; the fields as of eth_getTransactionByHash. */
const AuthorizationList = z
  .array(
    z.strictObject({
      chainId: BigQuantity,
      address: Address,
      nonce: BigQuantity,
      yParity: BigQuantity,
      r: BigQuantity,
      s: BigQuantity,
    }),
  )
  .max(MAX_CALL_AUTHORIZATIONS);

const Input = hexBytes({ maxBytes: MAX_CALL_DATA_BYTES });
const ZERO_ADDRESS = new Uint8Array(20);

/** The transaction object of eth_call and eth_estimateGas. `input` goes before `data`; they must not differ. */
export const Call: z.ZodType<CallRequest, unknown> = z
  .object({
    from: Address.optional(),
    to: Address.nullish(),
    gas: BigQuantity.optional(),
    gasPrice: BigQuantity.optional(),
    maxFeePerGas: BigQuantity.optional(),
    maxPriorityFeePerGas: BigQuantity.optional(),
    value: BigQuantity.optional(),
    nonce: BigQuantity.optional(),
    data: Input.optional(),
    input: Input.optional(),
    accessList: AccessList.optional(),
    authorizationList: AuthorizationList.optional(),
  })
  .transform((call, context): CallRequest => {
    const { from = ZERO_ADDRESS, to, data, input, ...rest } = call;
    const fault = faultOf(call);
    if (fault !== undefined) {
      context.issues.push({ code: 'custom', input: call, message: fault });
      return z.NEVER;
    }
    return { ...rest, from, to: to ?? undefined, data: input ?? data };
  });

function faultOf(call: {
  data?: Uint8Array | undefined;
  input?: Uint8Array | undefined;
  gasPrice?: bigint | undefined;
  maxFeePerGas?: bigint | undefined;
  maxPriorityFeePerGas?: bigint | undefined;
}): string | undefined {
  const { data, input, gasPrice, maxFeePerGas, maxPriorityFeePerGas } = call;
  if (data !== undefined && input !== undefined && Buffer.compare(data, input) !== 0) {
    return 'both "data" and "input" are set and not equal. Please use "input" to pass transaction call data';
  }
  if (gasPrice !== undefined && (maxFeePerGas !== undefined || maxPriorityFeePerGas !== undefined)) {
    return 'both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified';
  }
  if (maxFeePerGas !== undefined && maxPriorityFeePerGas !== undefined && maxFeePerGas < maxPriorityFeePerGas) {
    return `maxFeePerGas (${maxFeePerGas}) < maxPriorityFeePerGas (${maxPriorityFeePerGas})`;
  }
  return undefined;
}

/** One value or a list of alternatives; null matches anything. */
function alternatives(one: z.ZodType<Uint8Array, string>): z.ZodType<readonly Uint8Array[], unknown> {
  return z
    .union([one.transform((value) => [value]), z.array(one).max(MAX_FILTER_ALTERNATIVES), z.null().transform(() => [])])
    .default([]);
}

const FilterFields = {
  address: alternatives(Address),
  topics: z.array(alternatives(Word)).max(4).nullish(),
};

export interface LogQuery extends LogFilter {
  readonly from: BlockReference;
  readonly to: BlockReference;
}

/** The filter object of eth_getLogs and eth_newFilter: a range, or one block's hash. */
export const LogQuery: z.ZodType<LogQuery, unknown> = z
  .strictObject({
    ...FilterFields,
    fromBlock: BlockNumber.nullish(),
    toBlock: BlockNumber.nullish(),
    blockHash: Word.optional(),
  })
  .transform(({ address, topics, fromBlock, toBlock, blockHash }, context): LogQuery => {
    const filter = { addresses: address, topics: topics ?? [] };
    if (blockHash === undefined) {
      return { ...filter, from: fromBlock ?? { tag: 'latest' }, to: toBlock ?? { tag: 'latest' } };
    }
    if (fromBlock != null || toBlock != null) {
      context.issues.push({ code: 'custom', input: blockHash, message: 'cannot be given together with a range' });
      return z.NEVER;
    }
    return { ...filter, from: { hash: blockHash }, to: { hash: blockHash } };
  });

/** The filter object of a subscription to logs: no range. */
export const SubscribedLogs: z.ZodType<LogFilter, unknown> = z
  .object(FilterFields)
  .transform(({ address, topics }) => ({ addresses: address, topics: topics ?? [] }))
  .default({ addresses: [], topics: [] });
