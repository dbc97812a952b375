/** Station 1: the sequencer's methods over a real server, as wallets, rollup nodes and attackers call them. */

import { once } from 'node:events';
import { createRpcServer, type RpcServer, rpcBatch, rpcCall, silentLogger } from '@squad/service';
import {
  Block,
  BlockProof,
  blockHashHex,
  Certificate,
  decodeFeedBlock,
  encodeBatch,
  fromHex,
  MAX_TRANSACTION_BYTES,
  SquadError,
  toHex,
} from '@squad/types';
import { createWalletClient, http, keccak256 } from 'viem';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { noLane } from '../src/admission/rejection.ts';
import {
  MAX_TRANSACTIONS_PER_CALL,
  SEQUENCER_RPC_PATHS,
  sequencerMethods,
  sequencerSubscriptions,
} from '../src/rpc/index.ts';
import { account, feeMarket, legacy } from './admission-support.ts';
import { blockAt, FakeNode, sequenceBlock } from './rpc-support.ts';

const anything = z.unknown();
let node: FakeNode;
let server: RpcServer;
const sockets: WebSocket[] = [];

async function start(options: Partial<Parameters<typeof createRpcServer>[0]> = {}): Promise<void> {
  node = new FakeNode();
  server = await createRpcServer({
    host: '127.0.0.1',
    port: 0,
    info: { title: 'SQUAD sequencer', version: '1.2.3' },
    paths: SEQUENCER_RPC_PATHS,
    methods: sequencerMethods(node),
    subscriptions: sequencerSubscriptions(node),
    logger: silentLogger,
    ...options,
  });
}

beforeEach(() => start());
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await server.close();
  await node.admission.close();
});

const call = (method: string, params: readonly unknown[] = [], path = '') =>
  rpcCall(server.url + path, method, params, anything);
const refusal = async (method: string, params: readonly unknown[] = [], path = '') => {
  const outcome = await call(method, params, path).catch((error: unknown) => error);
  if (!(outcome instanceof Error)) throw new Error(`it was answered: ${JSON.stringify(outcome)}`);
  return outcome;
};

/** Sends text over a WebSocket and gives each message that comes. */
async function open(path = '') {
  const socket = new WebSocket(server.url.replace('http', 'ws') + path);
  sockets.push(socket);
  const inbox: unknown[] = [];
  const waiting: ((message: unknown) => void)[] = [];
  socket.on('error', () => {});
  socket.on('message', (data) => {
    const message: unknown = JSON.parse(data.toString());
    const wanted = waiting.shift();
    if (wanted === undefined) inbox.push(message);
    else wanted(message);
  });
  await once(socket, 'open');
  return {
    send: (message: unknown) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    next: () => (inbox.length > 0 ? Promise.resolve(inbox.shift()) : new Promise((resolve) => waiting.push(resolve))),
  };
}

describe('squad_sendBundle', () => {
  const member = (byte: number, rollupId = 7) => ({ rollupId, transaction: toHex(Uint8Array.of(byte, 1)) });

  it('takes up to 16 transactions of any rollups, and answers with their hashes', async () => {
    const evm = { rollupId: 901, transaction: toHex(await feeMarket()) };
    const bundle = [evm, ...Array.from({ length: 15 }, (_, i) => member(i))];
    const hashes = (await call('squad_sendBundle', [bundle])) as string[];
    expect(hashes).toHaveLength(16);
    expect(node.submitted.map(({ transaction }) => transaction)).toEqual(bundle.map(({ transaction }) => transaction));
    await expect(refusal('squad_sendBundle', [[...bundle, member(16)]])).resolves.toMatchObject({
      code: -32_602,
      message: expect.stringContaining('MAX_BUNDLE_BATCHES = 16'),
    });
    await expect(refusal('squad_sendBundle', [[]])).resolves.toMatchObject({ code: -32_602 });
  });

  it('says for which transaction it is refused', async () => {
    const bundle = [member(1), { rollupId: 901, transaction: '0x02c0' }];
    expect(await refusal('squad_sendBundle', [bundle])).toMatchObject({
      data: { code: 'TRANSACTION_MALFORMED', index: 1 },
    });
    expect(await refusal('squad_sendBundle', [[member(1, 5)]])).toMatchObject({ data: { code: 'ROLLUP_UNKNOWN' } });
    vi.spyOn(node, 'submitBundle').mockResolvedValue({ accepted: false, index: undefined, rejection: noLane() });
    const notNow = await refusal('squad_sendBundle', [bundle]);
    expect(notNow).toMatchObject({
      data: { code: 'NOT_READY', remedy: expect.stringContaining('Send to a validator') },
    });
    expect(notNow).not.toHaveProperty('data.index');
  });
});

describe('eth_sendRawTransaction', () => {
  it('routes by the chain id in the transaction', async () => {
    const [first, second] = [await feeMarket({ chainId: 901 }), await legacy({ chainId: 902 })];
    expect(await call('eth_sendRawTransaction', [toHex(first)])).toBe(keccak256(first));
    expect(await call('eth_sendRawTransaction', [toHex(second)])).toBe(keccak256(second));
    expect(node.submitted).toEqual([
      { rollupId: 901, transaction: toHex(first) },
      { rollupId: 902, transaction: toHex(second) },
    ]);
  });

  it('takes only its own on the path of a rollup', async () => {
    const raw = await feeMarket({ chainId: 901 });
    expect(await call('eth_sendRawTransaction', [toHex(raw)], '/rollup/901')).toBe(keccak256(raw));
    expect(await refusal('eth_sendRawTransaction', [toHex(raw)], '/rollup/902')).toMatchObject({
      code: -32_000,
      data: { code: 'WRONG_CHAIN' },
    });
    expect(await refusal('eth_sendRawTransaction', [toHex(raw)], '/rollup/7')).toMatchObject({
      code: -32_004,
      data: { code: 'NOT_AN_EVM_ROLLUP' },
    });
    for (const name of ['5', 'abc', '-1', '9e2.', '901.0', '0x385', '9.01e2', '0901', '%20901', '+901', 'Infinity']) {
      expect(await refusal('eth_sendRawTransaction', [toHex(raw)], `/rollup/${name}`)).toMatchObject({
        code: -32_602,
        data: { code: 'ROLLUP_UNKNOWN' },
      });
    }
  });

  it('keeps the order of a batch', async () => {
    const raw = await Promise.all(Array.from({ length: 50 }, (_, nonce) => feeMarket({ nonce })));
    await rpcBatch(
      server.url,
      raw.map((bytes) => ({ method: 'eth_sendRawTransaction', params: [toHex(bytes)] })),
    );
    expect(node.submitted.map(({ transaction }) => transaction)).toEqual(raw.map(toHex));
  });

  it('refuses a chain that is not ordered here, and names those that are', async () => {
    const raw = await feeMarket({ chainId: 1 });
    expect(await refusal('eth_sendRawTransaction', [toHex(raw)])).toMatchObject({
      code: -32_602,
      data: { code: 'ROLLUP_UNKNOWN', remedy: expect.stringContaining('7, 901, 902') },
    });
  });

  it('says when the lane is full, and what to do', async () => {
    node.full = true;
    expect(await refusal('eth_sendRawTransaction', [toHex(await feeMarket())])).toMatchObject({
      code: -32_005,
      data: {
        code: 'LANE_FULL',
        retryAfterMs: 40,
        remedy: expect.stringContaining('40 ms, or send to another validator'),
      },
    });
  });

  it('takes a transaction at the size limit and says what is wrong with a larger one', async () => {
    const overhead = (await feeMarket({ gas: 9_000_000n, data: `0x${'00'.repeat(100_000)}` })).length - 100_000;
    const ofSize = (bytes: number) => feeMarket({ gas: 9_000_000n, data: `0x${'00'.repeat(bytes - overhead)}` });
    const [at, above] = [await ofSize(MAX_TRANSACTION_BYTES), await ofSize(MAX_TRANSACTION_BYTES + 1)];
    expect([at.length, above.length]).toEqual([MAX_TRANSACTION_BYTES, MAX_TRANSACTION_BYTES + 1]);
    expect(await call('eth_sendRawTransaction', [toHex(at)])).toBe(keccak256(at));
    expect(await refusal('eth_sendRawTransaction', [toHex(above)])).toMatchObject({
      data: { code: 'TRANSACTION_TOO_LARGE' },
    });
  });

  it("is what viem's wallet client calls", async () => {
    const wallet = createWalletClient({ account, transport: http(`${server.url}/rollup/902`) });
    const request = {
      chain: null,
      chainId: 902,
      type: 'eip1559',
      nonce: 1,
      gas: 21_000n,
      to: account.address,
    } as const;
    const raw = await wallet.signTransaction({ ...request, maxFeePerGas: 1n, maxPriorityFeePerGas: 1n });
    expect(await wallet.getChainId()).toBe(902);
    expect(await wallet.sendRawTransaction({ serializedTransaction: raw })).toBe(keccak256(raw));
  });
});

describe('what wallets ask first', () => {
  it('is answered for the rollup of the path, or the first EVM rollup', async () => {
    expect([await call('eth_chainId'), await call('net_version')]).toEqual(['0x385', '901']);
    expect([await call('eth_chainId', [], '/rollup/902'), await call('net_version', [], '/rollup/902')]).toEqual([
      '0x386',
      '902',
    ]);
    expect(await refusal('eth_chainId', [], '/rollup/7')).toMatchObject({ data: { code: 'NOT_AN_EVM_ROLLUP' } });
    expect(await call('web3_clientVersion')).toMatch(/^squad\/v1\.2\.3\//);
  });
});

describe('squad_sendTransactions', () => {
  it('gives each transaction an outcome of its own', async () => {
    const good = await feeMarket();
    expect(
      await call('squad_sendTransactions', [901, [toHex(good), '0x01', toHex(await legacy({ chainId: 902 }))]]),
    ).toMatchObject([
      { hash: keccak256(good) },
      { error: { code: -32_602, data: { code: 'TRANSACTION_MALFORMED' } } },
      { error: { code: -32_000, data: { code: 'WRONG_CHAIN' } } },
    ]);
    const bad = { index: 1, error: { code: -32_000, data: { code: 'WRONG_CHAIN' } } };
    const evm = [toHex(good), toHex(await legacy({ chainId: 902 })), toHex(good)];
    expect(await call('squad_sendTransactions', [901, evm, 'places'])).toMatchObject({
      author: null,
      places: [[12, 1, 2]],
      rejected: [bad],
    });
    expect(await refusal('squad_sendTransactions', [7, ['0xab'], 'all'])).toMatchObject({
      code: -32_602,
    });
    expect(await call('squad_sendTransactions', ['0x7', ['0xab']])).toEqual([{ hash: keccak256('0xab') }]);
    expect(await call('squad_sendTransactions', [7, ['0xAB']], '/rollup/7')).toEqual([{ hash: keccak256('0xab') }]);
  });

  it('takes as many as the limit, and no more', async () => {
    const of = (count: number) => Array.from({ length: count }, () => '0xab');
    expect(await call('squad_sendTransactions', [7, of(MAX_TRANSACTIONS_PER_CALL)])).toHaveLength(
      MAX_TRANSACTIONS_PER_CALL,
    );
    const refused = await refusal('squad_sendTransactions', [7, of(MAX_TRANSACTIONS_PER_CALL + 1)]);
    expect(refused).toMatchObject({
      code: -32_602,
      message: expect.stringContaining(String(MAX_TRANSACTIONS_PER_CALL)),
    });
  });

  it('tells of a full lane for each of them', async () => {
    node.full = true;
    const outcomes = await call('squad_sendTransactions', [7, ['0xab', '0xcd']]);
    expect(outcomes).toMatchObject([
      { error: { code: -32_005 } },
      { error: { data: { code: 'LANE_FULL', retryAfterMs: 40 } } },
    ]);
  });
});

describe('a rate limit', () => {
  it('counts transactions, not calls', async () => {
    await server.close();
    await start({ ratePerAddress: { perSecond: 0.001, burst: 10 } });
    const six = Array.from({ length: 6 }, () => '0xab');
    expect(await call('squad_sendTransactions', [7, six])).toHaveLength(6);
    expect(await refusal('squad_sendTransactions', [7, six])).toMatchObject({
      code: -32_005,
      data: { code: 'RATE_LIMITED' },
    });
    expect(node.submitted).toHaveLength(6);
  });
});

describe('blocks, certificates and status', () => {
  it('finds a block by number, quantity, tag and hash, with an encoding that gives the same block', async () => {
    const byHeight = (await call('squad_getBlock', [3])) as { hash: string; encoded: `0x${string}` };
    for (const block of ['0x3', 'final', byHeight.hash, byHeight.hash.toUpperCase().replace('0X', '0x')]) {
      expect(await call('squad_getBlock', [block])).toEqual(byHeight);
    }
    expect(byHeight).toMatchObject({ stage: 'final', height: 3, refs: [{ rollupId: 901, seq: 3 }] });
    expect(Block.deserialize(fromHex(byHeight.encoded))).toEqual(blockAt(3));
    expect(await call('squad_getBlock', ['soft'])).toMatchObject({ stage: 'soft', height: 5 });
    expect(await call('squad_getBlock', [6])).toBeNull();
    expect(await call('squad_getBlock', [`0x${'00'.repeat(32)}`])).toBeNull();
  });

  it('gives the certificate that covers a height, and the path to it', async () => {
    const found = (await call('squad_getCertificate', ['final'])) as { certificate: { encoded: `0x${string}` } };
    expect(found).toMatchObject({
      stage: 'final',
      height: 3,
      certificate: { kind: 'finalize', signers: [] },
      path: [{ height: 4 }],
    });
    expect(Certificate.deserialize(fromHex(found.certificate.encoded)).signers.bitLen).toBe(4);
    expect(await call('squad_getCertificate', [6])).toBeNull();
  });

  it('tells where a transaction stands', async () => {
    expect(await call('squad_getTransactionStatus', [`0x${'AA'.repeat(32)}`])).toEqual({
      status: 'pending',
      rollupId: 901,
    });
    expect(await call('squad_getTransactionStatus', [`0x${'bb'.repeat(32)}`])).toMatchObject({
      status: 'final',
      height: 3,
      transactionIndex: 17,
    });
    expect(await call('squad_getTransactionStatus', [`0x${'cc'.repeat(32)}`])).toEqual({ status: 'unknown' });
  });

  it('gives the proof of a block, and null where there is none', async () => {
    const found = (await call('squad_getBlockProof', ['final'])) as { encoded: `0x${string}` };
    expect(found).toMatchObject({ stage: 'final', height: 3, hash: blockHashHex(blockAt(3).header) });
    expect(BlockProof.deserialize(fromHex(found.encoded)).block).toEqual(blockAt(3));
    expect(await call('squad_getBlockProof', [6])).toBeNull();
    expect(await call('squad_getReceipt', [`0x${'cc'.repeat(32)}`])).toBeNull();
  });

  it('tells how the node is', async () => {
    expect(await call('squad_status')).toMatchObject({
      validatorIndex: null,
      leader: null,
      soft: { height: 5 },
      final: { height: 3 },
      ready: true,
    });
  });

  it('gives the validator set of an epoch that has begun, that of now if none is named', async () => {
    const now = await call('squad_getValidatorSet');
    expect(now).toMatchObject({ epoch: 2, totalWeight: 5, quorumWeight: 4, validators: [{ index: 0, name: 'alice' }] });
    expect(await call('squad_getValidatorSet', [1])).toMatchObject({ epoch: 1 });
    expect(await call('squad_getValidatorSet', ['0x3'])).toBeNull();
  });

  it('gives the proof that an epoch is over, null while it is not', async () => {
    expect(await call('squad_getHandOver', [1])).toBe('0x01');
    expect(await call('squad_getHandOver', [2])).toBeNull();
  });

  it('describes all of it', async () => {
    const { methods } = (await call('rpc.discover')) as { methods: { name: string; summary: string }[] };
    expect(methods.map(({ name }) => name).sort()).toEqual([
      'eth_chainId',
      'eth_sendRawTransaction',
      'net_version',
      'rpc.discover',
      'squad_getBlock',
      'squad_getBlockProof',
      'squad_getCertificate',
      'squad_getEvidence',
      'squad_getHandOver',
      'squad_getReceipt',
      'squad_getTransactionStatus',
      'squad_getValidatorSet',
      'squad_sendBundle',
      'squad_sendTransactions',
      'squad_status',
      'squad_subscribe',
      'squad_unsubscribe',
      'web3_clientVersion',
    ]);
    expect(methods.find(({ name }) => name === 'squad_subscribe')?.summary).toContain('sequence, rollupId, fromHeight');
  });
});

describe('subscriptions', () => {
  it('to blocks get each block, until the end', async () => {
    const socket = await open();
    socket.send({ jsonrpc: '2.0', id: 1, method: 'squad_subscribe', params: ['blocks'] });
    const { result: subscription } = (await socket.next()) as { result: string };
    for (const listener of node.blockListeners) listener({ stage: 'soft', block: blockAt(6) });
    expect(await socket.next()).toMatchObject({
      method: 'squad_subscription',
      params: { subscription, result: { stage: 'soft', height: 6, refs: [{ rollupId: 901 }] } },
    });
    socket.send({ jsonrpc: '2.0', id: 2, method: 'squad_unsubscribe', params: [subscription] });
    expect(await socket.next()).toMatchObject({ result: true });
    expect(node.blockListeners.size).toBe(0);
  });

  it("to a rollup's sequence get its transactions from a height on", async () => {
    const socket = await open();
    socket.send({ jsonrpc: '2.0', id: 1, method: 'squad_subscribe', params: ['sequence', '0x385', 'final'] });
    expect(await socket.next()).toHaveProperty('result');
    expect(await socket.next()).toMatchObject({
      params: {
        result: {
          height: 3,
          certificate: { kind: 'finalize' },
          batches: [{ author: 1, seq: 3, transactions: ['0x010203', '0x04'] }],
        },
      },
    });
    const [sequence] = node.sequences;
    expect(sequence).toMatchObject({ rollupId: 901, fromHeight: 3 });
    // A node that cannot go on says so: silence would look like a rollup without transactions.
    sequence!.receiver.onEnd(new SquadError('FEED_NOT_HELD', 'block 4 is not held here', 'Ask another.'));
    expect(await socket.next()).toMatchObject({
      params: {
        result: { error: { code: 'FEED_NOT_HELD', message: 'block 4 is not held here', remedy: 'Ask another.' } },
      },
    });
  });

  it("to a rollup's sequence in a form that can be verified", async () => {
    const socket = await open();
    socket.send({ jsonrpc: '2.0', id: 1, method: 'squad_subscribe', params: ['sequence', 901, 3, 'encoded'] });
    expect(await socket.next()).toHaveProperty('result');
    const { params } = (await socket.next()) as { params: { result: { encoded: `0x${string}` } } };
    expect(params.result).toMatchObject({ stage: 'final', height: 3 });
    const { block, certificate, batches } = sequenceBlock(3);
    expect(decodeFeedBlock(fromHex(params.result.encoded))).toEqual({
      ok: true,
      value: {
        stage: 2,
        rollupId: 901,
        block,
        certificate,
        path: [],
        bodiesOmitted: 0,
        batches: batches.map(encodeBatch),
      },
    });
  });

  it('of unknown rollups, or those of another path, are refused', async () => {
    const root = await open();
    root.send({ jsonrpc: '2.0', id: 1, method: 'squad_subscribe', params: ['sequence', 5, 0] });
    expect(await root.next()).toMatchObject({ error: { code: -32_602, data: { code: 'ROLLUP_UNKNOWN' } } });
    const socket = await open('/rollup/902');
    socket.send({ jsonrpc: '2.0', id: 1, method: 'squad_subscribe', params: ['sequence', 901, 0] });
    expect(await socket.next()).toMatchObject({ error: { code: -32_602 } });
    expect(node.sequences.size).toBe(0);
  });
});

describe('hostile input', () => {
  /** Parameters that fit no method, for each method that takes some. */
  const bad: readonly (readonly [method: string, params: unknown])[] = [
    ...[
      [],
      [1],
      [null],
      [{}],
      [[]],
      [true],
      [''],
      ['0'],
      ['0x0'],
      ['0xzz'],
      ['0X01'],
      ['01'],
      ['0x01 '],
      ['0x01', '0x02'],
      ['\u0130x01'],
    ].map((params) => ['eth_sendRawTransaction', params] as const),
    ...['0x', '0x00', '0x80', '0xc0', '0x02', '0x02c0', `0x02${'c1'.repeat(1_000)}`, `0x${'ff'.repeat(50_000)}`].map(
      (raw) => ['eth_sendRawTransaction', [raw]] as const,
    ),
    ...[
      [],
      [7],
      ['x', []],
      [7, []],
      [7, [1]],
      [7, ['x']],
      [7, [null]],
      [7, '0xab'],
      [7, {}],
      [7, [['0xab']]],
      [7.5, ['0xab']],
      [-7, ['0xab']],
      ['0x07', ['0xab']],
      ['7', ['0xab']],
      [2 ** 53, ['0xab']],
      ['0x20000000000000', ['0xab']],
      [8, ['0xab']],
      [7, ['0xab'], 1],
      [null, ['0xab']],
    ].map((params) => ['squad_sendTransactions', params] as const),
    ...[
      [],
      [-1],
      [1.5],
      ['latest'],
      ['0x'],
      ['0x01'],
      ['x'],
      [{}],
      [[]],
      [null],
      [true],
      [`0x${'gg'.repeat(32)}`],
      [`0x${'0'.repeat(63)}`],
      [3, 4],
      [1e300],
    ].map((params) => ['squad_getBlock', params] as const),
    ...[[], ['x'], [-1], [`0x${'00'.repeat(32)}`], [2 ** 60]].map(
      (params) => ['squad_getCertificate', params] as const,
    ),
    ...[[], ['0x'], [1], [`0x${'00'.repeat(31)}`], [`0x${'00'.repeat(33)}`], [`0x${'zz'.repeat(32)}`]].map(
      (params) => ['squad_getTransactionStatus', params] as const,
    ),
    ...[[1], [null], ['x']].flatMap((params) =>
      ['eth_chainId', 'squad_status'].map((method) => [method, params] as const),
    ),
    ['squad_getBlock', { height: 1 }],
    ['squad_getBlock', { __proto__: null, constructor: 1 }],
    ['squad_sendTransactions', { rollupId: 7 }],
  ];

  it.each(['HTTP', 'WebSocket'])('of 64 and more kinds over %s gets a clear error each time', async (transport) => {
    expect(bad.length).toBeGreaterThanOrEqual(64);
    const socket = transport === 'WebSocket' ? await open() : undefined;
    for (const [method, params] of bad) {
      const text = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
      let answer: unknown;
      if (socket === undefined) {
        answer = await (await fetch(server.url, { method: 'POST', body: text })).json();
      } else {
        socket.send(text);
        answer = await socket.next();
      }
      const what = text.slice(0, 120);
      expect([what, answer]).toMatchObject([
        what,
        { id: 1, error: { message: expect.any(String), data: { remedy: expect.any(String) } } },
      ]);
      const { code } = (answer as { error: { code: number } }).error;
      expect([what, code === -32_602 || code === -32_000]).toEqual([what, true]);
    }
    expect(node.submitted).toEqual([]);
    expect(await call('eth_chainId')).toBe('0x385');
  });

  it('in a flood is answered call by call, with what the node keeps bounded', async () => {
    await server.close();
    await start({ ratePerConnection: { perSecond: 0.001, burst: 500 } });
    const socket = await open();
    const raw = toHex(await feeMarket());
    for (let id = 0; id < 2_000; id++)
      socket.send({ jsonrpc: '2.0', id, method: 'eth_sendRawTransaction', params: [raw] });
    let accepted = 0;
    for (let i = 0; i < 2_000; i++) {
      const answer = (await socket.next()) as { result?: string; error?: { code: number } };
      if (answer.result === undefined) expect(answer.error?.code).toBe(-32_005);
      else accepted++;
    }
    expect(accepted).toBe(500);
    expect(node.submitted).toHaveLength(500);
  });
});
