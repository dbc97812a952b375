/** A sequencer of an honest chain behind a real JSON-RPC server, which lies where a test tells it to. */

import { keccak256, sha256 } from '@squad/crypto/node';
import {
  createRpcServer,
  defineMethod,
  defineSubscription,
  Quantity,
  RpcError,
  type RpcServer,
  silentLogger,
} from '@squad/service';
import {
  BlockProof,
  bodyTransactions,
  FeedBlock,
  FeedStage,
  HandOverProof,
  type Height,
  type RollupId,
  receiptToJson,
  toHex,
} from '@squad/types';
import { z } from 'zod';
import { proveTransaction } from '../src/index.ts';
import type { HonestChain } from '../src/testing/index.ts';

export interface Lies {
  /** What it sends in place of a block; undefined: nothing. */
  readonly feed?: (block: FeedBlock) => FeedBlock | undefined;
  /** What it sends in place of a sequence. */
  readonly says?: unknown;
  /** It tells of no block above this height. */
  readonly head?: Height;
  /** What it answers in place of a receipt. */
  readonly receipt?: (honest: unknown) => unknown;
  readonly blockProof?: (proof: BlockProof) => BlockProof;
  readonly handOver?: (proof: HandOverProof) => HandOverProof;
  /** It takes transactions and orders none. */
  readonly drops?: boolean;
  /** Takes none, with this error. */
  readonly refuses?: { readonly rpcCode: number; readonly code: string };
}

export class FakeSequencer {
  readonly chain: HonestChain;
  lies: Lies;
  /** Transactions that it was given. */
  readonly taken: string[] = [];
  /** Called with what it takes, unless it drops it. */
  onTaken: (rollupId: RollupId, transaction: Uint8Array) => void = () => {};
  /** Heights from which on it was asked for the sequence. */
  readonly subscribed: Height[] = [];
  #server!: RpcServer;
  readonly #left = Promise.withResolvers<void>();
  readonly #listeners = new Set<() => void>();

  private constructor(chain: HonestChain, lies: Lies) {
    this.chain = chain;
    this.lies = lies;
  }

  static async start(chain: HonestChain, lies: Lies = {}): Promise<FakeSequencer> {
    const sequencer = new FakeSequencer(chain, lies);
    sequencer.#server = await createRpcServer({
      host: '127.0.0.1',
      port: 0,
      info: { title: 'fake', version: '0' },
      methods: sequencer.#methods(),
      subscriptions: [sequencer.#sequence()],
      logger: silentLogger,
    });
    return sequencer;
  }

  get url(): string {
    return this.#server.url;
  }

  get head(): Height {
    return Math.min(this.chain.head, this.lies.head ?? Number.POSITIVE_INFINITY);
  }

  /** The first of those who had subscribed went away. */
  get left(): Promise<void> {
    return this.#left.promise;
  }

  /** The chain has grown. */
  announce(): void {
    for (const listener of this.#listeners) listener();
  }

  async stop(): Promise<void> {
    await this.#server.close();
  }

  #methods() {
    const result = { name: 'result', description: 'result' };
    return [
      defineMethod({
        name: 'squad_sendTransactions',
        summary: 'takes transactions',
        params: { rollupId: Quantity, transactions: z.array(z.string()) },
        result,
        handler: ({ rollupId, transactions }) =>
          transactions.map((hex) => {
            const { refuses, drops } = this.lies;
            if (refuses)
              return { error: { code: refuses.rpcCode, message: 'refused', data: { code: refuses.code, remedy: '' } } };
            const known = this.taken.includes(hex);
            if (known)
              return { error: { code: -32000, message: 'known', data: { code: 'ALREADY_KNOWN', remedy: '' } } };
            this.taken.push(hex);
            const raw = Uint8Array.from(Buffer.from(hex.slice(2), 'hex'));
            if (!drops) this.onTaken(rollupId, raw);
            return { hash: toHex(keccak256(raw)) };
          }),
      }),
      defineMethod({
        name: 'squad_status',
        summary: 'where it stands',
        params: {},
        result,
        handler: () => ({ final: { height: this.head } }),
      }),
      defineMethod({
        name: 'squad_getReceipt',
        summary: 'a receipt',
        params: { hash: z.string() },
        result,
        handler: ({ hash }) => {
          const honest = this.#receipt(hash);
          return this.lies.receipt ? this.lies.receipt(honest) : honest;
        },
      }),
      defineMethod({
        name: 'squad_getHandOver',
        summary: 'a hand-over',
        params: { epoch: Quantity },
        result,
        handler: ({ epoch }) => {
          const proof = this.chain.handOver(epoch);
          return proof ? toHex(HandOverProof.serialize(this.lies.handOver?.(proof) ?? proof)) : null;
        },
      }),
      defineMethod({
        name: 'squad_getBlockProof',
        summary: 'a proof',
        params: { height: z.union([z.number(), z.literal('final')]) },
        result,
        handler: ({ height }) => {
          const at = height === 'final' ? this.head : height;
          if (at < 1 || at > this.head) return null;
          const honest = this.chain.blockProof(at);
          const proof = this.lies.blockProof?.(honest) ?? honest;
          return { encoded: toHex(BlockProof.serialize(proof)) };
        },
      }),
    ];
  }

  #receipt(hash: string): unknown {
    for (let height = 1; height <= this.head; height++) {
      for (const [batchIndex, ref] of this.chain.blocks[height]!.refs.entries()) {
        const batch = this.chain.batchOf(ref);
        const hashes = bodyTransactions(batch.body).map((raw) => toHex(keccak256(raw)) as string);
        const transactionIndex = hashes.indexOf(hash);
        if (transactionIndex < 0) continue;
        const place = { batchIndex, transactionIndex };
        return receiptToJson(proveTransaction(this.chain.blockProof(height), batch, place, { sha256, keccak256 }));
      }
    }
    return null;
  }

  #sequence() {
    return defineSubscription({
      namespace: 'squad',
      name: 'sequence',
      summary: 'the sequence',
      params: { rollupId: Quantity, fromHeight: Quantity, form: z.string() },
      result: { name: 'block', description: 'a block' },
      subscribe: ({ rollupId, fromHeight, form }, subscriber) => {
        if (form !== 'encoded') throw new RpcError(-32602, 'form', { code: 'FORM', remedy: '' });
        this.subscribed.push(fromHeight);
        if (this.lies.says !== undefined) {
          setImmediate(() => subscriber.emit(this.lies.says));
          return () => {};
        }
        let next = fromHeight;
        const send = (block: FeedBlock) => {
          const { feed } = this.lies;
          const sent = feed ? feed(block) : block;
          if (sent) subscriber.emit({ encoded: toHex(FeedBlock.serialize(sent)) });
        };
        let telling = Promise.resolve();
        const tell = async () => {
          for (; next <= this.head && !subscriber.closed.aborted; next++) {
            await subscriber.ready();
            send(this.chain.feedBlock(next, rollupId, { stage: FeedStage.soft }));
            await subscriber.ready();
            send(this.chain.feedBlock(next, rollupId));
          }
        };
        const tellOn = () => {
          telling = telling.then(tell);
        };
        this.#listeners.add(tellOn);
        setImmediate(tellOn);
        return () => {
          this.#listeners.delete(tellOn);
          this.#left.resolve();
        };
      },
    });
  }
}
