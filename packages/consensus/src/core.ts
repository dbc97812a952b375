/**
 * The protocol (R6 to R22) as a state machine: `step(nowMs, input)` changes the state and answers with what is to be done.
 * Deterministic: no clock, no randomness, no waiting, nothing iterated in an order that is not fixed.
 *
 * Here inputs are dispatched. The events are in `voting.ts` (votes, certificates, views, finality), `proposing.ts`,
 * `timers.ts` and `catch-up.ts`; what a validator may sign is in `signer.ts`.
 */

import type {
  Block,
  BlockHash,
  Bytes32,
  ConsensusMessage,
  Height,
  L1BlockId,
  UnixMs,
  ValidatorIndex,
  View,
} from '@squad/types';
import type { Checkpoint, ConsensusConfig, ConsensusRecord, Input, Output } from './api.ts';
import { fetchAwaited, onBlockFetched, onRangeFetched } from './catch-up.ts';
import { answerAfterTheEnd, askForHandOver, endByHandOver, epochOf, onHandOver, onOtherEpoch } from './epochs.ts';
import { watchHeldCertificates } from './evidence.ts';
import { anchorAfter } from './l1-anchor.ts';
import type { LaneTip } from './lanes.ts';
import { judgeProposal, onProposal, propose, takeEarlyProposal } from './proposing.ts';
import { relayDue } from './relay.ts';
import { restore } from './restore.ts';
import { State } from './state.ts';
import { nullifyIfDue, resend, retry, wakeAtMs } from './timers.ts';
import { countOwnVotes, enterRound, finalizeAwaited, onCertificate, onVote } from './voting.ts';

export interface ConsensusStatus {
  readonly view: View;
  readonly leader: ValidatorIndex;
  readonly finalHeight: Height;
  readonly finalView: View;
  /** A certificate was received or formed since the start (R19), and nothing final is known that is not held here. */
  readonly sawHead: boolean;
  readonly delayMs: number;
}

/** How much it holds at the moment, in the units of LIMITS.md. */
export interface ConsensusSizes {
  /** Views of which votes are held, to be counted and to be compared. */
  readonly talliedViews: number;
  readonly watchedViews: number;
  /** Notarizations and nullifications. */
  readonly certificates: number;
  /** The final head included. */
  readonly treeBlocks: number;
  readonly orphanBlocks: number;
  /** Of the lane with the most: places at which a batch is held; of the place with the most: batches. */
  readonly placesInLane: number;
  readonly batchesAtPlace: number;
  /** Held for confirmed. */
  readonly l1Blocks: number;
}

export class Consensus {
  readonly #state: State;

  /** `records`: what was persisted before a restart, in order, from the last checkpoint on; empty on the first start. */
  constructor(config: ConsensusConfig, nowMs: UnixMs, records: readonly ConsensusRecord[] = []) {
    const last = records.findLastIndex((record) => record.type === 'checkpoint');
    const checkpoint = records[last];
    const start = checkpoint?.type === 'checkpoint' ? checkpoint.checkpoint : undefined;
    this.#state = new State(config, nowMs, start);
    restore(this.#state, start, records.slice(last + 1));
    // Nobody can hold a certificate yet when nothing was ever voted or certified: the first view of a new network is fresh.
    this.#state.fresh = records.length === 0;
  }

  get status(): ConsensusStatus {
    const s = this.#state;
    const { header } = s.chain.head.block;
    return {
      view: s.view,
      leader: s.leader,
      finalHeight: header.height,
      finalView: s.finalView,
      sawHead: s.entry !== undefined && s.fresh && s.awaited === undefined,
      delayMs: s.pacemaker.delayMs,
    };
  }

  get sizes(): ConsensusSizes {
    const { tally, watch, held, chain, lanes, l1 } = this.#state;
    const { places, batchesAtPlace } = lanes.most;
    return {
      talliedViews: tally.views,
      watchedViews: watch.views,
      certificates: held.size,
      treeBlocks: chain.size,
      orphanBlocks: chain.orphans,
      placesInLane: places,
      batchesAtPlace,
      l1Blocks: l1.size,
    };
  }

  /** The state that must survive, to start a new run of records with (`ConsensusRecord` of type checkpoint). */
  checkpoint(): Checkpoint {
    const { chain, held, signer, awaited } = this.#state;
    const persisted = chain.above().filter((block) => block.persisted);
    return {
      finalized: chain.head.block,
      finalization: chain.finalization,
      laneTips: chain.head.tips,
      blocks: persisted.map(({ block }) => block),
      certificates: awaited ? [...held.all(), awaited.certificate] : held.all(),
      votes: signer.votesAbove(chain.head.view),
    };
  }

  /** The next place in a lane on the final head: where a restarted lane goes on at the earliest. */
  laneTip(author: ValidatorIndex): LaneTip {
    return this.#state.chain.head.tips[author]!;
  }

  /** Whether its epoch is over (R22): it only answers, and what is recorded from now on is the next epoch's. */
  get isOver(): boolean {
    return this.#state.ended !== undefined;
  }

  /** Leaders that named another next set than was known here in the last boundary block of theirs, and its hash (R22). */
  get otherNextSets(): ReadonlyMap<ValidatorIndex, Bytes32> {
    return this.#state.otherNextSets;
  }

  /** The last final block. */
  get finalBlock(): Block {
    return this.#state.chain.head.block;
  }

  /** The final head's, or the genesis file's (R24). */
  get l1Anchor(): L1BlockId {
    return anchorAfter(this.#state, this.finalBlock);
  }

  /** A block above the final head, or the final head itself: what peers ask for by hash. */
  block(hash: BlockHash): Block | undefined {
    return this.#state.chain.get(hash)?.block;
  }

  /** Such a block if it was announced as soft, or is final. */
  softBlock(hash: BlockHash): Block | undefined {
    const known = this.#state.chain.get(hash);
    return known?.announced ? known.block : undefined;
  }

  step(nowMs: UnixMs, input: Input): Output[] {
    const s = this.#state;
    s.now = nowMs;
    s.out = [];
    if (s.ended) {
      answerAfterTheEnd(s, input);
      return s.out;
    }
    switch (input.type) {
      case 'start':
        enterRound(s);
        watchHeldCertificates(s);
        countOwnVotes(s);
        break;
      case 'message':
        s.pacemaker.heard(input.from, nowMs);
        onMessage(s, input.from, input.message);
        break;
      case 'peerConnected':
        s.pacemaker.heard(input.peer, nowMs);
        resend(s, input.peer);
        break;
      case 'peerDisconnected':
        s.pacemaker.lost(input.peer);
        break;
      case 'batchStored':
        s.lanes.store(input.batch, nowMs);
        break;
      case 'acknowledged':
        s.pacemaker.heard(input.from, nowMs);
        for (const acknowledgement of input.acknowledgements) s.lanes.acknowledge(input.from, acknowledgement);
        break;
      case 'blockFetched':
        onBlockFetched(s, input.from, input.block);
        break;
      case 'rangeFetched':
        onRangeFetched(s, input.from, input.blocks, input.certificate);
        break;
      case 'handOverFetched':
        onHandOver(s, input.from, input.proof);
        break;
      case 'laterEpoch':
        askForHandOver(s, []);
        break;
      case 'bodiesComplete':
        s.bodiesHeight = Math.max(s.bodiesHeight ?? 0, input.height);
        break;
      case 'l1Blocks':
        s.l1.replace(input.blocks, nowMs);
        break;
      case 'tick':
        break;
    }
    proceed(s);
    return s.out;
  }
}

function onMessage(s: State, from: ValidatorIndex, message: ConsensusMessage): void {
  // Before anything else: positions of another epoch's set say nothing here.
  if (epochOf(message) !== s.config.validatorSet.epoch) return onOtherEpoch(s, from, message);
  switch (message.type) {
    case 'proposal':
      return onProposal(s, from, message.proposal);
    case 'vote':
      return onVote(s, from, message.vote);
    case 'certificate':
      return void onCertificate(s, from, message.certificate);
    case 'handOver':
      onHandOver(s, from, message.proof);
  }
}

/** Does whatever the present state allows, until nothing is left that it does. */
function proceed(s: State): void {
  // Each pass may complete a certificate and enter the next view, in which there is more to do; alone, a validator would
  // go on for ever, but for the wait of an idle leader.
  endByHandOver(s);
  for (let view = 0; view !== s.view && !s.handOver && !s.ended; ) {
    view = s.view;
    finalizeAwaited(s);
    takeEarlyProposal(s);
    judgeProposal(s);
    if (view === s.view) propose(s);
    if (view === s.view) nullifyIfDue(s);
  }
  if (s.ended) return;
  relayDue(s);
  if (!s.handOver) retry(s);
  fetchAwaited(s);
  s.out.push({ type: 'wakeAt', atMs: wakeAtMs(s) });
}
