/**
 * A validator that floods: beside its honest work it sends every other one, on each protocol, as much as that one's limits
 * let in. What it sends again is what it once sent, so nobody may disconnect it for it.
 */

import { type Channel, CONSENSUS_RATE, DATA_RATE, type Network, VALIDATOR_REQUEST_RATE } from '@squad/network';
import {
  BatchesRequest,
  type Bytes32,
  batchDigest,
  decodeValidatorMessage,
  RangeRequest,
  type ValidatorIndex,
  type ValidatorMessage,
} from '@squad/types';
import { around } from './around.ts';

const TICK_MS = 10;
const TICKS_PER_SECOND = 1_000 / TICK_MS;
/** Frames of one kind that are remembered. */
const MAX_REMEMBERED = 16;
/** Messages a second on the gossip topic, of bytes that are none. */
const GOSSIP_PER_SECOND = 500;
const GOSSIP_BYTES = 1_024;

export function flooding(network: Network): Network {
  const flood = new Flood(network);
  return around(network, {
    send: (to, channel, frame) => {
      flood.remember(channel, frame);
      network.send(to, channel, frame);
    },
    start: async () => {
      await network.start();
      flood.start();
    },
    stop: async () => {
      flood.stop();
      await network.stop();
    },
  });
}

class Flood {
  readonly #network: Network;
  readonly #frames: Record<Channel, Map<ValidatorMessage['type'], Uint8Array[]>> = {
    consensus: new Map(),
    data: new Map(),
  };
  readonly #digests: Bytes32[] = [];
  #timer: NodeJS.Timeout | undefined;
  #tick = 0;
  #inFlight = 0;

  constructor(network: Network) {
    this.#network = network;
  }

  remember(channel: Channel, frame: Uint8Array): void {
    const decoded = decodeValidatorMessage(frame);
    if (!decoded.ok) return;
    const byType = this.#frames[channel];
    const frames = byType.get(decoded.value.type) ?? [];
    byType.set(decoded.value.type, frames);
    keep(frames, frame.slice());
    if (decoded.value.type === 'batch') keep(this.#digests, batchDigest(decoded.value.batch.signed.header));
  }

  start(): void {
    this.#timer = setInterval(() => this.#flood(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #flood(): void {
    this.#tick++;
    this.#send('consensus', CONSENSUS_RATE.frames.perSecond, CONSENSUS_RATE.bytes.perSecond);
    this.#send('data', DATA_RATE.frames.perSecond, DATA_RATE.bytes.perSecond);
    for (const peer of this.#network.connectedValidators) this.#request(peer);
    for (let i = 0; i < GOSSIP_PER_SECOND / TICKS_PER_SECOND; i++) {
      const message = new Uint8Array(GOSSIP_BYTES);
      new DataView(message.buffer).setUint32(0, this.#tick * 1_000 + i);
      this.#network.publish(message).catch(() => {});
    }
  }

  #send(channel: Channel, framesPerSecond: number, bytesPerSecond: number): void {
    const frames = [...this.#frames[channel].values()].flat();
    if (frames.length === 0) return;
    let bytes = bytesPerSecond / TICKS_PER_SECOND;
    for (let i = 0; i < framesPerSecond / TICKS_PER_SECOND && bytes > 0; i++) {
      const frame = frames[(this.#tick * 31 + i) % frames.length]!;
      bytes -= frame.length;
      this.#network.send('all', channel, frame);
    }
  }

  #request(peer: ValidatorIndex): void {
    for (let i = 0; i < VALIDATOR_REQUEST_RATE.frames.perSecond / TICKS_PER_SECOND; i++) {
      if (this.#inFlight >= 64) return;
      this.#inFlight++;
      const isRange = (this.#tick + i) % 2 === 0;
      const request = isRange
        ? RangeRequest.serialize({ fromHeight: 1 })
        : BatchesRequest.serialize(this.#digests.slice());
      this.#network
        .request(peer, isRange ? 'range' : 'batches', request)
        .catch(() => {})
        .finally(() => {
          this.#inFlight--;
        });
    }
  }
}

function keep<T>(values: T[], value: T): void {
  values.push(value);
  if (values.length > MAX_REMEMBERED) values.shift();
}
