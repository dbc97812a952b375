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

interface Line<Entry> {
  readonly entries: Entry[];
  bytes: number;
  /** Bytes that it had beyond its turns. */
  owed: number;
}

export class WaitingLines<Entry extends { readonly transaction: Uint8Array }> {
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
    return { bytes: line?.bytes ?? 0, transactions: line?.entries.length ?? 0 };
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
      line = { entries: [], bytes: 0, owed: 0 };
      this.#lines.set(rollupId, line);
    }
    line.entries.push(entry);
    line.bytes += entry.transaction.length;
    this.#bytes += entry.transaction.length;
    this.#transactions++;
  }

  /** One batch's worth, of the rollup whose turn it is; undefined if nothing waits. `turnBytes`: those of a body. */
  take(turnBytes: number): { readonly rollupId: RollupId; readonly entries: readonly Entry[] } | undefined {
    for (const [rollupId, line] of this.#lines) {
      // Its next turn is after the others', in this walk: a map is walked to what was added last.
      this.#lines.delete(rollupId);
      this.#lines.set(rollupId, line);
      if (line.owed >= turnBytes) {
        line.owed -= turnBytes;
        continue;
      }
      const { entries, bodyBytes } = takeBatch(line.entries, turnBytes);
      const bytes = bodyBytes - OFFSET_BYTES * entries.length;
      line.bytes -= bytes;
      line.owed += Math.max(0, bodyBytes - turnBytes);
      this.#bytes -= bytes;
      this.#transactions -= entries.length;
      if (line.entries.length === 0) this.#lines.delete(rollupId);
      return { rollupId, entries };
    }
    return undefined;
  }
}

/** The first of a line, and as many more as fit. */
function takeBatch<Entry extends { readonly transaction: Uint8Array }>(
  line: Entry[],
  turnBytes: number,
): { readonly entries: readonly Entry[]; readonly bodyBytes: number } {
  let bodyBytes = 0;
  let count = 0;
  for (const { transaction } of line) {
    const more = OFFSET_BYTES + transaction.length;
    const full = count > 0 && bodyBytes + more > turnBytes;
    if (full || bodyBytes + more > MAX_BATCH_BODY_BYTES || count === MAX_BATCH_TRANSACTIONS) break;
    bodyBytes += more;
    count++;
  }
  return { entries: line.splice(0, count), bodyBytes };
}
