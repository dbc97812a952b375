/**
 * What a node does besides consensus: spread own batches and repeat it until acknowledged, acknowledge others' (R3),
 * ask for what is missing and answer those who ask.
 */

import type { Acknowledgement, BatchRef, Block, ValidatorIndex } from '@squad/types';
import type { HeldBatch, Input } from '../src/api.ts';
import { hexOf } from './memo.ts';
import type { SimulatedNode } from './node.ts';

const ACKNOWLEDGE_AFTER_MS = 20;
const REPEAT_MS = 400;
const REPEAT_BATCHES = 8;
const ASK_AGAIN_MS = 250;
const MAX_ROUNDS = 100;
/** What things weigh on a link. */
const BATCH_BYTES = 2_000;
const ACKNOWLEDGEMENT_BYTES = 42;
const REQUEST_BYTES = 60;

export class Exchange {
  readonly #node: SimulatedNode;
  /** What is being asked for. */
  #wanted = new Set<string>();
  #acknowledging = false;
  /** Per place of a peer: how many batches of this node's own lane it has acknowledged. */
  #acknowledgedBy = new Map<number, number>();

  constructor(node: SimulatedNode) {
    this.#node = node;
  }

  start(): void {
    this.#repeat();
  }

  /** Lanes begin anew, and with them what was acknowledged (R22). */
  beginEpoch(): void {
    this.#acknowledgedBy = new Map();
  }

  stop(): void {
    this.#wanted = new Set();
    this.#acknowledging = false;
    this.#acknowledgedBy = new Map();
  }

  // ---------------------------------------------------------------- spreading

  spread(to: SimulatedNode, batch: HeldBatch): void {
    const node = this.#node;
    const position = node.epoch.positionOf(to.identity);
    const bends = position !== undefined && node.adversary?.spread;
    const given = bends ? node.adversary!.spread!(position, batch) : batch;
    if (given) node.world.network.send(node.place, to.place, BATCH_BYTES, () => to.exchange.receiveBatch(given));
  }

  receiveBatch(batch: HeldBatch): void {
    const node = this.#node;
    // Of an epoch that this node is not in yet: it comes again.
    if (!node.up || node.world.batches.epochOf(batch.ref.digest) > node.epoch.number) return;
    if (node.held.get(batch.ref.digest)) this.#acknowledgeSoon();
    else node.storeBatch(batch, () => this.#acknowledgeSoon());
  }

  #repeat(): void {
    const node = this.#node;
    if (node.epoch.members[node.index] === undefined) this.#handOn();
    else this.#repeatLane();
    node.later(REPEAT_MS, () => this.#repeat());
  }

  /** R22: this node validates no more, and has accepted what is not ordered: another one gets it. */
  #handOn(): void {
    const node = this.#node;
    const { members, number } = node.epoch;
    const [to] = node.world.at(node.random.pick(members));
    for (const payload of node.held.payloads.leftFrom(number)) {
      node.world.count('a batch given to a validator');
      node.world.network.send(node.place, to!.place, BATCH_BYTES, () => to!.takePayload(payload));
    }
  }

  #repeatLane(): void {
    const node = this.#node;
    for (const to of node.world.peersOf(node)) {
      const ordered = node.final.nextSeq(node.epoch.number, node.index);
      const from = Math.max(this.#acknowledgedBy.get(to.place) ?? 0, ordered);
      const until = Math.min(node.batches.durableLength(node.index), from + REPEAT_BATCHES);
      for (let seq = from; seq < until; seq++) this.spread(to, node.batches.lanes[node.index]![seq]!);
    }
  }

  #acknowledgeSoon(): void {
    if (this.#acknowledging) return;
    this.#acknowledging = true;
    this.#node.later(ACKNOWLEDGE_AFTER_MS, () => {
      this.#acknowledging = false;
      for (const to of this.#node.world.peersOf(this.#node)) this.acknowledgeTo(to);
    });
  }

  /** Everything that this node holds of every lane, cumulative. */
  acknowledgeTo(to: SimulatedNode): void {
    const node = this.#node;
    const acknowledgements: Acknowledgement[] = [];
    for (let author = 0; author < node.epoch.members.length; author++) {
      if (author === node.index || node.adversary?.acknowledges?.(author) === false) continue;
      const acknowledgement = node.batches.acknowledgement(author);
      if (acknowledgement) acknowledgements.push(acknowledgement);
    }
    if (acknowledgements.length === 0) return;
    const { number } = node.epoch;
    node.world.network.send(node.place, to.place, ACKNOWLEDGEMENT_BYTES * acknowledgements.length, () =>
      to.exchange.receiveAcknowledgements(node, number, acknowledgements),
    );
  }

  receiveAcknowledgements(from: SimulatedNode, epoch: number, acknowledgements: readonly Acknowledgement[]): void {
    // Places in the lanes of two epochs are not the same.
    if (!this.#node.up || epoch !== this.#node.epoch.number) return;
    const own = acknowledgements.find(({ author }) => author === this.#node.index);
    const { place } = from;
    if (own) this.#acknowledgedBy.set(place, Math.max(this.#acknowledgedBy.get(place) ?? 0, own.seq + 1));
    const position = this.#node.epoch.positionOf(from.identity);
    if (position !== undefined) this.#node.run({ type: 'acknowledged', from: position, acknowledgements });
  }

  // ---------------------------------------------------------------- asking

  fetchBatches(refs: readonly BatchRef[], holders: readonly ValidatorIndex[]): void {
    for (const ref of refs) {
      const held = () => this.#node.held.get(ref.digest) !== undefined;
      this.#ask(`batch ${hexOf(ref.digest)}`, holders, held, MAX_ROUNDS, (peer, answer) => {
        const batch = peer.held.get(ref.digest);
        if (!batch || peer.adversary?.servesBatch?.(batch) === false) return;
        answer(() => this.receiveBatch(batch));
      });
    }
  }

  fetchBlock(hash: Uint8Array, holders: readonly ValidatorIndex[]): void {
    const name = hexOf(hash);
    let answered = false;
    this.#ask(
      `block ${name}`,
      holders,
      () => answered || this.#node.blocks.has(name),
      MAX_ROUNDS,
      (peer, answer) => {
        const block = peer.blocks.get(name);
        const served: Block | undefined =
          block && peer.adversary?.servesBlock ? peer.adversary.servesBlock(block) : block;
        if (!served) return;
        answer(() => {
          answered = served === block;
          this.#runFrom(peer, (from) => ({ type: 'blockFetched', from, block: served }));
        });
      },
    );
  }

  fetchRange(fromHeight: number, holders: readonly ValidatorIndex[]): void {
    const done = () => this.#node.final.height >= fromHeight;
    // Each is asked once, as by a real node: it is the core that asks again (R21).
    this.#ask(`range ${fromHeight}`, holders, done, 1, (peer, answer) => {
      const range = peer.final.range(fromHeight, peer.visibleHeight);
      const served = range && peer.adversary?.servesRange ? peer.adversary.servesRange(range) : range;
      if (served) answer(() => this.#runFrom(peer, (from) => ({ type: 'rangeFetched', from, ...served })));
    });
  }

  /** R22: of whoever has it, in this epoch's set or not. */
  fetchHandOver(epoch: number, holders: readonly ValidatorIndex[]): void {
    const done = () => this.#node.epoch.number > epoch;
    this.#ask(`end of epoch ${epoch}`, holders, done, 1, (peer, answer) => {
      const known = peer.proofs.get(epoch);
      const proof = known && peer.adversary?.servesHandOver ? peer.adversary.servesHandOver(known) : known;
      if (!proof) return;
      answer(() => {
        const from = this.#node.epoch.positionOf(peer.identity);
        this.#node.run({ type: 'handOverFetched', from, proof });
      });
    });
  }

  /** An answer of a node that is in the set. */
  #runFrom(peer: SimulatedNode, input: (from: ValidatorIndex) => Input): void {
    const from = this.#node.epoch.positionOf(peer.identity);
    if (from !== undefined) this.#node.run(input(from));
  }

  /** Asks one peer after the other until `done`: the named holders, then all, so many times around. */
  #ask(
    name: string,
    holders: readonly ValidatorIndex[],
    done: () => boolean,
    rounds: number,
    request: (peer: SimulatedNode, answer: (deliver: () => void) => void) => void,
  ): void {
    const node = this.#node;
    const { network } = node.world;
    if (this.#wanted.has(name) || done()) return;
    this.#wanted.add(name);
    const others = node.random.shuffle(node.world.peersOf(node));
    const place = ({ identity }: SimulatedNode) => holders.indexOf(node.epoch.positionOf(identity) ?? -1);
    const named = others.filter((peer) => place(peer) >= 0);
    named.sort((a, b) => place(a) - place(b));
    const order = [...new Set([...named, ...others])];
    if (order.length === 0) return;
    const attempt = (count: number): void => {
      if (done() || count >= rounds * order.length) {
        this.#wanted.delete(name);
        return;
      }
      const peer = order[count % order.length]!;
      const { life } = node;
      network.send(node.place, peer.place, REQUEST_BYTES, () => {
        if (!peer.up) return;
        request(peer, (deliver) =>
          network.send(peer.place, node.place, BATCH_BYTES, () => {
            if (node.up && node.life === life) deliver();
          }),
        );
      });
      node.later(ASK_AGAIN_MS, () => attempt(count + 1));
    };
    attempt(0);
  }
}
