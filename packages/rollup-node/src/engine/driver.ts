/**
 * Drives an execution client by the Engine API: keeps it on the rollup's chain, whatever it has, whenever it comes and goes.
 * One call at a time; nothing is queued: blocks are read from the node's store when the client is ready for them.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Logger, Metrics } from '@squad/service';
import { type Hex, SquadError } from '@squad/types';
import type { z } from 'zod';
import { hexOf } from '../hex.ts';
import type { ClientBlock, DerivedBlock, DerivedChain } from './api.ts';
import { EngineClient, type EngineFork, type ForkchoiceState } from './client.ts';
import { type BlockFeeder, requireTaken } from './feeder.ts';
import {
  ENGINE_RETRY_MAX_MS,
  ENGINE_RETRY_MIN_MS,
  FORKCHOICE_EVERY_BLOCKS,
  FORKCHOICE_REPEAT_MS,
  MAX_FORKCHOICE_REFUSALS,
  MAX_STEP_BACK_BLOCKS,
} from './limits.ts';
import { checkChain, findPosition, type Place } from './position.ts';
import { ClientBehind, explained, kindOf } from './trouble.ts';
import { Wake } from './wake.ts';

export interface EngineDriverConfig<Block extends DerivedBlock> {
  readonly url: string;
  readonly jwtSecretPath: string;
  readonly fork: EngineFork;
  readonly chainId: number;
  readonly chain: DerivedChain<Block>;
  readonly feeder: BlockFeeder<Block>;
  /** Calls back when the chain changed; returns the function that ends that. */
  readonly onChange: (listener: () => void) => () => void;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The driver has stopped, for a reason that trying again would not mend. */
  readonly onFailed: (error: unknown) => void;
  /** Defaults: `ENGINE_RETRY_MIN_MS`, `ENGINE_EXECUTE_TIMEOUT_MS`. */
  readonly retryMinMs?: number;
  readonly executeTimeoutMs?: number;
}

/** `lost`: the client cannot be reached, or does not answer as it should; it is tried again. */
export type EngineState = 'starting' | 'following' | 'lost' | 'failed' | 'stopped';

export interface EngineDriver {
  start(): void;
  /** Ends the call under way. */
  stop(): Promise<void>;
  readonly state: EngineState;
  /** Number of the block that the client took as its head. */
  readonly headNumber: number | undefined;
  /** Why it is not following. */
  readonly reason: string | undefined;
  /** The client's hash of a block that it took; of the newest ones only. */
  takenHash(number: number): Hex | undefined;
  /** Asks the client anything, as whoever drives it may. Throws what `rpcCall` throws. */
  query<Schema extends z.ZodType>(
    method: string,
    params: readonly unknown[],
    schema: Schema,
  ): Promise<z.output<Schema>>;
}

export function createEngineDriver<Block extends DerivedBlock>(config: EngineDriverConfig<Block>): EngineDriver {
  return new Driver(config);
}

class Driver<Block extends DerivedBlock> implements EngineDriver {
  state: EngineState = 'starting';
  headNumber: number | undefined;
  reason: string | undefined;
  readonly #config: EngineDriverConfig<Block>;
  readonly #abort = new AbortController();
  readonly #client: EngineClient;
  readonly #wake = new Wake();
  readonly #blocks;
  readonly #troubles;
  #running: Promise<void> | undefined;
  /** The newest blocks that the client took, by number; the first one is final, or was common to both at the start. */
  #fed: Place[] = [];
  #told: ForkchoiceState | undefined;
  #toldAtMs = 0;
  /** In a row, without a forkchoice that was taken. */
  #failures = 0;
  #refusals = 0;
  #stepBack = 0;
  /** The block that the client did not take; until it has, nothing that it takes before counts as progress. */
  #troubleAt = 0;

  constructor(config: EngineDriverConfig<Block>) {
    this.#config = config;
    const { url, jwtSecretPath, fork, metrics, executeTimeoutMs } = config;
    this.#client = new EngineClient({ url, jwtSecretPath, fork, executeTimeoutMs, signal: this.#abort.signal });
    this.#blocks = metrics.counter({
      name: 'squad_engine_taken_blocks_total',
      help: 'Blocks that the execution client took as valid',
    });
    this.#troubles = metrics.counter({
      name: 'squad_engine_failures_total',
      help: 'Times that the execution client had to be tried again, by reason',
      labels: { kind: ['behind', 'passing'] },
    });
    metrics.gauge({
      name: 'squad_engine_head_number',
      help: "The execution client's head, as it was last told",
      read: () => this.headNumber ?? 0,
    });
  }

  start(): void {
    if (this.#running !== undefined) return;
    const forget = this.#config.onChange(() => this.#wake.ring());
    this.#running = this.#run().finally(forget);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#wake.ring();
    await this.#running;
    if (this.state !== 'failed') this.state = 'stopped';
  }

  takenHash(number: number): Hex | undefined {
    return this.#fed.find((place) => place.number === number)?.client;
  }

  query<Schema extends z.ZodType>(method: string, params: readonly unknown[], schema: Schema) {
    return this.#client.query(method, params, schema);
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#connect();
        await this.#follow();
      } catch (error) {
        if (this.#isStopped) return;
        if (!this.#mayRetry(error)) return this.#fail(explained(error, this.#client.url));
        await this.#pause(error);
      }
    }
  }

  get #isStopped(): boolean {
    return this.#abort.signal.aborted;
  }

  async #connect(): Promise<void> {
    const { chain, feeder, chainId, logger } = this.#config;
    await this.#client.connect(feeder.builds);
    await checkChain(this.#client, feeder, chainId);
    const { common, latest } = await findPosition(this.#client, feeder, chain, this.#stepBack);
    this.#fed = [common];
    this.#told = undefined;
    const told = { url: this.#client.url, clientHead: latest.number, common: common.number, head: chain.headNumber };
    logger.info(told, `the execution client ${positionWords(common, latest, chain.headNumber)}`);
  }

  async #follow(): Promise<void> {
    while (!this.#isStopped) {
      this.#wake.clear();
      await this.#advance();
      await this.#wake.wait(FORKCHOICE_REPEAT_MS);
    }
  }

  /** Gives what the client lacks, and tells it of its head. What changes meanwhile rings. */
  async #advance(): Promise<void> {
    const { chain } = this.#config;
    this.#forgetUndone();
    const target = chain.headNumber;
    // A client that crashed may know a block whose state it lost: it calls it VALID, and takes none upon it before it is told to
    // make this one its head, which executes it again.
    const each = this.#stepBack > 0 ? 1 : FORKCHOICE_EVERY_BLOCKS;
    for (let given = 0; this.#top.number < target && !this.#isStopped; ) {
      const block = chain.blockAt(this.#top.number + 1);
      if (block === undefined || hexOf(block.summary.parentHash) !== this.#top.derived) return;
      const client = await this.#config.feeder.feed(this.#client, block, () => this.#forkchoice());
      this.#fed.push({ number: block.summary.number, derived: hexOf(block.summary.hash), client });
      this.#blocks.increment();
      if (++given % each === 0) await this.#tell();
    }
    if (!this.#isStopped) await this.#tell();
  }

  get #top(): Place {
    return this.#fed.at(-1)!;
  }

  /** Drops what the client was given of a soft order that was replaced: what comes next stands beside it. */
  #forgetUndone(): void {
    const { chain, logger } = this.#config;
    const before = this.#top.number;
    const stays = ({ number, derived }: Place) => {
      const block = chain.blockAt(number);
      return block !== undefined && hexOf(block.summary.hash) === derived;
    };
    const kept = this.#fed.findLastIndex(stays);
    if (kept < 0) throw new ClientBehind('the block that both had in common was replaced', false);
    this.#fed.length = kept + 1;
    if (this.#top.number < before) {
      logger.info({ from: before, to: this.#top.number }, 'the soft order changed: the execution client is led back');
    }
  }

  /** Tells the client of the newest block that it took. */
  async #tell(): Promise<void> {
    const state = await this.#forkchoice();
    const isOld = performance.now() - this.#toldAtMs >= FORKCHOICE_REPEAT_MS;
    if (this.#told !== undefined && !isOld && isDeepStrictEqual(this.#told, state)) return;
    const top = this.#top;
    const block = this.#config.chain.blockAt(top.number);
    // Undone in between: the next round leads back.
    if (block === undefined || hexOf(block.summary.hash) !== top.derived) return;
    const { payloadStatus } = await this.#client.forkchoiceUpdated(state);
    if (payloadStatus.status === 'ACCEPTED')
      throw new ClientBehind('the client accepts the head without taking it', false);
    requireTaken(this.#client, block, payloadStatus, state.headBlockHash);
    this.#told = state;
    this.#toldAtMs = performance.now();
    this.headNumber = top.number;
    if (top.number >= Math.min(this.#troubleAt, this.#config.chain.headNumber)) this.#progressed();
    const final = Math.min(this.#config.chain.finalNumber, top.number);
    const keptFrom = this.#fed.findLastIndex(({ number }) => number <= final);
    if (keptFrom > 0) this.#fed.splice(0, keptFrom);
  }

  #progressed(): void {
    this.state = 'following';
    this.reason = undefined;
    this.#failures = 0;
    this.#refusals = 0;
    this.#stepBack = 0;
    this.#troubleAt = 0;
  }

  /** Head is the newest block taken, safe and finalized the newest final one of these. */
  async #forkchoice(): Promise<ForkchoiceState> {
    const top = this.#top;
    const final = await this.#hashAt(Math.min(this.#config.chain.finalNumber, top.number));
    return { headBlockHash: top.client, safeBlockHash: final, finalizedBlockHash: final };
  }

  /** The client's hash of a final block. */
  async #hashAt(number: number): Promise<Hex> {
    const known = this.#fed.find((place) => place.number === number);
    if (known !== undefined) return known.client;
    const found = await this.#client.block(number);
    if (found === undefined) throw new ClientBehind(`the client lost block ${number}`, false);
    return found.hash;
  }

  #mayRetry(error: unknown): boolean {
    const kind = kindOf(error);
    if (kind === 'fatal') return false;
    this.#troubles.increment({ kind });
    if (kind === 'passing') return true;
    this.#troubleAt = Math.max(this.#troubleAt, (this.#fed.at(-1)?.number ?? 0) + 1);
    // After a refusal as after SYNCING, it is given more of what lies before.
    this.#stepBack = Math.min(MAX_STEP_BACK_BLOCKS, Math.max(1, this.#stepBack * 2));
    if (!(error instanceof ClientBehind) || error.refused) this.#refusals++;
    return this.#refusals < MAX_FORKCHOICE_REFUSALS;
  }

  async #pause(error: unknown): Promise<void> {
    const { logger, retryMinMs = ENGINE_RETRY_MIN_MS } = this.#config;
    const retryMs = Math.min(ENGINE_RETRY_MAX_MS, retryMinMs * 2 ** Math.min(this.#failures, 16));
    this.#failures++;
    this.state = 'lost';
    this.reason = error instanceof Error ? error.message : String(error);
    const remedy = remedyOf(error);
    logger.warn({ retryMs, attempt: this.#failures, ...(remedy ? { remedy } : {}) }, `${this.reason}: trying again`);
    this.#wake.clear();
    await pause(retryMs, undefined, { signal: this.#abort.signal }).catch(() => {});
  }

  #fail(error: unknown): void {
    this.state = 'failed';
    this.reason = error instanceof Error ? error.message : String(error);
    this.#config.logger.error({ err: error }, 'the execution client is driven no longer');
    this.#config.onFailed(error);
  }
}

function remedyOf(error: unknown): string | undefined {
  if (error instanceof ClientBehind) {
    return 'If it goes on: geth must run with --syncmode full, and needs no peers. One whose log says "snap sync incomplete" was killed before it first wrote its state: give it a new data directory.';
  }
  if (!(error instanceof SquadError)) return undefined;
  if (error.code !== 'RPC_UNAUTHORIZED') return error.remedy;
  return 'The JWT secret file is read anew at each attempt: give both the same file, and set both clocks.';
}

function positionWords(common: Place, latest: ClientBlock, head: number): string {
  if (common.number === latest.number && latest.number < head) return 'is behind: it gets the missing blocks';
  if (common.number < Math.min(latest.number, head)) return 'is on another branch: it is led back';
  if (latest.number > head) return 'is ahead: it knows blocks that are not derived here yet';
  return 'is where this node is';
}
