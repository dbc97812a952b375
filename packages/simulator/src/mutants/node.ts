/** Mutants of what stands around the core in a real node: actor, lanes, spread, bodies, store, feed, verifier. */

import type { DrawOptions } from '../mode.ts';
import type { Edit, Mutant } from './table.ts';

const edit = (file: string, search: string, replace: string): Edit => ({ file, search, replace });

function mutant(rule: string, name: string, edits: readonly Edit[], draw?: DrawOptions): Mutant {
  return { name, rule, edits, mode: 'node', ...(draw && { draw }) };
}

export const nodeMutants: readonly Mutant[] = [
  mutant('R20', 'sends before the sync', [
    edit(
      'sequencer/src/actor.ts',
      '    if (!turn.isEmpty) {\n',
      "    for (const effect of turn.effects) if (effect.type === 'send') this.#config.onEffect(effect);\n    if (!turn.isEmpty) {\n",
    ),
  ]),
  mutant('R20', 'delivers before the sync', [
    edit(
      'sequencer/src/actor.ts',
      '    if (!turn.isEmpty) {\n',
      "    for (const effect of turn.effects) if (effect.type === 'final') this.#config.onEffect(effect);\n    turn.effects.splice(0, turn.effects.length, ...turn.effects.filter(({ type }) => type !== 'final'));\n    if (!turn.isEmpty) {\n",
    ),
  ]),
  mutant('R20', 'does not wait for the sync', [
    edit('sequencer/src/actor.ts', '      await store.sync();\n', '      void store.sync();\n'),
  ]),
  mutant('R20', 'spreads a batch before it is durable', [
    edit(
      'sequencer/src/intake.ts',
      'void store(bundle).then(() => {',
      'for (const sealed of bundle) spread(sealed, sealed.hashPrefixes);\n      void store(bundle).then(() => {',
    ),
  ]),
  mutant('R3', 'acknowledges before the sync', [
    edit(
      'sequencer/src/actor.ts',
      '    if (!turn.isEmpty) {\n',
      '    if (turn.batches.length > 0) this.#config.onBatchesDurable(turn.batches, [...turn.moved]);\n    if (!turn.isEmpty) {\n',
    ),
  ]),
  mutant('R1', 'a restarted lane begins anew', [
    edit(
      'sequencer/src/epoch-run.ts',
      'key, batchBytes }, this.lanes.head(self));',
      'key, batchBytes }, { nextSeq: 0, lastDigest: new Uint8Array(32), unordered: 0 });',
    ),
  ]),
  mutant('R20', 'batches are not recorded', [
    edit('sequencer/src/actor.ts', "    turn.records.push({ type: 'batch', signed });\n    if (lanes", '    if (lanes'),
  ]),
  mutant('R16', 'votes are not read back after a crash', [
    edit(
      'sequencer/src/restart.ts',
      '    else records.push(decoded);\n',
      "    else if (decoded.type !== 'vote') records.push(decoded);\n",
    ),
  ]),
  mutant('R4', 'own batches are never sent again', [
    edit(
      'sequencer/src/spread.ts',
      '  #resendTo(peer: ValidatorIndex): void {\n',
      '  #resendTo(peer: ValidatorIndex): void {\n    if (peer >= 0) return;\n',
    ),
    edit(
      'sequencer/src/batch-fetcher.ts',
      'for (let isFull = true; isFull && missing.size > 0; ) {',
      'for (let isFull = true; isFull && missing.size < 0; ) {',
    ),
  ]),
  mutant('section 6', 'the feed orders a block’s batches backwards', [
    edit(
      'sequencer/src/feed/messages.ts',
      'return block.refs.filter((ref) => ref.rollupId === rollupId).map((ref) => toHex(ref.digest));',
      'return block.refs.filter((ref) => ref.rollupId === rollupId).map((ref) => toHex(ref.digest)).reverse();',
    ),
  ]),
  mutant(
    'R20',
    'who cannot write goes on',
    [
      edit(
        'sequencer/src/actor.ts',
        '      this.#stopped = true;\n      this.#config.onFailure(error);\n',
        '      void error;\n',
      ),
    ],
    { faults: ['disk-call'] },
  ),
  mutant(
    'R20',
    'who cannot write its index goes on',
    [
      edit(
        'sequencer/src/actor.ts',
        'await store.checkpoint(positions[checkpointAt]!);',
        'await store.checkpoint(positions[checkpointAt]!).catch(() => {});',
      ),
    ],
    { faults: ['disk-call'], troubleMs: 3_000 },
  ),
  mutant(
    'R5',
    'the second batch of a place is no evidence if it was asked for',
    [
      edit(
        'sequencer/src/spread.ts',
        "      if (this.#config.lanes.standing(header, digest) === 'equivocation') this.#recordFork(batch.signed);\n",
        '',
      ),
    ],
    { adversaries: ['lane-equivocator'] },
  ),
  mutant(
    'R21',
    'the bodies of final blocks are not checked',
    [
      edit(
        'sequencer/src/batch-fetcher.ts',
        "if (!validatorSet) return isBodyOf(header, batch.body, sha256) ? undefined : 'BATCH_BODY_ROOT';",
        'if (!validatorSet) return undefined;',
      ),
    ],
    // Whoever was cut off asks for what became final meanwhile.
    { faults: ['partition', 'byzantine'], adversaries: ['liar'], troubleMs: 4_000, settles: true },
  ),
  mutant(
    'R23',
    'votes of views that are long over are kept',
    [edit('consensus/src/tally.ts', 'if (held < view) this.#views.delete(held);', 'void (held < view);')],
    { faults: [], troubleMs: 9_000 },
  ),
];
