/** Derivation: one sequence gives one chain, however its blocks arrive, and whatever happens in between. */

import { cpSync } from 'node:fs';
import { SquadError, toHex } from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEVELOPMENT_BALANCE } from '../src/config/development-accounts.ts';
import { developmentRollup, type RollupFile } from '../src/config/rollup-file.ts';
import type { ProvenBlock } from '../src/derivation/api.ts';
import { MAX_HELD_BLOCKS } from '../src/derivation/derivation.ts';
import { openRollup, type Rollup } from '../src/derivation/open.ts';
import type { EvmExecutor } from '../src/execution/evm/executor.ts';
import { EvmHistory } from '../src/execution/evm/history.ts';
import { KeyValueExecutor } from '../src/execution/key-value/executor.ts';
import { encodeLedgerTransaction } from '../src/execution/ledger/transaction.ts';
import { temporaryDirectory } from './support/directory.ts';
import { GENESIS_TIME_MS, type PlannedBlock, sequenceOf, soft } from './support/sequence.ts';
import { recipient, sign, signTransfers } from './support/transactions.ts';

const CHAIN = 901;
const EVM = developmentRollup({ rollupId: CHAIN, genesisTimeMs: GENESIS_TIME_MS });
const LEDGER: RollupFile = { ...EVM, executor: 'ledger', alloc: {} };

function set(key: string, value: string, nonce = ''): Uint8Array {
  return encodeLedgerTransaction({ op: 'set', key, value, nonce });
}

/** The chain's blocks as hashes, by asking each block for its parent. */
function chainOf({ executor }: Rollup): string[] {
  const numbers = Array.from({ length: executor.latest.number + 1 }, (_, number) => number);
  if (executor instanceof KeyValueExecutor)
    return numbers.map((number) => toHex(executor.blockAt(number)?.hash ?? new Uint8Array()));
  return numbers.map((number) => toHex((executor as EvmExecutor).hashAt(number)));
}

async function derive(file: RollupFile, blocks: readonly ProvenBlock[]): Promise<string[]> {
  const rollup = await openRollup(file, temporaryDirectory());
  for (const block of blocks) await rollup.derivation.applyFinal(block);
  const chain = chainOf(rollup);
  await rollup.derivation.close();
  return chain;
}

/** Two seconds after everything else, so that all slots are complete. */
function withEnd(plan: readonly PlannedBlock[]): PlannedBlock[] {
  return [...plan, { at: (plan.at(-1)?.at ?? 0) + 2000 }];
}

describe('slots', () => {
  it('puts what was ordered in one slot into one block, when a later slot is final', async () => {
    const [a, b, c, d] = signTransfers(CHAIN, 4, 4);
    const blocks = sequenceOf([
      { at: 0, batches: [[a!]] },
      { at: 999, batches: [[b!], [c!]] },
      { at: 1000, batches: [[d!]] },
      { at: 5000 },
    ]);
    const rollup = await openRollup(EVM, temporaryDirectory());
    const numbers: number[] = [];
    rollup.events.on('latest', (number) => numbers.push(number));
    await rollup.derivation.applyFinal(blocks[0]!);
    await rollup.derivation.applyFinal(blocks[1]!);
    expect(rollup.executor.latest.number).toBe(0);
    await rollup.derivation.applyFinal(blocks[2]!);
    expect(rollup.executor.latest).toMatchObject({ number: 1, slot: 0, transactionCount: 3 });
    expect(rollup.executor.latest.timestampSeconds).toBe(GENESIS_TIME_MS / 1000 + 1);
    await rollup.derivation.applyFinal(blocks[3]!);
    expect(rollup.executor.latest).toMatchObject({ number: 2, slot: 1, transactionCount: 1 });
    expect(numbers).toEqual([1, 2]);
    await rollup.derivation.close();
  });

  it('makes no block of a slot in which nothing was executed', async () => {
    const bad = sign(CHAIN, 0, { nonce: 9, to: recipient(0) });
    const blocks = sequenceOf(withEnd([{ at: 0 }, { at: 1000, batches: [[bad]] }, { at: 900_000 }]));
    expect(await derive(EVM, blocks)).toHaveLength(1);
  });

  it('makes several blocks of a slot that exceeds the gas limit, and none of a transaction that never fits', async () => {
    const file = { ...EVM, gasLimit: 100_000 };
    const tooLarge = sign(CHAIN, 4, { nonce: 0, to: recipient(0), gasLimit: 100_001n });
    const blocks = sequenceOf(withEnd([{ at: 0, batches: [[tooLarge, ...signTransfers(CHAIN, 10, 10)]] }]));
    const rollup = await openRollup(file, temporaryDirectory());
    for (const block of blocks) await rollup.derivation.applyFinal(block);
    const history = new EvmHistory(rollup.executor as EvmExecutor);
    expect([1, 2, 3].map((number) => history.blockAt(number)?.transactions.length)).toEqual([4, 4, 2]);
    expect(new Set([1, 2, 3].map((number) => history.blockAt(number)?.summary.timestampSeconds)).size).toBe(1);
    expect(rollup.skipped.total).toBe(1);
    await rollup.derivation.close();
  });

  it('skips what was ordered before genesis, and what the rules refuse, with the reason', async () => {
    const [early, good] = signTransfers(CHAIN, 2, 2);
    const late = sign(CHAIN, 1, { nonce: 5, to: recipient(0) });
    const blocks = sequenceOf(
      withEnd([
        { at: -1, batches: [[early!]] },
        { at: 0, batches: [[late, good!, Uint8Array.of(1, 2)]] },
      ]),
    );
    const rollup = await openRollup(EVM, temporaryDirectory());
    const skipped: string[] = [];
    rollup.events.on('skipped', ({ code, reason, height }) => skipped.push(`${height} ${code} ${reason}`));
    for (const block of blocks) await rollup.derivation.applyFinal(block);
    expect(skipped).toHaveLength(3);
    expect(skipped[0]).toBe('1 BEFORE_GENESIS ordered before the rollup began');
    expect(skipped[1]).toMatch(/^2 INVALID .*nonce of: 0 tx has nonce of: 5/);
    expect(skipped[2]).toMatch(/^2 MALFORMED ./);
    expect(rollup.executor.latest).toMatchObject({ number: 1, transactionCount: 1 });
    await rollup.derivation.close();
  });
});

describe('a sender', () => {
  const PRICE = 10n ** 11n;
  const FEES = [{ type: 0, gasPrice: PRICE }, { type: 1, gasPrice: PRICE }, { type: 2 }] as const;

  it.each(FEES)('can spend all that it has in one transaction, and not one wei more: type $type', async (fees) => {
    const all = BigInt(DEVELOPMENT_BALANCE) - 21_000n * PRICE;
    const transactions = [
      sign(CHAIN, 0, { ...fees, nonce: 0, to: recipient(0), value: all + 1n }),
      sign(CHAIN, 1, { ...fees, nonce: 0, to: recipient(0), value: all }),
      sign(CHAIN, 2, { ...fees, nonce: 1, to: recipient(0), value: 1n }),
    ];
    const rollup = await openRollup(EVM, temporaryDirectory());
    const skipped: string[] = [];
    rollup.events.on('skipped', ({ code, reason }) => skipped.push(`${code} ${reason}`));
    for (const block of sequenceOf(withEnd([{ at: 0, batches: [transactions] }]))) {
      await rollup.derivation.applyFinal(block);
    }
    expect(skipped).toHaveLength(2);
    expect(skipped[0]).toMatch(/^INVALID .*enough funds/);
    expect(skipped[1]).toMatch(/^INVALID .*nonce of: 0 tx has nonce of: 1/);
    expect(rollup.executor.latest).toMatchObject({ number: 1, transactionCount: 1 });
    await rollup.derivation.close();
  });
});

describe('the order of arrival', () => {
  it('is idempotent by height, and refuses gaps and conflicts', async () => {
    const blocks = sequenceOf([{ at: 0 }, { at: 500 }, { at: 1000 }]);
    const other = sequenceOf([{ at: 0 }, { at: 600, salt: 'other' }]);
    const { derivation } = await openRollup(LEDGER, temporaryDirectory());
    expect(await derivation.applyFinal(blocks[0]!)).toBe('applied');
    expect(await derivation.applyFinal(blocks[0]!)).toBe('known');
    expect(await derivation.applySoft(soft(blocks[0]!))).toBe('known');
    await expect(derivation.applyFinal(blocks[2]!)).rejects.toMatchObject({ code: 'DERIVATION_GAP' });
    const stranger = { ...other[1]!, parentHash: new Uint8Array(32) };
    await expect(derivation.applyFinal(stranger)).rejects.toMatchObject({ code: 'DERIVATION_CONFLICT' });
    expect(await derivation.applySoft(soft(stranger))).toBe('ignored');
    expect(await derivation.applySoft(soft(blocks[2]!))).toBe('ignored');
    expect([derivation.finalHeight, derivation.nextFinalHeight, derivation.softHeight]).toEqual([1, 2, 1]);
    await derivation.close();
    await expect(derivation.applyFinal(blocks[1]!)).rejects.toBeInstanceOf(SquadError);
  });

  it('shows soft transactions at once, and executes nothing again when they become final', async () => {
    const [a, b] = signTransfers(CHAIN, 2, 2);
    const blocks = sequenceOf([{ at: 100, batches: [[a!]] }, { at: 200, batches: [[b!]] }, { at: 1500 }]);
    const rollup = await openRollup(EVM, temporaryDirectory());
    const executor = rollup.executor as EvmExecutor;
    const history = new EvmHistory(executor);
    let executed = 0;
    rollup.events.on('transaction', () => executed++);
    for (const block of blocks) expect(await rollup.derivation.applySoft(soft(block))).toBe('applied');
    expect(executor.latest.number).toBe(0);
    expect(history.blockAt(1)).toMatchObject({ stage: 'soft' });
    const provisional = toHex(executor.head.hash);
    for (const block of blocks) await rollup.derivation.applyFinal(block);
    expect(history.blockAt(1)).toMatchObject({ stage: 'final' });
    expect(toHex(executor.latest.hash)).toBe(provisional);
    expect(executed).toBe(2);
    await rollup.derivation.close();
  });

  it('comes to the same chain with any soft blocks before, between and against the final ones', async () => {
    // Transactions overwrite one key, so the state tells their order; the plan's slots are filled unevenly.
    const gap = fc.integer({ min: 0, max: 1600 });
    const plan = fc.array(
      fc.record({ gap, filled: fc.boolean(), softAhead: fc.integer({ min: 0, max: 4 }), fork: fc.boolean() }),
      { minLength: 1, maxLength: 14, size: 'max' },
    );
    await fc.assert(
      fc.asyncProperty(plan, async (steps) => {
        let at = 0;
        const planned = steps.map(({ gap, filled }, index): PlannedBlock => {
          at += gap;
          return filled ? { at, batches: [[set('k', `${index}`), set(`k${index % 3}`, `${index}`)]] } : { at };
        });
        const blocks = sequenceOf(withEnd(planned));
        const expected = await derive(LEDGER, blocks);
        const rollup = await openRollup(LEDGER, temporaryDirectory());
        for (const [index, block] of blocks.entries()) {
          const { softAhead = 0, fork = false } = steps[index] ?? {};
          for (const ahead of blocks.slice(index, index + softAhead)) await rollup.derivation.applySoft(soft(ahead));
          if (fork) {
            const gapMs = steps[index]!.gap;
            const wrong: PlannedBlock[] = [0, gapMs, 900, 1000].map((ms, place) => ({
              at: block.timestampMs - GENESIS_TIME_MS + ms,
              batches: place % 2 === 0 ? [[set('k', `wrong ${place}`)]] : [],
              salt: `fork ${index}`,
            }));
            for (const each of sequenceOf(wrong, blocks[index - 1])) await rollup.derivation.applySoft(soft(each));
          }
          await rollup.derivation.applyFinal(block);
        }
        expect(chainOf(rollup)).toEqual(expected);
        await rollup.derivation.close();
      }),
      { numRuns: 40 },
    );
  });

  it('undoes soft transactions that another order replaces', async () => {
    const rollup = await openRollup(EVM, temporaryDirectory());
    const history = new EvmHistory(rollup.executor as EvmExecutor);
    const hashes: string[] = [];
    rollup.events.on('transaction', (hash) => hashes.push(toHex(hash)));
    const [a, b, c] = [0, 1, 2].map((sender) => sign(CHAIN, sender, { nonce: 0, to: recipient(sender), value: 1n }));
    const first = sequenceOf([
      { at: 0, batches: [[a!]] },
      { at: 100, batches: [[b!]] },
    ]);
    const second = sequenceOf([{ at: 150, batches: [[c!]] }], first[0]);
    for (const block of first) await rollup.derivation.applySoft(soft(block));
    await rollup.derivation.applySoft(soft(second[0]!));
    const [hashA, hashB] = hashes.map((hash) => Buffer.from(hash.slice(2), 'hex'));
    expect(history.transaction(hashA!)).toMatchObject({ index: 0 });
    expect(history.transaction(hashB!)).toBeUndefined();
    expect(history.blockAt(1)?.transactions.map(({ hash }) => toHex(hash))).toEqual([hashes[0], hashes.at(-1)]);
    await rollup.derivation.close();
  });

  it('holds no more soft blocks than its limit', async () => {
    const blocks = sequenceOf(Array.from({ length: MAX_HELD_BLOCKS + 1 }, (_, index) => ({ at: index })));
    const { derivation } = await openRollup(LEDGER, temporaryDirectory());
    let last = '';
    for (const block of blocks) last = await derivation.applySoft(soft(block));
    expect(last).toBe('ignored');
    expect(derivation.softHeight).toBe(MAX_HELD_BLOCKS);
    await derivation.close();
  });
});

describe('after a crash', () => {
  const transfers = signTransfers(CHAIN, 24, 5);
  let next = 0;
  const plan = Array.from(
    { length: 36 },
    (_, index): PlannedBlock => ({
      at: index * 400,
      batches: index % 3 === 2 ? [] : [[transfers[next++]!]],
    }),
  );
  const entries = transfers.map((_, index) => set(`k${index % 4}`, `${index}`));
  const ledgerPlan = entries.map((entry, index): PlannedBlock => ({ at: index * 400, batches: [[entry]] }));

  for (const [kind, file, steps] of [
    ['evm', EVM, plan],
    ['ledger', LEDGER, ledgerPlan],
  ] as const) {
    it(`goes on from any image of the disk to the same chain (${kind})`, async () => {
      const blocks = sequenceOf(withEnd(steps));
      const expected = await derive(file, blocks);
      const directory = temporaryDirectory();
      const rollup = await openRollup(file, directory);
      const images: { image: string; finalHeight: number }[] = [];
      for (const block of blocks) {
        await rollup.derivation.applySoft(soft(block));
        await rollup.derivation.applyFinal(block);
        // What a process that is killed now leaves behind.
        const image = temporaryDirectory();
        cpSync(directory, image, { recursive: true });
        images.push({ image, finalHeight: rollup.derivation.finalHeight });
      }
      await rollup.derivation.close();
      for (const { image, finalHeight } of images) {
        const again = await openRollup(file, image);
        expect(again.derivation.finalHeight).toBeLessThanOrEqual(finalHeight);
        expect(again.derivation.finalHeight).toBeGreaterThanOrEqual(finalHeight - 5);
        for (const block of blocks.slice(again.derivation.finalHeight)) await again.derivation.applyFinal(block);
        expect(chainOf(again)).toEqual(expected);
        await again.derivation.close();
      }
    });
  }

  it('resumes after a clean stop without executing again', async () => {
    const blocks = sequenceOf(withEnd(plan));
    const directory = temporaryDirectory();
    const rollup = await openRollup(EVM, directory);
    for (const block of blocks) await rollup.derivation.applyFinal(block);
    const { latest } = rollup.executor;
    await rollup.derivation.close();
    const again = await openRollup(EVM, directory);
    expect(again.executor.latest).toEqual(latest);
    expect(again.derivation.finalHeight).toBe(blocks.length - 1);
    expect(await again.derivation.applyFinal(blocks.at(-1)!)).toBe('applied');
    await again.derivation.close();
  });

  it('applies nothing more once the store has failed', async () => {
    const blocks = sequenceOf(withEnd(plan));
    const directory = temporaryDirectory();
    const rollup = await openRollup(EVM, directory);
    for (const block of blocks.slice(0, 5)) await rollup.derivation.applyFinal(block);
    const { latest } = rollup.executor;
    await (rollup.executor as EvmExecutor).store.close();
    const failures = [];
    for (const block of blocks.slice(5))
      failures.push(await rollup.derivation.applyFinal(block).catch((error: Error) => error));
    const first = failures.findIndex((failure) => failure instanceof Error);
    expect(first).toBeGreaterThanOrEqual(0);
    for (const failure of failures.slice(first)) expect(failure).toBe(failures[first]);
    const again = await openRollup(EVM, directory);
    expect(again.executor.latest).toEqual(latest);
    for (const block of blocks.slice(again.derivation.finalHeight)) await again.derivation.applyFinal(block);
    expect(chainOf(again)).toEqual(await derive(EVM, blocks));
    await again.derivation.close();
  });

  it('refuses the data of another rollup file, and a directory in use', async () => {
    const directory = temporaryDirectory();
    const rollup = await openRollup(EVM, directory);
    await expect(openRollup(EVM, directory)).rejects.toMatchObject({ code: 'ROLLUP_STORE_LOCKED' });
    await rollup.derivation.close();
    await expect(openRollup({ ...EVM, gasLimit: 29_000_000 }, directory)).rejects.toMatchObject({
      code: 'ROLLUP_STORE_MISMATCH',
    });
  });
});
