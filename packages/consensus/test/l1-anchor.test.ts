/** R24: which anchor a leader gives its block, which ones a voter votes for, and what a lost view costs. */

import {
  type Block,
  type BlockHeader,
  genesisBlock,
  type L1BlockId,
  MAX_L1_ANCHOR_ADVANCE_BLOCKS,
  type View,
  VoteKind,
  validatorSetHash,
} from '@squad/types';
import { describe, expect, it } from 'vitest';
import { DEFAULT_CONSENSUS_OPTIONS, type EpochConfig, type Output } from '../src/api.ts';
import { FIRST_ANCHOR_PAUSE_MS, MAX_ANCHOR_PAUSE_MS, MAX_L1_BLOCKS_HELD } from '../src/l1-blocks.ts';
import {
  Fixture,
  type FixtureOptions,
  NETWORK_ID,
  ofType,
  type ProposalParts,
  START_MS,
  sentProposals,
  sentVotes,
  setOf,
} from './harness.ts';

const { anchorDelayMs, heartbeatMs } = DEFAULT_CONSENSUS_OPTIONS;
const START = 100;

/** Block `number` of an L1; of another fork of it with another `fork`. */
function l1Block(number: number, fork = 1): L1BlockId {
  const hash = new Uint8Array(32).fill(fork);
  new DataView(hash.buffer).setUint32(0, number);
  return { number, hash };
}

/** From the genesis file's anchor up to a number; from `forkedFrom` on of another fork. */
function l1(upTo: number, forkedFrom = Number.POSITIVE_INFINITY): L1BlockId[] {
  return Array.from({ length: upTo - START + 1 }, (_, i) => l1Block(START + i, START + i < forkedFrom ? 1 : 2));
}

function fixtureOf(options: FixtureOptions = {}): Fixture {
  return new Fixture({ l1Anchor: l1Block(START), ...options }).start();
}

function see(fixture: Fixture, blocks: readonly L1BlockId[]): Output[] {
  return fixture.step({ type: 'l1Blocks', blocks });
}

function anchored({ number, hash }: L1BlockId): { readonly header: Partial<BlockHeader> } {
  return { header: { l1AnchorNumber: number, l1AnchorHash: hash } };
}

/** What a fixture answers to a proposal of the present view. */
function votesFor(fixture: Fixture, parts: Omit<ProposalParts, 'view'>): VoteKind[] {
  const { view } = fixture.core.status;
  return sentVotes(fixture.sendProposal(fixture.proposal({ view, ...parts }))).map(({ kind }) => kind);
}

describe('a voter', () => {
  it('votes for an anchor that it has seen confirmed', () => {
    const fixture = fixtureOf();
    see(fixture, l1(START + 3));
    expect(votesFor(fixture, anchored(l1Block(START + 3)))).toEqual([VoteKind.notarize]);
  });

  it('votes for the genesis file’s anchor, and for its parent’s, without an L1', () => {
    const fixture = fixtureOf();
    expect(votesFor(fixture, anchored(l1Block(START)))).toEqual([VoteKind.notarize]);
  });

  it('does not vote for the genesis file’s anchor with another hash, and says whose it is', () => {
    const fixture = fixtureOf();
    expect(votesFor(fixture, anchored(l1Block(START, 2)))).toEqual([VoteKind.nullify]);
    expect(ofType(fixture.take(), 'misbehaved')[0]!.reason).toMatch(/L1 anchor has another hash/);
  });

  it('waits for an anchor that it has not seen yet, and votes within the view when it has', () => {
    const fixture = fixtureOf();
    see(fixture, l1(START + 2));
    expect(votesFor(fixture, anchored(l1Block(START + 3)))).toEqual([]);
    expect(sentVotes(see(fixture, l1(START + 3))).map(({ kind }) => kind)).toEqual([VoteKind.notarize]);
  });

  it('gives up the view of an anchor that it never sees, and blames nobody', () => {
    const fixture = fixtureOf();
    see(fixture, l1(START + 2));
    expect(votesFor(fixture, anchored(l1Block(START + 3)))).toEqual([]);
    const outputs = fixture.after(3 * fixture.core.status.delayMs);
    expect(sentVotes(outputs).map(({ kind }) => kind)).toEqual([VoteKind.nullify]);
    expect(ofType(fixture.take(), 'misbehaved')).toEqual([]);
  });

  it('gives up the view of an anchor of another L1 at once, and blames nobody', () => {
    const fixture = fixtureOf();
    see(fixture, l1(START + 3));
    expect(votesFor(fixture, anchored(l1Block(START + 3, 2)))).toEqual([VoteKind.nullify]);
    expect(ofType(fixture.take(), 'misbehaved')).toEqual([]);
  });

  it('does not vote for an advance on an anchor that is not on its L1 any more', () => {
    const fixture = fixtureOf();
    see(fixture, l1(START + 3));
    const parent = fixture.notarized({ view: 1, ...anchored(l1Block(START + 2)) });
    see(fixture, l1(START + 4, START + 1));
    expect(votesFor(fixture, { parent, ...anchored(l1Block(START + 4, 2)) })).toEqual([VoteKind.nullify]);
  });

  it('goes on with its parent’s anchor when that is not on its L1 any more', () => {
    const fixture = fixtureOf();
    see(fixture, l1(START + 3));
    const parent = fixture.notarized({ view: 1, ...anchored(l1Block(START + 2)) });
    see(fixture, l1(START + 4, START + 1));
    expect(votesFor(fixture, { parent })).toEqual([VoteKind.notarize]);
  });

  it('votes for an advance by as much as is allowed, and by no more', () => {
    const most = START + MAX_L1_ANCHOR_ADVANCE_BLOCKS;
    for (const [number, kind] of [
      [most, VoteKind.notarize],
      [most + 1, VoteKind.nullify],
    ] as const) {
      const fixture = fixtureOf();
      see(fixture, l1(most + 5));
      expect(votesFor(fixture, anchored(l1Block(number)))).toEqual([kind]);
    }
  });

  it.each<[string, RegExp, (fixture: Fixture) => Omit<ProposalParts, 'view'>]>([
    [
      'that goes back',
      /goes back from 102 to 101/,
      (fixture) => ({
        parent: fixture.notarized({ view: 1, ...anchored(l1Block(START + 2)) }),
        ...anchored(l1Block(START + 1)),
      }),
    ],
    [
      'that advances after a lost view',
      /after a view that was lost/,
      (fixture) => ({ skips: [fixture.nullified(1)], ...anchored(l1Block(START + 1)) }),
    ],
  ])('refuses an anchor %s, and says whose it is', (_, reason, parts) => {
    const fixture = fixtureOf({ leaderOf: 3 });
    see(fixture, l1(START + 5));
    const made = parts(fixture);
    fixture.take();
    expect(votesFor(fixture, made)).toEqual([VoteKind.nullify]);
    expect(ofType(fixture.take(), 'misbehaved')[0]!.reason).toMatch(reason);
  });

  it('refuses any anchor in a network that follows no L1', () => {
    const fixture = new Fixture().start();
    see(fixture, l1(START + 5));
    expect(votesFor(fixture, anchored(l1Block(START + 1)))).toEqual([VoteKind.nullify]);
    expect(ofType(fixture.take(), 'misbehaved')[0]!.reason).toMatch(/follows no L1/);
  });

  it('holds so many L1 blocks and no more', () => {
    const fixture = fixtureOf();
    see(fixture, l1(START + MAX_L1_BLOCKS_HELD - 1));
    expect(fixture.core.sizes.l1Blocks).toBe(MAX_L1_BLOCKS_HELD);
    see(fixture, l1(START + MAX_L1_BLOCKS_HELD));
    expect(fixture.core.sizes.l1Blocks).toBe(MAX_L1_BLOCKS_HELD);
  });
});

describe('a leader', () => {
  /** The anchor of the block that it proposes once the present view is so old that it has to. */
  function anchorOfOwn(fixture: Fixture): L1BlockId {
    fixture.take();
    fixture.after(heartbeatMs);
    const [proposal] = sentProposals(fixture.take());
    return fixture.anchorAfter(proposal!.block);
  }

  /** In its own view, on a parent of the view before, with what it sees of the L1 held for long enough. */
  function leading(blocks: readonly L1BlockId[], parent: Partial<BlockHeader> = {}): Fixture {
    const fixture = fixtureOf({ leaderOf: 2 });
    see(fixture, blocks);
    fixture.nowMs += anchorDelayMs;
    fixture.notarized({ view: 1, header: parent });
    return fixture;
  }

  it('advances to the highest L1 block that it has held long enough', () => {
    const fixture = leading(l1(START + 3));
    see(fixture, l1(START + 4));
    expect(anchorOfOwn(fixture)).toEqual(l1Block(START + 3));
  });

  it('keeps the anchor until its own L1 blocks are old enough', () => {
    const fixture = fixtureOf({ leaderOf: 1 });
    see(fixture, l1(START + 3));
    expect(anchorOfOwn(fixture)).toEqual(l1Block(START));
  });

  it('counts the time from when it first saw a block, and anew for one that replaced it', () => {
    const fixture = leading(l1(START + 3));
    see(fixture, l1(START + 3, START + 2));
    expect(anchorOfOwn(fixture)).toEqual(l1Block(START + 1));
  });

  it('does not wait for a clock that was set back', () => {
    const fixture = fixtureOf({ leaderOf: 2 });
    see(fixture, l1(START + 3));
    fixture.nowMs -= 3_600_000;
    fixture.notarized({ view: 1 });
    expect(anchorOfOwn(fixture)).toEqual(l1Block(START + 3));
  });

  it('advances by no more than a block may', () => {
    const fixture = leading(l1(START + 3 * MAX_L1_ANCHOR_ADVANCE_BLOCKS));
    expect(anchorOfOwn(fixture)).toEqual(l1Block(START + MAX_L1_ANCHOR_ADVANCE_BLOCKS));
  });

  it('keeps an anchor that is not on its own L1', () => {
    const anchor = l1Block(START + 2, 2);
    const fixture = leading(l1(START + 3), anchored(anchor).header);
    expect(anchorOfOwn(fixture)).toEqual(anchor);
  });

  it('keeps the anchor without an L1, and has none in a network that follows none', () => {
    expect(anchorOfOwn(leading([]))).toEqual(l1Block(START));
    const fixture = new Fixture({ leaderOf: 1 }).start();
    see(fixture, l1(START + 3));
    fixture.nowMs += anchorDelayMs;
    expect(anchorOfOwn(fixture).number).toBe(0);
  });

  it('keeps the anchor after a lost view, whatever it was lost for', () => {
    const fixture = fixtureOf({ leaderOf: 2 });
    see(fixture, l1(START + 3));
    fixture.nowMs += anchorDelayMs;
    fixture.nullified(1);
    expect(anchorOfOwn(fixture)).toEqual(l1Block(START));
  });

  it('goes on from the parent’s anchor after a restart, and advances once it knows the L1 again', () => {
    const fixture = fixtureOf({ leaderOf: 2 });
    see(fixture, l1(START + 3));
    fixture.notarized({ view: 1, ...anchored(l1Block(START + 2)) });
    fixture.restart();
    fixture.sendCertificate(
      fixture.certificate(VoteKind.notarize, 1, fixture.proposal({ view: 1, ...anchored(l1Block(START + 2)) }).block),
    );
    expect(anchorOfOwn(fixture)).toEqual(l1Block(START + 2));
  });

  describe('after a view with an advance was lost', () => {
    /** Loses a view of another leader with an advance, gains the next ones, and comes to a view of its own. */
    function comesToOwn(fixture: Fixture, parent: Block, losesFirst: boolean): Block {
      let last = parent;
      const top = fixture.anchorAfter(parent).number;
      if (losesFirst) {
        const { view } = fixture.core.status;
        fixture.sendProposal(fixture.proposal({ view, parent, ...anchored(l1Block(top + 1)) }));
        const skip = fixture.nullified(view);
        last = fixture.notarized({ view: view + 1, parent, skips: [skip] });
      }
      while (fixture.leaderAt(fixture.core.status.view) !== fixture.self) {
        last = fixture.notarized({ view: fixture.core.status.view, parent: last });
      }
      return last;
    }

    /** The view before is another's, and so is the one before that. */
    function settled(): { fixture: Fixture; parent: Block } {
      const fixture = fixtureOf({ leaderOf: 4, options: { inactiveAfterMs: 10 * MAX_ANCHOR_PAUSE_MS } });
      see(fixture, l1(START + 3));
      fixture.nowMs += anchorDelayMs;
      return { fixture, parent: fixture.notarized({ view: 1 }) };
    }

    it('does not advance for a while, and then does', () => {
      const early = settled();
      comesToOwn(early.fixture, early.parent, true);
      expect(anchorOfOwn(early.fixture)).toEqual(l1Block(START));
      const late = settled();
      comesToOwn(late.fixture, late.parent, true);
      late.fixture.nowMs += FIRST_ANCHOR_PAUSE_MS;
      expect(anchorOfOwn(late.fixture)).toEqual(l1Block(START + 3));
    });

    it('advances if the view was lost without one', () => {
      const { fixture, parent } = settled();
      const skip = fixture.nullified(2);
      const last = fixture.notarized({ view: 3, parent, skips: [skip] });
      comesToOwn(fixture, last, false);
      expect(anchorOfOwn(fixture)).toEqual(l1Block(START + 3));
    });
  });
});

describe('in the epilogue of an epoch', () => {
  /** On the boundary block, of height 1, in view 2. */
  function onBoundary(leaderOf: View): { fixture: Fixture; boundary: Block } {
    const next = setOf(1, [1, 1, 1, 1], 50);
    const startsAfter = genesisBlock(NETWORK_ID, START_MS);
    const config: EpochConfig = { startsAfter, proof: undefined, lastHeight: 1, nextValidatorSet: () => next };
    const fixture = fixtureOf({ leaderOf, epoch: { number: 0, config }, options: { inactiveAfterMs: 60_000 } });
    see(fixture, l1(START + 3));
    fixture.nowMs += anchorDelayMs;
    const header = { nextValidatorSetHash: validatorSetHash(next) };
    return { fixture, boundary: fixture.notarized({ view: 1, header }) };
  }

  it('a leader does not advance the anchor', () => {
    const { fixture, boundary } = onBoundary(2);
    const [proposal] = sentProposals(fixture.take());
    expect(proposal!.block.header.height).toBe(2);
    expect(fixture.anchorAfter(proposal!.block)).toEqual(fixture.anchorAfter(boundary));
  });

  it('no voter lets it', () => {
    const { fixture, boundary } = onBoundary(3);
    fixture.take();
    expect(votesFor(fixture, { parent: boundary, ...anchored(l1Block(START + 1)) })).toEqual([VoteKind.nullify]);
    expect(ofType(fixture.take(), 'misbehaved')[0]!.reason).toMatch(/after the end of its epoch/);
  });
});
