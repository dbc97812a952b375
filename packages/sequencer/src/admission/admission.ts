/** Station 2: raw bytes of a rollup in, accepted with a hash or a typed rejection out. No effects. */

import { keccak256 } from '@squad/crypto/node';
import { type Logger, type Metrics, noMetrics } from '@squad/service';
import { err, type GenesisRollup, ok, type Result, type RollupId, type TransactionHash } from '@squad/types';
import { hexOf } from '../hex.ts';
import { type AdmittedEvm, sizeFault } from './admit-evm.ts';
import { EvmPool } from './evm-pool.ts';
import type { EvmRules } from './evm-rules.ts';
import { genesisPolicy, type RollupPolicy } from './policy.ts';
import type { Rejection } from './rejection.ts';

/** A transaction that may go into the lane. `evm`: what only an EVM transaction has. */
export interface Admitted {
  /** Keccak-256 of the raw bytes. */
  readonly hash: TransactionHash;
  readonly evm: AdmittedEvm | undefined;
}

export type AdmissionOutcome = Result<Admitted, Rejection>;

export interface Admission {
  /** One outcome for each, in order. Never rejects. */
  admit(rollup: GenesisRollup, transactions: readonly Uint8Array[]): Promise<AdmissionOutcome[]>;
  /** Transactions that are not checked yet. */
  readonly waiting: number;
  close(): Promise<void>;
}

export interface AdmissionOptions {
  readonly logger: Logger;
  readonly metrics?: Metrics;
  /** Default: not Osaka. */
  readonly rules?: EvmRules;
  /** Worker threads; default one less than there are cores. */
  readonly threads?: number;
  readonly maxWaiting?: number;
  /** Default: by the genesis file. */
  readonly policyOf?: (rollup: GenesisRollup) => RollupPolicy | undefined;
}

export function createAdmission(options: AdmissionOptions): Admission {
  const {
    logger,
    metrics = noMetrics,
    rules = { osaka: false },
    threads,
    maxWaiting,
    policyOf = genesisPolicy,
  } = options;
  const checked = metrics.counter({
    name: 'squad_admission_checked_transactions_total',
    help: 'Transactions checked at the door, by outcome',
    labels: { outcome: ['accepted', 'rejected'] },
  });
  const places = metrics.counter({
    name: 'squad_admission_recovered_senders_total',
    help: 'EVM transactions checked on the main thread or by a worker',
    labels: { where: ['inline', 'worker'] },
  });
  const pool = new EvmPool({
    rules,
    logger,
    ...(threads === undefined ? {} : { threads }),
    ...(maxWaiting === undefined ? {} : { maxWaiting }),
    onChecked: (where, transactions) => places.add(transactions, { where }),
  });
  metrics.gauge({
    name: 'squad_admission_waiting_transactions',
    help: 'Transactions that wait to be checked',
    read: () => pool.waiting,
  });
  const policies = new Map<RollupId, RollupPolicy | undefined>();
  const policy = (rollup: GenesisRollup): RollupPolicy | undefined => {
    if (!policies.has(rollup.rollupId)) policies.set(rollup.rollupId, policyOf(rollup));
    return policies.get(rollup.rollupId);
  };
  const check = async ({ kind, rollupId }: GenesisRollup, transactions: readonly Uint8Array[]) => {
    if (kind === 'opaque') return transactions.map(admitOpaque);
    const outcomes = await pool.check(rollupId, transactions);
    return outcomes.map(
      (outcome): AdmissionOutcome =>
        outcome.ok ? ok({ hash: hexOf(outcome.value.hash), evm: outcome.value }) : outcome,
    );
  };
  return {
    get waiting() {
      return pool.waiting;
    },
    admit: async (rollup, transactions) => {
      const formed = await check(rollup, transactions);
      const asked = policy(rollup);
      const outcomes = asked ? formed.map((outcome, i) => permitted(asked, transactions[i]!, outcome)) : formed;
      const accepted = outcomes.reduce((sum, outcome) => sum + Number(outcome.ok), 0);
      checked.add(accepted, { outcome: 'accepted' });
      checked.add(outcomes.length - accepted, { outcome: 'rejected' });
      return outcomes;
    },
    close: () => pool.close(),
  };
}

/** What a rollup asks beyond form. */
function permitted(asked: RollupPolicy, transaction: Uint8Array, outcome: AdmissionOutcome): AdmissionOutcome {
  const refusal = outcome.ok ? asked.refusal(transaction, outcome.value) : undefined;
  return refusal ? err({ ...refusal, byPolicy: true }) : outcome;
}

/** An opaque rollup's transactions are only measured; what they mean is the rollup's business. */
export function admitOpaque(raw: Uint8Array): AdmissionOutcome {
  const fault = sizeFault(raw);
  return fault === undefined ? ok({ hash: hexOf(keccak256(raw)), evm: undefined }) : err(fault);
}
