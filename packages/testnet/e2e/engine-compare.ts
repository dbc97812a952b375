/** What both slices of the comparison with geth do: the short one of `npm test`, the long one of `npm run faults`. */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Derivation, driveEngine, openRollup } from '@squad/rollup-node';
import { developmentRollup, type RollupFile } from '@squad/rollup-node/config';
import { createLogger, createPrometheusMetrics } from '@squad/service';
import { toHex } from '@squad/types';
import type { Hex } from 'viem';
import { expect, onTestFinished } from 'vitest';
import { z } from 'zod';
import { waitFor } from '../src/index.ts';
import { GETH_VERSION, Geth } from './geth.ts';
import { bytesOf, MixedLoad } from './mixed-load.ts';

const CHAIN_ID = 901;
const GENESIS_TIME_MS = 1_700_000_000_000;

export interface Comparison {
  readonly hardfork: RollupFile['hardfork'];
  /** Rollup blocks, at least. */
  readonly blocks: number;
  /** geth gets SIGKILL after so many. */
  readonly killAfter: number;
  readonly seed: number;
}

export async function compareWithGeth({ hardfork, blocks, killAfter, seed }: Comparison): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'squad-geth-'));
  const file = developmentRollup({
    rollupId: CHAIN_ID,
    genesisTimeMs: GENESIS_TIME_MS,
    ethereumBlocks: true,
    hardfork,
    gasLimit: 4_000_000,
  });
  const rollup = await openRollup(file, join(folder, 'rollup'));
  const geth = await Geth.create(join(folder, 'geth'), file);
  // Also when the test runs out of time.
  onTestFinished(() => geth.kill());
  let failure: unknown;
  rollup.events.on('skipped', ({ reason }) => {
    failure ??= new Error(`a transaction of the load was skipped: ${reason}`);
  });
  const log: string[] = [];
  const metrics = createPrometheusMetrics();
  const driver = (await driveEngine(
    { engine: geth.url, jwtSecret: geth.jwtSecretPath, engineMode: 'payload' },
    rollup,
    (error) => {
      failure = error;
    },
    createLogger({ name: 'engine', level: 'info', write: (line) => void log.push(line) }),
    metrics,
  ))!;
  const { executor } = rollup;
  if (executor.kind !== 'evm') throw new Error('not an EVM rollup');
  const caughtUp = (text: string) =>
    waitFor(
      text,
      () => {
        if (failure !== undefined) throw failure;
        if (driver.headNumber === executor.head.number) return true;
        throw new Error(`it is at ${driver.headNumber} of ${executor.head.number}: ${driver.reason ?? driver.state}`);
      },
      120_000,
      20,
    );
  try {
    driver.start();
    const order = orderInto(rollup.derivation, GENESIS_TIME_MS, 1000);
    const load = new MixedLoad(CHAIN_ID, seed);
    await order(await load.contracts());
    let killed = false;
    while (executor.head.number < blocks && failure === undefined) {
      const transactions: Hex[] = [];
      for (let i = 0; i < 6; i++) transactions.push(await load.next());
      await order(transactions);
      if (killed || executor.head.number < killAfter) continue;
      killed = true;
      await geth.kill();
      for (let i = 0; i < 10; i++) await order([await load.next()]);
      await geth.start();
    }
    if (failure !== undefined) throw failure;
    await order([]);
    await order([]);
    await caughtUp('geth has all blocks');
    // A block's hash commits to its state root, receipts and gas, and to all blocks before it.
    const { head, latest } = executor;
    expect(await geth.block('latest')).toMatchObject({ hash: toHex(head.hash), stateRoot: toHex(head.stateRoot) });
    expect(await geth.block('finalized')).toMatchObject({ hash: toHex(latest.hash) });
    expect(await geth.block('safe')).toMatchObject({ hash: toHex(latest.hash) });
    const valid = /^squad_engine_taken_blocks_total (\d+)$/m.exec(await metrics.text())?.[1];
    const receipts = await outcomes(geth, head.number);
    console.info(`geth ${GETH_VERSION}, ${hardfork}: ${head.number} blocks, ${valid} times VALID, ${receipts}`);
    expect(Number(valid)).toBeGreaterThanOrEqual(head.number);
  } catch (error) {
    console.error(`${log.slice(-20).join('')}\n${geth.logTail(30)}`);
    throw error;
  } finally {
    await driver.stop();
    await geth.kill();
    await rollup.derivation.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Orders slots, every one final at once. */
export function orderInto(
  derivation: Derivation,
  genesisTimeMs: number,
  slotMs: number,
): (transactions: readonly Hex[]) => Promise<void> {
  let height = 0;
  let parentHash: Uint8Array = createHash('sha256').update('before').digest();
  return async (transactions) => {
    height++;
    const hash = createHash('sha256').update(parentHash).update(transactions.join()).digest();
    const batch = { digest: hash, transactions: transactions.map(bytesOf) };
    const timestampMs = genesisTimeMs + height * slotMs;
    const batches = transactions.length === 0 ? [] : [batch];
    await derivation.applyFinal({ stage: 'final', height, view: height, hash, parentHash, timestampMs, batches });
    parentHash = hash;
  };
}

const Receipts = z.array(z.looseObject({ status: z.string(), type: z.string(), logs: z.array(z.unknown()) }));

/** What became of the transactions, so that a load that does nothing shows. */
async function outcomes(geth: Geth, head: number): Promise<string> {
  const counts = { transactions: 0, reverted: 0, logs: 0, delegations: 0 };
  for (let number = 1; number <= head; number++) {
    const receipts = await geth.call('eth_getBlockReceipts', [`0x${number.toString(16)}`], Receipts);
    for (const { status, type, logs } of receipts) {
      counts.transactions++;
      if (status === '0x0') counts.reverted++;
      if (type === '0x4') counts.delegations++;
      counts.logs += logs.length;
    }
  }
  return JSON.stringify(counts);
}
