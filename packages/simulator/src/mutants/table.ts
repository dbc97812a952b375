/**
 * The rules of safety and liveness, each broken on purpose by a few words of source. A campaign that does not notice one
 * of them is no campaign. `edits` are applied to the sources as they are loaded: the code itself knows nothing of them.
 */

import type { DrawOptions } from '../mode.ts';
import { coreMutants } from './core.ts';
import { epochMutants } from './epochs.ts';
import { l1Mutants } from './l1.ts';
import { nodeMutants } from './node.ts';
import { nodeEpochMutants } from './node-epochs.ts';

/** What a hunt writes after each schedule in which every invariant held: whoever waits sees that it goes on. */
export const SCHEDULE_DONE = '.';

export interface Edit {
  /** Below `packages/`. */
  readonly file: string;
  /** Has to occur exactly once. */
  readonly search: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  /** Of docs/protocol.md. */
  readonly rule: string;
  readonly edits: readonly Edit[];
  readonly mode: 'core' | 'epochs' | 'l1' | 'node' | 'node-epochs';
  /** What may be drawn; all if left out. */
  readonly draw?: DrawOptions | undefined;
  /** Why no run can tell it from the original. It is expected to survive, and not run. */
  readonly equivalent?: string | undefined;
}

export const MUTANTS: readonly Mutant[] = [
  ...coreMutants,
  ...epochMutants,
  ...l1Mutants,
  ...nodeMutants,
  ...nodeEpochMutants,
];
