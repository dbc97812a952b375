/**
 * A rollup as Ethereum tools see it: transactions through every node become final, and what the rollup node computed is
 * what an execution of the test's own computes from the same order.
 */

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { RollupFile } from '@squad/rollup-node/config';
import { rpcBatch } from '@squad/service';
import { Contract, ContractFactory, JsonRpcProvider, NonceManager, Wallet } from 'ethers';
import {
  type Block,
  createPublicClient,
  createWalletClient,
  defineChain,
  getContractAddress,
  type Hex,
  http,
  type PublicClient,
  parseEther,
  type TransactionReceipt,
  webSocket,
} from 'viem';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { waitFor } from '../src/index.ts';
import { ACCOUNTS, COUNTER_CODE, COUNTER_TOPIC, type Signed, Signer } from './accounts.ts';
import { comparable, execute } from './independent.ts';
import { expectSameChain, launch, type RunningNet, showLogsOnFailure, waitTransactionsFinal } from './support.ts';

const CHAIN_ID = 901;
const TRANSFERS_PER_ACCOUNT = 200;
const DEPLOYMENTS_PER_ACCOUNT = 5;
const TRANSACTIONS_PER_REQUEST = 50;

const chain = defineChain({
  id: CHAIN_ID,
  name: 'rollup-901',
  nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [] } },
});

let net: RunningNet;
let rollupUrl: string;
let client: PublicClient;

beforeAll(async () => {
  net = await launch();
  rollupUrl = net.testnet.rollupNodes[0]!.rpcUrl;
  client = createPublicClient({ chain, transport: http(rollupUrl), pollingInterval: 100 });
});
afterAll(() => net?.close());
beforeEach(() => showLogsOnFailure(net.testnet));

/** Sends in order to one node, many in a request, as a busy application would. */
async function send(url: string, transactions: readonly Signed[]): Promise<void> {
  for (let from = 0; from < transactions.length; from += TRANSACTIONS_PER_REQUEST) {
    const part = transactions.slice(from, from + TRANSACTIONS_PER_REQUEST);
    const outcomes = await rpcBatch(
      url,
      part.map(({ raw }) => ({ method: 'eth_sendRawTransaction', params: [raw] })),
    );
    for (const [index, outcome] of outcomes.entries()) {
      if (!outcome.ok) throw outcome.error;
      expect(outcome.value).toBe(part[index]!.hash);
    }
  }
}

it('makes 2,000 transfers and 50 contracts with calls final, as an independent execution finds them', async () => {
  const urls = [rollupUrl, ...net.testnet.nodes.map(({ rpcUrl }) => rpcUrl)];
  const all: Signed[] = [];
  const contracts: { readonly address: Hex; readonly calls: number }[] = [];
  // One account stays with one node: across nodes there is no order before consensus, and a nonce that comes too early
  // is skipped by the rollup's rules.
  await Promise.all(
    ACCOUNTS.map(async (account, index) => {
      const signer = new Signer(account, CHAIN_ID);
      const mine: Signed[] = [];
      for (let i = 0; i < TRANSFERS_PER_ACCOUNT; i++) {
        const to = ACCOUNTS[(index + 1 + (i % 9)) % 10]!.address;
        mine.push(await signer.sign({ to, value: BigInt(i + 1) * 10n ** 12n }));
      }
      for (let i = 0; i < DEPLOYMENTS_PER_ACCOUNT; i++) {
        const address = getContractAddress({ from: account.address, nonce: BigInt(signer.nonce) });
        contracts.push({ address, calls: i + 1 });
        mine.push(await signer.sign({ data: COUNTER_CODE, gas: 200_000n }));
        for (let call = 0; call <= i; call++) mine.push(await signer.sign({ to: address, gas: 100_000n }));
      }
      all.push(...mine);
      await send(urls[index % urls.length]!, mine);
    }),
  );
  const hashes = all.map(({ hash }) => hash);
  await Promise.all(net.testnet.nodes.map((node) => waitTransactionsFinal(node, hashes)));

  const receipts = await allReceipts(hashes);
  expect(receipts).toHaveLength(all.length);
  const blocks = await blocksUpTo(lastOf(receipts));
  const encodings = new Map(all.map(({ hash, raw }) => [hash, raw]));
  const independent = await execute(rollupFile(), blocks, async (hash) => encodings.get(hash)!);

  for (const block of blocks)
    expect(independent.stateRoots.get(block.number!), `block ${block.number}`).toBe(block.stateRoot);
  for (const receipt of receipts)
    expect(comparable(receipt)).toEqual(independent.receipts.get(receipt.transactionHash));
  for (const { address } of ACCOUNTS) {
    expect(await client.getBalance({ address })).toBe(await independent.balanceOf(address));
    expect(BigInt(await client.getTransactionCount({ address }))).toBe(await independent.nonceOf(address));
  }
  for (const { address, calls } of contracts) {
    expect(BigInt((await client.getStorageAt({ address, slot: '0x0' }))!)).toBe(BigInt(calls));
    const logs = await client.getLogs({ address, fromBlock: 0n });
    expect(logs.map(({ data }) => Number(data))).toEqual(Array.from({ length: calls }, (_, call) => call + 1));
    expect(logs.every(({ topics }) => topics[0] === COUNTER_TOPIC)).toBe(true);
  }
  expect(await expectSameChain(net.testnet.nodes)).toBeGreaterThan(0);
});

it('serves viem: a wallet, a receipt, a subscription', async () => {
  const heads = createPublicClient({ chain, transport: webSocket(rollupUrl.replace('http', 'ws')) });
  const seen: bigint[] = [];
  const unwatch = heads.watchBlockNumber({ onBlockNumber: (number) => void seen.push(number) });
  const wallet = createWalletClient({ account: ACCOUNTS[0]!, chain, transport: http(rollupUrl) });
  const to = ACCOUNTS[1]!.address;
  const before = await client.getBalance({ address: to });
  const hash = await wallet.sendTransaction({ to, value: parseEther('1') });
  const receipt = await client.waitForTransactionReceipt({ hash, timeout: 30_000 });
  expect(receipt.status).toBe('success');
  expect(await client.getBalance({ address: to })).toBe(before + parseEther('1'));
  await waitFor('a head over WebSocket', () => seen.some((number) => number >= receipt.blockNumber), 10_000);
  unwatch();
});

it('serves ethers: a contract deployed, called, and its events found', async () => {
  const provider = new JsonRpcProvider(rollupUrl, CHAIN_ID, { pollingInterval: 100 });
  try {
    const key = ACCOUNTS[2]!.getHdKey().privateKey!;
    const wallet = new NonceManager(new Wallet(`0x${Buffer.from(key).toString('hex')}`, provider));
    const factory = new ContractFactory(['function count() returns (uint256)'], COUNTER_CODE, wallet);
    const deployed = await factory.deploy();
    await deployed.waitForDeployment();
    const contract = new Contract(await deployed.getAddress(), ['function count() returns (uint256)'], wallet);
    expect(await contract.getFunction('count').staticCall()).toBe(1n);
    const receipt = await (await contract.getFunction('count')()).wait();
    expect(receipt?.logs).toHaveLength(1);
    expect(receipt?.logs[0]?.topics).toEqual([COUNTER_TOPIC]);
    const found = await provider.getLogs({ address: await deployed.getAddress(), fromBlock: 0 });
    expect(found).toHaveLength(1);
  } finally {
    provider.destroy();
  }
});

it('serves cast: chain id, balance, send, receipt, call, block', async () => {
  const run = promisify(execFile);
  const program = castProgram();
  const cast = async (...args: string[]) =>
    (await run(program, args, { timeout: 60_000, env: { ...process.env, ETH_RPC_URL: rollupUrl } })).stdout.trim();
  const from = ACCOUNTS[3]!;
  const key = `0x${Buffer.from(from.getHdKey().privateKey!).toString('hex')}`;
  expect(await cast('chain-id')).toBe(String(CHAIN_ID));
  expect(BigInt(await cast('balance', from.address))).toBe(await client.getBalance({ address: from.address }));
  const sent = JSON.parse(
    await cast('send', '--json', '--private-key', key, ACCOUNTS[4]!.address, '--value', '1ether'),
  ) as { transactionHash: Hex; status: string };
  expect(sent.status).toBe('0x1');
  expect(await cast('receipt', sent.transactionHash, 'status')).toMatch(/^(1|true)/);
  const created = JSON.parse(await cast('send', '--json', '--private-key', key, '--create', COUNTER_CODE)) as {
    contractAddress: Hex;
  };
  expect(BigInt(await cast('call', created.contractAddress, '0x'))).toBe(1n);
  expect(Number(await cast('block-number'))).toBeGreaterThan(0);
  expect(await cast('block', 'latest', '--field', 'stateRoot')).toMatch(/^0x[0-9a-f]{64}$/);
});

async function allReceipts(hashes: readonly Hex[]): Promise<TransactionReceipt[]> {
  const receipts: TransactionReceipt[] = [];
  for (let from = 0; from < hashes.length; from += TRANSACTIONS_PER_REQUEST) {
    const part = hashes.slice(from, from + TRANSACTIONS_PER_REQUEST);
    receipts.push(
      ...(await Promise.all(
        part.map((hash) => waitFor(`receipt of ${hash}`, () => client.getTransactionReceipt({ hash }), 30_000, 200)),
      )),
    );
  }
  return receipts;
}

function lastOf(receipts: readonly TransactionReceipt[]): bigint {
  let last = 0n;
  for (const { blockNumber } of receipts) if (blockNumber > last) last = blockNumber;
  return last;
}

async function blocksUpTo(last: bigint): Promise<Block[]> {
  const blocks: Block[] = [];
  for (let blockNumber = 1n; blockNumber <= last; blockNumber++) blocks.push(await client.getBlock({ blockNumber }));
  return blocks;
}

function rollupFile(): RollupFile {
  const folder = dirname(net.testnet.rollupNodes[0]!.configPath);
  return JSON.parse(readFileSync(join(folder, 'rollup.json'), 'utf8')) as RollupFile;
}

/** The binary of the platform package: `cast` itself is a script that looks for it. */
function castProgram(): string {
  const fromCast = createRequire(createRequire(import.meta.url).resolve('@foundry-rs/cast/package.json'));
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const manifest = fromCast.resolve(`@foundry-rs/cast-${process.platform}-${architecture}/package.json`);
  return join(dirname(manifest), 'bin', 'cast');
}
