/**
 * What a sequencer and a rollup node say to each other on a feed: one kind byte, then the message's encoding. A block
 * whose bodies do not fit into one frame goes as a `block` with the first of its batches, and each other batch, in ref
 * order, in a `batch` frame of its own; of other messages only `head` may come between them.
 */

import { ByteListType, ContainerType } from '@chainsafe/ssz';
import type { Height, RollupId } from './ids.ts';
import { concatBytes } from './ids.ts';
import { ok, type Result } from './result.ts';
import { decode, decodeError, HeightType, Uint16 } from './ssz.ts';
import { checkKind } from './vote.ts';
import { FeedAcknowledgement, FeedBlock, FeedStage, FeedSubscribe } from './wire.ts';

/** Bytes of one feed message. A block without bodies is below 300 KB, a batch at most 512 KiB and its header. */
export const MAX_FEED_MESSAGE_BYTES = 1024 * 1024;
/** Bytes of one block with all batches of one rollup, as it is put together by whoever reads a feed. */
export const MAX_FEED_BLOCK_BYTES = 272 * 1024 * 1024;
/** Final blocks that may be on their way to a rollup node without its acknowledgement. */
export const MAX_FEED_UNACKNOWLEDGED_BLOCKS = 64;
/** Bytes of them; one block may pass it when nothing else is on its way. */
export const MAX_FEED_UNACKNOWLEDGED_BYTES = 16 * 1024 * 1024;
/** Subscribing from here asks for no block yet, only for the sequencer's head. */
export const FEED_HEAD_ONLY: Height = Number.MAX_SAFE_INTEGER;

/** Why a sequencer ends a feed. */
export const FEED_ERROR_CODES = ['UNKNOWN_ROLLUP', 'BAD_MESSAGE', 'NOT_HELD', 'STOPPING'] as const;
export type FeedErrorCode = (typeof FEED_ERROR_CODES)[number];

export type FeedMessage =
  /** Rollup node: first of all, and again whenever it wants to go on from another height. */
  | { readonly type: 'subscribe'; readonly rollupId: RollupId; readonly fromHeight: Height }
  /** Rollup node: it has delivered every final block up to this height. */
  | { readonly type: 'acknowledge'; readonly height: Height }
  | { readonly type: 'block'; readonly block: FeedBlock }
  /** The next batch of the block that is under way, as `encodeBatch` makes it. */
  | { readonly type: 'batch'; readonly batch: Uint8Array }
  /** Sequencer: the height of its newest final block; after a subscription and then now and again. */
  | { readonly type: 'head'; readonly height: Height }
  /** Sequencer: why it closes the feed. */
  | { readonly type: 'error'; readonly code: FeedErrorCode; readonly message: string };

const KIND = { subscribe: 1, acknowledge: 2, block: 3, batch: 4, head: 5, error: 6 } as const;

const Head = new ContainerType({ height: HeightType }, { typeName: 'FeedHead' });
/** Bytes of UTF-8 in the message of a feed's error. */
const MAX_FEED_ERROR_BYTES = 256;
const FeedError = new ContainerType(
  { code: Uint16, message: new ByteListType(MAX_FEED_ERROR_BYTES) },
  { typeName: 'FeedError' },
);
/** Strict, and a byte order mark is a character like any other: only then has each message one encoding. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function encodeFeedMessage(message: FeedMessage): Uint8Array {
  switch (message.type) {
    case 'subscribe': {
      const { rollupId, fromHeight } = message;
      return frame(KIND.subscribe, FeedSubscribe.serialize({ rollupId, fromHeight }));
    }
    case 'acknowledge':
      return frame(KIND.acknowledge, FeedAcknowledgement.serialize({ height: message.height }));
    case 'block':
      return frame(KIND.block, FeedBlock.serialize(message.block));
    case 'batch':
      return frame(KIND.batch, message.batch);
    case 'head':
      return frame(KIND.head, Head.serialize({ height: message.height }));
    case 'error': {
      // What does not fit is cut off at a whole character.
      const text = new Uint8Array(MAX_FEED_ERROR_BYTES);
      const { written } = new TextEncoder().encodeInto(message.message, text);
      const code = FEED_ERROR_CODES.indexOf(message.code);
      return frame(KIND.error, FeedError.serialize({ code, message: text.subarray(0, written) }));
    }
  }
}

/** For hostile bytes. A `batch` is not decoded here: its content is judged with its block. */
export function decodeFeedMessage(bytes: Uint8Array): Result<FeedMessage> {
  if (bytes.length > MAX_FEED_MESSAGE_BYTES) {
    return decodeError(
      'FeedMessage',
      `${bytes.length} bytes, more than MAX_FEED_MESSAGE_BYTES = ${MAX_FEED_MESSAGE_BYTES}`,
    );
  }
  const payload = bytes.subarray(1);
  switch (bytes[0]) {
    case KIND.subscribe: {
      const subscribe = decode(FeedSubscribe, 'FeedSubscribe', payload);
      return subscribe.ok ? ok({ type: 'subscribe', ...subscribe.value }) : subscribe;
    }
    case KIND.acknowledge: {
      const acknowledgement = decode(FeedAcknowledgement, 'FeedAcknowledgement', payload);
      return acknowledgement.ok ? ok({ type: 'acknowledge', height: acknowledgement.value.height }) : acknowledgement;
    }
    case KIND.block: {
      const block = decodeFeedBlock(payload);
      return block.ok ? ok({ type: 'block', block: block.value }) : block;
    }
    case KIND.batch:
      return ok({ type: 'batch', batch: payload });
    case KIND.head: {
      const head = decode(Head, 'FeedHead', payload);
      return head.ok ? ok({ type: 'head', height: head.value.height }) : head;
    }
    case KIND.error:
      return decodeFeedError(payload);
    default:
      return decodeError('FeedMessage', bytes.length === 0 ? 'empty' : `unknown kind ${bytes[0]}`);
  }
}

/** The encoding, the stage, the flag and the certificate's kind; nothing that needs a key or a hash. */
export function decodeFeedBlock(bytes: Uint8Array): Result<FeedBlock> {
  if (bytes.length > MAX_FEED_BLOCK_BYTES) {
    return decodeError('FeedBlock', `${bytes.length} bytes, more than MAX_FEED_BLOCK_BYTES = ${MAX_FEED_BLOCK_BYTES}`);
  }
  const decoded = decode(FeedBlock, 'FeedBlock', bytes);
  if (!decoded.ok) return decoded;
  const { stage, bodiesOmitted, certificate } = decoded.value;
  if (stage !== FeedStage.soft && stage !== FeedStage.final) {
    return decodeError('FeedBlock', `stage ${stage} is neither 1 (soft) nor 2 (final)`);
  }
  if (bodiesOmitted > 1) return decodeError('FeedBlock', `bodiesOmitted is ${bodiesOmitted}, neither 0 nor 1`);
  const kind = checkKind('Certificate', certificate);
  return kind.ok ? ok({ ...decoded.value, certificate: kind.value }) : kind;
}

function decodeFeedError(payload: Uint8Array): Result<FeedMessage> {
  const error = decode(FeedError, 'FeedError', payload);
  if (!error.ok) return error;
  const code = FEED_ERROR_CODES[error.value.code];
  if (code === undefined) return decodeError('FeedError', `unknown code ${error.value.code}`);
  try {
    return ok({ type: 'error', code, message: utf8.decode(error.value.message) });
  } catch {
    return decodeError('FeedError', 'the message is not UTF-8');
  }
}

function frame(kind: number, payload: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(kind), payload);
}
