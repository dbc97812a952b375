/**
 * Links between validators in regions: half of the measured round trip, and one queue for all that a node sends. The queue's time is in
 * microseconds.
 */

import type { EventQueue } from '@squad/consensus/sim';

/** Bytes that TCP sends before it has heard anything, as after each idle time: 10 segments (RFC 6928). It doubles with each round trip. */
export const INITIAL_WINDOW_BYTES: number = 10 * 1_460;

export class RegionLinks {
  /** By node. */
  readonly bytesSent: number[];
  readonly busyUs: number[];
  readonly #freeAtUs: number[];
  readonly #queue: EventQueue;
  readonly #roundTripsUs: readonly (readonly number[])[];
  readonly #regionOf: readonly number[];
  readonly #usPerByte: number;
  readonly #windowBytes: number;

  /**
   * `roundTripsMs`: by region; `regionOf`: by node; `uplinkMbit`: megabits a second that a node can send; `windowBytes`: what it sends
   * to one peer before it has to hear of it, infinite if connections are never idle.
   */
  constructor(
    queue: EventQueue,
    roundTripsMs: readonly (readonly number[])[],
    regionOf: readonly number[],
    uplinkMbit: number,
    windowBytes: number,
  ) {
    this.#queue = queue;
    this.#windowBytes = windowBytes;
    this.#roundTripsUs = roundTripsMs.map((row) => row.map((ms) => ms * 1_000));
    this.#regionOf = regionOf;
    this.#usPerByte = 8 / uplinkMbit;
    this.bytesSent = regionOf.map(() => 0);
    this.busyUs = regionOf.map(() => 0);
    this.#freeAtUs = regionOf.map(() => 0);
  }

  roundTripUs(from: number, to: number): number {
    return this.#roundTripsUs[this.#regionOf[from]!]![this.#regionOf[to]!]!;
  }

  /** Hands bytes to the uplink at `atUs`, behind what was handed to it before. Returns when the last of them has left. */
  send(from: number, to: number, bytes: number, atUs: number, deliver: () => void): number {
    const leftUs = Math.max(atUs, this.#freeAtUs[from]!) + bytes * this.#usPerByte;
    this.#freeAtUs[from] = leftUs;
    this.bytesSent[from]! += bytes;
    this.busyUs[from]! += bytes * this.#usPerByte;
    const roundTripUs = this.roundTripUs(from, to);
    this.#queue.at(leftUs + roundTripUs / 2 + windowRounds(bytes, this.#windowBytes) * roundTripUs, deliver);
    return leftUs;
  }
}

/** Round trips that TCP waits for acknowledgements before the last byte may leave. */
export function windowRounds(bytes: number, windowBytes: number): number {
  return Math.max(0, Math.ceil(Math.log2(bytes / windowBytes + 1)) - 1);
}
