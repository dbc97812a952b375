/** R22: how an epoch ends, what its boundary block names, and how nodes that are behind learn of it. */

import {
  type Block,
  type BlockHeader,
  blockHash,
  type Certificate,
  genesisBlock,
  type HandOverProof,
  type ValidatorSet,
  type View,
  VoteKind,
  validatorSetHash,
  ZERO_HASH,
} from '@squad/types';
import { describe, expect, it } from 'vitest';
import { SignatureRegistry } from '../sim/mock-scheme.ts';
import { sinceLastEpoch } from '../src/index.ts';
import {
  Fixture,
  type FixtureOptions,
  hashOf,
  NETWORK_ID,
  ofType,
  START_MS,
  sentProposals,
  sentVotes,
  setOf,
} from './harness.ts';

const { notarize, finalize } = VoteKind;
/** Heights 1 to 2. */
const LAST_HEIGHT = 2;
const NEXT = setOf(1, [1, 2, 3, 4, 5], 50);
const NEXT_HASH = validatorSetHash(NEXT);
/** What one core's validators signed is signed to the other cores, too. */
const registry = new SignatureRegistry(7);

interface Options extends FixtureOptions {
  readonly next?: () => ValidatorSet | undefined;
}

/** A core of epoch 0, which ends with height 2. */
function inEpoch({ next = () => NEXT, ...options }: Options = {}): Fixture {
  const startsAfter = genesisBlock(NETWORK_ID, START_MS);
  const config = { startsAfter, proof: undefined, lastHeight: LAST_HEIGHT, nextValidatorSet: next };
  return new Fixture({ epoch: { number: 0, config }, registry, ...options }).start();
}

const named = (nextValidatorSetHash: Uint8Array = NEXT_HASH): Partial<BlockHeader> => ({ nextValidatorSetHash });

/** Notarized: the block of view 1, and the boundary block in view 2. */
function upToBoundary(f: Fixture): { readonly first: Block; readonly boundary: Block } {
  const first = f.notarized({ view: 1 });
  return { first, boundary: f.notarized({ view: 2, parent: first, header: named() }) };
}

function proofOf(boundary: Block, certificate: Certificate, path: readonly Block[] = []): HandOverProof {
  const { header: boundaryHeader } = boundary;
  return { boundaryHeader, path: path.map(({ header }) => header), certificate, nextValidatorSet: NEXT };
}

/** What a validator does on a boundary block that names this set. */
function onBoundaryNaming(hash: Uint8Array) {
  const f = inEpoch();
  const first = f.notarized({ view: 1 });
  f.take();
  f.sendProposal(f.proposal({ view: 2, parent: first, header: named(hash) }));
  return f.take();
}

describe('the boundary block', () => {
  it('is voted for if it names the next set', () => {
    const f = inEpoch();
    const first = f.notarized({ view: 1 });
    f.take();
    f.sendProposal(f.proposal({ view: 2, parent: first, header: named() }));
    expect(sentVotes(f.take(), notarize)).toHaveLength(1);
  });

  it('is refused, and its leader blamed, if it names no set', () => {
    const outputs = onBoundaryNaming(ZERO_HASH);
    expect(sentVotes(outputs, notarize)).toEqual([]);
    expect(ofType(outputs, 'misbehaved')).toHaveLength(1);
  });

  it('is refused if it names another set, and nobody blamed: operators may disagree for a while', () => {
    const outputs = onBoundaryNaming(new Uint8Array(32).fill(3));
    expect(sentVotes(outputs, notarize)).toEqual([]);
    expect(sentVotes(outputs, VoteKind.nullify)).toHaveLength(1);
    expect(ofType(outputs, 'misbehaved')).toEqual([]);
    expect(ofType(outputs, 'otherNextSet')).toMatchObject([{ hash: new Uint8Array(32).fill(3) }]);
  });

  it('tells who names another set, until its leader names the one that is known here', () => {
    const other = new Uint8Array(32).fill(3);
    const f = inEpoch();
    const first = f.notarized({ view: 1 });
    expect([...f.core.otherNextSets]).toEqual([]);
    f.sendProposal(f.proposal({ view: 2, parent: first, header: named(other) }));
    const leader = f.leaderAt(2);
    expect([...f.core.otherNextSets]).toEqual([[leader, other]]);
    const skips: Certificate[] = [];
    let view = 2;
    do skips.push(f.nullified(view++));
    while (f.leaderAt(view) !== leader);
    expect(f.core.otherNextSets.size).toBe(1);
    f.sendProposal(f.proposal({ view, parent: first, skips, header: named() }));
    expect([...f.core.otherNextSets]).toEqual([]);
  });

  it('waits at a validator that does not know the next set yet', () => {
    let next: ValidatorSet | undefined;
    const f = inEpoch({ next: () => next });
    const first = f.notarized({ view: 1 });
    f.take();
    f.sendProposal(f.proposal({ view: 2, parent: first, header: named() }));
    const before = f.take();
    expect(sentVotes(before, notarize)).toEqual([]);
    expect(ofType(before, 'misbehaved')).toEqual([]);
    next = NEXT;
    f.after(1);
    expect(sentVotes(f.take(), notarize)).toHaveLength(1);
  });

  it('is the only one that names a set', () => {
    for (const view of [1, 3]) {
      const f = inEpoch();
      const parent = view === 1 ? f.genesis : upToBoundary(f).boundary;
      f.take();
      f.sendProposal(f.proposal({ view, parent, header: named() }));
      const outputs = f.take();
      expect(sentVotes(outputs, notarize)).toEqual([]);
      expect(ofType(outputs, 'misbehaved')).toHaveLength(1);
    }
  });

  it('is proposed with the next set, and not at all without it', () => {
    let next: ValidatorSet | undefined;
    const f = inEpoch({ leaderOf: 2, next: () => next });
    f.notarized({ view: 1 });
    f.take();
    f.after(1_000); // the heartbeat
    expect(sentProposals(f.take())).toEqual([]);
    next = NEXT;
    f.after(1);
    const [proposal] = sentProposals(f.take());
    expect(proposal!.block.header).toMatchObject({ height: LAST_HEIGHT, nextValidatorSetHash: NEXT_HASH });
  });

  it('is nothing special without an epoch', () => {
    const f = new Fixture().start();
    const first = f.notarized({ view: 1 });
    f.take();
    f.sendProposal(f.proposal({ view: 2, parent: first, header: named() }));
    expect(ofType(f.take(), 'misbehaved')).toHaveLength(1);
  });
});

describe('the epilogue', () => {
  it('is proposed at once, empty, whatever there is to order', () => {
    const f = inEpoch({ leaderOf: 3 });
    for (const batch of f.lane(0, 2)) for (const from of f.others) f.acknowledge(from, batch);
    upToBoundary(f);
    const [proposal] = sentProposals(f.take());
    expect(proposal!.block.refs).toEqual([]);
    expect(proposal!.block.header).toMatchObject({ height: LAST_HEIGHT + 1, nextValidatorSetHash: ZERO_HASH });
  });

  it('may not order anything', () => {
    const f = inEpoch();
    const refs = f.lane(0, 1).map(({ ref }) => ref);
    const { boundary } = upToBoundary(f);
    f.take();
    f.sendProposal(f.proposal({ view: 3, parent: boundary, refs }));
    const outputs = f.take();
    expect(sentVotes(outputs, notarize)).toEqual([]);
    expect(ofType(outputs, 'misbehaved')).toHaveLength(1);
  });

  it('is voted for when it is empty, and is never announced as soft', () => {
    const f = inEpoch();
    const { boundary } = upToBoundary(f);
    f.take();
    f.notarized({ view: 3, parent: boundary });
    const outputs = f.take();
    expect(sentVotes(outputs, notarize)).toHaveLength(1);
    expect(sentVotes(outputs, finalize)).toHaveLength(1);
    expect(ofType(outputs, 'soft')).toEqual([]);
  });

  it('is not waited for: its leader has no time of grace', () => {
    const f = inEpoch();
    upToBoundary(f);
    f.take();
    f.after(2 * f.core.status.delayMs + 1);
    expect(sentVotes(f.take(), VoteKind.nullify)).toHaveLength(1);
  });
});

describe('the end of an epoch', () => {
  it('comes with a finalization of the boundary block: an empty path', () => {
    const f = inEpoch();
    const { first, boundary } = upToBoundary(f);
    f.take();
    const certificate = f.certificate(finalize, 2, boundary);
    f.sendCertificate(certificate);
    const outputs = f.take();
    const [final] = ofType(outputs, 'final');
    expect(final!.blocks.map(hashOf)).toEqual([first, boundary].map(hashOf));
    expect(ofType(outputs, 'epochEnded')).toEqual([
      { type: 'epochEnded', block: boundary, proof: proofOf(boundary, certificate) },
    ]);
    expect(f.core.status.finalHeight).toBe(LAST_HEIGHT);
  });

  it('comes with a finalization in the epilogue, which is not delivered', () => {
    const f = inEpoch();
    const { first, boundary } = upToBoundary(f);
    const third = f.notarized({ view: 3, parent: boundary });
    const fourth = f.notarized({ view: 4, parent: third });
    f.take();
    const certificate = f.certificate(finalize, 4, fourth);
    f.sendCertificate(certificate);
    const outputs = f.take();
    const [final] = ofType(outputs, 'final');
    expect(final!.blocks.map(hashOf)).toEqual([first, boundary].map(hashOf));
    expect(final!.path).toEqual([third.header, fourth.header]);
    expect(ofType(outputs, 'epochEnded')[0]!.proof).toEqual(proofOf(boundary, certificate, [third, fourth]));
  });

  it('is on record before it is visible, and nothing is recorded after it', () => {
    const f = inEpoch();
    const { boundary } = upToBoundary(f);
    f.take();
    // The view's other votes may still complete certificates.
    f.sendCertificate(f.certificate(finalize, 2, boundary));
    const outputs = f.take();
    const at = (test: (i: number) => boolean) => outputs.findIndex((_, i) => test(i));
    const record = at((i) => {
      const output = outputs[i]!;
      return output.type === 'persist' && output.record.type === 'epochEnded';
    });
    expect(record).toBeGreaterThanOrEqual(0);
    expect(record).toBeLessThan(at((i) => outputs[i]!.type === 'epochEnded'));
    expect(record).toBeLessThan(at((i) => outputs[i]!.type === 'final'));
    expect(f.records.at(-1)!.type).toBe('epochEnded');
  });

  it('is held back by a node that does not know the next set, until it does', () => {
    let next: ValidatorSet | undefined;
    const f = inEpoch({ next: () => next });
    const { boundary } = upToBoundary(f);
    f.take();
    f.sendCertificate(f.certificate(finalize, 2, boundary));
    const outputs = f.take();
    expect(ofType(outputs, 'final')).toEqual([]);
    expect(ofType(outputs, 'fetchHandOver').map(({ epoch }) => epoch)).toEqual([0]);
    expect(ofType(outputs, 'fetchRange')).toEqual([]);
    f.after(10_000);
    expect(ofType(f.take(), 'fetchHandOver')).toHaveLength(1);
    next = NEXT;
    f.after(1);
    expect(ofType(f.take(), 'epochEnded')).toHaveLength(1);
  });

  it('is held back by a node that was told of another set than the one that was agreed on, until it is told again', () => {
    let next = NEXT;
    const f = inEpoch({ next: () => next });
    const { boundary } = upToBoundary(f);
    f.take();
    next = setOf(1, [1], 90);
    f.sendCertificate(f.certificate(finalize, 2, boundary));
    const outputs = f.take();
    expect([ofType(outputs, 'final'), ofType(outputs, 'epochEnded')]).toEqual([[], []]);
    expect(ofType(outputs, 'fetchHandOver').map(({ epoch }) => epoch)).toEqual([0]);
    next = NEXT;
    f.after(1);
    expect(ofType(f.take(), 'epochEnded')[0]!.proof.nextValidatorSet).toEqual(NEXT);
  });

  it('comes with a range up to the boundary block, and waits as long for the next set', () => {
    let next: ValidatorSet | undefined;
    const f = inEpoch({ next: () => next });
    const { first, boundary } = upToBoundary(inEpoch());
    const certificate = f.certificate(finalize, 2, boundary);
    f.step({ type: 'rangeFetched', from: f.others[0]!, blocks: [first, boundary], certificate });
    expect(ofType(f.take(), 'final')).toEqual([]);
    next = NEXT;
    f.after(1);
    const outputs = f.take();
    expect(ofType(outputs, 'final')[0]!.blocks.map(hashOf)).toEqual([first, boundary].map(hashOf));
    expect(ofType(outputs, 'epochEnded')[0]!.proof).toEqual(proofOf(boundary, certificate));
  });

  it('held back, asks a lone validator for no epilogue without end', () => {
    let next: ValidatorSet | undefined = NEXT;
    const f = inEpoch({ weights: [1], next: () => next });
    for (let i = 0; i < 4; i++) f.after(1_000);
    expect(ofType(f.take(), 'epochEnded')).toHaveLength(1);
    // A crash took the end from the record, and the set is forgotten.
    const last = f.records.findLastIndex(({ type }) => type === 'certificate');
    next = undefined;
    f.restart(last + 1);
    f.after(10_000);
    f.after(10_000);
    expect(f.core.status.view).toBeLessThan(10);
    next = NEXT;
    f.after(1);
    expect(ofType(f.take(), 'epochEnded')).toHaveLength(1);
  });

  it('is learnt with the set from a peer', () => {
    const f = inEpoch({ next: () => undefined });
    const { boundary } = upToBoundary(f);
    const certificate = f.certificate(finalize, 2, boundary);
    f.sendCertificate(certificate);
    f.take();
    f.step({ type: 'handOverFetched', from: 1, proof: proofOf(boundary, certificate) });
    expect(ofType(f.take(), 'epochEnded')[0]!.proof.nextValidatorSet).toEqual(NEXT);
  });
});

describe('a certificate of another epoch', () => {
  it('in a proposal leads nowhere, though the same validators signed it', () => {
    const f = inEpoch();
    const startsAfter = genesisBlock(NETWORK_ID, START_MS);
    const config = { startsAfter, proof: undefined, lastHeight: 9, nextValidatorSet: () => NEXT };
    const later = new Fixture({ epoch: { number: 1, config }, registry });
    const first = f.proposal({ view: 1 }).block;
    const parentCertificate = later.certificate(notarize, 1, first);
    f.sendProposal(f.proposal({ view: 2, parent: first, parentCertificate, header: named() }));
    // Nor does it name who sent it: the other epoch is that one's affair.
    expect([f.core.status.view, ofType(f.take(), 'misbehaved')]).toEqual([1, []]);
    f.sendCertificate(f.certificate(notarize, 1, first));
    expect(f.core.status.view).toBe(2);
  });
});

/** A core whose epoch is over. */
function ended(): { readonly f: Fixture; readonly boundary: Block; readonly proof: HandOverProof } {
  const f = inEpoch();
  const { boundary } = upToBoundary(f);
  const certificate = f.certificate(finalize, 2, boundary);
  f.sendCertificate(certificate);
  f.take();
  return { f, boundary, proof: proofOf(boundary, certificate) };
}

describe('a core whose epoch is over', () => {
  it('neither votes nor proposes any more', () => {
    const { f, boundary } = ended();
    f.sendProposal(f.proposal({ view: 3, parent: boundary }));
    f.sendCertificate(f.certificate(notarize, 3, boundary));
    f.after(60_000);
    const outputs = f.take();
    expect(outputs.filter(({ type }) => type !== 'send')).toEqual([]);
    expect(sentVotes(outputs)).toEqual([]);
  });

  it('tells those who are still in it, once in a while', () => {
    const { f, boundary, proof } = ended();
    const peer = f.others[0]!;
    const vote = f.vote(peer, notarize, 2, boundary);
    f.sendRawVote(peer, vote);
    const handOver = { type: 'send', to: peer, message: { type: 'handOver', proof } };
    expect(f.take()).toEqual([handOver]);
    f.sendRawVote(peer, vote);
    expect(f.take()).toEqual([]);
    f.nowMs += 10_000;
    f.step({ type: 'peerConnected', peer });
    expect(f.take()).toEqual([handOver]);
  });

  it('says nothing to who is in a later one', () => {
    const { f, boundary } = ended();
    const peer = f.others[0]!;
    f.sendRawVote(peer, { ...f.vote(peer, notarize, 2, boundary), epoch: 1 });
    expect(f.take()).toEqual([]);
  });

  it('is over after a restart, too, and says so again', () => {
    const { f, boundary, proof } = ended();
    expect(f.restart()).toEqual([{ type: 'epochEnded', block: boundary, proof }]);
    expect(f.core.status.finalHeight).toBe(LAST_HEIGHT);
  });

  it('is brought to its end again by the records before the last one', () => {
    const { f, boundary, proof } = ended();
    for (let keep = f.records.length - 1; keep > 0; keep--) {
      const again = inEpoch();
      again.records = f.records.slice(0, keep);
      const outputs = again.restart();
      const isOver = ofType(outputs, 'epochEnded').length > 0;
      // The finalization that ends it is on record before the blocks that it makes final are.
      const has = again.records.some((record) => record.type === 'certificate' && record.certificate.kind === finalize);
      if (has) expect(isOver || ofType(outputs, 'fetchRange').length > 0).toBe(true);
      again.take();
      again.step({ type: 'handOverFetched', from: undefined, proof });
      again.step({ type: 'rangeFetched', from: 1, blocks: [...blocksOf(f)], certificate: proof.certificate });
      const over = isOver || ofType(again.take(), 'epochEnded').some(({ block }) => hashOf(block) === hashOf(boundary));
      expect(over).toBe(true);
    }
  });
});

function* blocksOf(f: Fixture): Generator<Block> {
  for (const record of f.records) if (record.type === 'block') yield record.block;
}

/** A core of epoch 1, made from the end of epoch 0. */
function inNextEpoch(options: FixtureOptions = {}): {
  readonly f: Fixture;
  readonly old: Fixture;
  proof: HandOverProof;
} {
  const { f: old, boundary, proof } = ended();
  const config = { startsAfter: boundary, proof, lastHeight: 4, nextValidatorSet: () => setOf(2, [1]) };
  const weights = NEXT.validators.map(({ weight }) => weight);
  const f = new Fixture({ weights, registry, ...options, epoch: { number: 1, config } }).start();
  return { f, old, proof };
}

describe('the next epoch', () => {
  it('begins in view 1 with the boundary block as its parent, and empty lanes', () => {
    const { f, proof } = inNextEpoch({ leaderOf: 1 });
    f.after(1_000);
    const [proposal] = sentProposals(f.take());
    expect(proposal!.block.header).toMatchObject({
      epoch: 1,
      view: 1,
      height: LAST_HEIGHT + 1,
      parentView: 0,
      parentHash: blockHash(proof.boundaryHeader),
    });
    expect(f.core.laneTip(0).nextSeq).toBe(0);
    expect(f.core.status).toMatchObject({ view: 1, finalHeight: LAST_HEIGHT, finalView: 0 });
  });

  it('is not begun by giving up its first view: how far the bodies are complete is told right after the start', () => {
    const inLaterEpoch = () => {
      const { header, refs } = genesisBlock(NETWORK_ID, START_MS);
      const startsAfter = { header: { ...header, height: 100 }, refs };
      const config = { startsAfter, proof: undefined, lastHeight: 200, nextValidatorSet: () => NEXT };
      return new Fixture({ leaderOf: 1, epoch: { number: 1, config } }).start();
    };
    const f = inLaterEpoch();
    expect(sentVotes(f.take(), VoteKind.nullify)).toEqual([]);
    f.step({ type: 'bodiesComplete', height: 100 });
    f.after(1_000);
    expect(sentProposals(f.take())).toMatchObject([{ block: { header: { view: 1, height: 101 } } }]);
    const behind = inLaterEpoch();
    behind.step({ type: 'bodiesComplete', height: 35 });
    expect(sentVotes(behind.take(), VoteKind.nullify)).toMatchObject([{ view: 1 }]);
  });

  it('votes for a block on the boundary block, and for none on the epilogue', () => {
    const { f, old } = inNextEpoch();
    const boundary = f.genesis;
    const epilogue = old.proposal({ view: 3, parent: boundary }).block;
    f.sendProposal(f.proposal({ view: 1, parent: epilogue, header: { parentView: 0 } }));
    expect(sentVotes(f.take(), notarize)).toEqual([]);
    const { f: other } = inNextEpoch();
    const first = other.notarized({ view: 1 });
    expect(sentVotes(other.take(), notarize)).toHaveLength(1);
    other.sendCertificate(other.certificate(finalize, 1, first));
    expect(ofType(other.take(), 'final')[0]!.blocks.map(hashOf)).toEqual([hashOf(first)]);
  });

  it('is restored from its own checkpoint, at its start and later', () => {
    const { f } = inNextEpoch();
    f.records = [{ type: 'checkpoint', checkpoint: f.core.checkpoint() }];
    f.restart();
    expect(f.core.status).toMatchObject({ view: 1, finalHeight: LAST_HEIGHT, finalView: 0 });
    const first = f.notarized({ view: 1 });
    f.sendCertificate(f.certificate(finalize, 1, first));
    f.records = [{ type: 'checkpoint', checkpoint: f.core.checkpoint() }];
    f.restart();
    expect(f.core.status).toMatchObject({ finalHeight: LAST_HEIGHT + 1, finalView: 1 });
  });

  it('counts no vote and no certificate of the epoch before, and blames nobody for them', () => {
    const { f, old } = inNextEpoch();
    const boundary = f.genesis;
    for (const signer of old.all) f.sendRawVote(signer, old.vote((signer + 1) % 4, VoteKind.nullify, 1));
    f.sendCertificate(old.certificate(VoteKind.nullify, 1), 1);
    f.sendCertificate(old.certificate(finalize, 7, boundary), 1);
    const first = f.proposal({ view: 1 });
    f.sendProposal({ ...first, parentCertificate: old.certificate(finalize, 2, boundary) });
    const outputs = f.take();
    expect(f.core.status).toMatchObject({ view: 1, finalHeight: LAST_HEIGHT });
    expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([f.leaderAt(1)]);
    expect(sentVotes(outputs, notarize)).toEqual([]);
  });

  it('answers who speaks of the epoch before with the proof, once in a while', () => {
    const { f, old, proof } = inNextEpoch();
    f.take();
    const vote = old.vote(2, VoteKind.nullify, 3);
    const answers = () => f.take().filter((output) => output.type === 'send' && output.message.type === 'handOver');
    f.sendRawVote(2, vote);
    expect(answers()).toEqual([{ type: 'send', to: 2, message: { type: 'handOver', proof } }]);
    f.sendRawVote(2, vote);
    expect(answers()).toEqual([]);
    f.nowMs += 10_000;
    f.sendRawVote(2, vote);
    expect(answers()).toHaveLength(1);
    f.step({ type: 'message', from: 3, message: { type: 'handOver', proof } });
    expect(answers()).toEqual([]);
  });

  it('restarts where its epoch began: the records since the last end', () => {
    const { f, old } = inNextEpoch();
    f.notarized({ view: 1 });
    const { ended: record, records } = sinceLastEpoch([...old.records, ...f.records]);
    expect(record!.proof.nextValidatorSet).toEqual(NEXT);
    expect(records).toEqual(f.records);
    expect(sinceLastEpoch(f.records)).toEqual({ ended: undefined, records: f.records });
  });
});

describe('a node that is behind', () => {
  const later: Certificate = { ...ended().proof.certificate, epoch: 3 };

  it('asks for the proof when it hears of a later epoch, once in a while', () => {
    const f = inEpoch();
    f.take();
    f.sendCertificate(later, 2);
    expect(ofType(f.take(), 'fetchHandOver')).toEqual([{ type: 'fetchHandOver', epoch: 0, holders: [2] }]);
    f.step({ type: 'laterEpoch' });
    expect(ofType(f.take(), 'fetchHandOver')).toEqual([]);
    f.nowMs += 10_000;
    f.step({ type: 'laterEpoch' });
    expect(ofType(f.take(), 'fetchHandOver')).toHaveLength(1);
  });

  it('fetches the blocks up to the boundary, and ends its epoch by the proof', () => {
    const f = inEpoch();
    const { f: done, proof } = ended();
    f.take();
    f.step({ type: 'message', from: 1, message: { type: 'handOver', proof } });
    const asked = f.take();
    expect(ofType(asked, 'epochEnded')).toEqual([]);
    expect(ofType(asked, 'fetchRange').map(({ fromHeight }) => fromHeight)).toEqual([1]);
    f.step({ type: 'rangeFetched', from: 1, blocks: [...blocksOf(done)], certificate: proof.certificate });
    const outputs = f.take();
    expect(ofType(outputs, 'final')[0]!.blocks).toHaveLength(LAST_HEIGHT);
    expect(ofType(outputs, 'epochEnded')[0]!.proof).toEqual(proof);
  });

  it('votes no more once it has the proof', () => {
    const f = inEpoch();
    const { proof } = ended();
    f.step({ type: 'handOverFetched', from: 1, proof });
    f.take();
    f.sendProposal(f.proposal({ view: 1 }));
    f.after(60_000);
    expect(sentVotes(f.take())).toEqual([]);
  });

  it('takes a boundary block that is final by a descendant only with the proof', () => {
    const f = inEpoch();
    const { boundary, first } = upToBoundary(f);
    const third = f.proposal({ view: 3, parent: boundary }).block;
    const certificate = f.certificate(finalize, 3, third);
    const behind = inEpoch();
    behind.take();
    const range = { type: 'rangeFetched', from: 1, blocks: [first, boundary], certificate } as const;
    behind.step(range);
    const outputs = behind.take();
    expect(ofType(outputs, 'misbehaved')).toEqual([]);
    expect(ofType(outputs, 'final')).toEqual([]);
    expect(ofType(outputs, 'fetchHandOver')).toHaveLength(1);
    behind.step({ type: 'handOverFetched', from: 1, proof: proofOf(boundary, certificate, [third]) });
    behind.step(range);
    expect(ofType(behind.take(), 'epochEnded')).toHaveLength(1);
  });

  it('blames who sends a proof that proves nothing, if that one is of its set', () => {
    const { proof } = ended();
    const forged: HandOverProof = { ...proof, nextValidatorSet: setOf(1, [9]) };
    const f = inEpoch();
    f.take();
    f.step({ type: 'handOverFetched', from: 2, proof: forged });
    expect(ofType(f.take(), 'misbehaved').map(({ peer }) => peer)).toEqual([2]);
    f.step({ type: 'handOverFetched', from: undefined, proof: forged });
    const outputs = f.take();
    expect(ofType(outputs, 'misbehaved')).toEqual([]);
    expect(ofType(outputs, 'fetchRange')).toEqual([]);
  });

  it('is not led astray without an epoch: such messages are nothing', () => {
    const f = new Fixture().start();
    f.take();
    f.sendCertificate(later, 2);
    f.step({ type: 'laterEpoch' });
    f.step({ type: 'handOverFetched', from: 1, proof: ended().proof });
    const outputs = f.take();
    expect(outputs.filter(({ type }) => type !== 'wakeAt')).toEqual([]);
  });
});

/** The chain of epoch 0 when everything is cut off at one of its records, and the epoch goes on from there. */
describe('a crash around the boundary', () => {
  it('brings back what was promised, wherever it comes', () => {
    const whole = inEpoch();
    const views: View[] = [1, 2, 3];
    let parent = whole.genesis;
    let boundary = parent;
    for (const view of views) {
      parent = whole.notarized({ view, parent, header: view === 2 ? named() : {} });
      if (view === 2) boundary = parent;
    }
    whole.sendCertificate(whole.certificate(finalize, 3, parent));
    const votes = whole.records.flatMap((record, i) => (record.type === 'vote' ? [{ i, vote: record.vote }] : []));
    let ends = 0;
    for (let keep = 0; keep <= whole.records.length; keep++) {
      const f = inEpoch();
      f.records = whole.records.slice(0, keep);
      f.restart();
      const { ended: record } = sinceLastEpoch(f.records);
      if (record) {
        // The finalization was on record before the end was: the restart ends the epoch again.
        expect(hashOf(record.block)).toBe(hashOf(boundary));
        ends++;
        continue;
      }
      const kept = f.core.checkpoint().votes;
      const highest = Math.max(0, ...votes.filter(({ i }) => i < keep).map(({ vote }) => vote.view));
      for (const { i, vote } of votes) if (i < keep && vote.view === highest) expect(kept).toContainEqual(vote);
    }
    expect(ends).toBeGreaterThan(1);
  });
});
