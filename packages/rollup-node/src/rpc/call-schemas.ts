/** Calls that are no transactions, and what they may have otherwise than the chain, as parameters (execution-apis). */

import { hexBytes } from '@squad/service';
import { fromHex, type Hex } from '@squad/types';
import { z } from 'zod';
import type { CallRequest } from '../execution/evm/call-request.ts';
import type { AccountOverride, BlockOverrides } from '../execution/evm/overrides.ts';
import {
  MAX_CALL_AUTHORIZATIONS,
  MAX_CALL_DATA_BYTES,
  MAX_OVERRIDDEN_ACCOUNTS,
  MAX_OVERRIDDEN_SLOTS,
} from './limits.ts';
import { Address, BigQuantity, Word } from './schemas.ts';

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
    chainId: BigQuantity.optional(),
    data: Input.optional(),
    input: Input.optional(),
    accessList: AccessList.optional(),
    authorizationList: AuthorizationList.optional(),
    blobVersionedHashes: z.undefined({ error: 'blob transactions are not part of this rollup' }).optional(),
  })
  .transform((call, context): CallRequest => {
    const { from = ZERO_ADDRESS, to, data, input, blobVersionedHashes: _, ...rest } = call;
    if (data === undefined || input === undefined || Buffer.compare(data, input) === 0) {
      return { ...rest, from, to: to ?? undefined, data: input ?? data };
    }
    const message = 'both "data" and "input" are set and not equal. Please use "input" to pass transaction call data';
    context.issues.push({ code: 'custom', input: call, message });
    return z.NEVER;
  });

export const Uint64: z.ZodType<bigint, string> = BigQuantity.refine((value) => value < 1n << 64n, {
  error: 'above 2^64-1',
});
const few = (most: number) => (record: object) => Object.keys(record).length <= most;
const Storage = z
  .record(z.string().regex(/^0x[0-9a-fA-F]{64}$/), Word)
  .refine(few(MAX_OVERRIDDEN_SLOTS), { error: `more than ${MAX_OVERRIDDEN_SLOTS} slots` })
  .transform((slots) => Object.entries(slots).map(([slot, value]) => [fromHex(slot as Hex), value] as const));

const Override = z.strictObject({
  nonce: Uint64.optional(),
  balance: BigQuantity.optional(),
  code: hexBytes({ maxBytes: MAX_CALL_DATA_BYTES }).optional(),
  state: Storage.optional(),
  stateDiff: Storage.optional(),
  movePrecompileToAddress: Address.optional(),
});

/** By address. */
export const StateOverrides: z.ZodType<readonly AccountOverride[], unknown> = z
  .record(z.string().regex(/^0x[0-9a-fA-F]{40}$/), Override)
  .refine(few(MAX_OVERRIDDEN_ACCOUNTS), { error: `more than ${MAX_OVERRIDDEN_ACCOUNTS} accounts` })
  .nullish()
  .transform((accounts) =>
    Object.entries(accounts ?? {}).map(
      ([address, override]): AccountOverride => ({ address: fromHex(address.toLowerCase() as Hex), ...override }),
    ),
  );

export const BLOCK_OVERRIDES = {
  number: BigQuantity.refine((value) => value <= BigInt(Number.MAX_SAFE_INTEGER)).optional(),
  time: Uint64.optional(),
  gasLimit: Uint64.optional(),
  feeRecipient: Address.optional(),
  prevRandao: Word.optional(),
  baseFeePerGas: BigQuantity.optional(),
  blobBaseFee: BigQuantity.optional(),
  // There is no difficulty any more: geth takes it and does nothing.
  difficulty: BigQuantity.optional(),
};
export const BlockOverride: z.ZodType<BlockOverrides, unknown> = z
  .strictObject(BLOCK_OVERRIDES)
  .nullish()
  .transform((overrides) => overrides ?? {});
