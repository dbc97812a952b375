/** An honest chain behind as many sequencers as a test wants, each with lies of its own. */

import { blstBls, keccak256, sha256 } from '@squad/crypto/node';
import { type Genesis, parseGenesis, toHex } from '@squad/types';
import { onTestFinished } from 'vitest';
import { type Liar, type NetworkAccess, networkAccess } from '../src/index.ts';
import { HonestChain } from '../src/testing/index.ts';
import { FakeSequencer, type Lies } from './fake-sequencer.ts';

export const ROLLUP = 901;
export const native = { bls: blstBls, sha256, keccak256 };

export const hashOf = (raw: Uint8Array) => toHex(keccak256(raw));

export function newChain(options: Partial<ConstructorParameters<typeof HonestChain>[0]> = {}): HonestChain {
  return new HonestChain({ bls: blstBls, sha256, ...options });
}

export function genesisOf(chain: HonestChain): Genesis {
  const genesis = parseGenesis(chain.genesisFile);
  if (!genesis.ok) throw genesis.error;
  return genesis.value;
}

export interface FakeNetwork {
  readonly sequencers: readonly FakeSequencer[];
  readonly access: NetworkAccess;
  readonly liars: Liar[];
}

export async function fakeNetwork(chain: HonestChain, ...lies: Lies[]): Promise<FakeNetwork> {
  const sequencers: FakeSequencer[] = [];
  for (const lie of lies) {
    const sequencer = await FakeSequencer.start(chain, lie);
    onTestFinished(() => sequencer.stop().catch(() => {}));
    sequencers.push(sequencer);
  }
  const liars: Liar[] = [];
  const endpoints = sequencers.map(({ url }) => url);
  const access = networkAccess(genesisOf(chain), endpoints, { ...native, onLiar: (liar) => liars.push(liar) });
  return { sequencers, access, liars };
}
