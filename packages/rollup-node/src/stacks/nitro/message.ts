/**
 * Messages of a Nitro sequencer feed: https://github.com/OffchainLabs/nitro, broadcaster/message/message.go (the envelope and
 * what is signed), arbos/arbostypes/incomingmessage.go (the header), arbos/parse_l2.go (the L2 message). A block of the rollup is
 * one message, and its number is the sequence number. Message 0 is the chain's initialisation, which nodes have from their own
 * configuration or from L1: it is never served.
 */

import { type Bytes32, concatBytes } from '@squad/types';
import { keccak256 } from '../../execution/keccak.ts';
import { numberKey } from '../../execution/store.ts';

/** `L1MessageType_L2Message`. */
const L2_MESSAGE = 3;
/** `l1pricing.BatchPosterAddress`: stands for the sequencer. "sequencer" in ASCII after 0xa4b. */
const SEQUENCER = '0xa4b000000000000000000073657175656e636572';
/** The L2 message's kinds: a batch of others, each after its length as 8 bytes big-endian; one signed transaction. */
const BATCH = 3;
const SIGNED_TRANSACTION = 4;
const LENGTH_BYTES = 8;
/** The initialisation is the one message of the delayed inbox that was read; the feed takes nothing from L1 yet. */
const DELAYED_MESSAGES_READ = 1;
/** Of L1, from which the feed takes nothing yet. */
const L1_BLOCK_NUMBER = 0;
const FEED_VERSION = 1;

/** What one block gives. */
export interface NitroMessage {
  readonly sequenceNumber: number;
  /** Seconds since 1970. */
  readonly timestampSeconds: number;
  readonly l2Message: Uint8Array;
}

/** 65 bytes: r, s, and 0 or 1. */
export type SignMessage = (hash: Bytes32) => Uint8Array;

/** As Nitro's own sequencer does it (`MessageFromTxes`): a transaction that is alone needs no batch around it. */
export function encodeL2Message(transactions: readonly Uint8Array[]): Uint8Array {
  if (transactions.length === 1) return concatBytes(Uint8Array.of(SIGNED_TRANSACTION), transactions[0]!);
  const parts = transactions.flatMap((raw) => [numberKey(raw.length + 1), Uint8Array.of(SIGNED_TRANSACTION), raw]);
  return concatBytes(Uint8Array.of(BATCH), ...parts);
}

/** Bytes of the L2 message of so many transactions with so many bytes in all, at most. */
export function l2MessageBytes(transactionCount: number, transactionBytes: number): number {
  return 1 + transactionCount * (LENGTH_BYTES + 1) + transactionBytes;
}

/** What is signed (`BroadcastFeedMessage.SignatureHash`). Absent fields, such as the request id, add nothing. */
export function signatureHash({ sequenceNumber, timestampSeconds, l2Message }: NitroMessage, chainId: number): Bytes32 {
  return keccak256(
    concatBytes(
      new TextEncoder().encode('Arbitrum Nitro Feed:'),
      numberKey(chainId),
      numberKey(sequenceNumber),
      numberKey(DELAYED_MESSAGES_READ),
      Uint8Array.of(L2_MESSAGE),
      Buffer.from(SEQUENCER.slice(2), 'hex'),
      numberKey(L1_BLOCK_NUMBER),
      numberKey(timestampSeconds),
      l2Message,
    ),
  );
}

/** One `BroadcastFeedMessage` as JSON, fields in Nitro's order. No block hash: nothing is executed here. */
export function encodeFeedMessage(message: NitroMessage, chainId: number, sign: SignMessage | undefined): string {
  const { sequenceNumber, timestampSeconds, l2Message } = message;
  const header = {
    kind: L2_MESSAGE,
    sender: SEQUENCER,
    blockNumber: L1_BLOCK_NUMBER,
    timestamp: timestampSeconds,
    requestId: null,
    baseFeeL1: null,
  };
  return JSON.stringify({
    sequenceNumber,
    message: { message: { header, l2Msg: base64(l2Message) }, delayedMessagesRead: DELAYED_MESSAGES_READ },
    signatureV2: sign === undefined ? null : base64(sign(signatureHash(message, chainId))),
  });
}

/** A `BroadcastMessage` of messages that are JSON already. */
export function encodeBroadcast(messages: readonly string[]): string {
  return `{"version":${FEED_VERSION},"messages":[${messages.join(',')}]}`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
