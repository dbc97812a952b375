/**
 * Follows the network's L1 (R24): reads the headers above the final head's anchor, as far as they are confirmed, and says
 * again and again which blocks those are. No endpoint is trusted: each header is hashed here and has to name the one before
 * as its parent, down to the anchor. What an endpoint can still do is to show a fork that nobody else sees; the validators'
 * quorum is against that.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { MAX_L1_BLOCKS_HELD } from '@squad/consensus';
import { keccak256 } from '@squad/crypto/node';
import { type Counter, type Gauge, type Logger, type Metrics, rpcCall } from '@squad/service';
import {
  encodeL1Header,
  equalBytes,
  fromHex,
  type GenesisL1,
  type Hex,
  isHex,
  type L1BlockId,
  L1Header,
  SquadError,
  toHex,
} from '@squad/types';
import { z } from 'zod';

/** Milliseconds between two looks at the L1. */
export const L1_LOOK_INTERVAL_MS = 1_000;
/** Milliseconds for one answer of an endpoint. */
export const L1_ANSWER_TIMEOUT_MS = 5_000;
/** Bytes of one answer: a header with the hashes of the block's transactions. */
export const MAX_L1_ANSWER_BYTES: number = 1024 * 1024;

/** 13 digits at most: below 2^52, so a number holds it. */
const SmallQuantity = z
  .string()
  .regex(/^0x(0|[1-9a-f][0-9a-f]{0,12})$/)
  .transform(Number);
const HashedHeader = L1Header.extend({ hash: z.string().refine((value): value is Hex => isHex(value, 32)) });

export interface L1FollowerConfig {
  /** Asked in turn: one as long as it answers well, then the next. */
  readonly urls: readonly string[];
  readonly l1: GenesisL1;
  /** The anchor of the final head. */
  readonly anchor: () => L1BlockId;
  /** After every look: what is confirmed, from that anchor on (`l1Blocks` of the core). */
  readonly onBlocks: (blocks: readonly L1BlockId[]) => void;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Default: `L1_LOOK_INTERVAL_MS`. */
  readonly intervalMs?: number;
}

export class L1Follower {
  readonly #config: L1FollowerConfig;
  readonly #head: Gauge;
  readonly #confirmed: Gauge;
  readonly #failedLooks: Counter;
  readonly #stopped = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #turn = 0;
  /** Endpoints that are of the right chain, and those of which the log says that they fail. */
  readonly #known = new Set<string>();
  readonly #failing = new Set<string>();
  /** Each the parent of the next. */
  #blocks: readonly L1BlockId[] = [];

  constructor(config: L1FollowerConfig) {
    const { metrics } = config;
    this.#config = config;
    this.#head = metrics.gauge({
      name: 'squad_l1_head_number_blocks',
      help: 'Number of the head that the L1 endpoint shows',
    });
    this.#confirmed = metrics.gauge({
      name: 'squad_l1_confirmed_number_blocks',
      help: 'The highest L1 block held for confirmed here',
    });
    this.#failedLooks = metrics.counter({
      name: 'squad_l1_failed_looks_total',
      help: 'Looks at the L1 that an endpoint did not answer well',
    });
  }

  start(): void {
    this.#running = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #follow(): Promise<void> {
    const { intervalMs = L1_LOOK_INTERVAL_MS } = this.#config;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#look();
      await pause(intervalMs, undefined, { signal }).catch(() => {});
    }
  }

  async #look(): Promise<void> {
    const { urls, logger, onBlocks } = this.#config;
    const url = urls[this.#turn]!;
    const endpoint = new URL(url).origin; // the rest may be a secret
    try {
      await this.#read(url);
      if (this.#failing.delete(url)) logger.info({ endpoint }, 'the L1 endpoint answers well again');
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      this.#turn = (this.#turn + 1) % urls.length;
      this.#known.delete(url);
      this.#failedLooks.increment();
      if (!this.#failing.has(url)) {
        this.#failing.add(url);
        const { code, remedy } = error as Partial<SquadError>;
        const reason = (error as Error).message.replaceAll(url, endpoint);
        logger.warn(
          { endpoint, code, remedy },
          `the L1 endpoint does not answer well, and this node knows no newer anchors without one: ${reason}`,
        );
      }
    }
    this.#confirmed.set(this.#blocks.at(-1)?.number ?? 0);
    onBlocks(this.#blocks);
  }

  /** What was read stays if it fails on the way. */
  async #read(url: string): Promise<void> {
    const { l1, anchor, logger } = this.#config;
    await this.#checkChain(url);
    const head = await this.#ask(url, 'eth_blockNumber', [], SmallQuantity);
    this.#head.set(head);
    const from = anchor();
    const at = this.#blocks.findIndex(({ number, hash }) => number === from.number && equalBytes(hash, from.hash));
    this.#blocks = at < 0 ? [from] : this.#blocks.slice(at);
    const highest = Math.min(head - l1.confirmations, from.number + MAX_L1_BLOCKS_HELD - 1);
    for (let isAgain = false; ; ) {
      const top = this.#blocks.at(-1)!;
      if (top.number >= highest) return;
      const { parentHash, hash } = await this.#readHeader(url, top.number + 1);
      if (equalBytes(parentHash, top.hash)) {
        this.#blocks = [...this.#blocks, { number: top.number + 1, hash }];
      } else if (top === this.#blocks[0] || isAgain) {
        throw this.#forked(url, top);
      } else {
        // Another endpoint than before, or a reorganisation deeper than the confirmations: seen from the anchor on.
        logger.warn(
          { number: top.number, hash: toHex(top.hash) },
          'an L1 block that was confirmed is not there any more',
        );
        this.#blocks = this.#blocks.slice(0, 1);
        isAgain = true;
      }
    }
  }

  async #checkChain(url: string): Promise<void> {
    if (this.#known.has(url)) return;
    const chainId = await this.#ask(url, 'eth_chainId', [], SmallQuantity);
    const expected = this.#config.l1.chainId;
    if (chainId !== expected) {
      throw new SquadError(
        'L1_OTHER_CHAIN',
        `${url} is an endpoint of chain ${chainId}, and this network follows chain ${expected}`,
        'Name an endpoint of that chain with --l1-rpc.',
      );
    }
    this.#known.add(url);
  }

  /** The header at this height as the endpoint shows it, with the hash that it really has. */
  async #readHeader(
    url: string,
    number: number,
  ): Promise<{ readonly parentHash: Uint8Array; readonly hash: Uint8Array }> {
    const params = [`0x${number.toString(16)}`, false];
    const header = await this.#ask(url, 'eth_getBlockByNumber', params, HashedHeader.nullable());
    if (header === null) {
      throw new SquadError(
        'L1_UNKNOWN_BLOCK',
        `${url} does not show L1 block ${number}, which is below its head`,
        'It may be starting, or not keep old headers; use another endpoint if it goes on.',
      );
    }
    const hash = keccak256(encodeL1Header(header));
    if (header.number !== BigInt(number) || !equalBytes(hash, fromHex(header.hash))) {
      throw new SquadError(
        'L1_HEADER_WRONG',
        `${url} answers the question for L1 block ${number} with a header of another number or hash`,
        'Use another L1 endpoint. If all answer so, L1 has a fork that this version does not know.',
      );
    }
    return { parentHash: header.parentHash, hash };
  }

  #ask<Schema extends z.ZodType>(url: string, method: string, params: readonly unknown[], schema: Schema) {
    return rpcCall(url, method, params, schema, {
      timeoutMs: L1_ANSWER_TIMEOUT_MS,
      maxAnswerBytes: MAX_L1_ANSWER_BYTES,
      signal: this.#stopped.signal,
    });
  }

  #forked(url: string, { number, hash }: L1BlockId): SquadError {
    return new SquadError(
      'L1_FORKED',
      `on the L1 of ${url} block ${number} is not ${toHex(hash)}, which the network's anchors stand on`,
      'Use another endpoint. If all say so, L1 was reorganised below the anchor: the network goes on ordering, and its anchor stays.',
    );
  }
}

/** What follows the L1 by these options. Throws `L1_NOT_FOLLOWED` if there is none to follow. */
export function createL1Follower(
  l1: GenesisL1 | undefined,
  config: Omit<L1FollowerConfig, 'l1'>,
): L1Follower | undefined {
  if (l1 && config.urls.length > 0) return new L1Follower({ ...config, l1 });
  if (l1) {
    config.logger.warn('without --l1-rpc this node votes for no block that advances the L1 anchor');
    return undefined;
  }
  if (config.urls.length === 0) return undefined;
  throw new SquadError(
    'L1_NOT_FOLLOWED',
    'an L1 endpoint was given, and the genesis file names no L1',
    'Leave --l1-rpc out, or get the genesis file of a network that follows an L1.',
  );
}
