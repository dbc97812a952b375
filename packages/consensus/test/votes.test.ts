/** R12 to R14, R16 and section 5: votes, certificates, and what a signer never does. */

import { signersOf, toHex, VoteKind } from '@squad/types';
import { describe, expect, it } from 'vitest';
import { forgedSignature } from '../sim/mock-scheme.ts';
import { Fixture, hashOf, ofType, sentCertificates, sentProposals, sentVotes } from './harness.ts';

const { notarize, nullify, finalize } = VoteKind;

describe('R12: on a notarization', () => {
  it('takes in the first of a view only: a second one, which takes more than F, is relayed by nobody', () => {
    const fixture = new Fixture({ observer: true }).start();
    const first = fixture.notarized({ view: 1 });
    const other = fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + 1 } }).block;
    fixture.take();
    const rival = fixture.certificate(VoteKind.notarize, 1, other);
    for (let i = 0; i < 3; i++) fixture.sendCertificate(rival);
    fixture.after(1_000);
    expect(new Set(sentCertificates(fixture.take()).map(({ blockHash }) => toHex(blockHash)))).toEqual(
      new Set([hashOf(first)]),
    );
    expect(fixture.sendCertificate(fixture.certificate(VoteKind.notarize, 1, first))).not.toContainEqual(
      expect.objectContaining({ type: 'persist' }),
    );
  });

  it('enters the next view, announces the block as soft and votes FINALIZE', () => {
    const fixture = new Fixture().start();
    const { block, ...rest } = fixture.proposal({ view: 1 });
    fixture.sendProposal({ block, ...rest });
    for (const signer of fixture.others) fixture.sendVote(signer, notarize, 1, block);
    const outputs = fixture.take();
    expect(ofType(outputs, 'soft').map((soft) => hashOf(soft.block))).toEqual([hashOf(block)]);
    expect(sentVotes(outputs, finalize).map((vote) => toHex(vote.blockHash))).toEqual([hashOf(block)]);
    expect(fixture.core.status.view).toBe(2);
  });

  it('votes FINALIZE without any data of the block', () => {
    const fixture = new Fixture().start();
    const { block } = fixture.proposal({ view: 1, refs: [fixture.batch(0, 0).ref] });
    const outputs = fixture.sendCertificate(fixture.certificate(notarize, 1, block));
    expect(sentVotes(outputs, finalize)).toHaveLength(1);
    expect(ofType(outputs, 'soft')).toEqual([]);
  });

  it('does not vote FINALIZE if it has nullified the view', () => {
    const fixture = new Fixture().start();
    const { block } = fixture.proposal({ view: 1 });
    expect(sentVotes(fixture.after(10_000), nullify)).toHaveLength(1);
    expect(sentVotes(fixture.sendCertificate(fixture.certificate(notarize, 1, block)), finalize)).toEqual([]);
    expect(fixture.core.status.view).toBe(2);
  });

  it('does not vote FINALIZE if it has notarized another block in the view', () => {
    const fixture = new Fixture().start();
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    const other = fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + 1 } }).block;
    const outputs = fixture.sendCertificate(fixture.certificate(notarize, 1, other, [0, 1, 2]));
    expect(sentVotes(outputs, finalize)).toEqual([]);
  });

  it('announces ancestors whose block came later before the block itself', () => {
    const fixture = new Fixture().start();
    const first = fixture.proposal({ view: 1 }).block;
    fixture.sendCertificate(fixture.certificate(notarize, 1, first));
    const second = fixture.proposal({ view: 2, parent: first }).block;
    fixture.sendCertificate(fixture.certificate(notarize, 2, second));
    fixture.take();
    fixture.step({ type: 'blockFetched', from: fixture.others[0]!, block: second });
    fixture.step({ type: 'blockFetched', from: fixture.others[0]!, block: first });
    expect(ofType(fixture.take(), 'soft').map(({ block }) => block.header.view)).toEqual([1, 2]);
  });
});

describe('R13: NULLIFY', () => {
  it('when the view times out after the proposal, and again on every retry', () => {
    const fixture = new Fixture().start();
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    expect(sentVotes(fixture.after(749), nullify)).toEqual([]);
    expect(sentVotes(fixture.after(1), nullify)).toHaveLength(1);
    fixture.take();
    for (let i = 0; i < 10; i++) fixture.after(500);
    const again = sentVotes(fixture.take(), nullify);
    expect(again.length).toBeGreaterThanOrEqual(5);
    expect(new Set(again.map(({ view }) => view))).toEqual(new Set([1]));
  });

  it('never after FINALIZE of the view', () => {
    const fixture = new Fixture().start();
    fixture.notarized({ view: 1 });
    fixture.take();
    for (let i = 0; i < 20; i++) fixture.after(500);
    expect(sentVotes(fixture.take(), nullify).map(({ view }) => view)).not.toContain(1);
  });

  it("at once on the leader's own nullify, not on another's", () => {
    const fixture = new Fixture().start();
    const bystander = fixture.others.find((i) => i !== fixture.leaderAt(1))!;
    expect(sentVotes(fixture.sendVote(bystander, nullify, 1))).toEqual([]);
    expect(sentVotes(fixture.sendVote(fixture.leaderAt(1), nullify, 1), nullify)).toHaveLength(1);
  });

  it('only for the current view', () => {
    const fixture = new Fixture().start();
    fixture.sendVote(fixture.leaderAt(2), nullify, 2);
    expect(sentVotes(fixture.take(), nullify)).toEqual([]);
    fixture.nullified(3);
    fixture.take();
    fixture.after(20_000);
    expect(sentVotes(fixture.take(), nullify).map(({ view }) => view)).toEqual(expect.not.arrayContaining([1, 2, 3]));
  });
});

describe('R14: on a nullification', () => {
  it('stores it, relays it, enters the next view and keeps a notarization that is held', () => {
    const fixture = new Fixture().start();
    const block = fixture.notarized({ view: 1 });
    const outputs = fixture.sendCertificate(fixture.certificate(nullify, 1));
    expect(sentCertificates(outputs, nullify)).toHaveLength(1);
    expect(ofType(outputs, 'persist').map(({ record }) => record.type)).toContain('certificate');
    const kinds = fixture.core.checkpoint().certificates.map(({ kind, view }) => [kind, view]);
    expect(kinds).toEqual([
      [notarize, 1],
      [nullify, 1],
    ]);
    expect(fixture.core.block(hashOf(block) as `0x${string}`)).toBeDefined();
  });
});

describe('R16: the signer, before and after a restart', () => {
  /** All votes that ever became visible in the run, by view and kind. */
  function visible(fixture: Fixture): Map<string, Set<string>> {
    const out = new Map<string, Set<string>>();
    for (const vote of sentVotes(fixture.take())) {
      const key = `${vote.view}/${vote.kind}`;
      out.set(key, (out.get(key) ?? new Set()).add(toHex(vote.blockHash)));
    }
    return out;
  }

  it('does not notarize a second block in a view', () => {
    const fixture = new Fixture().start();
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    fixture.sendProposal(fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + 1 } }));
    expect(visible(fixture).get('1/1')?.size).toBe(1);
  });

  it('does not notarize a second block in a view after a restart', () => {
    const fixture = new Fixture().start();
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    fixture.restart();
    fixture.sendProposal(fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + 1 } }));
    expect(visible(fixture).get('1/1')?.size).toBe(1);
  });

  it('does not notarize in a view that it nullified before a restart', () => {
    const fixture = new Fixture().start();
    fixture.after(10_000);
    fixture.restart();
    fixture.take();
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    expect(visible(fixture).has('1/1')).toBe(false);
  });

  it('does not finalize a view that it nullified before a restart, nor the other way round', () => {
    const nullified = new Fixture().start();
    nullified.after(10_000);
    nullified.restart();
    nullified.notarized({ view: 1 });
    expect(visible(nullified).has('1/3')).toBe(false);

    const finalized = new Fixture().start();
    const { block } = finalized.proposal({ view: 1 });
    finalized.sendCertificate(finalized.certificate(notarize, 1, block));
    // What survives is the FINALIZE alone: the node comes back in view 1.
    finalized.records = finalized.records.filter((record) => record.type === 'vote');
    finalized.restart();
    finalized.take();
    expect(finalized.core.status.view).toBe(1);
    for (let i = 0; i < 20; i++) finalized.after(1_000);
    expect(visible(finalized).has('1/2')).toBe(false);
  });

  it('may still nullify the view that it had notarized in before a restart', () => {
    const fixture = new Fixture().start();
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    fixture.restart();
    fixture.take();
    fixture.after(10_000);
    expect(visible(fixture).has('1/2')).toBe(true);
  });

  it.each([undefined, 2])(
    'votes in no view up to the highest one it voted in before a restart (leader of %s)',
    (leaderOf) => {
      const fixture = new Fixture(leaderOf === undefined ? {} : { leaderOf }).start();
      fixture.sendCertificate(fixture.certificate(notarize, 3, fixture.proposal({ view: 3 }).block));
      // What survives is the FINALIZE of view 3 alone: the node comes back in view 1.
      fixture.records = fixture.records.filter((record) => record.type === 'vote');
      fixture.restart();
      fixture.take();
      const skips = [];
      for (const view of [1, 2, 3]) {
        if (fixture.leaderAt(view) !== fixture.self) fixture.sendProposal(fixture.proposal({ view, skips }));
        fixture.after(1_100);
        skips.push(fixture.nullified(view));
      }
      const outputs = fixture.take();
      expect([sentProposals(outputs), sentVotes(outputs, notarize)]).toEqual([[], []]);
      if (fixture.leaderAt(4) !== fixture.self) fixture.sendProposal(fixture.proposal({ view: 4, skips }));
      else fixture.after(1_100);
      const after = fixture.take();
      expect(sentVotes(after, notarize).length + sentProposals(after).length).toBe(1);
    },
  );

  it('does not name itself for a vote of before a restart that its key did not sign, and goes on without it', () => {
    const fixture = new Fixture().start();
    fixture.after(10_000);
    fixture.records = fixture.records.map((record) =>
      record.type === 'vote' ? { ...record, vote: { ...record.vote, signature: forgedSignature(1, true) } } : record,
    );
    fixture.restart();
    fixture.take();
    const [a, b, c] = fixture.others;
    for (const signer of [a!, b!]) fixture.sendVote(signer, nullify, 1);
    expect(fixture.core.status.view).toBe(1);
    expect(signersOf(sentCertificates(fixture.sendVote(c!, nullify, 1), nullify)[0]!)).toEqual(fixture.others);
    expect(ofType(fixture.take(), 'misbehaved')).toEqual([]);
  });

  it('counts its own vote of before a restart: the others need it for a quorum', () => {
    const fixture = new Fixture().start();
    fixture.after(10_000);
    fixture.restart();
    const [a, b] = fixture.others;
    fixture.sendVote(a!, nullify, 1);
    fixture.sendVote(b!, nullify, 1);
    expect(fixture.core.status.view).toBe(2);
  });

  it('remembers through a checkpoint', () => {
    const fixture = new Fixture().start();
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    fixture.records = [{ type: 'checkpoint', checkpoint: fixture.core.checkpoint() }];
    fixture.restart();
    fixture.sendProposal(fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + 1 } }));
    expect(visible(fixture).get('1/1')?.size).toBe(1);
  });

  it('an observer follows and never votes', () => {
    const fixture = new Fixture({ observer: true }).start();
    const block = fixture.notarized({ view: 1 });
    fixture.after(10_000);
    fixture.sendCertificate(fixture.certificate(finalize, 1, block));
    const outputs = fixture.take();
    expect(sentVotes(outputs)).toEqual([]);
    expect(ofType(outputs, 'final')).toHaveLength(1);
    expect(fixture.scheme.counts.sign).toBe(0);
  });
});

describe('section 5: counting votes', () => {
  it('makes a certificate at quorum weight, with one verification', () => {
    const fixture = new Fixture().start();
    const before = fixture.scheme.counts.verify;
    const [a, b, c] = fixture.others;
    fixture.sendVote(a!, nullify, 1);
    fixture.sendVote(b!, nullify, 1);
    expect(fixture.scheme.counts.verify).toBe(before);
    const outputs = fixture.sendVote(c!, nullify, 1);
    expect(sentCertificates(outputs, nullify)).toHaveLength(1);
    expect(fixture.scheme.counts.verify).toBe(before + 1);
  });

  it('the quorum is W - F: four of five, not three', () => {
    const fixture = new Fixture({ weights: [1, 1, 1, 1, 1] }).start();
    const [a, b, c, d] = fixture.others;
    for (const signer of [a!, b!, c!]) fixture.sendVote(signer, nullify, 1);
    expect(fixture.core.status.view).toBe(1);
    fixture.sendVote(d!, nullify, 1);
    expect(fixture.core.status.view).toBe(2);
  });

  it('counts weights, not heads', () => {
    const fixture = new Fixture({ weights: [5, 1, 1, 1] }).start(); // W = 8, F = 2, quorum 6
    const small = fixture.all.filter((i) => i !== 0 && i !== fixture.self);
    for (const signer of small) fixture.sendVote(signer, nullify, 1);
    expect(fixture.core.status.view).toBe(1);
    fixture.sendVote(0, nullify, 1);
    expect(fixture.core.status.view).toBe(2);
  });

  it.each([true, false])('finds a bad signature (a point: %s), names who sent it, and goes on without it', (point) => {
    const fixture = new Fixture({ weights: [1, 1, 1, 1, 1, 1, 1] }).start(); // quorum 5
    const [bad, ...good] = fixture.others;
    fixture.sendRawVote(bad!, { ...fixture.vote(bad!, nullify, 2), signature: forgedSignature(1, point) });
    for (const signer of good.slice(0, 4)) fixture.sendVote(signer, nullify, 2);
    expect(ofType(fixture.take(), 'misbehaved').map(({ peer }) => peer)).toEqual([bad]);
    expect(fixture.core.status.view).toBe(1);
    const outputs = fixture.sendVote(good[4]!, nullify, 2);
    expect(sentCertificates(outputs, nullify)).toHaveLength(1);
  });

  it('names all if all of one block signed badly, and counts what they sign well afterwards', () => {
    const fixture = new Fixture({ weights: [1, 1, 1, 1, 1, 1, 1] }).start(); // quorum 5
    const [one, two] = [0, 1].map(
      (delayMs) => fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + delayMs } }).block,
    );
    const [other, ...bad] = fixture.others;
    fixture.sendVote(other!, notarize, 1, two);
    for (const signer of bad) {
      fixture.sendRawVote(signer, { ...fixture.vote(signer, notarize, 1, one), signature: forgedSignature(1, true) });
    }
    expect(ofType(fixture.take(), 'misbehaved').map(({ peer }) => peer)).toEqual(bad);
    expect(fixture.core.status.view).toBe(1);
    for (const signer of bad) fixture.sendVote(signer, notarize, 1, one);
    expect(fixture.core.status.view).toBe(2);
  });

  it('takes no vote of another signer over a channel', () => {
    const fixture = new Fixture().start();
    const [a, b] = fixture.others;
    const outputs = fixture.sendRawVote(a!, fixture.vote(b!, nullify, 1));
    expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([a]);
  });

  it('never verifies a certificate that is held, from whomever and however often it comes', () => {
    const fixture = new Fixture().start();
    const certificate = fixture.certificate(nullify, 1);
    fixture.sendCertificate(certificate);
    const { verify } = fixture.scheme.counts;
    for (let i = 0; i < 50; i++) fixture.sendCertificate({ ...certificate }, fixture.others[i % 3]);
    for (const signer of fixture.others) fixture.sendVote(signer, nullify, 1);
    expect(fixture.scheme.counts.verify).toBe(verify);
  });

  it('verifies no certificate of a final view, unless it convicts somebody', () => {
    const fixture = new Fixture().start();
    const block = fixture.notarized({ view: 1 });
    fixture.sendCertificate(fixture.certificate(finalize, 1, block));
    const { verify } = fixture.scheme.counts;
    fixture.sendCertificate(fixture.certificate(notarize, 1, block));
    expect(fixture.scheme.counts.verify).toBe(verify);
  });

  it('names who sends a certificate that is none', () => {
    const good = new Fixture().certificate(nullify, 1);
    const cases = [
      { ...good, signature: forgedSignature(3, true) },
      { ...good, view: 2 },
      new Fixture().certificate(nullify, 1, undefined, [0, 1]),
    ];
    for (const certificate of cases) {
      const fixture = new Fixture().start();
      // The keys of another fixture are the same, what was signed with them is not known here.
      const outputs = fixture.sendCertificate(certificate, fixture.others[1]);
      expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([fixture.others[1]]);
      expect(fixture.core.status.view).toBe(1);
    }
  });
});

describe('R23: bounds on votes', () => {
  it('ignores votes for views beyond the next one', () => {
    const fixture = new Fixture().start();
    for (const signer of fixture.others) fixture.sendVote(signer, nullify, 3);
    fixture.nullified(1);
    fixture.nullified(2);
    expect(fixture.core.status.view).toBe(3);
    const outputs = fixture.sendVote(fixture.others[0]!, nullify, 3);
    expect(sentCertificates(outputs, nullify)).toEqual([]);
  });

  it('keeps votes for the next view', () => {
    const fixture = new Fixture().start();
    for (const signer of fixture.others) fixture.sendVote(signer, nullify, 2);
    expect(fixture.core.status.view).toBe(3);
  });

  it('keeps one vote per signer and kind: a flood of blocks from one signer makes no certificate and no work', () => {
    const fixture = new Fixture().start();
    const [flooder, a, b] = fixture.others;
    const blocks = Array.from(
      { length: 200 },
      (_, i) => fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs - i } }).block,
    );
    const { verify } = fixture.scheme.counts;
    for (const block of blocks) fixture.sendVote(flooder!, notarize, 1, block);
    expect(fixture.scheme.counts.verify - verify).toBeLessThanOrEqual(2); // one pair is looked at as evidence
    for (const signer of [a!, b!]) fixture.sendVote(signer, notarize, 1, blocks[199]!);
    expect(fixture.core.status.view).toBe(1);
    expect(ofType(fixture.take(), 'evidence')).toHaveLength(1);
  });
});
