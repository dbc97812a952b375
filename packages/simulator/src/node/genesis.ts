/** The genesis file of a simulated network, and its validators' node keys: these are real, votes are not. */

import { EpochPlan, type Schedule } from '@squad/consensus/sim';
import { createNodeKey, type NodeKey } from '@squad/crypto';
import { genesisSchedule, type ValidatorSetSource } from '@squad/sequencer/parts';
import {
  type Epoch,
  equalBytes,
  type Genesis,
  MAX_SCHEDULED_VALIDATOR_SETS,
  parseGenesis,
  toHex,
  type ValidatorSet,
} from '@squad/types';

export const GENESIS_TIME_MS = 1_700_000_000_000;
export const ROLLUP = 901;
const KEY_BYTES = 32;
const BLS_KEY_BYTES = 48;
const POSSESSION_BYTES = 96;
/** Of a set that never changes: no run gets there. */
const ENDLESS_BLOCKS = 1_000_000;

const keys = new Map<number, NodeKey>();

export function nodeKeyOf(identity: number): NodeKey {
  let key = keys.get(identity);
  if (!key) {
    key = createNodeKey(new Uint8Array(KEY_BYTES).fill(identity + 1));
    keys.set(identity, key);
  }
  return key;
}

/** Whose node key it is; -1: of nobody here. */
export function identityOfNodeKey(publicKey: Uint8Array): number {
  return [...keys.entries()].find(([, key]) => equalBytes(key.publicKey, publicKey))?.[0] ?? -1;
}

/** Who validates when: in as many epochs as a genesis file can name, the last of these sets from then on. */
export function createPlan({ weights, epochs }: Pick<Schedule, 'weights' | 'epochs'>): EpochPlan {
  return new EpochPlan(weights, epochs, {
    keysOf: (identity, rotation) => {
      const blsPublicKey = new Uint8Array(BLS_KEY_BYTES).fill(identity + 1);
      blsPublicKey[0] = rotation;
      return { blsPublicKey, nodePublicKey: nodeKeyOf(identity).publicKey };
    },
    lastChange: MAX_SCHEDULED_VALIDATOR_SETS,
  });
}

export function createGenesis(plan: EpochPlan, { epochs }: Pick<Schedule, 'epochs'>): Genesis {
  const numbers = Array.from({ length: MAX_SCHEDULED_VALIDATOR_SETS }, (_, i) => i + 1);
  const genesis = parseGenesis({
    version: 1,
    name: 'simulated',
    genesisTimeMs: GENESIS_TIME_MS,
    epochLengthBlocks: epochs?.lengthBlocks ?? ENDLESS_BLOCKS,
    validators: validatorsOf(plan.at(0).validatorSet),
    ...(epochs && {
      validatorSchedule: numbers.map((fromEpoch) => ({
        fromEpoch,
        validators: validatorsOf(plan.at(fromEpoch).validatorSet),
      })),
    }),
    rollups: [{ rollupId: ROLLUP, kind: 'opaque' }],
  });
  if (!genesis.ok) throw genesis.error;
  return genesis.value;
}

function validatorsOf({ validators }: ValidatorSet) {
  return validators.map(({ blsPublicKey, nodePublicKey, weight }) => ({
    name: `validator-${identityOfNodeKey(nodePublicKey)}`,
    blsPublicKey: toHex(blsPublicKey),
    proofOfPossession: toHex(new Uint8Array(POSSESSION_BYTES).fill(1)),
    nodePublicKey: toHex(nodePublicKey),
    weight,
    addresses: [],
  }));
}

/** What an operator's file and the genesis file say; `disputed`: the other word that the file has for an epoch now. */
export function operatorsSets(genesis: Genesis, disputed: (epoch: Epoch) => ValidatorSet | undefined): OperatorsSets {
  const agreed = genesisSchedule(genesis);
  let change = (): void => {};
  return {
    setFrom: (epoch) => {
      const said = agreed.setFrom(epoch);
      // One weighs something else; all the rest is the same.
      const weights = disputed(epoch)?.validators.map(({ weight }) => weight);
      return weights ? said?.map((validator, i) => ({ ...validator, weight: weights[i]! })) : said;
    },
    describe: (nodePublicKey) => agreed.describe(nodePublicKey),
    laterSets: () => agreed.laterSets(),
    onChange: (callback) => {
      change = callback;
    },
    stop: () => {},
    changed: () => change(),
  };
}

export interface OperatorsSets extends ValidatorSetSource {
  /** The file was replaced. */
  changed(): void;
}
