/** How transactions reach the sequencers: by JSON-RPC to one that takes them, or by gossip. */

import {
  createRpcServer,
  defineMethod,
  Quantity,
  RpcCode,
  RpcError,
  type RpcServer,
  rpcCall,
  silentLogger,
} from '@squad/service';
import { decode, fromHex, GossipTransactions, toHex } from '@squad/types';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { keccak256 } from '../src/execution/keccak.ts';
import { MAX_PENDING_SUBMISSIONS, MAX_SUBMIT_TRANSACTIONS } from '../src/submit/coalescer.ts';
import { createGossipSubmitter } from '../src/submit/gossip-submitter.ts';
import { createRpcSubmitter } from '../src/submit/rpc-submitter.ts';

const ROLLUP = 901;

const servers: RpcServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

const raw = (n: number) => Uint8Array.of(1, n >>> 8, n & 255);
const hashOf = (bytes: Uint8Array) => toHex(keccak256(bytes));

type Outcome = { hash: string } | { error: { code: number; message: string; data?: { code: string; remedy: string } } };

/** A sequencer's JSON-RPC, which answers each transaction as told. */
const sequencer = async (answer: (transaction: Uint8Array) => Outcome | Promise<Outcome>) => {
  const calls: string[][] = [];
  const server = await createRpcServer({
    host: '127.0.0.1',
    port: 0,
    info: { title: 'sequencer', version: '0' },
    logger: silentLogger,
    methods: [
      defineMethod({
        name: 'squad_sendTransactions',
        summary: 'takes transactions',
        params: { rollupId: Quantity, transactions: z.array(z.string()) },
        result: { name: 'outcomes', description: 'in order' },
        handler: ({ rollupId, transactions }) => {
          expect(rollupId).toBe(ROLLUP);
          calls.push(transactions);
          return Promise.all(transactions.map((transaction) => answer(fromHex(transaction))));
        },
      }),
    ],
  });
  servers.push(server);
  return { url: server.url, calls };
};
const takes = (bytes: Uint8Array): Outcome => ({ hash: hashOf(bytes) });
const refuses = (code: number, name: string) => (): Outcome => ({
  error: { code, message: name, data: { code: name, remedy: 'none' } },
});
const submitTo = (urls: string[], timeoutMs = 1_000) =>
  createRpcSubmitter({ urls, rollupId: ROLLUP, logger: silentLogger, timeoutMs });

describe('by JSON-RPC', () => {
  it('sends what comes at about the same time in one call, and answers each', async () => {
    const { url, calls } = await sequencer(takes);
    const submit = submitTo([url]);
    const transactions = Array.from({ length: 20 }, (_, n) => raw(n));
    expect(await Promise.all(transactions.map(submit))).toEqual(transactions.map(hashOf));
    expect(calls).toHaveLength(1);
  });

  it('sends no more in one call than a sequencer takes', async () => {
    const { url, calls } = await sequencer(takes);
    const submit = submitTo([url]);
    await Promise.all(Array.from({ length: MAX_SUBMIT_TRANSACTIONS + 1 }, (_, n) => submit(raw(n))));
    expect(calls.map(({ length }) => length).sort((a, b) => a - b)).toEqual([1, MAX_SUBMIT_TRANSACTIONS]);
  });

  it('sends no second call before the first is answered, so that none overtakes another', async () => {
    const answer = Promise.withResolvers<void>();
    const { url, calls } = await sequencer(async (bytes) => {
      await answer.promise;
      return takes(bytes);
    });
    const submit = submitTo([url], 30_000);
    const all = Array.from({ length: MAX_SUBMIT_TRANSACTIONS + 2 }, (_, n) => submit(raw(n)));
    await vi.waitUntil(() => calls.length > 0);
    // Time for a second call to come, were there one.
    await rpcCall(url, 'rpc.discover', [], z.unknown());
    expect(calls).toHaveLength(1);
    all.push(submit(raw(1_000)));
    answer.resolve();
    expect(await Promise.all(all)).toHaveLength(MAX_SUBMIT_TRANSACTIONS + 3);
    const later = [MAX_SUBMIT_TRANSACTIONS, MAX_SUBMIT_TRANSACTIONS + 1, 1_000];
    expect(calls.slice(1)).toEqual([later.map((n) => toHex(raw(n)))]);
  });

  it('tries the next sequencer when one cannot be reached, and stays with the one that answers', async () => {
    const { url, calls } = await sequencer(takes);
    const submit = submitTo(['http://127.0.0.1:1', url]);
    await submit(raw(1));
    await submit(raw(2));
    expect(calls).toHaveLength(2);
  });

  it('tries the next sequencer for those that one is too busy for', async () => {
    const busy = await sequencer((bytes) =>
      bytes[2] === 1 ? refuses(RpcCode.limitExceeded, 'LANE_FULL')() : takes(bytes),
    );
    const free = await sequencer(takes);
    const submit = submitTo([busy.url, free.url]);
    expect(await Promise.all([submit(raw(1)), submit(raw(2))])).toEqual([raw(1), raw(2)].map(hashOf));
    expect(free.calls).toEqual([[toHex(raw(1))]]);
  });

  it('hands on a refusal of the transaction, and asks nobody else', async () => {
    const first = await sequencer(refuses(RpcCode.refused, 'WRONG_CHAIN'));
    const second = await sequencer(takes);
    const submit = submitTo([first.url, second.url]);
    await expect(submit(raw(1))).rejects.toMatchObject({ code: RpcCode.refused, data: { code: 'WRONG_CHAIN' } });
    expect(second.calls).toEqual([]);
  });

  it('counts it as taken if the next one knows it already: the first had taken it and was slow to say so', async () => {
    const slow = await sequencer(() => new Promise(() => {}));
    const second = await sequencer(refuses(RpcCode.refused, 'ALREADY_KNOWN'));
    const submit = submitTo([slow.url, second.url], 100);
    expect(await submit(raw(1))).toBe(hashOf(raw(1)));
  });

  it('says so when no sequencer takes it', async () => {
    const busy = await sequencer(refuses(RpcCode.limitExceeded, 'LANE_FULL'));
    await expect(submitTo([busy.url])(raw(1))).rejects.toMatchObject({ data: { code: 'LANE_FULL' } });
    await expect(submitTo(['http://127.0.0.1:1'])(raw(1))).rejects.toMatchObject({ code: 'NO_SEQUENCER' });
  });

  it('takes no more than may be pending', async () => {
    const submit = createGossipSubmitter({ publish: () => new Promise(() => {}) }, ROLLUP);
    for (let n = 0; n < MAX_PENDING_SUBMISSIONS; n++) void submit(raw(n));
    const refusal: unknown = await submit(raw(1)).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(RpcError);
    expect(refusal).toMatchObject({ data: { code: 'SUBMISSION_BUSY' } });
  });
});

describe('by gossip', () => {
  it('publishes what comes at about the same time in one message', async () => {
    const messages: Uint8Array[] = [];
    const publish = async (message: Uint8Array) => messages.push(message);
    const submit = createGossipSubmitter({ publish }, ROLLUP);
    expect(await Promise.all([submit(raw(1)), submit(raw(2))])).toEqual([raw(1), raw(2)].map(hashOf));
    expect(messages.map((message) => decode(GossipTransactions, 'GossipTransactions', message))).toEqual([
      { ok: true, value: { rollupId: ROLLUP, transactions: [raw(1), raw(2)] } },
    ]);
  });

  it('says so when nobody listens', async () => {
    const submit = createGossipSubmitter({ publish: async () => 0 }, ROLLUP);
    await expect(submit(raw(1))).rejects.toMatchObject({ code: 'NO_GOSSIP_PEERS' });
  });
});
