/** One chain, asked twice: of a rollup node's eth_* methods and of a real geth that was given the same blocks. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { driveEngine, openRollup } from '@squad/rollup-node';
import { developmentRollup, type RollupFile } from '@squad/rollup-node/config';
import { createEthApi } from '@squad/rollup-node/testing';
import { createLogger, createPrometheusMetrics, createRpcServer, RpcError, rpcCall } from '@squad/service';
import { concat, type Hex, keccak256, pad } from 'viem';
import { z } from 'zod';
import { waitFor } from '../src/index.ts';
import { ACCOUNTS } from './accounts.ts';
import { orderInto } from './engine-compare.ts';
import { Geth } from './geth.ts';
import { freePort } from './support.ts';

export const CHAIN_ID = 901;
const GENESIS_TIME_MS = 1_700_000_000_000;
/** geth takes Ethereum's for every chain's. */
const SLOT_MS = 12_000;
const GWEI = 10n ** 9n;
const at = (byte: string): Hex => `0x${byte.repeat(20)}`;

/** Small programs, by what they do. */
export const CONTRACTS = {
  /** Adds one to slot 0, logs the sum with topic 42, returns it. */
  counter: { address: at('c0'), code: '60005460010180600055600052602a60206000a160206000f3' },
  /** Calls the address CALLDATALOAD(0) with what follows and the call's value; stores success, size and hash of what came back. */
  caller: {
    address: at('ca'),
    code: `6020360380${'60205f37'}${'5f5f825f345f355af1'}${'5f55'}${'3d600155'}${'3d5f5f3e'}${'3d5f20600255'}00`,
  },
  /** The same with DELEGATECALL, and nothing stored. */
  delegator: { address: at('de'), code: `602036038060205f375f5f825f5f355af4${'3d5f5f3e3d5ff3'}` },
  /** Logs, then reverts with Error("no luck"). */
  reverter: {
    address: at('4e'),
    code: `5f5fa0${'7f08c379a0'}${'0'.repeat(56)}5f52${'6020600452'}${'6007602452'}${'7f6e6f206c75636b'}${'0'.repeat(50)}604452${'60645ffd'}`,
  },
  /** Stores twice, then has no gas left: a loop without an end. */
  looper: { address: at('10'), code: '60015f5560026001555b600656' },
  invalid: { address: at('fe'), code: '60015f55fe' },
  underflow: { address: at('0f'), code: '5f5001' },
  jumper: { address: at('1f'), code: '60ff56' },
  /** SELFDESTRUCT to the caller. */
  destroyer: { address: at('dd'), code: '33ff' },
  /** CREATE2 of the call data, with the call's value; stores the address. */
  factory: { address: at('fa'), code: '365f5f375f365f34f55f5500' },
  /** Writes and clears slots: a refund. */
  clearer: { address: at('cc'), code: '60055f555f5f5500' },
  /** Returns COINBASE, TIMESTAMP, NUMBER, PREVRANDAO, GASLIMIT, CHAINID, SELFBALANCE, BASEFEE, BLOBBASEFEE, BLOCKHASH(NUMBER-1), ORIGIN, GASPRICE. */
  environment: {
    address: at('ee'),
    code: `${['41', '42', '43', '44', '45', '46', '47', '48', '4a', '6001430340', '32', '3a']
      .map((operation, i) => `${operation}61${(32 * i).toString(16).padStart(4, '0')}52`)
      .join('')}6101805ff3`,
  },
} as const satisfies Record<string, { address: Hex; code: string }>;

export interface Answer {
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

export interface EthPair {
  /** What the rollup node answers. */
  ours(method: string, params: readonly unknown[]): Promise<Answer>;
  geths(method: string, params: readonly unknown[]): Promise<Answer>;
  /** Of the transactions in the chain, in order. */
  readonly hashes: readonly Hex[];
  close(): Promise<void>;
}

/** Some blocks with a transaction of each kind, and both nodes at their end. */
export async function startEthPair(hardfork: RollupFile['hardfork']): Promise<EthPair> {
  const folder = mkdtempSync(join(tmpdir(), 'squad-eth-'));
  const development = developmentRollup({
    rollupId: CHAIN_ID,
    genesisTimeMs: GENESIS_TIME_MS,
    ethereumBlocks: true,
    hardfork,
    gasLimit: 30_000_000,
    blockTimeMs: SLOT_MS,
  });
  const contracts = Object.values(CONTRACTS).map(({ address, code }) => [
    address,
    { balance: '1000', nonce: 1, code: `0x${code}` as Hex },
  ]);
  const file = { ...development, alloc: { ...development.alloc, ...Object.fromEntries(contracts) } };
  const rollup = await openRollup(file, join(folder, 'rollup'));
  const httpPort = await freePort();
  const geth = await Geth.launch(join(folder, 'geth'), 'geth', Geth.genesis(file), {
    http: 'true',
    'http.port': String(httpPort),
    'http.api': 'eth,debug,net,web3,txpool',
    gcmode: 'archive',
  });
  const { executor } = rollup;
  if (executor.kind !== 'evm') throw new Error('not an EVM rollup');
  const api = createEthApi(
    { ...rollup, executor: executor as Parameters<typeof createEthApi>[0]['executor'] },
    {
      submit: async (raw) => keccak256(raw),
      syncing: () => false,
      peerCount: () => 0,
      clientVersion: 'squad/test/rollup-node',
    },
  );
  const logger = createLogger({ name: 'eth', level: 'error' });
  const server = await createRpcServer({
    ...{ host: '127.0.0.1', port: 0, info: { title: 'rollup', version: '0' }, logger },
    ...{ methods: api.methods, subscriptions: api.subscriptions },
  });
  let failure: unknown;
  const driver = (await driveEngine(
    { engine: geth.url, jwtSecret: geth.jwtSecretPath, engineMode: 'payload' },
    rollup,
    (error) => {
      failure = error;
    },
    logger,
    createPrometheusMetrics(),
  ))!;
  const close = async () => {
    await server.close();
    api.close();
    await driver.stop();
    await geth.kill();
    await rollup.derivation.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    driver.start();
    const order = orderInto(rollup.derivation, GENESIS_TIME_MS, SLOT_MS);
    const hashes: Hex[] = [];
    for (const block of await transactions()) {
      await order(block);
      hashes.push(...block.map((raw) => keccak256(raw)));
    }
    await order([]);
    await waitFor(
      'geth has all blocks',
      async () => {
        if (failure !== undefined) throw failure;
        if (driver.headNumber === executor.latest.number) return true;
        throw new Error(`it is at ${driver.headNumber} of ${executor.head.number}: ${driver.reason ?? driver.state}`);
      },
      120_000,
      20,
    );
    return {
      ours: (method, params) => ask(server.url, method, params),
      geths: (method, params) => ask(`http://127.0.0.1:${httpPort}`, method, params),
      hashes,
      close,
    };
  } catch (error) {
    console.error(geth.logTail(30));
    await close();
    throw error;
  }
}

async function ask(url: string, method: string, params: readonly unknown[]): Promise<Answer> {
  try {
    return { result: await rpcCall(url, method, params, z.unknown()) };
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    const { code, message, data } = error;
    return { error: { code, message, data } };
  }
}

/** Signed; by block. */
async function transactions(): Promise<Hex[][]> {
  const account = ACCOUNTS[0]!;
  let nonce = 0;
  const sign = (draft: object) =>
    account.signTransaction({
      ...{ type: 'eip1559', chainId: CHAIN_ID, nonce: nonce++, gas: 200_000n },
      ...{ maxFeePerGas: 100n * GWEI, maxPriorityFeePerGas: GWEI, ...draft },
    } as Parameters<typeof account.signTransaction>[0]);
  const to = (name: keyof typeof CONTRACTS, draft: object = {}) => sign({ to: CONTRACTS[name].address, ...draft });
  const calling = (name: keyof typeof CONTRACTS, data: Hex = '0x') => ({
    data: concat([pad(CONTRACTS[name].address), data]),
  });
  const legacy = { type: 'legacy', maxFeePerGas: undefined, maxPriorityFeePerGas: undefined, gasPrice: 50n * GWEI };
  const accessList = [{ address: CONTRACTS.counter.address, storageKeys: [pad('0x0')] }];
  const authorization = await ACCOUNTS[1]!.signAuthorization!({
    ...{ contractAddress: CONTRACTS.counter.address, chainId: CHAIN_ID, nonce: 0 },
  });
  return [
    [
      await sign({ to: at('99'), value: 5n, gas: 21_000n }),
      await to('counter'),
      await to('caller', calling('counter')),
    ],
    [
      await sign({ to: ACCOUNTS[2]!.address, value: 5n, ...legacy }),
      await to('counter', { ...legacy, type: 'eip2930', accessList }),
      await to('caller', { ...calling('reverter'), value: 3n }),
      await to('reverter'),
      await to('looper'),
      await to('caller', calling('invalid')),
      await to('caller', calling('looper')),
      await to('delegator', calling('counter')),
      await sign({ data: '0x33ff', value: 7n }),
      await to('factory', { data: '0x6005600a600f3900', value: 1n }),
      await to('factory', { data: '0x6960005460010160005500600052600a6016f3', value: 1n }),
      await to('clearer'),
      await to('destroyer'),
      await to('caller', { ...calling('destroyer'), value: 4n }),
      await sign({ to: ACCOUNTS[1]!.address, type: 'eip7702', authorizationList: [authorization], gas: 300_000n }),
      await sign({ to: `0x${'00'.repeat(19)}04`, data: '0x112233' }),
      await to('caller', { data: concat([pad('0x02'), '0x1122']) }),
      await to('invalid'),
      await to('underflow'),
      await to('jumper'),
    ],
    [await to('counter')],
  ];
}
