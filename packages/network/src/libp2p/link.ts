/**
 * The link to one other validator: dials until there is a connection, opens this node's two channels on it, and starts
 * over when they are lost. Of two validators the one with the smaller peer id dials at once, the other a little later;
 * both keep trying, and a connection made by either is used by both.
 */

import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import type { Channel } from '../api.ts';
import type { NetworkLogger } from '../config.ts';
import type { NetworkLimits } from '../limits.ts';
import type { ProtocolNames } from '../protocols.ts';
import type { StatisticsCounter } from '../statistics.ts';
import { OutboundChannel } from './channel.ts';
import type { ValidatorEntry } from './directory.ts';
import type { PeerGate } from './gate.ts';
import { Redial } from './redial.ts';
import { toError } from './streams.ts';

/**
 * Head start of the validator with the smaller peer id, so that one connection is the rule: longer than a handshake takes
 * when all processes of a testnet start on two cores.
 */
const SECOND_DIALER_DELAY_MS = 1_000;
/** A link that lasted this long was a good one: its loss does not count as one more failure. */
const STABLE_AFTER_MS = 2_000;

export interface LinkOptions {
  readonly libp2p: Libp2p;
  readonly gate: PeerGate;
  readonly names: ProtocolNames;
  readonly limits: NetworkLimits;
  readonly logger: NetworkLogger;
  readonly statistics: StatisticsCounter;
  /** Its place and addresses as of now. */
  readonly validator: () => ValidatorEntry;
  onConnected(): void;
  onDisconnected(): void;
}

type Streams = Readonly<Record<Channel, Stream>>;

export class ValidatorLink {
  readonly #options: LinkOptions;
  readonly #redial: Redial;
  readonly #channels: Readonly<Record<Channel, OutboundChannel>>;
  #streams: Streams | undefined;
  /** The connection that the streams are on. */
  #connection: Connection | undefined;
  #openedAtMs = 0;
  #busy = false;
  /** A connection was opened while another was being tried. */
  #again = false;
  #stopped = false;
  #isDismissed = false;

  constructor(options: LinkOptions) {
    const { limits } = options;
    this.#options = options;
    this.#redial = new Redial(limits.firstRedialMs, limits.lastRedialMs);
    this.#channels = {
      consensus: new OutboundChannel(limits.maxConsensusQueueBytes, limits.maxUnsentStreamBytes),
      data: new OutboundChannel(limits.maxDataQueueBytes, limits.maxUnsentStreamBytes),
    };
  }

  get connected(): boolean {
    return this.#streams !== undefined;
  }

  queuedBytes(channel: Channel): number {
    return this.#channels[channel].queuedBytes;
  }

  start(): void {
    const first = this.#options.libp2p.peerId.toString() < this.#options.validator().peer;
    this.#redial.at(first ? 0 : SECOND_DIALER_DELAY_MS * (0.5 + Math.random()), () => void this.#connect());
  }

  stop(): void {
    this.#stopped = true;
    this.#redial.stop();
    this.#lost(this.#streams, new Error('the network is stopping'));
  }

  /** Stops, and tells nobody. */
  dismiss(): void {
    this.#isDismissed = true;
    this.stop();
  }

  /** A connection with the peer was made, by whichever side. */
  onConnection(): void {
    if (this.#stopped || this.connected) return;
    this.#redial.reset();
    this.#redial.at(0, () => void this.#connect());
  }

  /**
   * The validator opened a channel anew on this connection while its old one was still there: it has lost what this
   * node still holds for open, as after a restart of its machine that no packet told of.
   */
  onReopened(connection: Connection): void {
    if (this.#connection === connection) return;
    this.#redial.reset();
    this.#lost(this.#streams, new Error('the validator connected anew'));
    this.onConnection();
  }

  send(channel: Channel, framed: Uint8Array): void {
    const { statistics } = this.#options;
    if (!this.connected) {
      statistics.channels[channel].framesDropped++;
      return;
    }
    statistics.sent(channel, framed.length);
    statistics.channels[channel].framesDropped += this.#channels[channel].push(framed);
  }

  async #connect(): Promise<void> {
    if (this.#stopped || this.connected) return;
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    try {
      const connection = this.#openConnection() ?? (await this.#dial());
      this.#use(connection, await this.#openStreams(connection));
    } catch (error) {
      this.#options.logger.debug(
        { validator: this.#options.validator().index, error: toError(error).message },
        'validator not reached',
      );
    } finally {
      this.#busy = false;
    }
    if (this.#stopped || this.connected) return;
    if (this.#again) this.#redial.at(0, () => void this.#connect());
    else this.#redial.schedule(() => void this.#connect());
    this.#again = false;
  }

  #openConnection(): Connection | undefined {
    const connections = this.#options.libp2p.getConnections(this.#options.validator().id);
    return connections.findLast((connection) => connection.status === 'open');
  }

  async #dial(): Promise<Connection> {
    const { libp2p, gate, limits } = this.#options;
    const validator = this.#options.validator();
    if (gate.isRefused(validator.peer)) throw new Error('this node refuses the validator for now');
    if (validator.addresses.length === 0) throw new Error('no address of the validator is known');
    return libp2p.dial([...validator.addresses], { signal: AbortSignal.timeout(limits.handshakeTimeoutMs) });
  }

  async #openStreams(connection: Connection): Promise<Streams> {
    const { names, limits } = this.#options;
    const signal = AbortSignal.timeout(limits.handshakeTimeoutMs);
    const opened = await Promise.allSettled([
      connection.newStream(names.channels.consensus, { signal }),
      connection.newStream(names.channels.data, { signal }),
    ]);
    const [consensus, data] = opened;
    if (consensus.status === 'fulfilled' && data.status === 'fulfilled') {
      return { consensus: consensus.value, data: data.value };
    }
    for (const stream of opened)
      if (stream.status === 'fulfilled') stream.value.abort(new Error('the other channel failed'));
    const failed = opened.find((stream) => stream.status === 'rejected');
    throw toError(failed?.reason);
  }

  #use(connection: Connection, streams: Streams): void {
    const all = Object.values(streams);
    if (this.#stopped || all.some((stream) => stream.status !== 'open')) {
      for (const stream of all) stream.abort(new Error('the channel is not needed'));
      return;
    }
    this.#streams = streams;
    this.#connection = connection;
    this.#openedAtMs = Date.now();
    for (const stream of all) {
      stream.addEventListener('close', () => this.#lost(streams, new Error('the other channel closed')));
      // The receiver sends nothing back on a channel; that it ends its side means that it goes away.
      stream.addEventListener('remoteCloseWrite', () =>
        this.#lost(streams, new Error('the validator closed the channel')),
      );
    }
    this.#channels.consensus.attach(streams.consensus);
    this.#channels.data.attach(streams.data);
    this.#options.onConnected();
  }

  #lost(streams: Streams | undefined, reason: Error): void {
    if (streams === undefined || this.#streams !== streams) return;
    this.#streams = undefined;
    this.#connection = undefined;
    for (const channel of ['consensus', 'data'] as const) {
      this.#options.statistics.channels[channel].framesDropped += this.#channels[channel].detach();
      streams[channel].abort(reason);
    }
    if (Date.now() - this.#openedAtMs > STABLE_AFTER_MS) this.#redial.reset();
    if (!this.#stopped) this.#redial.schedule(() => void this.#connect());
    if (!this.#isDismissed) this.#options.onDisconnected();
  }
}
