/** An OP rollup that follows a made-up L1: what both begin with, and the reader between them. */

import { createLogger, type Metrics, noMetrics } from '@squad/service';
import { toHex } from '@squad/types';
import type { RollupFile } from '../../src/config/rollup-file.ts';
import { openRollup } from '../../src/derivation/open.ts';
import { L1Chain } from '../../src/stacks/op/l1-chain.ts';
import { FakeL1, type FakeL1Block } from '../../src/testing/index.ts';
import { temporaryDirectory } from './directory.ts';
import { GENESIS_SECONDS, Order, opFile } from './op.ts';

/** Number of the L1 block at which the rollup begins. */
export const L1_START = 7;

export async function startL1(): Promise<FakeL1> {
  const l1 = new FakeL1(L1_START, GENESIS_SECONDS - 600);
  await l1.start();
  return l1;
}

export function followingFile(
  l1: FakeL1,
  changes: Partial<RollupFile> = {},
  op: Partial<RollupFile['op']> = {},
): RollupFile {
  const [first] = l1.blocks;
  const { number, hash, timestamp } = first!;
  const l1Origin = { number, hash: toHex(hash), timestamp, baseFee: '8', blobBaseFee: '9' };
  const follows = {
    chainId: 1,
    depositContract: l1.portal,
    systemConfig: l1.systemConfig,
    blobSchedule: [{ time: 0, baseFeeUpdateFraction: 5_007_716 }],
  };
  return opFile({ ...changes, op: { ...opFile().op!, l1Origin, l1: follows, ...op } });
}

export interface Following {
  readonly order: Order;
  readonly chain: L1Chain;
  readonly log: string[];
  /** Anchors what is ordered from now on in an L1 block. */
  anchor(block: FakeL1Block): void;
  close(): Promise<void>;
}

export async function follow(
  l1: FakeL1,
  given: {
    file?: RollupFile;
    directory?: string;
    urls?: readonly string[];
    metrics?: Metrics;
  } = {},
): Promise<Following> {
  const { file = followingFile(l1), directory = temporaryDirectory(), urls = [l1.url], metrics = noMetrics } = given;
  const log: string[] = [];
  const logger = createLogger({ name: 'l1', level: 'info', write: (line) => void log.push(line) });
  const chain = new L1Chain({ urls, l1: file.op!.l1!, logger, metrics, retryMinMs: 1 });
  const order = new Order(await openRollup(file, directory, undefined, chain));
  return {
    order,
    chain,
    log,
    anchor: (block) => {
      order.l1Anchor = block;
    },
    close: async () => {
      chain.stop();
      await order.rollup.derivation.close();
    },
  };
}
