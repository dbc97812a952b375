/** All adversaries by name. */

import type { AdversaryFactory } from './adversary.ts';
import { equivocator } from './equivocator.ts';
import { forger } from './forger.ts';
import { laneForker } from './lane-forker.ts';
import { liar } from './liar.ts';
import { nuller } from './nuller.ts';
import { omniVoter } from './omni-voter.ts';
import { silent } from './silent.ts';
import { skipper } from './skipper.ts';
import { withholder } from './withholder.ts';

export const ADVERSARIES = {
  equivocator,
  forger,
  'lane-forker': laneForker,
  liar,
  nuller,
  'omni-voter': omniVoter,
  silent,
  skipper,
  withholder,
} as const satisfies Record<string, AdversaryFactory>;

export type AdversaryName = keyof typeof ADVERSARIES;
export const ADVERSARY_NAMES = Object.keys(ADVERSARIES) as AdversaryName[];
