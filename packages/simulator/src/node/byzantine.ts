/**
 * What Byzantine validators do in a world of whole nodes: in each epoch another adversary of their kind, with one memory. It
 * bends what goes out of a node, frame by frame and answer by answer.
 */

import {
  ADVERSARIES,
  type Adversary,
  type AdversaryContext,
  type AdversaryName,
  forgedSignature,
  type PlannedEpoch,
  type Random,
} from '@squad/consensus/sim';
import type { RequestProtocol } from '@squad/network';
import {
  batchDigest,
  type ConsensusMessage,
  encodeValidatorMessage,
  NO_L1_ANCHOR,
  type ValidatorIndex,
  type ValidatorMessage,
  voteSigningRoot,
} from '@squad/types';
import { nodeKeyOf } from './genesis.ts';
import { LaneEquivocator } from './lane-equivocator.ts';
import { lie } from './liar.ts';
import type { NodeOfWorld } from './node.ts';
import type { NodeWorld } from './world.ts';

const MAX_WILD_SKEW_MS = 30_000;

export class ByzantineNodes {
  readonly #world: NodeWorld;
  readonly #random: Random;
  readonly #adversaries = new Map<string, Adversary>();
  /** Those who equivocate with whole batches, by place and epoch. */
  readonly #equivocators = new Map<string, LaneEquivocator>();
  /** Of those who lie in answers, by place. */
  readonly #lies = new Map<number, Random>();

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

  /** What goes to one peer in place of an honest frame. */
  bend(node: NodeOfWorld, to: ValidatorIndex, frame: Uint8Array, message: ValidatorMessage): readonly Uint8Array[] {
    const { adversary, random } = node;
    if (!adversary) return [frame];
    if (this.#kindOf(node) === 'garbage-sender' && random.chance(0.05)) {
      return [random.bytes(random.integer(0, 300))];
    }
    if (message.type === 'batch') {
      const { batch } = message;
      const equivocator = this.#equivocatorOf(node);
      if (equivocator) {
        const given = equivocator.batchFor(to, batch);
        return given === batch ? [frame] : [encodeValidatorMessage({ type: 'batch', batch: given })];
      }
      const { header } = batch.signed;
      const { author, seq, rollupId, joinsNext, previousDigest } = header;
      const held = { ref: { author, seq, rollupId, digest: batchDigest(header), joinsNext }, previousDigest };
      return adversary.spread && adversary.spread(to, held) === undefined ? [] : [frame];
    }
    if (message.type === 'acknowledgements') {
      const { acknowledges } = adversary;
      if (!acknowledges) return [frame];
      const kept = message.acknowledgements.filter(({ author }) => acknowledges(author));
      return kept.length === 0 ? [] : [encodeValidatorMessage({ ...message, acknowledgements: kept })];
    }
    if (message.type === 'evidence' || !adversary.send) return [frame];
    return adversary.send(to, message).map((instead) => {
      if (instead === message) return frame;
      this.#world.learnByzantine(instead);
      return encodeValidatorMessage(instead);
    });
  }

  /** What whoever asked gets in place of an honest answer. */
  async answer(
    node: NodeOfWorld,
    protocol: RequestProtocol,
    request: Uint8Array,
    answer: Uint8Array,
  ): Promise<Uint8Array> {
    const equivocator = this.#equivocatorOf(node);
    if (equivocator && protocol === 'batches') return equivocator.withTwins(request, answer);
    if (this.#kindOf(node) !== 'liar') return answer;
    let random = this.#lies.get(node.place);
    if (!random) {
      random = this.#random.fork(`lies-${node.place}`);
      this.#lies.set(node.place, random);
    }
    this.#world.count(`a lie in an answer: ${protocol}`);
    return lie(random, node.adversary, protocol, answer);
  }

  #kindOf({ index }: NodeOfWorld): AdversaryName | undefined {
    return this.#world.schedule.byzantine.get(index);
  }

  #equivocatorOf(node: NodeOfWorld): LaneEquivocator | undefined {
    const { epoch, place } = node;
    const self = epoch.positionOf(node.index);
    if (this.#kindOf(node) !== 'lane-equivocator' || self === undefined) return undefined;
    const key = `${place} ${epoch.number}`;
    let equivocator = this.#equivocators.get(key);
    if (!equivocator) {
      const others = [...epoch.members.keys()].filter((position) => position !== self);
      equivocator = new LaneEquivocator(this.#random.fork(`twins-of-batches-${key}`), others, nodeKeyOf(node.index));
      this.#equivocators.set(key, equivocator);
    }
    return equivocator;
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
      l1At: () => NO_L1_ANCHOR,
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
