/** Says nothing in consensus, and hears everything. */

import type { AdversaryFactory } from './adversary.ts';

export const silent: AdversaryFactory = () => ({ send: () => [] });
