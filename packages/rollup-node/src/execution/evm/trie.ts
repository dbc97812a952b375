/**
 * A Merkle Patricia trie for keys of which none is a prefix of another (hashed state keys, RLP-coded indexes). Nodes are
 * changed in memory and hashed once, at `commit`, however many changes went through them; committed nodes are never
 * changed again, so a root kept from an earlier commit stays valid and shares what did not change.
 *
 * Reading is synchronous: a node comes from memory, or from a `NodeSource` (a store that reads without waiting).
 * The format is Ethereum's: yellow paper, appendix D.
 */

import { RLP } from '@ethereumjs/rlp';
import { SquadError } from '@squad/types';
import { keccak256 } from '../keccak.ts';
import { encodeIndex, encodeList, type RlpItem } from './rlp.ts';

/** Finds a node's encoding by its hash. */
export type NodeSource = (hash: Uint8Array) => Uint8Array | undefined;
/** Is told of each new node at `commit`. */
export type NodeSink = (hash: Uint8Array, encoding: Uint8Array) => void;

interface Leaf {
  readonly kind: 'leaf';
  path: Uint8Array;
  value: Uint8Array;
  reference: Reference | undefined;
}
interface Extension {
  readonly kind: 'extension';
  readonly path: Uint8Array;
  child: Child;
  reference: Reference | undefined;
}
interface Branch {
  readonly kind: 'branch';
  readonly children: (Child | undefined)[];
  reference: Reference | undefined;
}
type Node = Leaf | Extension | Branch;
/** A node in memory, or the hash of one that is not. */
type Child = Node | Uint8Array;
/** How a parent names a committed node: its hash, or, if its encoding is shorter than 32 bytes, its decoded encoding. */
type Reference = RlpItem;

/** A committed or changed trie's root: undefined is the empty trie. */
export type TrieRoot = Child | undefined;

/** The root hash of a trie without keys. */
export const EMPTY_TRIE_ROOT: Uint8Array = keccak256(new Uint8Array([0x80]));

export function rootFromHash(hash: Uint8Array): TrieRoot {
  return Buffer.compare(hash, EMPTY_TRIE_ROOT) === 0 ? undefined : hash;
}

export function trieGet(root: TrieRoot, key: Uint8Array, source: NodeSource): Uint8Array | undefined {
  const path = nibblesOf(key);
  let child: Child | undefined = root;
  let replace: (node: Node) => void = () => {};
  for (let offset = 0; child !== undefined; ) {
    const node: Node = load(child, source);
    if (node !== child) replace(node);
    if (node.kind === 'leaf') return endsWith(path, offset, node.path) ? node.value : undefined;
    if (node.kind === 'extension') {
      if (sharedLength(path, offset, node.path) < node.path.length) return undefined;
      offset += node.path.length;
      child = node.child;
      replace = (loaded) => {
        node.child = loaded;
      };
    } else {
      const index: number = path[offset++]!;
      child = node.children[index];
      replace = (loaded) => {
        node.children[index] = loaded;
      };
    }
  }
  return undefined;
}

/** Returns the root with the value set; an empty value deletes. Does not change what committed roots hold. */
export function triePut(root: TrieRoot, key: Uint8Array, value: Uint8Array, source: NodeSource): TrieRoot {
  const path = nibblesOf(key);
  return value.length === 0 ? remove(root, path, 0, source) : insert(root, path, 0, value, source);
}

/** Hashes what changed, deepest first, telling the sink of every new node; returns the root hash. */
export function trieCommit(root: TrieRoot, sink: NodeSink): Uint8Array {
  if (root === undefined) return EMPTY_TRIE_ROOT;
  if (root instanceof Uint8Array) return root;
  const reference = referenceOf(root, sink);
  if (reference instanceof Uint8Array) return reference;
  const encoding = encodeList(reference);
  const hash = keccak256(encoding);
  sink(hash, encoding);
  return hash;
}

/** The encodings of the nodes from the root to the key, or to where its path ends: an EIP-1186 proof. Committed roots only. */
export function trieProof(root: TrieRoot, key: Uint8Array, source: NodeSource): Uint8Array[] {
  const path = nibblesOf(key);
  const proof: Uint8Array[] = [];
  let child: Child | undefined = root;
  for (let offset = 0; child !== undefined; ) {
    const node: Node = load(child, source);
    const encoding = encodeList(itemsOf(node, () => {}));
    if (encoding.length >= 32 || proof.length === 0) proof.push(encoding);
    if (node.kind === 'leaf') return proof;
    if (node.kind === 'extension') {
      if (sharedLength(path, offset, node.path) < node.path.length) return proof;
      offset += node.path.length;
      child = node.child;
    } else {
      child = node.children[path[offset++]!];
    }
  }
  return proof;
}

/** The root hash of a list keyed by RLP-coded index, as headers hold for transactions and receipts. */
export function indexedRoot(values: readonly Uint8Array[]): Uint8Array {
  const none: NodeSource = () => undefined;
  let root: TrieRoot;
  values.forEach((value, index) => {
    root = triePut(root, encodeIndex(index), value, none);
  });
  return trieCommit(root, () => {});
}

function insert(child: Child | undefined, path: Uint8Array, at: number, value: Uint8Array, source: NodeSource): Node {
  if (child === undefined) return leaf(path.subarray(at), value);
  const node = load(child, source);
  if (node.kind === 'branch') {
    const branch = writable(node);
    const index = path[at]!;
    branch.children[index] = insert(branch.children[index], path, at + 1, value, source);
    return branch;
  }
  const shared = sharedLength(path, at, node.path);
  if (node.kind === 'leaf') {
    if (shared === node.path.length && at + shared === path.length) return leaf(node.path, value);
  } else if (shared === node.path.length) {
    return extension(node.path, insert(node.child, path, at + shared, value, source));
  }
  const split: Branch = { kind: 'branch', children: new Array(16).fill(undefined), reference: undefined };
  const rest = node.path.subarray(shared + 1);
  split.children[node.path[shared]!] =
    node.kind === 'leaf' ? leaf(rest, node.value) : rest.length === 0 ? node.child : extension(rest, node.child);
  split.children[path[at + shared]!] = leaf(path.subarray(at + shared + 1), value);
  return shared === 0 ? split : extension(path.subarray(at, at + shared), split);
}

function remove(child: Child | undefined, path: Uint8Array, at: number, source: NodeSource): Child | undefined {
  if (child === undefined) return undefined;
  const node = load(child, source);
  if (node.kind === 'leaf') return endsWith(path, at, node.path) ? undefined : child;
  if (node.kind === 'extension') {
    if (sharedLength(path, at, node.path) < node.path.length) return child;
    const below = remove(node.child, path, at + node.path.length, source);
    if (below === node.child || below === undefined) return below === undefined ? undefined : child;
    return prefixed(node.path, below, source);
  }
  const index = path[at]!;
  const before = node.children[index];
  const below = remove(before, path, at + 1, source);
  if (below === before && (below === undefined || isClean(below))) return child;
  const branch = writable(node);
  branch.children[index] = below;
  if (below !== undefined) return branch;
  const left = branch.children.flatMap((kept, position) => (kept === undefined ? [] : [position]));
  if (left.length > 1) return branch;
  return prefixed(Uint8Array.of(left[0]!), branch.children[left[0]!]!, source);
}

/** The node with a path before it; a leaf or an extension takes the path into its own. */
function prefixed(path: Uint8Array, child: Child, source: NodeSource): Node {
  const node = load(child, source);
  if (node.kind === 'branch') return extension(path, node);
  const joined = new Uint8Array(path.length + node.path.length);
  joined.set(path);
  joined.set(node.path, path.length);
  return node.kind === 'leaf' ? leaf(joined, node.value) : extension(joined, node.child);
}

function leaf(path: Uint8Array, value: Uint8Array): Leaf {
  return { kind: 'leaf', path, value, reference: undefined };
}

function extension(path: Uint8Array, child: Child): Extension {
  return { kind: 'extension', path, child, reference: undefined };
}

function isClean(child: Child): boolean {
  return child instanceof Uint8Array || child.reference !== undefined;
}

/** A branch that may be changed: the same if it is new since the last commit, else a copy. */
function writable(node: Branch): Branch {
  if (node.reference === undefined) return node;
  return { kind: 'branch', children: node.children.slice(), reference: undefined };
}

function load(child: Child, source: NodeSource): Node {
  if (!(child instanceof Uint8Array)) return child;
  const encoding = source(child);
  if (encoding === undefined) {
    throw new SquadError(
      'STATE_NODE_MISSING',
      `the state has no node ${Buffer.from(child).toString('hex')}: the store is damaged, or does not hold this state`,
      'Stop the node, delete its data directory, and let it derive the rollup again from the sequence.',
    );
  }
  return nodeOf(RLP.decode(encoding) as RlpItem[], child);
}

function nodeOf(items: readonly RlpItem[], reference: Reference): Node {
  if (items.length === 17) {
    const children = items.slice(0, 16).map(childOf);
    return { kind: 'branch', children, reference };
  }
  const { path, isLeaf } = decodePath(items[0] as Uint8Array);
  if (isLeaf) return { kind: 'leaf', path, value: items[1] as Uint8Array, reference };
  return { kind: 'extension', path, child: childOf(items[1]!)!, reference };
}

function childOf(item: RlpItem): Child | undefined {
  if (!(item instanceof Uint8Array)) return nodeOf(item, item);
  return item.length === 0 ? undefined : item;
}

function referenceOf(child: Child, sink: NodeSink): Reference {
  if (child instanceof Uint8Array) return child;
  if (child.reference !== undefined) return child.reference;
  const items = itemsOf(child, sink);
  const encoding = encodeList(items);
  if (encoding.length < 32) {
    child.reference = items;
  } else {
    const hash = keccak256(encoding);
    sink(hash, encoding);
    child.reference = hash;
  }
  return child.reference;
}

const NOTHING = new Uint8Array();

function itemsOf(node: Node, sink: NodeSink): RlpItem[] {
  if (node.kind === 'leaf') return [encodePath(node.path, true), node.value];
  if (node.kind === 'extension') return [encodePath(node.path, false), referenceOf(node.child, sink)];
  const items: RlpItem[] = node.children.map((child) => (child === undefined ? NOTHING : referenceOf(child, sink)));
  items.push(NOTHING);
  return items;
}

function nibblesOf(key: Uint8Array): Uint8Array {
  const nibbles = new Uint8Array(key.length * 2);
  for (let i = 0; i < key.length; i++) {
    nibbles[2 * i] = key[i]! >> 4;
    nibbles[2 * i + 1] = key[i]! & 15;
  }
  return nibbles;
}

/** Hex-prefix encoding. */
function encodePath(nibbles: Uint8Array, isLeaf: boolean): Uint8Array {
  const odd = nibbles.length & 1;
  const out = new Uint8Array(1 + (nibbles.length >> 1));
  out[0] = (isLeaf ? 0x20 : 0) | (odd ? 0x10 | nibbles[0]! : 0);
  for (let i = 1; i < out.length; i++) {
    out[i] = (nibbles[2 * i - 2 + odd]! << 4) | nibbles[2 * i - 1 + odd]!;
  }
  return out;
}

function decodePath(bytes: Uint8Array): { path: Uint8Array; isLeaf: boolean } {
  const nibbles = nibblesOf(bytes);
  return { path: nibbles.subarray(nibbles[0]! & 1 ? 1 : 2), isLeaf: (nibbles[0]! & 2) !== 0 };
}

function sharedLength(path: Uint8Array, at: number, other: Uint8Array): number {
  const limit = Math.min(path.length - at, other.length);
  for (let i = 0; i < limit; i++) if (path[at + i] !== other[i]) return i;
  return limit;
}

function endsWith(path: Uint8Array, at: number, rest: Uint8Array): boolean {
  return path.length - at === rest.length && sharedLength(path, at, rest) === rest.length;
}
