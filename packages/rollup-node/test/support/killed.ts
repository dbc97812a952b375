/** A process that derives one fixed sequence, to be killed: `node killed.ts <directory>`. Prints each height that is done. */

import { developmentRollup } from '../../src/config/rollup-file.ts';
import { openRollup } from '../../src/derivation/open.ts';
import { GENESIS_TIME_MS, type PlannedBlock, sequenceOf, soft } from './sequence.ts';
import { signTransfers } from './transactions.ts';

export const KILLED_ROLLUP = developmentRollup({ rollupId: 901, genesisTimeMs: GENESIS_TIME_MS });

/** 60 blocks of one transfer each, two in a slot, and one that completes the last slot. */
export function killedPlan(): PlannedBlock[] {
  const transfers = signTransfers(901, 60, 50);
  const filled = Array.from(
    { length: 60 },
    (_, index): PlannedBlock => ({
      at: index * 500,
      batches: [[transfers[index]!]],
    }),
  );
  return [...filled, { at: 60 * 500 + 1000 }];
}

const [directory] = process.argv.slice(2);
if (import.meta.filename === process.argv[1] && directory !== undefined) {
  const { derivation } = await openRollup(KILLED_ROLLUP, directory);
  for (const block of sequenceOf(killedPlan()).slice(derivation.finalHeight)) {
    await derivation.applySoft(soft(block));
    await derivation.applyFinal(block);
    process.stdout.write(`${block.height}\n`);
  }
  await derivation.close();
}
