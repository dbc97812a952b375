/** A block as messages of the feed: one batch in memory at a time, so that a large block costs a slow reader nothing here. */

import {
  type BatchDigest,
  encodeFeedMessage,
  FeedBlock,
  type FeedStage,
  MAX_FEED_MESSAGE_BYTES,
  type RollupId,
  toHex,
} from '@squad/types';
import type { FeedSource } from './api.ts';
import { type FinalBlock, notHeld } from './reader.ts';

export type BatchReader = Pick<FeedSource, 'readBatch'>;

/** What is posted: `stage` says what the certificate shows. */
export interface Post extends FinalBlock {
  readonly stage: FeedStage;
  readonly rollupId: RollupId;
  readonly bodiesOmitted: boolean;
}

/** The block with as many batches as fit into one message, then the others. Throws SquadError `FEED_NOT_HELD`. */
export async function* messagesOf(post: Post, reader: BatchReader): AsyncGenerator<Uint8Array, void, undefined> {
  const digests = post.bodiesOmitted ? [] : digestsOf(post);
  const block = bare(post);
  let room = MAX_FEED_MESSAGE_BYTES - 1 - FeedBlock.value_serializedSize(block);
  let next = 0;
  let ahead: Uint8Array | undefined;
  for (; next < digests.length; next++) {
    ahead = await read(reader, digests[next]!);
    // Its bytes, and its offset in the list.
    room -= ahead.length + 4;
    if (room < 0) break;
    block.batches.push(ahead);
  }
  yield encodeFeedMessage({ type: 'block', block });
  for (; next < digests.length; next++) {
    yield encodeFeedMessage({ type: 'batch', batch: ahead ?? (await read(reader, digests[next]!)) });
    ahead = undefined;
  }
}

/** The block as one value, with all its batches. Throws SquadError `FEED_NOT_HELD`. */
export async function wholeBlock(post: Post, reader: BatchReader): Promise<FeedBlock> {
  const block = bare(post);
  for (const digest of digestsOf(post)) block.batches.push(await read(reader, digest));
  return block;
}

function bare({ stage, rollupId, block, certificate, path, bodiesOmitted }: Post): FeedBlock {
  return { stage, rollupId, block, certificate, path: [...path], bodiesOmitted: bodiesOmitted ? 1 : 0, batches: [] };
}

function digestsOf({ block, rollupId }: Post): BatchDigest[] {
  return block.refs.filter((ref) => ref.rollupId === rollupId).map((ref) => toHex(ref.digest));
}

async function read(reader: BatchReader, digest: BatchDigest): Promise<Uint8Array> {
  const bytes = await reader.readBatch(digest);
  if (!bytes) throw notHeld(`batch ${digest}`);
  return bytes;
}
