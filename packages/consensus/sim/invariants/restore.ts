/**
 * A crash at this very moment: what the disk would bring back (R16, R19, R20). Everything that was ever visible has to be
 * in it; and if nothing is unsynced, it has to be the very state of the node that runs.
 */

import { type Certificate, type Vote, VoteKind } from '@squad/types';
import type { Checkpoint, Consensus } from '../../src/index.ts';
import { hexOf } from '../memo.ts';
import { InvariantViolation, type ObservedNode } from './api.ts';

/** What one node has let others see. */
export class Promised {
  readonly #votes: Vote[] = [];
  readonly #certificates: Certificate[] = [];
  #finalHeight = 0;

  vote(vote: Vote): void {
    this.#votes.push(vote);
  }

  certificate(certificate: Certificate): void {
    this.#certificates.push(certificate);
  }

  final(height: number): void {
    this.#finalHeight = Math.max(this.#finalHeight, height);
  }

  check(node: ObservedNode, restored: Consensus, running: Consensus | undefined): void {
    const fail = (what: string): never => {
      throw new InvariantViolation('restored as promised', `${node.name} would be restored ${what}`);
    };
    const { status } = restored;
    const state = restored.checkpoint();
    if (status.finalHeight < this.#finalHeight) {
      fail(`at height ${status.finalHeight}, and has delivered ${this.#finalHeight}`);
    }
    const votes = new Set(state.votes.map(voteName));
    const highest = Math.max(0, ...state.votes.map(({ view }) => view));
    for (const vote of this.#votes) {
      if (vote.view <= status.finalView && vote.view < highest) continue;
      if (!votes.has(voteName(vote))) fail(`without its ${voteName(vote)}, which it has sent`);
    }
    const held = new Set(state.certificates.map(certificateName));
    for (const certificate of this.#certificates) {
      if (certificate.view <= status.finalView) continue;
      // Of finalizations that wait for their block the highest is enough.
      const isCovered =
        certificate.kind === VoteKind.finalize &&
        state.certificates.some(({ kind, view }) => kind === VoteKind.finalize && view >= certificate.view);
      if (!isCovered && !held.has(certificateName(certificate))) {
        fail(`without its certificate ${certificateName(certificate)}, which it has sent`);
      }
      if (status.view <= certificate.view) fail(`in view ${status.view}, and has passed view ${certificate.view}`);
    }
    if (running) this.#compare(fail, restored, running);
  }

  #compare(fail: (what: string) => never, restored: Consensus, running: Consensus): void {
    if (restored.status.view !== running.status.view) {
      fail(`in view ${restored.status.view}, and is in view ${running.status.view}`);
    }
    const here = describe(running.checkpoint());
    const there = describe(restored.checkpoint());
    for (const [part, value] of here) {
      if (there.get(part) !== value) fail(`with other ${part}: ${there.get(part)}, not ${value}`);
    }
  }
}

function describe(state: Checkpoint): Map<string, string> {
  return new Map([
    ['final block', `${state.finalized.header.view} ${hexOf(state.finalized.header.parentHash)}`],
    ['finalization', certificateName(state.finalization)],
    ['lane tips', state.laneTips.map(({ nextSeq, lastDigest }) => `${nextSeq} ${hexOf(lastDigest)}`).join(', ')],
    ['certificates', state.certificates.map(certificateName).join(', ')],
    ['votes', state.votes.map(voteName).sort().join(', ')],
    [
      'blocks',
      state.blocks
        .map(({ header }) => `${header.view} ${hexOf(header.refsRoot)}`)
        .sort()
        .join(', '),
    ],
  ]);
}

function voteName({ kind, view, blockHash }: Vote): string {
  return `${kind} of view ${view} for ${hexOf(blockHash)}`;
}

function certificateName({ kind, view, blockHash }: Certificate): string {
  return `${kind} of view ${view} for ${hexOf(blockHash)}`;
}
