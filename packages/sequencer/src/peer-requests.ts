/** Answers what peers ask for: batches by digest, blocks by hash, final blocks by height (R21), ends of epochs (R22). */

import type { Consensus } from '@squad/consensus';
import type { RequestProtocol } from '@squad/network';
import type { NodeStore } from '@squad/storage';
import {
  BatchesRequest,
  BatchesResponse,
  Block,
  BlockRequest,
  BlockResponse,
  type Bytes32,
  decode,
  encodeRangeResponse,
  epochOfHeight,
  HandOverRequest,
  type Height,
  lastHeightOf,
  MAX_BLOCKS_PER_RANGE,
  RangeRequest,
  toHex,
} from '@squad/types';
import type { HandOvers } from './hand-overs.ts';

/** Bytes of blocks in one answer by height; beyond it only up to the first finalization. */
export const MAX_RANGE_ANSWER_BYTES: number = 2 * 1024 * 1024;

/** Bytes of batches after which an answer ends; one fits always. What is left out is asked for again. */
export const MAX_BATCHES_ANSWER_BYTES: number = 4 * 1024 * 1024;
/** Batches that are read at a time for an answer. */
const BATCHES_READ_AT_ONCE = 32;

/** Rejects for a request that is none: the stream is closed on it. */
export async function answerRequest(
  protocol: RequestProtocol,
  request: Uint8Array,
  node: {
    readonly store: NodeStore;
    readonly core: Pick<Consensus, 'block'>;
    readonly handOvers: Pick<HandOvers, 'encoded'>;
    readonly epochLengthBlocks: number;
  },
): Promise<Uint8Array> {
  switch (protocol) {
    case 'batches': {
      const digests = unwrap(decode(BatchesRequest, 'BatchesRequest', request));
      return BatchesResponse.serialize(await batches(node.store, digests));
    }
    case 'block': {
      const { hash } = unwrap(decode(BlockRequest, 'BlockRequest', request));
      const block = node.core.block(toHex(hash)) ?? (await finalBlock(node.store, hash));
      return BlockResponse.serialize(block ? [block] : []);
    }
    case 'range': {
      const { fromHeight } = unwrap(decode(RangeRequest, 'RangeRequest', request));
      const { epochLengthBlocks } = node;
      const lastHeight = lastHeightOf(epochOfHeight(fromHeight, epochLengthBlocks), epochLengthBlocks);
      return await range(node.store, fromHeight, lastHeight);
    }
    case 'handOver': {
      const { epoch } = unwrap(decode(HandOverRequest, 'HandOverRequest', request));
      return (await node.handOvers.encoded(epoch)) ?? new Uint8Array();
    }
  }
}

async function finalBlock(store: NodeStore, hash: Uint8Array): Promise<Block | undefined> {
  const height = await store.heightOf(toHex(hash));
  const stored = height === undefined ? undefined : await store.readBlock(height);
  return stored && Block.deserialize(stored.block);
}

async function batches(store: NodeStore, digests: readonly Bytes32[]): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  let bytes = 0;
  for (let from = 0; from < digests.length && bytes < MAX_BATCHES_ANSWER_BYTES; from += BATCHES_READ_AT_ONCE) {
    const read = await store.readBatches(digests.slice(from, from + BATCHES_READ_AT_ONCE).map(toHex));
    for (const batch of read) {
      if (batch === undefined || bytes >= MAX_BATCHES_ANSWER_BYTES) continue;
      bytes += batch.length;
      found.push(batch);
    }
  }
  return found;
}

/** Blocks of one epoch from a height on, up to the last one within the limits that has a finalization with it. */
async function range(store: NodeStore, fromHeight: Height, lastHeight: Height): Promise<Uint8Array> {
  const blocks: Uint8Array[] = [];
  let certificate: Uint8Array | undefined;
  let proven = 0;
  let bytes = 0;
  const count = Math.min(MAX_BLOCKS_PER_RANGE, lastHeight - fromHeight + 1);
  for (const stored of fromHeight === 0 ? [] : await store.readBlocks(fromHeight, count)) {
    bytes += stored.block.length;
    if (bytes > MAX_RANGE_ANSWER_BYTES && proven > 0) break;
    blocks.push(stored.block);
    if (stored.certificate) {
      certificate = stored.certificate;
      proven = blocks.length;
    }
  }
  return encodeRangeResponse(blocks.slice(0, proven), certificate ? [certificate] : []);
}

function unwrap<T>(result: { ok: true; value: T } | { ok: false; error: { what: string; reason: string } }): T {
  if (!result.ok) throw new RangeError(`${result.error.what}: ${result.error.reason}`);
  return result.value;
}
