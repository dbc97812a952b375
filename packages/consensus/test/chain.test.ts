/** R21, R23: what is kept of blocks that wait for their parent, and of blocks above the final head. */

import { type Block, type BlockHash, blockHash, toHex, VoteKind } from '@squad/types';
import { describe, expect, it } from 'vitest';
import { MAX_ORPHAN_BLOCKS, MAX_TREE_BLOCKS } from '../src/chain.ts';
import { Fixture, hashOf, ofType, sentProposals, sentVotes } from './harness.ts';

const { finalize, notarize } = VoteKind;

/** Blocks that differ in their time only. */
const siblings = (block: Block, count: number): Block[] =>
  Array.from({ length: count }, (_, i) => ({
    ...block,
    header: { ...block.header, timestampMs: block.header.timestampMs + i },
  }));

const childOf = (block: Block, parent: Block): Block => ({
  ...block,
  header: { ...block.header, parentHash: blockHash(parent.header) },
});

function fetched(fixture: Fixture, ...blocks: readonly Block[]): ReturnType<Fixture['take']> {
  return blocks.flatMap((block) => fixture.step({ type: 'blockFetched', from: fixture.others[0]!, block }));
}

const isInTree = (fixture: Fixture, block: Block): boolean =>
  fixture.core.block(hashOf(block) as BlockHash) !== undefined;

describe('a block whose parent is not known', () => {
  it.each([
    ['waits for it beside as many others as there is room for', MAX_ORPHAN_BLOCKS, true],
    ['gives way, the oldest first, to one more', MAX_ORPHAN_BLOCKS + 1, false],
  ])('%s', (_, count, isFirstKept) => {
    const fixture = new Fixture().start();
    const first = fixture.proposal({ view: 1 }).block;
    const second = fixture.proposal({ view: 2, parent: first }).block;
    const parents = siblings(first, count);
    const children = parents.map((parent) => childOf(second, parent));
    fetched(fixture, ...children);
    fetched(fixture, ...parents);
    expect(children.map((child) => isInTree(fixture, child))).toEqual([
      isFirstKept,
      ...children.slice(1).map(() => true),
    ]);
  });

  it('is dropped if it does not fit its parent when that comes', () => {
    const fixture = new Fixture().start();
    const first = fixture.proposal({ view: 1 }).block;
    const misfit = fixture.proposal({ view: 2, parent: first, header: { height: 7 } }).block;
    const child = fixture.proposal({ view: 2, parent: first }).block;
    fetched(fixture, misfit, child, first);
    expect([first, misfit, child].map((block) => isInTree(fixture, block))).toEqual([true, false, true]);
  });

  it('is let go of once its height is final: nothing below the final head is asked for on its behalf', () => {
    const fixture = new Fixture().start();
    const first = fixture.notarized({ view: 1 });
    const fork = fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs + 1 } }).block;
    const orphan = fixture.proposal({ view: 2, parent: fork }).block;
    fetched(fixture, orphan);
    const second = fixture.notarized({ view: 2, parent: first });
    fixture.sendCertificate(fixture.certificate(finalize, 2, second));
    const outputs = fetched(fixture, fixture.proposal({ view: 3, parent: orphan }).block);
    expect(ofType(outputs, 'fetchBlock').map(({ hash }) => toHex(hash))).toEqual([hashOf(orphan)]);
  });
});

describe('the tree above the final head', () => {
  /** A node to which so many blocks on the genesis block were given. */
  function withBlocks(count: number, options: ConstructorParameters<typeof Fixture>[0] = {}) {
    const fixture = new Fixture(options).start();
    const blocks = siblings(fixture.proposal({ view: 1, header: { timestampMs: fixture.nowMs - 1e6 } }).block, count);
    fetched(fixture, ...blocks);
    fixture.take();
    return { fixture, blocks };
  }

  it('takes no block more than its limit, notarizes none that it has no room for, and goes on when one is final', () => {
    const { fixture, blocks } = withBlocks(MAX_TREE_BLOCKS); // the final head counts too
    expect([blocks.at(-2)!, blocks.at(-1)!].map((block) => isInTree(fixture, block))).toEqual([true, false]);
    expect(sentVotes(fixture.sendProposal(fixture.proposal({ view: 1 })))).toEqual([]);
    const [first] = blocks;
    fixture.sendCertificate(fixture.certificate(finalize, 1, first));
    const parentCertificate = fixture.certificate(finalize, 1, first);
    const outputs = fixture.sendProposal(fixture.proposal({ view: 2, parent: first!, parentCertificate }));
    expect(sentVotes(outputs, notarize).map(({ view }) => view)).toEqual([2]);
  });

  it.each([
    ['its last place is the own proposal', MAX_TREE_BLOCKS - 2, 1],
    ['without a place for it nothing is proposed', MAX_TREE_BLOCKS - 1, 0],
  ])('%s', (_, count, proposals) => {
    const { fixture } = withBlocks(count, { leaderOf: 1 });
    const outputs = fixture.after(1_000);
    expect(sentProposals(outputs)).toHaveLength(proposals);
    expect(ofType(outputs, 'persist')).toHaveLength(2 * proposals);
  });
});
