/** Frames on byte streams: the same frames must come out however the bytes are cut, and no more is held than came in. */

import {
  encodeFrame,
  encodeHeader,
  FRAME_TYPE,
  FrameDecoder,
  FrameParser,
  FramingError,
  HEADER_BYTES,
  ValidatorDirectory,
  YamuxError,
} from '@squad/network/testing';
import { SquadError } from '@squad/types';
import type { Random } from '../random.ts';
import { demand, demandSameBytes, type Target } from '../target.ts';

const MAX_FRAME_BYTES = 4096;

/** An input is a stream; how it is cut follows from its own bytes. */
function checkStream(input: Uint8Array): boolean {
  const whole = read([input]);
  const cut = read(cuts(input));
  demand(whole.broken === cut.broken, 'the cuts decide whether the framing is right');
  demand(whole.frames.length === cut.frames.length, 'the cuts decide how many frames there are');
  whole.frames.forEach((frame, i) => {
    demandSameBytes(frame, cut.frames[i]!, 'a frame, cut in another way');
  });
  if (whole.broken) return false;
  const bytes = whole.frames.reduce((sum, frame) => sum + 4 + frame.length, 0);
  demandSameBytes(input.subarray(0, bytes), Buffer.concat(whole.frames.map(encodeFrame)), 'frames of a stream');
  return input.length === bytes;
}

function read(chunks: readonly Uint8Array[]): { readonly frames: Uint8Array[]; readonly broken: boolean } {
  const decoder = new FrameDecoder(MAX_FRAME_BYTES);
  const frames: Uint8Array[] = [];
  let received = 0;
  try {
    for (const chunk of chunks) {
      received += chunk.length;
      for (const frame of decoder.push(chunk)) {
        demand(frame.length >= 1 && frame.length <= MAX_FRAME_BYTES, `a frame of ${frame.length} bytes`);
        frames.push(frame);
      }
      demand(decoder.bufferedBytes <= Math.min(received, MAX_FRAME_BYTES), 'more is held than a frame');
    }
  } catch (error) {
    if (!(error instanceof FramingError)) throw error;
    return { frames, broken: true };
  }
  return { frames, broken: false };
}

function cuts(input: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < input.length; ) {
    const size = 1 + ((input[at]! * 7 + at) % 37);
    chunks.push(input.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

function randomStream(random: Random): Uint8Array {
  const size = () => (random.chance(0.1) ? random.integer(1000, MAX_FRAME_BYTES) : random.integer(1, 40));
  return Buffer.concat(Array.from({ length: random.integer(1, 4) }, () => encodeFrame(random.bytes(size()))));
}

/** A frame's length is changed. */
function mutateLength(input: Uint8Array, random: Random): Uint8Array {
  const copy = input.slice();
  const view = new DataView(copy.buffer);
  const places = [0];
  for (let at = 0; at + 4 <= copy.length && places.length < 8; ) {
    at += 4 + view.getUint32(at, true);
    if (at + 4 <= copy.length) places.push(at);
  }
  const at = random.pick(places);
  if (at + 4 > copy.length) return copy;
  const near = view.getUint32(at, true) + random.integer(-3, 3);
  view.setUint32(
    at,
    random.chance(0.6) ? near : random.pick([0, MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1, random.number()]),
    true,
  );
  return copy;
}

/** A connection's frames of yamux, whatever their streams: what comes out, put together again, is what went in. */
function checkYamux(input: Uint8Array): boolean {
  const whole = parse([input]);
  const cut = parse(cuts(input));
  demandSameBytes(whole.bytes, cut.bytes, 'frames of yamux, cut in another way');
  demand(whole.broken === cut.broken && whole.ended === cut.ended, 'the cuts decide whether the frames are right');
  demandSameBytes(input.subarray(0, whole.bytes.length), whole.bytes, 'frames of yamux');
  return !whole.broken && whole.ended && whole.bytes.length === input.length;
}

function parse(chunks: readonly Uint8Array[]): {
  readonly bytes: Uint8Array;
  readonly broken: boolean;
  readonly ended: boolean;
} {
  const parts: Uint8Array[] = [];
  /** Bytes of the payload at hand that are still to come; the last part of it has to be told as such. */
  let rest = 0;
  let ended = true;
  const parser = new FrameParser({
    onHeader: ({ type, flags, streamId, length }) => {
      demand(ended, 'a frame in the middle of another one');
      parts.push(encodeHeader(type, flags, streamId, length));
      if (type !== FRAME_TYPE.data) return;
      rest = length;
      ended = false;
    },
    onPayload: (part, last) => {
      rest -= part.length;
      demand(rest >= 0 && last === (rest === 0), 'a payload of another length than its header says');
      ended = last;
      parts.push(part.slice());
    },
  });
  try {
    for (const chunk of chunks) parser.push(chunk);
  } catch (error) {
    if (!(error instanceof YamuxError)) throw error;
    return { bytes: Buffer.concat(parts), broken: true, ended };
  }
  return { bytes: Buffer.concat(parts), broken: false, ended };
}

function randomYamux(random: Random): Uint8Array {
  const frame = () => {
    const type = random.below(4);
    const payload = random.bytes(type === FRAME_TYPE.data ? random.below(60) : 0);
    const length = type === FRAME_TYPE.data ? payload.length : random.uint32();
    return Buffer.concat([encodeHeader(type, random.below(16), random.below(9), length), payload]);
  };
  return Buffer.concat(Array.from({ length: random.integer(1, 5) }, frame));
}

/** A field of the first header is changed. */
function mutateYamux(input: Uint8Array, random: Random): Uint8Array {
  const copy = input.slice();
  if (copy.length < HEADER_BYTES) return copy;
  if (random.chance(0.3)) copy[random.below(4)] = random.below(256);
  else new DataView(copy.buffer).setUint32(random.pick([4, 8]), random.pick([0, 1, 11, 12, random.uint32()]));
  return copy;
}

const ADDRESSES: readonly string[] = [
  '/ip4/10.0.0.1/tcp/9000',
  '/ip6/::1/tcp/9640',
  '/dns4/node.example/tcp/443/tls/ws',
  '/ip4/1.2.3.4/udp/9000/quic-v1',
  '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN',
  '/unix/%2Ftmp%2Fsocket',
];

/** A node public key of 32 bytes, then an address in UTF-8: what a genesis file gives of a validator. */
function checkAddress(input: Uint8Array): boolean {
  const nodePublicKey = input.subarray(0, 32);
  const address = new TextDecoder().decode(input.subarray(32, 32 + 256));
  try {
    const [entry] = new ValidatorDirectory([{ nodePublicKey, addresses: [address] }]).entries;
    const ends = entry!.addresses.every((full) => full.toString().endsWith(`/p2p/${entry!.peer}`));
    demand(ends, 'an address that does not name its validator');
    return true;
  } catch (error) {
    if (error instanceof SquadError) return false;
    throw error;
  }
}

export const FRAME_TARGETS: readonly Target[] = [
  {
    name: 'stream-frames',
    what: 'validator channel, feeds: frames on a stream',
    make: randomStream,
    mutate: mutateLength,
    check: checkStream,
  },
  {
    name: 'yamux-frames',
    what: 'every connection: frames of the multiplexer',
    make: randomYamux,
    mutate: mutateYamux,
    check: checkYamux,
  },
  {
    name: 'validator-address',
    what: 'genesis file: a node key and an address to dial',
    make: (random) => Buffer.concat([random.bytes(32), Buffer.from(random.pick(ADDRESSES))]),
    check: checkAddress,
  },
];
