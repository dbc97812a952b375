/** Rules of a rollup team's own: the example as it stands, what the node makes of rules, and modules that are refused. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toHex } from '@squad/types';
import { afterEach, describe, expect, it } from 'vitest';
import { developmentRollup, type RollupFile } from '../src/config/rollup-file.ts';
import { openRollup, type Rollup } from '../src/derivation/open.ts';
import { type CustomRollup, loadCustomRollup } from '../src/execution/custom.ts';
import { keccak256 } from '../src/execution/keccak.ts';
import type { KeyValueExecutor, KeyValueRules } from '../src/execution/key-value/executor.ts';
import {
  MAX_STATE_KEY_LENGTH,
  MAX_STATE_VALUE_LENGTH,
  MAX_WRITES_PER_TRANSACTION,
} from '../src/execution/key-value/view.ts';
import { customMethods, MAX_CUSTOM_PARAMETERS } from '../src/rpc/custom-methods.ts';
import { temporaryDirectory } from './support/directory.ts';
import { GENESIS_TIME_MS, sequenceOf, soft } from './support/sequence.ts';

const EXAMPLE = fileURLToPath(new URL('../../../examples/order-book/rollup.mjs', import.meta.url));
const FILE: RollupFile = developmentRollup({
  rollupId: 902,
  genesisTimeMs: GENESIS_TIME_MS,
  executor: 'custom',
  alloc: {},
});
const PORTS = {
  submit: async () => '0x00' as const,
  syncing: () => false as const,
  peerCount: () => 0,
  clientVersion: '',
};
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const open: Rollup[] = [];
afterEach(async () => {
  for (const rollup of open.splice(0)) await rollup.derivation.close();
});
async function opened(
  custom: CustomRollup | undefined,
  file = FILE,
  directory = temporaryDirectory(),
): Promise<Rollup> {
  const rollup = await openRollup(file, directory, custom);
  open.push(rollup);
  return rollup;
}
const withRules = (rules: KeyValueRules): CustomRollup => ({ createExecutor: ({ keyValue }) => keyValue(rules) });
/** Orders these in one slot, final. */
async function order(rollup: Rollup, transactions: Uint8Array[]): Promise<void> {
  const blocks = sequenceOf([{ at: 100, batches: [transactions] }, { at: 5000 }]);
  for (const block of blocks) await rollup.derivation.applyFinal(block);
}
const skippedOf = ({ skipped }: Rollup, transaction: Uint8Array) => skipped.get(keccak256(transaction))?.reason;
const read = ({ executor }: Rollup, key: string) => (executor as KeyValueExecutor).read(key, 'latest');
function call(rollup: Rollup, custom: CustomRollup, name: string, ...params: unknown[]): unknown {
  const found = customMethods(rollup, custom, PORTS).find((method) => method.name === name);
  return found!.call(params, {} as never);
}

describe('the order book of the examples', () => {
  const orders = [
    { id: '1', trader: 'ann', side: 'sell', price: 101, amount: 5 },
    { id: '2', trader: 'bob', side: 'sell', price: 100, amount: 2 },
    { id: '3', trader: 'carol', side: 'buy', price: 101, amount: 4 },
    { id: '1', trader: 'ann', side: 'sell', price: 99, amount: 5 },
    { id: '4', trader: 'dan', side: '__proto__', price: 1, amount: 1 },
    { id: '5', trader: 'dan', side: 'buy', price: 0.5, amount: 1 },
    'no order',
  ].map(bytes);

  it('trades at the best price, then the oldest order, and says why it skipped the others', async () => {
    const custom = await loadCustomRollup(EXAMPLE);
    const rollup = await opened(custom);
    await order(rollup, orders);
    expect(await call(rollup, custom, 'book_orders')).toEqual({
      buy: [],
      sell: [{ id: '1', trader: 'ann', price: 101, amount: 3 }],
    });
    expect(await call(rollup, custom, 'book_position', 'carol')).toEqual({ goods: '4', cash: '-402' });
    expect(await call(rollup, custom, 'book_position', 'ann')).toEqual({ goods: '-2', cash: '202' });
    expect(await call(rollup, custom, 'rollup_getHead')).toMatchObject({ number: '0x1', transactionCount: '0x3' });
    const reasons = orders.map((transaction) => skippedOf(rollup, transaction));
    expect(reasons.slice(0, 6)).toEqual([
      undefined,
      undefined,
      undefined,
      'order 1 was given before',
      'side is buy or sell',
      '1 to 1,000,000',
    ]);
    expect(reasons[6]).toMatch(/id and trader are short names/);
  });

  it('has the same blocks when it saw a soft order first that was then undone, and after it was opened again', async () => {
    const custom = await loadCustomRollup(EXAMPLE);
    const straight = await opened(custom);
    await order(straight, orders);
    const directory = temporaryDirectory();
    const detour = await opened(custom, FILE, directory);
    const [replaced] = sequenceOf([{ at: 100, batches: [[orders[2]!, orders[0]!]], salt: 'soft' }]);
    expect(await detour.derivation.applySoft(soft(replaced!))).toBe('applied');
    await order(detour, orders);
    expect(toHex(detour.executor.latest.hash)).toBe(toHex(straight.executor.latest.hash));
    await detour.derivation.close();
    open.pop();
    const again = await opened(custom, FILE, directory);
    expect(toHex(again.executor.latest.hash)).toBe(toHex(straight.executor.latest.hash));
    expect(read(again, 'book')).toBe(read(straight, 'book'));
    expect(again.executor.cursor).toMatchObject({ height: 1 });
  });
});

describe('what the node makes of rules', () => {
  it('undoes all writes of a transaction that is refused, and shows a transaction its own writes', async () => {
    const rollup = await opened(
      withRules((transaction, state) => {
        const [key, fails] = JSON.parse(new TextDecoder().decode(transaction)) as [string, boolean];
        state.set(key, 'written');
        state.set('last', state.get(key));
        if (fails) throw new Error('no');
      }),
    );
    await order(rollup, [bytes(['a', false]), bytes(['b', true])]);
    expect([read(rollup, 'a'), read(rollup, 'b'), read(rollup, 'last')]).toEqual(['written', '', 'written']);
  });

  it('keeps to its limits: at the limit it writes, one past it the transaction is skipped', async () => {
    const rollup = await opened(
      withRules((transaction, state) => {
        const [keyLength, valueLength, keys] = JSON.parse(new TextDecoder().decode(transaction)) as number[];
        for (let i = 0; i < keys!; i++) state.set(String(i).padStart(keyLength!, '0'), 'x'.repeat(valueLength!));
      }),
    );
    const fine = [
      [MAX_STATE_KEY_LENGTH, 1, 1],
      [1, MAX_STATE_VALUE_LENGTH, 1],
      [4, 1, MAX_WRITES_PER_TRANSACTION],
    ].map(bytes);
    const beyond = [
      [MAX_STATE_KEY_LENGTH + 1, 1, 1],
      [1, MAX_STATE_VALUE_LENGTH + 1, 1],
      [4, 1, MAX_WRITES_PER_TRANSACTION + 1],
    ].map(bytes);
    await order(rollup, [...fine, ...beyond]);
    expect(rollup.executor.latest.transactionCount).toBe(3);
    expect(beyond.map((transaction) => skippedOf(rollup, transaction))).toEqual([
      `a key has ${MAX_STATE_KEY_LENGTH + 1} characters, more than ${MAX_STATE_KEY_LENGTH}`,
      `the value of "0" has ${MAX_STATE_VALUE_LENGTH + 1} characters, more than ${MAX_STATE_VALUE_LENGTH}`,
      `a transaction writes more than ${MAX_WRITES_PER_TRANSACTION} keys`,
    ]);
  });

  it('stops at rules that go on after they returned, and does not let them write then', async () => {
    let late: unknown;
    const rules = async (_transaction: Uint8Array, state: { set(key: string, value: string): void }) => {
      await Promise.resolve();
      try {
        state.set('late', '1');
      } catch (error) {
        late = error;
      }
    };
    const rollup = await opened(withRules(rules as unknown as KeyValueRules));
    await expect(order(rollup, [bytes(1)])).rejects.toMatchObject({ code: 'RULES_ASYNCHRONOUS' });
    expect(String(late)).toMatch(/after the rules returned/);
  });
});

describe('modules that are no executor are refused in words', () => {
  const written = (source: string) => {
    const path = join(temporaryDirectory(), 'rules.mjs');
    writeFileSync(path, source);
    return path;
  };
  it.each([
    ['export const other = 1;', 'EXECUTOR_UNFIT', /exports no function createExecutor/],
    ['export const createExecutor = 1;', 'EXECUTOR_UNFIT', /exports no function createExecutor/],
    ['export function createExecutor() {} export const rpcMethods = {};', 'EXECUTOR_UNFIT', /rpcMethods/],
    ['import "not-there-at-all";', 'EXECUTOR_UNREADABLE', /not-there-at-all/],
    ['throw new Error("at once")', 'EXECUTOR_UNREADABLE', /at once/],
  ])('%s', async (source, code, message) => {
    await expect(loadCustomRollup(written(source))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('no file', async () => {
    await expect(loadCustomRollup('/none.mjs')).rejects.toMatchObject({ code: 'EXECUTOR_UNREADABLE' });
  });

  it('an executor that lacks what the port asks for', async () => {
    const unfit = (executor: unknown) => opened({ createExecutor: () => executor as never });
    await expect(unfit(undefined)).rejects.toMatchObject({ code: 'EXECUTOR_UNFIT', message: /lacks begin, execute/ });
    const functions = Object.fromEntries(
      ['begin', 'execute', 'seal', 'rollback', 'commit', 'close'].map((name) => [name, () => {}]),
    );
    await expect(unfit(functions)).rejects.toMatchObject({ message: /kind/ });
    await expect(unfit({ ...functions, kind: 'custom' })).rejects.toMatchObject({
      message: /latest is no block summary/,
    });
  });

  it('none where the rollup file asks for one, and one where it does not', async () => {
    await expect(opened(undefined)).rejects.toMatchObject({ code: 'EXECUTOR_MISSING' });
    const ledger: RollupFile = { ...FILE, executor: 'ledger' };
    await expect(
      opened(
        withRules(() => {}),
        ledger,
      ),
    ).rejects.toMatchObject({ code: 'EXECUTOR_NOT_ASKED_FOR' });
  });

  it('a call of an own method with more parameters than there may be; a method’s error is the caller’s', async () => {
    const custom: CustomRollup = {
      ...withRules(() => {}),
      rpcMethods: () => ({
        a_count: (...params) => params.filter((param) => param !== undefined).length,
        a_fail: () => {
          throw new Error('no such thing');
        },
      }),
    };
    const rollup = await opened(custom);
    const params = Array.from({ length: MAX_CUSTOM_PARAMETERS }, () => 1);
    expect(await call(rollup, custom, 'a_count', ...params)).toBe(MAX_CUSTOM_PARAMETERS);
    expect(() => call(rollup, custom, 'a_count', ...params, 1)).toThrow(/at most 8 taken/);
    await expect(call(rollup, custom, 'a_fail')).rejects.toMatchObject({ code: -32000, message: 'no such thing' });
  });

  it('methods under the names of the node’s own, or that are no functions', async () => {
    const rollup = await opened(withRules(() => {}));
    for (const rpcMethods of [() => ({ eth_call: () => 1 }), () => ({ plain: () => 1 }), () => ({ a_b: 1 as never })]) {
      expect(() => customMethods(rollup, { ...withRules(() => {}), rpcMethods }, PORTS)).toThrow(/method|own JSON-RPC/);
    }
  });
});
