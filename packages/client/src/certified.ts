/** What ties a block to a certificate: the headers between them, and the refs to the header. No keys, no signatures. */

import {
  type BatchRef,
  BatchRefs,
  type BlockHeader,
  type Bytes32,
  blockHash,
  type Certificate,
  epochOfHeight,
  equalBytes,
  toHex,
} from '@squad/types';
import type { Fault } from './certificates.ts';

/** The certificate names the block, or the last header of a path of descendants that starts at its child. */
export function targetFault(
  header: BlockHeader,
  hash: Bytes32,
  path: readonly BlockHeader[],
  certificate: Certificate,
): Fault | undefined {
  let last = header;
  let lastHash = hash;
  for (const [position, descendant] of path.entries()) {
    if (descendant.height !== last.height + 1) {
      const reason = `header ${position} of its path has height ${descendant.height}, not ${last.height + 1}`;
      return { code: 'PATH_BROKEN', reason };
    }
    if (!equalBytes(descendant.parentHash, lastHash)) {
      const parent = toHex(descendant.parentHash);
      const reason = `header ${position} of its path has parent ${parent}, not ${toHex(lastHash)}`;
      return { code: 'PATH_BROKEN', reason };
    }
    last = descendant;
    lastHash = blockHash(descendant);
  }
  const target = path.length === 0 ? 'the block' : `the end of its path at height ${last.height}`;
  if (!equalBytes(certificate.blockHash, lastHash)) {
    const reason = `the certificate names ${toHex(certificate.blockHash)}, ${target} is ${toHex(lastHash)}`;
    return { code: 'CERTIFICATE_MISMATCH', reason };
  }
  if (certificate.view !== last.view) {
    const reason = `the certificate is of view ${certificate.view}, ${target} of view ${last.view}`;
    return { code: 'CERTIFICATE_MISMATCH', reason };
  }
  return undefined;
}

/** A set may certify blocks after its boundary block; the next set orders those heights (R22). */
export function epilogueFault({ epoch, height }: BlockHeader, epochLengthBlocks: number): Fault | undefined {
  if (epochOfHeight(height, epochLengthBlocks) === epoch) return undefined;
  const reason = `epoch ${epoch} does not order height ${height}: the block is of its epilogue`;
  return { code: 'EPILOGUE', reason };
}

/** Whether these are all of the block's refs: the root is that of the whole list, its length included. */
export function refsFault(header: BlockHeader, refs: readonly BatchRef[]): Fault | undefined {
  const root = BatchRefs.hashTreeRoot([...refs]);
  if (equalBytes(root, header.refsRoot)) return undefined;
  const reason = `its ${refs.length} refs hash to ${toHex(root)}, its header says ${toHex(header.refsRoot)}`;
  return { code: 'REFS_ROOT_MISMATCH', reason };
}
