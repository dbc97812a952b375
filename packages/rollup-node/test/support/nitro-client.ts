/**
 * A strict client of Nitro sequencer feeds, for tests: written from Nitro's own definitions and with other libraries than
 * the server's, so that the two agree only if both are right. It refuses what Nitro's client would overlook.
 *
 * Sources, https://github.com/OffchainLabs/nitro: broadcaster/message/message.go (envelope, SignatureHash),
 * arbos/arbostypes/incomingmessage.go (header), arbos/parse_l2.go (L2 messages), wsbroadcastserver/wsbroadcastserver.go and
 * broadcastclient/broadcastclient.go (handshake), arbnode/transaction_streamer.go (order).
 */

import { concat, type Hex, keccak256, numberToHex, parseTransaction, recoverAddress, stringToHex, toHex } from 'viem';
import { WebSocket } from 'ws';
import { z } from 'zod';

const MAX_L2_MESSAGE_BYTES = 256 * 1024;
const MAX_BATCH_DEPTH = 16;
const L2_MESSAGE = 3;
/** types.BlobTxType and all of Arbitrum's own are refused by ParseL2Transactions, and the whole message with them. */
const TRANSACTION_TYPES = ['legacy', 'eip2930', 'eip1559', 'eip7702'];

const hash = z.templateLiteral([z.literal('0x'), z.string().regex(/^[0-9a-f]{64}$/)]);
const address = z.templateLiteral([z.literal('0x'), z.string().regex(/^[0-9a-f]{40}$/)]);
/** Go encodes []byte as padded base64 of the standard alphabet. */
const bytes = z.base64();

const FeedMessage = z.strictObject({
  sequenceNumber: z.int().min(0),
  message: z.strictObject({
    message: z.strictObject({
      header: z.strictObject({
        kind: z.int().min(0).max(255),
        sender: address,
        blockNumber: z.int().min(0),
        timestamp: z.int().min(0),
        requestId: hash.nullable(),
        baseFeeL1: z.int().min(0).nullable(),
      }),
      l2Msg: bytes,
    }),
    delayedMessagesRead: z.int().min(0),
  }),
  blockHash: hash.optional(),
  /** Older releases call theirs `signature`, and sign other bytes. */
  signatureV2: bytes.nullable().optional(),
  blockMetadata: bytes.optional(),
});
export type FeedMessage = z.infer<typeof FeedMessage>;

const BroadcastMessage = z.strictObject({
  version: z.literal(1),
  messages: z.array(FeedMessage).min(1).optional(),
  confirmedSequenceNumberMessage: z.strictObject({ sequenceNumber: z.int().min(0) }).optional(),
});

export function parseBroadcast(text: string): z.infer<typeof BroadcastMessage> {
  return BroadcastMessage.parse(JSON.parse(text));
}

export function signatureHash(feedMessage: FeedMessage, chainId: number): Hex {
  const { sequenceNumber, message, blockHash, blockMetadata } = feedMessage;
  const { header, l2Msg } = message.message;
  const uint64 = (value: number) => numberToHex(value, { size: 8 });
  return keccak256(
    concat([
      stringToHex('Arbitrum Nitro Feed:'),
      uint64(chainId),
      uint64(sequenceNumber),
      (blockHash as Hex) ?? '0x',
      fromBase64(blockMetadata ?? ''),
      uint64(message.delayedMessagesRead),
      numberToHex(header.kind, { size: 1 }),
      header.sender as Hex,
      uint64(header.blockNumber),
      uint64(header.timestamp),
      (header.requestId as Hex) ?? '0x',
      // big.Int.Bytes: no leading zeros, and zero is no bytes.
      header.baseFeeL1 ? toHex(BigInt(header.baseFeeL1)) : '0x',
      fromBase64(l2Msg),
    ]),
  );
}

/** Raw transactions of a message, in order; throws where Nitro would drop the message. */
export function transactionsOf({ message: { message } }: FeedMessage): Uint8Array[] {
  const l2Message = Buffer.from(message.l2Msg, 'base64');
  if (message.header.kind !== L2_MESSAGE) throw new Error(`kind ${message.header.kind} holds no transactions`);
  if (l2Message.length > MAX_L2_MESSAGE_BYTES) throw new Error('the L2 message is too large');
  return parseL2Message(l2Message, 0);
}

function parseL2Message(l2Message: Buffer, depth: number): Uint8Array[] {
  const [kind, rest] = [l2Message[0], l2Message.subarray(1)];
  if (kind === 4) {
    const { type } = parseTransaction(toHex(rest));
    if (!TRANSACTION_TYPES.includes(String(type))) throw new Error(`a transaction of type ${type}`);
    return [new Uint8Array(rest)];
  }
  if (kind !== 3) throw new Error(`L2 message kind ${kind}`);
  if (depth >= MAX_BATCH_DEPTH) throw new Error('batches too deep');
  const found: Uint8Array[] = [];
  // Nitro ignores a rest that is too short for its length; here it is a fault.
  for (let at = 0; at < rest.length; ) {
    const length = Number(rest.readBigUInt64BE(at));
    if (length > MAX_L2_MESSAGE_BYTES || at + 8 + length > rest.length) throw new Error('a segment beyond the end');
    found.push(...parseL2Message(rest.subarray(at + 8, at + 8 + length), depth + 1));
    at += 8 + length;
  }
  return found;
}

function fromBase64(text: string): Hex {
  return toHex(Buffer.from(text, 'base64'));
}

export interface NitroClientOptions {
  readonly chainId: number;
  readonly requested?: string;
  readonly clientVersion?: string;
  /** Every message must be signed by it. */
  readonly signer?: Hex;
  readonly autoPong?: boolean;
}

/** Follows one feed. `messages` grow in order of sequence numbers, without a gap, from the first one that came. */
export class NitroClient {
  readonly socket: WebSocket;
  readonly messages: FeedMessage[] = [];
  /** Messages of each frame. */
  readonly frames: number[] = [];
  pings = 0;
  readonly #options: NitroClientOptions;
  readonly #closed: Promise<void>;
  #opened: Promise<void>;
  #fault: unknown;
  #wake = () => {};
  #work: Promise<void> = Promise.resolve();

  constructor(url: string, options: NitroClientOptions) {
    this.#options = options;
    const headers: Record<string, string> = { 'Arbitrum-Feed-Client-Version': options.clientVersion ?? '2' };
    if (options.requested !== undefined) headers['Arbitrum-Requested-Sequence-Number'] = options.requested;
    // Nitro's client offers compression as this library does: without context takeover, by default on.
    this.socket = new WebSocket(url, { headers, autoPong: options.autoPong ?? true, perMessageDeflate: true });
    this.#opened = new Promise((opened, failed) => {
      this.socket.on('upgrade', ({ headers: answer }) => {
        if (answer['arbitrum-feed-server-version'] !== '2') failed(new Error('incorrect feed server version'));
        if (answer['arbitrum-chain-id'] !== String(options.chainId)) failed(new Error('incorrect chain id'));
      });
      this.socket.on('open', opened);
      this.socket.on('error', failed);
    });
    this.#opened.catch(() => {});
    this.#closed = new Promise((closed) => {
      this.socket.on('close', () => closed());
    });
    this.socket.on('ping', () => this.pings++);
    this.socket.on('message', (data, isBinary) => {
      this.#work = this.#work.then(() => this.#take(String(data), isBinary)).catch((fault) => this.#fail(fault));
    });
  }

  opened(): Promise<void> {
    return this.#opened;
  }

  closed(): Promise<void> {
    return this.#closed;
  }

  /** Resolves when so many messages are there; throws as soon as anything was wrong. */
  async received(count: number): Promise<readonly FeedMessage[]> {
    await this.#opened;
    while (this.messages.length < count) {
      if (this.#fault !== undefined) throw this.#fault;
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
    if (this.#fault !== undefined) throw this.#fault;
    return this.messages;
  }

  close(): void {
    this.socket.terminate();
  }

  async #take(text: string, isBinary: boolean): Promise<void> {
    if (isBinary) throw new Error('a binary frame');
    const { messages = [] } = parseBroadcast(text);
    for (const message of messages) {
      const last = this.messages.at(-1);
      if (last !== undefined && message.sequenceNumber !== last.sequenceNumber + 1) {
        throw new Error(`sequence number ${message.sequenceNumber} after ${last.sequenceNumber}`);
      }
      if (last !== undefined && message.message.message.header.timestamp < last.message.message.header.timestamp) {
        throw new Error('time went back');
      }
      await this.#verify(message);
      transactionsOf(message);
      this.messages.push(message);
    }
    this.frames.push(messages.length);
    this.#wake();
  }

  async #verify(message: FeedMessage): Promise<void> {
    const { signer, chainId } = this.#options;
    if (signer === undefined) return;
    const signature = Buffer.from(message.signatureV2 ?? '', 'base64');
    // crypto.SigToPub: 65 bytes, the last one 0 or 1.
    if (signature.length !== 65 || signature[64]! > 1) throw new Error('no signature that Go-Ethereum would take');
    const asHex = toHex(Buffer.concat([signature.subarray(0, 64), Buffer.of(27 + signature[64]!)]));
    const found = await recoverAddress({ hash: signatureHash(message, chainId), signature: asHex });
    if (found.toLowerCase() !== signer.toLowerCase()) throw new Error(`signed by ${found}`);
  }

  #fail(fault: unknown): void {
    this.#fault ??= fault;
    this.#wake();
  }
}
