/** R15, R20, R21: what is final, in order and whole; what a restart brings back; how what is missing is fetched. */

import { type Block, type BlockHash, toHex, VoteKind } from '@squad/types';
import { describe, expect, it } from 'vitest';
import type { ConsensusRecord } from '../src/api.ts';
import { Fixture, hashOf, ofType, sentVotes } from './harness.ts';

const { finalize, notarize } = VoteKind;

/** Blocks of views 1 to `length`, each on the one before, as the others made them. */
function chain(fixture: Fixture, length: number): Block[] {
  const blocks: Block[] = [];
  for (let view = 1; view <= length; view++) {
    blocks.push(fixture.proposal({ view, parent: blocks.at(-1) ?? fixture.genesis }).block);
  }
  return blocks;
}

const finalHeights = (outputs: ReturnType<Fixture['take']>): number[] =>
  ofType(outputs, 'final').flatMap(({ blocks }) => blocks.map(({ header }) => header.height));

describe('R15: on a finalization', () => {
  it('the block and its ancestors are final, ascending, each once', () => {
    const fixture = new Fixture().start();
    const first = fixture.notarized({ view: 1 });
    const second = fixture.notarized({ view: 2, parent: first });
    fixture.sendCertificate(fixture.certificate(finalize, 2, second));
    fixture.sendCertificate(fixture.certificate(finalize, 1, first));
    const third = fixture.notarized({ view: 3, parent: second });
    fixture.sendCertificate(fixture.certificate(finalize, 3, third));
    const outputs = fixture.take();
    expect(finalHeights(outputs)).toEqual([1, 2, 3]);
    expect(ofType(outputs, 'final').map(({ certificate }) => certificate.view)).toEqual([2, 3]);
  });

  it('from the votes alone', () => {
    const fixture = new Fixture().start();
    const first = fixture.notarized({ view: 1 });
    for (const signer of fixture.others) fixture.sendVote(signer, finalize, 1, first);
    expect(finalHeights(fixture.take())).toEqual([1]);
  });

  it('blocks and the finalized record are persisted before delivery', () => {
    const fixture = new Fixture().start();
    const first = fixture.notarized({ view: 1 });
    fixture.take();
    const outputs = fixture.sendCertificate(fixture.certificate(finalize, 1, first));
    const order = outputs.map((output) => (output.type === 'persist' ? output.record.type : output.type));
    expect(order.indexOf('finalized')).toBeLessThan(order.indexOf('final'));
    expect(fixture.records.map(({ type }) => type)).toContain('block');
  });

  it('or notarized it can be read as soft; one that is only known cannot', () => {
    const fixture = new Fixture().start();
    const { block, ...rest } = fixture.proposal({ view: 1 });
    const hash = hashOf(block) as BlockHash;
    expect(fixture.core.softBlock(hash)).toBeUndefined();
    fixture.sendProposal({ block, ...rest });
    expect([fixture.core.block(hash), fixture.core.softBlock(hash)]).toEqual([block, undefined]);
    fixture.sendCertificate(fixture.certificate(notarize, 1, block));
    expect(fixture.core.softBlock(hash)).toEqual(block);
    fixture.sendCertificate(fixture.certificate(finalize, 1, block));
    expect(fixture.core.softBlock(hash)).toEqual(block);
  });

  it('what is built on a fork is let go of, however high it is', () => {
    const fixture = new Fixture().start();
    const first = fixture.notarized({ view: 1 });
    const second = fixture.notarized({ view: 2, parent: first });
    const third = fixture.proposal({ view: 3, parent: second });
    fixture.sendProposal(third);
    const hash = hashOf(third.block) as BlockHash;
    const skips = [fixture.nullified(2), fixture.nullified(3)];
    const rival = fixture.notarized({ view: 4, parent: first, skips });
    expect(fixture.core.block(hash)).toEqual(third.block);
    fixture.sendCertificate(fixture.certificate(finalize, 4, rival));
    expect(fixture.core.status.finalHeight).toBe(2);
    expect(fixture.core.block(hash)).toBeUndefined();
  });

  it('a block that is notarized in a fork below is never delivered', () => {
    const fixture = new Fixture().start();
    fixture.notarized({ view: 1 });
    const skips = [fixture.nullified(1)];
    const second = fixture.notarized({ view: 2, skips });
    fixture.sendCertificate(fixture.certificate(finalize, 2, second));
    const final = ofType(fixture.take(), 'final').flatMap(({ blocks }) => blocks.map(hashOf));
    expect(final).toEqual([hashOf(second)]);
  });
});

describe('R21: catching up', () => {
  it('a finalization is enough to jump to its view and vote there; the blocks are asked for from its signers', () => {
    const fixture = new Fixture().start();
    const blocks = chain(fixture, 5);
    const outputs = fixture.sendCertificate(fixture.certificate(finalize, 5, blocks[4]));
    expect(fixture.core.status).toMatchObject({ view: 6, finalHeight: 0, sawHead: false });
    const [request] = ofType(outputs, 'fetchRange');
    expect(request!.fromHeight).toBe(1);
    expect(request!.holders).toEqual(fixture.others);
  });

  it('a range is delivered in order, and asked for again until it comes', () => {
    const fixture = new Fixture().start();
    const blocks = chain(fixture, 5);
    const certificate = fixture.certificate(finalize, 5, blocks[4]);
    fixture.sendCertificate(certificate);
    fixture.take();
    expect(ofType(fixture.after(1_000), 'fetchRange')).toHaveLength(1);
    fixture.step({ type: 'rangeFetched', from: fixture.others[0]!, blocks, certificate });
    expect(finalHeights(fixture.take())).toEqual([1, 2, 3, 4, 5]);
    expect(fixture.core.status).toMatchObject({ finalHeight: 5, sawHead: true });
    expect(ofType(fixture.after(10_000), 'fetchRange')).toEqual([]);
  });

  it('of the certificate that is held and one in the answer that only names the same block, the held one is kept', () => {
    const fixture = new Fixture().start();
    const blocks = chain(fixture, 2);
    const genuine = fixture.certificate(finalize, 2, blocks[1]);
    fixture.sendCertificate(genuine);
    const forged = { ...genuine, signature: new Uint8Array(96) };
    const outputs = fixture.step({ type: 'rangeFetched', from: fixture.others[0]!, blocks, certificate: forged });
    expect(ofType(outputs, 'final').map(({ certificate }) => certificate.signature)).toEqual([genuine.signature]);
  });

  it('a shorter range with its own certificate brings it nearer, and it goes on asking', () => {
    const fixture = new Fixture().start();
    const blocks = chain(fixture, 5);
    fixture.sendCertificate(fixture.certificate(finalize, 5, blocks[4]));
    const certificate = fixture.certificate(finalize, 3, blocks[2]);
    const outputs = fixture.step({
      type: 'rangeFetched',
      from: fixture.others[0]!,
      blocks: blocks.slice(0, 3),
      certificate,
    });
    expect(finalHeights(outputs)).toEqual([1, 2, 3]);
    expect(ofType(outputs, 'fetchRange').map(({ fromHeight }) => fromHeight)).toEqual([4]);
  });

  it('a range that is not linked, or not finalized by its certificate, names the peer and delivers nothing', () => {
    const answers: ((
      fixture: Fixture,
      blocks: Block[],
    ) => { blocks: Block[]; certificate: ReturnType<Fixture['certificate']> })[] = [
      (f, blocks) => ({ blocks: [blocks[0]!, blocks[2]!], certificate: f.certificate(finalize, 3, blocks[2]) }),
      (f, blocks) => ({ blocks: blocks.slice(0, 2), certificate: f.certificate(finalize, 3, blocks[2]) }),
      (f, blocks) => ({ blocks: blocks.slice(0, 2), certificate: f.certificate(notarize, 2, blocks[1]) }),
      (f, blocks) => ({ blocks: blocks.slice(0, 2), certificate: f.certificate(finalize, 2, blocks[1], [0, 1]) }),
      (f, blocks) => ({
        blocks: [{ ...blocks[0]!, refs: [f.batch(0, 0).ref] }],
        certificate: f.certificate(finalize, 1, blocks[0]),
      }),
    ];
    for (const answer of answers) {
      const fixture = new Fixture().start();
      const blocks = chain(fixture, 3);
      fixture.sendCertificate(fixture.certificate(finalize, 3, blocks[2]));
      const outputs = fixture.step({ type: 'rangeFetched', from: fixture.others[1]!, ...answer(fixture, blocks) });
      expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([fixture.others[1]]);
      expect(finalHeights(outputs)).toEqual([]);
      const ofOther = fixture.step({ type: 'rangeFetched', from: undefined, ...answer(fixture, blocks) });
      expect([...ofType(ofOther, 'misbehaved'), ...ofType(ofOther, 'final')]).toEqual([]);
    }
  });

  it('a range counts whoever has it: the certificate proves it, also from a node that is not in the set', () => {
    const fixture = new Fixture().start();
    const blocks = chain(fixture, 3);
    const certificate = fixture.certificate(finalize, 3, blocks[2]);
    expect(finalHeights(fixture.step({ type: 'rangeFetched', from: undefined, blocks, certificate }))).toEqual([
      1, 2, 3,
    ]);
  });

  it('single blocks that are fetched out of order are joined and delivered in order', () => {
    const fixture = new Fixture().start();
    const blocks = chain(fixture, 4);
    fixture.sendCertificate(fixture.certificate(finalize, 4, blocks[3]));
    fixture.take();
    for (const i of [3, 1, 2, 0]) fixture.step({ type: 'blockFetched', from: fixture.others[0]!, block: blocks[i]! });
    expect(finalHeights(fixture.take())).toEqual([1, 2, 3, 4]);
  });

  it('blocks that a quorum has finalized and that do not fit the head are neither delivered nor asked for again', () => {
    const fixture = new Fixture().start();
    const { block } = fixture.proposal({ view: 1, header: { height: 5 } });
    const certificate = fixture.certificate(finalize, 1, block);
    fixture.step({ type: 'rangeFetched', from: fixture.others[0]!, blocks: [block], certificate });
    fixture.after(10_000);
    const outputs = fixture.take();
    expect([finalHeights(outputs), ofType(outputs, 'fetchRange')]).toEqual([[], []]);
    expect(fixture.core.status).toMatchObject({ view: 2, finalHeight: 0 });
  });

  it('a fetched block of another network or epoch is not taken in', () => {
    const fixture = new Fixture().start();
    for (const header of [{ networkId: new Uint8Array(32) }, { epoch: 1 }, {}]) {
      const { block } = fixture.proposal({ view: 1, header });
      fixture.step({ type: 'blockFetched', from: fixture.others[0]!, block });
      const isOwn = Object.keys(header).length === 0;
      expect(fixture.core.block(hashOf(block) as BlockHash)).toEqual(isOwn ? block : undefined);
    }
  });

  it('a fetched block with other refs than its header commits to is refused', () => {
    const fixture = new Fixture().start();
    const [block] = chain(fixture, 1);
    fixture.sendCertificate(fixture.certificate(notarize, 1, block));
    const outputs = fixture.step({
      type: 'blockFetched',
      from: fixture.others[0]!,
      block: { ...block!, refs: [fixture.batch(0, 0).ref] },
    });
    expect(ofType(outputs, 'misbehaved').map(({ peer }) => peer)).toEqual([fixture.others[0]]);
    expect(ofType(outputs, 'soft')).toEqual([]);
  });
});

describe('R20: what a restart brings back', () => {
  function someHistory(): { fixture: Fixture; blocks: Block[] } {
    const fixture = new Fixture().start();
    const first = fixture.notarized({ view: 1 });
    const skips = [fixture.nullified(2)];
    const second = fixture.notarized({ view: 3, parent: first, skips });
    fixture.sendCertificate(fixture.certificate(finalize, 1, first));
    return { fixture, blocks: [first, second] };
  }

  it('view, final head, certified blocks, certificates and votes', () => {
    const { fixture } = someHistory();
    const before = fixture.core.checkpoint();
    const { view, finalHeight } = fixture.core.status;
    fixture.restart();
    expect(fixture.core.checkpoint()).toEqual(before);
    expect(fixture.core.status).toMatchObject({ view, finalHeight });
  });

  it('the same from a checkpoint alone, and from a checkpoint with records after it', () => {
    const { fixture, blocks } = someHistory();
    const checkpoint: ConsensusRecord = { type: 'checkpoint', checkpoint: fixture.core.checkpoint() };
    fixture.records = [checkpoint];
    fixture.restart();
    expect(fixture.core.checkpoint()).toEqual(checkpoint.checkpoint);
    fixture.sendCertificate(fixture.certificate(finalize, 3, blocks[1]));
    const before = fixture.core.checkpoint();
    fixture.restart();
    expect(fixture.core.checkpoint()).toEqual(before);
    expect(fixture.core.status.finalHeight).toBe(2);
  });

  it('whatever prefix of the records survives, it starts, takes part, and contradicts nothing that it sent', () => {
    const { fixture } = someHistory();
    const total = fixture.records.length;
    for (let keep = 0; keep <= total; keep++) {
      const { fixture: again, blocks } = someHistory();
      again.restart(keep);
      again.sendCertificate(again.certificate(finalize, 3, blocks[1]));
      again.step({
        type: 'rangeFetched',
        from: again.others[0]!,
        blocks,
        certificate: again.certificate(finalize, 3, blocks[1]),
      });
      expect(again.core.status).toMatchObject({ finalHeight: 2, view: 4 });
    }
  });

  it('a finalization whose block was not held is asked for again', () => {
    const fixture = new Fixture().start();
    const blocks = chain(fixture, 3);
    fixture.sendCertificate(fixture.certificate(finalize, 3, blocks[2]));
    const outputs = fixture.restart();
    expect(fixture.core.status).toMatchObject({ view: 4, finalHeight: 0 });
    expect(ofType(outputs, 'fetchRange')).toHaveLength(1);
  });

  it('a finalization whose block was not held, from a checkpoint alone', () => {
    const fixture = new Fixture().start();
    const blocks = chain(fixture, 3);
    fixture.sendCertificate(fixture.certificate(finalize, 3, blocks[2]));
    fixture.records = [{ type: 'checkpoint', checkpoint: fixture.core.checkpoint() }];
    const outputs = fixture.restart();
    expect(fixture.core.status).toMatchObject({ view: 4, finalHeight: 0, sawHead: false });
    expect(ofType(outputs, 'fetchRange')).toHaveLength(1);
  });

  it('a final block whose own record is lost is asked for again, and is not final before it comes', () => {
    const { fixture, blocks } = someHistory();
    fixture.records = fixture.records.filter(({ type }) => type !== 'block');
    const outputs = fixture.restart();
    expect(fixture.core.status).toMatchObject({ view: 4, finalHeight: 0 });
    expect(ofType(outputs, 'fetchRange').map(({ fromHeight }) => fromHeight)).toEqual([1]);
    fixture.step({ type: 'blockFetched', from: fixture.others[0]!, block: blocks[0]! });
    expect(fixture.core.status.finalHeight).toBe(1);
  });

  it('a peer that connects is given the head and what was said in the current view', () => {
    const { fixture } = someHistory();
    fixture.after(10_000);
    fixture.take();
    const outputs = fixture.step({ type: 'peerConnected', peer: fixture.others[0]! });
    const sends = ofType(outputs, 'send');
    expect(sends.every(({ to }) => to === fixture.others[0])).toBe(true);
    const certificates = sends.flatMap(({ message }) => (message.type === 'certificate' ? [message.certificate] : []));
    expect(certificates.map(({ kind, view }) => [kind, view])).toEqual([
      [finalize, 1],
      [notarize, 3],
    ]);
    expect(sentVotes(outputs).map(({ view }) => view)).toEqual([4, 3]);
  });

  it('lane tips: what was ordered before a restart is not ordered again', () => {
    const fixture = new Fixture().start();
    const lane = fixture.lane(0, 2);
    const first = fixture.notarized({ view: 1, refs: [lane[0]!.ref] });
    fixture.sendCertificate(fixture.certificate(finalize, 1, first));
    fixture.restart();
    expect(fixture.core.laneTip(0)).toEqual({ nextSeq: 1, lastDigest: lane[0]!.ref.digest });
    expect(toHex(fixture.core.checkpoint().laneTips[0]!.lastDigest)).toBe(toHex(lane[0]!.ref.digest));
  });
});
