/** R9, R10, R18, R19: entering views, and proposing in them. */

import { MAX_UNORDERED_BATCHES_PER_LANE, toHex, VoteKind } from '@squad/types';
import { describe, expect, it } from 'vitest';
import type { HeldBatch } from '../src/api.ts';
import { MAX_RESENT_CERTIFICATES } from '../src/timers.ts';
import { Fixture, hashOf, ofType, sentCertificates, sentProposals, sentVotes } from './harness.ts';

describe('R9: entering a view', () => {
  it('on a notarization, a nullification, or a finalization of any later view', () => {
    const fixture = new Fixture().start();
    expect(fixture.core.status.view).toBe(1);
    const first = fixture.notarized({ view: 1 });
    expect(fixture.core.status.view).toBe(2);
    fixture.nullified(2);
    expect(fixture.core.status.view).toBe(3);
    const { block } = fixture.proposal({ view: 9, parent: first });
    fixture.sendCertificate(fixture.certificate(VoteKind.finalize, 9, block));
    expect(fixture.core.status.view).toBe(10);
    expect(ofType(fixture.take(), 'enteredView').map(({ view }) => view)).toEqual([1, 2, 3, 10]);
  });

  it('never goes back', () => {
    const fixture = new Fixture().start();
    fixture.nullified(5);
    fixture.nullified(2);
    expect(fixture.core.status.view).toBe(6);
  });

  it('relays a certificate once, whoever else sends it', () => {
    const fixture = new Fixture().start();
    const certificate = fixture.certificate(VoteKind.nullify, 1);
    expect(sentCertificates(fixture.sendCertificate(certificate, fixture.others[0]))).toEqual([certificate]);
    for (const from of fixture.others) {
      expect(sentCertificates(fixture.sendCertificate({ ...certificate }, from))).toEqual([]);
    }
  });

  it('hands who connects all that justifies the view: one that jumped over a nullification could never lead again', () => {
    const fixture = new Fixture().start();
    fixture.notarized({ view: 1 });
    const skipped = [2, 3, 4].map((view) => fixture.nullified(view));
    const outputs = fixture.step({ type: 'peerConnected', peer: fixture.others[0]! });
    for (const certificate of skipped) expect(sentCertificates(outputs)).toContainEqual(certificate);
    expect(sentCertificates(outputs).map(({ kind, view }) => [kind, view])).toContainEqual([VoteKind.notarize, 1]);
  });

  it('of a justification that is very long it hands over a part at a time, and in the end all', () => {
    const fixture = new Fixture().start();
    const views = Array.from({ length: MAX_RESENT_CERTIFICATES + 50 }, (_, i) => i + 1);
    for (const view of views) fixture.nullified(view);
    const parts = [0, 1].map(() =>
      sentCertificates(fixture.step({ type: 'peerConnected', peer: fixture.others[0]! })).map(({ view }) => view),
    );
    // With each the entry to the view.
    for (const part of parts) expect(part.length).toBeLessThanOrEqual(MAX_RESENT_CERTIFICATES + 1);
    expect([...new Set(parts.flat())].sort((a, b) => a - b)).toEqual(views);
  });

  it('persists a certificate before it is relayed', () => {
    const fixture = new Fixture().start();
    const outputs = fixture.sendCertificate(fixture.certificate(VoteKind.nullify, 1));
    const order = outputs.map((output) => (output.type === 'persist' ? output.record.type : output.type));
    expect(order.indexOf('certificate')).toBeGreaterThanOrEqual(0);
    expect(order.indexOf('certificate')).toBeLessThan(order.indexOf('send'));
  });
});

describe('R10: proposing', () => {
  /** The leader of view 2, in view 2, on a notarized view 1. */
  function leading(weights?: readonly number[]): { fixture: Fixture; parent: ReturnType<Fixture['notarized']> } {
    const fixture = new Fixture({ leaderOf: 2, ...(weights && { weights }) }).start();
    const parent = fixture.notarized({ view: 1 });
    fixture.take();
    return { fixture, parent };
  }

  it('once per view, on the highest certified view, with its own NOTARIZE inside', () => {
    const { fixture, parent } = leading();
    fixture.lane(fixture.self!, 1);
    for (let i = 0; i < 20; i++) fixture.after(200);
    const outputs = fixture.take();
    const hashes = new Set(sentProposals(outputs).map(({ block }) => hashOf(block)));
    expect(hashes.size).toBe(1);
    const { block, parentCertificate } = sentProposals(outputs)[0]!;
    expect(block.header).toMatchObject({ view: 2, height: 2, parentView: 1, leader: fixture.self });
    expect(toHex(block.header.parentHash)).toBe(hashOf(parent));
    expect(parentCertificate.view).toBe(1);
    const votes = outputs.flatMap((output) =>
      output.type === 'persist' && output.record.type === 'vote' ? [output.record.vote] : [],
    );
    expect(votes.filter(({ kind }) => kind === VoteKind.notarize).map(({ view }) => view)).toEqual([2]);
  });

  it('persists block and vote before the proposal is sent', () => {
    const { fixture } = leading();
    const outputs = fixture.after(1_000);
    const order = outputs.map((output) => (output.type === 'persist' ? output.record.type : output.type));
    expect(sentProposals(outputs)).toHaveLength(1);
    expect(order.indexOf('block')).toBeLessThan(order.indexOf('send'));
    expect(order.indexOf('vote')).toBeLessThan(order.indexOf('send'));
  });

  it('skips nullified views with their certificates, and chooses the highest certified view', () => {
    const fixture = new Fixture({ leaderOf: 4 }).start();
    const parent = fixture.notarized({ view: 1 });
    const skips = [fixture.nullified(2), fixture.nullified(3)];
    const [proposal] = sentProposals(fixture.after(1_000));
    expect(proposal!.block.header).toMatchObject({ view: 4, parentView: 1, height: 2 });
    expect(toHex(proposal!.block.header.parentHash)).toBe(hashOf(parent));
    expect(proposal!.skips).toEqual(skips);
  });

  it('a view that is both notarized and nullified is a parent, not skipped', () => {
    const fixture = new Fixture({ leaderOf: 3 }).start();
    fixture.notarized({ view: 1 });
    fixture.nullified(1);
    fixture.nullified(2);
    const [proposal] = sentProposals(fixture.after(1_000));
    expect(proposal!.block.header.parentView).toBe(1);
    expect(proposal!.skips.map(({ view }) => view)).toEqual([2]);
  });

  it('does not propose while a view in between is not nullified here', () => {
    const fixture = new Fixture({ leaderOf: 5 }).start();
    fixture.notarized({ view: 1 });
    fixture.nullified(4); // entered view 5 by it; views 2 and 3 are unknown
    expect(fixture.core.status.view).toBe(5);
    expect(sentProposals(fixture.after(1_000))).toEqual([]);
  });

  it('orders each lane without gaps up to the last batch that f+1 hold, its author counted', () => {
    const { fixture } = leading();
    const author = fixture.others[0]!;
    const lane = fixture.lane(author, 3);
    expect(sentProposals(fixture.take())).toEqual([]);
    const outputs = fixture.acknowledge(fixture.others[1]!, lane[1]!);
    expect(sentProposals(outputs)[0]!.block.refs).toEqual([lane[0]!.ref, lane[1]!.ref]);
  });

  describe('while a block was made just before', () => {
    /** The leader of view 2, which has a batch to order when the vote for the proposal of view 1, just come, took this long. */
    function busy(voteMs: number): { fixture: Fixture; lane: HeldBatch[] } {
      const fixture = new Fixture({ leaderOf: 2, options: { blockIntervalMs: 50 } }).start();
      const first = fixture.proposal({ view: 1, parent: fixture.genesis });
      fixture.sendProposal(first);
      fixture.nowMs += voteMs;
      fixture.sendCertificate(fixture.certificate(VoteKind.notarize, 1, first.block));
      const lane = fixture.lane(fixture.others[0]!, 2);
      fixture.acknowledge(fixture.others[1]!, lane[0]!);
      return { fixture, lane };
    }

    it('lets more gather for the time that it may, and wakes then', () => {
      const { fixture, lane } = busy(20);
      expect(sentProposals(fixture.after(29))).toEqual([]);
      expect(ofType(fixture.take(), 'wakeAt').at(-1)!.atMs).toBe(fixture.nowMs + 1);
      fixture.acknowledge(fixture.others[1]!, lane[1]!);
      expect(sentProposals(fixture.after(1))[0]!.block.refs).toHaveLength(2);
    });

    it('for five times what a vote takes, where that is less', () => {
      const { fixture } = busy(8);
      expect(sentProposals(fixture.after(31))).toEqual([]);
      expect(sentProposals(fixture.after(1))).toHaveLength(1);
    });

    it('waits for nothing when its clock was set back', () => {
      const { fixture } = busy(20);
      expect(sentProposals(fixture.take())).toEqual([]);
      fixture.nowMs -= 21;
      expect(sentProposals(fixture.after(0))).toHaveLength(1);
    });
  });

  it('at once when there was no block in the view before, however little time it took', () => {
    const fixture = new Fixture({ leaderOf: 2, options: { blockIntervalMs: 50 } }).start();
    fixture.nullified(1);
    const [batch] = fixture.lane(fixture.others[0]!, 1);
    expect(sentProposals(fixture.acknowledge(fixture.others[1]!, batch!))).toHaveLength(1);
  });

  it('an acknowledgement of f validators by weight is not enough', () => {
    // F = 3 of 10: the author has 1, the two others together 2.
    const { fixture } = leading([1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    const author = fixture.others[0]!;
    const lane = fixture.lane(author, 1);
    fixture.acknowledge(fixture.others[1]!, lane[0]!);
    fixture.acknowledge(fixture.others[2]!, lane[0]!);
    fixture.acknowledge(author, lane[0]!); // its author counts once
    expect(sentProposals(fixture.take())).toEqual([]);
    expect(sentProposals(fixture.acknowledge(fixture.others[3]!, lane[0]!))).toHaveLength(1);
  });

  it('an acknowledgement of a lane that there is not is left out, and the others beside it count', () => {
    const { fixture } = leading();
    const [batch] = fixture.lane(fixture.others[0]!, 1);
    const { author, seq, digest } = batch!.ref;
    const acknowledgements = [9, author].map((lane) => ({ author: lane, seq, digest }));
    const outputs = fixture.step({ type: 'acknowledged', from: fixture.others[1]!, acknowledgements });
    expect(sentProposals(outputs).map(({ block }) => block.refs)).toEqual([[batch!.ref]]);
  });

  it('an acknowledgement of another branch of a lane counts for nothing', () => {
    const { fixture } = leading();
    const author = fixture.others[0]!;
    const [batch] = fixture.lane(author, 1);
    const branch = fixture.batch(author, 0, undefined, 1);
    expect(sentProposals(fixture.acknowledge(fixture.others[1]!, branch))).toEqual([]);
    expect(sentProposals(fixture.acknowledge(fixture.others[1]!, batch!))).toHaveLength(1);
  });

  it('an acknowledgement of less than one before takes nothing back', () => {
    // F = 3 of 10: four hold a batch, its author counted.
    const { fixture } = leading([1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    const [author, first, second, third] = fixture.others as [number, number, number, number];
    const lane = fixture.lane(author, 2);
    fixture.acknowledge(first, lane[1]!);
    fixture.acknowledge(first, lane[0]!);
    fixture.acknowledge(second, lane[1]!);
    const [proposal] = sentProposals(fixture.acknowledge(third, lane[1]!));
    expect(proposal!.block.refs).toHaveLength(2);
  });

  it('does not order what lies behind a gap', () => {
    const { fixture } = leading();
    const author = fixture.others[0]!;
    const first = fixture.batch(author, 0);
    const second = fixture.batch(author, 1, first);
    fixture.step({ type: 'batchStored', batch: second });
    fixture.acknowledge(fixture.others[1]!, second);
    const [proposal] = sentProposals(fixture.after(1_000));
    expect(proposal!.block.refs).toEqual([]);
  });

  it('does not order again what the parent orders', () => {
    const fixture = new Fixture({ leaderOf: 2 }).start();
    const lane = fixture.lane(fixture.others[0]!, 2);
    fixture.notarized({ view: 1, refs: [lane[0]!.ref] });
    fixture.acknowledge(fixture.others[1]!, lane[1]!);
    const refs = sentProposals(fixture.take()).flatMap(({ block }) => block.refs);
    expect(refs).toEqual([lane[1]!.ref]);
  });

  it('orders a batch that nobody acknowledged once it is older than the delay of the network', () => {
    const { fixture } = leading([1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    fixture.lane(fixture.others[0]!, 1);
    expect(sentProposals(fixture.after(fixture.core.status.delayMs - 1))).toEqual([]);
    expect(sentProposals(fixture.after(1))[0]!.block.refs).toHaveLength(1);
  });

  it('and one that was stored twice: its author has forked nothing', () => {
    const { fixture } = leading([1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    for (let i = 0; i < 2; i++) fixture.lane(fixture.others[0]!, 1);
    expect(sentProposals(fixture.after(fixture.core.status.delayMs))[0]!.block.refs).toHaveLength(1);
  });

  it('takes no unacknowledged batch of an author that forks its lane (R5)', () => {
    const { fixture } = leading([1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    const author = fixture.others[0]!;
    fixture.step({ type: 'batchStored', batch: fixture.batch(author, 0) });
    fixture.step({ type: 'batchStored', batch: fixture.batch(author, 0, undefined, 1) });
    expect(sentProposals(fixture.after(1_000))[0]!.block.refs).toEqual([]);
  });

  it('never orders more of a lane than its limit in one block', () => {
    const { fixture } = leading();
    const author = fixture.others[0]!;
    const lane = fixture.lane(author, MAX_UNORDERED_BATCHES_PER_LANE + 10);
    const outputs = fixture.acknowledge(fixture.others[1]!, lane.at(-1)!);
    expect(sentProposals(outputs)[0]!.block.refs).toHaveLength(MAX_UNORDERED_BATCHES_PER_LANE);
  });

  it('with a timestamp that is never before the parent, whatever the clock says', () => {
    const fixture = new Fixture({ leaderOf: 2 }).start();
    fixture.notarized({ view: 1, header: { timestampMs: fixture.nowMs + 400 } });
    fixture.lane(fixture.self!, 1);
    fixture.acknowledge(fixture.others[0]!, fixture.batch(fixture.self!, 0));
    const [proposal] = sentProposals(fixture.take());
    expect(proposal!.block.header.timestampMs).toBe(fixture.nowMs + 400);
  });
});

describe('R18: idle', () => {
  it('a leader with nothing to order waits for the heartbeat, then proposes an empty block', () => {
    const fixture = new Fixture({ leaderOf: 1 }).start();
    expect(sentProposals(fixture.after(999))).toEqual([]);
    expect(ofType(fixture.take(), 'wakeAt').at(-1)!.atMs).toBe(fixture.nowMs + 1);
    expect(sentProposals(fixture.after(1))[0]!.block.refs).toEqual([]);
  });

  it('a follower grants it that wait, and 2D to propose', () => {
    const fixture = new Fixture({ options: { inactiveAfterMs: 60_000 } }).start();
    expect(sentVotes(fixture.after(1_000 + 2 * 250 - 1))).toEqual([]);
    expect(sentVotes(fixture.after(1), VoteKind.nullify)).toHaveLength(1);
  });

  it('a follower that holds an old unordered batch does not grant it', () => {
    const fixture = new Fixture({ options: { inactiveAfterMs: 60_000 } }).start();
    fixture.lane(fixture.others[0]!, 1);
    // Old after D, then 2D for the leader.
    expect(sentVotes(fixture.after(3 * 250 - 1))).toEqual([]);
    expect(sentVotes(fixture.after(1), VoteKind.nullify)).toHaveLength(1);
  });
});

describe('R19: freshness', () => {
  it('a node that starts again does not propose on what it remembers, only on a certificate since the start', () => {
    const fixture = new Fixture({ leaderOf: 2 }).start();
    const first = fixture.notarized({ view: 1 });
    fixture.restart();
    expect(fixture.core.status).toMatchObject({ view: 2, sawHead: false });
    fixture.take();
    expect(sentProposals(fixture.after(1_200))).toEqual([]);
    fixture.sendCertificate(fixture.certificate(VoteKind.notarize, 1, first));
    expect(fixture.core.status.sawHead).toBe(true);
    expect(sentProposals(fixture.take())).toHaveLength(1);
  });

  it('a set that starts again as a whole nullifies its first view, and that certificate is fresh', () => {
    const fixture = new Fixture({ leaderOf: 3 }).start();
    fixture.notarized({ view: 1 });
    fixture.restart();
    expect(sentVotes(fixture.after(5_000), VoteKind.nullify).map(({ view }) => view)).toEqual([2]);
    for (const signer of fixture.others) fixture.sendVote(signer, VoteKind.nullify, 2);
    expect(fixture.core.status).toMatchObject({ view: 3, sawHead: true });
    expect(sentProposals(fixture.after(1_000)).map(({ block }) => block.header.view)).toEqual([3]);
  });

  it('a new network starts without any certificate', () => {
    const fixture = new Fixture({ leaderOf: 1 }).start();
    expect(sentProposals(fixture.after(1_000))).toHaveLength(1);
  });
});
