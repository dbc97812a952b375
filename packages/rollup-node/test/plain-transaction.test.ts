/** The direct way of plain transactions against the library: decoding against its decoder, execution against its vm. */

import { createEVM } from '@ethereumjs/evm';
import { createTxFromRLP, type TypedTxData } from '@ethereumjs/tx';
import { type Hex, toHex } from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEVELOPMENT_ACCOUNTS, developmentRollup, type RollupFile } from '../src/config/index.ts';
import { createSharedCommon } from '../src/execution/evm/common.ts';
import { EvmExecutor } from '../src/execution/evm/executor.ts';
import { PlainTransaction } from '../src/execution/evm/plain-transaction.ts';
import { decodeTransaction, firstSentence } from '../src/execution/evm/transaction.ts';
import { CHURN, COUNTER } from './support/contracts.ts';
import { temporaryDirectory } from './support/directory.ts';
import { Reference } from './support/reference.ts';
import { DEVELOPMENT_KEYS, recipient, sign } from './support/transactions.ts';

const CHAIN = 901;
const RANDOMNESS = new Uint8Array(32).fill(7);
const BASE_FEE = 1_000_000_000n;
const GENESIS_TIME_MS = 1_700_000_000_000;

const at = (low: number): Hex => `0x${low.toString(16).padStart(40, '0')}`;
const CONTRACT = recipient(1001);
const CHURNING = recipient(1002);
const DELEGATED = recipient(1003);
const EMPTY = recipient(1004);
const FULL = recipient(1005);
const STORAGE_ONLY = recipient(1006);
const POOR = 3;
const DELEGATED_SENDER = 4;
const RECIPIENTS: readonly Hex[] = [
  ...DEVELOPMENT_ACCOUNTS.slice(0, DEVELOPMENT_KEYS.length),
  ...[recipient(1), recipient(2), recipient(3)],
  ...[CONTRACT, CHURNING, DELEGATED, EMPTY, FULL, STORAGE_ONLY],
  // Precompiled contracts, what is not one yet, and an address that only looks like one. The one at 10 needs what is not here.
  ...[at(0), at(1), at(2), at(3), at(4), at(9), at(0x11), at(0x100), at(0x101), at(0x10000)],
];
const delegationTo = (address: Hex): Hex => `0xef0100${address.slice(2)}`;

function rollupFile(hardfork: RollupFile['hardfork'], feeRecipient: Hex): RollupFile {
  const file = developmentRollup({ rollupId: CHAIN, genesisTimeMs: GENESIS_TIME_MS, hardfork, feeRecipient });
  return {
    ...file,
    alloc: {
      ...file.alloc,
      [DEVELOPMENT_ACCOUNTS[POOR]!]: { balance: String(21_000n * BASE_FEE * 3n), nonce: 0 },
      [DEVELOPMENT_ACCOUNTS[DELEGATED_SENDER]!]: {
        balance: String(10n ** 20n),
        nonce: 0,
        code: delegationTo(CONTRACT),
      },
      [CONTRACT]: { balance: '0', nonce: 1, code: COUNTER },
      [CHURNING]: { balance: '5', nonce: 1, code: CHURN },
      [DELEGATED]: { balance: '7', nonce: 0, code: delegationTo(CHURNING) },
      [EMPTY]: { balance: '0', nonce: 0 },
      [FULL]: { balance: String(2n ** 256n - 2n), nonce: 0 },
      [STORAGE_ONLY]: { balance: '0', nonce: 0, storage: { [`0x${'11'.repeat(32)}`]: '0x05' } },
    },
  };
}

/** A fee recipient that is new, odd, or takes part itself. */
const CASES: readonly (readonly [RollupFile['hardfork'], Hex])[] = [
  ['prague', recipient(99)],
  ['osaka', at(0)],
  ['cancun', at(3)],
  ['prague', EMPTY],
  ['osaka', STORAGE_ONLY],
  ['cancun', recipient(1)],
  ['prague', DEVELOPMENT_ACCOUNTS[0]!],
  ['osaka', CONTRACT],
];
const gwei = (n: number) => BigInt(n) * 10n ** 9n;
const data = fc.oneof(
  { weight: 4, arbitrary: fc.constant(new Uint8Array()) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 70 }) },
  { weight: 1, arbitrary: fc.constant(new Uint8Array(32)) },
);
const draft = fc.record({
  sender: fc.integer({ min: 0, max: DEVELOPMENT_KEYS.length - 1 }),
  nonceOff: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1, -1),
  to: fc.constantFrom(...RECIPIENTS),
  value: fc.constantFrom(0n, 1n, 1n, 10n ** 18n, 10n ** 22n, 2n ** 255n),
  data,
  gasLimit: fc.constantFrom(21_000n, 21_000n, 20_999n, 21_160n, 21_500n, 22_000n, 100_000n, 2n ** 24n, 2n ** 24n + 1n),
  maxFeePerGas: fc.constantFrom(gwei(1), gwei(1), gwei(2), gwei(100), gwei(1) - 1n, 0n, 2n ** 140n),
  maxPriorityFeePerGas: fc.constantFrom(0n, 0n, 1n, gwei(1), gwei(2)),
  kind: fc.constantFrom('plain', 'plain', 'plain', 'plain', 'plain', 'legacy', 'list', 'listed'),
});
type Draft = typeof draft extends fc.Arbitrary<infer T> ? T : never;

/** Undefined: the library does not sign such a one. */
function signed({ sender, nonceOff, to, kind, ...fields }: Draft, nonces: number[]): Uint8Array | undefined {
  const nonce = Math.max(0, nonces[sender]! + nonceOff);
  const { maxFeePerGas, maxPriorityFeePerGas, ...rest } = fields;
  const list = [{ address: to, storageKeys: [`0x${'11'.repeat(32)}` as Hex] }];
  const legacy: TypedTxData = { type: 0, gasPrice: maxFeePerGas, nonce, to, ...rest };
  const typed: TypedTxData = { type: 2, nonce, to, ...fields, ...(kind === 'listed' ? { accessList: list } : {}) };
  const access: TypedTxData = { type: 1, gasPrice: maxFeePerGas, nonce, to, ...rest, accessList: list };
  try {
    return sign(CHAIN, sender, kind === 'legacy' ? legacy : kind === 'list' ? access : typed);
  } catch {
    return undefined;
  }
}

/** The library recovers senders in JavaScript, some milliseconds each. */
const PATIENT = { timeout: 300_000 };

describe('a plain transaction', () => {
  it.each(CASES)(
    'is executed, or skipped, as the library’s vm does it (%s, fees to %s)',
    PATIENT,
    async (hardfork, coinbase) => {
      const file = rollupFile(hardfork, coinbase);
      const executor = await EvmExecutor.open(file, temporaryDirectory());
      const reference = await Reference.create(file, (number) => executor.hashAt(number));
      const genesisRoot = executor.latest.stateRoot;
      expect(toHex(genesisRoot)).toBe(toHex(await reference.stateRoot()));
      const blocks = fc.array(fc.array(draft, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 });
      await fc.assert(
        fc.asyncProperty(blocks, async (drafts) => {
          await executor.rollback(0);
          await reference.goTo(genesisRoot);
          const nonces = DEVELOPMENT_KEYS.map(() => 0);
          for (const [slot, block] of drafts.entries()) {
            await executor.begin({ slot, timestampSeconds: 1_700_000_001 + slot, randomness: RANDOMNESS });
            const { header } = executor.openBlock!.block;
            const raws: Uint8Array[] = [];
            const included: boolean[] = [];
            for (const each of block) {
              const raw = signed(each, nonces);
              if (raw === undefined) continue;
              const outcome = await executor.execute(raw);
              if (outcome.status === 'executed') nonces[each.sender]!++;
              raws.push(raw);
              included.push(outcome.status === 'executed');
            }
            const expected = await reference.run(header, raws);
            expect(included).toEqual(expected.included);
            const sealed = await executor.seal();
            if (sealed === undefined) continue;
            expect(toHex(sealed.stateRoot)).toBe(toHex(expected.stateRoot));
            const actual = executor.provisional.at(-1)!.block.header;
            expect(toHex(actual.receiptTrie)).toBe(toHex(expected.receiptsRoot));
            expect(toHex(actual.transactionsTrie)).toBe(toHex(expected.transactionsRoot));
            expect(actual.gasUsed).toBe(expected.gasUsed);
          }
        }),
        { numRuns: 10 },
      );
      await executor.close();
    },
  );

  it('is decoded, or refused, as the library does it, also with any bytes changed', PATIENT, () => {
    const common = createSharedCommon(CHAIN, 'prague');
    const change = fc.record({
      at: fc.nat(),
      to: fc.constantFrom(0, 1, 0x7f, 0x80, 0x81, 0xb8, 0xc0, 0xc1, 0xf8, 0xff),
    });
    let plain = 0;
    fc.assert(
      fc.property(draft, fc.array(change, { maxLength: 2 }), fc.boolean(), (each, changes, cut) => {
        const valid = signed(each, [0, 1, 127, 128, 70_000]);
        if (valid === undefined) return;
        const raw = cut && changes.length > 0 ? valid.slice(0, changes[0]!.at % valid.length) : valid.slice();
        for (const { at, to } of changes) if (raw.length > 0) raw[at % raw.length] = to;
        const actual = decodeTransaction(raw, common);
        const expected = decodedByLibrary(raw);
        if ('reason' in actual || 'reason' in expected) {
          expect(actual).toEqual(expected);
          return;
        }
        if (actual.transaction instanceof PlainTransaction) plain++;
        expect(fieldsOf(actual)).toEqual(fieldsOf(expected));
      }),
      { numRuns: 400 },
    );
    expect(plain).toBeGreaterThan(20);

    function decodedByLibrary(raw: Uint8Array): ReturnType<typeof decodeTransaction> {
      if (raw[0] === 3) return decodeTransaction(raw, common);
      try {
        const transaction = createTxFromRLP(raw, { common });
        if (Buffer.compare(transaction.serialize(), raw) !== 0) {
          return { status: 'skipped', code: 'MALFORMED', reason: 'not the canonical encoding of the transaction' };
        }
        return { transaction, from: transaction.getSenderAddress().bytes };
      } catch (error) {
        return { status: 'skipped', code: 'MALFORMED', reason: firstSentence(error) };
      }
    }
  });

  it('has no recipient that is a precompiled contract', async () => {
    const { precompiles } = await createEVM({ common: createSharedCommon(CHAIN, 'osaka') });
    expect(precompiles.size).toBeGreaterThan(17);
    for (const address of precompiles.keys()) expect(address).toMatch(/^0{36}[0-9a-f]{4}$/);
  });
});

function fieldsOf({ transaction, from }: Exclude<ReturnType<typeof decodeTransaction>, { status: string }>) {
  const { type, nonce, gasLimit, value, data, to, v, r, s } = transaction;
  const fees =
    'maxFeePerGas' in transaction
      ? [transaction.maxFeePerGas, transaction.maxPriorityFeePerGas]
      : [transaction.gasPrice];
  const list = 'accessList' in transaction ? transaction.accessList : undefined;
  return { type, nonce, gasLimit, value, data: toHex(data), to: to && toHex(to.bytes), v, r, s, fees, list, from };
}
