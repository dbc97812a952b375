/** The JSON-RPC methods of a ledger rollup. */

import { defineMethod, hexBytes, type RpcMethod, toQuantity } from '@squad/service';
import { MAX_TRANSACTION_BYTES, toHex } from '@squad/types';
import { z } from 'zod';
import type { SkippedTransactions } from '../derivation/skipped.ts';
import type { BlockSummary } from '../execution/api.ts';
import type { KeyValueExecutor } from '../execution/key-value/executor.ts';
import { decodeLedgerTransaction, MAX_LEDGER_KEY_LENGTH } from '../execution/ledger/transaction.ts';
import { refused } from './errors.ts';
import { formatSkipped } from './format.ts';
import type { RollupRpcPorts } from './ports.ts';
import { SmallQuantity, Word } from './schemas.ts';

export function ledgerMethods(
  rollup: { readonly executor: KeyValueExecutor; readonly skipped: SkippedTransactions },
  ports: RollupRpcPorts,
): RpcMethod[] {
  const { executor, skipped } = rollup;
  return [
    defineMethod({
      name: 'ledger_get',
      summary: 'The value of a key',
      params: {
        key: z.string().min(1).max(MAX_LEDGER_KEY_LENGTH),
        stage: z.enum(['latest', 'pending']).default('latest'),
      },
      result: { name: 'value', description: 'Empty if the key has none', schema: z.string() },
      handler: ({ key, stage }) => executor.read(key, stage),
    }),
    defineMethod({
      name: 'ledger_blockNumber',
      summary: 'Number of the newest block whose order is final',
      params: {},
      result: { name: 'number', description: 'A quantity' },
      handler: () => toQuantity(executor.latest.number),
    }),
    defineMethod({
      name: 'ledger_getBlock',
      summary: 'A block by number',
      params: { number: SmallQuantity },
      result: { name: 'block', description: 'null if there is none' },
      handler: ({ number }) => formatSummary(executor.blockAt(number)),
    }),
    defineMethod({
      name: 'ledger_send',
      summary: 'Sends a transaction (canonical JSON as bytes) to a sequencer',
      params: { transaction: hexBytes({ minBytes: 1, maxBytes: MAX_TRANSACTION_BYTES }) },
      result: { name: 'hash', description: '32 bytes' },
      handler: ({ transaction }) => {
        const decoded = decodeLedgerTransaction(transaction);
        if (!decoded.ok) throw refused(decoded.error, 'MALFORMED', 'Encode it with encodeLedgerTransaction.');
        return ports.submit(transaction);
      },
    }),
    skippedMethod(skipped),
  ];
}

export function skippedMethod(skipped: SkippedTransactions): RpcMethod {
  return defineMethod({
    name: 'squad_getSkippedTransaction',
    summary: 'Why a transaction that was ordered was not executed',
    params: { transactionHash: Word },
    result: { name: 'skipped', description: 'Code, reason and sequencer height; null if it is not known' },
    handler: ({ transactionHash }) => {
      const found = skipped.get(transactionHash);
      return found === undefined ? null : formatSkipped(found);
    },
  });
}

export function formatSummary(block: BlockSummary | undefined): unknown {
  if (block === undefined) return null;
  return {
    number: toQuantity(block.number),
    hash: toHex(block.hash),
    parentHash: toHex(block.parentHash),
    stateRoot: toHex(block.stateRoot),
    timestamp: toQuantity(block.timestampSeconds),
    transactionCount: toQuantity(block.transactionCount),
  };
}
