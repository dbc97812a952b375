/** What is signed: never an object's bare root, always the root bound to a domain (as Ethereum's SigningData). */

import { ContainerType } from '@chainsafe/ssz';
import type { Bytes32 } from './ids.ts';
import { Bytes32Type } from './ssz.ts';

export const SigningData = new ContainerType(
  { objectRoot: Bytes32Type, domain: Bytes32Type },
  { typeName: 'SigningData' },
);

export function signingRoot(objectRoot: Bytes32, domain: Bytes32): Bytes32 {
  return SigningData.hashTreeRoot({ objectRoot, domain });
}
