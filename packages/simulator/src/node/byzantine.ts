/** What Byzantine validators do in a world of whole nodes: in each epoch another adversary of their kind, with one memory. */

import {
  ADVERSARIES,
  type Adversary,
  type AdversaryContext,
  forgedSignature,
  type PlannedEpoch,
  type Random,
} from '@squad/consensus/sim';
import { type ConsensusMessage, type ValidatorIndex, voteSigningRoot } from '@squad/types';
import type { NodeOfWorld } from './node.ts';
import type { NodeWorld } from './world.ts';

const MAX_WILD_SKEW_MS = 30_000;

export class ByzantineNodes {
  readonly #world: NodeWorld;
  readonly #random: Random;
  readonly #adversaries = new Map<string, Adversary>();

  /** `random`: the world's. */
  constructor(world: NodeWorld, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  /** What a Byzantine validator is in an epoch. */
  adversaryOf(node: NodeOfWorld, epoch: PlannedEpoch): Adversary | undefined {
    const name = this.#world.schedule.byzantine.get(node.index);
    const self = epoch.positionOf(node.index);
    if (name === undefined || self === undefined) return undefined;
    const key = `${node.place} ${epoch.number}`;
    let adversary = this.#adversaries.get(key);
    if (!adversary) {
      adversary = ADVERSARIES[name](this.#adversaryContext(node, epoch, self));
      this.#adversaries.set(key, adversary);
    }
    return adversary;
  }

  #adversaryContext(node: NodeOfWorld, epoch: PlannedEpoch, self: ValidatorIndex): AdversaryContext {
    const { number, members, leaders, lastHeight } = epoch;
    const positions = [...members.keys()];
    return {
      self,
      epoch: number,
      lastHeight,
      memory: node.memory,
      others: positions.filter((position) => position !== self),
      random: this.#random.fork(number === 0 ? `adversary-${node.place}` : `adversary-${node.place}-${number}`),
      side: new Set(this.#random.fork('side').subset(positions)),
      leaderAt: (view) => leaders.leaderAt(view),
      sign: (kind, view, blockHash, ofEpoch = number) => {
        const content = { kind, epoch: ofEpoch, view, blockHash };
        // In another epoch its key stands at another position, or at none.
        const position = ofEpoch === number ? self : this.#world.plan.at(ofEpoch).positionOf(node.index);
        const root = voteSigningRoot(this.#world.genesis.networkId, content);
        const signature =
          position === undefined ? forgedSignature(view, true) : this.#world.registry.schemeFor(position).sign(root);
        return { ...content, signer: self, signature };
      },
      send: (to: ValidatorIndex, message: ConsensusMessage) => node.say(members[to]!, message),
      keepBatch: () => {},
      later: (delayMs, act) => {
        const { life } = node;
        if (life) this.#world.queue.after(delayMs, () => this.#world.time.in(life, act));
      },
      skewClock: () => {
        node.clockSkewMs = this.#random
          .fork(`skew-${node.place}-${this.#world.queue.nowMs}`)
          .integer(-MAX_WILD_SKEW_MS, MAX_WILD_SKEW_MS);
      },
      count: (kind) => this.#world.count(kind),
    };
  }
}
