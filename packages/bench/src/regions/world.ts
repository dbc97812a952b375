/**
 * A set of validators spread over regions, on virtual time: what they order, how fast, and what it takes of each. Everything follows
 * from the options: there is no clock and no chance but the seed's.
 */

import { type ConsensusConfig, DEFAULT_CONSENSUS_OPTIONS, type HeldBatch } from '@squad/consensus';
import { EpochPlan, EventQueue, hexOf, Random, rememberRoots, SignatureRegistry } from '@squad/consensus/sim';
import type { VoteScheme } from '@squad/crypto';
import { type Block, faultyWeight, type UnixMs, type ValidatorIndex } from '@squad/types';
import { Histogram } from '../load/histogram.ts';
import type { Costs } from './costs.ts';
import { RegionLinks } from './links.ts';
import { RegionNode } from './node.ts';
import type { Percentiles, RegionOptions, RegionResult } from './scenario.ts';

const GENESIS_TIME_MS = 1_700_000_000_000;
/** Virtual time after what is measured in which the rest of it may become final. */
const TAIL_MS = 30_000;
/** From here on what is taken makes the rest wait more than distance does. */
const LIMIT_SHARE = 0.5;

export interface SealedBatch extends HeldBatch {
  readonly dueUs: number;
}

export class RegionWorld {
  /** Its unit is the microsecond. */
  readonly queue = new EventQueue();
  readonly size: number;
  readonly costs: Costs;
  readonly links: RegionLinks;
  readonly registry: SignatureRegistry;
  readonly batchBytes: number;
  fetches = 0;
  readonly #options: RegionOptions;
  readonly #random: Random;
  readonly #networkId: Uint8Array;
  readonly #plan: EpochPlan;
  readonly #nodes: readonly RegionNode[];
  readonly #peers: readonly (readonly RegionNode[])[];
  readonly #batches = new Map<string, SealedBatch>();
  readonly #latency = { soft: new Histogram(), final: new Histogram() };
  /** Measured, and not final yet at a node. */
  #unfinished = 0;
  #refused = 0;

  constructor(options: RegionOptions) {
    rememberRoots();
    const { validators, roundTripsMs, seed } = options;
    this.#options = options;
    this.size = validators;
    this.costs = options.costs;
    this.batchBytes = options.batchBytes;
    this.#random = new Random(`regions-${seed}`);
    this.#networkId = this.#random.fork('network-id').bytes(32);
    this.#plan = new EpochPlan(new Array<number>(validators).fill(1), undefined);
    this.registry = new SignatureRegistry(this.#random.fork('scheme').uint32());
    const regionOf = Array.from({ length: validators }, (_, index) => index % roundTripsMs.length);
    this.links = new RegionLinks(this.queue, roundTripsMs, regionOf, options.uplinkMbit, options.windowBytes);
    const down = this.#absent(regionOf);
    const there = [...regionOf.keys()].filter((index) => !down.has(index));
    this.#nodes = there.map((index) => new RegionNode(this, index, options.cores));
    this.#peers = regionOf.map((_, self) => {
      const after = this.#nodes.filter(({ index }) => index > self);
      return [...after, ...this.#nodes.filter(({ index }) => index < self)];
    });
  }

  #absent(regionOf: readonly number[]): ReadonlySet<ValidatorIndex> {
    const all = [...regionOf.keys()];
    if (this.#options.absent === 'region') return new Set(all.filter((index) => regionOf[index] === 0));
    if (this.#options.absent === 'none') return new Set();
    return new Set(this.#random.fork('absent').shuffle(all).slice(0, faultyWeight(this.size)));
  }

  get nowMs(): UnixMs {
    return GENESIS_TIME_MS + Math.floor(this.queue.nowMs / 1_000);
  }

  at(atMs: UnixMs, run: () => void): void {
    this.queue.at((atMs - GENESIS_TIME_MS) * 1_000, run);
  }

  peersOf(index: ValidatorIndex): readonly RegionNode[] {
    return this.#peers[index]!;
  }

  configOf(self: ValidatorIndex, scheme: VoteScheme): ConsensusConfig {
    return {
      networkId: this.#networkId,
      genesisTimeMs: GENESIS_TIME_MS,
      validatorSet: this.#plan.at(0).validatorSet,
      self,
      scheme,
      options: DEFAULT_CONSENSUS_OPTIONS,
    };
  }

  // ---------------------------------------------------------------- batches

  makeBatch(author: ValidatorIndex, seq: number, previousDigest: Uint8Array): SealedBatch {
    const digest = this.#random.fork(`batch-${author}-${seq}`).bytes(32);
    const batch = {
      ref: { author, seq, rollupId: 1, digest, joinsNext: false },
      previousDigest,
      dueUs: this.queue.nowMs,
    };
    this.#batches.set(hexOf(digest), batch);
    return batch;
  }

  #isMeasured(dueUs: number): boolean {
    const { warmUpSeconds, seconds } = this.#options;
    return dueUs >= warmUpSeconds * 1e6 && dueUs < (warmUpSeconds + seconds) * 1e6;
  }

  /** Each validator as many as any other, each from a moment of its own on. */
  #load(): void {
    const intervalUs = (this.#nodes.length * 1e6) / this.#options.batchesPerSecond;
    for (const { index, exchange } of this.#nodes) {
      const next = (dueUs: number): void =>
        this.queue.at(dueUs, () => {
          const isMeasured = this.#isMeasured(this.queue.nowMs);
          if (!exchange.seal()) this.#refused += isMeasured ? 1 : 0;
          else if (isMeasured) this.#unfinished += this.#nodes.length;
          next(dueUs + intervalUs);
        });
      next(this.#random.fork(`phase-${index}`).unit() * intervalUs);
    }
  }

  /** A block became soft or final at a node. */
  onOrdered(stage: 'soft' | 'final', block: Block): void {
    for (const { digest } of block.refs) {
      const { dueUs } = this.#batches.get(hexOf(digest))!;
      if (!this.#isMeasured(dueUs)) continue;
      this.#latency[stage].record(this.queue.nowMs - dueUs);
      if (stage === 'final') this.#unfinished--;
    }
  }

  // ---------------------------------------------------------------- the run

  run(): RegionResult {
    const { validators, absent, warmUpSeconds, seconds } = this.#options;
    for (const node of this.#nodes) {
      node.submit({ type: 'start' });
      for (const { index } of node.peers) {
        this.queue.at(this.links.roundTripUs(node.index, index), () =>
          node.submit({ type: 'peerConnected', peer: index }),
        );
      }
    }
    this.#load();
    this.#runUntil(warmUpSeconds * 1e6);
    const before = this.#totals();
    this.#runUntil((warmUpSeconds + seconds) * 1e6);
    const after = this.#totals();
    const endUs = this.queue.nowMs + TAIL_MS * 1_000;
    while (this.#unfinished > 0 && this.queue.nowMs < endUs) this.#runUntil(this.queue.nowMs + 1e5);

    const blocks = after.height - before.height;
    const cpuUs = after.cpuUs.map((us, i) => us - before.cpuUs[i]!).sort((a, b) => a - b);
    const uplinkUs = Math.max(...after.uplinkUs.map((us, i) => us - before.uplinkUs[i]!));
    const cpuShare = cpuUs.at(-1)! / (seconds * 1e6);
    const uplinkShare = uplinkUs / (seconds * 1e6);
    return {
      validators,
      absent,
      down: validators - this.#nodes.length,
      soft: percentiles(this.#latency.soft),
      final: percentiles(this.#latency.final),
      blocksPerSecond: blocks / seconds,
      viewsPerBlock: (after.view - before.view) / blocks,
      cpuMsPerBlock: { busiest: cpuUs.at(-1)! / 1_000 / blocks, median: cpuUs[cpuUs.length >> 1]! / 1_000 / blocks },
      cpuShare,
      uplinkShare,
      consensusBytesPerBlock: (after.frameBytes - before.frameBytes) / this.#nodes.length / blocks,
      fetches: this.fetches,
      refused: this.#refused,
      unfinished: this.#unfinished,
      limit: Math.max(cpuShare, uplinkShare) < LIMIT_SHARE ? 'distance' : cpuShare > uplinkShare ? 'CPU' : 'uplink',
    };
  }

  #runUntil(untilUs: number): void {
    let isReached = false;
    this.queue.at(untilUs, () => {
      isReached = true;
    });
    while (!isReached) this.queue.runNext();
  }

  #totals() {
    const statuses = this.#nodes.map(({ core }) => core.status);
    return {
      height: Math.max(...statuses.map(({ finalHeight }) => finalHeight)),
      view: Math.max(...statuses.map(({ finalView }) => finalView)),
      cpuUs: this.#nodes.map(({ cpu }) => cpu.busyUs),
      uplinkUs: [...this.links.busyUs],
      frameBytes: this.#nodes.reduce((sum, { frameBytes }) => sum + frameBytes, 0),
    };
  }
}

function percentiles(latency: Histogram): Percentiles | undefined {
  if (latency.total === 0) return undefined;
  return { p50: latency.percentileUs(0.5)! / 1_000, p99: latency.percentileUs(0.99)! / 1_000 };
}
