/**
 * What a strict execution client of the OP Stack does otherwise, as op-geth does it: blocks begin with a deposited
 * transaction, which the library does not know, `extraData` has Holocene's parameters, and `withdrawalsRoot` is a storage root.
 */

import { Block, createBlockHeader, type HeaderData } from '@ethereumjs/block';
import type { Common } from '@ethereumjs/common';
import { fromHex, type Hex, toHex } from '@squad/types';
import type { z } from 'zod';
import { indexedRoot } from '../../execution/evm/trie.ts';
import { decodeDeposit } from '../../stacks/op/deposit.ts';
import { decodeL1Attributes } from '../../stacks/op/l1-attributes.ts';
import type * as form from './form.ts';

type OpPayload = z.output<typeof form.OpExecutionPayload>;
type Attributes = z.output<typeof form.ForcedAttributes>;

/** Forks of the OP Stack that a strict client can be of. */
export type OpFork = 'isthmus' | 'jovian';

/** Denominator and elasticity where attributes say 0, 0. */
const DEFAULT_PARAMETERS = '000000fa00000006';
const DEPOSITOR = '0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001';
const EXTRA_DATA: Readonly<Record<OpFork, RegExp>> = {
  isthmus: /^0x00(?!0{8})[0-9a-f]{8}(?!0{8})[0-9a-f]{8}$/,
  jovian: /^0x01(?!0{8})[0-9a-f]{8}(?!0{8})[0-9a-f]{8}[0-9a-f]{16}$/,
};

/** Holocene's, of attributes; with a least base fee, Jovian's. */
export function extraDataOf(eip1559Params: string, minBaseFee?: number): Hex {
  const parameters = BigInt(eip1559Params) === 0n ? DEFAULT_PARAMETERS : eip1559Params.slice(2);
  if (minBaseFee === undefined) return `0x00${parameters}`;
  return `0x01${parameters}${BigInt(minBaseFee).toString(16).padStart(16, '0')}`;
}

/** What is wrong with attributes, if anything. `parent`: the first transaction of the block before; none of genesis. */
export function attributesFault(
  { transactions, timestamp, eip1559Params, minBaseFee }: Attributes,
  fork: OpFork,
  parent: string | undefined,
): string | undefined {
  if (eip1559Params === undefined) return 'holocene eip-1559 params should be 8 bytes, got 0';
  if ((minBaseFee === undefined) !== (fork === 'isthmus')) return 'a minBaseFee is of Jovian, which needs it';
  return depositFault(transactions, fork) ?? originFault(transactions, Number(timestamp), parent);
}

export function payloadFault({ transactions, extraData }: OpPayload, fork: OpFork): string | undefined {
  if (!EXTRA_DATA[fork].test(extraData)) return `extra data ${extraData}`;
  return depositFault(transactions, fork);
}

/** First the L1 attributes in the fork's form, then deposits, then all else. */
function depositFault(transactions: readonly string[], fork: OpFork): string | undefined {
  const [first, ...rest] = transactions;
  const attributes = first === undefined ? undefined : l1AttributesOf(first);
  if (attributes === undefined) return `the first transaction is not the L1 attributes: ${first?.slice(0, 20)}`;
  if (attributes.form !== fork) return `L1 attributes of ${attributes.form}`;
  const others = rest.findIndex((raw) => !raw.startsWith('0x7e'));
  const deposits = rest.slice(0, others < 0 ? undefined : others);
  const late = others < 0 ? -1 : rest.findIndex((raw, at) => at > others && raw.startsWith('0x7e'));
  if (late >= 0) return `transaction ${late + 1} is a deposit after what is none`;
  if (deposits.some((raw) => !decodeDeposit(fromHex(raw as Hex)).ok)) return 'a deposit that cannot be read';
  if (deposits.length > 0 && attributes.sequenceNumber > 0n)
    return 'deposits in a block that is not the first of its origin';
  return undefined;
}

/** The origin is the parent's or the one after it, and never later than the block. */
function originFault([first]: readonly string[], timestamp: number, parent: string | undefined): string | undefined {
  const now = l1AttributesOf(first!)!;
  if (BigInt(timestamp) < now.timestamp) return `L1 origin of ${now.timestamp} in a block of ${timestamp}`;
  const before = parent === undefined ? undefined : l1AttributesOf(parent);
  if (before === undefined) return undefined;
  const isSame = now.number === before.number && toHex(now.blockHash) === toHex(before.blockHash);
  const isNext = now.number === before.number + 1n && now.sequenceNumber === 0n;
  if (isNext || (isSame && now.sequenceNumber === before.sequenceNumber + 1n)) return undefined;
  return `L1 origin ${now.number}, ${now.sequenceNumber} after ${before.number}, ${before.sequenceNumber}`;
}

function l1AttributesOf(raw: string) {
  const deposit = decodeDeposit(fromHex(raw as Hex));
  if (!deposit.ok || toHex(deposit.value.from) !== DEPOSITOR) return undefined;
  const decoded = decodeL1Attributes(deposit.value.data);
  return decoded.ok ? { ...decoded.value.attributes, form: decoded.value.form } : undefined;
}

/** Header and root of the transactions; these themselves are not in the library's block. */
export function opBlockOf(payload: OpPayload, parentBeaconBlockRoot: Hex, requestsHash: Hex, common: Common): Block {
  const { feeRecipient, blockNumber, receiptsRoot, prevRandao, transactions } = payload;
  const header: HeaderData = {
    ...(payload as HeaderData),
    coinbase: feeRecipient as Hex,
    number: blockNumber as Hex,
    receiptTrie: receiptsRoot as Hex,
    mixHash: prevRandao as Hex,
    transactionsTrie: indexedRoot(transactions.map((raw) => fromHex(raw as Hex))),
    parentBeaconBlockRoot,
    requestsHash,
  };
  return new Block(createBlockHeader(header, { common, skipConsensusFormatValidation: true }), [], [], [], {
    common,
    skipConsensusFormatValidation: true,
  });
}
