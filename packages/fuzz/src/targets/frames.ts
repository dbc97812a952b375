/** Frames on byte streams: the same frames must come out however the bytes are cut, and no more is held than came in. */

import { encodeFrame, FrameDecoder, FramingError, ValidatorDirectory } from '@squad/network/testing';
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
    name: 'validator-address',
    what: 'genesis file: a node key and an address to dial',
    make: (random) => Buffer.concat([random.bytes(32), Buffer.from(random.pick(ADDRESSES))]),
    check: checkAddress,
  },
];
