/**
 * TLS as the libp2p specification has it, with OpenSSL on the TCP socket itself: `@libp2p/tls` puts a stream of JavaScript
 * between the two, which costs more than the encryption. The same on the wire, certificates and checks of `@libp2p/tls`;
 * a connection that is no TCP socket is left to it. https://github.com/libp2p/specs/blob/master/tls/tls.md
 */

import { Socket } from 'node:net';
import { connect, TLSSocket, type TLSSocketOptions } from 'node:tls';
import {
  type ConnectionEncrypter,
  InvalidCryptoExchangeError,
  type MessageStream,
  type SecureConnectionOptions,
  type SecuredConnection,
  type StreamMessageEvent,
  type StreamMuxerFactory,
  serviceCapabilities,
} from '@libp2p/interface';
import { type TLSComponents, tls } from '@libp2p/tls';
import { generateCertificate, verifyPeerCertificate } from '@libp2p/tls/utils';
import { SecureSocket } from './secure-socket.ts';
import { toError } from './streams.ts';

/** What a peer offers that chooses its multiplexer after the handshake. */
const NO_EARLY_MUXER = 'libp2p';
const NO_MUXERS: Muxers = new Map();
const SETTINGS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  // Certificates sign themselves; what they say of the peer is checked after the handshake.
  rejectUnauthorized: false,
} as const satisfies TLSSocketOptions;

type Muxers = ReadonlyMap<string, StreamMuxerFactory>;
type Certificate = Awaited<ReturnType<typeof generateCertificate>>;

export function nativeTls(): (components: TLSComponents) => ConnectionEncrypter {
  return (components) => new NativeTls(components);
}

class NativeTls implements ConnectionEncrypter {
  readonly protocol: string;
  readonly [Symbol.toStringTag] = '@squad/tls';
  readonly [serviceCapabilities] = ['@libp2p/connection-encryption'];
  readonly #components: TLSComponents;
  readonly #anyStream: ConnectionEncrypter;

  constructor(components: TLSComponents) {
    this.#components = components;
    this.#anyStream = tls()(components);
    this.protocol = this.#anyStream.protocol;
  }

  async secureInbound(connection: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    const socket = socketOf(connection);
    if (socket === undefined) return this.#anyStream.secureInbound(connection, options);
    return this.#secure(connection, socket, true, options);
  }

  async secureOutbound(connection: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    const socket = socketOf(connection);
    if (socket === undefined) return this.#anyStream.secureOutbound(connection, options);
    return this.#secure(connection, socket, false, options);
  }

  async #secure(
    connection: MessageStream,
    raw: Socket,
    isServer: boolean,
    options: SecureConnectionOptions = {},
  ): Promise<SecuredConnection> {
    const muxers = options.skipStreamMuxerNegotiation ? NO_MUXERS : this.#components.upgrader.getStreamMuxers();
    let socket: TLSSocket | undefined;
    try {
      await takeOver(connection, raw);
      // One for each connection, so that no session is resumed on another one.
      const certificate = await generateCertificate(this.#components.privateKey, options);
      options.signal?.throwIfAborted();
      if (raw.destroyed) throw new Error('the connection closed before the handshake');
      socket = isServer ? server(raw, certificate, muxers) : client(raw, certificate, muxers);
      closeTogether(raw, socket);
      await handshake(socket, options.signal);
      const remotePeer = await verifyPeerCertificate(certificateOf(socket), options.remotePeer, connection.log);
      const streamMuxer = negotiated(socket, muxers);
      return { remotePeer, connection: new SecureSocket(connection, socket), ...(streamMuxer && { streamMuxer }) };
    } catch (thrown) {
      const error = toError(thrown);
      socket?.destroy();
      connection.abort(error);
      throw error;
    }
  }
}

/** The TCP socket that `@libp2p/tcp` made the connection of, in a field that it keeps to itself. */
function socketOf(connection: MessageStream): Socket | undefined {
  const { socket } = connection as { readonly socket?: unknown };
  return socket instanceof Socket && !socket.destroyed ? socket : undefined;
}

/** Stops the connection from reading its socket; what it has read already is the socket's to read again. */
async function takeOver(connection: MessageStream, socket: Socket): Promise<void> {
  socket.pause();
  const early: Uint8Array[] = [];
  const onMessage = ({ data }: StreamMessageEvent) => void early.push(data.subarray());
  connection.addEventListener('message', onMessage);
  // What the connection holds is delivered in a microtask, which is queued before this one.
  await Promise.resolve();
  connection.removeEventListener('message', onMessage);
  socket.removeAllListeners('data');
  if (early.length > 0) socket.unshift(Buffer.concat(early));
}

function server(raw: Socket, certificate: Certificate, muxers: Muxers): TLSSocket {
  return new TLSSocket(raw, {
    ...SETTINGS,
    ...certificate,
    isServer: true,
    requestCert: true,
    ALPNCallback: ({ protocols }) =>
      protocols.find((protocol) => muxers.has(protocol)) ?? protocols.find((protocol) => protocol === NO_EARLY_MUXER),
  });
}

function client(raw: Socket, certificate: Certificate, muxers: Muxers): TLSSocket {
  return connect({ ...SETTINGS, ...certificate, socket: raw, ALPNProtocols: [...muxers.keys(), NO_EARLY_MUXER] });
}

/**
 * Whoever closes the raw socket closes TLS first: Node 24 ends with a segmentation fault if TLS is used, or closed, on a
 * handle that is on its way out.
 */
function closeTogether(raw: Socket, socket: TLSSocket): void {
  const destroyRaw = raw._destroy;
  raw._destroy = (error, callback) => {
    socket.destroy();
    destroyRaw.call(raw, error, callback);
  };
}

/** Resolves when both sides have shown their certificates; rejects when the socket fails or closes, or the signal aborts. */
function handshake(socket: TLSSocket, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(toError(signal?.reason));
    signal?.addEventListener('abort', onAbort);
    const settled = (settle: () => void) => {
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    socket.once('secure', () => settled(resolve));
    // Stays for as long as the socket does: an error that nobody listens to ends the process.
    socket.on('error', (error) => settled(() => reject(error)));
    socket.once('close', () => settled(() => reject(new Error('the connection closed during the handshake'))));
  });
}

function certificateOf(socket: TLSSocket): Uint8Array {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw new InvalidCryptoExchangeError('the peer showed no certificate');
  return certificate.raw;
}

/** The multiplexer that was chosen with the handshake; undefined if it is to be chosen afterwards. */
function negotiated(socket: TLSSocket, muxers: Muxers): StreamMuxerFactory | undefined {
  const protocol = socket.alpnProtocol;
  if (typeof protocol !== 'string' || protocol === NO_EARLY_MUXER) return undefined;
  const muxer = muxers.get(protocol);
  if (muxer === undefined) throw new InvalidCryptoExchangeError(`the peer chose ${protocol}, which was not offered`);
  return muxer;
}
