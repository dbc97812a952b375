/** All modes by name. */

import { coreMode } from './core-mode.ts';
import { epochsMode } from './epochs-mode.ts';
import { l1Mode } from './l1-mode.ts';
import type { Mode } from './mode.ts';
import { nodeEpochsMode } from './node-epochs-mode.ts';
import { nodeMode } from './node-mode.ts';

export const MODES: readonly Mode[] = [coreMode, epochsMode, l1Mode, nodeMode, nodeEpochsMode];

export function modeOf(name: string): Mode | undefined {
  return MODES.find((mode) => mode.name === name);
}
