/**
 * Answers as Ethereum's specification has them: each by its schema, and every hash and root computed again from the answer
 * alone, with libraries that the node does not use for it.
 */

import { createMPT, verifyMPTWithMerkleProof } from '@ethereumjs/mpt';
import {
  concat,
  createWalletClient,
  defineChain,
  type Hex,
  hexToBytes,
  http,
  keccak256,
  serializeTransaction,
  toHex,
  toRlp,
} from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DEVELOPMENT_MNEMONIC } from '../src/config/development-accounts.ts';
import { MAX_FEE_HISTORY_BLOCKS, MAX_FEE_HISTORY_PERCENTILES, MAX_PROOF_SLOTS } from '../src/rpc/limits.ts';
import { COUNTER, initCodeOf } from './support/contracts.ts';
import * as schema from './support/execution-apis.ts';
import { type RpcNode, startRpcNode } from './support/rpc-node.ts';
import { recipient, sign } from './support/transactions.ts';

const account = mnemonicToAccount(DEVELOPMENT_MNEMONIC);
const word = (value: number | bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`;
const COUNTER_AT: Hex = `0x${'c0'.repeat(20)}`;

const STORED: Record<Hex, Hex> = { [word(0)]: word(5), [word(9)]: word(1) };

let node: RpcNode;
let hashes: Hex[];
type Answer = Record<string, Hex> & { transactions: Record<string, never>[]; logs: never[] };

/** All transaction types that the rollup takes, in one block: transfer, call with a log, creation, failure, authorization. */
beforeAll(async () => {
  node = await startRpcNode({
    file: {
      alloc: {
        [account.address]: { balance: '1000000000000000000000', nonce: 0 },
        [COUNTER_AT]: { balance: '3', nonce: 1, code: COUNTER, storage: STORED },
      },
    },
  });
  const chain = defineChain({
    id: 901,
    name: 'rollup',
    nativeCurrency: { name: 'ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [node.url] } },
  });
  const wallet = createWalletClient({ account, chain, transport: http(node.url, { retryCount: 0 }) });
  const accessList = [{ address: COUNTER_AT, storageKeys: [word(0)] }];
  const fees = { maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 2n, gas: 300_000n };
  const authorization = await wallet.signAuthorization({ contractAddress: COUNTER_AT, nonce: 6 });
  hashes = [
    await wallet.sendTransaction({ type: 'legacy', to: recipient(1), value: 1n, gasPrice: 10n ** 10n, nonce: 0 }),
    await wallet.sendTransaction({
      ...{ type: 'eip2930', to: COUNTER_AT, data: word(3), accessList, gasPrice: 10n ** 10n, gas: 300_000n, nonce: 1 },
    }),
    await wallet.sendTransaction({ type: 'eip1559', to: recipient(2), value: 5n, ...fees, nonce: 2 }),
    await wallet.sendTransaction({ type: 'eip1559', data: initCodeOf(COUNTER), accessList, ...fees, nonce: 3 }),
    await wallet.sendTransaction({ type: 'eip1559', to: COUNTER_AT, data: word(13), ...fees, nonce: 4 }),
    await wallet.sendTransaction({
      ...{ type: 'eip7702', to: account.address, authorizationList: [authorization], ...fees, nonce: 5 },
    }),
  ];
  await node.order();
});
afterAll(() => node.close());

async function ask(method: string, ...params: unknown[]): Promise<never> {
  const { result, error } = await node.call(method, params);
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return result as never;
}
const refusal = (method: string, ...params: unknown[]) => ask(method, ...params).then(undefined, (error) => error);
const block = (full: boolean): Promise<Answer> => ask('eth_getBlockByNumber', '0x1', full);
const receipts = (): Promise<Answer[]> => ask('eth_getBlockReceipts', '0x1');

const { uint, hash32, bytes, address } = schema;
const transaction = schema.TransactionInfo;
const call = { from: account.address, to: COUNTER_AT, input: word(4) };
const logs = z.array(schema.Log).min(1);
const CASES: [string, () => unknown[], z.ZodType][] = [
  ['eth_chainId', () => [], uint],
  ['eth_blockNumber', () => [], uint],
  ['eth_syncing', () => [], schema.Syncing],
  ['eth_accounts', () => [], z.array(address)],
  ['eth_gasPrice', () => [], uint],
  ['eth_maxPriorityFeePerGas', () => [], uint],
  ['eth_blobBaseFee', () => [], uint],
  ['eth_feeHistory', () => ['0x2', 'latest', [10, 90]], schema.FeeHistory],
  ['eth_feeHistory', () => ['0x400', 'latest'], schema.FeeHistory],
  ['eth_getBalance', () => [account.address, 'latest'], uint],
  ['eth_getTransactionCount', () => [account.address, 'pending'], uint],
  ['eth_getCode', () => [COUNTER_AT, 'latest'], bytes],
  ['eth_getStorageAt', () => [COUNTER_AT, '0x0', 'latest'], hash32],
  ['eth_getProof', () => [COUNTER_AT, ['0x0', word(1)], 'latest'], schema.AccountProof],
  ['eth_call', () => [call, 'latest'], bytes],
  ['eth_estimateGas', () => [call], uint],
  ['eth_createAccessList', () => [call, 'latest'], schema.AccessListResult],
  ['eth_getBlockByNumber', () => ['0x1', false], schema.BlockOfHashes],
  ['eth_getBlockByNumber', () => ['0x1', true], schema.BlockOfTransactions],
  ['eth_getBlockByNumber', () => ['earliest', true], schema.BlockOfTransactions],
  ['eth_getBlockByNumber', () => ['0xffff', true], z.null()],
  ['eth_getBlockReceipts', () => ['0x1'], z.array(schema.ReceiptInfo).length(6)],
  ['eth_getBlockTransactionCountByNumber', () => ['0x1'], uint],
  ['eth_getUncleCountByBlockNumber', () => ['0x1'], uint],
  ['eth_getTransactionByBlockNumberAndIndex', () => ['0x1', '0x5'], transaction],
  ['eth_getTransactionByHash', () => [hashes[0]], transaction],
  ['eth_getTransactionByHash', () => [word(1)], z.null()],
  ['eth_getRawTransactionByHash', () => [hashes[0]], bytes],
  ['eth_getTransactionReceipt', () => [hashes[1]], schema.ReceiptInfo],
  ['eth_getLogs', () => [{ fromBlock: '0x0', toBlock: 'latest' }], logs],
  ['eth_newFilter', () => [{}], uint.or(bytes)],
  ['eth_newBlockFilter', () => [], uint.or(bytes)],
  ['eth_newPendingTransactionFilter', () => [], uint.or(bytes)],
  [
    'eth_simulateV1',
    () => [{ blockStateCalls: [{ calls: [call, { ...call, input: word(13) }] }] }],
    schema.SimulatedBlocks,
  ],
  ['eth_getHeaderByNumber', () => ['0x1'], schema.BlockHeader],
  ['eth_getHeaderByNumber', () => ['0xffff'], z.null()],
  ['eth_getRawTransactionByBlockNumberAndIndex', () => ['0x1', '0x1'], bytes],
  ['eth_config', () => [], schema.ChainConfig],
  ['txpool_status', () => [], z.strictObject({ pending: uint, queued: uint })],
  ['txpool_content', () => [], schema.Pool],
  ['txpool_contentFrom', () => [account.address], schema.PoolOfSender],
  ['txpool_inspect', () => [], z.strictObject({ pending: z.object(), queued: z.object() })],
  ['net_version', () => [], z.string().regex(/^\d+$/)],
  ['net_listening', () => [], z.boolean()],
  ['net_peerCount', () => [], uint],
  ['web3_clientVersion', () => [], z.string()],
  ['web3_sha3', () => ['0x68656c6c6f'], hash32],
  ['debug_traceTransaction', () => [hashes[4], { enableMemory: true }], schema.OpcodeTransactionTrace],
  [
    'debug_traceTransaction',
    () => [hashes[1], { tracer: 'callTracer', tracerConfig: { withLog: true } }],
    schema.CallFrame,
  ],
];

CASES.push(
  ['debug_traceBlockByNumber', () => ['0x1'], schema.blockTrace(schema.OpcodeTransactionTrace).length(6)],
  ['debug_traceBlockByNumber', () => ['0x1', { tracer: 'callTracer' }], schema.blockTrace(schema.CallFrame).length(6)],
  ['debug_traceCall', () => [call, 'latest', { tracer: 'callTracer' }], schema.CallFrame],
  ['debug_traceCall', () => [call, 'latest', { enableMemory: true }], schema.OpcodeTransactionTrace],
  ['debug_getRawHeader', () => ['0x1'], bytes],
  ['debug_getRawBlock', () => ['0x1'], bytes],
  ['debug_getRawReceipts', () => ['0x1'], z.array(bytes).length(6)],
  ['debug_getRawTransaction', () => [hashes[0]], bytes],
  ['debug_getBadBlocks', () => [], z.array(z.never())],
);

describe('answers by the schemas of execution-apis', () => {
  it.each(CASES)('%s', async (method, params, expected) => {
    expect(expected.safeParse(await ask(method, ...params())).error).toBeUndefined();
  });

  it('methods …ByHash answer as …ByNumber', async () => {
    const { hash } = await block(false);
    for (const [byHash, byNumber, ...more] of [
      ['eth_getBlockByHash', 'eth_getBlockByNumber', true],
      ['eth_getHeaderByHash', 'eth_getHeaderByNumber'],
      ['debug_traceBlockByHash', 'debug_traceBlockByNumber'],
      ['eth_getRawTransactionByBlockHashAndIndex', 'eth_getRawTransactionByBlockNumberAndIndex', '0x1'],
      ['eth_getBlockTransactionCountByHash', 'eth_getBlockTransactionCountByNumber'],
      ['eth_getUncleCountByBlockHash', 'eth_getUncleCountByBlockNumber'],
      ['eth_getTransactionByBlockHashAndIndex', 'eth_getTransactionByBlockNumberAndIndex', '0x1'],
    ] as const) {
      expect(await ask(byHash, hash, ...more)).toEqual(await ask(byNumber, '0x1', ...more));
    }
  });

  it('a filter’s changes are logs, hashes of blocks, hashes of transactions; after it is uninstalled, nothing', async () => {
    const ids = [
      await ask('eth_newFilter', { fromBlock: '0x0' }),
      await ask('eth_newBlockFilter'),
      await ask('eth_newPendingTransactionFilter'),
    ];
    expect(logs.safeParse(await ask('eth_getFilterLogs', ids[0])).error).toBeUndefined();
    for (const id of ids) {
      expect(await ask('eth_getFilterChanges', id)).toEqual([]);
      expect(await ask('eth_uninstallFilter', id)).toBe(true);
      expect(await ask('eth_uninstallFilter', id)).toBe(false);
      expect(await refusal('eth_getFilterChanges', id)).toMatchObject({ code: -32000, message: 'filter not found' });
    }
  });
});

/** Zero is no bytes. */
const integer = (quantity: Hex): Hex => (BigInt(quantity) === 0n ? '0x' : toHex(BigInt(quantity)));

async function rootOf(items: readonly Hex[]): Promise<Hex> {
  const trie = await createMPT();
  for (const [index, item] of items.entries()) {
    await trie.put(hexToBytes(toRlp(integer(toHex(index)))), hexToBytes(item));
  }
  return toHex(trie.root());
}

/** Yellow paper, 4.3.1: three bits of 2,048 for each address and topic. */
function bloomOf(items: readonly { address: Hex; topics: Hex[] }[]): Hex {
  const bits = new Uint8Array(256);
  for (const entry of items.flatMap(({ address: at, topics }) => [at, ...topics])) {
    const hash = hexToBytes(keccak256(entry));
    for (const i of [0, 2, 4]) {
      const bit = ((hash[i]! << 8) | hash[i + 1]!) & 2047;
      bits[255 - (bit >> 3)]! |= 1 << (bit & 7);
    }
  }
  return toHex(bits);
}

type ProvenAnswer = Record<'nonce' | 'balance' | 'storageHash' | 'codeHash', Hex> & {
  accountProof: Hex[];
  storageProof: { key: Hex; value: Hex; proof: Hex[] }[];
};

describe('hashes and roots, computed again from the answers', () => {
  it('the block’s hash is of its header', async () => {
    for (const number of ['0x0', '0x1']) {
      const header: Answer = await ask('eth_getBlockByNumber', number, false);
      const fields = [
        ...[header.parentHash, header.sha3Uncles, header.miner, header.stateRoot, header.transactionsRoot],
        ...[header.receiptsRoot, header.logsBloom, integer(header.difficulty!), integer(header.number!)],
        ...[integer(header.gasLimit!), integer(header.gasUsed!), integer(header.timestamp!), header.extraData],
        ...[header.mixHash, header.nonce, integer(header.baseFeePerGas!), header.withdrawalsRoot],
        ...[integer(header.blobGasUsed!), integer(header.excessBlobGas!), header.parentBeaconBlockRoot],
        ...[header.requestsHash],
      ] as Hex[];
      expect(keccak256(toRlp(fields))).toBe(header.hash);
    }
  });

  it('the raw header is what the hash is of, the raw block has the size that is told, and raw receipts make the root', async () => {
    for (const number of ['0x0', '0x1']) {
      const { hash, size, receiptsRoot }: Answer = await ask('eth_getBlockByNumber', number, false);
      expect(keccak256(await ask('debug_getRawHeader', number))).toBe(hash);
      expect((((await ask('debug_getRawBlock', number)) as Hex).length - 2) / 2).toBe(Number(size));
      expect(await rootOf(await ask('debug_getRawReceipts', number))).toBe(receiptsRoot);
    }
  });

  it('each transaction’s hash is of what is answered, and the transactions’ root of them all', async () => {
    const { transactions, transactionsRoot } = await block(true);
    const raws: Hex[] = [];
    for (const answered of transactions as unknown as Record<string, Hex>[]) {
      const raw = serialized(answered);
      expect(keccak256(raw)).toBe(answered.hash);
      raws.push(raw);
    }
    expect(await rootOf(raws)).toBe(transactionsRoot);
  });

  it('blooms are of the logs, and the receipts’ root of the receipts', async () => {
    const found = await receipts();
    const encoded = found.map(({ type, status, cumulativeGasUsed, logsBloom, logs: emitted }) => {
      expect(bloomOf(emitted)).toBe(logsBloom);
      const items = (emitted as { address: Hex; topics: Hex[]; data: Hex }[]).map((log) => [
        log.address,
        log.topics,
        log.data,
      ]);
      const body = toRlp([integer(status!), integer(cumulativeGasUsed!), logsBloom!, items] as never);
      return type === '0x0' ? body : concat([toHex(Number(type)), body]);
    });
    const header = await block(false);
    expect(await rootOf(encoded)).toBe(header.receiptsRoot);
    expect(bloomOf(found.flatMap(({ logs: emitted }) => emitted))).toBe(header.logsBloom);
    expect(found.map(({ status }) => status)).toEqual(['0x1', '0x1', '0x1', '0x1', '0x0', '0x1']);
  });

  it('proofs lead from the state root to account and slots: also to those that are not there', async () => {
    const { stateRoot } = await block(false);
    const nobody: Hex = `0x${'99'.repeat(20)}`;
    for (const at of [COUNTER_AT, nobody]) {
      const keys = [word(0), word(9), word(1)];
      const proof = schema.AccountProof.parse(await ask('eth_getProof', at, keys, '0x1'));
      const { nonce, balance, storageHash, codeHash, accountProof, storageProof } = proof as ProvenAnswer;
      const nodes = accountProof.map((item) => hexToBytes(item));
      const value = await verifyMPTWithMerkleProof(
        await createMPT(),
        hexToBytes(stateRoot!),
        hexToBytes(keccak256(at)),
        nodes,
      );
      const expected = toRlp([integer(nonce), integer(balance), storageHash, codeHash]);
      expect(value === null ? null : toHex(value)).toBe(at === nobody ? null : expected);
      for (const [index, slot] of storageProof.entries()) {
        const slotNodes = slot.proof.map((item) => hexToBytes(item));
        if (slotNodes.length === 0) {
          expect([at, slot.value]).toEqual([nobody, '0x0']);
          continue;
        }
        const slotKey = hexToBytes(keccak256(keys[index]!));
        const found = await verifyMPTWithMerkleProof(await createMPT(), hexToBytes(storageHash), slotKey, slotNodes);
        expect(found === null ? '0x0' : toHex(found)).toBe(slot.value === '0x0' ? '0x0' : toRlp(slot.value));
      }
    }
  });
});

function serialized(answered: Record<string, Hex>): Hex {
  const { type, to, value, gas, nonce, input, chainId, gasPrice, accessList, maxFeePerGas, maxPriorityFeePerGas } =
    answered;
  const numbers = { value: BigInt(value!), gas: BigInt(gas!), nonce: Number(nonce), chainId: Number(chainId) };
  const common = { ...numbers, data: input, to: to ?? undefined };
  const list = accessList as never;
  const fees = { maxFeePerGas: BigInt(maxFeePerGas ?? 0), maxPriorityFeePerGas: BigInt(maxPriorityFeePerGas ?? 0) };
  const authorizationList = (answered.authorizationList as unknown as Record<string, Hex>[] | undefined)?.map(
    (item) => ({
      address: item.address,
      chainId: Number(item.chainId),
      nonce: Number(item.nonce),
      yParity: Number(item.yParity),
      r: item.r,
      s: item.s,
    }),
  );
  const kinds: Record<string, object> = {
    '0x0': { type: 'legacy', ...common, gasPrice: BigInt(gasPrice!) },
    '0x1': { type: 'eip2930', ...common, gasPrice: BigInt(gasPrice!), accessList: list },
    '0x2': { type: 'eip1559', ...common, ...fees, accessList: list },
    '0x4': { type: 'eip7702', ...common, ...fees, accessList: list, authorizationList },
  };
  const signature = { r: word(BigInt(answered.r!)), s: word(BigInt(answered.s!)), v: BigInt(answered.v!) };
  const parity = answered.yParity === undefined ? {} : { yParity: Number(answered.yParity) };
  return serializeTransaction(kinds[type!] as never, { ...signature, ...parity } as never);
}

describe('errors as other clients give them', () => {
  const fails = { to: COUNTER_AT, input: word(13) };
  it.each([
    ['eth_call', [fails], 3, 'execution reverted: unlucky'],
    ['eth_estimateGas', [fails], 3, 'execution reverted: unlucky'],
    ['eth_none', [], -32601, /.*/],
    ['eth_getBalance', ['0x12', 'latest'], -32602, /address/],
    ['eth_getBalance', [COUNTER_AT, '0xffff'], -32000, 'header not found'],
    ['eth_getBlockByNumber', ['newest', false], -32602, /block/],
    ['eth_getStorageAt', [COUNTER_AT, 'x', 'latest'], -32602, /slot/],
    ['eth_feeHistory', ['0x1', 'latest', [90, 10]], -32000, /invalid reward percentile/],
    ['eth_getLogs', [{ fromBlock: '0x1', toBlock: '0x0' }], -32000, 'invalid block range params'],
  ])('%s %j', async (method, params, code, message) => {
    const error = await refusal(method, ...params);
    expect(error.code).toBe(code);
    if (typeof message === 'string') expect(error.message).toBe(message);
    else expect(error.message).toMatch(message);
    if (code === 3) expect(error.data).toMatch(/^0x08c379a0/);
  });

  it('eth_sendRawTransaction: a nonce that is over, too little money, too little gas, another chain', async () => {
    const send = async (change: object, signer = account) => {
      const fees = { maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n };
      const plain = { type: 'eip1559', chainId: 901, to: recipient(1), gas: 21_000n, nonce: 7, ...fees } as const;
      return refusal('eth_sendRawTransaction', await signer.signTransaction({ ...plain, ...change }));
    };
    expect(await send({ nonce: 0 })).toMatchObject({ code: -32000, message: expect.stringMatching(/^nonce too low/) });
    expect(await send({ gas: 20_999n })).toMatchObject({
      code: -32000,
      message: expect.stringMatching(/^intrinsic gas too low/),
    });
    expect(await send({ chainId: 5 })).toMatchObject({
      code: -32000,
      message: expect.stringMatching(/^invalid chain id/),
    });
    const poor = mnemonicToAccount(DEVELOPMENT_MNEMONIC, { addressIndex: 20 });
    expect(await send({ nonce: 0 }, poor)).toMatchObject({
      code: -32000,
      message: expect.stringMatching(/^insufficient funds for gas \* price \+ value/),
    });
  });
});

describe('limits: at the limit, and one past it', () => {
  it('slots of a proof', async () => {
    const slots = (count: number) => Array.from({ length: count }, (_, index) => word(index));
    const proof: Answer = await ask('eth_getProof', COUNTER_AT, slots(MAX_PROOF_SLOTS), 'latest');
    expect(proof.storageProof).toHaveLength(MAX_PROOF_SLOTS);
    expect(await refusal('eth_getProof', COUNTER_AT, slots(MAX_PROOF_SLOTS + 1), 'latest')).toMatchObject({
      code: -32602,
    });
  });

  it('blocks of a fee history: no more than the limit are answered; percentiles: refused', async () => {
    // So little gas that each transaction has a block to itself.
    const crowded = await startRpcNode({ file: { gasLimit: 100_000 } });
    const count = MAX_FEE_HISTORY_BLOCKS + 1;
    for (let nonce = 0; nonce < count; nonce++) {
      crowded.waiting.push(sign(901, 0, { nonce, to: recipient(1), gasLimit: 100_000n }));
    }
    await crowded.orderSoft();
    for (const asked of [MAX_FEE_HISTORY_BLOCKS, MAX_FEE_HISTORY_BLOCKS + 1]) {
      const { result } = await crowded.call('eth_feeHistory', [`0x${asked.toString(16)}`, 'pending']);
      const { gasUsedRatio, oldestBlock } = schema.FeeHistory.parse(result);
      expect([gasUsedRatio.length, Number(oldestBlock)]).toEqual([MAX_FEE_HISTORY_BLOCKS, 2]);
    }
    await crowded.close();
    const percentiles = Array.from({ length: MAX_FEE_HISTORY_PERCENTILES + 1 }, (_, index) => Math.min(index, 100));
    await ask('eth_feeHistory', '0x1', 'latest', percentiles.slice(1));
    expect(await refusal('eth_feeHistory', '0x1', 'latest', percentiles)).toMatchObject({ code: -32602 });
  });
});
