/**
 * The chain's rules as the EVM library takes them: one object for everything. The library copies its `Common` and merges
 * all parameters again for every transaction that it decodes, which alone takes longer than executing a transfer; this
 * one is shared instead, and each set of parameters is merged once. It must therefore never change its hard fork.
 */

import { createHash } from 'node:crypto';
import { Common, type CustomCrypto, Mainnet } from '@ethereumjs/common';
import secp256k1 from 'secp256k1';
import { keccak256 } from '../keccak.ts';
import { verifyKzgProof } from './kzg.ts';

export type HardforkName = 'cancun' | 'prague' | 'osaka';
type ParameterSet = Parameters<Common['updateParams']>[0];

class SharedCommon extends Common {
  // Set while the constructor of the base class may already have called `updateParams`: hence not a private field.
  protected merged?: Set<ParameterSet>;

  override copy(): Common {
    return this;
  }

  override updateParams(params: ParameterSet): void {
    this.merged ??= new Set();
    if (this.merged.has(params)) return;
    this.merged.add(params);
    super.updateParams(params);
  }
}

export function createSharedCommon(chainId: number, hardfork: HardforkName): Common {
  return new SharedCommon({ chain: { ...Mainnet, name: 'squad', chainId }, hardfork, customCrypto });
}

const customCrypto: CustomCrypto = {
  keccak256,
  sha256: (message) => createHash('sha256').update(message).digest(),
  ecrecover: (hash, v, r, s, chainId) => {
    const recovery = v === 0n || v === 1n ? Number(v) : Number(v - (chainId === undefined ? 27n : chainId * 2n + 35n));
    if (recovery !== 0 && recovery !== 1) throw new RangeError(`no signature has the recovery value ${v}`);
    return secp256k1.ecdsaRecover(signatureOf(r, s), recovery, hash, false).slice(1);
  },
  // The precompile of EIP-4844 only verifies.
  kzg: { verifyProof: verifyKzgProof } as NonNullable<CustomCrypto['kzg']>,
  ecdsaRecover: (signature, recovery, hash) => secp256k1.ecdsaRecover(signature, recovery, hash, false).slice(1),
};

function signatureOf(r: Uint8Array, s: Uint8Array): Uint8Array {
  const signature = new Uint8Array(64);
  signature.set(r, 32 - r.length);
  signature.set(s, 64 - s.length);
  return signature;
}
