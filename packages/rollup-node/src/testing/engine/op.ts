/**
 * What a strict execution client of the OP Stack does otherwise, as op-geth does it: blocks begin with a deposited
 * transaction, which the library does not know, `extraData` has Holocene's parameters, and `withdrawalsRoot` is a storage root.
 */

import { Block, createBlockHeader, type HeaderData } from '@ethereumjs/block';
import type { Common } from '@ethereumjs/common';
import { fromHex, type Hex } from '@squad/types';
import type { z } from 'zod';
import { indexedRoot } from '../../execution/evm/trie.ts';
import { decodeDeposit } from '../../stacks/op/deposit.ts';
import type * as form from './form.ts';

type OpPayload = z.output<typeof form.OpExecutionPayload>;
type Attributes = z.output<typeof form.ForcedAttributes>;

/** Denominator and elasticity where attributes say 0, 0. */
const DEFAULT_PARAMETERS = '000000fa00000006';

/** Holocene's, of attributes. */
export function extraDataOf(eip1559Params: string): Hex {
  return `0x00${BigInt(eip1559Params) === 0n ? DEFAULT_PARAMETERS : eip1559Params.slice(2)}`;
}

/** What is wrong with attributes or with a payload, if anything. */
export function attributesFault({ transactions, eip1559Params }: Attributes): string | undefined {
  if (eip1559Params === undefined) return 'holocene eip-1559 params should be 8 bytes, got 0';
  return depositFault(transactions);
}

export function payloadFault({ transactions, extraData }: OpPayload): string | undefined {
  if (!/^0x00(?!0{8})[0-9a-f]{8}(?!0{8})[0-9a-f]{8}$/.test(extraData)) return `extra data ${extraData}`;
  return depositFault(transactions);
}

function depositFault([first, ...rest]: readonly string[]): string | undefined {
  const deposit = first === undefined ? undefined : decodeDeposit(fromHex(first as Hex));
  if (deposit?.ok !== true) return `the first transaction is not the L1 attributes: ${first?.slice(0, 20)}`;
  const index = rest.findIndex((raw) => raw.startsWith('0x7e'));
  return index < 0 ? undefined : `transaction ${index + 1} is a deposit, of an L1 origin that has none`;
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
