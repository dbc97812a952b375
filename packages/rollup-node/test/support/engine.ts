/** A rollup with Ethereum's blocks, a strict execution client, and the driver between them. */

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Block } from '@ethereumjs/block';
import { createLogger, noMetrics } from '@squad/service';
import { fromHex, type Hex, toHex } from '@squad/types';
import { developmentRollup, type RollupFile } from '../../src/config/rollup-file.ts';
import type { ProvenBlock } from '../../src/derivation/api.ts';
import { openRollup, type Rollup } from '../../src/derivation/open.ts';
import type { EngineDriver } from '../../src/engine/driver.ts';
import { driveEngine } from '../../src/engine/node.ts';
import { payloadOf } from '../../src/engine/payload.ts';
import { createSharedCommon } from '../../src/execution/evm/common.ts';
import type { EvmExecutor } from '../../src/execution/evm/executor.ts';
import { EvmHistory } from '../../src/execution/evm/history.ts';
import { type Built, EngineServer, type EngineServerOptions } from '../../src/testing/engine/index.ts';
import { temporaryDirectory } from './directory.ts';
import { GENESIS_TIME_MS, sequenceOf, soft } from './sequence.ts';
import { recipient, sign } from './transactions.ts';

export const CHAIN = 901;

export function ethereumRollup(changes: Partial<RollupFile> = {}): RollupFile {
  return developmentRollup({ rollupId: CHAIN, genesisTimeMs: GENESIS_TIME_MS, ethereumBlocks: true, ...changes });
}

/** A rollup that grows by hand: one slot of a second for each list of transactions. */
export class Chain {
  readonly rollup: Rollup;
  readonly history: EvmHistory;
  #slot = 0;
  #tip: ProvenBlock | undefined;
  #final: ProvenBlock | undefined;
  #soft: ProvenBlock[] = [];
  #nonce = 0;

  constructor(rollup: Rollup) {
    this.rollup = rollup;
    this.history = new EvmHistory(rollup.executor as EvmExecutor);
  }

  static async open(changes: Partial<RollupFile> = {}, directory: string = temporaryDirectory()): Promise<Chain> {
    return new Chain(await openRollup(ethereumRollup(changes), directory));
  }

  get executor(): EvmExecutor {
    return this.rollup.executor as EvmExecutor;
  }

  hash(number: number): Hex {
    return toHex(this.executor.hashAt(number));
  }

  /** A transfer of its own for each block. */
  transfer(): Uint8Array {
    return sign(CHAIN, 0, { nonce: this.#nonce++, to: recipient(this.#nonce), value: 1n });
  }

  /** Orders a slot softly; its block is sealed when the next one comes. */
  async soft(transactions: readonly Uint8Array[], salt = ''): Promise<void> {
    const [block] = sequenceOf([{ at: this.#slot++ * 1000, batches: [transactions], salt }], this.#tip);
    this.#tip = block!;
    this.#soft.push(block!);
    await this.rollup.derivation.applySoft(soft(block!));
  }

  /** Makes everything final, and an empty slot after it, so that all blocks are sealed and durable. */
  async final(): Promise<void> {
    await this.soft([]);
    for (const block of this.#soft.splice(0)) {
      await this.rollup.derivation.applyFinal(block);
      this.#final = block;
    }
  }

  /** So many final blocks with a transfer each. */
  async grow(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.soft([this.transfer()]);
    await this.final();
  }

  /** Goes on as if nothing had been ordered softly after the newest final block: the soft order is another one. */
  forgetSoft(): void {
    this.#slot -= this.#soft.length;
    this.#nonce -= this.#soft.length;
    this.#soft = [];
    this.#tip = this.#final;
  }
}

/** Builds blocks of forced transactions by an execution of its own. */
export async function builderOf(changes: Partial<RollupFile> = {}): Promise<NonNullable<EngineServerOptions['build']>> {
  const { executor } = await Chain.open(changes);
  const history = new EvmHistory(executor);
  return async (parent, { timestamp, prevRandao, transactions }) => {
    const base = history.blockByHash(fromHex(parent));
    if (base === undefined) throw new Error(`the parent ${parent} was not built here`);
    await executor.rollback(base.summary.number);
    const timestampSeconds = Number(timestamp);
    await executor.begin({ slot: timestampSeconds, timestampSeconds, randomness: fromHex(prevRandao as Hex) });
    for (const transaction of transactions) await executor.execute(fromHex(transaction as Hex));
    const { number } = (await executor.seal())!;
    const { payload, requests } = payloadOf(history.blockAt(number)!);
    return { payload, requests } as Built;
  };
}

export interface Engine {
  readonly chain: Chain;
  readonly server: EngineServer;
  readonly driver: EngineDriver;
  /** Resolves with what made the driver give up. */
  readonly failed: Promise<{ readonly code: string; readonly message: string; readonly remedy: string }>;
  readonly log: string[];
  readonly secretPath: string;
  /** Until the client has the rollup's newest sealed block as its head, and the newest final one as safe and finalized. */
  followed(): Promise<void>;
  close(): Promise<void>;
}

export interface EngineTest {
  readonly chain?: Chain;
  readonly changes?: Partial<RollupFile>;
  readonly mode?: 'payload' | 'attributes';
  readonly server?: Partial<EngineServerOptions>;
  readonly executeTimeoutMs?: number;
  /** A client that another driver drove before. */
  readonly driven?: EngineServer;
  /** Before the driver starts. */
  readonly prepare?: (server: EngineServer, chain: Chain) => unknown;
}

export async function startEngine(test: EngineTest = {}): Promise<Engine> {
  const chain = test.chain ?? (await Chain.open(test.changes));
  const { file } = chain.rollup;
  const secret = randomBytes(32);
  const secretPath = join(temporaryDirectory(), 'jwt.hex');
  writeFileSync(secretPath, `0x${secret.toString('hex')}\n`);
  const server =
    test.driven ??
    new EngineServer({
      chainId: CHAIN,
      fork: file.hardfork === 'osaka' ? 'osaka' : 'prague',
      secret,
      genesis: genesisOf(chain),
      ...test.server,
    });
  server.secret = secret;
  if (test.driven === undefined) await server.start();
  await test.prepare?.(server, chain);
  const log: string[] = [];
  const failure = Promise.withResolvers<Awaited<Engine['failed']>>();
  const driver = (await driveEngine(
    { engine: server.url, jwtSecret: secretPath, engineMode: test.mode ?? 'payload' },
    chain.rollup,
    (error) => failure.resolve(error as Awaited<Engine['failed']>),
    createLogger({ name: 'test', level: 'info', write: (line) => void log.push(line) }),
    noMetrics,
    { retryMinMs: 1, ...(test.executeTimeoutMs === undefined ? {} : { executeTimeoutMs: test.executeTimeoutMs }) },
  ))!;
  driver.start();
  return {
    chain,
    server,
    driver,
    failed: failure.promise,
    log,
    secretPath,
    followed: async () => {
      const { executor } = chain;
      const isThere = () =>
        server.head === chain.hash(executor.head.number) &&
        server.safe === chain.hash(executor.latest.number) &&
        server.finalized === chain.hash(executor.latest.number);
      await server.until(isThere);
    },
    close: async () => {
      await driver.stop();
      await server.stop();
      await chain.rollup.derivation.close();
    },
  };
}

/** The rollup's block 0 as the library has it. */
function genesisOf(chain: Chain): Block {
  const { header } = chain.history.blockAt(0)!;
  return new Block(header, [], [], [], {
    common: createSharedCommon(CHAIN, chain.rollup.file.hardfork),
    skipConsensusFormatValidation: true,
  });
}
