/** The transactions of a Nitro sequencer feed from its first message on, as they come. The format is checked by rollup-node's own tests. */

import { type Hex, toHex } from '@squad/types';
import { z } from 'zod';

const Broadcast = z.object({
  messages: z.array(z.object({ message: z.object({ message: z.object({ l2Msg: z.base64() }) }) })).default([]),
});
/** Kinds of an L2 message. */
const [BATCH, SIGNED_TRANSACTION] = [3, 4];

export class NitroFeed {
  readonly transactions: Hex[] = [];
  readonly #socket: WebSocket;

  constructor(url: string) {
    const headers = { 'Arbitrum-Feed-Client-Version': '2', 'Arbitrum-Requested-Sequence-Number': '1' };
    // Node's own takes headers, which browsers' do not.
    this.#socket = new WebSocket(url, { headers } as never);
    this.#socket.onmessage = ({ data }) => {
      for (const { message } of Broadcast.parse(JSON.parse(String(data))).messages) {
        this.transactions.push(...transactionsOf(Buffer.from(message.message.l2Msg, 'base64')));
      }
    };
  }

  close(): void {
    this.#socket.close();
  }
}

function transactionsOf(l2Message: Buffer): Hex[] {
  const [kind, rest] = [l2Message[0], l2Message.subarray(1)];
  if (kind === SIGNED_TRANSACTION) return [toHex(rest)];
  if (kind !== BATCH) throw new Error(`an L2 message of kind ${kind}`);
  const found: Hex[] = [];
  for (let at = 0; at < rest.length; ) {
    const end = at + 8 + Number(rest.readBigUInt64BE(at));
    found.push(...transactionsOf(rest.subarray(at + 8, end)));
    at = end;
  }
  return found;
}
