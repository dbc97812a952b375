/**
 * What one node says to the others and hears from them. Positions are those of an epoch's set; the network knows validators,
 * whatever their position, and those that are in no set.
 */

import { type ConsensusMessage, decodeValidatorMessage, type ValidatorIndex } from '@squad/types';
import { epochOf } from '../src/epochs.ts';
import type { PlannedEpoch } from './epoch-plan.ts';
import { encodingOf } from './memo.ts';
import type { SimulatedNode } from './node.ts';

/** How long a peer that misbehaved is not listened to. */
const BAN_MS = 300;

interface Audience {
  readonly epoch: PlannedEpoch;
  /** Positions. */
  readonly others: readonly ValidatorIndex[];
  readonly followers: readonly SimulatedNode[];
}

export class Post {
  readonly #node: SimulatedNode;
  /** By identity. */
  readonly #bannedUntilMs = new Map<number, number>();
  /** Of the epoch that was last spoken in. */
  #audience: Audience | undefined;

  constructor(node: SimulatedNode) {
    this.#node = node;
  }

  stop(): void {
    this.#bannedUntilMs.clear();
  }

  /** `to`: a position in that epoch's set; undefined: all of it, and those that follow. */
  send(to: ValidatorIndex | undefined, message: ConsensusMessage, epoch: PlannedEpoch): void {
    if (to !== undefined) return this.#sendBent(to, message, epoch);
    const { others, followers } = this.#audienceIn(epoch);
    for (const position of others) this.#sendBent(position, message, epoch);
    for (const peer of followers) this.#sendTo(peer, message);
  }

  #audienceIn(epoch: PlannedEpoch): Audience {
    if (this.#audience?.epoch === epoch) return this.#audience;
    const { identity, world } = this.#node;
    const isFollower = (peer: SimulatedNode) => epoch.positionOf(peer.identity) === undefined;
    this.#audience = {
      epoch,
      others: [...epoch.members.keys()].filter((position) => epoch.members[position] !== identity),
      followers: world.peersOf(this.#node).filter(isFollower),
    };
    return this.#audience;
  }

  #sendBent(to: ValidatorIndex, message: ConsensusMessage, epoch: PlannedEpoch): void {
    const { world, adversary: present } = this.#node;
    const adversary = epoch === this.#node.epoch ? present : world.adversaryOf(this.#node, epoch);
    const instead = adversary?.send ? adversary.send(to, message) : [message];
    for (const each of instead) {
      if (each !== message) world.learnByzantine(each);
      this.sendAsIs(to, each, epoch);
    }
  }

  /** `to`: a position in that epoch's set. */
  sendAsIs(to: ValidatorIndex, message: ConsensusMessage, epoch: PlannedEpoch): void {
    for (const peer of this.#node.world.at(epoch.members[to]!)) this.#sendTo(peer, message);
  }

  #sendTo(peer: SimulatedNode, message: ConsensusMessage): void {
    const node = this.#node;
    node.world.network.send(node.place, peer.place, approximateBytes(message), () => peer.post.receive(node, message));
  }

  receive(from: SimulatedNode, message: ConsensusMessage): void {
    const node = this.#node;
    if (!node.up || (this.#bannedUntilMs.get(from.identity) ?? 0) > node.world.nowMs) return;
    node.world.noteMessage(from, node, message);
    const decoded = node.world.roundTrip ? roundTrip(message) : message;
    const position = node.epoch.positionOf(from.identity);
    if (position === undefined) return this.#receiveFromStranger(from, decoded);
    node.run({ type: 'message', from: position, message: decoded });
    node.adversary?.received?.(position, message);
  }

  /** One that is not in this epoch's set: only whether it is ahead or behind is of use. */
  #receiveFromStranger(from: SimulatedNode, message: ConsensusMessage): void {
    const node = this.#node;
    const epoch = epochOf(message);
    if (epoch > node.epoch.number) return node.run({ type: 'laterEpoch' });
    const proof = node.proofs.get(epoch);
    if (!proof || message.type === 'handOver') return;
    node.world.count('an answer to who is no validator any more');
    this.#sendTo(from, { type: 'handOver', proof });
  }

  ban(identity: number): void {
    const { world } = this.#node;
    this.#bannedUntilMs.set(identity, world.nowMs + BAN_MS);
    this.#node.later(BAN_MS, () => this.connected(world.at(identity)[0]!));
  }

  connected(peer: SimulatedNode): void {
    const position = this.#node.epoch.positionOf(peer.identity);
    if (position !== undefined) this.#node.run({ type: 'peerConnected', peer: position });
  }

  disconnected(peer: SimulatedNode): void {
    const position = this.#node.epoch.positionOf(peer.identity);
    if (position !== undefined) this.#node.run({ type: 'peerDisconnected', peer: position });
  }
}

function approximateBytes(message: ConsensusMessage): number {
  if (message.type !== 'proposal') return message.type === 'handOver' ? 1_000 : 200;
  return 900 + 50 * message.proposal.block.refs.length + 200 * message.proposal.skips.length;
}

function roundTrip(message: ConsensusMessage): ConsensusMessage {
  const decoded = decodeValidatorMessage(encodingOf(message));
  if (!decoded.ok) throw new Error(`a message does not survive its own encoding: ${decoded.error.reason}`);
  return decoded.value as ConsensusMessage;
}
