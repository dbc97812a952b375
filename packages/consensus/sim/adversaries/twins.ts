/**
 * One key, two nodes, each honest and with a disk of its own: an operator who started a second copy. The world gives the
 * validator a second place; partitions decide who hears which of the two.
 */

import type { AdversaryFactory } from './adversary.ts';

export const twins: AdversaryFactory = () => ({});
