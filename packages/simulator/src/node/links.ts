/**
 * The network port over simulated links: frames, requests with a time-out, gossip, connections that come and go, feeds that
 * keep their order. Every node stands at a place, whichever sets it is in; a validator that runs twice has two, and its peers
 * hear of both. Whom a frame comes from is a position in the set that its receiver knows then (R22).
 */

import type { EventQueue, SimulatedNetwork } from '@squad/consensus/sim';
import type { Channel, FeedStream, NetworkHandlers, PeerId, RequestProtocol } from '@squad/network';
import { toHex, type ValidatorIndex } from '@squad/types';
import type { Life, VirtualTime } from './time.ts';

const REQUEST_TIMEOUT_MS = 500;
const REFUSAL_MS = 300;
const OVERHEAD_BYTES = 60;

/** One end of all links of a node, for one life of it. */
export interface Endpoint {
  /** Whose node it is, in whichever epoch. */
  readonly identity: number;
  readonly place: number;
  readonly life: Life;
  readonly handlers: NetworkHandlers;
  /** Where a validator stands in the set that this node's network knows now; undefined: it is none (R22). */
  positionOf(identity: number): ValidatorIndex | undefined;
  /** Only validators have channels. Who is none is told of those who are, and asks them. */
  hasChannels(): boolean;
  /** A frame arrived: for whoever listens in. */
  onArrival(from: Endpoint, position: ValidatorIndex, frame: Uint8Array): void;
}

export function peerIdOf({ place }: Pick<Endpoint, 'place'>): PeerId {
  return `place-${place}`;
}

export class Links {
  readonly #queue: EventQueue;
  readonly #links: SimulatedNetwork;
  readonly #time: VirtualTime;
  readonly #endpoints = new Map<number, Endpoint>();
  /** Pairs of places, each with the time until which the first refuses the second. */
  readonly #refusedUntilMs = new Map<string, number>();
  /** Per place: what it believes to be connected to, by place. */
  readonly #connected = new Map<number, Map<number, Endpoint>>();
  /** Messages of gossip that an end has seen. */
  readonly #gossiped = new WeakMap<Endpoint, Set<string>>();

  constructor(queue: EventQueue, links: SimulatedNetwork, time: VirtualTime) {
    this.#queue = queue;
    this.#links = links;
    this.#time = time;
  }

  /** `place`s whose channel is open, as this one sees it. */
  peersOf(endpoint: Endpoint): Endpoint[] {
    const peers = this.#connected.get(endpoint.place) ?? new Map<number, Endpoint>();
    return [...peers.values()].sort((a, b) => a.place - b.place);
  }

  join(endpoint: Endpoint): void {
    this.#endpoints.set(endpoint.place, endpoint);
    this.#connected.set(endpoint.place, new Map());
    for (const other of this.#endpoints.values()) this.connect(endpoint, other);
  }

  leave(endpoint: Endpoint): void {
    if (this.#endpoints.get(endpoint.place) !== endpoint) return;
    this.#endpoints.delete(endpoint.place);
    this.#connected.delete(endpoint.place);
    for (const other of this.#endpoints.values()) {
      if (this.#links.isBlocked(endpoint.place, other.place)) continue;
      this.#links.send(endpoint.place, other.place, OVERHEAD_BYTES, () => this.#disconnected(other, endpoint));
    }
  }

  /** Both ends learn of each other, if nothing is in the way. */
  connect(a: Endpoint, b: Endpoint): void {
    if (a.identity === b.identity || this.#links.isBlocked(a.place, b.place) || this.#links.isBlocked(b.place, a.place))
      return;
    for (const [here, there] of [
      [a, b],
      [b, a],
    ] as const) {
      this.#queue.after(1, () => {
        const peers = this.#connected.get(here.place);
        if (!peers || !here.life.isAlive || !there.life.isAlive || this.#refuses(here, there)) return;
        const before = peers.get(there.place);
        if (before === there) return;
        // Of an earlier life: this end had not noticed that it was over.
        if (before) this.#disconnected(here, before);
        peers.set(there.place, there);
        this.#tellConnected(here, there);
      });
    }
  }

  #tellConnected(here: Endpoint, there: Endpoint): void {
    const position = here.positionOf(there.identity);
    if (position !== undefined) this.#time.in(here.life, () => here.handlers.onValidatorConnected(position));
  }

  /** R22: places are those of another set now. Connections stay; of each with a validator of that set its node is told. */
  changed(endpoint: Endpoint): void {
    for (const peer of this.peersOf(endpoint)) {
      this.#queue.after(0, () => {
        if (this.#connected.get(endpoint.place)?.get(peer.place) === peer) this.#tellConnected(endpoint, peer);
      });
    }
  }

  /** To all who are connected, and from each that finds it good to those connected to that one. Tells to how many. */
  gossip(from: Endpoint, message: Uint8Array): number {
    const name = toHex(message);
    // As the real one: what went to nobody may be sent again.
    if (this.peersOf(from).length === 0 || !this.#isNews(from, name)) return 0;
    return this.#pass(from, message, name);
  }

  #pass(from: Endpoint, message: Uint8Array, name: string): number {
    const peers = this.peersOf(from);
    for (const to of peers) {
      this.#links.send(from.place, to.place, message.length + OVERHEAD_BYTES, () => {
        if (this.#endpoints.get(to.place) !== to || !this.#isNews(to, name)) return;
        this.#time.in(to.life, () => {
          to.handlers.onGossip(peerIdOf(from), message).then(
            (verdict) => {
              if (verdict === 'accept' && to.life.isAlive) this.#pass(to, message, name);
            },
            () => {},
          );
        });
      });
    }
    return peers.length;
  }

  #isNews(endpoint: Endpoint, name: string): boolean {
    const heard = this.#gossiped.get(endpoint) ?? new Set<string>();
    this.#gossiped.set(endpoint, heard);
    if (heard.has(name)) return false;
    heard.add(name);
    return true;
  }

  connectAll(): void {
    const all = [...this.#endpoints.values()];
    for (const [i, a] of all.entries()) for (const b of all.slice(i + 1)) this.connect(a, b);
  }

  frame(from: Endpoint, to: Endpoint, channel: Channel, frame: Uint8Array): void {
    this.#links.send(from.place, to.place, frame.length + OVERHEAD_BYTES, () => {
      const position = to.positionOf(from.identity);
      if (position === undefined || !to.hasChannels()) return;
      if (this.#endpoints.get(to.place) !== to || this.#refuses(to, from)) return;
      to.onArrival(from, position, frame);
      this.#time.in(to.life, () => to.handlers.onFrame(position, channel, frame));
    });
  }

  request(from: Endpoint, to: Endpoint, protocol: RequestProtocol, request: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`)),
        REQUEST_TIMEOUT_MS,
      );
      const answered = (how: () => void, bytes: number) =>
        this.#links.send(to.place, from.place, bytes + OVERHEAD_BYTES, () => {
          clearTimeout(timer);
          this.#time.in(from.life, how);
        });
      this.#links.send(from.place, to.place, request.length + OVERHEAD_BYTES, () => {
        if (this.#endpoints.get(to.place) !== to || this.#refuses(to, from)) return;
        this.#time.in(to.life, () => {
          to.handlers.onRequest(peerIdOf(from), protocol, request).then(
            (answer) => answered(() => resolve(answer), answer.length),
            () => answered(() => reject(new Error('the other side did not answer')), 0),
          );
        });
      });
    });
  }

  /** `a` wants nothing of `b` for a while. */
  refuse(a: Endpoint, b: Endpoint): void {
    this.#refusedUntilMs.set(`${a.place} ${b.place}`, this.#queue.nowMs + REFUSAL_MS);
    this.#disconnected(a, b);
    this.#disconnected(b, a);
    this.#queue.after(REFUSAL_MS + 1, () => this.connect(a, b));
  }

  #refuses(a: Endpoint, b: Endpoint): boolean {
    return (this.#refusedUntilMs.get(`${a.place} ${b.place}`) ?? -1) > this.#queue.nowMs;
  }

  #disconnected(here: Endpoint, there: Endpoint): void {
    const peers = this.#connected.get(here.place);
    // It may be connected anew by now, in another life.
    if (peers?.get(there.place) !== there) return;
    peers.delete(there.place);
    const position = here.positionOf(there.identity);
    if (position !== undefined) this.#time.in(here.life, () => here.handlers.onValidatorDisconnected(position));
  }
}

/** Both ends of an ordered stream with a delay. */
export function createFeedPair(
  queue: EventQueue,
  time: VirtualTime,
  delayMs: () => number,
  server: Life,
  client: Life,
) {
  const ends = [new FeedEnd(), new FeedEnd()] as const;
  let arrivesAtMs = 0;
  const join = (here: FeedEnd, there: FeedEnd, theirs: Life): void => {
    here.deliver = (act) => {
      arrivesAtMs = Math.max(arrivesAtMs, queue.nowMs + delayMs());
      queue.at(arrivesAtMs, () => time.in(theirs, () => act(there)));
    };
  };
  join(ends[0], ends[1], client);
  join(ends[1], ends[0], server);
  return { server: ends[0] as FeedStream, client: ends[1] as FeedStream };
}

class FeedEnd implements FeedStream {
  readonly peer = 'feed';
  deliver: (act: (other: FeedEnd) => void) => void = () => {};
  readonly #frames: Uint8Array[] = [];
  #isClosed = false;
  #wake: () => void = () => {};

  async send(frame: Uint8Array): Promise<void> {
    if (this.#isClosed) throw new Error('the feed is closed');
    this.deliver((other) => other.#push(frame));
  }

  async *frames(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame) yield frame;
      else if (this.#isClosed) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#end();
    this.deliver((other) => other.#end());
  }

  #push(frame: Uint8Array): void {
    if (this.#isClosed) return;
    this.#frames.push(frame);
    this.#wake();
  }

  #end(): void {
    this.#isClosed = true;
    this.#wake();
  }
}
