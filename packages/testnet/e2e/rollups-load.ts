/**
 * Load on many rollups through every validator, bundles across them, and one rollup that floods; and what each of all these
 * transactions is known to be: accepted, refused, or of unknown fate, as its validator was killed while it was asked.
 */

import { createHash } from 'node:crypto';
import { rpcBatch, rpcCall } from '@squad/service';
import { fromHex, type Hex, toHex } from '@squad/types';
import { z } from 'zod';
import { type TestnetProcess, waitFor } from '../src/index.ts';
import { ACCOUNTS, Signer } from './accounts.ts';
import { statusOf } from './support.ts';

/** How a rollup's transactions are made. */
export type RollupKind = 'evm' | 'ledger' | 'bytes';

export interface LoadedRollup {
  readonly rollupId: number;
  readonly kind: RollupKind;
}

/** One transaction of a rollup, as 0x-hex. */
export interface Member {
  readonly rollupId: number;
  readonly transaction: Hex;
}

/** Pauses of one stream between two requests, milliseconds: so much goes through that all is read back in seconds. */
const LIGHT_PAUSE_MS = 400;
const BUNDLE_PAUSE_MS = 250;
const FLOOD_PAUSE_MS = 50;
const FLOOD_TRANSACTIONS = 16;
const FLOOD_BYTES = 2_048;
/** Nobody is given up because the machine is slow. */
const TIMEOUT_MS = 60_000;
/** Ledger keys that are written again and again: only who has the same order has the same values. */
export const LEDGER_KEYS: readonly string[] = Array.from({ length: 7 }, (_, i) => `key-${i}`);
/** Transactions of a bundle. */
const BUNDLE_SIZES = [2, 3, 5];

const Outcomes = z.array(z.looseObject({ hash: z.string().optional() }));
const Hashes = z.array(z.string());

/** Of one rollup. Refused ones are given again until they are accepted. */
interface Fates {
  readonly accepted: Set<Hex>;
  readonly unanswered: Set<Hex>;
}

export class RollupsLoad {
  /** By rollup id, those of bundles included. */
  readonly fates: ReadonlyMap<number, Fates>;
  readonly bundles: { readonly accepted: Member[][]; readonly unanswered: Member[][] } = {
    accepted: [],
    unanswered: [],
  };
  /** Those of one validator that it accepted, by its name. */
  readonly bundlesOf = new Map<string, Member[][]>();
  #running = true;
  readonly #streams: Promise<void>[];

  /** `bundled`: of which rollups bundles are. `floods`: the id of the one that does. */
  constructor(
    nodes: readonly TestnetProcess[],
    light: readonly LoadedRollup[],
    bundled: readonly LoadedRollup[],
    floods: number,
  ) {
    const ids = [...light.map(({ rollupId }) => rollupId), floods];
    this.fates = new Map(ids.map((id) => [id, { accepted: new Set<Hex>(), unanswered: new Set<Hex>() }]));
    this.#streams = nodes.flatMap((node, index) => [
      this.#lightStream(node, light, new Maker(`light-${index}`, index, 8)),
      this.#bundleStream(node, bundled, new Maker(`bundle-${index}`, nodes.length + index, 9)),
      this.#floodStream(node, floods, index),
    ]);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#streams);
  }

  /** One transaction of each rollup in a request, again and again. */
  async #lightStream(node: TestnetProcess, rollups: readonly LoadedRollup[], maker: Maker): Promise<void> {
    let round = await maker.each(rollups);
    while (this.#running) {
      try {
        const calls = round.map((one) => ({
          method: 'squad_sendTransactions',
          params: [one.rollupId, [one.transaction]],
        }));
        const outcomes = await rpcBatch(node.rpcUrl, calls, { timeoutMs: TIMEOUT_MS });
        const accepted = round.map((_, i) => {
          const outcome = outcomes[i]!;
          return outcome.ok && Outcomes.parse(outcome.value)[0]!.hash !== undefined;
        });
        for (const [i, one] of round.entries()) if (accepted[i]) this.#fate(one).accepted.add(one.transaction);
        const next = await maker.each(rollups.filter((_, i) => accepted[i]));
        round = round.map((one, i) => (accepted[i] ? next.shift()! : one));
      } catch {
        for (const one of round) this.#fate(one).unanswered.add(one.transaction);
        if (!(await this.#isBack(node))) return;
        maker.changeAccount();
        round = await maker.each(rollups);
      }
      await pause(LIGHT_PAUSE_MS);
    }
  }

  async #bundleStream(node: TestnetProcess, rollups: readonly LoadedRollup[], maker: Maker): Promise<void> {
    const own: Member[][] = [];
    this.bundlesOf.set(node.name, own);
    for (let number = 0; this.#running; number++) {
      const size = BUNDLE_SIZES[number % BUNDLE_SIZES.length]!;
      const members = Array.from({ length: size }, (_, i) => rollups[(number + i) % rollups.length]!);
      const bundle = await maker.each(members);
      try {
        await this.#acceptedBundle(node, bundle);
        this.bundles.accepted.push(bundle);
        own.push(bundle);
        for (const one of bundle) this.#fate(one).accepted.add(one.transaction);
      } catch {
        this.bundles.unanswered.push(bundle);
        for (const one of bundle) this.#fate(one).unanswered.add(one.transaction);
        if (!(await this.#isBack(node))) return;
        maker.changeAccount();
      }
      await pause(BUNDLE_PAUSE_MS);
    }
  }

  /** Gives a bundle again for as long as it is refused. */
  async #acceptedBundle(node: TestnetProcess, bundle: readonly Member[]): Promise<void> {
    for (;;) {
      const call = { method: 'squad_sendBundle', params: [bundle] };
      const [outcome] = await rpcBatch(node.rpcUrl, [call], { timeoutMs: TIMEOUT_MS });
      if (outcome!.ok) return void Hashes.parse(outcome!.value);
      await pause(BUNDLE_PAUSE_MS);
    }
  }

  async #floodStream(node: TestnetProcess, rollupId: number, index: number): Promise<void> {
    for (let number = 0; this.#running; number++) {
      const raw = Array.from({ length: FLOOD_TRANSACTIONS }, (_, i) => {
        const bytes = new Uint8Array(FLOOD_BYTES).fill(number % 251);
        bytes.set(createHash('sha256').update(`flood ${index} ${number} ${i}`).digest());
        return toHex(bytes);
      });
      const { accepted, unanswered } = this.fates.get(rollupId)!;
      try {
        const options = { timeoutMs: TIMEOUT_MS };
        const outcomes = await rpcCall(node.rpcUrl, 'squad_sendTransactions', [rollupId, raw], Outcomes, options);
        // What is refused is not given again: a flood has more.
        for (const [i, { hash }] of outcomes.entries()) if (hash !== undefined) accepted.add(raw[i]!);
      } catch {
        for (const one of raw) unanswered.add(one);
        if (!(await this.#isBack(node))) return;
      }
      await pause(FLOOD_PAUSE_MS);
    }
  }

  #fate({ rollupId }: Member): Fates {
    return this.fates.get(rollupId)!;
  }

  /** Waits until a validator that was killed takes transactions again; false if the load ends before. */
  #isBack(node: TestnetProcess): Promise<boolean> {
    return waitFor(
      `${node.name} is back`,
      async () => (this.#running ? (await statusOf(node)).ready && 'back' : 'over'),
      TIMEOUT_MS,
      200,
    ).then((what) => what === 'back');
  }
}

/** Makes transactions, none twice; those of EVM rollups of one account, so that in one lane its nonces stay in order. */
class Maker {
  readonly #name: string;
  readonly #spare: number;
  #account: number;
  #number = 0;
  #signers = new Map<number, Signer>();

  /** Accounts by their number: `account`, and `spare` after a nonce of unknown fate. */
  constructor(name: string, account: number, spare: number) {
    this.#name = name;
    this.#account = account;
    this.#spare = spare;
  }

  /** Nobody knows whether the last nonce is used. */
  changeAccount(): void {
    if (this.#account === this.#spare) throw new Error(`${this.#name}: its validator went away a second time`);
    this.#account = this.#spare;
    this.#signers = new Map();
  }

  async each(rollups: readonly LoadedRollup[]): Promise<Member[]> {
    const made: Member[] = [];
    for (const { rollupId, kind } of rollups) made.push({ rollupId, transaction: await this.#make(rollupId, kind) });
    return made;
  }

  async #make(rollupId: number, kind: RollupKind): Promise<Hex> {
    const number = this.#number++;
    if (kind === 'evm') {
      const signer = this.#signers.get(rollupId) ?? new Signer(ACCOUNTS[this.#account]!, rollupId);
      this.#signers.set(rollupId, signer);
      return (await signer.sign({ to: ACCOUNTS[9]!.address, value: 1n })).raw;
    }
    const value = `${this.#name}/${rollupId}/${number}`;
    const key = LEDGER_KEYS[number % LEDGER_KEYS.length];
    const text = kind === 'ledger' ? JSON.stringify({ op: 'set', key, value, nonce: '' }) : value;
    return toHex(new TextEncoder().encode(text));
  }
}

/** Values of the ledger's keys after these transactions, all of them `set`. */
export function ledgerAfter(transactions: readonly Hex[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const raw of transactions) {
    const { key, value } = JSON.parse(new TextDecoder().decode(fromHex(raw))) as { key: string; value: string };
    values.set(key, value);
  }
  return values;
}

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
