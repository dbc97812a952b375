/** Whole sequencers that follow an L1 (R24): the anchor goes on through crashes and epochs, and ordering whatever the L1s do. */

import { Block, type L1BlockId, toHex } from '@squad/types';
import { afterEach, expect, it } from 'vitest';
import { FakeL1 } from '../src/testing/fake-l1.ts';
import { Cluster, expectOneOrder, hold, type TestNode, transaction, until } from './support.ts';

const START = 4;
const LENGTH = 16;
let cluster: Cluster;
/** What each node sees, by its index; undefined: nothing. */
let chains: (FakeL1 | undefined)[];
let telling: NodeJS.Timeout;

afterEach(async () => {
  clearInterval(telling);
  await cluster.close();
});

/** From the anchor of the final head on, as `L1Follower` tells it. */
function blocksFor({ sequencer }: TestNode, chain: FakeL1): L1BlockId[] {
  const anchor = sequencer.core.l1Anchor;
  if (anchor.number > chain.head || toHex(chain.idOf(anchor.number).hash) !== toHex(anchor.hash)) return [anchor];
  return Array.from({ length: chain.head - anchor.number + 1 }, (_, i) => chain.idOf(anchor.number + i));
}

async function running(chain: FakeL1, epochLengthBlocks = 1_000_000): Promise<readonly TestNode[]> {
  const { number, hash } = chain.idOf(START);
  const l1 = { chainId: chain.chainId, anchor: { number, hash: toHex(hash) }, confirmations: 0 };
  cluster = new Cluster({ l1, epochLengthBlocks });
  chains = cluster.nodes.map(() => chain);
  await cluster.start();
  telling = setInterval(() => {
    for (const node of cluster.nodes) {
      const seen = chains[node.index];
      if (seen) node.sequencer.seeL1(blocksFor(node, seen));
    }
  }, 10);
  return cluster.nodes;
}

const anchorOf = ({ sequencer }: TestNode) => sequencer.core.l1Anchor.number;
const reach = (nodes: readonly TestNode[], number: number) =>
  // A view that was lost on a slow machine makes all wait.
  until(`the anchor ${number}`, () => nodes.every((node) => anchorOf(node) >= number), 50_000);

/** Numbers and hashes of the anchors of final blocks: never down, each on the chain. */
async function expectAnchors(node: TestNode, chain: FakeL1): Promise<void> {
  let before = START;
  for (let height = 1; height <= node.height; height++) {
    const { block } = (await node.store.readBlock(height))!;
    const { l1AnchorNumber, l1AnchorHash } = Block.deserialize(block).header;
    expect(l1AnchorNumber).toBeGreaterThanOrEqual(before);
    expect(l1AnchorHash).toEqual(chain.idOf(l1AnchorNumber).hash);
    before = l1AnchorNumber;
  }
}

it('the anchor goes on from epoch to epoch, and after a crash from where it was', async () => {
  const chain = new FakeL1(START + 4);
  const nodes = await running(chain, LENGTH);
  await reach(nodes, START + 3);
  await nodes[1]!.crash();
  chain.mine(3);
  await reach([nodes[0]!, nodes[2]!, nodes[3]!], START + 6);
  await nodes[1]!.start();
  expect(anchorOf(nodes[1]!)).toBeGreaterThanOrEqual(START + 3);
  const { epoch } = nodes[0]!.sequencer;
  await until('the next epoch', () => nodes.every(({ sequencer }) => sequencer.epoch > epoch));
  chain.mine(40);
  await reach(nodes, START + 46);
  await expectAnchors(nodes[1]!, chain);
  await expectOneOrder(nodes);
  expect(nodes.flatMap(({ journal }) => journal.blamed)).toEqual([]);
});

it('the anchor goes on with one node that sees nothing, which keeps to what the others decide', async () => {
  const chain = new FakeL1(START + 2);
  const nodes = await running(chain);
  chains[3] = undefined;
  await reach(nodes, START + 1);
  chain.mine(2);
  await reach(nodes, START + 3);
  await expectAnchors(nodes[3]!, chain);
  expect(nodes.flatMap(({ journal }) => journal.blamed)).toEqual([]);
});

it('what is sent is ordered when half of the nodes see another L1 than the others', async () => {
  const chain = new FakeL1(START + 2);
  const nodes = await running(chain);
  await reach(nodes, START + 1);
  const other = chain.copy();
  chains[2] = other;
  chains[3] = other;
  other.mine(20);
  chain.mine(20);
  const sent = nodes.map((_, i) => transaction(i, 1));
  await Promise.all(nodes.map((node, i) => node.submit([sent[i]!])));
  await hold(nodes, sent.map(toHex));
  expect(nodes.map(anchorOf)).toEqual(nodes.map(() => START + 1));
});
