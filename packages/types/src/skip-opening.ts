/**
 * Openings of a header's skips root: what of a list of nullifications the header commits to, shown without the list. A
 * list's root is its leaves' Merkle root hashed with its length, so one pair of nodes shows how many there are, and one
 * branch shows the certificate at a position.
 */

import { ContainerType, ListCompositeType, type ValueOf } from '@chainsafe/ssz';
import type { Bytes32 } from './ids.ts';
import { equalBytes, ZERO_HASH } from './ids.ts';
import { MAX_SKIPPED_VIEWS } from './limits.ts';
import { Bytes32Type, Uint64 } from './ssz.ts';
import { Certificate } from './vote.ts';

/** Levels of the tree over the list's leaves: log2 of MAX_SKIPPED_VIEWS. */
const SKIP_TREE_DEPTH = 12;

export const SkipOpening = new ContainerType(
  {
    /** How many certificates the list has. */
    count: Uint64,
    /** Where in the list the certificate stands; 0 if none is shown. */
    position: Uint64,
    /** The certificate at `position`, or none: then only `count` is shown. */
    certificates: new ListCompositeType(Certificate, 1),
    /** With a certificate: the siblings from its leaf upwards. Without: the root of the list's leaves alone. */
    branch: new ListCompositeType(Bytes32Type, SKIP_TREE_DEPTH),
  },
  { typeName: 'SkipOpening', jsonCase: 'eth2' },
);
export type SkipOpening = Omit<ValueOf<typeof SkipOpening>, 'certificates'> & { certificates: Certificate[] };

const NodePair = new ContainerType({ left: Bytes32Type, right: Bytes32Type });
const parentOf = (left: Bytes32, right: Bytes32): Bytes32 => NodePair.hashTreeRoot({ left, right });

/** Shows how many certificates the list has; with a position, also the one that stands there. */
export function openSkips(skips: readonly Certificate[], position?: number): SkipOpening {
  const { root, branch } = branchOf(
    skips.map((skip) => Certificate.hashTreeRoot(skip)),
    position ?? 0,
  );
  const count = skips.length;
  if (position === undefined) return { count, position: 0, certificates: [], branch: [root] };
  return { count, position, certificates: [skips[position]!], branch };
}

/** Whether the root is that of a list which is as the opening says. */
export function opensSkips({ count, position, certificates, branch }: SkipOpening, skipsRoot: Bytes32): boolean {
  const [certificate] = certificates;
  if (certificate === undefined) return branch.length === 1 && isListRoot(branch[0]!, count, skipsRoot);
  if (branch.length !== SKIP_TREE_DEPTH || position >= count || count > MAX_SKIPPED_VIEWS) return false;
  let node: Bytes32 = Certificate.hashTreeRoot(certificate);
  for (const [level, sibling] of branch.entries()) {
    node = (position >> level) & 1 ? parentOf(sibling, node) : parentOf(node, sibling);
  }
  return isListRoot(node, count, skipsRoot);
}

/** The root of a list of so many elements: its leaves' root and the count as a uint256. */
function isListRoot(leavesRoot: Bytes32, count: number, root: Bytes32): boolean {
  const length = ZERO_HASH.slice();
  new DataView(length.buffer).setBigUint64(0, BigInt(count), true);
  return equalBytes(parentOf(leavesRoot, length), root);
}

function branchOf(leaves: readonly Bytes32[], position: number): { root: Bytes32; branch: Bytes32[] } {
  const branch: Bytes32[] = [];
  let nodes = leaves;
  let empty: Bytes32 = ZERO_HASH;
  for (let level = 0; level < SKIP_TREE_DEPTH; level++) {
    branch.push(nodes[(position >> level) ^ 1] ?? empty);
    const above: Bytes32[] = [];
    for (let i = 0; i < nodes.length; i += 2) above.push(parentOf(nodes[i]!, nodes[i + 1] ?? empty));
    nodes = above;
    empty = parentOf(empty, empty);
  }
  return { root: nodes[0] ?? empty, branch };
}
