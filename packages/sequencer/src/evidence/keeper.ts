/**
 * Evidence as a node keeps it (section 4): what its own core or lanes found and what other validators pass on is verified
 * once more, made durable, told to people, and passed on. For each kind, validator and epoch one piece is kept, so however
 * many there are to be had, a set of n has 5 n at most; what convicts nobody new costs no signature check.
 */

import { accusationOf, type Conviction, type EvidenceFault, verifyEvidence } from '@squad/crypto';
import { verifyEd25519 } from '@squad/crypto/node';
import type { Network } from '@squad/network';
import type { Logger } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import {
  decodeEvidence,
  EVIDENCE_KINDS,
  EVIDENCE_MEANINGS,
  type Evidence,
  type EvidenceKind,
  encodeEvidence,
  encodeValidatorMessage,
  type Genesis,
  ok,
  type Result,
  toHex,
  type ValidatorIndex,
} from '@squad/types';
import type { SequencerMetrics } from '../sequencer-metrics.ts';

/** Milliseconds for which nothing of this kind is taken from a validator that passed on what proves nothing. */
export const EVIDENCE_DISTRUST_MS = 60_000;

export interface HeldEvidence {
  readonly evidence: Evidence;
  readonly conviction: Conviction;
}

export interface EvidenceKeeperConfig {
  readonly genesis: Genesis;
  readonly self: ValidatorIndex | undefined;
  readonly voteVerifier: Parameters<typeof verifyEvidence>[3];
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
  readonly #held: HeldEvidence[] = [];
  /** What is held or on its way to the disk, as `kind/validator`. */
  readonly #known = new Set<string>();
  readonly #distrustedUntilMs = new Map<ValidatorIndex, number>();
  #writing: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(config: EvidenceKeeperConfig) {
    this.#config = config;
  }

  /** Reads what was kept before a restart. */
  async open(): Promise<void> {
    const { store, genesis, logger } = this.#config;
    const seen = new Set<string>();
    for (const kind of EVIDENCE_KINDS) {
      for (const validator of genesis.validatorSet.validators.keys()) {
        const bytes = await store.getMeta(this.#key(kind, validator));
        const name = bytes && toHex(bytes);
        // A pair of certificates is kept under each validator that it convicts.
        if (bytes === undefined || name === undefined || seen.has(name)) continue;
        seen.add(name);
        const evidence = decodeEvidence(bytes);
        const judged = evidence.ok ? this.#verify(evidence.value) : evidence;
        if (!evidence.ok || !judged.ok) {
          logger.error({ kind, validator, evidence: name }, 'evidence that was kept proves nothing any more');
          continue;
        }
        this.#remember(judged.value);
        this.#add({ evidence: evidence.value, conviction: judged.value });
      }
    }
  }

  /** Takes nothing more; resolves once what was found is durable. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#writing;
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
    const { genesis } = this.#config;
    const accusation = accusationOf(evidence, genesis.validatorSet, genesis.networkId);
    if (!accusation.ok) return accusation;
    if (this.#newIn(accusation.value).length === 0) return ok(undefined);
    const judged = this.#verify(evidence);
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
    for (const validator of convicts) await store.setMeta(this.#key(found.evidence.kind, validator), bytes);
    this.#add(found);
    for (const validator of convicts) {
      metrics.evidence.increment({ kind: found.evidence.kind });
      this.#tell(found, validator);
    }
    this.#send('all', found.evidence);
  }

  #verify(evidence: Evidence): Result<Conviction, EvidenceFault> {
    const { genesis, voteVerifier } = this.#config;
    return verifyEvidence(evidence, genesis.validatorSet, genesis.networkId, voteVerifier, verifyEd25519);
  }

  #add(found: HeldEvidence): void {
    this.#held.push(found);
    this.#config.metrics.convicted(new Set(this.#held.flatMap(({ conviction }) => conviction.validators)).size);
  }

  #tell({ evidence, conviction }: HeldEvidence, validator: ValidatorIndex): void {
    const { logger, genesis, self } = this.#config;
    const { kind, place } = conviction;
    const where = 'view' in place ? `view ${place.view}` : `seq ${place.seq} of its lane`;
    const name = genesis.file.validators[validator]!.name;
    const advice = validator === self ? '; these are this node’s keys: stop it, and look for who else uses them' : '';
    logger.warn(
      { kind, validator, ...place, evidence: toHex(encodeEvidence(evidence)) },
      `validator ${validator} (${name}) is convicted of ${kind}, ${EVIDENCE_MEANINGS[kind]}: ${where}${advice}`,
    );
  }

  #send(to: ValidatorIndex | 'all', evidence: Evidence): void {
    this.#config.network().send(to, 'consensus', encodeValidatorMessage({ type: 'evidence', evidence }));
  }

  #newIn({ kind, validators }: Conviction): ValidatorIndex[] {
    return validators.filter((validator) => !this.#known.has(`${kind}/${validator}`));
  }

  #remember({ kind, validators }: Conviction): void {
    for (const validator of validators) this.#known.add(`${kind}/${validator}`);
  }

  #key(kind: EvidenceKind, validator: ValidatorIndex): string {
    return `evidence/${this.#config.genesis.validatorSet.epoch}/${kind}/${validator}`;
  }
}
