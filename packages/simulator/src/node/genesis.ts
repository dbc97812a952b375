/** The genesis file of a simulated network, and its validators' node keys: these are real, votes are not. */

import { createNodeKey, type NodeKey } from '@squad/crypto';
import { type Genesis, parseGenesis, toHex } from '@squad/types';

export const GENESIS_TIME_MS = 1_700_000_000_000;
export const ROLLUP = 901;
const KEY_BYTES = 32;
const BLS_KEY_BYTES = 48;
const POSSESSION_BYTES = 96;

const keys = new Map<number, NodeKey>();

export function nodeKeyOf(index: number): NodeKey {
  let key = keys.get(index);
  if (!key) {
    key = createNodeKey(new Uint8Array(KEY_BYTES).fill(index + 1));
    keys.set(index, key);
  }
  return key;
}

export function createGenesis(weights: readonly number[]): Genesis {
  const genesis = parseGenesis({
    version: 1,
    name: 'simulated',
    genesisTimeMs: GENESIS_TIME_MS,
    epochLengthBlocks: 1_000_000,
    validators: weights.map((weight, index) => ({
      name: `validator-${index}`,
      blsPublicKey: toHex(new Uint8Array(BLS_KEY_BYTES).fill(index + 1)),
      proofOfPossession: toHex(new Uint8Array(POSSESSION_BYTES).fill(index + 1)),
      nodePublicKey: toHex(nodeKeyOf(index).publicKey),
      weight,
      addresses: [],
    })),
    rollups: [{ rollupId: ROLLUP, kind: 'opaque' }],
  });
  if (!genesis.ok) throw genesis.error;
  return genesis.value;
}
