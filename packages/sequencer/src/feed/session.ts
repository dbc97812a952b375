/** One rollup node's stream: reads what it asks for and acknowledges, posts what is due, waits for the slow. */

import type { FeedStream } from '@squad/network';
import {
  type Block,
  type BlockHash,
  blockHashHex,
  type Certificate,
  decodeFeedMessage,
  encodeFeedMessage,
  type FeedErrorCode,
  type FeedMessage,
  FeedStage,
  type Height,
  type RollupId,
  SquadError,
  type ValidatorIndex,
} from '@squad/types';
import type { HandOvers } from '../hand-overs.ts';
import {
  FEED_BODIES_PATIENCE_MS,
  FEED_HEAD_INTERVAL_MS,
  FEED_SUBSCRIBE_TIMEOUT_MS,
  type FeedSizes,
  type FeedSource,
  MAX_PENDING_SOFT_BLOCKS,
} from './api.ts';
import { messagesOf, type Post } from './messages.ts';
import { FinalReader, type RecentFinals } from './reader.ts';
import { Signal } from './signal.ts';
import { FeedWindow } from './window.ts';

/** `leader`: posted at once by the view's leader; `takeover`: by another one, later; `catchUp`: from the store. */
export type PostRole = 'leader' | 'takeover' | 'catchUp';

export interface SessionConfig {
  readonly stream: FeedStream;
  readonly source: FeedSource;
  readonly handOvers: Pick<HandOvers, 'read'>;
  readonly recent: RecentFinals;
  /** Height of the newest final block that may be posted. */
  head(): Height;
  self(): ValidatorIndex | undefined;
  readonly rollupIds: ReadonlySet<RollupId>;
  readonly takeoverMs: number;
  onPosted(stage: FeedStage, role: PostRole, bytes: number): void;
  /** `fault` undefined: the other side closed. */
  onClosed(fault: SessionFault | undefined): void;
}

export interface SessionFault {
  readonly code: FeedErrorCode | 'INTERNAL';
  readonly message: string;
  readonly cause?: unknown;
}

interface SoftBlock {
  readonly block: Block;
  readonly certificate: Certificate;
}

/** Milliseconds between attempts to post a recent block whose bodies are still on their way to this node. */
const BODIES_RETRY_MS = 100;

export class FeedSession {
  readonly #config: SessionConfig;
  readonly #reader: FinalReader;
  readonly #changed = new Signal();
  #rollupId: RollupId | undefined;
  #window = new FeedWindow(Number.MAX_SAFE_INTEGER);
  readonly #pendingSofts: SoftBlock[] = [];
  /** Blocks that this stream got with their bodies, as soft. */
  readonly #postedSofts = new Map<BlockHash, Height>();
  #headTold: Height | undefined;
  #headToldAtMs = 0;
  /** Final blocks whose bodies were not held when last looked for: when to look again. Within the window. */
  readonly #heldBackUntilMs = new Map<Height, number>();
  #closed = false;

  constructor(config: SessionConfig) {
    this.#config = config;
    this.#reader = new FinalReader(config.source, config.handOvers, config.recent);
    void this.#listen();
    void this.#pump();
  }

  get sizes(): Omit<FeedSizes, 'recentFinals'> {
    const { blocks, bytes } = this.#window;
    return { pendingSofts: this.#pendingSofts.length, unacknowledgedBlocks: blocks, unacknowledgedBytes: bytes };
  }

  /** The leader's soft block, to be posted if the stream is near the head. */
  offerSoft(block: Block, certificate: Certificate): void {
    if (this.#rollupId === undefined || !this.#window.covers(block.header.height)) return;
    this.#pendingSofts.push({ block, certificate });
    if (this.#pendingSofts.length > MAX_PENDING_SOFT_BLOCKS) this.#pendingSofts.shift();
    this.#changed.raise();
  }

  /** There is a new final block. */
  headMoved(): void {
    this.#changed.raise();
  }

  /** Tells the other side why, if there is a reason, and closes. */
  close(fault?: SessionFault): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#changed.raise();
    const { stream, onClosed } = this.#config;
    if (fault && fault.code !== 'INTERNAL') {
      const message = encodeFeedMessage({ type: 'error', code: fault.code, message: fault.message });
      void stream.send(message).then(
        () => stream.close(),
        () => stream.close(),
      );
    } else {
      stream.close();
    }
    onClosed(fault);
  }

  async #listen(): Promise<void> {
    const patience = setTimeout(() => {
      this.close({ code: 'BAD_MESSAGE', message: `no subscription within ${FEED_SUBSCRIBE_TIMEOUT_MS} ms` });
    }, FEED_SUBSCRIBE_TIMEOUT_MS);
    try {
      for await (const frame of this.#config.stream.frames()) {
        const message = decodeFeedMessage(frame);
        const fault = message.ok ? this.#receive(message.value) : message.error.reason;
        if (fault !== undefined) return this.close({ code: 'BAD_MESSAGE', message: fault });
        if (this.#closed) return;
        clearTimeout(patience);
      }
      this.close();
    } catch {
      // A stream that breaks is one that the other side closed.
      this.close();
    } finally {
      clearTimeout(patience);
    }
  }

  /** What is wrong with the message, if anything. */
  #receive(message: FeedMessage): string | undefined {
    if (message.type === 'subscribe') return this.#subscribe(message.rollupId, message.fromHeight);
    if (message.type !== 'acknowledge') return `a rollup node does not send a ${message.type} message`;
    if (this.#rollupId === undefined) return 'the first message must be a subscription';
    this.#window.acknowledge(message.height);
    for (const [hash, height] of this.#postedSofts) if (height <= message.height) this.#postedSofts.delete(hash);
    for (const height of this.#heldBackUntilMs.keys())
      if (height <= message.height) this.#heldBackUntilMs.delete(height);
    this.#changed.raise();
    return undefined;
  }

  #subscribe(rollupId: RollupId, fromHeight: Height): string | undefined {
    if (!this.#config.rollupIds.has(rollupId)) {
      this.close({ code: 'UNKNOWN_ROLLUP', message: `rollup ${rollupId} is not in the genesis file` });
      return undefined;
    }
    this.#rollupId = rollupId;
    // Genesis is known to all: it has no certificate and is not posted.
    this.#window = new FeedWindow(Math.max(1, fromHeight));
    this.#pendingSofts.length = 0;
    this.#postedSofts.clear();
    this.#heldBackUntilMs.clear();
    this.#headTold = undefined;
    this.#changed.raise();
    return undefined;
  }

  async #pump(): Promise<void> {
    try {
      while (!this.#closed) {
        const waitMs = await this.#step();
        if (waitMs !== undefined && !this.#closed) await this.#changed.wait(waitMs);
      }
    } catch (error) {
      // A send that fails: the other side is gone.
      if (!(error instanceof SquadError)) return this.close();
      const code = error.code === 'FEED_NOT_HELD' ? 'NOT_HELD' : 'INTERNAL';
      this.close({ code, message: error.message, cause: error });
    }
  }

  /** Sends one thing, or says how long there is nothing to send. */
  async #step(): Promise<number | undefined> {
    const nowMs = performance.now();
    const rollupId = this.#rollupId;
    if (rollupId === undefined) return FEED_SUBSCRIBE_TIMEOUT_MS;
    const headDueMs = this.#headTold === undefined ? nowMs : this.#headToldAtMs + FEED_HEAD_INTERVAL_MS;
    if (headDueMs <= nowMs) {
      await this.#tellHead(nowMs);
      return undefined;
    }
    const soft = this.#pendingSofts.shift();
    if (soft) {
      await this.#postSoft(rollupId, soft);
      return undefined;
    }
    const turn = this.#window.turn(this.#config.head(), (height) => this.#dueAt(height), nowMs);
    if (turn.type === 'wait') return Math.min(headDueMs, turn.untilMs ?? headDueMs) - nowMs;
    await this.#postFinal(rollupId, turn.height, nowMs);
    return undefined;
  }

  async #tellHead(nowMs: number): Promise<void> {
    this.#headTold = this.#config.head();
    this.#headToldAtMs = nowMs;
    await this.#config.stream.send(encodeFeedMessage({ type: 'head', height: this.#headTold }));
  }

  #dueAt(height: Height): number {
    const recent = this.#config.recent.get(height);
    const heldBackMs = this.#heldBackUntilMs.get(height) ?? 0;
    if (!recent || recent.block.header.leader === this.#config.self()) return heldBackMs;
    return Math.max(recent.finalAtMs + this.#config.takeoverMs, heldBackMs);
  }

  async #postSoft(rollupId: RollupId, { block, certificate }: SoftBlock): Promise<void> {
    const { height } = block.header;
    // Final meanwhile, or too much on its way: a soft confirmation may be left out.
    if (height <= this.#config.head() || !this.#window.covers(height) || !this.#window.hasRoom()) return;
    const window = this.#window;
    const post: Post = { stage: FeedStage.soft, rollupId, block, certificate, path: [], bodiesOmitted: false };
    const bytes = await this.#send(post, () => true);
    if (bytes === undefined || window !== this.#window) return;
    window.postedSoft(height, bytes);
    this.#postedSofts.set(blockHashHex(block.header), height);
    this.#config.onPosted(FeedStage.soft, 'leader', bytes);
  }

  async #postFinal(rollupId: RollupId, height: Height, nowMs: number): Promise<void> {
    const window = this.#window;
    const final = await this.#reader.read(height);
    const bodiesOmitted = this.#postedSofts.has(blockHashHex(final.block.header));
    const recent = this.#config.recent.get(height);
    const patient = recent !== undefined && nowMs < recent.finalAtMs + FEED_BODIES_PATIENCE_MS;
    const bytes = await this.#send({ ...final, stage: FeedStage.final, rollupId, bodiesOmitted }, () => patient);
    if (bytes === undefined) {
      this.#heldBackUntilMs.set(height, nowMs + BODIES_RETRY_MS);
      return;
    }
    this.#heldBackUntilMs.delete(height);
    // Subscribed anew while it was being sent: the new window knows nothing of it.
    if (window === this.#window) window.postedFinal(height, bytes);
    this.#config.onPosted(FeedStage.final, this.#roleOf(height), bytes);
  }

  #roleOf(height: Height): PostRole {
    const recent = this.#config.recent.get(height);
    if (!recent) return 'catchUp';
    return recent.block.header.leader === this.#config.self() ? 'leader' : 'takeover';
  }

  /** The bytes sent; undefined if bodies are not held, nothing was sent yet, and that is `excused`. */
  async #send(post: Post, excused: () => boolean): Promise<number | undefined> {
    let bytes = 0;
    try {
      for await (const message of messagesOf(post, this.#config.source)) {
        await this.#config.stream.send(message);
        bytes += message.length;
      }
      return bytes;
    } catch (error) {
      const missing = error instanceof SquadError && error.code === 'FEED_NOT_HELD';
      if (missing && bytes === 0 && excused()) return undefined;
      throw error;
    }
  }
}
