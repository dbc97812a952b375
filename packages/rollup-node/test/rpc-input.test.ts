/** What the methods answer to input that is wrong, too large, or out of range; and how they bound what a caller can grow. */

import { createTxFromRLP } from '@ethereumjs/tx';
import { type Hex, toHex } from '@squad/types';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEVELOPMENT_ACCOUNTS } from '../src/config/development-accounts.ts';
import { createSharedCommon } from '../src/execution/evm/common.ts';
import { MAX_LOG_RANGE_BLOCKS } from '../src/execution/evm/history.ts';
import { keccak256 } from '../src/execution/keccak.ts';
import {
  FILTER_EXPIRY_MS,
  MAX_FILTERS,
  MAX_POOL_TRANSACTIONS,
  MAX_PROOF_SLOTS,
  MAX_SUBMITTED_PER_SENDER,
  SUBMITTED_EXPIRY_MS,
} from '../src/rpc/limits.ts';
import { SubmittedTransactions } from '../src/rpc/submitted.ts';
import { assemble, COUNTER } from './support/contracts.ts';
import { type RpcNode, startRpcNode } from './support/rpc-node.ts';
import { recipient, sign, signTransfers } from './support/transactions.ts';

const ADDRESS = DEVELOPMENT_ACCOUNTS[0]!;
const HASH = `0x${'11'.repeat(32)}`;
const INVALID_PARAMS = -32602;
let nowMs = 0;
let node: RpcNode;

beforeAll(async () => {
  const alloc = {
    [ADDRESS]: { balance: '10000000000000000000', nonce: 0 },
    [recipient(7)]: { balance: '0', nonce: 1, code: COUNTER },
    [recipient(8)]: { balance: '0', nonce: 1, code: assemble('again: @again JUMP') },
  };
  node = await startRpcNode({ file: { alloc }, ports: { now: () => nowMs } });
});

afterAll(() => node.close());

/** Over 64 requests of which none is right. */
const WRONG: [string, unknown][] = [
  ['eth_getBalance', []],
  ['eth_getBalance', [null]],
  ['eth_getBalance', [1]],
  ['eth_getBalance', ['']],
  ['eth_getBalance', ['0x']],
  ['eth_getBalance', [ADDRESS.slice(0, -1)]],
  ['eth_getBalance', [`${ADDRESS}00`]],
  ['eth_getBalance', [ADDRESS.replace('f', 'g')]],
  ['eth_getBalance', [ADDRESS, 'newest']],
  ['eth_getBalance', [ADDRESS, '0x01']],
  ['eth_getBalance', [ADDRESS, '0x']],
  ['eth_getBalance', [ADDRESS, '-0x1']],
  ['eth_getBalance', [ADDRESS, '12']],
  ['eth_getBalance', [ADDRESS, 12]],
  ['eth_getBalance', [ADDRESS, '0x20000000000000']],
  ['eth_getBalance', [ADDRESS, `0x1${'0'.repeat(64)}`]],
  ['eth_getBalance', [ADDRESS, {}]],
  ['eth_getBalance', [ADDRESS, { blockHash: '0x12' }]],
  ['eth_getBalance', [ADDRESS, { blockHash: HASH, blockNumber: '0x1' }]],
  ['eth_getBalance', [ADDRESS, 'latest', 'more']],
  ['eth_getBalance', { account: ADDRESS }],
  ['eth_getTransactionCount', [[]]],
  ['eth_getCode', [{}]],
  ['eth_getStorageAt', [ADDRESS]],
  ['eth_getStorageAt', [ADDRESS, '0x']],
  ['eth_getStorageAt', [ADDRESS, `0x${'0'.repeat(65)}`]],
  ['eth_getStorageAt', [ADDRESS, 0]],
  ['eth_getProof', [ADDRESS]],
  ['eth_getProof', [ADDRESS, 'x', 'latest']],
  ['eth_getProof', [ADDRESS, Array(MAX_PROOF_SLOTS + 1).fill('0x0'), 'latest']],
  ['eth_getBlockByNumber', []],
  ['eth_getBlockByNumber', ['0x00', false]],
  ['eth_getBlockByNumber', ['latest', 'yes']],
  ['eth_getBlockByNumber', [null, false]],
  ['eth_getBlockByHash', ['latest', false]],
  ['eth_getBlockByHash', ['0x11', false]],
  ['eth_getBlockReceipts', ['0xzz']],
  ['eth_getBlockTransactionCountByNumber', [{}]],
  ['eth_getBlockTransactionCountByHash', []],
  ['eth_getTransactionByHash', [HASH.slice(2)]],
  ['eth_getTransactionByHash', [`${HASH}0`]],
  ['eth_getTransactionReceipt', [[HASH]]],
  ['eth_getTransactionByBlockNumberAndIndex', ['latest', 0]],
  ['eth_getTransactionByBlockHashAndIndex', [HASH, '0x-1']],
  ['eth_call', []],
  ['eth_call', ['0x']],
  ['eth_call', [{ to: '0x1' }]],
  ['eth_call', [{ to: ADDRESS, value: '0x00' }]],
  ['eth_call', [{ to: ADDRESS, value: 1 }]],
  ['eth_call', [{ to: ADDRESS, value: `0x1${'0'.repeat(64)}` }]],
  ['eth_call', [{ to: ADDRESS, data: '0x1' }]],
  ['eth_call', [{ to: ADDRESS, data: '0xgg' }]],
  ['eth_call', [{ to: ADDRESS, data: '0x01', input: '0x02' }]],
  ['eth_call', [{ to: ADDRESS, data: `0x${'00'.repeat(128 * 1024 + 1)}` }]],
  ['eth_call', [{ to: ADDRESS, gas: 'lots' }]],
  ['eth_call', [{ to: ADDRESS, blobVersionedHashes: [HASH] }]],
  ['eth_call', [{ to: ADDRESS }, 'latest', { [ADDRESS]: { storage: {} } }]],
  ['eth_call', [{ to: ADDRESS, accessList: [{ address: ADDRESS }] }]],
  ['eth_call', [{ to: ADDRESS, accessList: [{ address: ADDRESS, storageKeys: ['0x1'] }] }]],
  ['eth_estimateGas', [[]]],
  ['eth_createAccessList', [null]],
  ['eth_feeHistory', ['0x1']],
  ['eth_feeHistory', [-1, 'latest']],
  ['eth_feeHistory', ['0x1', 'latest', [101]]],
  ['eth_feeHistory', ['0x1', 'latest', ['50']]],
  ['eth_getLogs', []],
  ['eth_getLogs', [{ fromBlock: '1' }]],
  ['eth_getLogs', [{ address: '0x' }]],
  ['eth_getLogs', [{ topics: ['0x01'] }]],
  ['eth_getLogs', [{ topics: [null, null, null, null, null] }]],
  ['eth_getLogs', [{ topics: [[HASH, null]] }]],
  ['eth_getLogs', [{ blockHash: HASH, fromBlock: '0x0' }]],
  ['eth_getLogs', [{ address: Array(1001).fill(ADDRESS) }]],
  ['eth_newFilter', [{ blocks: 1 }]],
  ['eth_getFilterChanges', ['0x1']],
  ['eth_getFilterLogs', [1]],
  ['eth_uninstallFilter', []],
  ['eth_sendRawTransaction', []],
  ['eth_sendRawTransaction', ['0x']],
  ['eth_sendRawTransaction', ['0x123']],
  ['eth_sendRawTransaction', [`0x${'00'.repeat(128 * 1024 + 1)}`]],
  ['web3_sha3', ['abc']],
];

describe('wrong input', () => {
  it(`is refused, ${WRONG.length} ways, with the parameter's name`, async () => {
    expect(WRONG.length).toBeGreaterThan(64);
    for (const [method, params] of WRONG) {
      const { result, error } = await node.call(method, params);
      expect([result, error?.code], `${method} ${JSON.stringify(params).slice(0, 80)}: ${error?.message}`).toEqual([
        undefined,
        INVALID_PARAMS,
      ]);
      expect(error?.message).toMatch(/^invalid params: /);
    }
  });

  it('is refused by its contents: malformed and unfit transactions', async () => {
    const [valid] = signTransfers(901, 1, 1);
    const send = async (raw: Uint8Array) =>
      (await node.call('eth_sendRawTransaction', [toHex(raw)])).error?.message ?? 'accepted';
    for (let length = 1; length < valid!.length; length += 2)
      expect(await send(valid!.slice(0, length))).not.toBe('accepted');
    expect(await send(Uint8Array.of(3, 0xc0))).toMatch(/^transaction type not supported/);
    expect(await send(sign(1, 0, { nonce: 0, to: recipient(1) }))).toBe('invalid chain id for signer: have 1 want 901');
    expect(await send(sign(901, 1, { nonce: 0, to: recipient(1) }))).toMatch(
      /^insufficient funds for gas \* price \+ value: balance 0, tx cost/,
    );
    expect(await send(sign(901, 0, { nonce: 0, to: recipient(1), gasLimit: 20_999n }))).toBe(
      'intrinsic gas too low: gas 20999, minimum needed 21000',
    );
    expect(await send(sign(901, 0, { nonce: 0, to: recipient(1), gasLimit: 30_000_001n }))).toBe(
      'transaction gas limit too high (cap: 30000000, tx: 30000001)',
    );
    expect(
      await send(sign(901, 0, { nonce: 0, to: recipient(1), maxFeePerGas: 5n, maxPriorityFeePerGas: 0n })),
    ).toMatch(/^max fee per gas less than block base fee: maxFeePerGas: 5, baseFee: \d+$/);
    expect(node.waiting).toHaveLength(0);
    expect(await send(valid!)).toBe('accepted');
    expect(await send(valid!)).toBe('already known');
    await node.order();
    expect((await node.call('eth_getRawTransactionByHash', [toHex(keccak256(valid!))])).result).toBe(toHex(valid!));
    expect(await send(valid!)).toBe('already known');
    expect(await send(sign(901, 0, { nonce: 0, to: recipient(2) }))).toBe('nonce too low: next nonce 1, tx nonce 0');
  });
});

describe('what is not there', () => {
  it('is null, or an error where the standard wants one', async () => {
    const answers = [
      ['eth_getBlockByNumber', ['0xffff', false], null],
      ['eth_getBlockByHash', [HASH, true], null],
      ['eth_getTransactionByHash', [HASH], null],
      ['eth_getTransactionReceipt', [HASH], null],
      ['eth_getBlockReceipts', ['0xffff'], null],
      ['eth_getBlockTransactionCountByHash', [HASH], null],
      ['eth_getTransactionByBlockNumberAndIndex', ['latest', '0xff'], null],
      ['eth_getUncleCountByBlockNumber', ['0x0'], '0x0'],
      ['eth_getUncleByBlockNumberAndIndex', ['0x0', '0x0'], null],
      ['eth_getUncleCountByBlockHash', [HASH], null],
      ['squad_getSkippedTransaction', [HASH], null],
      ['eth_getCode', [recipient(1)], '0x'],
      ['eth_getStorageAt', [recipient(1), '0x5', 'latest'], `0x${'0'.repeat(64)}`],
      ['eth_accounts', [], []],
      ['eth_syncing', [], false],
      ['net_version', [], '901'],
      ['net_listening', [], true],
      ['net_peerCount', [], '0x3'],
      ['web3_clientVersion', [], 'squad/test/rollup-node'],
      ['web3_sha3', ['0x'], '0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470'],
    ] as const;
    for (const [method, params, expected] of answers) {
      expect((await node.call(method, params)).result, method).toEqual(expected);
    }
    for (const method of ['eth_getBalance', 'eth_getTransactionCount', 'eth_getCode']) {
      expect((await node.call(method, [ADDRESS, '0xffff'])).error).toMatchObject({
        code: -32000,
        message: 'header not found',
      });
    }
    expect((await node.call('eth_call', [{ to: ADDRESS }, { blockHash: HASH }])).error?.message).toBe(
      'header for hash not found',
    );
    expect((await node.call('eth_subscribe', ['newHeads'])).error?.message).toMatch(/WebSocket/);
  });

  it('is genesis, for what no operator attested and nothing settled', async () => {
    for (const tag of ['safe', 'finalized', 'earliest']) {
      expect((await node.call('eth_getBlockByNumber', [tag, false])).result).toMatchObject({ number: '0x0' });
    }
  });

  it('is told apart: a transaction that was ordered and skipped', async () => {
    const raw = sign(901, 1, { nonce: 0, to: recipient(1) });
    node.waiting.push(raw);
    await node.order();
    const hash = (await node.call('web3_sha3', [toHex(raw)])).result;
    expect((await node.call('squad_getSkippedTransaction', [hash])).result).toMatchObject({ hash, code: 'INVALID' });
    expect((await node.call('eth_getTransactionReceipt', [hash])).result).toBeNull();
  });
});

describe('calls', () => {
  it('may come from a contract, and from an account without money', async () => {
    const contract = recipient(7);
    expect((await node.call('eth_call', [{ from: contract, to: contract }])).result).toBe(`0x${'0'.repeat(64)}`);
    expect((await node.call('eth_call', [{ from: recipient(6), to: contract }])).result).toBe(`0x${'0'.repeat(64)}`);
    const { error } = await node.call('eth_call', [{ from: recipient(6), to: contract, value: '0x1' }]);
    expect(error?.message).toMatch(
      /^err: insufficient funds for gas \* price \+ value: address 0x.{40} have 0 want 1 \(supplied gas 50000000\)$/,
    );
  });

  it('are refused in geth’s words', async () => {
    const call = async (fields: object) => (await node.call('eth_call', [{ to: ADDRESS, ...fields }])).error;
    const refused = { code: -32000 };
    expect(await call({ gasPrice: '0x1', maxFeePerGas: '0x1' })).toMatchObject({
      ...refused,
      message: 'both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified',
    });
    expect(await call({ maxFeePerGas: '0x1', maxPriorityFeePerGas: '0x2' })).toMatchObject({
      ...refused,
      message: expect.stringMatching(/^err: max priority fee per gas higher than max fee per gas: address 0x0{40}, /),
    });
    expect(await call({ chainId: '0x2' })).toMatchObject({
      ...refused,
      message: "chainId does not match node's (have=2, want=901)",
    });
    const { error } = await node.call('eth_estimateGas', [{ from: recipient(6), to: ADDRESS, value: '0x1' }]);
    expect(error?.message).toMatch(/^failed with \d+ gas: insufficient funds/);
  });

  it('see state and block as they are told to', async () => {
    const fees = (field: object, code: Hex, block = {}) =>
      node.call('eth_call', [{ to: recipient(6), ...field }, 'latest', { [recipient(6)]: { code } }, block]);
    const word = (value: number) => `0x${value.toString(16).padStart(64, '0')}`;
    const returning = (operation: string): Hex => assemble(`${operation} PUSH0 MSTORE 32 PUSH0 RETURN`);
    expect((await fees({}, returning('NUMBER'), { number: '0x77' })).result).toBe(word(0x77));
    expect((await fees({}, returning('BASEFEE'))).result).toBe(word(0));
    expect((await fees({}, '0x4a5f5260205ff3', { blobBaseFee: '0x9' })).result).toBe(word(9));
    expect((await fees({}, '0x4a5f5260205ff3')).result).toBe(word(1));
    const sha256 = `0x${'2'.padStart(40, '0')}`;
    const asked = (overrides: object) => node.call('eth_call', [{ to: sha256 }, 'latest', overrides]);
    const { result: hash } = await asked({});
    expect((await asked({ [sha256]: { code: returning('CHAINID') } })).result).toBe(word(901));
    expect((await asked({})).result).toBe(hash);
    const estimate = async (overrides: object) =>
      (await node.call('eth_estimateGas', [{ from: recipient(6), to: ADDRESS, value: '0x1' }, 'latest', overrides]))
        .result;
    expect(await estimate({ [recipient(6)]: { balance: '0x1' } })).toBe('0x5208');
    expect(await estimate({ [recipient(6)]: { balance: '0x1' }, [ADDRESS]: { code: returning('CHAINID') } })).not.toBe(
      '0x5208',
    );
  });

  it('run at once without disturbing each other, or the state', async () => {
    const before = (await node.call('eth_getBlockByNumber', ['latest', false])).result;
    const input = (value: number) => `0x${value.toString(16).padStart(64, '0')}`;
    const calls = Array.from({ length: 40 }, (_, index) =>
      node.call(index % 2 ? 'eth_call' : 'eth_estimateGas', [
        { to: recipient(7), data: input(index + 20) },
        index % 3 ? 'latest' : 'pending',
      ]),
    );
    for (const { result } of await Promise.all(calls)) expect(result).toBeDefined();
    expect((await node.call('eth_call', [{ to: recipient(7) }])).result).toBe(input(0));
    expect((await node.call('eth_getBlockByNumber', ['latest', false])).result).toEqual(before);
  });
});

describe('long calls', () => {
  it('end in time, and leave the node its turn', async () => {
    let turns = 0;
    const counting = setInterval(() => turns++, 5);
    const call = node.call('eth_call', [{ to: recipient(8), gas: '0x989680' }]);
    // Others are answered while it runs.
    expect((await node.call('eth_chainId')).result).toBe('0x385');
    const { error } = await call;
    clearInterval(counting);
    expect(error?.message).toMatch(/^(out of gas|execution aborted \(timeout = 5000 ms\))$/);
    expect(turns).toBeGreaterThan(10);
  });
});

describe('limits', () => {
  it('of a search for logs', async () => {
    const range = (to: number) => node.call('eth_getLogs', [{ fromBlock: '0x0', toBlock: `0x${to.toString(16)}` }]);
    expect((await range(MAX_LOG_RANGE_BLOCKS - 1)).result).toEqual([]);
    expect((await range(MAX_LOG_RANGE_BLOCKS)).error).toMatchObject({
      code: -32000,
      data: { code: 'RANGE_TOO_LARGE' },
    });
    expect((await node.call('eth_getLogs', [{ fromBlock: '0x2', toBlock: '0x1' }])).error?.message).toBe(
      'invalid block range params',
    );
  });

  it('of filters, which end when nobody asks', async () => {
    const first = (await node.call('eth_newBlockFilter')).result;
    const one = { jsonrpc: '2.0', id: 1, method: 'eth_newPendingTransactionFilter' };
    for (const count of [MAX_FILTERS - 24, 23]) {
      const headers = { 'content-type': 'application/json' };
      await fetch(node.url, { method: 'POST', headers, body: JSON.stringify(Array(count).fill(one)) });
    }
    expect((await node.call('eth_newFilter', [{}])).error).toMatchObject({ data: { code: 'TOO_MANY_FILTERS' } });
    nowMs += FILTER_EXPIRY_MS - 1;
    expect((await node.call('eth_getFilterChanges', [first])).result).toEqual([]);
    nowMs += 1;
    const second = (await node.call('eth_newFilter', [{}])).result;
    expect(second).toMatch(/^0x[0-9a-f]{32}$/);
    expect((await node.call('eth_getFilterChanges', [first])).result).toEqual([]);
    nowMs += FILTER_EXPIRY_MS;
    expect((await node.call('eth_getFilterChanges', [first])).error?.message).toBe('filter not found');
  });

  it('of transactions that are remembered until they are ordered', () => {
    let now = 0;
    const submitted = new SubmittedTransactions(() => now);
    const common = createSharedCommon(901, 'prague');
    const decoded = createTxFromRLP(signTransfers(901, 1, 1)[0]!, { common });
    const from = new Uint8Array(20);
    const entry = (index: number) => ({
      hash: new Uint8Array(32).fill(index % 256).fill(index >> 8, 0, 1),
      from,
      decoded: { ...decoded, nonce: BigInt(index) } as typeof decoded,
    });
    for (let index = 0; index < MAX_SUBMITTED_PER_SENDER; index++) submitted.add(entry(index));
    submitted.add(entry(MAX_SUBMITTED_PER_SENDER));
    expect(submitted.size).toBe(MAX_SUBMITTED_PER_SENDER);
    expect(submitted.nextNonce(from, 0n)).toBe(BigInt(MAX_SUBMITTED_PER_SENDER));
    submitted.remove(entry(5).hash);
    expect(submitted.nextNonce(from, 0n)).toBe(5n);
    now += SUBMITTED_EXPIRY_MS;
    expect(submitted.nextNonce(from, 0n)).toBe(0n);
    expect(submitted.size).toBe(0);
  });
});

describe('the pool', () => {
  it('has what was sent and waits: by sender and nonce, with what has its turn apart from what has not', async () => {
    const pool = await startRpcNode();
    const [sender] = DEVELOPMENT_ACCOUNTS;
    const raws = [0n, 1n, 3n].map((nonce) => sign(901, 0, { nonce, to: recipient(1), value: 5n }));
    const hashes = [];
    for (const raw of raws) hashes.push((await pool.call('eth_sendRawTransaction', [toHex(raw)])).result);
    const { result: status } = await pool.call('txpool_status');
    expect(status).toEqual({ pending: '0x2', queued: '0x1' });
    const { result: content } = await pool.call('txpool_contentFrom', [sender]);
    expect(content).toMatchObject({
      pending: { 0: { hash: hashes[0] }, 1: { hash: hashes[1] } },
      queued: { 3: { hash: hashes[2], blockHash: null } },
    });
    const { result: whole } = await pool.call('txpool_content');
    const checksummed = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266';
    const { pending, queued } = content as Record<string, object>;
    expect(whole).toEqual({ pending: { [checksummed]: pending }, queued: { [checksummed]: queued } });
    const { result: lines } = await pool.call('txpool_inspect');
    expect((lines as { queued: Record<string, object> }).queued[checksummed]).toEqual({
      3: expect.stringMatching(/^0x.{40}: 5 wei \+ 21000 gas × 100000000000 wei$/),
    });
    await pool.order();
    expect((await pool.call('txpool_status')).result).toEqual({ pending: '0x0', queued: '0x0' });
    await pool.close();
  });

  it('tells so many, and counts one more', async () => {
    const pool = await startRpcNode();
    const raws = Array.from({ length: MAX_SUBMITTED_PER_SENDER }, (_, nonce) =>
      sign(901, 0, { nonce, to: recipient(1) }),
    );
    raws.push(sign(901, 1, { nonce: 0, to: recipient(1) }));
    const told = async () => {
      const { result } = await pool.call('txpool_inspect');
      return Object.values((result as { pending: object }).pending).flatMap((theirs) => Object.keys(theirs)).length;
    };
    const send = (some: Uint8Array[]) =>
      Promise.all(some.map((raw) => pool.call('eth_sendRawTransaction', [toHex(raw)])));
    await send(raws.slice(0, MAX_POOL_TRANSACTIONS));
    expect(await told()).toBe(MAX_POOL_TRANSACTIONS);
    await send(raws.slice(MAX_POOL_TRANSACTIONS));
    expect(await told()).toBe(MAX_POOL_TRANSACTIONS);
    expect((await pool.call('txpool_status')).result).toEqual({
      pending: `0x${(MAX_POOL_TRANSACTIONS + 1).toString(16)}`,
      queued: '0x0',
    });
    await pool.close();
  });
});
