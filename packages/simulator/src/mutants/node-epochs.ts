/** Mutants of what leads a real node from epoch to epoch (R22): the end of one, places in the next, what is handed on. */

import type { DrawOptions } from '../mode.ts';
import type { Edit, Mutant } from './table.ts';

const edit = (file: string, search: string, replace: string): Edit => ({
  file: `sequencer/src/${file}`,
  search,
  replace,
});

function mutant(name: string, edits: readonly Edit[], draw?: DrawOptions): Mutant {
  return { name, rule: 'R22 node', edits, mode: 'node-epochs', ...(draw && { draw }) };
}

/** For what is only missed: everything has to get there. */
const SETTLES: DrawOptions = { settles: true };
/** For what the others say while the sync with which an epoch ends is under way. */
const STALLS: DrawOptions = { settles: true, faults: ['slow-disk'] };

export const nodeEpochMutants: readonly Mutant[] = [
  mutant(
    'own batches are not sealed anew',
    [edit('epoch-change.ts', '  if (next.lane) {\n', '  if (next.lane) {\n    own = [];\n')],
    SETTLES,
  ),
  mutant('batches sealed anew are not recorded with the end of the epoch', [
    edit('actor.ts', '    addUnordered(turn, ordering);\n    return before.length;', '    return before.length;'),
  ]),
  mutant('the network keeps the places of the epoch before', [
    edit('sequencer.ts', '    this.#network.changeValidators(run.networkSet.validators, self);\n', ''),
  ]),
  mutant('the end of an epoch is told before it is durable', [
    edit(
      'sequencer.ts',
      '      nextEpoch: (end, own) => {\n',
      '      nextEpoch: (end, own) => {\n        void this.handOvers.keep(end.proof);\n',
    ),
  ]),
  mutant(
    'a checkpoint drops the end of the epoch before',
    [edit('actor.ts', '    if (startedBy) turn.records.push(startedBy);\n', '')],
    { faults: ['crash'], troubleMs: 9_000 },
  ),
  mutant(
    'what a validator that left has is not given away',
    [edit('hand-on.ts', '  start(): void {\n', '  start(): void {\n    if (this.#headers.length >= 0) return;\n')],
    SETTLES,
  ),
  mutant(
    'what waits for the next epoch keeps its old places',
    [edit('actor.ts', 'const from = placeOf(input.from);', 'const from = input.from;')],
    STALLS,
  ),
  mutant(
    'bodies of an epoch that is over are asked of the validators of now only',
    [edit('batch-fetcher.ts', '[...peers, ...network().formerValidators]', 'peers')],
    SETTLES,
  ),
  mutant(
    'who is left behind never asks whether the epoch is over',
    [
      edit('epoch-run.ts', "          if (!this.#isOver) config.actor().submit({ type: 'laterEpoch' });\n", ''),
      edit(
        'epoch-run.ts',
        "if (now() - this.#lastFinal.atMs > patienceMs) this.#config.actor().submit({ type: 'laterEpoch' });",
        'void patienceMs;',
      ),
    ],
    SETTLES,
  ),
  mutant('acknowledgements of another epoch count', [
    edit('sequencer.ts', '        if (message.epoch !== this.epoch) return; // of other lanes\n', ''),
  ]),
  mutant('the leader of an operator who disagrees is blamed', [
    {
      file: 'consensus/src/proposing.ts',
      search:
        'round.abandoned = true; // R22: two operators disagree, and this node cannot know which of them is wrong',
      replace: "abandon(s, 'it names another next validator set');",
    },
  ]),
  mutant('final bodies of another epoch fork lanes', [
    edit('spread.ts', '      if (header.epoch !== this.#config.validatorSet.epoch) continue;\n', ''),
  ]),
];
