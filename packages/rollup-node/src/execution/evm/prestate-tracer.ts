/** prestateTracer of debug_trace…: what the transaction read as it was before, or, as a difference, what it changed. */

import type { InterpreterStep, Message } from '@ethereumjs/evm';
import { Address, KECCAK256_NULL } from '@ethereumjs/util';
import { fromHex, type Hex, toHex } from '@squad/types';
import { hexOf } from '../../hex.ts';
import { isBelowSentry } from './failure.ts';
import type { EvmState } from './state.ts';
import type { TraceBudget, Tracer } from './trace.ts';

export interface PrestateOptions {
  readonly diffMode: boolean;
  readonly disableCode: boolean;
  readonly disableStorage: boolean;
}

export interface PrestateAccount {
  balance?: Hex;
  nonce?: number;
  code?: Hex;
  /** If there is code. */
  codeHash?: Hex;
  storage?: Record<Hex, Hex>;
}

export type Prestate = Record<Hex, PrestateAccount>;
export type PrestateAnswer = Prestate | { readonly pre: Prestate; readonly post: Prestate };

const ACCOUNT_BYTES = 200;
const SLOT_BYTES = 140;
/** Where on the stack the operation has an address, from the top. */
const ADDRESS_AT: Readonly<Record<string, number>> = {
  BALANCE: 1,
  EXTCODESIZE: 1,
  EXTCODECOPY: 1,
  EXTCODEHASH: 1,
  SELFDESTRUCT: 1,
  CALL: 2,
  CALLCODE: 2,
  DELEGATECALL: 2,
  STATICCALL: 2,
};

export class PrestateTracer implements Tracer<PrestateAnswer> {
  readonly compares = true;
  readonly #options: PrestateOptions;
  readonly #budget: TraceBudget;
  /** Slots that were looked at, by address. */
  readonly #touched = new Map<Hex, Set<Hex>>();

  /** `addresses`: of the sender and of who gets the fees. */
  constructor(options: PrestateOptions, budget: TraceBudget, addresses: readonly Uint8Array[]) {
    this.#options = options;
    this.#budget = budget;
    for (const address of addresses) this.#touch(toHex(address));
  }

  step(step: InterpreterStep): void {
    const { opcode, stack, address, gasLeft } = step;
    // What it cannot pay for it does not touch.
    if (gasLeft < (opcode.dynamicFee ?? BigInt(opcode.fee)) || isBelowSentry(step)) return;
    if (opcode.name === 'SLOAD' || opcode.name === 'SSTORE') {
      const slot = stack.at(-1);
      if (slot !== undefined) this.#touchSlot(hexOf(address.bytes), `0x${slot.toString(16).padStart(64, '0')}`);
    }
    const at = ADDRESS_AT[opcode.name];
    const named = at === undefined ? undefined : stack.at(-at);
    if (named !== undefined) this.#touch(`0x${(named & ((1n << 160n) - 1n)).toString(16).padStart(40, '0')}`);
  }

  enter({ to, depth }: Message): void {
    if (depth === 0 && to !== undefined) this.#touch(hexOf(to.bytes));
  }

  leave({ createdAddress }: { readonly createdAddress?: Address | undefined }): void {
    if (createdAddress !== undefined) this.#touch(hexOf(createdAddress.bytes));
  }

  async answer({ before, after }: Parameters<Tracer<PrestateAnswer>['answer']>[0]): Promise<PrestateAnswer> {
    const pre: Prestate = {};
    const post: Prestate = {};
    for (const [address, slots] of this.#touched) {
      const was = await this.#read(before, address, slots);
      if (!this.#options.diffMode) {
        if (was !== undefined) pre[address] = was;
        continue;
      }
      const is = await this.#read(after, address, slots);
      const changed = difference(was, is);
      if (was !== undefined && (changed !== undefined || is === undefined)) pre[address] = onlyChanged(was, is);
      if (changed !== undefined) post[address] = changed;
    }
    return this.#options.diffMode ? { pre, post } : pre;
  }

  #touch(address: Hex): Set<Hex> {
    const known = this.#touched.get(address);
    if (known !== undefined) return known;
    this.#budget.keep(ACCOUNT_BYTES);
    const slots = new Set<Hex>();
    this.#touched.set(address, slots);
    return slots;
  }

  #touchSlot(address: Hex, slot: Hex): void {
    const slots = this.#touch(address);
    if (slots.has(slot)) return;
    this.#budget.keep(SLOT_BYTES);
    slots.add(slot);
  }

  /** Undefined if there is no such account. */
  async #read(state: EvmState, address: Hex, slots: ReadonlySet<Hex>): Promise<PrestateAccount | undefined> {
    const at = new Address(fromHex(address));
    const account = await state.getAccount(at);
    if (account === undefined) return undefined;
    const read: PrestateAccount = { balance: `0x${account.balance.toString(16)}` };
    if (account.nonce > 0n) read.nonce = Number(account.nonce);
    if (Buffer.compare(account.codeHash, KECCAK256_NULL) !== 0) {
      read.codeHash = toHex(account.codeHash);
      if (!this.#options.disableCode) {
        const code = await state.getCode(at);
        this.#budget.keep(2 * code.length);
        read.code = toHex(code);
      }
    }
    if (this.#options.disableStorage || slots.size === 0) return read;
    read.storage = {};
    for (const slot of slots) {
      const value = Buffer.from(await state.getStorage(at, fromHex(slot))).toString('hex');
      read.storage[slot] = `0x${value.padStart(64, '0')}`;
    }
    return read;
  }
}

const ZERO_WORD: Hex = `0x${'0'.repeat(64)}`;

/** What is another in `is`; undefined if nothing is, or if it is gone. */
function difference(was: PrestateAccount | undefined, is: PrestateAccount | undefined): PrestateAccount | undefined {
  if (is === undefined) return undefined;
  const changed: PrestateAccount = {};
  if (is.balance !== undefined && is.balance !== (was?.balance ?? '0x0')) changed.balance = is.balance;
  if (is.nonce !== undefined && is.nonce !== was?.nonce) changed.nonce = is.nonce;
  if (is.codeHash !== undefined && is.codeHash !== was?.codeHash) {
    changed.codeHash = is.codeHash;
    if (is.code !== undefined) changed.code = is.code;
  }
  const slots = Object.entries(is.storage ?? {}).filter(
    ([slot, value]) => value !== (was?.storage?.[slot as Hex] ?? ZERO_WORD) && value !== ZERO_WORD,
  );
  if (slots.length > 0) changed.storage = Object.fromEntries(slots) as Record<Hex, Hex>;
  const cleared = Object.entries(was?.storage ?? {}).some(
    ([slot, value]) => value !== ZERO_WORD && is.storage?.[slot as Hex] === ZERO_WORD,
  );
  return Object.keys(changed).length > 0 || cleared ? changed : undefined;
}

/** Of the account before: all but slots that stayed as they were, or held nothing. */
function onlyChanged(was: PrestateAccount, is: PrestateAccount | undefined): PrestateAccount {
  const { storage, ...rest } = was;
  const slots = Object.entries(storage ?? {}).filter(
    ([slot, value]) => value !== ZERO_WORD && value !== is?.storage?.[slot as Hex],
  );
  return slots.length === 0 ? rest : { ...rest, storage: Object.fromEntries(slots) as Record<Hex, Hex> };
}
