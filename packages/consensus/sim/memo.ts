/**
 * What was computed before, of values that are never changed once made: in one process all nodes see the same headers, votes
 * and digests, and each hashes them, or writes them as a name, again and again.
 */

import {
  BatchRefs,
  BlockHeader,
  type ConsensusMessage,
  encodeValidatorMessage,
  SigningData,
  SkipCertificates,
  toHex,
  ValidatorSet,
  VoteData,
} from '@squad/types';

interface Hashing<T> {
  hashTreeRoot(value: T): Uint8Array;
}

/** A function of an object, by its identity. */
function remembered<K extends object, V>(compute: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, V>();
  return (key) => {
    let value = known.get(key);
    if (value === undefined) {
      value = compute(key);
      known.set(key, value);
    }
    return value;
  };
}

/** `toHex` of a hash or a digest, as a name for it. */
export const hexOf: (bytes: Uint8Array) => string = remembered(toHex);

/** `encodeValidatorMessage`: what is sent to all is encoded once. */
export const encodingOf: (message: ConsensusMessage) => Uint8Array = remembered(encodeValidatorMessage);

function memoize<T extends object>(type: Hashing<T>): void {
  type.hashTreeRoot = remembered(type.hashTreeRoot.bind(type));
}

/** Of lists most are empty, and each is another object. */
function memoizeList<T>(type: Hashing<T[]>): void {
  const none = type.hashTreeRoot([]);
  const rootOf = remembered(type.hashTreeRoot.bind(type));
  type.hashTreeRoot = (value) => (value.length === 0 ? none : rootOf(value));
}

/** By what is in it: everybody makes these objects anew. Those of the network that is running are kept. */
function memoizeByContent<T extends { networkId: Uint8Array }>(type: Hashing<T>, contentOf: (value: T) => string) {
  const compute = type.hashTreeRoot.bind(type);
  const roots = new Map<string, Uint8Array>();
  let network: string | undefined;
  return (value: T): Uint8Array => {
    const its = hexOf(value.networkId);
    if (its !== network) {
      roots.clear();
      network = its;
    }
    const content = contentOf(value);
    let root = roots.get(content);
    if (root === undefined) {
      root = compute(value);
      roots.set(content, root);
    }
    return root;
  };
}

/** Every field of it, those that are bytes by their names. */
function headerContent(header: BlockHeader): string {
  const { version, epoch, view, height, parentView, leader, timestampMs, l1AnchorNumber } = header;
  const numbers = `${version} ${epoch} ${view} ${height} ${parentView} ${leader} ${timestampMs} ${l1AnchorNumber}`;
  const { parentHash, l1AnchorHash, refsRoot, skipsRoot, nextValidatorSetHash } = header;
  const hashes = [parentHash, l1AnchorHash, refsRoot, skipsRoot, nextValidatorSetHash].map(hexOf).join(' ');
  return `${numbers} ${hashes}`;
}

/** By the identity of both parts. */
function memoizeSigningData(): void {
  const compute = SigningData.hashTreeRoot.bind(SigningData);
  const rootsOf = remembered((_objectRoot: Uint8Array) => new Map<Uint8Array, Uint8Array>());
  SigningData.hashTreeRoot = (value) => {
    const roots = rootsOf(value.objectRoot);
    let root = roots.get(value.domain);
    if (root === undefined) {
      root = compute(value);
      roots.set(value.domain, root);
    }
    return root;
  };
}

let isDone = false;

/** Once in a process, before the first schedule. */
export function rememberRoots(): void {
  if (isDone) return;
  isDone = true;
  BlockHeader.hashTreeRoot = remembered(memoizeByContent(BlockHeader, headerContent));
  memoizeList(BatchRefs);
  memoizeList(SkipCertificates);
  memoize(ValidatorSet);
  VoteData.hashTreeRoot = memoizeByContent(
    VoteData,
    ({ epoch, view, blockHash }) => `${epoch} ${view} ${hexOf(blockHash)}`,
  );
  memoizeSigningData();
}
