/**
 * What waits to be sealed: a line for each rollup. They take turns, a batch each, and one whose batch was larger than a
 * turn's bytes lets the turns pass that it took from the others (deficit round robin). What each may have waiting is its share.
 */

import { MAX_BATCH_BODY_BYTES, MAX_BATCH_TRANSACTIONS, OFFSET_BYTES, type RollupId } from '@squad/types';
import { isWithinShare } from './share.ts';

/** Bytes of accepted transactions that wait to be sealed, of which one rollup may fill half (`isWithinShare`). */
export const MAX_LANE_WAITING_BYTES: number = 32 * 1024 * 1024;
/** Transactions that wait to be sealed, shared in the same way. */
export const MAX_LANE_WAITING_TRANSACTIONS = 262_144;

/** A transaction that waits; `rest`: those that are sealed right after it, in one bundle (R1). */
export interface WaitingEntry {
  readonly transaction: Uint8Array;
  readonly rest?: readonly { readonly transaction: Uint8Array }[] | undefined;
}

interface Line<Entry> {
  readonly entries: Entry[];
  bytes: number;
  transactions: number;
  /** Bytes that it had beyond its turns. */
  owed: number;
}

export class WaitingLines<Entry extends WaitingEntry> {
  /** The next one's turn first. */
  readonly #lines = new Map<RollupId, Line<Entry>>();
  #bytes = 0;
  #transactions = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get transactions(): number {
    return this.#transactions;
  }

  /** What waits of one rollup. */
  of(rollupId: RollupId): { readonly bytes: number; readonly transactions: number } {
    const line = this.#lines.get(rollupId);
    return { bytes: line?.bytes ?? 0, transactions: line?.transactions ?? 0 };
  }

  hasRoomFor(rollupId: RollupId, transactions: number, bytes: number): boolean {
    const own = this.of(rollupId);
    return (
      isWithinShare(MAX_LANE_WAITING_BYTES, this.#bytes, own.bytes, bytes) &&
      isWithinShare(MAX_LANE_WAITING_TRANSACTIONS, this.#transactions, own.transactions, transactions)
    );
  }

  add(rollupId: RollupId, entry: Entry): void {
    let line = this.#lines.get(rollupId);
    if (!line) {
      line = { entries: [], bytes: 0, transactions: 0, owed: 0 };
      this.#lines.set(rollupId, line);
    }
    line.entries.push(entry);
    this.#count(line, entry, 1);
  }

  /**
   * One batch's worth, or a bundle alone, of the rollup whose turn it is; undefined if nothing waits, or if the turn is that of
   * a bundle of more than `room` batches. `turnBytes`: those of a body.
   */
  take(
    turnBytes: number,
    room: number,
  ): { readonly rollupId: RollupId; readonly entries: readonly Entry[] } | undefined {
    for (const [rollupId, line] of this.#lines) {
      const batches = 1 + (line.entries[0]?.rest?.length ?? 0);
      // It keeps its turn: were others let past, there would never be so much room at once.
      if (line.owed < turnBytes && batches > room) return undefined;
      // Its next turn is after the others', in this walk: a map is walked to what was added last.
      this.#lines.delete(rollupId);
      this.#lines.set(rollupId, line);
      if (line.owed >= turnBytes) {
        line.owed -= turnBytes;
        continue;
      }
      if (line.entries.length === 0) {
        this.#lines.delete(rollupId);
        continue;
      }
      const entries = batches > 1 ? line.entries.splice(0, 1) : takeBatch(line.entries, turnBytes);
      let bytes = 0;
      for (const entry of entries) bytes += this.#count(line, entry, -1);
      line.owed += Math.max(0, bytes - turnBytes);
      // One that owes stays, or it could come back with nothing to owe.
      if (line.entries.length === 0 && line.owed < turnBytes) this.#lines.delete(rollupId);
      return { rollupId, entries };
    }
    return undefined;
  }

  /** Counts an entry in or out; answers with its bytes in bodies. */
  #count(line: Line<Entry>, { transaction, rest }: Entry, sign: 1 | -1): number {
    let bytes = transaction.length;
    let transactions = 1;
    if (rest) {
      for (const member of rest) bytes += member.transaction.length;
      transactions += rest.length;
    }
    line.bytes += sign * bytes;
    line.transactions += sign * transactions;
    this.#bytes += sign * bytes;
    this.#transactions += sign * transactions;
    return bytes + OFFSET_BYTES * transactions;
  }
}

/** The first of a line, and as many more as fit, up to a bundle. */
function takeBatch<Entry extends WaitingEntry>(line: Entry[], turnBytes: number): readonly Entry[] {
  let bodyBytes = 0;
  let count = 0;
  for (const { transaction, rest } of line) {
    const more = OFFSET_BYTES + transaction.length;
    const full = count > 0 && bodyBytes + more > turnBytes;
    if (rest || full || bodyBytes + more > MAX_BATCH_BODY_BYTES || count === MAX_BATCH_TRANSACTIONS) break;
    bodyBytes += more;
    count++;
  }
  return line.splice(0, count);
}
