/**
 * Derivation (protocol §6): the sequence in, rollup blocks out. The rule, the same on every node:
 *
 * - Slot k is the time [genesis + k·T, genesis + (k+1)·T), T = `blockTimeMs`. A sequencer block belongs to the slot of its
 *   timestamp; its transactions are executed in ref order, then in the batch's order.
 * - A transaction that the rollup's rules reject is skipped, and the reason is kept for those who ask.
 * - A slot in which nothing was executed yields no block. Otherwise it yields one; and another each time a transaction no
 *   longer fits the block's gas limit. Blocks are numbered consecutively: a number says nothing about time.
 * - A block's timestamp is the end of its slot in whole seconds: floor((genesis + (k+1)·T) / 1000). Blocks of one slot,
 *   and of slots shorter than a second, may share one; it never goes back.
 * - Rules that take in something from L1 do so by the L1 anchor of a slot's first sequencer block, and may begin a slot with a
 *   block though nothing was ordered in it. A final block waits for what of L1 it needs; a soft one is ignored meanwhile.
 * - A slot is complete once a later slot's sequencer block is known; its blocks are `latest` once that one is final.
 *   Transactions ordered before genesis are skipped.
 *
 * Soft blocks are executed at once, as if they were final. When the final ones are the same, nothing is executed again;
 * where they differ, all from the first block that held anything of it is undone and executed anew.
 */

import { equalBytes, type Height, type L1BlockId, NO_L1_ANCHOR, SquadError, toHex } from '@squad/types';
import type { BlockEnvironment, Cursor, Executor } from '../execution/api.ts';
import { breatheNow } from '../execution/breathe.ts';
import { keccak256 } from '../execution/keccak.ts';
import { Mutex } from '../execution/mutex.ts';
import type { ApplyOutcome, Derivation, ProvenBlock } from './api.ts';
import type { DerivationEvents } from './events.ts';
import type { SkippedTransactions } from './skipped.ts';

/** Sequencer blocks beyond the last complete slot that are held; more soft ones are ignored until some become final. */
export const MAX_HELD_BLOCKS = 4096;
/** Transaction bytes in them. */
export const MAX_HELD_BYTES: number = 256 * 1024 * 1024;
/** Final sequencer blocks without a transaction of this rollup after which the cursor is written by itself. */
export const CURSOR_EVERY_BLOCKS = 256;

/** A sequencer block whose slot is not yet durable. */
interface HeldBlock {
  readonly block: ProvenBlock;
  readonly slot: number;
  readonly bytes: number;
  /** Of the slot's first block. */
  readonly l1Anchor: L1BlockId;
  final: boolean;
  /** Number of the newest rollup block that was sealed before this block's first transaction was executed. */
  base: number;
}

export interface DerivationOptions {
  readonly executor: Executor;
  readonly genesisTimeMs: number;
  readonly blockTimeMs: number;
  readonly events: DerivationEvents;
  readonly skipped: SkippedTransactions;
}

export class SequenceDerivation implements Derivation {
  readonly #executor: Executor;
  readonly #options: DerivationOptions;
  readonly #mutex = new Mutex();
  /** By height, from the first one whose slot is not durable; executed all. */
  readonly #held: HeldBlock[] = [];
  #heldBytes = 0;
  #final: Cursor | undefined;
  /** The last block whose slot is complete: all that was executed up to it is durable. */
  #released: Cursor | undefined;
  #openSlot: number | undefined;
  #failure: unknown;

  constructor(options: DerivationOptions) {
    this.#options = options;
    this.#executor = options.executor;
    this.#final = options.executor.cursor;
  }

  get finalHeight(): Height {
    return this.#final?.height ?? 0;
  }

  get nextFinalHeight(): Height {
    return this.finalHeight + 1;
  }

  get softHeight(): Height {
    return this.#held.at(-1)?.block.height ?? this.finalHeight;
  }

  applySoft(block: ProvenBlock): Promise<ApplyOutcome> {
    return this.#run(() => this.#applySoft(block));
  }

  applyFinal(block: ProvenBlock): Promise<ApplyOutcome> {
    return this.#run(() => this.#applyFinal(block));
  }

  close(): Promise<void> {
    return this.#mutex.run(async () => {
      const cursor = this.#released;
      if (this.#failure === undefined && cursor !== undefined && cursor.height > (this.#executor.cursor?.height ?? 0)) {
        await this.#executor.commit(this.#executor.latest.number, cursor);
      }
      this.#failure ??= new SquadError('DERIVATION_CLOSED', 'the rollup is closed', 'Open it again.');
      await this.#executor.close();
    });
  }

  /** After a failure of the store nothing is applied any more: what is in memory and on disk may differ. */
  #run(section: () => Promise<ApplyOutcome>): Promise<ApplyOutcome> {
    return this.#mutex.run(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        return await section();
      } catch (error) {
        if (!(error instanceof SquadError && error.code.startsWith('DERIVATION_'))) this.#failure = error;
        throw error;
      }
    });
  }

  async #applySoft(block: ProvenBlock): Promise<ApplyOutcome> {
    if (block.height <= this.finalHeight) return 'known';
    const known = this.#held.find((held) => held.block.height === block.height);
    if (known !== undefined && equalBytes(known.block.hash, block.hash)) return 'known';
    if (block.height > this.softHeight + 1 || !this.#follows(block)) return 'ignored';
    if (this.#held.length >= MAX_HELD_BLOCKS || this.#heldBytes >= MAX_HELD_BYTES) return 'ignored';
    if (known !== undefined) await this.#rollback(block.height);
    const held = this.#hold(block, false);
    if (this.#beginsSlot(held) && (await this.#executor.canBegin?.(this.#environment(held))) === false)
      return 'ignored';
    await this.#append(held);
    this.#options.events.emit('pending', undefined);
    return 'applied';
  }

  async #applyFinal(block: ProvenBlock): Promise<ApplyOutcome> {
    if (block.height <= this.finalHeight) return 'known';
    if (block.height !== this.nextFinalHeight) {
      throw new SquadError(
        'DERIVATION_GAP',
        `final block ${block.height} came where ${this.nextFinalHeight} is wanted`,
        `Follow the feed from height ${this.nextFinalHeight}.`,
        { height: block.height, wanted: this.nextFinalHeight },
      );
    }
    if (!this.#follows(block)) throw conflict(block, this.#final?.hash);
    const held = this.#held.find(({ block: { height } }) => height === block.height);
    if (held !== undefined && equalBytes(held.block.hash, block.hash)) {
      held.final = true;
    } else {
      if (held !== undefined) await this.#rollback(block.height);
      await this.#append(this.#hold(block, true));
    }
    this.#final = cursorOf(block);
    await this.#settle();
    return 'applied';
  }

  /** Whether the block's parent is what stands before it. The first block of all may have any parent: it is verified. */
  #follows(block: ProvenBlock): boolean {
    const before = this.#held.findLast((held) => held.block.height === block.height - 1);
    const parent = before?.block ?? (this.#final?.height === block.height - 1 ? this.#final : undefined);
    if (parent === undefined) return block.height === 1;
    return equalBytes(parent.hash, block.parentHash) && block.timestampMs >= parent.timestampMs;
  }

  #hold(block: ProvenBlock, final: boolean): HeldBlock {
    const slot = Math.floor((block.timestampMs - this.#options.genesisTimeMs) / this.#options.blockTimeMs);
    let bytes = 0;
    for (const batch of block.batches) for (const transaction of batch.transactions) bytes += transaction.length;
    const before = this.#held.at(-1);
    const l1Anchor = before?.slot === slot ? before.l1Anchor : (block.l1Anchor ?? NO_L1_ANCHOR);
    return { block, slot, bytes, l1Anchor, final, base: 0 };
  }

  async #append(held: HeldBlock): Promise<void> {
    this.#held.push(held);
    this.#heldBytes += held.bytes;
    await this.#execute(held);
  }

  /** Whether it makes a slot begin with a block, whatever is ordered in it. */
  #beginsSlot(held: HeldBlock): boolean {
    return held.slot >= 0 && this.#openSlot !== held.slot && this.#executor.isDue?.(this.#environment(held)) === true;
  }

  async #execute(held: HeldBlock): Promise<void> {
    if (this.#openSlot !== undefined && held.slot > this.#openSlot) {
      await this.#executor.seal();
      this.#openSlot = undefined;
    }
    held.base = this.#executor.head.number;
    if (this.#beginsSlot(held)) await this.#begin(held);
    for (const batch of held.block.batches) {
      for (const transaction of batch.transactions) {
        await breatheNow();
        await this.#executeTransaction(held, transaction);
      }
    }
  }

  async #executeTransaction(held: HeldBlock, transaction: Uint8Array): Promise<void> {
    const { skipped, events } = this.#options;
    const { height } = held.block;
    const skip = (code: Parameters<SkippedTransactions['add']>[0]['code'], reason: string) => {
      const entry = { hash: keccak256(transaction), code, reason, height };
      skipped.add(entry);
      events.emit('skipped', entry);
    };
    if (held.slot < 0) return skip('BEFORE_GENESIS', 'ordered before the rollup began');
    if (this.#openSlot === undefined) await this.#begin(held);
    let outcome = await this.#executor.execute(transaction);
    if (outcome.status === 'full') {
      await this.#executor.seal();
      await this.#begin(held);
      outcome = await this.#executor.execute(transaction);
    }
    if (outcome.status === 'executed') events.emit('transaction', outcome.hash);
    else if (outcome.status === 'skipped') skip(outcome.code, outcome.reason);
    else throw new Error('a transaction did not fit an empty block');
  }

  async #begin(held: HeldBlock): Promise<void> {
    await this.#executor.begin(this.#environment(held));
    this.#openSlot = held.slot;
  }

  #environment({ slot, block, l1Anchor }: HeldBlock): BlockEnvironment {
    const { genesisTimeMs, blockTimeMs } = this.#options;
    const timestampSeconds = Math.floor((genesisTimeMs + (slot + 1) * blockTimeMs) / 1000);
    return { slot, timestampSeconds, randomness: block.hash, l1Anchor };
  }

  /** Undoes everything from a height on, and executes again what shared a rollup block with it but stays. */
  async #rollback(height: Height): Promise<void> {
    const index = this.#held.findIndex(({ block }) => block.height === height);
    const removed = this.#held.splice(index);
    for (const { bytes } of removed) this.#heldBytes -= bytes;
    const newest = this.#held.at(-1);
    const sealedNothing = newest !== undefined && removed.every(({ slot }) => slot === newest.slot);
    if (sealedNothing && removed.every(({ bytes }) => bytes === 0)) return;
    // A removed block of a later slot had sealed the newest slot that stays, which may now grow: it is executed anew.
    const again = this.#held.filter(({ slot }) => slot === newest?.slot);
    await this.#executor.rollback(again[0]?.base ?? this.#executor.latest.number);
    this.#openSlot = undefined;
    for (const held of again) await this.#execute(held);
    this.#options.events.emit('reorganised', { height });
  }

  /** Makes durable what a later final block has completed. */
  async #settle(): Promise<void> {
    const final = this.#held.filter((held) => held.final);
    const current = final.at(-1)!.slot;
    const complete = final.filter(({ slot }) => slot < current);
    const last = complete.at(-1);
    if (last === undefined) return;
    const next = this.#held[complete.length]!;
    const number = next.base;
    const before = this.#executor.latest.number;
    const cursor = cursorOf(last.block);
    const idle = cursor.height - (this.#executor.cursor?.height ?? 0);
    if (number > before || idle >= CURSOR_EVERY_BLOCKS) await this.#executor.commit(number, cursor);
    for (const { bytes } of this.#held.splice(0, complete.length)) this.#heldBytes -= bytes;
    this.#released = cursor;
    for (let sealed = before + 1; sealed <= this.#executor.latest.number; sealed++) {
      this.#options.events.emit('latest', sealed);
    }
  }
}

function cursorOf(block: ProvenBlock): Cursor {
  return { height: block.height, hash: block.hash, timestampMs: block.timestampMs };
}

function conflict(block: ProvenBlock, final: Uint8Array | undefined): SquadError {
  return new SquadError(
    'DERIVATION_CONFLICT',
    `final block ${block.height} (${toHex(block.hash)}) does not follow the final block before it (${final ? toHex(final) : 'none'})`,
    'Two conflicting blocks were finalized, or the verifier is broken. Stop; keep the data and the feed for examination.',
    { height: block.height, hash: toHex(block.hash), parentHash: toHex(block.parentHash) },
  );
}
