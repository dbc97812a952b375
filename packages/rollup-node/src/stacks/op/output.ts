/** Output roots, version 0: what an OP Stack chain commits to on L1. https://specs.optimism.io/protocol/proposals.html */

import { type Bytes32, concatBytes, ZERO_HASH } from '@squad/types';
import { keccak256 } from '../../execution/keccak.ts';

export interface OutputV0 {
  readonly stateRoot: Bytes32;
  /** Of the storage of L2ToL1MessagePasser, 0x4200000000000000000000000000000000000016. */
  readonly withdrawalStorageRoot: Bytes32;
  readonly blockHash: Bytes32;
}

export function outputRoot({ stateRoot, withdrawalStorageRoot, blockHash }: OutputV0): Bytes32 {
  return keccak256(concatBytes(ZERO_HASH, stateRoot, withdrawalStorageRoot, blockHash));
}
