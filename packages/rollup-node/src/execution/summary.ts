/** Block summaries and the head as they are stored by executors that keep nothing else of a block's header. */

import { type Bytes32, fromHex, toHex, ZERO_HASH } from '@squad/types';
import type { RollupFile } from '../config/rollup-file.ts';
import type { BlockSummary, Cursor } from './api.ts';

type StoredSummary = Omit<BlockSummary, 'hash' | 'parentHash' | 'stateRoot'> &
  Record<'hash' | 'parentHash' | 'stateRoot', string>;

export interface StoredHead {
  readonly latest: BlockSummary;
  readonly cursor: Cursor;
}

/** `identity`: the hash of the rollup file, from which everything follows. */
export function genesisSummary(file: RollupFile, identity: Bytes32): BlockSummary {
  const timestampSeconds = Math.floor(file.genesisTimeMs / 1000);
  const numbers = { number: 0, slot: -1, timestampSeconds, transactionCount: 0 };
  return { ...numbers, hash: identity, parentHash: ZERO_HASH, stateRoot: ZERO_HASH };
}

export function encodeSummary(summary: BlockSummary): Uint8Array {
  return encodeJson(toStored(summary));
}

export function decodeSummary(bytes: Uint8Array): BlockSummary {
  return fromStored(JSON.parse(new TextDecoder().decode(bytes)));
}

export function encodeHead({ latest, cursor }: StoredHead): Uint8Array {
  return encodeJson({ latest: toStored(latest), cursor: { ...cursor, hash: toHex(cursor.hash) } });
}

export function decodeHead(bytes: Uint8Array): StoredHead {
  const { latest, cursor } = JSON.parse(new TextDecoder().decode(bytes));
  return { latest: fromStored(latest), cursor: { ...cursor, hash: fromHex(cursor.hash) } };
}

function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function toStored(summary: BlockSummary): StoredSummary {
  const { hash, parentHash, stateRoot } = summary;
  return { ...summary, hash: toHex(hash), parentHash: toHex(parentHash), stateRoot: toHex(stateRoot) };
}

function fromStored(stored: StoredSummary): BlockSummary {
  const { hash, parentHash, stateRoot } = stored;
  return { ...stored, hash: fromHex(hash), parentHash: fromHex(parentHash), stateRoot: fromHex(stateRoot) };
}
