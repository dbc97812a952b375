/** Deposits of L1 blocks, from endpoints that may lie. The L1 here is a rollup node of our own: its blocks are Ethereum's. */

import { createRpcServer, defineMethod, type RpcServer, rpcCall, silentLogger } from '@squad/service';
import { fromHex, type Hex, toHex } from '@squad/types';
import { concat, encodeAbiParameters, encodePacked, numberToHex, pad } from 'viem';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { userDepositSource } from '../src/stacks/op/deposit.ts';
import { DEPOSIT_EVENT } from '../src/stacks/op/deposit-log.ts';
import { readL1Deposits, readL1Header } from '../src/stacks/op/l1.ts';
import { type RpcNode, startRpcNode } from './support/rpc-node.ts';
import { sign } from './support/transactions.ts';

const CHAIN = 901;
const PORTAL = `0x${'d0'.repeat(20)}` as const;
const OTHER = `0x${'e0'.repeat(20)}` as const;
/** Logs what it is called with: four topics, then data. */
const LOG_CODE = '0x6060356040356020355f35608036038060805f375fa400';
const FROM = `0x${'f1'.repeat(20)}` as const;
const TO = `0x${'70'.repeat(20)}` as const;

type Json = Record<string, unknown>;
let l1: RpcNode;
let servers: RpcServer[];
/** Of the block with the deposits. */
let hash: Uint8Array;
let nonce = 0;

const call = (to: Hex, mint: bigint, version = 0n, data: Hex = '0xc0ffee') => {
  const opaque = encodePacked(['uint256', 'uint256', 'uint64', 'uint8', 'bytes'], [mint, mint + 1n, 100_000n, 0, data]);
  const topics: Hex[] = [toHex(DEPOSIT_EVENT), pad(FROM), pad(TO), numberToHex(version, { size: 32 })];
  const input = concat([...topics, encodeAbiParameters([{ type: 'bytes' }], [opaque])]);
  return sign(CHAIN, 0, { nonce: nonce++, to, gasLimit: 200_000n, data: input });
};
const order = async (...transactions: Uint8Array[]) => {
  l1.waiting.push(...transactions);
  await l1.order();
  const block = await rpcCall(l1.url, 'eth_getBlockByNumber', ['latest', false], z.looseObject({ hash: z.string() }));
  return fromHex(block.hash as Hex);
};
/** An endpoint that passes on what the rollup node says, changed. That one names blocks of receipts by number only. */
const endpoint = async (change: { block?: (block: Json) => unknown; receipts?: (receipts: Json[]) => unknown }) => {
  const ask = (method: string, ...params: unknown[]) => rpcCall(l1.url, method, params, z.any());
  const define = (
    name: string,
    params: Record<string, z.ZodType>,
    handler: (...given: unknown[]) => Promise<unknown>,
  ) =>
    defineMethod({
      name,
      summary: name,
      params,
      result: { name: 'result', description: 'changed' },
      handler: (given) => handler(...Object.values(given)),
    });
  const { block: changedBlock = (block: Json) => block, receipts: changedReceipts = (all: Json[]) => all } = change;
  const byHash = async (block: unknown) => {
    const found = await ask('eth_getBlockByHash', block, false);
    return found && changedBlock(found);
  };
  const receiptsOf = async (block: unknown) => {
    const { number } = await ask('eth_getBlockByHash', block, false);
    return changedReceipts(await ask('eth_getBlockReceipts', number));
  };
  const server = await createRpcServer({
    host: '127.0.0.1',
    port: 0,
    info: { title: 'L1', version: '0' },
    methods: [
      define('eth_getBlockByHash', { hash: z.string(), full: z.boolean() }, byHash),
      define('eth_getBlockReceipts', { hash: z.string() }, receiptsOf),
    ],
    logger: silentLogger,
  });
  servers.push(server);
  return server.url;
};

beforeEach(async () => {
  nonce = 0;
  servers = [];
  l1 = await startRpcNode({
    file: {
      alloc: {
        '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266': { balance: String(10n ** 24n), nonce: 0 },
        [PORTAL]: { balance: '0', nonce: 1, code: LOG_CODE },
        [OTHER]: { balance: '0', nonce: 1, code: LOG_CODE },
      },
    },
  });
  const plain = sign(CHAIN, 0, { nonce: nonce++, to: TO, value: 1n });
  hash = await order(plain, call(OTHER, 1n), call(PORTAL, 5n), call(OTHER, 2n), call(PORTAL, 0n, 0n, '0x'));
});
afterEach(async () => {
  for (const server of servers) await server.close();
  await l1.close();
});

describe('an L1 block', () => {
  it('gives the deposits of the portal alone, in order, numbered among all logs', async () => {
    expect(await readL1Deposits(await endpoint({}), hash, fromHex(PORTAL))).toEqual([
      {
        sourceHash: userDepositSource(hash, 1),
        from: fromHex(FROM),
        to: fromHex(TO),
        mint: 5n,
        value: 6n,
        gasLimit: 100_000n,
        isSystem: false,
        data: fromHex('0xc0ffee'),
      },
      expect.objectContaining({ sourceHash: userDepositSource(hash, 3), mint: 0n, value: 1n, data: new Uint8Array() }),
    ]);
    const { number, timestamp } = await readL1Header(l1.url, hash);
    expect(number).toBe(1n);
    expect(timestamp).toBeGreaterThan(0n);
  });

  it('may have none', async () => {
    const none = await order(sign(CHAIN, 0, { nonce: nonce++, to: TO, value: 1n }));
    expect(await readL1Deposits(await endpoint({}), none, fromHex(PORTAL))).toEqual([]);
  });

  it('whose deposit cannot be read is refused as a whole', async () => {
    const bad = await order(call(PORTAL, 1n), call(PORTAL, 1n, 1n));
    await expect(readL1Deposits(await endpoint({}), bad, fromHex(PORTAL))).rejects.toMatchObject({
      code: 'L1_DEPOSIT_MALFORMED',
    });
    expect(await readL1Deposits(await endpoint({}), bad, fromHex(TO))).toEqual([]);
  });

  it('that the endpoint does not know is no empty one', async () => {
    const portal = fromHex(PORTAL);
    await expect(readL1Deposits(l1.url, new Uint8Array(32), portal)).rejects.toMatchObject({
      code: 'L1_UNKNOWN_BLOCK',
    });
    const url = await endpoint({ receipts: () => null });
    await expect(readL1Deposits(url, hash, portal)).rejects.toMatchObject({ code: 'L1_UNKNOWN_BLOCK' });
  });
});

describe('an endpoint that lies', () => {
  const field = (receipt: Json, name: string, value: unknown) => ({ ...receipt, [name]: value });
  const logs = ({ logs: all }: Json) => all as Json[];

  it.each<[string, (receipts: Json[]) => unknown]>([
    ['leaves a receipt out', (receipts) => receipts.slice(0, -1)],
    ['leaves all out', () => []],
    ['changes their order', ([a, b, ...rest]) => [b, a, ...rest]],
    ['leaves logs out', (receipts) => receipts.map((each) => field(each, 'logs', []))],
    ['tells another status', ([first, ...rest]) => [field(first!, 'status', '0x0'), ...rest]],
    ['tells of another type', ([first, ...rest]) => [field(first!, 'type', '0x1'), ...rest]],
    [
      'changes what is deposited',
      (receipts) =>
        receipts.map((each) =>
          field(
            each,
            'logs',
            logs(each).map(({ data, ...log }) => field(log, 'data', String(data).replace('c0ffee', 'c0ffef'))),
          ),
        ),
    ],
    [
      'names another portal',
      (receipts) =>
        receipts.map((each) =>
          field(
            each,
            'logs',
            logs(each).map((log) => field(log, 'address', PORTAL)),
          ),
        ),
    ],
  ])('and %s', async (_, receipts) => {
    const url = await endpoint({ receipts });
    await expect(readL1Deposits(url, hash, fromHex(PORTAL))).rejects.toMatchObject({ code: 'L1_RECEIPTS_WRONG' });
  });

  it('about the header, in any of its fields', async () => {
    const names: string[] = [];
    const honest = await readL1Header(l1.url, hash);
    for (const name of Object.keys(honest)) {
      const change = (block: Json) => {
        const value = String(block[name]);
        const last = value.endsWith('1') ? '2' : '1';
        return { ...block, [name]: value === '0x' ? '0x01' : `${value.slice(0, -1)}${last}` };
      };
      const url = await endpoint({ block: change });
      const refused = await readL1Header(url, hash).catch((error: { code: string }) => error.code);
      if (refused !== 'L1_HEADER_WRONG') names.push(name);
    }
    expect(names).toEqual([]);
    expect(Object.keys(honest)).toContain('parentBeaconBlockRoot');
  });
});
