/** R11: what a validator notarizes, and every reason not to. */

import { type BlockHeader, SkipCertificates, signersOf, toHex, VoteKind } from '@squad/types';
import { describe, expect, it } from 'vitest';
import { forgedSignature } from '../sim/mock-scheme.ts';
import { Fixture, hashOf, ofType, type ProposalParts, sentVotes } from './harness.ts';

/** A node that has seen view 1 notarized and stands in view 2. */
function inViewTwo(): { fixture: Fixture; first: ReturnType<Fixture['notarized']> } {
  const fixture = new Fixture().start();
  const first = fixture.notarized({ view: 1 });
  fixture.take();
  return { fixture, first };
}

describe('a proposal that is right', () => {
  it('is notarized once, the block and the vote persisted before the vote is sent', () => {
    const { fixture, first } = inViewTwo();
    const proposal = fixture.proposal({ view: 2, parent: first });
    const outputs = fixture.sendProposal(proposal);
    expect(sentVotes(outputs).map(({ kind, view, blockHash }) => [kind, view, toHex(blockHash)])).toEqual([
      [VoteKind.notarize, 2, hashOf(proposal.block)],
    ]);
    const steps = outputs.map((output) => (output.type === 'persist' ? output.record.type : output.type));
    expect(steps.indexOf('block')).toBeGreaterThanOrEqual(0);
    expect(steps.indexOf('vote')).toBeLessThan(steps.indexOf('send'));
    expect(sentVotes(fixture.sendProposal(proposal))).toEqual([]);
  });

  it('on an older parent is notarized if every skipped view is nullified', () => {
    const fixture = new Fixture().start();
    const skips = [fixture.nullified(1), fixture.nullified(2)];
    const outputs = fixture.sendProposal(fixture.proposal({ view: 3, skips }));
    const expected = fixture.self === fixture.leaderAt(3) ? 0 : 1;
    expect(sentVotes(outputs, VoteKind.notarize)).toHaveLength(expected);
  });

  it('for the next view waits until that view is entered', () => {
    const fixture = new Fixture().start();
    const first = fixture.proposal({ view: 1 });
    fixture.sendProposal(first);
    const certificate = fixture.certificate(VoteKind.notarize, 1, first.block);
    // The proposal itself carries the certificate by which view 2 is entered.
    const outputs = fixture.sendProposal(
      fixture.proposal({ view: 2, parent: first.block, parentCertificate: certificate }),
    );
    expect(ofType(outputs, 'enteredView').map(({ view }) => view)).toEqual([2]);
    expect(sentVotes(outputs, VoteKind.notarize).map(({ view }) => view)).toEqual([2]);
  });
});

describe('a proposal that is wrong ends the view at once, without a NOTARIZE, and its leader is named', () => {
  type Case = readonly [name: string, reason: RegExp, parts: (fixture: Fixture) => Partial<ProposalParts>];
  const header = (change: Partial<BlockHeader>) => () => ({ header: change });
  const cases: Case[] = [
    ['version', /version/, header({ version: 2 })],
    ['another network', /another network/, header({ networkId: new Uint8Array(32) })],
    ['a parent view that is not lower', /parent view/, header({ parentView: 2 })],
    [
      'a next validator set too early',
      /next validator set/,
      header({ nextValidatorSetHash: new Uint8Array(32).fill(1) }),
    ],
    ['a wrong refs root', /refs root/, header({ refsRoot: new Uint8Array(32) })],
    ['a wrong skips root', /skips root/, header({ skipsRoot: new Uint8Array(32) })],
    ['a parent hash that the certificate is not for', /parent certificate/, header({ parentHash: new Uint8Array(32) })],
    ['a skip certificate too many', /nullifications for the/, (f) => ({ skips: [f.certificate(VoteKind.nullify, 1)] })],
    ['a wrong height', /height/, header({ height: 7 })],
    ['a timestamp before its parent', /older than its parent/, header({ timestampMs: 1 })],
    ['an L1 anchor nobody follows', /L1 anchor/, header({ l1AnchorNumber: 5 })],
    ['a gap in a lane', /goes on with 1, not with 0/, (f) => ({ refs: [f.batch(0, 1).ref] })],
    ['a ref twice', /goes on with 0, not with 1/, (f) => ({ refs: [f.batch(0, 0).ref, f.batch(0, 0).ref] })],
    ['an unknown lane', /validator 9/, (f) => ({ refs: [{ ...f.batch(0, 0).ref, author: 9 }] })],
    ['lanes out of the order of the view', /out of order/, (f) => ({ refs: [f.batch(1, 0).ref, f.batch(2, 0).ref] })],
  ];

  it.each(cases)('%s', (_name, reason, parts) => {
    const { fixture, first } = inViewTwo();
    const outputs = fixture.sendProposal(fixture.proposal({ view: 2, parent: first, ...parts(fixture) }));
    expect(sentVotes(outputs).map(({ kind, view }) => [kind, view])).toEqual([[VoteKind.nullify, 2]]);
    expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([fixture.leaderAt(2)]);
    expect(ofType(outputs, 'misbehaved')[0]!.reason).toMatch(reason);
  });

  it('another validator in the header as its leader', () => {
    const { fixture, first } = inViewTwo();
    const proposal = fixture.proposal({ view: 2, parent: first, header: { leader: fixture.self! } });
    const outputs = fixture.sendProposal(proposal, fixture.leaderAt(2));
    expect(sentVotes(outputs, VoteKind.notarize)).toEqual([]);
    expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([fixture.leaderAt(2)]);
  });

  it('a missing nullification of a skipped view', () => {
    const fixture = new Fixture().start();
    const skip = fixture.nullified(1);
    const { block } = fixture.proposal({ view: 2 });
    const outputs = fixture.sendProposal(fixture.proposal({ view: 2, skips: [] }));
    expect(ofType(outputs, 'misbehaved')[0]!.reason).toMatch(/0 nullifications for the 1 views/);
    expect(sentVotes(outputs, VoteKind.notarize)).toEqual([]);
    expect(block.header.skipsRoot).toEqual(SkipCertificates.hashTreeRoot([]));
    expect(skip.view).toBe(1);
  });

  it('a nullification of another view in its place', () => {
    const fixture = new Fixture().start();
    fixture.nullified(1);
    const outputs = fixture.sendProposal(
      fixture.proposal({ view: 2, skips: [fixture.certificate(VoteKind.nullify, 3)] }),
    );
    expect(ofType(outputs, 'misbehaved')[0]!.reason).toMatch(/view 1 is not nullified/);
    expect(sentVotes(outputs, VoteKind.notarize)).toEqual([]);
  });

  it('a skip certificate that is no quorum', () => {
    const fixture = new Fixture().start();
    fixture.nullified(1);
    fixture.nullified(2);
    fixture.take();
    const weak = fixture.certificate(VoteKind.nullify, 1, undefined, [0, 1]);
    const fresh = new Fixture().start();
    const outputs = fresh.sendProposal(fresh.proposal({ view: 2, skips: [weak] }));
    expect(sentVotes(outputs, VoteKind.notarize)).toEqual([]);
    expect(fresh.core.status.view).toBe(1);
  });

  it('a batch that is ordered already in the ancestry', () => {
    const fixture = new Fixture().start();
    const [batch] = fixture.lane(0, 1);
    const first = fixture.notarized({ view: 1, refs: [batch!.ref] });
    const outputs = fixture.sendProposal(fixture.proposal({ view: 2, parent: first, refs: [batch!.ref] }));
    expect(ofType(outputs, 'misbehaved')[0]!.reason).toMatch(/goes on with 0, not with 1/);
  });

  it('a batch that does not follow the one ordered before it', () => {
    const { fixture, first } = inViewTwo();
    const lane = [fixture.batch(0, 0), fixture.batch(0, 1, fixture.batch(0, 0, undefined, 5))];
    for (const batch of lane) fixture.step({ type: 'batchStored', batch });
    const outputs = fixture.sendProposal(
      fixture.proposal({ view: 2, parent: first, refs: lane.map(({ ref }) => ref) }),
    );
    expect(ofType(outputs, 'misbehaved')[0]!.reason).toMatch(/does not follow/);
    expect(sentVotes(outputs, VoteKind.notarize)).toEqual([]);
  });

  it('a batch of another rollup than its ref says', () => {
    const { fixture, first } = inViewTwo();
    const [batch] = fixture.lane(0, 1);
    const outputs = fixture.sendProposal(
      fixture.proposal({ view: 2, parent: first, refs: [{ ...batch!.ref, rollupId: 2 }] }),
    );
    expect(ofType(outputs, 'misbehaved')[0]!.reason).toMatch(/is of another rollup/);
    expect(sentVotes(outputs).map(({ kind }) => kind)).toEqual([VoteKind.nullify]);
  });

  it('a parent below the final block: it is not asked for', () => {
    const { fixture, first } = inViewTwo();
    const second = fixture.notarized({ view: 2, parent: first });
    fixture.sendCertificate(fixture.certificate(VoteKind.finalize, 2, second));
    // It takes more than F to nullify a view that is final.
    const skips = [fixture.certificate(VoteKind.nullify, 2)];
    const outputs = fixture.sendProposal(fixture.proposal({ view: 3, parent: first, skips }));
    expect(ofType(outputs, 'misbehaved')[0]!.reason).toMatch(/forks off below the final block/);
    expect(sentVotes(outputs).map(({ kind, view }) => [kind, view])).toEqual([[VoteKind.nullify, 3]]);
    expect(ofType(outputs, 'fetchBlock')).toEqual([]);
  });

  it('a proposal from a validator that does not lead the view is not looked at', () => {
    const { fixture, first } = inViewTwo();
    const impostor = fixture.others.find((i) => i !== fixture.leaderAt(2))!;
    const outputs = fixture.sendProposal(fixture.proposal({ view: 2, parent: first }), impostor);
    expect(sentVotes(outputs)).toEqual([]);
    expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([impostor]);
  });
});

describe('a proposal that its leader signed badly', () => {
  it('is found out when the votes are summed, and certified without that vote', () => {
    const fixture = new Fixture({ observer: true }).start();
    const leader = fixture.leaderAt(1);
    const [signer, ...rest] = fixture.all.filter((i) => i !== leader);
    const { block, ...proposal } = fixture.proposal({ view: 1, signer: signer! });
    fixture.sendProposal({ block, ...proposal });
    for (const other of rest) fixture.sendVote(other, VoteKind.notarize, 1, block);
    expect(ofType(fixture.take(), 'misbehaved').map(({ peer }) => peer)).toEqual([leader]);
    expect(fixture.core.status.view).toBe(1);
    const outputs = fixture.sendVote(signer!, VoteKind.notarize, 1, block);
    const [soft] = ofType(outputs, 'soft');
    expect(signersOf(soft!.certificate)).toEqual([signer!, ...rest].sort());
  });
});

describe('what a proposal carries must be genuine even where the same is held', () => {
  it('a nullification with another signature than the one held: the header commits to it (E4)', () => {
    const fixture = new Fixture().start();
    const skip = { ...fixture.nullified(1), signature: forgedSignature(1, true) };
    fixture.take();
    const outputs = fixture.sendProposal(fixture.proposal({ view: 2, skips: [skip] }));
    expect(sentVotes(outputs, VoteKind.notarize)).toEqual([]);
    expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([fixture.leaderAt(2)]);
  });

  it('another valid nullification of the same view is as good as the one held', () => {
    const fixture = new Fixture().start();
    fixture.nullified(1);
    const skip = fixture.certificate(VoteKind.nullify, 1, undefined, [1, 2, 3]);
    const outputs = fixture.sendProposal(fixture.proposal({ view: 2, skips: [skip] }));
    expect(sentVotes(outputs, VoteKind.notarize)).toHaveLength(1);
  });

  it('the finalization of a block that is not the one whose finalization is held', () => {
    const fixture = new Fixture().start();
    const one = fixture.proposal({ view: 1 });
    const two = fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + 1 } });
    fixture.sendProposal(two);
    // View 1 is final with a block that is not known here; the other one of its leader is.
    fixture.sendCertificate(fixture.certificate(VoteKind.finalize, 1, one.block));
    const parentCertificate = {
      ...fixture.certificate(VoteKind.finalize, 1, two.block),
      signature: forgedSignature(2, true),
    };
    fixture.take();
    const outputs = fixture.sendProposal(fixture.proposal({ view: 2, parent: two.block, parentCertificate }));
    expect(sentVotes(outputs, VoteKind.notarize)).toEqual([]);
  });
});

describe('a proposal that cannot be judged yet', () => {
  it('with a timestamp up to 500 ms ahead is notarized; one further ahead waits until it is not', () => {
    const near = inViewTwo();
    const timely = near.fixture.proposal({
      view: 2,
      parent: near.first,
      header: { timestampMs: near.fixture.nowMs + 500 },
    });
    expect(sentVotes(near.fixture.sendProposal(timely), VoteKind.notarize)).toHaveLength(1);

    const far = inViewTwo();
    const timestampMs = far.fixture.nowMs + 501;
    const outputs = far.fixture.sendProposal(
      far.fixture.proposal({ view: 2, parent: far.first, header: { timestampMs } }),
    );
    expect(sentVotes(outputs)).toEqual([]);
    expect(ofType(outputs, 'misbehaved')).toEqual([]);
    expect(ofType(outputs, 'wakeAt').at(-1)!.atMs).toBe(far.fixture.nowMs + 1);
    expect(sentVotes(far.fixture.after(1), VoteKind.notarize)).toHaveLength(1);
  });

  it('for want of a batch: fetched after a while from the leader and the author first, then notarized when it is stored', () => {
    const { fixture, first } = inViewTwo();
    const author = fixture.others.find((i) => i !== fixture.leaderAt(2))!;
    const missing = fixture.batch(author, 0);
    const outputs = fixture.sendProposal(fixture.proposal({ view: 2, parent: first, refs: [missing.ref] }));
    expect(sentVotes(outputs)).toEqual([]);
    // The body may still be on its way: it is asked for after a quarter of D.
    expect(ofType(outputs, 'fetchBatches')).toEqual([]);
    const wakeAtMs = ofType(outputs, 'wakeAt').at(-1)!.atMs;
    expect(ofType(fixture.after(wakeAtMs - fixture.nowMs), 'fetchBatches')).toEqual([
      { type: 'fetchBatches', refs: [missing.ref], holders: [fixture.leaderAt(2), author] },
    ]);
    expect(sentVotes(fixture.step({ type: 'batchStored', batch: missing }), VoteKind.notarize)).toHaveLength(1);
  });

  it('for want of its parent: the certificate is enough to ask for the block, and to judge it when it comes', () => {
    const fixture = new Fixture().start();
    const first = fixture.proposal({ view: 1 }).block;
    const outputs = [
      ...fixture.sendCertificate(fixture.certificate(VoteKind.notarize, 1, first)),
      ...fixture.sendProposal(fixture.proposal({ view: 2, parent: first })),
    ];
    expect(ofType(outputs, 'fetchBlock').map(({ hash }) => toHex(hash))).toContain(hashOf(first));
    expect(sentVotes(outputs, VoteKind.notarize)).toEqual([]);
    const fetched = fixture.step({ type: 'blockFetched', from: fixture.others[0]!, block: first });
    expect(sentVotes(fetched, VoteKind.notarize).map(({ view }) => view)).toEqual([2]);
  });

  it('by a node more than 64 blocks behind in bodies is not notarized (R21)', () => {
    const fixture = new Fixture().start();
    let parent = fixture.genesis;
    for (let view = 1; view <= 65; view++) {
      const { block } = fixture.proposal({ view, parent });
      fixture.step({ type: 'blockFetched', from: fixture.others[0]!, block });
      parent = block;
    }
    fixture.sendCertificate(fixture.certificate(VoteKind.finalize, 65, parent));
    expect(fixture.core.status.finalHeight).toBe(65);
    const next = fixture.all.length === 4 && fixture.leaderAt(66) === fixture.self ? 67 : 66;
    const skips = next === 67 ? [fixture.nullified(66)] : [];
    const proposal = fixture.proposal({
      view: next,
      parent,
      skips,
      parentCertificate: fixture.certificate(VoteKind.finalize, 65, parent),
    });
    expect(sentVotes(fixture.sendProposal(proposal), VoteKind.notarize)).toEqual([]);
    const outputs = fixture.step({ type: 'bodiesComplete', height: 1 });
    expect(sentVotes(outputs, VoteKind.notarize)).toHaveLength(1);
  });
});
