/**
 * Whether what honest validators do in a run of the simulator is what the model permits: each vote at the moment at which it
 * is cast, each view at the moment at which it is entered, and every FINALIZE that the rules demand. Certificates are taken
 * as the core reports them; where they come from is the simulator's business.
 */

import { blockHash, toHex, VOTE_KIND_NAMES, type Vote, VoteKind } from '@squad/types';
import type { SimulatedNode } from '../../sim/node.ts';
import type { World } from '../../sim/world.ts';
import type { ConsensusRecord, Output } from '../../src/api.ts';
import type { Consensus } from '../../src/core.ts';
import { ModelNode } from './voting.ts';

/** What of the model a run has reached. */
export type Reached = Map<string, number>;

export class Conformance {
  readonly #world: World;
  readonly #reached: Reached;
  readonly #models = new Map<Consensus, ModelNode>();
  /** Views and parents of blocks by hash, of any node. */
  readonly #blocks = new Map<string, { readonly view: number; readonly parent: string; readonly parentView: number }>();

  constructor(world: World, reached: Reached) {
    this.#world = world;
    this.#reached = reached;
  }

  /** After a step of some core. Throws an `Error` that says which rule of the model forbids it. */
  stepped(core: Consensus, outputs: readonly Output[]): void {
    const node = this.#world.nodes.find((candidate) => candidate.core === core);
    if (node === undefined || this.#world.schedule.byzantine.has(node.index)) return;
    let model = this.#models.get(core);
    if (model === undefined) {
      model = this.#restored(node, outputs);
      this.#models.set(core, model);
    }
    this.#follow(node, model, outputs);
  }

  /** What the durable records of an earlier life stand for: the model's `restart`. */
  #restored(node: SimulatedNode, outputs: readonly Output[]): ModelNode {
    const records = node.disk.durable.flatMap((entry) => (entry.type === 'record' ? [entry.record] : []));
    // Genesis is only named here: nobody votes for it, and the first block's parent has its hash.
    const model = new ModelNode('genesis');
    for (const record of [...records, ...recordsOf(outputs)]) if (record.type === 'block') this.#learnBlock(record);
    for (const record of records) this.#take(model, record);
    model.restart();
    if (records.length > 0) this.#count('restart');
    return model;
  }

  #follow(node: SimulatedNode, model: ModelNode, outputs: readonly Output[]): void {
    const fail = (text: string): never => {
      throw new Error(`n${node.index}, in view ${model.view} of the model: ${text}`);
    };
    const due = new Set<number>();
    for (const output of outputs) {
      if (output.type === 'enteredView' && output.view !== model.view) fail(`entered view ${output.view}`);
      if (output.type !== 'persist') continue;
      const { record } = output;
      if (record.type === 'vote') {
        const fault = this.#voteFault(model, record.vote);
        if (fault !== undefined) fail(`${VOTE_KIND_NAMES[record.vote.kind]} of view ${record.vote.view}: ${fault}`);
        if (record.vote.kind === VoteKind.finalize) due.delete(record.vote.view);
        this.#count(VOTE_KIND_NAMES[record.vote.kind]);
      }
      if (record.type === 'certificate' && record.certificate.kind === VoteKind.notarize) {
        const { view, blockHash: hash } = record.certificate;
        if (!model.holds('notarize', view) && model.mayFinalize(view, toHex(hash))) due.add(view);
      }
      this.#take(model, record);
    }
    if (due.size > 0) fail(`no FINALIZE of view ${[...due]}, which is notarized`);
  }

  /** Why the model forbids a vote; undefined if it does not. */
  #voteFault(model: ModelNode, { kind, view, blockHash: bytes }: Vote): string | undefined {
    const hash = toHex(bytes);
    if (kind === VoteKind.finalize) {
      if (model.notarizations.get(view) !== hash) return 'its block is not notarized here';
      if (view < model.view - 1) this.#count('FINALIZE of an earlier view');
      return model.mayFinalize(view, hash) ? undefined : 'mayFinalize';
    }
    if (view !== model.view) return 'not the current view';
    if (kind === VoteKind.nullify) {
      if (model.notarized.has(view)) this.#count('NULLIFY after NOTARIZE');
      if (view === model.restartView) this.#count('NULLIFY of the view of a restart');
      return model.mayNullify ? undefined : 'mayNullify';
    }
    if (!model.mayNotarize) return 'mayNotarize';
    const block = this.#blocks.get(hash);
    if (block === undefined) return 'its block is not recorded';
    if (block.view !== view) return 'its block is of another view';
    const parent = {
      block: model.final.view === 0 && block.parentView === 0 ? 'genesis' : block.parent,
      view: block.parentView,
    };
    if (block.parentView < view - 1) this.#count('NOTARIZE after a skip');
    return model.isJustified(parent) ? undefined : 'isJustified';
  }

  #take(model: ModelNode, record: ConsensusRecord): void {
    switch (record.type) {
      case 'block':
        this.#learnBlock(record);
        return;
      case 'vote': {
        const { kind, view, blockHash: hash } = record.vote;
        if (kind === VoteKind.nullify) model.nullified.add(view);
        else (kind === VoteKind.notarize ? model.notarized : model.finalized).set(view, toHex(hash));
        return;
      }
      case 'certificate': {
        const { kind, view, blockHash: hash } = record.certificate;
        // The model makes a block final at once; the core waits for the blocks below it, and says when it has them.
        if (kind === VoteKind.finalize) model.enter(view);
        else model.learn(VOTE_KIND_NAMES[kind], { block: toHex(hash), view });
        return;
      }
      case 'finalized':
        model.enter(record.certificate.view);
        model.makeFinal({ block: record.hash, view: record.certificate.view });
        return;
      case 'checkpoint':
    }
  }

  #learnBlock({ block: { header } }: Extract<ConsensusRecord, { type: 'block' }>): void {
    const { view, parentHash, parentView } = header;
    this.#blocks.set(toHex(blockHash(header)), { view, parent: toHex(parentHash), parentView });
  }

  #count(kind: string): void {
    this.#reached.set(kind, (this.#reached.get(kind) ?? 0) + 1);
  }
}

function recordsOf(outputs: readonly Output[]): ConsensusRecord[] {
  return outputs.flatMap((output) => (output.type === 'persist' ? [output.record] : []));
}
