/** The sequencer's metrics, one for each station it owns. */

import type { Counter, Metrics } from '@squad/service';
import { type Batch, type Block, EVIDENCE_KINDS, type Height, type View } from '@squad/types';

export interface SequencerMetrics {
  readonly laneFull: Counter;
  readonly storedBatches: Counter;
  readonly misbehaved: Counter;
  readonly evidence: Counter<'kind'>;
  /** How many validators there is evidence against. */
  convicted(validators: number): void;
  sealed(batch: Batch): void;
  enteredView(view: View): void;
  finalized(block: Block, lagMs: number): void;
  /** The lowest height whose bodies are held. */
  bodiesFrom(height: Height): void;
  /** Transactions of the own lane that were sealed since the start. */
  readonly sealedTransactions: number;
}

const LAG_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createSequencerMetrics(metrics: Metrics): SequencerMetrics {
  const sealedBatches = metrics.counter({
    name: 'squad_lane_sealed_batches_total',
    help: 'Batches sealed into the own lane',
  });
  const sealedCount = metrics.counter({
    name: 'squad_lane_sealed_transactions_total',
    help: 'Transactions sealed into the own lane',
  });
  const finalBlocks = metrics.counter({ name: 'squad_consensus_final_blocks_total', help: 'Blocks that became final' });
  const finalBatches = metrics.counter({
    name: 'squad_consensus_final_batches_total',
    help: 'Batches that became final',
  });
  const view = metrics.gauge({ name: 'squad_consensus_view_number', help: 'The current view' });
  const epoch = metrics.gauge({ name: 'squad_consensus_epoch_number', help: 'Epoch of the last final block' });
  const height = metrics.gauge({ name: 'squad_consensus_final_height_blocks', help: 'Height of the last final block' });
  const l1Anchor = metrics.gauge({
    name: 'squad_consensus_l1_anchor_number_blocks',
    help: 'Number of the L1 block that is the anchor of the last final block',
  });
  const bodiesFrom = metrics.gauge({
    name: 'squad_storage_bodies_from_height_blocks',
    help: 'The lowest height whose bodies are held; 1 if none were pruned or left out',
  });
  const convicted = metrics.gauge({
    name: 'squad_consensus_convicted_validators',
    help: 'Validators that this node holds evidence against',
  });
  const lag = metrics.histogram({
    name: 'squad_consensus_final_lag_seconds',
    help: 'From a block’s timestamp to its finality here',
    buckets: LAG_BUCKETS_SECONDS,
  });
  let sealedTransactions = 0;
  return {
    laneFull: metrics.counter({
      name: 'squad_lane_refused_calls_total',
      help: 'Submissions refused because the lane was full',
    }),
    storedBatches: metrics.counter({
      name: 'squad_storage_stored_batches_total',
      help: 'Batches stored, of all lanes',
    }),
    misbehaved: metrics.counter({
      name: 'squad_network_misbehaved_peers_total',
      help: 'Times a validator was disconnected for what it sent',
    }),
    evidence: metrics.counter({
      name: 'squad_consensus_evidence_found_total',
      help: 'Convictions of validators since the start, for each kind of evidence one',
      labels: { kind: EVIDENCE_KINDS },
    }),
    sealed: ({ signed }) => {
      sealedBatches.increment();
      sealedCount.add(signed.header.transactionCount);
      sealedTransactions += signed.header.transactionCount;
    },
    convicted: (validators) => convicted.set(validators),
    bodiesFrom: (from) => bodiesFrom.set(from),
    enteredView: (entered) => view.set(entered),
    finalized: ({ header, refs }, lagMs) => {
      finalBlocks.increment();
      finalBatches.add(refs.length);
      epoch.set(header.epoch);
      height.set(header.height);
      l1Anchor.set(header.l1AnchorNumber);
      lag.observe(lagMs / 1000);
    },
    get sealedTransactions() {
      return sealedTransactions;
    },
  };
}
