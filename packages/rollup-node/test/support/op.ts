/** An OP rollup that grows by hand, a strict client that judges nonces and nothing else, and the driver between them. */

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Block } from '@ethereumjs/block';
import { createLogger, type Metrics, noMetrics } from '@squad/service';
import { concatBytes, equalBytes, fromHex, type Hex, toHex } from '@squad/types';
import { DEVELOPMENT_ACCOUNTS } from '../../src/config/development-accounts.ts';
import { developmentRollup, type RollupFile } from '../../src/config/rollup-file.ts';
import type { ProvenBlock } from '../../src/derivation/api.ts';
import { openRollup, type Rollup } from '../../src/derivation/open.ts';
import type { EngineDriver } from '../../src/engine/driver.ts';
import { driveEngine } from '../../src/engine/node.ts';
import { makeHeader } from '../../src/execution/evm/block.ts';
import { createSharedCommon } from '../../src/execution/evm/common.ts';
import { decodeTransaction } from '../../src/execution/evm/transaction.ts';
import { keccak256 } from '../../src/execution/keccak.ts';
import type { OpExecutor } from '../../src/stacks/op/executor.ts';
import {
  type Attributes,
  BuildRefused,
  type Built,
  EngineServer,
  extraDataOf,
  type OpFork,
  opBlockOf,
} from '../../src/testing/engine/index.ts';
import { temporaryDirectory } from './directory.ts';
import { GENESIS_TIME_MS, sequenceOf, soft } from './sequence.ts';

export const CHAIN = 901;
export const GENESIS_SECONDS = GENESIS_TIME_MS / 1000;
const COMMON = createSharedCommon(CHAIN, 'prague');
const ZEROES = `0x${'00'.repeat(32)}` as const;
const NO_REQUESTS_HASH = '0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const GENESIS = new Block(
  makeHeader(COMMON, {
    timestamp: GENESIS_SECONDS,
    gasLimit: 30_000_000n,
    baseFeePerGas: 7n,
    extraData: extraDataOf('0x0'),
  }),
  [],
  [],
  [],
  { common: COMMON, skipConsensusFormatValidation: true },
);

export function opFile(changes: Partial<RollupFile> = {}): RollupFile {
  return developmentRollup({
    rollupId: CHAIN,
    genesisTimeMs: GENESIS_TIME_MS,
    executor: 'op',
    gasLimit: 30_000_000,
    alloc: {},
    op: {
      genesisHash: toHex(GENESIS.hash()),
      l1Origin: { number: 7, hash: `0x${'11'.repeat(32)}`, timestamp: 1_699_999_999, baseFee: '8', blobBaseFee: '9' },
      batcher: `0x${'22'.repeat(20)}`,
      baseFeeScalar: 10,
      blobBaseFeeScalar: 11,
      operatorFeeScalar: 12,
      operatorFeeConstant: 13,
      eip1559Denominator: 0,
      eip1559Elasticity: 0,
      minBaseFee: 0,
      daFootprintGasScalar: 0,
    },
    ...changes,
  });
}

/** Orders slots of a second. */
export class Order {
  readonly rollup: Rollup;
  /** Of the blocks from now on. */
  l1Anchor: ProvenBlock['l1Anchor'];
  #tip: ProvenBlock | undefined;

  constructor(rollup: Rollup) {
    this.rollup = rollup;
  }

  get executor(): OpExecutor {
    return this.rollup.executor as OpExecutor;
  }

  async final(...slots: (readonly Uint8Array[])[]): Promise<void> {
    for (const transactions of slots) await this.rollup.derivation.applyFinal(this.#next(transactions));
  }

  /** Final order comes in its place. */
  async soft(...slots: (readonly Uint8Array[])[]): Promise<void> {
    const before = this.#tip;
    for (const transactions of slots) await this.rollup.derivation.applySoft(soft(this.#next(transactions, 'soft')));
    this.#tip = before;
  }

  #next(transactions: readonly Uint8Array[], salt = ''): ProvenBlock {
    const at = (this.#tip?.height ?? 0) * 1000;
    const l1Anchor = this.l1Anchor && { l1Anchor: this.l1Anchor };
    const batches = transactions.length === 0 ? [] : [transactions];
    const [block] = sequenceOf([{ at, batches, salt, ...l1Anchor }], this.#tip);
    this.#tip = block!;
    return block!;
  }
}

export interface OpClientOptions {
  /** Refusals do not say whom they are about. */
  readonly isSilent?: boolean;
  /** Transactions that are not valid, whatever comes before them. */
  readonly dislikes?: readonly Uint8Array[];
  /** A reason not to take a block of these transactions, whatever they are. */
  readonly refuses?: (transactions: readonly string[]) => string | undefined;
  /** Default: `isthmus`. */
  readonly fork?: OpFork;
}

/** Begins blocks as op-geth does: transactions in order, an error at the first one that is not valid. */
export function opClient(options: OpClientOptions = {}): EngineServer {
  const disliked = new Set(options.dislikes?.map((raw) => toHex(raw)));
  const nonces = new Map<string, ReadonlyMap<string, bigint>>([[toHex(GENESIS.hash()), new Map()]]);
  const numbers = new Map<string, number>([[toHex(GENESIS.hash()), 0]]);
  return new EngineServer({
    chainId: CHAIN,
    fork: 'prague',
    secret: randomBytes(32),
    genesis: GENESIS,
    op: options.fork ?? 'isthmus',
    account: (address, blockHash) => ({
      nonce: nonces.get(blockHash)!.get(address) ?? 0n,
      balance: DEVELOPMENT_ACCOUNTS.some((each) => each.toLowerCase() === address) ? 10n ** 18n : 0n,
    }),
    build: async (parent, attributes) => {
      const after = new Map(nonces.get(parent));
      const whole = options.refuses?.(attributes.transactions);
      if (whole !== undefined) throw new BuildRefused(whole);
      for (const raw of attributes.transactions.filter((each) => !each.startsWith('0x7e'))) {
        const decoded = decodeTransaction(fromHex(raw as Hex), COMMON);
        if ('reason' in decoded) throw new Error(decoded.reason);
        const [from, { nonce }] = [toHex(decoded.from), decoded.transaction];
        const wanted = after.get(from) ?? 0n;
        const fault = disliked.has(raw as Hex)
          ? 'intrinsic gas too low'
          : nonce !== wanted
            ? `nonce is not ${wanted}`
            : undefined;
        const hash = toHex(keccak256(fromHex(raw as Hex)));
        if (fault !== undefined) {
          throw new BuildRefused(
            options.isSilent === true ? fault : `failed to force-include tx: ${hash}, err: ${fault}`,
          );
        }
        after.set(from, wanted + 1n);
      }
      const number = numbers.get(parent)! + 1;
      const built = payloadUpon(parent, number, attributes);
      nonces.set(built.payload.blockHash, after);
      numbers.set(built.payload.blockHash, number);
      return built;
    },
  });
}

function payloadUpon(parent: Hex, number: number, attributes: Attributes): Built {
  const payload = {
    parentHash: parent,
    feeRecipient: attributes.suggestedFeeRecipient,
    stateRoot: toHex(
      keccak256(concatBytes(fromHex(parent), ...attributes.transactions.map((raw) => fromHex(raw as Hex)))),
    ),
    receiptsRoot: ZEROES,
    logsBloom: `0x${'00'.repeat(256)}`,
    prevRandao: attributes.prevRandao,
    blockNumber: `0x${number.toString(16)}`,
    gasLimit: attributes.gasLimit,
    gasUsed: '0x5208',
    timestamp: attributes.timestamp,
    extraData: extraDataOf(attributes.eip1559Params!, attributes.minBaseFee),
    baseFeePerGas: '0x7',
    blockHash: ZEROES as string,
    transactions: attributes.transactions,
    withdrawals: [],
    blobGasUsed: '0x0',
    excessBlobGas: '0x0',
    withdrawalsRoot: toHex(keccak256(fromHex(attributes.prevRandao as Hex))),
  };
  const block = opBlockOf(payload, attributes.parentBeaconBlockRoot as Hex, NO_REQUESTS_HASH, COMMON);
  return { payload: { ...payload, blockHash: toHex(block.hash()) }, requests: [] };
}

export interface OpEngine {
  readonly order: Order;
  readonly client: EngineServer;
  readonly driver: EngineDriver;
  readonly log: string[];
  /** Resolves with what made the driver give up. */
  readonly failed: Promise<{ readonly code: string; readonly message: string }>;
  /** Until the client has the newest sealed block as its head. */
  followed(): Promise<void>;
  close(): Promise<void>;
}

export async function startOp(
  client: EngineServer,
  {
    changes = {},
    order,
    metrics = noMetrics,
  }: { changes?: Partial<RollupFile>; order?: Order; metrics?: Metrics } = {},
): Promise<OpEngine> {
  const grown = order ?? new Order(await openRollup(opFile(changes), temporaryDirectory()));
  const jwtSecret = join(temporaryDirectory(), 'jwt.hex');
  writeFileSync(jwtSecret, toHex(client.secret));
  await client.start();
  const log: string[] = [];
  const failure = Promise.withResolvers<Awaited<OpEngine['failed']>>();
  const driver = (await driveEngine(
    { engine: client.url, jwtSecret, engineMode: 'payload' },
    grown.rollup,
    (error) => failure.resolve(error as Awaited<OpEngine['failed']>),
    createLogger({ name: 'test', level: 'info', write: (line) => void log.push(line) }),
    metrics,
    { retryMinMs: 1 },
  ))!;
  driver.start();
  return {
    order: grown,
    client,
    driver,
    log,
    failed: failure.promise,
    followed: () =>
      client.until(() => {
        const { number, hash } = grown.executor.head;
        return client.headNumber === number && equalBytes(client.canonical(number)!.block.header.mixHash, hash);
      }),
    close: async () => {
      await driver.stop();
      await client.stop();
      if (order === undefined) await grown.rollup.derivation.close();
    },
  };
}
