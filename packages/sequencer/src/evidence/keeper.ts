/**
 * Evidence as a node keeps it (section 4): what its own core or lanes found and what other validators pass on is verified
 * once more, made durable, told to people, and passed on. For each kind, validator and epoch one piece is kept, so however
 * many there are to be had, an epoch's set of n has 5 n at most; what convicts nobody new costs no signature check.
 */

import { accusationOf, type Conviction, type EvidenceFault, verifyEvidence } from '@squad/crypto';
import { verifyEd25519 } from '@squad/crypto/node';
import type { Network } from '@squad/network';
import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import {
  type Bytes32,
  decodeEvidence,
  type Epoch,
  EVIDENCE_KINDS,
  EVIDENCE_MEANINGS,
  type Evidence,
  type EvidenceKind,
  encodeEvidence,
  encodeValidatorMessage,
  epochOfEvidence,
  ok,
  type Result,
  toHex,
  type Validator,
  type ValidatorIndex,
  type ValidatorSet,
} from '@squad/types';
import type { SequencerMetrics } from '../sequencer-metrics.ts';
import type { EpochSet, EpochSets } from './epoch-sets.ts';

/** Milliseconds for which nothing of this kind is taken from a validator that passed on what proves nothing. */
export const EVIDENCE_DISTRUST_MS = 60_000;

export interface HeldEvidence {
  readonly evidence: Evidence;
  readonly conviction: Conviction;
}

export interface EvidenceKeeperConfig {
  readonly networkId: Bytes32;
  readonly epochs: EpochSets;
  /** For people. */
  readonly nameOf: (validator: Validator) => string;
  readonly store: Pick<NodeStore, 'getMeta' | 'setMeta'>;
  readonly network: () => Pick<Network, 'send'>;
  readonly metrics: Pick<SequencerMetrics, 'evidence' | 'convicted'>;
  readonly logger: Logger;
  readonly now: () => number;
  readonly blame: (peer: ValidatorIndex, reason: string) => void;
  /** The store failed: nothing can be promised any more. */
  readonly onFailure: (error: unknown) => void;
}

export class EvidenceKeeper {
  readonly #config: EvidenceKeeperConfig;
  /** Durable, in the order in which it was found. */
  #held: HeldEvidence[] = [];
  /** What is held or on its way to the disk, as `epoch/kind/validator`. */
  readonly #known = new Set<string>();
  readonly #distrustedUntilMs = new Map<ValidatorIndex, number>();
  #writing: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(config: EvidenceKeeperConfig) {
    this.#config = config;
  }

  /** Reads what was kept before a restart. */
  async open(): Promise<void> {
    await this.#config.epochs.open();
    for (const set of this.#config.epochs.all()) await this.#openEpoch(set);
  }

  async #openEpoch(set: EpochSet): Promise<void> {
    const { store, logger } = this.#config;
    const { epoch, validators } = set.validatorSet;
    const seen = new Set<string>();
    for (const kind of EVIDENCE_KINDS) {
      for (const validator of validators.keys()) {
        const bytes = await store.getMeta(keyOf(epoch, kind, validator));
        const name = bytes && toHex(bytes);
        // A pair of certificates is kept under each validator that it convicts.
        if (bytes === undefined || name === undefined || seen.has(name)) continue;
        seen.add(name);
        const evidence = decodeEvidence(bytes);
        const judged = evidence.ok ? this.#verify(evidence.value, set) : evidence;
        if (!evidence.ok || !judged.ok) {
          logger.error({ epoch, kind, validator, evidence: name }, 'evidence that was kept proves nothing any more');
          continue;
        }
        this.#remember(judged.value);
        this.#add({ evidence: evidence.value, conviction: judged.value });
      }
    }
  }

  /** An epoch begins (R22): `placeOf` a validator of the one before is its place from now on. */
  epochBegan(set: ValidatorSet, placeOf: (before: ValidatorIndex) => ValidatorIndex | undefined): void {
    const { epochs } = this.#config;
    epochs.add(set);
    this.#held = this.#held.filter(({ conviction }) => epochs.get(conviction.epoch));
    const distrusted = [...this.#distrustedUntilMs];
    this.#distrustedUntilMs.clear();
    for (const [before, untilMs] of distrusted) {
      const place = placeOf(before);
      if (place !== undefined) this.#distrustedUntilMs.set(place, untilMs);
    }
  }

  /** Takes nothing more; resolves once what was found is durable. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#writing;
  }

  /** The set of an epoch whose evidence is held. */
  setOf(epoch: Epoch): ValidatorSet | undefined {
    return this.#config.epochs.get(epoch)?.validatorSet;
  }

  /** All that is durable here. */
  get held(): readonly HeldEvidence[] {
    return this.#held;
  }

  /** What this node saw itself. */
  found(evidence: Evidence): void {
    const taken = this.#take(evidence);
    if (taken.ok) return;
    this.#config.logger.error({ evidence: toHex(encodeEvidence(evidence)), ...taken.error }, 'evidence proves nothing');
  }

  /** What another validator passes on. An honest one has verified it. */
  onMessage(from: ValidatorIndex, evidence: Evidence): void {
    const { now, blame } = this.#config;
    if (now() < (this.#distrustedUntilMs.get(from) ?? 0)) return;
    const taken = this.#take(evidence);
    if (taken.ok) return;
    this.#distrustedUntilMs.set(from, now() + EVIDENCE_DISTRUST_MS);
    blame(from, `passed on evidence that proves nothing: ${taken.error.reason}`);
  }

  /** A validator that was away may have missed some. */
  onConnected(peer: ValidatorIndex): void {
    for (const { evidence } of this.#held) this.#send(peer, evidence);
  }

  /** Verifies what convicts somebody new, keeps it and passes it on once it is durable. */
  #take(evidence: Evidence): Result<void, EvidenceFault> {
    if (this.#stopped) return ok(undefined);
    const set = this.#config.epochs.get(epochOfEvidence(evidence));
    // Of an epoch that is not known here, or long over: it says nothing about who passes it on.
    if (!set) return ok(undefined);
    const accusation = accusationOf(evidence, set.validatorSet, this.#config.networkId);
    if (!accusation.ok) return accusation;
    if (this.#newIn(accusation.value).length === 0) return ok(undefined);
    const judged = this.#verify(evidence, set);
    if (!judged.ok) return judged;
    const conviction = judged.value;
    const convicts = this.#newIn(conviction);
    this.#remember(conviction);
    this.#writing = this.#writing
      .then(() => this.#keep({ evidence, conviction }, convicts))
      .catch((error: unknown) => this.#config.onFailure(error));
    return ok(undefined);
  }

  async #keep(found: HeldEvidence, convicts: readonly ValidatorIndex[]): Promise<void> {
    const { store, metrics } = this.#config;
    const bytes = encodeEvidence(found.evidence);
    for (const validator of convicts)
      await store.setMeta(keyOf(found.conviction.epoch, found.evidence.kind, validator), bytes);
    this.#add(found);
    for (const validator of convicts) {
      metrics.evidence.increment({ kind: found.evidence.kind });
      this.#tell(found, validator);
    }
    this.#send('all', found.evidence);
  }

  #verify(evidence: Evidence, { validatorSet, voteVerifier }: EpochSet): Result<Conviction, EvidenceFault> {
    return verifyEvidence(evidence, validatorSet, this.#config.networkId, voteVerifier, verifyEd25519);
  }

  #add(found: HeldEvidence): void {
    this.#held.push(found);
    const convicted = this.#held.flatMap(({ conviction }) => this.#convictedBy(conviction));
    this.#config.metrics.convicted(new Set(convicted.map(({ nodePublicKey }) => toHex(nodePublicKey))).size);
  }

  #tell({ evidence, conviction }: HeldEvidence, validator: ValidatorIndex): void {
    const { logger, nameOf, epochs } = this.#config;
    const { kind, place, epoch } = conviction;
    const { validatorSet, self } = epochs.get(epoch)!;
    const where = 'view' in place ? `view ${place.view}` : `seq ${place.seq} of its lane`;
    const name = nameOf(validatorSet.validators[validator]!);
    const advice = validator === self ? '; these are this node’s keys: stop it, and look for who else uses them' : '';
    logger.warn(
      { epoch, kind, validator, ...place, evidence: toHex(encodeEvidence(evidence)) },
      `validator ${validator} (${name}) is convicted of ${kind}, ${EVIDENCE_MEANINGS[kind]}: ${where}${advice}`,
    );
  }

  #send(to: ValidatorIndex | 'all', evidence: Evidence): void {
    this.#config.network().send(to, 'consensus', encodeValidatorMessage({ type: 'evidence', evidence }));
  }

  /** Whom a conviction that is held names, by the set of its epoch. */
  #convictedBy({ epoch, validators }: Conviction): Validator[] {
    return validators.flatMap((validator) => this.#config.epochs.get(epoch)?.validatorSet.validators[validator] ?? []);
  }

  #newIn({ epoch, kind, validators }: Conviction): ValidatorIndex[] {
    return validators.filter((validator) => !this.#known.has(`${epoch}/${kind}/${validator}`));
  }

  #remember({ epoch, kind, validators }: Conviction): void {
    for (const validator of validators) this.#known.add(`${epoch}/${kind}/${validator}`);
  }
}

function keyOf(epoch: Epoch, kind: EvidenceKind, validator: ValidatorIndex): string {
  return `evidence/${epoch}/${kind}/${validator}`;
}
