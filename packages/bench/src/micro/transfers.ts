/** What a plain EVM transfer costs a rollup node: decoding, sender, execution, its share of the block and of the disk. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '@squad/crypto/node';
import { openRollup } from '@squad/rollup-node';
import { developmentRollup } from '@squad/rollup-node/config';
import { DEVELOPMENT_KEYS } from '../load/accounts.ts';
import { createRandom } from '../load/random.ts';
import { signTransfer } from '../load/transfer.ts';
import type { MicroSuite } from './suite.ts';

const ROLLUP = 901;
const GENESIS_TIME_MS = 1_700_000_000_000;
const PER_BLOCK = 500;
const SIGNED_BLOCKS = 20;

export async function transfers(suite: MicroSuite): Promise<void> {
  const key = Buffer.from(DEVELOPMENT_KEYS[0]!.slice(2), 'hex');
  const random = createRandom(1);
  let nonce = 0;
  const sign = () => {
    const to = new Uint8Array(20);
    random.fill(to);
    return signTransfer(ROLLUP, key, nonce++, to).raw;
  };
  await suite.time('transfer-sign', 100, () => {
    for (let i = 0; i < 100; i++) sign();
  });
  nonce = 0;
  const directory = mkdtempSync(join(tmpdir(), 'squad-bench-'));
  const file = developmentRollup({ rollupId: ROLLUP, genesisTimeMs: GENESIS_TIME_MS, gasLimit: 1_000_000_000 });
  const rollup = await openRollup(file, directory);
  let parentHash: Uint8Array = new Uint8Array(32);
  const block = () => Array.from({ length: PER_BLOCK }, sign);
  // Signed before they are timed.
  const signed = Array.from({ length: SIGNED_BLOCKS }, block);
  await suite.time('transfer-execute', PER_BLOCK, async (call) => {
    const height = call + 1;
    const hash = sha256(Buffer.from(`block ${height}`));
    const batches = [{ digest: hash, transactions: signed[call] ?? block() }];
    // A block a slot: applying the next one closes it.
    const timestampMs = GENESIS_TIME_MS + height * file.blockTimeMs;
    await rollup.derivation.applyFinal({
      stage: 'final',
      height,
      view: height,
      hash,
      parentHash,
      timestampMs,
      batches,
    });
    parentHash = hash;
  });
  await rollup.derivation.close();
  rmSync(directory, { recursive: true });
}
