/** Parameters of the eth_* methods, in the form of https://github.com/ethereum/execution-apis, checked and decoded. */

import { hexBytes } from '@squad/service';
import { z } from 'zod';
import type { LogFilter } from '../execution/evm/log-matcher.ts';
import { MAX_FILTER_ALTERNATIVES } from './limits.ts';

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
const Hashed: z.ZodType<BlockReference, string> = Word.transform((hash) => ({ hash }));
const NOT_A_BLOCK = 'expected a block: latest, pending, safe, finalized, earliest, or a quantity';

/** A tag or a quantity. */
export const BlockNumber: z.ZodType<BlockReference, string> = z.union([Tag, Numbered], { error: NOT_A_BLOCK });

/** A tag, a quantity, a hash, or EIP-1898's object. */
const AnyBlock: z.ZodType<BlockReference, unknown> = z.union(
  [
    Tag,
    Numbered,
    Hashed,
    z.strictObject({ blockNumber: Numbered }).transform(({ blockNumber }) => blockNumber),
    z
      .strictObject({ blockHash: Word, requireCanonical: z.boolean().optional() })
      .transform(({ blockHash }): BlockReference => ({ hash: blockHash })),
  ],
  { error: `${NOT_A_BLOCK}, or a hash, or {blockHash} or {blockNumber}` },
);

/** Absent: latest. */
export const BlockChoice: z.ZodType<BlockReference, unknown> = AnyBlock.default({ tag: 'latest' });

/** Absent: pending, since what is estimated will be executed after that. */
export const PendingBlockChoice: z.ZodType<BlockReference, unknown> = AnyBlock.default({ tag: 'pending' });

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
