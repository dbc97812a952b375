/** The state against a model that is too simple to be wrong: maps that are copied whole, and tries built from nothing. */

import { createMPT } from '@ethereumjs/mpt';
import { RLP } from '@ethereumjs/rlp';
import { Account, Address } from '@ethereumjs/util';
import { toHex } from '@squad/types';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EMPTY_STATE, EvmState, type StateSource } from '../src/execution/evm/state.ts';
import { keccak256, keyOf } from '../src/execution/keccak.ts';

interface ModelAccount {
  nonce: bigint;
  balance: bigint;
  code: Uint8Array;
  storage: Map<number, Uint8Array>;
}
type Model = Map<number, ModelAccount>;

const address = (index: number) => new Address(new Uint8Array(20).fill(index + 1));
const slot = (index: number) => new Uint8Array(32).fill(index + 1);

function copyOf(model: Model): Model {
  return new Map([...model].map(([key, account]) => [key, { ...account, storage: new Map(account.storage) }]));
}

async function rootOf(model: Model): Promise<string> {
  const trie = await createMPT();
  for (const [index, { nonce, balance, code, storage }] of model) {
    const slots = await createMPT();
    for (const [key, value] of storage) {
      if (value.length > 0) await slots.put(keccak256(slot(key)), RLP.encode(value));
    }
    const account = new Account(nonce, balance, slots.root(), keccak256(code));
    await trie.put(keccak256(address(index).bytes), account.serialize());
  }
  return toHex(trie.root());
}

const who = fc.integer({ min: 0, max: 4 });
const which = fc.integer({ min: 0, max: 5 });
const small = fc.integer({ min: 0, max: 255 });
const operation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('fund' as const), who, value: small }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('store' as const), who, which, value: small }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('load' as const), who, which }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('code' as const), who, value: small }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('delete' as const), who }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('clear' as const), who }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('checkpoint' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('commit' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('revert' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('flush' as const), reopen: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('copy' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('reset' as const) }) },
);

it('agrees with the model after any operations', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 20, maxLength: 120, size: 'max' }), async (operations) => {
      const stored = new Map<string, Uint8Array>();
      const find = (hash: Uint8Array) => stored.get(keyOf(hash));
      const source: StateSource = { nodesInMemory: 0, node: find, code: find };
      let state = new EvmState(source, EMPTY_STATE);
      let model: Model = new Map();
      let flushed = copyOf(model);
      const checkpoints: Model[] = [];
      const flush = async () => {
        const { root, nodes, codes } = state.flush();
        for (const [key, value] of [...nodes, ...codes]) stored.set(key, value);
        expect(toHex(root.hash)).toBe(await rootOf(model));
        flushed = copyOf(model);
      };
      for (const step of operations) {
        const account = 'who' in step ? model.get(step.who) : undefined;
        if (step.op === 'fund') {
          const next = (await state.getAccount(address(step.who))) ?? new Account();
          expect(next.balance).toBe(account?.balance ?? 0n);
          next.balance += BigInt(step.value);
          next.nonce += 1n;
          await state.putAccount(address(step.who), next);
          model.set(step.who, {
            nonce: next.nonce,
            balance: next.balance,
            code: account?.code ?? new Uint8Array(),
            storage: account?.storage ?? new Map(),
          });
        } else if (step.op === 'store' && account !== undefined) {
          const value = step.value === 0 ? new Uint8Array() : Uint8Array.of(step.value);
          await state.putStorage(address(step.who), slot(step.which), value);
          account.storage.set(step.which, value);
        } else if (step.op === 'load' && account !== undefined) {
          const found = await state.getStorage(address(step.who), slot(step.which));
          expect(found).toEqual(account.storage.get(step.which) ?? new Uint8Array());
        } else if (step.op === 'code' && account !== undefined) {
          account.code = Uint8Array.of(step.value, 1);
          await state.putCode(address(step.who), account.code);
          expect(await state.getCode(address(step.who))).toEqual(account.code);
        } else if (step.op === 'delete') {
          await state.deleteAccount(address(step.who));
          model.delete(step.who);
        } else if (step.op === 'clear' && account !== undefined) {
          await state.clearStorage(address(step.who));
          account.storage.clear();
        } else if (step.op === 'checkpoint') {
          await state.checkpoint();
          checkpoints.push(copyOf(model));
        } else if (step.op === 'commit' && checkpoints.length > 0) {
          await state.commit();
          checkpoints.pop();
        } else if (step.op === 'revert' && checkpoints.length > 0) {
          await state.revert();
          model = checkpoints.pop()!;
        } else if (step.op === 'flush' && checkpoints.length === 0) {
          await flush();
          if (step.reopen) await state.setStateRoot(state.root.hash);
        } else if (step.op === 'copy' && checkpoints.length === 0) {
          const copy = new EvmState(source, EMPTY_STATE);
          copy.copyFrom(state);
          // What the first does from now on must not show in the copy, which goes on in its place.
          await state.putAccount(address(0), new Account(77n));
          await state.putStorage(address(0), slot(0), Uint8Array.of(77));
          state = copy;
        } else if (step.op === 'reset') {
          state.reset(state.root);
          model = copyOf(flushed);
          checkpoints.length = 0;
        }
      }
      while (checkpoints.length > 0) {
        await state.revert();
        model = checkpoints.pop()!;
      }
      await flush();
      for (const [index, account] of model) {
        expect((await state.getAccount(address(index)))?.balance).toBe(account.balance);
        expect(await state.getCode(address(index))).toEqual(account.code);
        for (let which = 0; which < 6; which++) {
          const found = await state.getStorage(address(index), slot(which));
          expect(found).toEqual(account.storage.get(which) ?? new Uint8Array());
        }
      }
    }),
    { numRuns: 150 },
  );
});
