/**
 * Follows a rollup's sequence: from one endpoint at a time, verifying all that it gives, and from another one when it ends,
 * lies, or holds back what others prove to be final.
 */

import { createVoteScheme, nobleBls, sha256 as portableSha256 } from '@squad/crypto';
import { epochOfHeight, FeedStage, type Height, type RollupId, type SquadError } from '@squad/types';
import type { KnownSet } from '../light/hand-over.ts';
import { LightClient } from '../light/light-client.ts';
import type { BlockPoint, ProvenBlock } from '../proven.ts';
import { DEFAULT_STANDING_TIMES, Standing, type StandingTimes } from '../standing.ts';
import { createVerifier, type Verifier } from '../verifier.ts';
import { type Liar, type LiarCode, type NetworkAccess, tellLie } from './api.ts';
import { checkEndpoints } from './ask-each.ts';
import { getBlockProof } from './get-block-proof.ts';
import { unlessConflict } from './later-access.ts';
import { lightClientSource } from './light-client-source.ts';
import { LOOK_INTERVAL_MS, MAX_STALL_MS, STALL_MS } from './limits.ts';
import { SequenceSocket } from './sequence-socket.ts';
import { wait } from './wait.ts';

export interface FollowOptions {
  /** Where to begin, or to go on: one above the height of the last block that was worked off. Default 1. */
  readonly fromHeight?: Height;
  /** Also blocks that are soft, each before it is final. Default false. */
  readonly soft?: boolean;
  /** Milliseconds without a new block before others are asked; doubled for a block that did not come. Default `STALL_MS`. */
  readonly stallMs?: number;
  readonly times?: Partial<StandingTimes>;
  readonly signal?: AbortSignal;
}

/**
 * Final blocks of a rollup from a height on, each exactly once, in order, without end; with `soft`, soft ones as they come. A
 * block holds all of the rollup's batches in it, none if it has none. To resume, keep the height of what was worked off. Needs
 * one honest endpoint; those that lie are told to `onLiar` and left alone for a minute, then two, then four.
 *
 * Ends when the signal is aborted or the reader leaves. Throws `ENDPOINTS_INVALID`, `CONFLICTING_HISTORY`.
 *
 * @example
 * for await (const block of follow(network, 901, { fromHeight: cursor + 1 })) {
 *   for (const { body } of block.batches) apply(bodyTransactions(body));
 *   cursor = block.header.height;
 * }
 */
export async function* follow(
  access: NetworkAccess,
  rollupId: RollupId,
  options: FollowOptions = {},
): AsyncGenerator<ProvenBlock, void, undefined> {
  checkEndpoints(access.endpoints);
  const follower = new Follower(access, rollupId, options);
  try {
    while (!options.signal?.aborted) {
      const block = await follower.next();
      if (!block) continue;
      const givenAtMs = performance.now();
      yield block;
      follower.excuse(performance.now() - givenAtMs);
    }
  } finally {
    follower.close();
  }
}

/** Others prove the next block: the endpoint is refused if it is not among so many of its messages. */
interface Overdue {
  readonly messages: number;
  readonly reason: string;
}

class Follower {
  readonly #access: NetworkAccess;
  readonly #rollupId: RollupId;
  readonly #options: FollowOptions;
  readonly #standings: ReadonlyMap<string, Standing>;
  readonly #stallMs: number;
  /** How long the next block may take: longer each time that it did not come, as it may be large. */
  #patienceMs: number;
  #known: KnownSet;
  #verifier: Verifier;
  /** Undefined until the first block: a certificate is enough to begin with. */
  #head: BlockPoint | undefined;
  #nextHeight: Height;
  #endpoint = '';
  #socket: SequenceSocket | undefined;
  #progressAtMs = 0;
  #overdue: Overdue | undefined;

  constructor(access: NetworkAccess, rollupId: RollupId, options: FollowOptions) {
    this.#access = access;
    this.#rollupId = rollupId;
    this.#options = options;
    this.#nextHeight = Math.max(1, options.fromHeight ?? 1);
    this.#stallMs = options.stallMs ?? STALL_MS;
    this.#patienceMs = this.#stallMs;
    const times = { ...DEFAULT_STANDING_TIMES, ...options.times };
    this.#standings = new Map(access.endpoints.map((endpoint) => [endpoint, new Standing(times)]));
    options.signal?.addEventListener('abort', this.#interrupt, { once: true });
    this.#known = access;
    this.#verifier = this.#verifierOf(access);
  }

  /** What the reader took of the time is not the endpoint's. */
  excuse(ms: number): void {
    this.#progressAtMs += ms;
  }

  close(): void {
    this.#options.signal?.removeEventListener('abort', this.#interrupt);
    this.#socket?.close();
  }

  /** The next block that is good; undefined if there is none yet. */
  async next(): Promise<ProvenBlock | undefined> {
    await this.#enterEpoch();
    this.#socket ??= await this.#open();
    if (!this.#socket) return undefined;
    const event = await this.#socket.next(LOOK_INTERVAL_MS);
    if (!event) return this.#noticeStall();
    if (event.type === 'end') return this.#leave();
    if (event.type === 'fault') return this.#refuse(event.code, event.message, undefined);
    const { header } = event.block.block;
    const isSoft = event.block.stage === FeedStage.soft;
    // One that tells of soft blocks without end may hold back what is final.
    if (isSoft) await this.#noticeStall();
    if (!this.#socket) return undefined;
    if (isSoft && !this.#options.soft) return undefined;
    if (isSoft && header.height < this.#nextHeight) return undefined;
    const known = this.#head ?? { height: this.#nextHeight - 1, hash: header.parentHash };
    const proven = this.#verifier.verifyFeedBlock(event.block, known);
    if (!proven.ok) {
      // A soft block of the epoch that begins is judged once its set is known.
      if (isSoft && proven.error.code === 'WRONG_EPOCH') return undefined;
      return this.#refuse(proven.error.code, proven.error.message, proven.error.height);
    }
    if (!isSoft) this.#advance({ height: header.height, hash: proven.value.hash });
    return proven.value;
  }

  #advance(head: BlockPoint): void {
    this.#head = head;
    this.#nextHeight = head.height + 1;
    this.#overdue = undefined;
    this.#patienceMs = this.#stallMs;
    this.#progressAtMs = performance.now();
    this.#standings.get(this.#endpoint)!.delivered();
  }

  readonly #interrupt = (): void => this.#socket?.interrupt();

  /** Connects to the endpoint that may be asked soonest, when it may be asked. */
  async #open(): Promise<SequenceSocket | undefined> {
    const [soonest] = [...this.#standings].sort(([, a], [, b]) => Math.sign(a.readyAtMs - b.readyAtMs) || 0);
    const [endpoint, standing] = soonest!;
    const waitMs = standing.readyAtMs - performance.now();
    if (waitMs > 0) {
      await wait(Math.min(waitMs, LOOK_INTERVAL_MS), this.#options.signal);
      return undefined;
    }
    this.#endpoint = endpoint;
    this.#overdue = undefined;
    this.#progressAtMs = performance.now();
    return new SequenceSocket(endpoint, this.#rollupId, this.#nextHeight);
  }

  /** The endpoint gives no more now. */
  #leave(): undefined {
    this.#standings.get(this.#endpoint)!.backOff(performance.now(), Math.random());
    this.#socket?.close();
    this.#socket = undefined;
  }

  #refuse(code: LiarCode, message: string, height: Height | undefined): undefined {
    this.#standings.get(this.#endpoint)!.distrust(performance.now());
    const liar: Liar = { endpoint: this.#endpoint, code, message, height };
    this.#socket?.close();
    this.#socket = undefined;
    this.#access.onLiar?.(liar);
  }

  /** No final block for a while: do others prove that there is one? */
  async #noticeStall(): Promise<undefined> {
    if (this.#overdue) return this.#refuseOverdue(this.#overdue);
    if (performance.now() - this.#progressAtMs < this.#patienceMs) return;
    // One that cannot be reached is no liar.
    if (!this.#socket?.isOpen) return this.#leave();
    const others = this.#access.endpoints.filter((endpoint) => endpoint !== this.#endpoint);
    this.#progressAtMs = performance.now();
    if (others.length === 0) return;
    const { checkpoint, validatorSet } = this.#known;
    const access = { ...this.#access, checkpoint, validatorSet, endpoints: others };
    const wanted = this.#nextHeight;
    const proof = await getBlockProof(access, wanted, this.#options.signal).catch(unlessConflict);
    if (proof?.stage !== 'final') return;
    const reason = `${proof.endpoint} proves that block ${wanted} is final, and it was not given for ${this.#patienceMs} ms`;
    this.#overdue = { messages: this.#socket.received, reason };
    this.#refuseOverdue(this.#overdue);
  }

  /** It may have come while the others were asked: what waited by then is worked off first. */
  #refuseOverdue({ messages, reason }: Overdue): undefined {
    if (!this.#socket || this.#socket.isOver || this.#socket.taken < messages) return;
    this.#patienceMs = Math.min(MAX_STALL_MS, 2 * this.#patienceMs);
    this.#refuse('STALE_HEAD', reason, this.#nextHeight);
  }

  /** Before the first block of an epoch, its set is learned from the proof of the end of the one before. */
  async #enterEpoch(): Promise<void> {
    const { checkpoint, validatorSet } = this.#known;
    if (epochOfHeight(this.#nextHeight, checkpoint.epochLengthBlocks) <= validatorSet.epoch) return;
    const { endpoints } = this.#access;
    const onRefused = (refusal: { source: string; error: SquadError }) =>
      tellLie(this.#access, refusal.source, refusal.error);
    const client = new LightClient({ ...this.#access, checkpoint, validatorSet, onRefused });
    const sources = endpoints.map((endpoint) => lightClientSource(endpoint, this.#callOptions()));
    const known = await client.advance(sources);
    if (known.validatorSet.epoch === validatorSet.epoch) return wait(LOOK_INTERVAL_MS, this.#options.signal);
    this.#known = known;
    this.#verifier = this.#verifierOf(known);
  }

  #callOptions() {
    const { timeoutMs } = this.#access;
    return { ...(timeoutMs === undefined ? {} : { timeoutMs }), signal: this.#options.signal };
  }

  #verifierOf({ checkpoint, validatorSet }: KnownSet): Verifier {
    const { bls = nobleBls, sha256 = portableSha256 } = this.#access;
    return createVerifier({
      networkId: checkpoint.networkId,
      epochLengthBlocks: checkpoint.epochLengthBlocks,
      rollupId: this.#rollupId,
      validatorSet,
      scheme: createVoteScheme(bls, validatorSet),
      sha256,
    });
  }
}
