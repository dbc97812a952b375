/** Section 4: what the core finds in votes, certificates and proposals as they pass, and that it finds nothing else. */

import { type Conviction, verifyEvidence } from '@squad/crypto';
import {
  type BlockHeader,
  blockHash,
  type Certificate,
  type Evidence,
  type Proposal,
  signerBits,
  type ValidatorIndex,
  type Vote,
  VoteKind,
  ZERO_HASH,
} from '@squad/types';
import { describe, expect, it } from 'vitest';
import { forgedSignature } from '../sim/mock-scheme.ts';
import type { Output } from '../src/api.ts';
import { VOTE_WINDOW_VIEWS } from '../src/tally.ts';
import { MAX_FORGED_VOTES_LOOKED_INTO } from '../src/watch.ts';
import { Fixture, ofType } from './harness.ts';

const { notarize, nullify, finalize } = VoteKind;

function evidenceIn(outputs: readonly Output[]): Evidence[] {
  return ofType(outputs, 'evidence').map(({ evidence }) => evidence);
}

/** What the evidence proves to a stranger. */
function convictions(fixture: Fixture, outputs: readonly Output[]): Conviction[] {
  return evidenceIn(outputs).map((evidence) => {
    const judged = verifyEvidence(evidence, fixture.validatorSet, fixture.genesis.header.networkId, fixture.scheme);
    if (!judged.ok) throw new Error(judged.error.reason);
    return judged.value;
  });
}

const convicted = (kind: Conviction['kind'], validators: readonly ValidatorIndex[], view = 1) => ({
  kind,
  epoch: 0,
  validators,
  place: { view },
});

/** Two blocks of view 1. */
function rivals(fixture: Fixture) {
  const block = (delayMs: number) =>
    fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + delayMs } }).block;
  return [block(0), block(1)] as const;
}

function start(weights?: readonly number[]) {
  const fixture = new Fixture(weights ? { weights } : {}).start();
  const [one, two] = rivals(fixture);
  return { fixture, one, two, signer: fixture.others[0]! };
}

describe('two votes of one signer', () => {
  const cases: [string, 'E1' | 'E2' | 'E3', VoteKind, VoteKind][] = [
    ['two NOTARIZE', 'E1', notarize, notarize],
    ['two FINALIZE', 'E2', finalize, finalize],
    ['NULLIFY and FINALIZE', 'E3', nullify, finalize],
    ['FINALIZE and NULLIFY', 'E3', finalize, nullify],
  ];

  it.each(cases)('%s of one view are %s', (_name, kind, first, second) => {
    const { fixture, one, two, signer } = start();
    fixture.sendVote(signer, first, 1, first === nullify ? undefined : one);
    const outputs = fixture.sendVote(signer, second, 1, second === nullify ? undefined : two);
    expect(convictions(fixture, outputs)).toEqual([convicted(kind, [signer])]);
  });

  it('NOTARIZE then NULLIFY, the same vote again, and votes of two views are none', () => {
    const { fixture, one, two, signer } = start();
    fixture.sendVote(signer, notarize, 1, one);
    fixture.sendVote(signer, notarize, 1, one);
    fixture.sendVote(signer, nullify, 1);
    fixture.sendVote(signer, notarize, 2, two);
    fixture.sendVote(signer, finalize, 2, two);
    expect(evidenceIn(fixture.take())).toEqual([]);
  });

  it('are put out once for each kind, whatever follows', () => {
    const { fixture, one, two, signer } = start();
    for (const view of [1, 2]) {
      fixture.sendVote(signer, notarize, view, one);
      fixture.sendVote(signer, notarize, view, two);
    }
    expect(convictions(fixture, fixture.take())).toEqual([convicted('E1', [signer])]);
    const { verify } = fixture.scheme.counts;
    fixture.sendVote(signer, notarize, 2, two);
    expect(fixture.scheme.counts.verify).toBe(verify);
  });

  it('are found in a view that is final, and not beyond the window', () => {
    const { fixture, one, two, signer } = start();
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    fixture.sendCertificate(fixture.certificate(notarize, 1, one));
    fixture.sendCertificate(fixture.certificate(finalize, 1, one, fixture.others));
    fixture.take();
    expect(convictions(fixture, fixture.sendVote(signer, finalize, 1, two))).toEqual([convicted('E2', [signer])]);
    const last = 1 + VOTE_WINDOW_VIEWS;
    fixture.sendCertificate(fixture.certificate(nullify, last - 2));
    expect(convictions(fixture, fixture.sendVote(signer, nullify, 1))).toEqual([convicted('E3', [signer])]);
    fixture.sendCertificate(fixture.certificate(nullify, last - 1));
    expect(evidenceIn(fixture.sendVote(fixture.others[1]!, nullify, 1))).toEqual([]);
  });
});

describe('a vote that its signer did not sign', () => {
  const forge = (vote: Vote, salt = 2): Vote => ({ ...vote, signature: forgedSignature(salt, true) });

  it.each(['first', 'second'] as const)('is no evidence as the %s, and its sender is named', (which) => {
    const { fixture, one, two, signer } = start();
    const first = fixture.vote(signer, notarize, 1, one);
    const second = fixture.vote(signer, notarize, 1, two);
    fixture.sendRawVote(signer, which === 'first' ? forge(first) : first);
    const outputs = fixture.sendRawVote(signer, which === 'second' ? forge(second) : second);
    expect(evidenceIn(outputs)).toEqual([]);
    expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([signer]);
  });

  it('does not hide a genuine pair', () => {
    const { fixture, one, two, signer } = start();
    const third = fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + 2 } }).block;
    fixture.sendRawVote(signer, forge(fixture.vote(signer, notarize, 1, one)));
    fixture.sendVote(signer, notarize, 1, two);
    const outputs = fixture.sendVote(signer, notarize, 1, third);
    expect(convictions(fixture, outputs)).toEqual([convicted('E1', [signer])]);
  });

  it('costs so many verifications in a view, and no more', () => {
    const { fixture, one, signer } = start();
    fixture.sendVote(signer, notarize, 1, one);
    const { verify } = fixture.scheme.counts;
    const flood = (count: number) => {
      for (let i = 0; i < count; i++) {
        const block = fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs - 1 - i } }).block;
        fixture.sendRawVote(signer, forge(fixture.vote(signer, notarize, 1, block), i));
      }
    };
    flood(MAX_FORGED_VOTES_LOOKED_INTO);
    expect(fixture.scheme.counts.verify - verify).toBe(MAX_FORGED_VOTES_LOOKED_INTO);
    flood(50);
    expect(fixture.scheme.counts.verify - verify).toBe(MAX_FORGED_VOTES_LOOKED_INTO);
  });
});

describe('a certificate counts as a vote of all its signers', () => {
  const WEIGHTS = [1, 1, 1, 1, 1, 1, 1]; // quorum 5

  it.each(['the vote first', 'the certificate first'])('against a vote: %s', (order) => {
    const { fixture, one, two, signer } = start(WEIGHTS);
    const certificate = fixture.certificate(notarize, 1, one, fixture.others.slice(0, 5));
    const steps = [() => fixture.sendVote(signer, notarize, 1, two), () => fixture.sendCertificate(certificate)];
    for (const step of order === 'the vote first' ? steps : steps.reverse()) step();
    // One that is not among its signers may say what it likes.
    fixture.sendVote(fixture.others[5]!, notarize, 1, two);
    expect(convictions(fixture, fixture.take())).toEqual([convicted('E1', [signer])]);
  });

  const pairs: [string, 'E1' | 'E2' | 'E3', VoteKind, VoteKind][] = [
    ['two notarizations', 'E1', notarize, notarize],
    ['two finalizations', 'E2', finalize, finalize],
    ['a nullification and a finalization', 'E3', nullify, finalize],
    ['a finalization and a nullification', 'E3', finalize, nullify],
  ];

  it.each(pairs)('%s of one view convict those that are in both, at once', (_name, kind, first, second) => {
    const { fixture, one, two } = start(WEIGHTS);
    const [a, b] = [fixture.all.slice(0, 5), fixture.all.slice(2)];
    fixture.sendCertificate(fixture.certificate(first, 1, first === nullify ? undefined : one, a));
    fixture.sendCertificate(fixture.certificate(second, 1, second === nullify ? undefined : two, b));
    const own = fixture.self!;
    const found = convictions(fixture, fixture.take());
    expect(found).toContainEqual(convicted(kind, [2, 3, 4]));
    // The node itself has signed for what it saw first, and is in the other certificate: its keys are used elsewhere.
    for (const conviction of found) expect([[2, 3, 4], [own]]).toContainEqual(conviction.validators);
  });

  it('a notarization and a nullification of one view convict nobody', () => {
    const { fixture, one } = start();
    fixture.sendCertificate(fixture.certificate(notarize, 1, one, fixture.others));
    fixture.sendCertificate(fixture.certificate(nullify, 1, undefined, fixture.others));
    expect(evidenceIn(fixture.take())).toEqual([]);
  });

  it('that excludes two others convicts its signers once', () => {
    const { fixture, one, two } = start();
    for (const block of [one, two]) fixture.sendCertificate(fixture.certificate(finalize, 1, block, fixture.others));
    fixture.sendCertificate(fixture.certificate(nullify, 1, undefined, fixture.others));
    expect(convictions(fixture, fixture.take())).toEqual([
      convicted('E2', fixture.others),
      convicted('E3', fixture.others),
    ]);
  });

  it.each([
    ['in the last view of the window', VOTE_WINDOW_VIEWS, ['E3']],
    ['not beyond it', VOTE_WINDOW_VIEWS + 1, []],
  ])('%s', (_name, view, kinds) => {
    const { fixture, one } = start();
    fixture.nullified(view - 1);
    fixture.sendCertificate(fixture.certificate(nullify, 1));
    fixture.sendCertificate(fixture.certificate(finalize, 1, one));
    expect(fixture.core.status.view).toBe(view);
    expect(evidenceIn(fixture.take()).map(({ kind }) => kind)).toEqual(kinds);
  });

  it('one that is forged convicts nobody, and its sender is named', () => {
    const { fixture, one, two, signer } = start();
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    fixture.sendCertificate(fixture.certificate(notarize, 1, one));
    fixture.sendCertificate(fixture.certificate(finalize, 1, one));
    fixture.take();
    const forged: Certificate = { ...fixture.certificate(finalize, 1, two), signature: forgedSignature(1, true) };
    const outputs = fixture.sendCertificate(forged, signer);
    expect(evidenceIn(outputs)).toEqual([]);
    expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([signer]);
  });

  it('is compared after a restart with what was held before it', () => {
    const { fixture, one, two, signer } = start();
    fixture.sendCertificate(fixture.certificate(notarize, 1, one, fixture.others));
    fixture.restart();
    fixture.take();
    expect(convictions(fixture, fixture.sendVote(signer, notarize, 1, two))).toEqual([convicted('E1', [signer])]);
  });
});

describe('a leader that proposes twice', () => {
  const leads = (fixture: Fixture, view: number) => fixture.leaderAt(view);

  it('is convicted by the second proposal', () => {
    const { fixture } = start();
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    const outputs = fixture.sendProposal(fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + 1 } }));
    expect(convictions(fixture, outputs)).toEqual([convicted('E1', [leads(fixture, 1)])]);
  });

  it('is convicted by proposals that come early, and by one that comes late', () => {
    const { fixture, one } = start();
    const early = (delayMs: number): Proposal =>
      fixture.proposal({ view: 2, parent: one, header: { timestampMs: fixture.nowMs + delayMs } });
    fixture.sendProposal({ ...early(0), parentCertificate: fixture.certificate(nullify, 5) });
    fixture.sendProposal({ ...early(1), parentCertificate: fixture.certificate(nullify, 5) });
    expect(convictions(fixture, fixture.take())).toEqual([convicted('E1', [leads(fixture, 2)], 2)]);
    const other = new Fixture().start();
    other.notarized({ view: 1 });
    other.take();
    const late = other.proposal({ view: 1, header: { timestampMs: other.nowMs + 1 } });
    // From whoever may have made it up: only its leader's channel vouches for its signature.
    const stranger = other.others.find((i) => i !== other.leaderAt(1))!;
    expect(convictions(other, other.sendProposal(late, stranger))).toEqual([]);
    expect(convictions(other, other.sendProposal(late))).toEqual([convicted('E1', [leads(other, 1)])]);
  });
});

describe('a leader that proposes in the name of another validator', () => {
  it('is named itself, and the other one is neither convicted nor named', () => {
    const { fixture, one } = start();
    const [leader, next] = [fixture.leaderAt(1), fixture.leaderAt(2)];
    const victim = fixture.others.find((validator) => validator !== leader && validator !== next)!;
    fixture.sendProposal(fixture.proposal({ view: 1 }));
    fixture.sendProposal(fixture.proposal({ view: 1, header: { leader: victim }, signer: leader }));
    fixture.sendProposal(fixture.proposal({ view: 2, parent: one, header: { leader: victim }, signer: next }), next);
    fixture.sendVote(victim, notarize, 1, one);
    fixture.sendVote(victim, notarize, 2, one);
    const outputs = fixture.take();
    expect(evidenceIn(outputs)).toEqual([]);
    expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([leader, next]);
  });
});

describe('E4: a header that skips a view', () => {
  /** In view 3, on the genesis block: views 1 and 2 are nullified. */
  function inViewThree() {
    const fixture = new Fixture().start();
    const skips = [1, 2].map((view) => fixture.nullified(view));
    fixture.take();
    return { fixture, skips, leader: fixture.leaderAt(3) };
  }

  const bends: [string, (skips: Certificate[], fixture: Fixture) => Certificate[]][] = [
    ['without a nullification', () => []],
    ['with one too few', ([first]) => [first!]],
    ['with one too many', ([first, second]) => [first!, second!, second!]],
    ['with one of another view', ([first]) => [first!, first!]],
    ['with one that nobody signed', ([first, second]) => [first!, { ...second!, signature: forgedSignature(1, true) }]],
    [
      'with one below a quorum',
      ([, second], fixture) => [fixture.certificate(nullify, 1, undefined, fixture.all.slice(0, 2)), second!],
    ],
    ['with one of another epoch', ([first, second]) => [{ ...first!, epoch: 1 }, second!]],
    [
      'with a notarization for one',
      ([first], fixture) => [first!, fixture.certificate(notarize, 2, rivals(fixture)[0])],
    ],
    [
      'with one for a set of another size',
      ([first, second]) => [first!, { ...second!, signers: signerBits(5, [0, 1, 2]) }],
    ],
  ];

  it.each(bends)('%s convicts its leader', (_name, bend) => {
    const { fixture, skips, leader } = inViewThree();
    const outputs = fixture.sendProposal(fixture.proposal({ view: 3, skips: bend(skips, fixture) }));
    expect(convictions(fixture, outputs)).toEqual([convicted('E4', [leader], 3)]);
  });

  it('convicts whoever notarizes it, before or after the proposal came, by vote or certificate', () => {
    const { fixture, leader } = inViewThree();
    const proposal = fixture.proposal({ view: 3, skips: [] });
    const [a, b] = fixture.others.filter((validator) => validator !== leader);
    fixture.sendVote(a!, notarize, 3, proposal.block);
    fixture.sendProposal(proposal);
    fixture.sendVote(b!, notarize, 3, proposal.block);
    const found = convictions(fixture, fixture.take()).flatMap(({ validators }) => validators);
    expect(found.sort()).toEqual([...fixture.others].sort());
    const certificate = fixture.certificate(notarize, 3, proposal.block);
    const outputs = fixture.sendCertificate(certificate);
    expect(convictions(fixture, outputs)).toEqual([convicted('E4', fixture.all, 3)]);
  });

  it('convicts who stands only in another notarization of it than the one that is held', () => {
    const { fixture } = inViewThree();
    const proposal = fixture.proposal({ view: 3, skips: [] });
    fixture.sendProposal(proposal);
    fixture.sendCertificate(fixture.certificate(notarize, 3, proposal.block, fixture.others));
    fixture.take();
    const all = fixture.certificate(notarize, 3, proposal.block);
    expect(convictions(fixture, fixture.sendCertificate(all))).toEqual([convicted('E4', fixture.all, 3)]);
    const { verify } = fixture.scheme.counts;
    fixture.sendCertificate(all);
    expect(fixture.scheme.counts.verify).toBe(verify);
  });

  it('right, or wrong in what nobody can show, convicts nobody', () => {
    const { skips } = inViewThree();
    const headers: Partial<BlockHeader>[] = [{}, { skipsRoot: new Uint8Array(32).fill(7) }, { networkId: ZERO_HASH }];
    for (const header of headers) {
      const { fixture } = inViewThree();
      fixture.sendProposal(fixture.proposal({ view: 3, skips, header }));
      expect(evidenceIn(fixture.take())).toEqual([]);
    }
    // The first view of all skips none.
    const { fixture } = start();
    fixture.sendProposal(fixture.proposal({ view: 1, skips: [fixture.certificate(nullify, 1)] }));
    expect(evidenceIn(fixture.take())).toEqual([]);
  });

  it('is not shown by a proposal that its leader did not sign', () => {
    const { fixture } = inViewThree();
    const proposal = fixture.proposal({ view: 3, skips: [] });
    const outputs = fixture.sendProposal({ ...proposal, leaderSignature: forgedSignature(1, true) });
    expect(evidenceIn(outputs)).toEqual([]);
    expect(blockHash(proposal.block.header)).toHaveLength(32);
  });
});
