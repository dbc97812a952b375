/** Gossiped transactions: who takes them, who waits and takes over, what is refused, what is bounded (R4). */

import { silentLogger } from '@squad/service';
import { err, type GenesisRollup, GossipTransactions, MAX_TRANSACTION_BYTES, ok, toHex } from '@squad/types';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Admission, admissionBusy, admitOpaque, createAdmission, refused } from '../src/admission/index.ts';
import {
  GossipIntake,
  type GossipIntakeConfig,
  MAX_KEPT_GOSSIP_BYTES,
  MAX_KEPT_GOSSIP_TRANSACTIONS,
} from '../src/gossip-intake.ts';
import { mutations, OTHER_ROLLUP, ROLLUP, ROLLUPS, transaction } from './support.ts';

const VALIDATORS = 4;
const TAKEOVER_MS = 2000;
const admission: Admission = createAdmission({ logger: silentLogger, threads: 1 });

let taken: string[];
let ordered: Set<string>;
let hasRoom: boolean;
const intakes: GossipIntake[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  taken = [];
  ordered = new Set();
  hasRoom = true;
});
afterEach(() => {
  for (const intake of intakes.splice(0)) intake.stop();
  vi.useRealTimers();
});

function createIntake(self: number | undefined, change: Partial<GossipIntakeConfig> = {}): GossipIntake {
  const intake = new GossipIntake({
    rollups: ROLLUPS,
    admission,
    place: () => ({ self, validators: VALIDATORS }),
    takeoverMs: TAKEOVER_MS,
    now: Date.now,
    take: (_rollup, hash) => {
      if (hasRoom) taken.push(hash);
      return hasRoom;
    },
    isOrdered: async (hash) => ordered.has(hash),
    logger: silentLogger,
    ...change,
  });
  intakes.push(intake);
  return intake;
}

const message = (transactions: Uint8Array[], rollupId = ROLLUP) =>
  GossipTransactions.serialize({ rollupId, transactions });
const hashOf = (raw: Uint8Array) => {
  const outcome = admitOpaque(raw);
  if (!outcome.ok) throw new Error(outcome.error.message);
  return outcome.value.hash;
};
const homeOf = (raw: Uint8Array) => Number.parseInt(hashOf(raw).slice(-8), 16) % VALIDATORS;
/** Transactions at home with a validator. */
function atHome(validator: number, count: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let i = 0; found.length < count; i++) {
    const raw = transaction(9, i);
    if (homeOf(raw) === validator) found.push(raw);
  }
  return found;
}
const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('a transaction', () => {
  it('goes into the lane of its home at once, and nowhere else', async () => {
    const all = Array.from({ length: 40 }, (_, i) => transaction(1, i));
    for (const self of [0, 1, 2, 3]) {
      taken = [];
      const intake = createIntake(self);
      expect(await intake.onMessage(message(all))).toBe('accept');
      expect(taken).toEqual(all.filter((raw) => homeOf(raw) === self).map(hashOf));
      expect(intake.kept).toBe(all.length - taken.length);
    }
  });

  it('has its home by its sender, so that a run of nonces stays together', async () => {
    const sender = new Uint8Array(20).fill(3); // the last four bytes: 0x03030303, at home with 3
    const evm: Admission = {
      admit: async (_: GenesisRollup, transactions: readonly Uint8Array[]) =>
        transactions.map((raw) => ok({ hash: hashOf(raw), evm: { hash: raw, sender, nonce: 0n, maxFeePerGas: 0n } })),
      waiting: 0,
      close: async () => {},
    } as unknown as Admission;
    const run = Array.from({ length: 12 }, (_, i) => transaction(1, i));
    await createIntake(3, { admission: evm }).onMessage(message(run));
    expect(taken).toEqual(run.map(hashOf));
    await createIntake(2, { admission: evm }).onMessage(message(run));
    expect(taken).toHaveLength(12);
  });

  it('of another home is taken over after the deadline, not before, if it is not ordered by then', async () => {
    const [first, second] = atHome(1, 2) as [Uint8Array, Uint8Array];
    const intake = createIntake(0);
    await intake.onMessage(message([first, second]));
    ordered.add(hashOf(first));
    await later(TAKEOVER_MS - 10);
    expect([taken, intake.kept]).toEqual([[], 2]);
    await later(300);
    expect([taken, intake.kept]).toEqual([[hashOf(second)], 0]);
    await later(10_000);
    expect(taken).toHaveLength(1);
  });

  it('that finds the lane full is tried again until there is room', async () => {
    const [own] = atHome(0, 1) as [Uint8Array];
    const intake = createIntake(0);
    hasRoom = false;
    expect(await intake.onMessage(message([own]))).toBe('accept');
    await later(5 * TAKEOVER_MS);
    expect([taken, intake.kept]).toEqual([[], 1]);
    hasRoom = true;
    await later(500);
    expect([taken, intake.kept]).toEqual([[hashOf(own)], 0]);
  });

  it('is kept once, however often it comes', async () => {
    const intake = createIntake(0);
    const [other] = atHome(1, 1) as [Uint8Array];
    for (let i = 0; i < 3; i++) await intake.onMessage(message([other]));
    expect(intake.kept).toBe(1);
  });

  it('is passed on and not kept by a node that only follows', async () => {
    const intake = createIntake(undefined);
    expect(await intake.onMessage(message([transaction(1, 1)]))).toBe('accept');
    expect([taken, intake.kept]).toEqual([[], 0]);
  });

  it('is still taken over after an index that failed once', async () => {
    let fails = true;
    const [other] = atHome(1, 1) as [Uint8Array];
    const intake = createIntake(0, {
      isOrdered: async () => {
        if (fails) throw new Error('the index is gone');
        return false;
      },
    });
    await intake.onMessage(message([other]));
    await later(2 * TAKEOVER_MS);
    expect([taken, intake.kept]).toEqual([[], 1]);
    fails = false;
    await later(500);
    expect([taken, intake.kept]).toEqual([[hashOf(other)], 0]);
  });

  it('is not taken over after the end', async () => {
    const intake = createIntake(0);
    await intake.onMessage(message(atHome(1, 1)));
    intake.stop();
    await later(2 * TAKEOVER_MS);
    expect(taken).toEqual([]);
  });
});

describe('the verdict', () => {
  it('rejects what no honest peer passes on', async () => {
    const intake = createIntake(0);
    expect(await intake.onMessage(new Uint8Array())).toBe('reject');
    expect(await intake.onMessage(message([]))).toBe('reject');
    expect(await intake.onMessage(message([transaction(1, 1)], 12345))).toBe('reject');
    expect(await intake.onMessage(message([transaction(1, 1), new Uint8Array()]))).toBe('reject');
    expect([taken, intake.kept]).toEqual([[], 0]);
  });

  it('is a verdict for any bytes whatever', async () => {
    const intake = createIntake(0);
    const verdicts = new Set<string>();
    for (const bytes of mutations(message([transaction(1, 1), transaction(1, 2)]), 200, 5)) {
      verdicts.add(await intake.onMessage(bytes));
    }
    expect([...verdicts].sort()).toEqual(['accept', 'reject']);
  });

  it('blames nobody when this node is busy', async () => {
    const busy = {
      admit: async (_: GenesisRollup, transactions: readonly Uint8Array[]) =>
        transactions.map(() => err(admissionBusy(1, 1))),
      waiting: 0,
      close: async () => {},
    };
    expect(await createIntake(0, { admission: busy }).onMessage(message([transaction(1, 1)]))).toBe('ignore');
  });

  it('blames nobody for what only the rollup’s policy refuses, and takes the others', async () => {
    const [refusedOne, own] = atHome(0, 2) as [Uint8Array, Uint8Array];
    const admission = createAdmission({
      logger: silentLogger,
      threads: 0,
      policyOf: () => ({
        refusal: (raw) => (raw === own ? undefined : refused('FEE_TOO_LOW', 'too low', 'pay more')),
      }),
    });
    const same = { ...admission, admit: (rollup: GenesisRollup) => admission.admit(rollup, [refusedOne, own]) };
    expect(await createIntake(0, { admission: same }).onMessage(message([refusedOne, own]))).toBe('ignore');
    expect(taken).toEqual([hashOf(own)]);
    await admission.close();
  });
});

describe('what is kept', () => {
  const HALF_BYTES = MAX_KEPT_GOSSIP_BYTES / 2;
  const HALF_TRANSACTIONS = MAX_KEPT_GOSSIP_TRANSACTIONS / 2;

  it('is bounded in bytes, also by what is being checked at the same time, for each rollup by itself', async () => {
    const intake = createIntake(0);
    const large: Uint8Array[] = [];
    for (let i = 0; large.length < HALF_BYTES / MAX_TRANSACTION_BYTES + 8; i++) {
      const raw = transaction(9, i, MAX_TRANSACTION_BYTES);
      if (homeOf(raw) !== 0) large.push(raw);
    }
    await Promise.all(large.map((raw) => intake.onMessage(message([raw]))));
    expect(intake.kept).toBe(HALF_BYTES / MAX_TRANSACTION_BYTES);
    expect(await intake.onMessage(message(atHome(1, 1)))).toBe('ignore');
    expect(await intake.onMessage(message(atHome(1, 1), OTHER_ROLLUP))).toBe('accept');
    await later(TAKEOVER_MS + 500);
    expect(intake.kept).toBe(0);
    expect(await intake.onMessage(message(atHome(1, 1)))).toBe('accept');
  });

  it('is bounded in number', async () => {
    let number = 0;
    const many = {
      admit: async (_: GenesisRollup, transactions: readonly Uint8Array[]) =>
        transactions.map(() =>
          ok({
            hash: `0x${'0'.repeat(55)}1${(4 * number++ + 1).toString(16).padStart(8, '0')}`,
            evm: undefined,
          } as const),
        ),
      waiting: 0,
      close: async () => {},
    };
    const intake = createIntake(0, { admission: many });
    const full = message(Array.from({ length: 1024 }, () => Uint8Array.of(1)));
    for (let i = 0; i < HALF_TRANSACTIONS / 1024; i++) expect(await intake.onMessage(full)).toBe('accept');
    expect(intake.kept).toBe(HALF_TRANSACTIONS);
    expect(await intake.onMessage(message([transaction(1, 1)]))).toBe('ignore');
    expect(await intake.onMessage(message([transaction(1, 1)], OTHER_ROLLUP))).toBe('accept');
  });

  it('of a rollup without room in the lane does not hold up what others have there', async () => {
    const intake = createIntake(0, { take: (rollupId) => rollupId === OTHER_ROLLUP });
    const [one, other] = atHome(1, 2) as [Uint8Array, Uint8Array];
    await intake.onMessage(message([one]));
    await intake.onMessage(message([other], OTHER_ROLLUP));
    await later(2 * TAKEOVER_MS);
    expect(intake.kept).toBe(1);
  });
});

it('a hash is that of the raw bytes', () => {
  expect(hashOf(transaction(1, 1))).toMatch(/^0x[0-9a-f]{64}$/);
  expect(toHex(transaction(1, 1))).not.toBe(hashOf(transaction(1, 1)));
});
