import type { Target } from '../target.ts';
import { WIRE_TARGETS } from './wire.ts';

export const TARGETS: readonly Target[] = [...WIRE_TARGETS];

export function findTarget(name: string): Target | undefined {
  return TARGETS.find((target) => target.name === name);
}
