/**
 * What the JSON-RPC methods need of the node (station 1). The node implements it; `sequencerMethods` turns it into the
 * method table. Values are domain types: how they look as JSON is decided in `format.ts` alone.
 */

import type { Unsubscribe } from '@squad/service';
import type {
  Batch,
  Block,
  BlockHash,
  BlockHeader,
  BlockProof,
  Certificate,
  Epoch,
  GenesisRollup,
  Height,
  Hex,
  LaneSeq,
  OrderingReceipt,
  RollupId,
  TransactionHash,
  UnixMs,
  ValidatorIndex,
  ValidatorSet,
  View,
} from '@squad/types';
import type { Rejection } from '../admission/rejection.ts';

/** soft: notarized (R12). final: finalized (R15). */
export type Stage = 'soft' | 'final';

export type SubmitOutcome =
  | { readonly accepted: true; readonly hash: TransactionHash }
  | { readonly accepted: false; readonly rejection: Rejection };

/** Transactions that are to stand in one block, one after the other, or nowhere: 1 to `MAX_BUNDLE_BATCHES`. */
export type Bundle = readonly [BundleTransaction, ...BundleTransaction[]];

export interface BundleTransaction {
  readonly rollupId: RollupId;
  readonly transaction: Uint8Array;
}

/** `index`: of the transaction for which the whole is refused; undefined: whatever they are, this node takes none now. */
export type BundleOutcome =
  | { readonly accepted: true; readonly hashes: readonly TransactionHash[] }
  | { readonly accepted: false; readonly index: number | undefined; readonly rejection: Rejection };

/** Accepted transactions that stand together in a batch of this node's lane: `count` of them from `transactionIndex` on. */
export interface LanePlaces {
  readonly seq: LaneSeq;
  readonly transactionIndex: number;
  readonly count: number;
}

export interface BlockHead {
  readonly height: Height;
  readonly hash: BlockHash;
  readonly timestampMs: UnixMs;
  readonly l1Anchor: { readonly number: number; readonly hash: Hex };
}

export interface SequencerStatus {
  readonly networkId: Hex;
  readonly networkName: string;
  readonly version: string;
  readonly peerId: string;
  /** The epoch that is ordered now (R22); the next two are of its validator set. */
  readonly epoch: Epoch;
  /** Undefined for an observer. */
  readonly validatorIndex: ValidatorIndex | undefined;
  readonly validatorCount: number;
  readonly connectedValidators: readonly ValidatorIndex[];
  readonly peerCount: number;
  readonly view: View;
  readonly leader: ValidatorIndex | undefined;
  readonly soft: BlockHead;
  readonly final: BlockHead;
  /** From the last block's timestamp until it was soft, and final, here. */
  readonly softLagMs: number;
  readonly finalLagMs: number;
  /** Transactions that became final since the start. */
  readonly transactions: number;
  readonly ready: boolean;
  /** Why it is not ready: one sentence each. */
  readonly reasons: readonly string[];
  /** Batches of the own lane that are sealed and not ordered yet, and how many there may be (R1). */
  readonly laneDepth: number;
  readonly laneLimit: number;
  readonly uptimeSeconds: number;
}

/** The last block that got so far. */
export interface Head {
  readonly block: Block;
  /** Milliseconds from the block's timestamp until it got this far here. */
  readonly lagMs: number;
}

export interface StagedBlock {
  readonly stage: Stage;
  readonly block: Block;
}

/** `path`: from the asked block's child to the header that the certificate names; empty if it names the block itself. */
export interface StagedCertificate {
  readonly stage: Stage;
  readonly header: BlockHeader;
  readonly certificate: Certificate;
  readonly path: readonly BlockHeader[];
}

/** Where an ordered transaction stands: the batch is ref `batchIndex` of the block, the transaction `transactionIndex` of it. */
export interface TransactionPlace {
  readonly rollupId: RollupId;
  readonly height: Height;
  readonly blockHash: BlockHash;
  readonly batchIndex: number;
  readonly author: ValidatorIndex;
  readonly seq: LaneSeq;
  readonly transactionIndex: number;
}

export type TransactionStatus =
  /** Never seen here, or so long ago that it was forgotten. */
  | { readonly status: 'unknown' }
  /** Accepted here and not ordered yet. */
  | { readonly status: 'pending'; readonly rollupId: RollupId }
  | ({ readonly status: Stage } & TransactionPlace);

/** One block as a rollup sees it: its own batches in ref order, none of others'. */
export interface SequenceBlock extends StagedBlock {
  readonly certificate: Certificate;
  /** From the block's child to the header that the certificate names; empty if it names the block itself. */
  readonly path: readonly BlockHeader[];
  readonly batches: readonly Batch[];
}

export interface SequenceReceiver {
  onBlock(block: SequenceBlock): void;
  /** No more comes: this node cannot go on, as with bodies that it has pruned. */
  onEnd(error: unknown): void;
  /** Await between blocks of a replay: resolves when the receiver can take more. */
  ready(): Promise<void>;
  /** Aborted when the receiver went away. */
  readonly closed: AbortSignal;
}

/** `names`: in the order of the set; null where no file names the validator. */
export interface NamedValidatorSet {
  readonly set: ValidatorSet;
  readonly names: readonly (string | null)[];
}

export type BlockSelector = { readonly height: Height } | { readonly hash: BlockHash };

export interface SequencerApi {
  /** The rollups of the genesis file, in its order. */
  readonly rollups: readonly GenesisRollup[];
  /**
   * Checks (station 2) and takes transactions of one rollup into the lane. One outcome for each, in order; back-pressure
   * is a `LANE_FULL` rejection. The rollup is one of `rollups`. `onPlaced` is told, before this resolves, where those that
   * were accepted stand in the lane, in their order.
   */
  submit(
    rollupId: RollupId,
    transactions: readonly Uint8Array[],
    onPlaced?: (places: readonly LanePlaces[]) => void,
  ): Promise<readonly SubmitOutcome[]>;
  /** Checks the transactions of a bundle and takes all of them into the lane, or none. The rollups are some of `rollups`. */
  submitBundle(bundle: Bundle): Promise<BundleOutcome>;
  /** Whose lane the places are of that `submit` tells: of this node in the epoch of now. */
  readonly lane: Pick<SequencerStatus, 'epoch' | 'validatorIndex'>;
  status(): SequencerStatus;
  /** Undefined if there is none here. */
  block(selector: BlockSelector): Promise<StagedBlock | undefined>;
  certificate(height: Height): Promise<StagedCertificate | undefined>;
  /** All evidence that is kept here, ready for JSON. */
  evidence(): readonly unknown[];
  /** The encoded proof that an epoch is over; undefined if it is not, or not here. */
  handOver(epoch: Epoch): Promise<Uint8Array | undefined>;
  /** Who validates an epoch; undefined if it has not begun here. */
  validatorSet(epoch: Epoch): Promise<NamedValidatorSet | undefined>;
  transactionStatus(hash: TransactionHash): Promise<TransactionStatus>;
  /** Of a transaction that is soft or final; undefined if it is neither, or what proves it is not held here. */
  receipt(hash: TransactionHash): Promise<OrderingReceipt | undefined>;
  /** Of a block that is final, or the soft head. */
  blockProof(height: Height): Promise<BlockProof | undefined>;
  /** Each block when it becomes soft, and again when it becomes final. */
  subscribeBlocks(listener: (block: StagedBlock) => void): Unsubscribe;
  /**
   * Final blocks from a height on (inclusive), then soft and final ones as they come; in ascending height within a stage.
   */
  subscribeSequence(rollupId: RollupId, fromHeight: Height, receiver: SequenceReceiver): Unsubscribe;
}
