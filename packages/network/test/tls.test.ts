/**
 * Encryption on the TCP socket itself: with libp2p nodes that know nothing of it, with peers that leave or lie at each
 * step, and with one that does not read.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as tlsConnect } from 'node:tls';
import { generateKeyPair, generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import type { Connection, Libp2p, MessageStream, SecureConnectionOptions, Stream } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { type TLSComponents, tls } from '@libp2p/tls';
import { generateCertificate } from '@libp2p/tls/utils';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { afterEach, describe, expect, it } from 'vitest';
import { nativeTls } from '../src/libp2p/tls.ts';
import { yamux as ownYamux } from '../src/libp2p/yamux.ts';
import { names, usable } from './attacks.ts';
import { Cluster, eventually, libp2pImplementation, type Node, numbered, seedOf } from './cluster.ts';
import { random } from './random.ts';

const ECHO = '/echo/1';
/** What the connections of `native` were made of. */
const secured: string[] = [];

const encrypters = {
  native: () => (components: TLSComponents) => {
    const encrypter = nativeTls()(components);
    const noted =
      (secure: 'secureInbound' | 'secureOutbound') =>
      async (stream: MessageStream, options?: SecureConnectionOptions) => {
        const result = await encrypter[secure](stream, options);
        secured.push(result.connection.constructor.name);
        return result;
      };
    return {
      protocol: encrypter.protocol,
      secureInbound: noted('secureInbound'),
      secureOutbound: noted('secureOutbound'),
    };
  },
  tls,
  noise,
} as const;
const muxers = {
  own: ownYamux({
    maxInboundStreams: 16,
    maxOutboundStreams: 16,
    maxWindowBytes: 1024 * 1024,
    maxReadBufferBytes: 2 * 1024 * 1024,
    maxUnsentBytes: 4 * 1024 * 1024,
  }),
  stock: yamux(),
} as const;

describe('TLS on the socket', () => {
  const opened: Libp2p[] = [];
  const servers: Server[] = [];
  let cluster: Cluster | undefined;
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((node) => node.stop()));
    await cluster?.stop();
    cluster = undefined;
    secured.length = 0;
    for (const server of servers.splice(0)) server.close();
  });

  async function node(encrypter: keyof typeof encrypters, muxer: keyof typeof muxers): Promise<Libp2p> {
    const created = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [encrypters[encrypter]()],
      streamMuxers: [muxers[muxer]],
      connectionMonitor: { enabled: false },
    });
    await created.handle(ECHO, (stream) => {
      stream.addEventListener('message', ({ data }) => void stream.send(data.slice()));
      stream.addEventListener('remoteCloseWrite', () => void stream.close());
    });
    opened.push(created);
    return created;
  }

  const kinds = [
    ['native', 'own', 'native', 'own'],
    ['native', 'own', 'tls', 'stock'],
    ['native', 'stock', 'tls', 'own'],
    ['noise', 'own', 'noise', 'stock'],
  ] as const;
  for (const [encrypter, muxer, otherEncrypter, otherMuxer] of kinds) {
    it(`carries streams between ${encrypter} with ${muxer} yamux and ${otherEncrypter} with ${otherMuxer}, whoever dials`, async () => {
      const one = await node(encrypter, muxer);
      const other = await node(otherEncrypter, otherMuxer);
      for (const [from, to] of [
        [one, other],
        [other, one],
      ] as const) {
        const connection = await from.dial(to.getMultiaddrs());
        expect(connection.remotePeer.toString()).toBe(to.peerId.toString());
        expect(connection.multiplexer).toBe('/yamux/1.0.0');
        await Promise.all([echo(connection, 3), echo(connection, 3_000_000), echo(connection, 70_000)]);
        await connection.close();
        await eventually('closed on both sides', () => to.getConnections().length === 0);
      }
    });
  }

  it('is on the socket, and not beside it', async () => {
    const one = await node('native', 'own');
    const other = await node('native', 'own');
    await one.dial(other.getMultiaddrs());
    await eventually('both sides', () => secured.length === 2);
    expect(secured).toEqual(['SecureSocket', 'SecureSocket']);
  });

  it('refuses a peer that is not the one that was dialed', async () => {
    for (const [dialing, listening] of [
      ['native', 'tls'],
      ['tls', 'native'],
    ] as const) {
      const from = await node(dialing, 'own');
      const to = await node(listening, 'own');
      const other = (await node('native', 'own')).peerId;
      const address = to
        .getMultiaddrs()[0]!
        .toString()
        .replace(/p2p\/.*/, `p2p/${other}`);
      await expect(from.dial(multiaddr(address))).rejects.toThrow();
      expect(from.getConnections()).toEqual([]);
      await eventually('closed', () => to.getConnections().length === 0);
    }
  });

  /** One validator that runs. */
  async function victim(): Promise<Node> {
    cluster = await Cluster.create(libp2pImplementation, 2);
    const limits = { maxNewConnectionsPerSecondPerAddress: 1e6, handshakeTimeoutMs: 2_000 };
    cluster.nodes.push(await cluster.node(0, limits));
    await cluster.nodes[0]!.network.start();
    return cluster.nodes[0]!;
  }

  it('takes a first record that comes along with the choice of TLS', async () => {
    const to = await victim();
    const socket = await socketTo(to);
    const answers = tlsOver(socket, multistream('/multistream/1.0.0', '/tls/1.0.0'), await certificate());
    expect(await answers).toBe('/yamux/1.0.0');
    socket.destroy();
  });

  it('outlives garbage in place of a handshake, and a peer without a certificate', async () => {
    const to = await victim();
    const draw = random(7);
    for (let round = 0; round < 20; round++) {
      const socket = await socketTo(to);
      const garbage = Uint8Array.from({ length: 1 + draw(2_000) }, () => draw(256));
      // A header of a TLS record now and then, so that it gets further.
      if (round % 2 === 0) garbage.set([0x16, 3, 1, 0, 200].slice(0, garbage.length));
      socket.write(Buffer.concat([multistream('/multistream/1.0.0', '/tls/1.0.0'), garbage]));
      socket.resume();
      if (round % 3 === 0) socket.end();
      await new Promise((resolve) => socket.once('close', resolve));
    }
    const socket = await socketTo(to);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await tlsOver(socket, multistream('/multistream/1.0.0', '/tls/1.0.0'), {}).catch(() => {});
    await closed;
    expect(to.network.peerCount).toBe(0);
    expect(await usable(await node('tls', 'stock'), to)).toBe(true);
  });

  it('outlives peers that vanish at any step, and closes with one that closes its half', async () => {
    const to = await victim();
    for (let round = 0; round < 24; round++) {
      const from = await node('native', 'own');
      const proxy = await proxyTo(to, servers);
      const dialing = from.dial(multiaddr(`/ip4/127.0.0.1/tcp/${proxy.port}`)).catch(() => undefined);
      // Cut after so many bytes: in the handshake at first, later with a connection.
      await proxy.carried((round + 1) * 150);
      for (const socket of proxy.sockets) {
        if (round % 3 === 0) socket.end();
        else if (round % 3 === 1) socket.destroy();
        else socket.resetAndDestroy();
      }
      await dialing;
      await eventually('nobody is there', () => to.network.peerCount === 0);
    }
    expect(await usable(await node('tls', 'stock'), to)).toBe(true);
  });

  it('closes a connection on its own while bytes are on their way', async () => {
    for (let round = 0; round < 10; round++) {
      const from = await node('native', 'own');
      const to = await node('native', 'own');
      const connection = await from.dial(to.getMultiaddrs());
      const stream = await connection.newStream(ECHO);
      for (let i = 0; i < 4; i++) stream.send(new Uint8Array(50_000));
      if (round % 2 === 0) await new Promise(setImmediate);
      if (round % 3 === 0) await connection.close().catch(() => {});
      else connection.abort(new Error('enough'));
      await eventually('closed on both sides', () => to.getConnections().length + from.getConnections().length === 0);
    }
  });

  it('aborts a connection from within what it received on it', async () => {
    for (let round = 0; round < 10; round++) {
      const from = await node('native', 'own');
      const to = await node('native', 'own');
      await to.handle('/refuse/1', (stream, connection) => {
        stream.addEventListener('message', () => {
          stream.send(new Uint8Array(100_000));
          connection.abort(new Error('refused'));
        });
      });
      const connection = await from.dial(to.getMultiaddrs());
      const stream = await connection.newStream('/refuse/1');
      for (let i = 0; i < 4; i++) stream.send(new Uint8Array(round % 2 === 0 ? 10 : 50_000));
      await eventually('closed on both sides', () => to.getConnections().length + from.getConnections().length === 0);
    }
  });

  it('holds no more than its limits for a validator that does not read', async () => {
    const to = await victim();
    const proxy = await proxyTo(to, servers);
    const lazy = await createLibp2p({
      privateKey: await generateKeyPairFromSeed('Ed25519', seedOf('validator 1')),
      transports: [tcp()],
      connectionEncrypters: [tls()],
      streamMuxers: [yamux()],
      connectionMonitor: { enabled: false },
    });
    opened.push(lazy);
    let received = 0;
    for (const protocol of Object.values(names.channels)) {
      await lazy.handle(protocol, (stream: Stream) =>
        stream.addEventListener('message', ({ data }) => {
          received += data.byteLength;
        }),
      );
    }
    await lazy.dial(multiaddr(`/ip4/127.0.0.1/tcp/${proxy.port}`));
    await to.journal.until('a link', () => to.network.connectedValidators.length === 1);
    for (const socket of proxy.sockets) socket.pause();
    for (let i = 0; i < 400; i++) {
      to.network.send(1, 'data', numbered(i, 500_000));
      if (i % 10 === 0) await new Promise(setImmediate);
    }
    const { queuedBytes, framesDropped } = to.network.statistics().channels.data;
    expect(queuedBytes).toBeLessThanOrEqual(32 * 1024 * 1024);
    // 400 frames were sent: 67 fill the queue, a few are on their way, and the rest is dropped.
    expect(framesDropped).toBeGreaterThan(320);
    for (const socket of proxy.sockets) socket.resume();
    await eventually('all that was queued', () => to.network.statistics().channels.data.queuedBytes === 0);
    await eventually('received', () => received > 32e6 - 500_000);
  });
});

async function echo(connection: Connection, length: number): Promise<void> {
  const stream = await connection.newStream(ECHO);
  const sent = Uint8Array.from({ length }, (_, i) => (i * 7) % 251);
  const received: Uint8Array[] = [];
  let bytes = 0;
  const whole = new Promise<void>((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => {
      received.push(data.slice());
      bytes += data.byteLength;
      if (bytes >= length) resolve();
    });
    stream.addEventListener('close', () => reject(new Error(`closed after ${bytes} bytes`)));
  });
  for (let offset = 0; offset < length; offset += 100_000) {
    while (stream.writableNeedsDrain) {
      await new Promise<void>((resolve) => stream.addEventListener('drain', () => resolve(), { once: true }));
    }
    stream.send(sent.subarray(offset, offset + 100_000));
  }
  await whole;
  expect(Buffer.concat(received).equals(sent)).toBe(true);
  await stream.close();
}

/** The lines that choose a protocol, each with its length. */
function multistream(...protocols: readonly string[]): Buffer {
  return Buffer.concat(
    protocols.map((protocol) => Buffer.from(`${String.fromCharCode(protocol.length + 1)}${protocol}\n`)),
  );
}

async function certificate(): Promise<{ cert: string; key: string }> {
  return generateCertificate(await generateKeyPair('Ed25519'));
}

async function socketTo(node: Node): Promise<Socket> {
  const socket = connect(portOf(node), '127.0.0.1');
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

function portOf(node: Node): number {
  return Number(/tcp\/(\d+)/.exec(node.network.addresses[0]!)![1]);
}

/** A TLS handshake whose first record goes out in one piece with what comes before it; resolves with the ALPN protocol. */
function tlsOver(socket: Socket, before: Buffer, own: { cert?: string; key?: string }): Promise<unknown> {
  let first = true;
  let skip = before.length;
  const duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      socket.write(first ? Buffer.concat([before, chunk]) : chunk);
      first = false;
      done();
    },
  });
  socket.on('data', (chunk) => {
    // The other side says the same lines.
    const skipped = Math.min(skip, chunk.length);
    skip -= skipped;
    if (skipped < chunk.length) duplex.push(chunk.subarray(skipped));
  });
  return new Promise((resolve, reject) => {
    const secure = tlsConnect({
      socket: duplex,
      ...own,
      minVersion: 'TLSv1.3',
      rejectUnauthorized: false,
      ALPNProtocols: ['/yamux/1.0.0', 'libp2p'],
    });
    secure.on('secureConnect', () => resolve(secure.alpnProtocol));
    secure.on('error', reject);
    socket.on('close', () => {
      secure.destroy();
      reject(new Error('closed'));
    });
  });
}

interface Proxy {
  readonly port: number;
  readonly sockets: Socket[];
  /** Resolves when so many bytes went through, or the connection ended. */
  carried(bytes: number): Promise<void>;
}

/** Carries bytes between whoever connects to it and the node. */
async function proxyTo(node: Node, servers: Server[]): Promise<Proxy> {
  const sockets: Socket[] = [];
  let carried = 0;
  let changed = () => {};
  const server = createServer((incoming) => {
    const outgoing = connect(portOf(node), '127.0.0.1');
    for (const [from, to] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      sockets.push(from);
      from.setNoDelay(true);
      from.on('error', () => {});
      from.on('close', () => {
        to.destroy();
        carried = Number.POSITIVE_INFINITY;
        changed();
      });
      from.on('data', (chunk) => {
        carried += chunk.length;
        if (!to.write(chunk)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
        changed();
      });
    }
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    sockets,
    carried: (bytes) =>
      new Promise((resolve) => {
        changed = () => {
          if (carried >= bytes) resolve();
        };
        changed();
      }),
  };
}
