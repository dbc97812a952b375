/**
 * Load on an Ethereum node with signed transfers: batches of eth_sendRawTransaction. Final is what a block of newHeads
 * holds; a rollup node of SQUAD also tells what was executed in soft order, as newPendingTransactions.
 */

import { type Follower, followSubscription, rpcCall } from '@squad/service';
import { z } from 'zod';
import { nowUs } from './clock.ts';
import type { AnswerSummary, Request, RequestBody, RequestSource, Session, SessionContext } from './session.ts';
import { type SignedTransfer, signTransfer } from './transfer.ts';

const Head = z.object({ number: z.string() });
const Block = z.object({ transactions: z.array(z.string()) });
const Answers = z.array(
  z.union([
    z.object({ id: z.number(), result: z.string() }),
    z.object({ id: z.number(), error: z.object({ message: z.string(), data: z.unknown().optional() }) }),
  ]),
);

const RETRY_AFTER_MS = 50;
const BLOCK_TIMEOUT_MS = 10_000;
/** What nodes say of a transaction that they have taken already. */
const KNOWN = /already (known|imported)/i;

interface Sent {
  request: Request | undefined;
  softUs: number | undefined;
  finalUs: number | undefined;
}

/** Transfers of one sender, in the order of their nonces. */
class SignedSource implements RequestSource {
  readonly #transfers: readonly SignedTransfer[];
  readonly #firstNumber: number;
  readonly #perRequest: number;
  #next = 0;

  constructor(transfers: readonly SignedTransfer[], firstNumber: number, perRequest: number) {
    this.#transfers = transfers;
    this.#firstNumber = firstNumber;
    this.#perRequest = perRequest;
  }

  next(): RequestBody | undefined {
    const transfers = this.#transfers.slice(this.#next, this.#next + this.#perRequest);
    if (transfers.length === 0) return undefined;
    const first = this.#firstNumber + this.#next;
    this.#next += transfers.length;
    const calls = transfers.map(
      ({ raw }, id) =>
        `{"jsonrpc":"2.0","id":${id},"method":"eth_sendRawTransaction","params":["0x${raw.toString('hex')}"]}`,
    );
    return { bytes: Buffer.from(`[${calls.join(',')}]`, 'latin1'), first, count: transfers.length };
  }

  /** Sends this one and those after it again: nonces leave no gap. */
  rewindTo(number: number): void {
    this.#next = Math.min(this.#next, number - this.#firstNumber);
  }
}

export class EthereumSession implements Session {
  readonly #context: SessionContext;
  readonly #sent = new Map<string, Sent>();
  readonly #hashes: string[] = [];
  readonly #sources: { readonly first: number; readonly source: SignedSource }[] = [];
  readonly #followers: Follower[] = [];
  #blocks: Promise<void> = Promise.resolve();
  #unfinal = 0;
  #finalTwice = 0;

  constructor(context: SessionContext) {
    this.#context = context;
  }

  get unfinal(): number {
    return this.#unfinal;
  }

  get finalTwice(): number {
    return this.#finalTwice;
  }

  async open(): Promise<void> {
    await this.#follow('newHeads', (head) => {
      const { number } = Head.parse(head);
      this.#blocks = this.#blocks.then(() => this.#onHead(number));
    });
    if (this.#context.config.kind === 'squad-evm') {
      await this.#follow('newPendingTransactions', (hash) => this.#onSoft(z.string().parse(hash), nowUs()));
    }
  }

  createSource(connection: number): RequestSource {
    const { config, fill } = this.#context;
    const key = Buffer.from(config.senderKeys[connection]!.slice(2), 'hex');
    const to = new Uint8Array(20);
    const transfers = Array.from({ length: config.signedPerConnection }, (_, nonce) => {
      fill(to);
      return signTransfer(config.rollupIds[0]!, key, nonce, to);
    });
    const first = this.#hashes.length;
    for (const { hash } of transfers) this.#hashes.push(hash);
    const source = new SignedSource(transfers, first, config.transactionsPerRequest);
    this.#sources.push({ first, source });
    return source;
  }

  onAnswer(request: Request, { first, count }: RequestBody, bytes: Buffer): AnswerSummary {
    const parsed: unknown = JSON.parse(bytes.toString('utf8'));
    const answers = Answers.parse(Array.isArray(parsed) ? parsed : [parsed]);
    const rejected = answers.flatMap((answer) => {
      if ('result' in answer) return [];
      const { message } = answer.error;
      // Sent again after a rewind, though it had been taken: counted then.
      if (KNOWN.test(message)) return this.#sentOf(first + answer.id).request === undefined ? [] : [again(answer.id)];
      return [{ index: answer.id, code: message.replaceAll(/0x[0-9a-f]+|\d+/g, 'N').slice(0, 80) }];
    });
    const refused = new Set(rejected.map(({ index }) => index));
    for (let index = 0; index < count; index++) {
      if (!refused.has(index)) this.#accepted(request, first + index);
    }
    const failed = rejected.filter(({ code }) => code !== AGAIN);
    if (failed.length === 0) return { rejected, retryAfterMs: undefined };
    this.#rewind(first + Math.min(...failed.map(({ index }) => index)));
    return { rejected, retryAfterMs: RETRY_AFTER_MS };
  }

  close(): void {
    for (const follower of this.#followers) follower.close();
  }

  #follow(what: string, onNotification: (value: unknown) => void): Promise<void> {
    return new Promise((resolve) => {
      this.#followers.push(
        followSubscription({
          url: this.#context.target.webSocketUrl,
          method: 'eth_subscribe',
          params: () => [what],
          onSubscribed: resolve,
          onNotification,
        }),
      );
    });
  }

  #rewind(number: number): void {
    for (const { first, source } of this.#sources.toReversed()) {
      if (number < first) continue;
      source.rewindTo(number);
      return;
    }
  }

  #sentOf(number: number): Sent {
    return this.#entry(this.#hashes[number]!);
  }

  #entry(hash: string): Sent {
    let sent = this.#sent.get(hash);
    if (sent === undefined) {
      sent = { request: undefined, softUs: undefined, finalUs: undefined };
      this.#sent.set(hash, sent);
    }
    return sent;
  }

  #accepted(request: Request, number: number): void {
    const sent = this.#sentOf(number);
    if (sent.request !== undefined) return;
    sent.request = request;
    const { onReached } = this.#context;
    if (sent.softUs !== undefined) onReached('soft', request, sent.softUs, 1, undefined);
    if (sent.finalUs !== undefined) onReached('final', request, sent.finalUs, 1, undefined);
    else this.#unfinal++;
  }

  /** Of all clients' transactions those of others are noted too; they cost a place in a map. */
  #onSoft(hash: string, atUs: number): void {
    const sent = this.#entry(hash);
    if (sent.softUs !== undefined) return;
    sent.softUs = atUs;
    if (sent.request !== undefined) this.#context.onReached('soft', sent.request, atUs, 1, undefined);
  }

  async #onHead(number: string): Promise<void> {
    const { rpcUrl } = this.#context.target;
    const atUs = nowUs();
    const block = await rpcCall(rpcUrl, 'eth_getBlockByNumber', [number, false], Block, {
      timeoutMs: BLOCK_TIMEOUT_MS,
    });
    for (const hash of block.transactions) {
      const sent = this.#entry(hash);
      if (sent.finalUs !== undefined) {
        this.#finalTwice++;
        continue;
      }
      sent.finalUs = atUs;
      if (sent.request === undefined) continue;
      this.#context.onReached('final', sent.request, atUs, 1, undefined);
      this.#unfinal--;
    }
  }
}

const AGAIN = 'sent again';

function again(index: number): { index: number; code: string } {
  return { index, code: AGAIN };
}
