/**
 * A rollup that a real op-geth executes, driven by forced transactions: block by block, and as a process beside a live
 * testnet that follows the same L1. Without an op-geth on PATH nothing here runs.
 */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  driveEngine,
  type EngineDriver,
  L1Chain,
  openRollup,
  outputRoot,
  type ProvenBlock,
  type Rollup,
} from '@squad/rollup-node';
import type { RollupFile } from '@squad/rollup-node/config';
import { clientOpBlocks, FakeL1 } from '@squad/rollup-node/testing';
import { createLogger, createPrometheusMetrics, noMetrics, type PrometheusMetrics, rpcCall } from '@squad/service';
import { fromHex, toHex } from '@squad/types';
import { type Hex, keccak256 } from 'viem';
import { generatePrivateKey, type HDAccount, privateKeyToAccount } from 'viem/accounts';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { ManagedProcess, waitFor } from '../src/index.ts';
import { TESTNET_L1_CONFIRMATIONS } from '../src/l1.ts';
import { ACCOUNTS, COUNTER_CODE, type Signed, Signer } from './accounts.ts';
import { type Geth, gethVersion } from './geth.ts';
import { bytesOf } from './mixed-load.ts';
import { launchOpGeth, type OpChanges } from './op-geth.ts';
import { freePort, launch, type RunningNet, SQUAD_MAIN, showLogsOnFailure } from './support.ts';

const OP_GETH_VERSION = gethVersion('op-geth');
const CHAIN_ID = 901;
const GENESIS_TIME_MS = 1_700_000_000_000;
const GWEI = 10n ** 9n;
const ETHER = 10n ** 18n;

const MESSAGE_PASSER = '0x4200000000000000000000000000000000000016';

const Block = z.looseObject({
  hash: z.string(),
  timestamp: z.string(),
  transactions: z.array(z.string()),
  withdrawalsRoot: z.string(),
  gasLimit: z.string(),
  extraData: z.string(),
  blobGasUsed: z.string(),
  baseFeePerGas: z.string(),
});

/** A chain that begins at the L1's first block, and follows it. */
const l1Of = ({ chainId, portal, systemConfig, blocks }: FakeL1): OpChanges => ({
  l1Origin: { ...blocks[0]!, hash: toHex(blocks[0]!.hash), baseFee: String(GWEI), blobBaseFee: '1' },
  l1: {
    chainId,
    depositContract: portal,
    systemConfig,
    blobSchedule: [{ time: 0, baseFeeUpdateFraction: 5_007_716 }],
  },
});

/** Of an account that is not among the funded ones: from nonce 0 on. */
const strange = () => new Signer(privateKeyToAccount(generatePrivateKey()) as unknown as HDAccount, CHAIN_ID);

/** Orders slots of a second each. */
class Order {
  /** Of the blocks from now on. */
  l1Anchor: ProvenBlock['l1Anchor'];
  readonly #rollup: Rollup;
  #parent: ProvenBlock | undefined;

  constructor(rollup: Rollup) {
    this.#rollup = rollup;
  }

  async final(transactions: readonly Hex[]): Promise<void> {
    this.#parent = this.#next(transactions, '');
    await this.#rollup.derivation.applyFinal(this.#parent);
  }

  /** And an empty slot, which seals it; whatever comes next stands in their place. */
  async soft(transactions: readonly Hex[]): Promise<void> {
    const before = this.#parent;
    for (const each of [transactions, []]) {
      this.#parent = this.#next(each, 'soft');
      await this.#rollup.derivation.applySoft({ ...this.#parent, stage: 'soft' });
    }
    this.#parent = before;
  }

  #next(transactions: readonly Hex[], salt: string): ProvenBlock {
    const height = (this.#parent?.height ?? 0) + 1;
    const parentHash = this.#parent?.hash ?? createHash('sha256').update('before').digest();
    const hash = createHash('sha256').update(parentHash).update(transactions.join()).update(salt).digest();
    const batches = transactions.length === 0 ? [] : [{ digest: hash, transactions: transactions.map(bytesOf) }];
    const timestampMs = GENESIS_TIME_MS + height * 1000;
    const l1Anchor = this.l1Anchor && { l1Anchor: this.l1Anchor };
    return { stage: 'final', height, view: height, hash, parentHash, timestampMs, batches, ...l1Anchor };
  }
}

describe.skipIf(OP_GETH_VERSION === undefined)('block by block', () => {
  let folder: string;
  let client: Geth;
  let rollup: Rollup;
  let order: Order;
  let driver: EngineDriver;
  let failure: unknown;
  const log: string[] = [];
  let metrics: PrometheusMetrics;
  const l1 = new FakeL1(7, GENESIS_TIME_MS / 1000 - 600);
  let l1Chain: L1Chain;
  let changes: OpChanges;
  const signers = ACCOUNTS.map((account) => new Signer(account, CHAIN_ID));

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'squad-op-geth-'));
    await l1.start();
    changes = l1Of(l1);
    const launched = await launchOpGeth(join(folder, 'client'), CHAIN_ID, GENESIS_TIME_MS, {}, changes);
    client = launched.client;
    const logger = createLogger({ name: 'l1', level: 'fatal' });
    l1Chain = new L1Chain({ urls: [l1.url], l1: changes.l1!, logger, metrics: noMetrics });
    rollup = await openRollup(launched.file, join(folder, 'rollup'), undefined, l1Chain);
    order = new Order(rollup);
    driver = await drive(client);
  });
  afterAll(async () => {
    await driver?.stop();
    await client?.kill();
    l1Chain?.stop();
    await rollup?.derivation.close();
    await l1.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function drive({ url, jwtSecretPath }: Geth, of: Rollup = rollup): Promise<EngineDriver> {
    metrics = createPrometheusMetrics();
    const started = (await driveEngine(
      { engine: url, jwtSecret: jwtSecretPath, engineMode: 'payload' },
      of,
      (error) => {
        failure = error;
      },
      createLogger({ name: 'engine', level: 'info', write: (line) => void log.push(line) }),
      metrics,
    ))!;
    started.start();
    return started;
  }

  /** `prevRandao` is the hash of the block that was derived. */
  const caughtUp = (at: Geth = client, of: Rollup = rollup) =>
    waitFor(
      'op-geth has all blocks',
      async () => {
        if (failure !== undefined) throw failure;
        const { head, latest } = of.executor;
        const tags = [await at.block('latest'), await at.block('finalized')];
        const [newest, final] = tags.map((block) => (block?.number === '0x0' ? 'genesis' : block?.mixHash));
        if (newest === toHex(head.hash) && final === (latest.number === 0 ? 'genesis' : toHex(latest.hash)))
          return true;
        throw new Error(`it is not at ${head.number}, ${latest.number}: ${driver.reason}\n${at.logTail(10)}`);
      },
      60_000,
      20,
    );
  const blockAt = (number: number | string) =>
    client.call(
      'eth_getBlockByNumber',
      [typeof number === 'number' ? `0x${number.toString(16)}` : number, false],
      Block,
    );

  const transfer = (index: number, to: Hex = ACCOUNTS[9]!.address, value = 5n) => signers[index]!.sign({ to, value });
  const skippedFor = ({ hash }: Signed) => rollup.skipped.get(fromHex(hash))?.reason;

  it('builds what is valid, in its order, and leaves out the rest', async () => {
    const poor = strange();
    const exact = strange();
    const wanted: Hex[][] = [];
    const refused: (readonly [Signed, string])[] = [];
    const slot = async (...transactions: (readonly [Signed, string?])[]) => {
      for (const [signed, reason] of transactions) if (reason !== undefined) refused.push([signed, reason]);
      wanted.push(transactions.flatMap(([{ hash }, reason]) => (reason === undefined ? [hash] : [])));
      await order.final(transactions.map(([{ raw }]) => raw));
    };
    const early = await new Signer(ACCOUNTS[8]!, CHAIN_ID, 1_000).sign({ to: ACCOUNTS[9]!.address });
    const first = await transfer(0);
    await slot([first], [early, 'nonce too high']);
    await slot([first, 'nonce too low'], [await signers[1]!.sign({ data: COUNTER_CODE, gas: 200_000n })]);
    // Paid for in the block in which it spends: op-geth takes it, and beside what it refuses it has to have it before.
    const pay = () => transfer(2, poor.account.address, 10n ** 18n);
    await slot([await pay()], [await poor.sign({ to: ACCOUNTS[9]!.address, value: 1n })]);
    const tooMuch = await poor.sign({ to: ACCOUNTS[9]!.address, value: 10n ** 18n });
    await slot([await pay()], [tooMuch, 'insufficient funds'], [early, 'nonce too high']);
    // Has what it takes, and nothing for L1.
    await slot([await transfer(2, exact.account.address, 21_000n * 100n * GWEI)]);
    await slot([await exact.sign({ to: ACCOUNTS[9]!.address }), 'insufficient funds'], [await transfer(3)]);
    await slot([await strange().sign({ to: ACCOUNTS[9]!.address, value: 1n }), 'insufficient funds']);
    for (let i = wanted.length; i < 20; i++) await slot([await transfer(i % 4)], [await transfer((i + 1) % 4)]);
    await order.final([]);
    await order.final([]);
    await caughtUp();
    for (const [index, hashes] of wanted.entries())
      expect((await blockAt(index + 1)).transactions.slice(1)).toEqual(hashes);
    for (const [signed, reason] of refused) expect(skippedFor(signed)).toContain(reason);
    expect(await metrics.text()).toContain(`squad_engine_left_out_transactions_total ${refused.length}\n`);
  });

  it('goes on after op-geth was stopped, and after it was killed', async () => {
    // Killed before it ever wrote its state, it may take itself for in the midst of a snap sync, and wait for peers.
    await client.stop();
    await client.start();
    for (let i = 0; i < 5; i++) await order.final([(await transfer(i % 4)).raw]);
    await order.final([]);
    await order.final([]);
    await caughtUp();
    await client.kill();
    const meanwhile = await transfer(0);
    await order.final([meanwhile.raw]);
    await order.final([]);
    await order.final([]);
    await client.start();
    await caughtUp();
    expect((await blockAt('latest')).transactions).toContain(meanwhile.hash);
  });

  it('follows the soft order when that is replaced', async () => {
    const [one, other] = [await transfer(0), await transfer(1)];
    await order.soft([one.raw]);
    await caughtUp();
    const { number } = rollup.executor.head;
    expect((await blockAt('latest')).transactions.slice(1)).toEqual([one.hash]);
    expect(Number((await client.block('finalized'))!.number)).toBe(number - 1);
    await order.final([other.raw]);
    await order.final([]);
    await order.final([]);
    await caughtUp();
    expect((await blockAt(number)).transactions.slice(1)).toEqual([other.hash]);
  });

  it('mints what was deposited on L1, to be spent and withdrawn under an output root; and follows the SystemConfig', async () => {
    const user = strange();
    const balance = async (address: Hex) =>
      BigInt(await client.call('eth_getBalance', [address, 'latest'], z.string()));
    // A deposit counts in its sender's nonces: the one from the user comes last.
    const from = ACCOUNTS[9]!.address;
    l1.mine([[l1.deposit(user.account.address, 3n * ETHER, { from })], [l1.configUpdate(2, 25_000_000n)]]);
    l1.mine();
    order.l1Anchor = l1.mine([
      [l1.deposit(MESSAGE_PASSER, 7n, { from: user.account.address, value: 5n, data: '0x11' })],
    ]);
    await order.final([(await transfer(0)).raw]);
    const withdrawal = await user.sign({ to: MESSAGE_PASSER, value: ETHER, data: '0xc0ffee', gas: 100_000n });
    await order.final([withdrawal.raw]);
    for (let i = 0; i < 4; i++) await order.final([]);
    await caughtUp();
    const latest = await client.call('eth_getBlockByNumber', ['latest', false], Block);
    expect(latest.gasLimit).toBe('0x17d7840');
    expect(await balance(user.account.address)).toBeGreaterThan(2n * ETHER - 10n ** 16n);
    // The deposit's value came beside the withdrawal's.
    expect(await balance(MESSAGE_PASSER)).toBe(ETHER + 5n);
    const receipt = z.looseObject({ status: z.string(), blockNumber: z.string() });
    const { status, blockNumber } = await client.call('eth_getTransactionReceipt', [withdrawal.hash], receipt);
    expect(status).toBe('0x1');
    const blocks = clientOpBlocks(rollup.executor as Parameters<typeof clientOpBlocks>[0], driver);
    const number = Number(blockNumber);
    const [roots, ref] = [await blocks.roots(number), await blocks.ref(number)];
    const slots = [keccak256('0xc0ffee')];
    const Proof = z.looseObject({
      storageHash: z.string(),
      storageProof: z.array(z.looseObject({ value: z.string() })),
    });
    const proof = await client.call('eth_getProof', [MESSAGE_PASSER, slots, blockNumber], Proof);
    expect(proof.storageProof[0]!.value).toBe('0x1');
    expect(proof.storageHash).toBe(toHex(roots.withdrawalStorageRoot));
    expect(ref).toMatchObject({ number, l1origin: { number: 9 }, sequenceNumber: 0 });
    expect(ref.hash).toBe((await client.block(number))!.hash);
    expect(outputRoot({ ...roots, blockHash: fromHex(ref.hash) })).toHaveLength(32);
  });

  it('comes to the same with another op-geth that begins from nothing', async () => {
    const { client: second } = await launchOpGeth(join(folder, 'second'), CHAIN_ID, GENESIS_TIME_MS, {}, changes);
    // Also when the test runs out of time.
    onTestFinished(() => second.kill());
    const following = await drive(second);
    onTestFinished(() => following.stop());
    await caughtUp(second);
    expect((await second.block('latest'))!.hash).toBe((await client.block('latest'))!.hash);
  });

  it('is driven in Jovian, too: blocks end within the DA footprint that it allows, and have a least base fee', async () => {
    const jovian = { jovianTime: 0, minBaseFee: 2_000_000_000, daFootprintGasScalar: 0xffff };
    const launched = await launchOpGeth(join(folder, 'jovian'), CHAIN_ID, GENESIS_TIME_MS, {}, jovian);
    onTestFinished(() => launched.client.kill());
    const other = await openRollup(launched.file, join(folder, 'jovian-rollup'));
    onTestFinished(() => other.derivation.close());
    const jovianOrder = new Order(other);
    const driving = await drive(launched.client, other);
    onTestFinished(() => driving.stop());
    const fresh = new Signer(ACCOUNTS[0]!, CHAIN_ID);
    const many = await Promise.all(
      Array.from({ length: 9 }, () => fresh.sign({ to: ACCOUNTS[1]!.address, value: 1n })),
    );
    await jovianOrder.final(many.map(({ raw }) => raw));
    await jovianOrder.final([]);
    await jovianOrder.final([]);
    await caughtUp(launched.client, other);
    const found = [];
    for (let number = 1; number <= other.executor.head.number; number++) {
      found.push(await launched.client.call('eth_getBlockByNumber', [`0x${number.toString(16)}`, false], Block));
    }
    expect(found.flatMap(({ transactions }) => transactions.slice(1))).toEqual(many.map(({ hash }) => hash));
    expect(found.length).toBeGreaterThan(2);
    for (const { extraData, blobGasUsed, gasLimit } of found) {
      expect(extraData).toBe('0x01000000fa000000060000000077359400');
      expect(Number(blobGasUsed)).toBeGreaterThan(0);
      expect(Number(blobGasUsed)).toBeLessThanOrEqual(Number(gasLimit));
    }
    expect(BigInt(found.at(-1)!.baseFeePerGas)).toBeGreaterThanOrEqual(2n * GWEI);
  });
});

const BlockRef = z.object({
  hash: z.string(),
  number: z.number(),
  l1origin: z.object({ hash: z.string(), number: z.number() }),
  sequenceNumber: z.number(),
});

describe.skipIf(OP_GETH_VERSION === undefined)('beside a live testnet that follows L1', () => {
  /** Long past when the rollup begins, so that no block waits for its origin's time. */
  const l1 = new FakeL1(7, Math.floor(Date.now() / 1000) - 3_600);
  let net: RunningNet;
  let folder: string;
  let client: Geth;
  let node: ManagedProcess;
  let url: string;
  const signer = new Signer(ACCOUNTS[0]!, CHAIN_ID);

  beforeAll(async () => {
    await l1.start();
    for (let i = 0; i < TESTNET_L1_CONFIRMATIONS; i++) l1.mine();
    net = await launch({ l1RpcOf: () => l1.url, sequencerOptions: { heartbeatMs: 250 } });
    folder = join(net.testnet.directory, 'op');
    const rpcPort = await freePort();
    url = `http://127.0.0.1:${rpcPort}`;
    const launched = await launchOpGeth(
      join(folder, 'client'),
      CHAIN_ID,
      Date.now() - 5_000,
      { 'rollup.sequencerhttp': url },
      l1Of(l1),
    );
    client = launched.client;
    const rollupPath = join(folder, 'rollup.json');
    writeFileSync(rollupPath, JSON.stringify(launched.file));
    const opRollupPath = join(folder, 'op-rollup.json');
    writeFileSync(opRollupPath, JSON.stringify(opNodeConfig(launched.file)));
    const flags = {
      genesis: net.testnet.genesisPath,
      rollup: rollupPath,
      'data-directory': join(folder, 'node'),
      'sequencer-rpc': net.testnet.nodes.map(({ rpcUrl }) => rpcUrl).join(),
      'rpc-port': String(rpcPort),
      'metrics-port': '0',
      engine: client.url,
      'jwt-secret': client.jwtSecretPath,
      'l1-rpc': l1.url,
      'op-rollup-config': opRollupPath,
    };
    const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
    const command = [process.execPath, SQUAD_MAIN, 'rollup-node', ...args];
    node = new ManagedProcess({ name: 'op', command, logPath: join(folder, 'node.log') });
    await node.start();
  });
  afterAll(async () => {
    await node?.stop();
    await client?.kill();
    await net?.close();
    await l1.stop();
  });
  beforeEach(() => showLogsOnFailure(net.testnet));

  /** On the L1, and as many blocks upon it as the validators wait for. */
  function deposit(to: Hex, mint: bigint): Hex {
    // Not from the receiver: a deposit counts in its sender's nonces.
    const { hash } = l1.mine([[l1.deposit(to, mint, { from: ACCOUNTS[9]!.address })]]);
    for (let i = 0; i < TESTNET_L1_CONFIRMATIONS; i++) l1.mine();
    return toHex(hash);
  }

  const eventually = (what: string, check: () => Promise<void>) =>
    waitFor(
      what,
      () =>
        check().then(
          () => true,
          (error: Error) => Promise.reject(new Error(`${error.message}\n${node.logTail(5)}\n${client.logTail(10)}`)),
        ),
      120_000,
      100,
    );

  const waitBalance = (address: Hex, wanted: bigint) =>
    eventually(`${address} has ${wanted} wei`, async () => {
      const found = BigInt(await client.call('eth_getBalance', [address, 'latest'], z.string()));
      if (found !== wanted) throw new Error(`it has ${found}`);
    });

  async function executed({ raw, hash }: Signed): Promise<void> {
    await client.call('eth_sendRawTransaction', [raw], z.string());
    await eventually(`op-geth has executed ${hash}`, async () => {
      const receipt = await client.call('eth_getTransactionReceipt', [hash], z.looseObject({}).nullable());
      if (receipt === null) throw new Error('there is no receipt');
      expect(receipt).toMatchObject({ status: '0x1', transactionIndex: '0x1' });
    });
  }

  it('users talk to op-geth alone, and ask the node what became of what op-geth refused', async () => {
    const sent = await signer.sign({ to: ACCOUNTS[1]!.address, value: 5n });
    const early = await new Signer(ACCOUNTS[0]!, CHAIN_ID, 100).sign({ to: ACCOUNTS[1]!.address });
    await client.call('eth_sendRawTransaction', [early.raw], z.string());
    await executed(sent);
    await eventually('the other one was left out', async () => {
      const skipped = z.looseObject({ reason: z.string() }).nullable();
      const found = await rpcCall(url, 'squad_getSkippedTransaction', [early.hash], skipped);
      if (found === null) throw new Error('not yet');
      expect(found.reason).toContain('nonce too high');
    });
  });

  it('what is deposited on L1 comes by the anchors of the validators, and comes to a node that was killed meanwhile', async () => {
    const [user, other] = [strange(), strange()];
    deposit(user.account.address, 3n * ETHER);
    await waitBalance(user.account.address, 3n * ETHER);
    await executed(await user.sign({ to: ACCOUNTS[9]!.address, value: ETHER }));
    await node.kill('SIGKILL');
    const last = deposit(other.account.address, 2n * ETHER);
    await node.start();
    await waitBalance(other.account.address, 2n * ETHER);
    await executed(await other.sign({ to: ACCOUNTS[9]!.address, value: ETHER }));
    const newest = Number((await client.block('latest'))!.number);
    const Status = z.object({ head_l1: z.object({ hash: z.string() }), finalized_l2: BlockRef });
    await eventually(`block ${newest} is final`, async () => {
      const { head_l1, finalized_l2 } = await rpcCall(url, 'optimism_syncStatus', [], Status);
      if (finalized_l2.number < newest) throw new Error(`block ${finalized_l2.number} is`);
      expect(head_l1.hash).toBe(last);
    });
    const Output = z.object({ outputRoot: z.string(), blockRef: BlockRef });
    let origin = l1.blocks[0]!.number;
    for (let number = 0; number <= newest; number++) {
      const found = await rpcCall(url, 'optimism_outputAtBlock', [`0x${number.toString(16)}`], Output);
      const { hash, stateRoot, withdrawalsRoot } = await client.call(
        'eth_getBlockByNumber',
        [`0x${number.toString(16)}`, false],
        Block.extend({ stateRoot: z.string() }),
      );
      const [state, withdrawals, block] = [stateRoot, withdrawalsRoot, hash].map((each) => fromHex(each as Hex));
      const root = outputRoot({ stateRoot: state!, withdrawalStorageRoot: withdrawals!, blockHash: block! });
      expect(found).toMatchObject({ outputRoot: toHex(root), blockRef: { number, hash } });
      const { l1origin, sequenceNumber } = found.blockRef;
      if (number > 0 && sequenceNumber === 0) origin++;
      const { hash: originHash } = l1.blocks.find((each) => each.number === origin)!;
      expect(l1origin).toEqual({ number: origin, hash: toHex(originHash) });
    }
  });
});

/** op-node's `rollup.json`. */
function opNodeConfig({ rollupId, genesisTimeMs, blockTimeMs, op }: RollupFile): object {
  const { l1Origin, genesisHash, l1 } = op!;
  return {
    genesis: {
      l1: { hash: l1Origin.hash, number: l1Origin.number },
      l2: { hash: genesisHash, number: 0 },
      l2_time: Math.floor(genesisTimeMs / 1000),
    },
    block_time: blockTimeMs / 1000,
    l1_chain_id: l1!.chainId,
    l2_chain_id: rollupId,
    deposit_contract_address: l1!.depositContract,
    l1_system_config_address: l1!.systemConfig,
  };
}
