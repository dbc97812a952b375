/** What a bare libp2p node does to a node under test. */

import type { Socket } from 'node:net';
import type { Libp2p, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { protocolNames } from '../src/index.ts';
import { NETWORK_ID, type Node } from './cluster.ts';

export const names = protocolNames(NETWORK_ID);

/** Whether a peer can connect and stay connected long enough to be answered. */
export async function usable(from: Libp2p, to: Node): Promise<boolean> {
  try {
    const connection = await from.dial(multiaddr(to.network.addresses[0]!));
    const stream = await connection.newStream(names.requests.block);
    const closed = closing(stream);
    stream.send(Uint8Array.of(1, 5));
    const answered = new Promise<boolean>((resolve) => stream.addEventListener('message', () => resolve(true)));
    return await Promise.race([answered, closed.then(() => false)]);
  } catch {
    return false;
  }
}

/** Sends bytes on a new stream, ends it, and waits until the other side is done with it. */
export async function throwAt(from: Libp2p, to: Node, protocol: string, bytes: Uint8Array): Promise<string> {
  try {
    const connection = await from.dial(multiaddr(to.network.addresses[0]!));
    const stream = await connection.newStream(protocol);
    const closed = closing(stream);
    stream.send(bytes);
    await Promise.race([stream.close(), closed]);
    // A receiver that waits for more is left alone after a moment: waiting is what it should do.
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 20))]);
    stream.abort(new Error('done'));
    return 'sent';
  } catch (error) {
    return String(error);
  }
}

/** The other side may have closed the stream already: that is what is tested. */
export function trySend(stream: Stream, bytes: Uint8Array): void {
  if (stream.writeStatus === 'writable') stream.send(bytes);
}

/** Resolves when the other side has closed its end of a stream, or the stream is gone. */
export function closing(stream: Stream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.status !== 'open') return resolve();
    stream.addEventListener('close', () => resolve());
    stream.addEventListener('remoteCloseWrite', () => resolve());
  });
}

export function socketClosing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.on('close', () => resolve()));
}

/** Random bytes, truncated and oversized lengths, endless varints, zeros, protobuf-like fields. */
export function malformed(draw: (below: number) => number): Uint8Array {
  const body = Uint8Array.from({ length: 1 + draw(300) }, () => draw(256));
  switch (draw(8)) {
    case 0:
      return Uint8Array.of(0);
    case 1:
      return new Uint8Array(16);
    case 2:
      return new Uint8Array(1 + draw(20)).fill(0xff);
    case 3:
      return Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f, ...body);
    case 4:
      return Uint8Array.of(200, 1, ...body.subarray(0, 50));
    case 5:
      return Uint8Array.of(body.length % 128, ...body);
    case 6:
      return Uint8Array.of(body.length + 2, 0x12, body.length, ...body);
    default:
      return body;
  }
}

/** A gossipsub RPC with one message, length first: protobuf by hand. */
export function gossipRpc(data: Uint8Array): Uint8Array {
  const field = (tag: number, bytes: Uint8Array) => Uint8Array.of(tag, ...lengthOf(bytes), ...bytes);
  const message = Buffer.concat([field(0x12, data), field(0x22, Buffer.from(names.transactionsTopic))]);
  const rpc = field(0x12, message);
  return Buffer.concat([lengthOf(rpc), rpc]);
}

/** A varint of two bytes. */
function lengthOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.of((bytes.length & 0x7f) | 0x80, bytes.length >> 7);
}

/** Sends on all streams as fast as they take it; returns what stops it and tells how much was sent. */
export function flood(streams: readonly Stream[], next: () => Uint8Array): () => number {
  let sent = 0;
  const timer = setInterval(() => {
    for (const stream of streams) {
      if (stream.status !== 'open' || stream.writableNeedsDrain) continue;
      for (let i = 0; i < 20 && !stream.writableNeedsDrain; i++) {
        const bytes = next();
        stream.send(bytes);
        sent += bytes.length;
      }
    }
  }, 2);
  return () => {
    clearInterval(timer);
    return sent;
  };
}
