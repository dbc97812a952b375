/**
 * Forced transactions: a client builds of all that it is given, or nothing. Here is found out what to leave out, the same at
 * each node that drives a client of the same rules, and with bounded work:
 *
 * 1. A block of which the client takes all is as it was derived.
 * 2. If it refuses, out goes what its sender could not do in the state before the block: a nonce that is not the sender's
 *    next, or a cost that is, with that of the sender's before it, more than the sender had. So nobody without ether makes work.
 * 3. Clients take transactions in order and stop at the first that is not valid. While this one refuses, out goes the one
 *    that it names, and what else the same sender has after it. A block is begun once for each sender, and twice more, at most;
 *    where a client names none, log2 n times for each.
 */

import { RpcError } from '@squad/service';
import { fromHex, type Hex } from '@squad/types';
import { keccak256 } from '../execution/keccak.ts';
import { hexOf } from '../hex.ts';
import type { Spending } from './api.ts';
import { ENGINE_ERRORS } from './trouble.ts';

export interface LeftOut {
  readonly hash: Hex;
  readonly reason: string;
}

export interface Account {
  readonly nonce: bigint;
  /** Wei. */
  readonly balance: bigint;
}

/** What may be left out, and by what it is judged. */
export interface Judging {
  /** How many at the beginning are the stack's own, and never left out. */
  readonly own: number;
  readonly spending: (raw: Hex) => Spending;
  /** Of senders, in the state before the block, in their order. */
  readonly accounts: (addresses: readonly Hex[]) => Promise<readonly Account[]>;
}

export interface Begun<Answer> {
  readonly answer: Answer;
  readonly transactions: readonly Hex[];
  readonly leftOut: readonly LeftOut[];
}

interface Forced {
  readonly raw: Hex;
  readonly hash: Hex;
  readonly spending: Spending;
}

/**
 * `begin` asks the client for a block of these transactions; an `RpcError` -38003 is its refusal. If it refuses the stack's own
 * alone, that is thrown, and so is every other error.
 */
export async function beginForced<Answer>(
  begin: (transactions: readonly Hex[]) => Promise<Answer>,
  given: readonly Hex[],
  judging: Judging,
): Promise<Begun<Answer>> {
  const own = given.slice(0, judging.own);
  let rest: readonly Forced[] | undefined;
  const leftOut: LeftOut[] = [];
  const all = () => (rest === undefined ? given : [...own, ...rest.map(({ raw }) => raw)]);
  for (;;) {
    try {
      const answer = await begin(all());
      // Bytes that were ordered twice are in the block once.
      const inside = new Set(rest?.map(({ hash }) => hash));
      return { answer, transactions: all(), leftOut: leftOut.filter(({ hash }) => !inside.has(hash)) };
    } catch (error) {
      if (!isRefusal(error) || all().length === own.length) throw error;
      const before: readonly Forced[] = rest ?? given.slice(own.length).map((raw) => forced(raw, judging));
      const out = rest === undefined ? await unable(before, judging) : await refused(begin, own, before, error);
      leftOut.push(...before.flatMap(({ hash }, at) => (out.has(at) ? [{ hash, reason: out.get(at)! }] : [])));
      rest = before.filter((_, at) => !out.has(at));
    }
  }
}

function forced(raw: Hex, { spending }: Judging): Forced {
  return { raw, hash: hexOf(keccak256(fromHex(raw))), spending: spending(raw) };
}

/** Reasons by place: step 2. */
async function unable(transactions: readonly Forced[], { accounts }: Judging): Promise<Map<number, string>> {
  const senders = [...new Set(transactions.map(({ spending }) => spending.from))];
  const states = await accounts(senders);
  const left = new Map(senders.map((sender, at) => [sender, { ...states[at]! }]));
  const out = new Map<number, string>();
  for (const [at, { spending }] of transactions.entries()) {
    const state = left.get(spending.from)!;
    if (spending.nonce !== state.nonce) {
      const word = spending.nonce < state.nonce ? 'low' : 'high';
      out.set(at, `nonce too ${word}: it is ${spending.nonce}, the sender's next ${state.nonce}`);
    } else if (spending.cost > state.balance) {
      out.set(at, `insufficient funds: it may cost ${spending.cost} wei, the sender has ${state.balance}`);
    } else {
      state.nonce++;
      state.balance -= spending.cost;
    }
  }
  return out;
}

/** Reasons by place: step 3. */
async function refused<Answer>(
  begin: (transactions: readonly Hex[]) => Promise<Answer>,
  own: readonly Hex[],
  transactions: readonly Forced[],
  error: RpcError,
): Promise<Map<number, string>> {
  const named = transactions.findIndex(({ hash }) => error.message.includes(hash));
  const raws = transactions.map(({ raw }) => raw);
  const first =
    named >= 0 ? named : await firstRefused((count) => begin([...own, ...raws.slice(0, count)]), raws.length);
  const { from } = transactions[first]!.spending;
  const out = new Map([[first, error.message]]);
  for (const [at, { spending }] of transactions.entries()) {
    if (at > first && spending.from === from) out.set(at, 'one of the same sender before it is refused');
  }
  return out;
}

/** By halving: so many are refused, so there is a shortest beginning that is. None at all has to be taken. */
async function firstRefused(begin: (count: number) => Promise<unknown>, count: number): Promise<number> {
  await begin(0);
  let taken = 0;
  let refused = count;
  while (refused - taken > 1) {
    const middle = Math.floor((taken + refused) / 2);
    try {
      await begin(middle);
      taken = middle;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refused = middle;
    }
  }
  return taken;
}

function isRefusal(error: unknown): error is RpcError {
  return error instanceof RpcError && error.code === ENGINE_ERRORS.invalidPayloadAttributes;
}
