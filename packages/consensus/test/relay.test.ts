/** R12, R14, R15: each certificate is relayed once, to those who have not shown that they hold it. */

import { type Block, type Certificate, type ValidatorIndex, VoteKind } from '@squad/types';
import { describe, expect, it } from 'vitest';
import type { Output } from '../src/index.ts';
import { Fixture, sentCertificates } from './harness.ts';

const { notarize, nullify, finalize } = VoteKind;
/** Longer than any relay waits: D. */
const DELAY_MS = 250;

/** To whom certificates of a kind were sent one by one. */
function receivers(outputs: readonly Output[], kind: VoteKind): (ValidatorIndex | undefined)[] {
  return outputs.flatMap((output) => {
    const isOne = output.type === 'send' && output.message.type === 'certificate';
    return isOne && output.message.certificate.kind === kind ? [output.to] : [];
  });
}

/** The node under test, after a notarization that it formed itself of the votes of all. */
function afterNotarization(): { fixture: Fixture; block: Block } {
  const fixture = new Fixture().start();
  const proposal = fixture.proposal({ view: 1 });
  fixture.sendProposal(proposal);
  for (const signer of fixture.others) fixture.sendVote(signer, notarize, 1, proposal.block);
  return { fixture, block: proposal.block };
}

describe('relaying certificates', () => {
  it('a nullification goes to all at once', () => {
    const fixture = new Fixture().start();
    fixture.nullified(1);
    expect(receivers(fixture.take(), nullify)).toEqual([undefined]);
  });

  it('a notarization waits, and goes to those that did not vote FINALIZE for it', () => {
    const { fixture, block } = afterNotarization();
    expect(sentCertificates(fixture.take())).toEqual([]);
    const [first, ...rest] = fixture.others;
    fixture.sendVote(first!, finalize, 1, block);
    expect(receivers(fixture.after(DELAY_MS), notarize)).toEqual(rest);
    expect(receivers(fixture.after(10 * DELAY_MS), notarize)).not.toContain(first);
  });

  it('a vote for another block, or of another kind, shows nothing', () => {
    const { fixture } = afterNotarization();
    const other = fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + 1 } }).block;
    for (const signer of fixture.others) fixture.sendVote(signer, finalize, 1, other);
    expect(receivers(fixture.after(DELAY_MS), notarize)).toEqual(fixture.others);
  });

  it('a finalization goes to those that did not send one, and not even then is who voted FINALIZE told of the notarization', () => {
    const { fixture, block } = afterNotarization();
    const [first, ...rest] = fixture.others;
    for (const signer of fixture.others) fixture.sendVote(signer, finalize, 1, block);
    fixture.sendCertificate(fixture.certificate(finalize, 1, block), first);
    const outputs = fixture.after(DELAY_MS);
    expect(receivers(outputs, notarize)).toEqual([]);
    expect(receivers(outputs, finalize)).toEqual(rest);
    expect(receivers(fixture.after(1), finalize)).toEqual([]);
  });

  it('a notarization whose view is final still goes to who voted for nothing final in it: it may convict (E1)', () => {
    const { fixture, block } = afterNotarization();
    const [misled, ...rest] = fixture.others;
    for (const signer of rest) fixture.sendVote(signer, finalize, 1, block);
    expect(fixture.core.status.finalView).toBe(1);
    expect(receivers(fixture.after(DELAY_MS), notarize)).toEqual([misled]);
  });

  it('the newest finalization goes at the time of the oldest that waits', () => {
    const { fixture, block } = afterNotarization();
    const finalized = (view: number, of: Block): Certificate => fixture.certificate(finalize, view, of);
    fixture.sendCertificate(finalized(1, block));
    fixture.after(DELAY_MS / 2 - 10);
    const second = fixture.notarized({ view: 2, parent: block });
    fixture.sendCertificate(finalized(2, second));
    fixture.take();
    fixture.after(DELAY_MS / 2 + 10);
    const outputs = fixture.take();
    expect(new Set(sentCertificates(outputs, finalize).map(({ view }) => view))).toEqual(new Set([2]));
  });

  it('a notarization that still waits when the next one comes goes to who has shown nothing', () => {
    const { fixture, block } = afterNotarization();
    const [first, ...rest] = fixture.others;
    fixture.sendVote(first!, finalize, 1, block);
    fixture.take();
    fixture.notarized({ view: 2, parent: block });
    const views = new Set(sentCertificates(fixture.outputs, notarize).map(({ view }) => view));
    expect(views).toEqual(new Set([1]));
    expect(receivers(fixture.take(), notarize)).toEqual(rest);
  });

  it('asks to be woken for it', () => {
    const { fixture } = afterNotarization();
    const wakes = fixture.take().flatMap((output) => (output.type === 'wakeAt' ? [output.atMs] : []));
    expect(wakes.at(-1)! - fixture.nowMs).toBeLessThanOrEqual(DELAY_MS);
  });
});
