/** All modes by name. */

import { coreMode } from './core-mode.ts';
import type { Mode } from './mode.ts';

export const MODES: readonly Mode[] = [coreMode];

export function modeOf(name: string): Mode | undefined {
  return MODES.find((mode) => mode.name === name);
}
