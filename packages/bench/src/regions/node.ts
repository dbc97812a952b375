/**
 * One validator: the real core, driven in turns as `sequencer/src/actor.ts` does it, with every piece of work charged to its cores
 * and every frame to its uplink. What the core signs, sums and verifies is charged by count; its own JavaScript is not.
 */

import { Consensus, type Input, type Output } from '@squad/consensus';
import { encodingOf, FinalChain } from '@squad/consensus/sim';
import type { VoteScheme } from '@squad/crypto';
import {
  type Block,
  type BlockHash,
  blockHashHex,
  type Certificate,
  type ConsensusMessage,
  toHex,
  type ValidatorIndex,
} from '@squad/types';
import { FRAME_OVERHEAD_BYTES } from './costs.ts';
import { Cpu } from './cpu.ts';
import { Exchange } from './exchange.ts';
import type { RegionWorld } from './world.ts';

/** What one turn gathers. */
interface Turn {
  persists: boolean;
  batchBytes: number;
  wakeAtMs: number | undefined;
  readonly effects: (() => void)[];
}

export class RegionNode {
  readonly world: RegionWorld;
  readonly index: ValidatorIndex;
  readonly cpu: Cpu;
  readonly core: Consensus;
  readonly exchange: Exchange;
  readonly final = new FinalChain();
  /** Bytes that it has sent in all frames but those of batches, overhead included. */
  frameBytes = 0;
  #inbox: ((turn: Turn) => void)[] = [];
  #isTurning = false;
  /** Microseconds that the present turn costs so far. */
  #spentUs = 0;
  #timer = 0;
  #bodiesHeight = 0;
  readonly #soft = new Set<BlockHash>();

  constructor(world: RegionWorld, index: ValidatorIndex, cores: number) {
    this.world = world;
    this.index = index;
    this.cpu = new Cpu(world.queue, cores);
    this.exchange = new Exchange(this);
    this.core = new Consensus(world.configOf(index, this.#charged(world.registry.schemeFor(index))), world.nowMs);
  }

  /** Those who are there, beginning with the next one in the set. */
  get peers(): readonly RegionNode[] {
    return this.world.peersOf(this.index);
  }

  /** The mock stands for BLS: each call costs what BLS costs. */
  #charged(mock: VoteScheme): VoteScheme {
    const { costs } = this.world;
    return {
      sign: (root) => {
        this.#spentUs += costs.sign;
        return mock.sign(root);
      },
      aggregate: (signatures) => {
        this.#spentUs += costs.aggregate(signatures.length);
        return mock.aggregate(signatures);
      },
      verify: (signers, root, signature) => {
        this.#spentUs += costs.verify(signers.length);
        return mock.verify(signers, root, signature);
      },
    };
  }

  // ---------------------------------------------------------------- turns

  submit(input: Input): void {
    this.push((turn) => this.step(turn, input));
  }

  /** Into the next turn. */
  push(work: (turn: Turn) => void): void {
    this.#inbox.push(work);
    if (!this.#isTurning) this.#turn();
  }

  /** R20: all that waits is stepped through the core, one sync covers it, and only then it is visible. */
  #turn(): void {
    this.#isTurning = true;
    const turn: Turn = { persists: false, batchBytes: 0, wakeAtMs: undefined, effects: [] };
    this.cpu.run(
      () => {
        this.#spentUs = 0;
        for (const work of this.#inbox.splice(0)) work(turn);
        return this.#spentUs;
      },
      () => {
        const { queue, costs } = this.world;
        if (turn.wakeAtMs !== undefined) this.#sleepUntil(turn.wakeAtMs);
        if (turn.persists || turn.batchBytes > 0) queue.after(costs.sync(turn.batchBytes), () => this.#end(turn));
        else this.#end(turn);
      },
    );
  }

  #end(turn: Turn): void {
    for (const effect of turn.effects) effect();
    this.#isTurning = false;
    if (this.#inbox.length > 0) this.#turn();
  }

  #sleepUntil(atMs: number): void {
    const timer = ++this.#timer;
    this.world.at(Math.ceil(atMs), () => {
      if (timer === this.#timer) this.submit({ type: 'tick' });
    });
  }

  step(turn: Turn, input: Input): void {
    for (const output of this.core.step(this.world.nowMs, input)) {
      if (output.type === 'persist') turn.persists = true;
      else if (output.type === 'wakeAt') turn.wakeAtMs = output.atMs;
      else turn.effects.push(() => this.#carryOut(output));
    }
  }

  #carryOut(output: Output): void {
    switch (output.type) {
      case 'send':
        return this.#sendMessage(output.to, output.message);
      case 'soft':
        return this.#onSoft(output.block);
      case 'final':
        return this.#onFinal(output.blocks, output.certificate);
      case 'fetchBatches':
        return this.exchange.fetchBatches(output.refs, output.holders);
      case 'fetchBlock':
        return this.exchange.fetchBlock(output.hash, output.holders);
      case 'fetchRange':
        return this.exchange.fetchRange(output.fromHeight, output.holders);
      case 'misbehaved':
        throw new Error(`validator ${this.index} blames ${output.peer}, where nobody misbehaves: ${output.reason}`);
      case 'evidence':
        throw new Error(`validator ${this.index} has evidence where nobody misbehaves`);
    }
  }

  // ---------------------------------------------------------------- frames

  #sendMessage(to: ValidatorIndex | undefined, message: ConsensusMessage): void {
    const { costs } = this.world;
    const refs = message.type === 'proposal' ? message.proposal.block.refs.length : undefined;
    const encodeUs = refs === undefined ? 0 : costs.encodeBlock(refs);
    const decodeUs = refs === undefined ? 0 : costs.decodeBlock(refs);
    const input = { type: 'message', from: this.index, message } as const;
    const peers = to === undefined ? this.peers : this.peers.filter(({ index }) => index === to);
    this.sendFrames(peers, encodingOf(message).length, encodeUs, (peer) => peer.receive(decodeUs, input));
  }

  /** One copy after the other leaves as its part of the work is done. */
  sendFrames(peers: readonly RegionNode[], bytes: number, encodeUs: number, deliver: (peer: RegionNode) => void): void {
    const { queue, costs, links } = this.world;
    const onWire = bytes + FRAME_OVERHEAD_BYTES;
    this.frameBytes += onWire * peers.length;
    this.cpu.run(() => {
      let atUs = queue.nowMs + encodeUs;
      for (const peer of peers) {
        atUs += costs.frame;
        links.send(this.index, peer.index, onWire, atUs, () => deliver(peer));
      }
      return atUs - queue.nowMs;
    });
  }

  /** The frame's own cost falls into the turn that takes it. */
  receive(decodeUs: number, input: Input): void {
    this.push((turn) => {
      this.#spentUs += this.world.costs.frame + decodeUs;
      this.step(turn, input);
    });
  }

  // ---------------------------------------------------------------- what is ordered

  /** R12: ancestors are soft with it. */
  #onSoft(block: Block): void {
    let known: Block | undefined = block;
    while (known && !this.#soft.has(blockHashHex(known.header))) {
      this.#soft.add(blockHashHex(known.header));
      this.world.onOrdered('soft', known);
      known = this.core.block(toHex(known.header.parentHash));
    }
  }

  #onFinal(blocks: readonly Block[], certificate: Certificate): void {
    for (const block of blocks) this.#onSoft(block);
    this.final.append(blocks, certificate);
    for (const block of blocks) this.world.onOrdered('final', block);
    this.checkBodies();
  }

  checkBodies(): void {
    let height = this.#bodiesHeight;
    while (this.final.at(height + 1)?.refs.every((ref) => this.exchange.isDurable(ref))) height++;
    if (height === this.#bodiesHeight) return;
    this.#bodiesHeight = height;
    this.submit({ type: 'bodiesComplete', height });
  }
}
