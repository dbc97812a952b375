/**
 * Hash tree roots of values that were hashed before, by identity: in one process all nodes see the same header, and each
 * hashes it again and again. Headers and lists are never changed once made.
 */

import { BatchRefs, BlockHeader, SkipCertificates } from '@squad/types';

interface Hashing<T extends object> {
  hashTreeRoot(value: T): Uint8Array;
}

function memoize<T extends object>(type: Hashing<T>): void {
  const roots = new WeakMap<T, Uint8Array>();
  const compute = type.hashTreeRoot.bind(type);
  type.hashTreeRoot = (value) => {
    let root = roots.get(value);
    if (root === undefined) {
      root = compute(value);
      roots.set(value, root);
    }
    return root;
  };
}

let isDone = false;

/** Once in a process, before the first schedule. */
export function rememberRoots(): void {
  if (isDone) return;
  isDone = true;
  memoize(BlockHeader);
  memoize(BatchRefs);
  memoize(SkipCertificates);
}
