/**
 * The L1 chain up to the anchors of ordered blocks, read from endpoints that are not trusted. An anchor names an L1 block by
 * its hash; its ancestors are found by their parents' hashes down to the block that is the origin now, so an endpoint can
 * withhold something, and change nothing. While nothing can be had, this waits and says so.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { type Logger, type Metrics, RpcError } from '@squad/service';
import {
  type Bytes32,
  equalBytes,
  fromHex,
  type Hex,
  type L1BlockId,
  type L1Header,
  SquadError,
  toHex,
  ZERO_HASH,
} from '@squad/types';
import type { OpChain } from '../../config/op-chain.ts';
import { hexOf } from '../../hex.ts';
import { type DepositTransaction, encodeDeposit } from './deposit.ts';
import { depositsIn, type L1Log, mayHoldLogsOf, readL1Header, readL1Logs } from './l1.ts';
import {
  L1_CALL_TIMEOUT_MS,
  L1_RETRY_MAX_MS,
  L1_RETRY_MIN_MS,
  MAX_L1_ANSWER_BYTES,
  MAX_L1_BLOCKS,
  MAX_L1_DISTANCE_BLOCKS,
  MAX_L1_HEADERS,
} from './limits.ts';
import { blobBaseFee, type L1Origin } from './origin.ts';
import { CONFIG_UPDATE_EVENT, configUpdate, type SystemConfig } from './system-config.ts';

/** An L1 block, as L2 takes it in. */
export interface L1Block {
  readonly origin: L1Origin;
  /** Encoded, in the order of their logs. */
  readonly deposits: readonly Uint8Array[];
  /** Sum of the deposits' gas limits. */
  readonly depositGas: bigint;
  /** What the SystemConfig's events change, in their order. */
  readonly updates: readonly Partial<SystemConfig>[];
}

export interface L1ChainConfig {
  /** JSON-RPC, tried one after another. */
  readonly urls: readonly string[];
  readonly l1: NonNullable<OpChain['l1']>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Default `L1_RETRY_MIN_MS`. */
  readonly retryMinMs?: number;
}

/** What no other endpoint, and no later time, can mend: it follows from hashes alone. */
const PROVEN: readonly string[] = ['L1_ANCHOR_WRONG', 'L1_OTHER_CHAIN', 'L1_TOO_FAR', 'L1_DEPOSIT_MALFORMED'];

export class L1Chain {
  /** Why nothing is had from L1 now; undefined: it is. */
  trouble: string | undefined;
  readonly #config: L1ChainConfig;
  readonly #portal: Uint8Array;
  readonly #systemConfig: Uint8Array;
  readonly #headers = new Map<Hex, L1Header>();
  readonly #blocks = new Map<Hex, L1Block>();
  readonly #abort = new AbortController();
  readonly #failures;

  constructor(config: L1ChainConfig) {
    this.#config = config;
    this.#portal = fromHex(config.l1.depositContract.toLowerCase() as Hex);
    this.#systemConfig = fromHex(config.l1.systemConfig.toLowerCase() as Hex);
    this.#failures = config.metrics.counter({
      name: 'squad_l1_failures_total',
      help: 'Times that an L1 endpoint could not be read, or gave what is not of the block that was asked for',
    });
  }

  /**
   * The `count` L1 blocks after `origin` on the way to `anchor`, which is so far on at least; waits for them. Throws SquadError
   * `L1_ANCHOR_WRONG`, `L1_OTHER_CHAIN`, `L1_TOO_FAR` or `L1_DEPOSIT_MALFORMED`, which are proven, and `DERIVATION_STOPPED`.
   */
  async blocksAfter(origin: L1Origin, anchor: L1BlockId, count: number): Promise<L1Block[]> {
    const { urls, logger, retryMinMs = L1_RETRY_MIN_MS } = this.#config;
    for (let attempt = 0; ; attempt++) {
      this.#requireRunning();
      const url = urls[attempt % urls.length]!;
      try {
        return await this.#read(url, origin, anchor, count);
      } catch (error) {
        this.#requireRunning();
        if (isProven(error)) throw error;
        const retryMs = Math.min(L1_RETRY_MAX_MS, retryMinMs * 2 ** Math.min(attempt, 16));
        const remedy = error instanceof SquadError ? error.remedy : undefined;
        logger.warn(
          { retryMs, attempt, remedy, origin: origin.number, anchor: anchor.number },
          this.#noteTrouble(url, error),
        );
        await pause(retryMs, undefined, { signal: this.#abort.signal }).catch(() => {});
      }
    }
  }

  /** Whether the same can be had now, at any of the endpoints; then `blocksAfter` has it without asking again. Never waits. */
  async has(origin: L1Origin, anchor: L1BlockId, count: number): Promise<boolean> {
    for (const url of this.#config.urls) {
      try {
        await this.#read(url, origin, anchor, count);
        return true;
      } catch (error) {
        this.#requireRunning();
        const why = isProven(error) ? (error as Error).message : this.#noteTrouble(url, error);
        this.#config.logger.debug({ anchor: anchor.number }, why);
      }
    }
    return false;
  }

  /** Ends calls and waits under way. */
  stop(): void {
    this.#abort.abort();
  }

  #requireRunning(): void {
    if (!this.#abort.signal.aborted) return;
    throw new SquadError('DERIVATION_STOPPED', 'the node is stopping and reads L1 no more', 'Start it again.');
  }

  #noteTrouble(url: string, error: unknown): string {
    this.#failures.increment();
    const reason = error instanceof Error ? error.message : String(error);
    // The rest of an address may be a secret, and whoever asks for the node's status is told this.
    this.trouble = reason.replaceAll(url, new URL(url).origin);
    return `L1 cannot be read, derivation waits: ${this.trouble}`;
  }

  async #read(url: string, origin: L1Origin, anchor: L1BlockId, count: number): Promise<L1Block[]> {
    const hashes = await this.#path(url, origin, anchor);
    const blocks: L1Block[] = [];
    for (const hash of hashes.slice(0, count)) blocks.push(await this.#block(url, hash));
    this.trouble = undefined;
    return blocks;
  }

  /** Hashes from the block after `origin` to the anchor. */
  async #path(url: string, origin: L1Origin, anchor: L1BlockId): Promise<Bytes32[]> {
    const distance = anchor.number - origin.number;
    if (distance > MAX_L1_DISTANCE_BLOCKS) throw tooFar(origin, anchor);
    this.#forgetHeaders(origin, distance);
    const hashes: Bytes32[] = [];
    let hash = anchor.hash;
    for (let number = anchor.number; number > origin.number; number--) {
      const header = await this.#header(url, hash);
      if (header.number !== BigInt(number)) throw wrongAnchor(anchor, hash, header.number, number);
      hashes.push(hash);
      hash = header.parentHash;
    }
    if (!equalBytes(hash, origin.hash)) throw otherChain(origin, anchor, hash);
    return hashes.reverse();
  }

  async #header(url: string, hash: Bytes32): Promise<L1Header> {
    const key = hexOf(hash);
    const known = this.#headers.get(key);
    if (known !== undefined) return known;
    const header = await readL1Header(url, hash, this.#options);
    this.#headers.set(key, header);
    return header;
  }

  /** Makes room for as many as there may be on the way. */
  #forgetHeaders(origin: L1Origin, coming: number): void {
    if (this.#headers.size + coming <= MAX_L1_HEADERS) return;
    for (const [key, { number }] of this.#headers) if (number <= BigInt(origin.number)) this.#headers.delete(key);
    if (this.#headers.size + coming > MAX_L1_HEADERS) this.#headers.clear();
  }

  async #block(url: string, hash: Bytes32): Promise<L1Block> {
    const key = hexOf(hash);
    const known = this.#blocks.get(key);
    if (known !== undefined) return known;
    const header = await this.#header(url, hash);
    const watched = [this.#portal, this.#systemConfig];
    const isQuiet = !watched.some((address) => mayHoldLogsOf(header.logsBloom, address));
    const logs = isQuiet ? [] : await readL1Logs(url, hash, header, this.#options);
    const deposits = depositsIn(logs, hash, this.#portal);
    const block = {
      origin: this.#originOf(hash, header),
      deposits: deposits.map(encodeDeposit),
      depositGas: deposits.reduce((sum: bigint, { gasLimit }: DepositTransaction) => sum + gasLimit, 0n),
      updates: this.#updatesIn(logs, header),
    };
    for (const oldest of this.#blocks.keys()) if (this.#blocks.size >= MAX_L1_BLOCKS) this.#blocks.delete(oldest);
    this.#blocks.set(key, block);
    return block;
  }

  #originOf(hash: Bytes32, header: L1Header): L1Origin {
    const { number, parentHash, timestamp, baseFeePerGas, excessBlobGas, parentBeaconBlockRoot } = header;
    return {
      number: Number(number),
      hash,
      parentHash,
      timestamp,
      baseFee: baseFeePerGas ?? 0n,
      blobBaseFee: blobBaseFee(this.#config.l1.blobSchedule, timestamp, excessBlobGas),
      parentBeaconBlockRoot: parentBeaconBlockRoot ?? ZERO_HASH,
    };
  }

  #updatesIn(logs: readonly L1Log[], { number }: L1Header): Partial<SystemConfig>[] {
    const { logger } = this.#config;
    return logs.flatMap((log) => {
      const [event] = log.topics;
      const isUpdate = event !== undefined && equalBytes(event, CONFIG_UPDATE_EVENT);
      if (!isUpdate || !equalBytes(log.address, this.#systemConfig)) return [];
      const update = configUpdate(log);
      if (update.ok) return [update.value];
      logger.warn({ l1Block: Number(number), log: log.index }, `a ConfigUpdate on L1 changes nothing: ${update.error}`);
      return [];
    });
  }

  get #options() {
    const { signal } = this.#abort;
    return { timeoutMs: L1_CALL_TIMEOUT_MS, maxAnswerBytes: MAX_L1_ANSWER_BYTES, signal };
  }
}

function isProven(error: unknown): boolean {
  return !(error instanceof RpcError) && error instanceof SquadError && PROVEN.includes(error.code);
}

function wrongAnchor(anchor: L1BlockId, hash: Bytes32, found: bigint, wanted: number): SquadError {
  return new SquadError(
    'L1_ANCHOR_WRONG',
    `the ordered blocks name L1 block ${anchor.number} (${toHex(anchor.hash)}); on the way to it, ${toHex(hash)} has number ${found} where ${wanted} belongs`,
    'The validators agreed on what is no L1 block. Stop; keep the data for examination.',
    { anchor: anchor.number, hash: toHex(anchor.hash) },
  );
}

function otherChain(origin: L1Origin, anchor: L1BlockId, found: Bytes32): SquadError {
  return new SquadError(
    'L1_OTHER_CHAIN',
    `L1 block ${anchor.number} (${toHex(anchor.hash)}), which the ordered blocks name, has ancestor ${toHex(found)} at ${origin.number}; the rollup's L1 origin there is ${toHex(origin.hash)}`,
    'Check l1Origin in the rollup file: it has to be on the L1 that the network follows. If it is, L1 was reorganised deeper than the network waits for.',
    { anchor: anchor.number, origin: origin.number },
  );
}

function tooFar(origin: L1Origin, anchor: L1BlockId): SquadError {
  return new SquadError(
    'L1_TOO_FAR',
    `the ordered blocks name L1 block ${anchor.number}, more than MAX_L1_DISTANCE_BLOCKS = ${MAX_L1_DISTANCE_BLOCKS} above the rollup's L1 origin, ${origin.number}`,
    'Begin the rollup at a later L1 block (l1Origin), or at an earlier time.',
    { anchor: anchor.number, origin: origin.number },
  );
}
