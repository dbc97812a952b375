/** Mutants of the rules of the L1 anchor (R24). */

import type { Edit, Mutant } from './table.ts';

const edit = (file: string, search: string, replace: string): Edit => ({
  file: `consensus/src/${file}`,
  search,
  replace,
});

function mutant(name: string, edits: readonly Edit[], draw?: Mutant['draw']): Mutant {
  return { name, rule: 'R24', edits, mode: 'l1', draw };
}

/** For what only a leader shows that keeps to no rule. */
const LIAR = { adversaries: ['anchor-liar'] };

export const l1Mutants: readonly Mutant[] = [
  mutant('a voter takes an anchor that it does not know yet', [
    edit('proposing.ts', "if (anchor === 'unknown') return; // R24: looked at again when more of the L1 is known", ''),
  ]),
  mutant('a voter takes an anchor of another L1', [edit('proposing.ts', "if (anchor === 'other') {", 'if (false) {')]),
  mutant('an anchor need not descend from the one before', [
    edit('l1-blocks.ts', 'const seen = [parent, anchor].map(', 'const seen = [anchor].map('),
  ]),
  mutant(
    'an anchor may go back',
    [edit('l1-anchor.ts', 'if (number < before.number) return', 'if (number < 0) return')],
    LIAR,
  ),
  mutant(
    'an anchor may be another block of the same number',
    [edit('l1-anchor.ts', 'return equalBytes(hash, before.hash) ? undefined', 'return number >= 0 ? undefined')],
    LIAR,
  ),
  mutant(
    'an anchor may advance by any number',
    [
      edit(
        'l1-anchor.ts',
        'if (number > before.number + MAX_L1_ANCHOR_ADVANCE_BLOCKS) {',
        'if (number > before.number + 10_000) {',
      ),
    ],
    LIAR,
  ),
  mutant(
    'a voter lets the anchor advance after a lost view',
    [edit('l1-anchor.ts', 'if (header.parentView !== header.view - 1) return', 'if (header.view < 0) return')],
    LIAR,
  ),
  mutant('a leader advances the anchor after a lost view', [
    edit(
      'l1-anchor.ts',
      'if (view !== s.view - 1 || height > s.lastHeight) return before;',
      'if (view < 0 || height > s.lastHeight) return before;',
    ),
  ]),
  mutant('a leader advances the anchor in the epilogue', [
    edit(
      'l1-anchor.ts',
      'if (view !== s.view - 1 || height > s.lastHeight) return before;',
      'if (view !== s.view - 1) return before;',
    ),
  ]),
  mutant('no pause after a lost advance', [
    edit('l1-blocks.ts', 'if (this.#failures === 0) return false;', 'if (this.#failures >= 0) return false;'),
  ]),
];
