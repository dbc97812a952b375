/** What a developer does with viem: send, deploy, call, read logs and proofs, subscribe; over real HTTP and WebSocket. */

import {
  createPublicClient,
  createWalletClient,
  defineChain,
  type Hex,
  http,
  keccak256,
  type PublicClient,
  parseEther,
  TransactionReceiptNotFoundError,
  toHex,
  webSocket,
} from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEVELOPMENT_ACCOUNTS, DEVELOPMENT_MNEMONIC } from '../src/config/development-accounts.ts';
import { ADDED_TOPIC, COUNTER, initCodeOf, WITNESS } from './support/contracts.ts';
import { type RpcNode, startRpcNode } from './support/rpc-node.ts';
import { recipient } from './support/transactions.ts';

const chain = defineChain({
  id: 901,
  name: 'rollup',
  nativeCurrency: { name: 'ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [] } },
});
const account = mnemonicToAccount(DEVELOPMENT_MNEMONIC);
const word = (value: number | bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`;

let node: RpcNode;
let client: PublicClient;
let wallet: ReturnType<typeof walletOf>;

function walletOf(url: string) {
  return createWalletClient({ account, chain, transport: http(url, { retryCount: 0 }) });
}

beforeAll(async () => {
  node = await startRpcNode();
  client = createPublicClient({
    chain,
    transport: http(node.url, { retryCount: 0 }),
    pollingInterval: 20,
    cacheTime: 0,
  });
  wallet = walletOf(node.url);
});

afterAll(() => node.close());

describe('viem', () => {
  it('finds the ten development accounts funded', async () => {
    for (const [index, address] of DEVELOPMENT_ACCOUNTS.entries()) {
      expect(mnemonicToAccount(DEVELOPMENT_MNEMONIC, { addressIndex: index }).address.toLowerCase()).toBe(address);
      expect(await client.getBalance({ address })).toBe(parseEther('10000'));
    }
    expect(await client.getChainId()).toBe(901);
  });

  it('sends ether; under pending with a receipt when the order is soft, and the same in latest once it is final', async () => {
    const before = await client.getBlockNumber();
    const hash = await wallet.sendTransaction({ to: recipient(1), value: 7n });
    expect(await client.getTransaction({ hash })).toMatchObject({ hash, blockNumber: null, value: 7n });
    expect(await client.getTransactionCount({ address: account.address, blockTag: 'pending' })).toBe(1);
    await expect(client.getTransactionReceipt({ hash })).rejects.toBeInstanceOf(TransactionReceiptNotFoundError);

    await node.orderSoft();
    await expect(client.getTransactionReceipt({ hash })).rejects.toBeInstanceOf(TransactionReceiptNotFoundError);
    expect(await client.getTransaction({ hash })).toMatchObject({ hash, blockNumber: null });
    const receipt = { status: '0x1', gasUsed: '0x5208', blockNumber: toHex(before + 1n), squadStage: 'soft' };
    expect((await node.call('squad_getTransactionReceipt', [hash])).result).toMatchObject(receipt);
    expect((await node.call('eth_getBlockReceipts', ['pending'])).result).toMatchObject([receipt]);
    expect(await client.getBalance({ address: recipient(1) })).toBe(0n);
    expect(await client.getBalance({ address: recipient(1), blockTag: 'pending' })).toBe(7n);
    const pending = await client.getBlock({ blockTag: 'pending' });
    expect(pending.transactions).toEqual([hash]);

    await node.makeFinal();
    const final = await client.getTransactionReceipt({ hash });
    expect(final).toMatchObject({ blockNumber: before + 1n, gasUsed: 21_000n, squadStage: 'final' });
    expect(await client.getBalance({ address: recipient(1) })).toBe(7n);
    const block = await client.getBlock({ blockHash: final.blockHash, includeTransactions: true });
    expect(block.transactions[0]).toMatchObject({
      hash,
      from: account.address.toLowerCase(),
      blockHash: final.blockHash,
    });
    expect(block.gasUsed).toBe(21_000n);
  });

  let counter: Hex;

  it('deploys a contract and reads what it holds', async () => {
    const hash = await wallet.sendTransaction({ data: initCodeOf(COUNTER) });
    await node.order();
    const receipt = await client.getTransactionReceipt({ hash });
    expect(receipt.status).toBe('success');
    counter = receipt.contractAddress!;
    expect(await client.getCode({ address: counter })).toBe(COUNTER);
    expect(await client.call({ to: counter })).toEqual({ data: word(0) });
  });

  it('calls it, and finds its logs', async () => {
    const from = (await client.getBlockNumber()) + 1n;
    const filter = await client.createEventFilter({ address: counter });
    for (const amount of [5, 6]) {
      await wallet.sendTransaction({ to: counter, data: word(amount) });
      await node.order();
    }
    expect((await client.call({ to: counter })).data).toBe(word(11));
    expect(await client.getStorageAt({ address: counter, slot: '0x0' })).toBe(word(11));
    expect((await client.call({ to: counter, blockNumber: from })).data).toBe(word(5));
    const logs = await client.getLogs({ address: counter, fromBlock: 0n });
    expect(logs.map(({ data, logIndex }) => [BigInt(data), logIndex])).toEqual([
      [5n, 0],
      [6n, 0],
    ]);
    expect(logs[0]).toMatchObject({ topics: [ADDED_TOPIC], blockNumber: from, removed: false });
    expect((await client.getFilterChanges({ filter })).map(({ data }) => BigInt(data))).toEqual([5n, 6n]);
    expect(await client.getFilterChanges({ filter })).toEqual([]);
    expect((await client.getFilterLogs({ filter })).map(({ data }) => BigInt(data))).toEqual([6n]);
    expect(await client.uninstallFilter({ filter })).toBe(true);
    expect(await client.getLogs({ address: recipient(5), fromBlock: 0n })).toEqual([]);
  });

  it('polls for new blocks and for transactions in soft order', async () => {
    const blocks = await client.createBlockFilter();
    const transactions = await client.createPendingTransactionFilter();
    const hash = await wallet.sendTransaction({ to: recipient(2), value: 1n });
    expect(await client.getFilterChanges({ filter: transactions })).toEqual([]);
    await node.orderSoft();
    expect(await client.getFilterChanges({ filter: transactions })).toEqual([hash]);
    expect(await client.getFilterChanges({ filter: blocks })).toEqual([]);
    await node.makeFinal();
    const { blockHash } = await client.getTransactionReceipt({ hash });
    expect(await client.getFilterChanges({ filter: blocks })).toEqual([blockHash]);
  });

  it('is told why a call reverts, and does not get an estimate for it', async () => {
    await expect(client.call({ to: counter, data: word(13) })).rejects.toThrow(/unlucky/);
    await expect(wallet.sendTransaction({ to: counter, data: word(13) })).rejects.toThrow(/unlucky/);
    const { error } = await node.call('eth_call', [{ to: counter, data: word(13) }, 'latest']);
    expect(error).toMatchObject({ code: 3, message: 'execution reverted: unlucky' });
    expect(String(error?.data)).toMatch(/^0x08c379a0/);
    const hash = await wallet.sendTransaction({ to: counter, data: word(13), gas: 100_000n });
    await node.order();
    expect(await client.getTransactionReceipt({ hash })).toMatchObject({ status: 'reverted', logs: [] });
  });

  it('estimates the least gas with which a transaction succeeds', async () => {
    expect(await client.estimateGas({ account, to: recipient(9), value: 1n })).toBe(21_000n);
    for (const request of [{ to: counter, data: word(1) }, { data: initCodeOf(WITNESS) }]) {
      const gas = await client.estimateGas({ account, ...request });
      const call = (limit: bigint) => client.call({ account, ...request, gas: limit });
      await expect(call(gas - 1n)).rejects.toThrow();
      await call(gas);
    }
  });

  it('sees the effects of soft transactions under pending, and by default if the chain is said to preconfirm', async () => {
    await wallet.sendTransaction({ to: counter, data: word(4) });
    await node.orderSoft();
    expect((await client.call({ to: counter, blockTag: 'pending' })).data).toBe(word(15));
    expect((await client.call({ to: counter, blockTag: 'latest' })).data).toBe(word(11));
    const preconfirming = createPublicClient({
      chain: { ...chain, experimental_preconfirmationTime: 200 },
      transport: http(node.url),
    });
    expect((await preconfirming.call({ to: counter })).data).toBe(word(15));
    await node.makeFinal();
    expect((await client.call({ to: counter })).data).toBe(word(15));
  });

  it('lends an account the code of a contract (EIP-7702)', async () => {
    const delegator = mnemonicToAccount(DEVELOPMENT_MNEMONIC, { addressIndex: 3 });
    const authorization = await delegator.signAuthorization!({ contractAddress: counter, chainId: 901, nonce: 0 });
    const hash = await wallet.sendTransaction({
      authorizationList: [authorization],
      to: delegator.address,
      data: word(3),
    });
    await node.order();
    expect(await client.getTransactionReceipt({ hash })).toMatchObject({ status: 'success', type: 'eip7702' });
    expect((await client.call({ to: delegator.address })).data).toBe(word(3));
    expect(await client.getTransaction({ hash })).toMatchObject({ authorizationList: [{ chainId: 901, nonce: 0 }] });
    const own = createWalletClient({ account: delegator, chain, transport: http(node.url) });
    const second = await own.sendTransaction({ to: recipient(4), value: 1n });
    await node.order();
    expect(await client.getTransactionReceipt({ hash: second })).toMatchObject({ status: 'success' });
  });

  it('gets a proof that leads to the state root', async () => {
    const block = await client.getBlock();
    const proof = await client.getProof({ address: counter, storageKeys: [word(0)] });
    expect(keccak256(proof.accountProof[0]!)).toBe(block.stateRoot);
    expect(proof.storageProof[0]).toMatchObject({ value: 15n });
    expect(keccak256(proof.storageProof[0]!.proof[0]!)).toBe(proof.storageHash);
    expect(keccak256((await client.getCode({ address: counter }))!)).toBe(proof.codeHash);
  });

  it('knows the fees', async () => {
    const { baseFeePerGas } = await client.getBlock();
    const fees = await client.estimateFeesPerGas();
    expect(fees.maxFeePerGas).toBeGreaterThan(0n);
    expect(await client.getGasPrice()).toBeGreaterThan(0n);
    const history = await client.getFeeHistory({ blockCount: 3, rewardPercentiles: [10, 90] });
    expect(history.baseFeePerGas).toHaveLength(4);
    expect(history.baseFeePerGas[2]).toBe(baseFeePerGas);
    expect(history.reward).toHaveLength(3);
    const { result } = await node.call('eth_createAccessList', [{ to: counter, data: word(1) }]);
    expect(result).toMatchObject({ accessList: [{ address: counter, storageKeys: [word(0)] }] });
  });

  it('follows blocks, logs and transactions over WebSocket', async () => {
    const socket = createPublicClient({ chain, transport: webSocket(node.webSocketUrl) });
    const seen: Record<'heads' | 'logs' | 'transactions', unknown[]> = { heads: [], logs: [], transactions: [] };
    const { promise: complete, resolve } = Promise.withResolvers<void>();
    const record = (kind: keyof typeof seen) => (value: unknown) => {
      seen[kind].push(value);
      if (Object.values(seen).every((values) => values.length > 0)) resolve();
    };
    const subscribe = (params: unknown[], kind: keyof typeof seen) =>
      socket.transport.subscribe({
        params: params as never,
        onData: ({ result }: { result?: unknown }) => record(kind)(result),
      });
    const subscriptions = [
      await subscribe(['newHeads'], 'heads'),
      await subscribe(['logs', { address: counter }], 'logs'),
      await subscribe(['newPendingTransactions'], 'transactions'),
    ];
    const hash = await wallet.sendTransaction({ to: counter, data: word(2) });
    await node.order();
    await complete;
    expect(seen.transactions).toEqual([hash]);
    expect(seen.heads[0]).toMatchObject({ number: `0x${(await client.getBlockNumber()).toString(16)}` });
    expect(seen.logs[0]).toMatchObject({ address: counter, data: word(2), transactionHash: hash });
    for (const { unsubscribe } of subscriptions) await unsubscribe();
    (await socket.transport.getSocket()).close();
  });

  it('is refused in words it understands', async () => {
    const { address } = account;
    await expect(wallet.sendTransaction({ to: recipient(1), nonce: 0, gas: 21_000n })).rejects.toThrow(
      /lower than the current nonce/i,
    );
    const poor = createWalletClient({
      account: mnemonicToAccount(DEVELOPMENT_MNEMONIC, { addressIndex: 77 }),
      chain,
      transport: http(node.url),
    });
    await expect(poor.sendTransaction({ to: address, value: 1n, gas: 21_000n })).rejects.toThrow(
      /exceeds the balance|insufficient funds/i,
    );
    const signed = await account.signTransaction({
      type: 'eip1559',
      chainId: 1,
      to: address,
      nonce: 50,
      gas: 21_000n,
      maxFeePerGas: 10n ** 10n,
    });
    const { error } = await node.call('eth_sendRawTransaction', [signed]);
    expect(error?.message).toBe('invalid chain id for signer: have 1 want 901');
  });
});
