/** R17: timers adapt, grow while nothing is certified, fall back; a leader that is not heard from is skipped. */

import { type Block, type Certificate, MAX_BODY_LAG_BLOCKS, VoteKind } from '@squad/types';
import { describe, expect, it } from 'vitest';
import { DEFAULT_CONSENSUS_OPTIONS } from '../src/api.ts';
import { Fixture, ofType, sentVotes } from './harness.ts';

const { notarize, nullify } = VoteKind;
const { heartbeatMs, initialDelayMs, minDelayMs, maxDelayMs, retryMs } = DEFAULT_CONSENSUS_OPTIONS;

/** A view of the fixture that certifies a block `delayMs` after the own vote. */
function certifiedView(fixture: Fixture, delayMs: number, parent = fixture.genesis) {
  const { view } = fixture.core.status;
  const proposal = fixture.proposal({ view, parent });
  fixture.sendProposal(proposal);
  fixture.nowMs += delayMs;
  fixture.sendCertificate(fixture.certificate(notarize, view, proposal.block));
  return proposal.block;
}

describe('D', () => {
  it('starts at its first value and follows the measured time from own vote to quorum', () => {
    const fixture = new Fixture().start();
    expect(fixture.core.status.delayMs).toBe(initialDelayMs);
    let parent = certifiedView(fixture, 100);
    expect(fixture.core.status.delayMs).toBe(300);
    for (let i = 0; i < 60; i++) {
      parent =
        fixture.leaderAt(fixture.core.status.view) === fixture.self
          ? fixture.notarized({ view: fixture.core.status.view, parent })
          : certifiedView(fixture, 400, parent);
    }
    expect(fixture.core.status.delayMs).toBeGreaterThan(600);
  });

  it('never falls below its least value', () => {
    const fixture = new Fixture().start();
    certifiedView(fixture, 0);
    expect(fixture.core.status.delayMs).toBe(minDelayMs);
  });

  it.each([
    ['forward by an hour', 3_600_000],
    ['back by an hour', -3_600_000],
  ])('forgets within a few views a clock that jumped %s between vote and quorum', (_, jumpMs) => {
    const fixture = new Fixture().start();
    const views = (count: number, delayMs: number, first: Block) => {
      let parent = first;
      for (let i = 0; i < count; i++) {
        const { view } = fixture.core.status;
        const isOwn = fixture.leaderAt(view) === fixture.self;
        parent = isOwn ? fixture.notarized({ view, parent }) : certifiedView(fixture, delayMs, parent);
      }
      return parent;
    };
    const before = views(20, 200, fixture.genesis);
    const usualMs = fixture.core.status.delayMs;
    const jumped = views(1, 200 + jumpMs, before);
    // The clock is set right again, so that timestamps fit.
    fixture.nowMs -= jumpMs;
    views(20, 200, jumped);
    expect(fixture.core.status.delayMs).toBeGreaterThan(0.7 * usualMs);
    expect(fixture.core.status.delayMs).toBeLessThan(1.5 * usualMs);
  });

  it('grows by half for each uncertified view after the second, up to its greatest value', () => {
    const fixture = new Fixture().start();
    const seen: number[] = [];
    for (let view = 1; view <= 5; view++) {
      fixture.nullified(view);
      seen.push(fixture.core.status.delayMs);
    }
    expect(seen).toEqual([250, 250, 375, 562.5, 843.75]);
    for (let view = 6; view <= 200; view++) fixture.nullified(view);
    expect(fixture.core.status.delayMs).toBe(maxDelayMs);
  });

  /** A view in which the leader proposes only so long after it was to; what this node then has voted. */
  function lateView(fixture: Fixture, lateMs: number, parent: Block, skips: Certificate[] = []) {
    const { view } = fixture.core.status;
    for (const from of fixture.others) fixture.step({ type: 'acknowledged', from, acknowledgements: [] });
    fixture.take();
    fixture.after(heartbeatMs + lateMs);
    fixture.sendProposal(fixture.proposal({ view, parent, skips }));
    return sentVotes(fixture.take());
  }

  it('grows by a proposal that came when its view was given up, until its leader is waited for', () => {
    const fixture = new Fixture().start();
    const parent = certifiedView(fixture, 0);
    const lateMs = 2 * minDelayMs + 40;
    expect(lateView(fixture, lateMs, parent).map(({ kind }) => kind)).toEqual([nullify]);
    expect(2 * fixture.core.status.delayMs).toBeGreaterThan(lateMs);
    const skips = [fixture.nullified(2)];
    expect(lateView(fixture, lateMs, parent, skips).map(({ kind }) => kind)).toEqual([notarize]);
  });

  it('grows little by a leader that is very late, and not by one that proposes in time', () => {
    const late = new Fixture().start();
    lateView(late, 600_000, certifiedView(late, 0));
    expect(late.core.status.delayMs).toBe(1.25 * minDelayMs);
    const inTime = new Fixture().start();
    lateView(inTime, 2 * minDelayMs - 1, certifiedView(inTime, 0));
    expect(inTime.core.status.delayMs).toBe(minDelayMs);
  });

  it('falls back at the first certified view', () => {
    const fixture = new Fixture().start();
    for (let view = 1; view <= 10; view++) fixture.nullified(view);
    const { block } = fixture.proposal({ view: 11 });
    fixture.sendCertificate(fixture.certificate(notarize, 11, block));
    expect(fixture.core.status.delayMs).toBe(initialDelayMs);
  });
});

describe('retries', () => {
  it('come no more often than max(2D, the least retry time), and not before something was sent', () => {
    const fixture = new Fixture().start();
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    fixture.take();
    const interval = Math.max(2 * initialDelayMs, retryMs);
    expect(sentVotes(fixture.after(interval - 1))).toEqual([]);
    expect(sentVotes(fixture.after(1), notarize)).toHaveLength(1);
    expect(sentVotes(fixture.after(interval - 1), notarize)).toEqual([]);
  });

  it('a step always says when the core wants to be woken, in the future', () => {
    const fixture = new Fixture().start();
    for (let i = 0; i < 40; i++) {
      const wake = ofType(fixture.after(97), 'wakeAt');
      expect(wake).toHaveLength(1);
      expect(wake[0]!.atMs).toBeGreaterThan(fixture.nowMs);
    }
  });

  it('waking only when asked to is enough to time out and to retry', () => {
    const fixture = new Fixture().start();
    let wakeups = 0;
    for (let wakeAtMs = fixture.nowMs + 1; fixture.nowMs < wakeAtMs && wakeups < 30; wakeups++) {
      fixture.nowMs = wakeAtMs;
      wakeAtMs = ofType(fixture.step({ type: 'tick' }), 'wakeAt').at(-1)!.atMs;
    }
    expect(sentVotes(fixture.take(), nullify).length).toBeGreaterThan(10);
  });
});

describe('an inactive leader', () => {
  /** Ten seconds in view 1, in which only these were heard; what comes out as view 1 is nullified. */
  function enterViewTwo(
    heard: (fixture: Fixture) => readonly number[],
    lost: readonly number[] = [],
  ): ReturnType<Fixture['take']> {
    const fixture = new Fixture().start();
    for (let i = 0; i < 20; i++) {
      fixture.nowMs += 500;
      for (const from of heard(fixture)) fixture.step({ type: 'acknowledged', from, acknowledgements: [] });
    }
    for (const peer of lost) fixture.step({ type: 'peerDisconnected', peer });
    fixture.take();
    return fixture.sendCertificate(fixture.certificate(nullify, 1), heard(fixture)[0] ?? fixture.leaderAt(1));
  }
  const nullifiedViews = (outputs: ReturnType<Fixture['take']>) => sentVotes(outputs, nullify).map(({ view }) => view);

  it('is skipped at once while a quorum is heard', () => {
    const outputs = enterViewTwo((fixture) => fixture.others.filter((i) => i !== fixture.leaderAt(2)));
    expect(nullifiedViews(outputs)).toEqual([2]);
  });

  it('is skipped as soon as its channel is gone, however lately it was heard', () => {
    const leader = new Fixture().leaderAt(2);
    // The certificate comes from the first one.
    const all = (fixture: Fixture) => [...fixture.others.filter((i) => i !== leader), leader];
    expect(nullifiedViews(enterViewTwo(all, [leader]))).toEqual([2]);
    expect(nullifiedViews(enterViewTwo(all))).toEqual([]);
  });

  it('is not, if it is heard', () => {
    expect(nullifiedViews(enterViewTwo((fixture) => fixture.others))).toEqual([]);
  });

  it('is waited for as any other when no quorum is heard: the rule fails open', () => {
    expect(nullifiedViews(enterViewTwo(() => []))).toEqual([]);
  });
});

describe('a leader that is far behind', () => {
  /** What it votes as it enters the view that it leads, on the finalization of a block that it does not have. */
  function votesAsLeader(missingViews: number): ReturnType<typeof sentVotes> {
    const fixture = new Fixture({ leaderOf: missingViews + 1 }).start();
    const { block } = fixture.proposal({ view: missingViews, header: { height: missingViews } });
    fixture.take();
    return sentVotes(fixture.sendCertificate(fixture.certificate(VoteKind.finalize, missingViews, block)));
  }

  it('gives up its view at once (R21)', () => {
    const own = { kind: nullify, view: MAX_BODY_LAG_BLOCKS + 2 };
    expect(votesAsLeader(MAX_BODY_LAG_BLOCKS + 1)).toMatchObject([own]);
  });

  it('that lacks little takes its time to fetch it', () => {
    expect(votesAsLeader(MAX_BODY_LAG_BLOCKS)).toEqual([]);
  });
});
