/** What a node's driver notes for the invariants, apart from what the core says: what is on the disk, what was heard. */

import { quorumWeight, type ValidatorIndex, type Vote } from '@squad/types';
import type { Input } from '../src/api.ts';
import { hexOf } from './memo.ts';
import type { LogEntry } from './node.ts';

/** The votes in a log, read as the log grows. */
export class DurableVotes {
  readonly #log: readonly LogEntry[];
  readonly #votes = new Set<string>();
  #upTo = 0;

  constructor(log: readonly LogEntry[]) {
    this.#log = log;
  }

  has(vote: Vote): boolean {
    for (; this.#upTo < this.#log.length; this.#upTo++) {
      const entry = this.#log[this.#upTo]!;
      if (entry.type === 'record' && entry.record.type === 'vote') this.#votes.add(nameOf(entry.record.vote));
    }
    return this.#votes.has(nameOf(vote));
  }
}

function nameOf({ kind, epoch, view, blockHash }: Vote): string {
  return `${kind} ${epoch} ${view} ${hexOf(blockHash)}`;
}

/** Whether a node can have seen or formed a certificate since it started (R19). */
export class Heard {
  isNewNetwork = false;
  #certificate = false;
  readonly #voters = new Set<ValidatorIndex>();

  input(input: Input, weights: readonly number[]): void {
    if (this.#certificate) return;
    if (input.type === 'rangeFetched') this.#certificate = true;
    if (input.type !== 'message' || input.message.type === 'handOver') return;
    if (input.message.type !== 'vote') {
      this.#certificate = true;
      return;
    }
    this.#voters.add(input.from);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const heard = [...this.#voters].reduce((sum, voter) => sum + weights[voter]!, 0);
    // With its own vote, whatever that weighs.
    if (heard + Math.max(...weights) >= quorumWeight(total)) this.#certificate = true;
  }

  /** One that is a quorum by itself needs to hear nobody. */
  isFresh(weights: readonly number[]): boolean {
    if (this.isNewNetwork || this.#certificate) return true;
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return Math.max(...weights) >= quorumWeight(total);
  }
}
