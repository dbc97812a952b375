/** All adversaries by name. */

import type { AdversaryFactory } from './adversary.ts';
import { anchorLiar } from './anchor-liar.ts';
import { batchWithholder } from './batch-withholder.ts';
import { bundleCutter } from './bundle-cutter.ts';
import { censor } from './censor.ts';
import { certificateWithholder } from './certificate-withholder.ts';
import { clockSkewed } from './clock-skewed.ts';
import { equivocator } from './equivocator.ts';
import { forger } from './forger.ts';
import { garbageSender } from './garbage-sender.ts';
import { laneEquivocator } from './lane-equivocator.ts';
import { laneGapper } from './lane-gapper.ts';
import { liar } from './liar.ts';
import { nuller } from './nuller.ts';
import { omniVoter } from './omni-voter.ts';
import { proposalWithholder } from './proposal-withholder.ts';
import { silent } from './silent.ts';
import { skipper } from './skipper.ts';
import { staleReplayer } from './stale-replayer.ts';
import { twins } from './twins.ts';

export const ADVERSARIES = {
  'anchor-liar': anchorLiar,
  'batch-withholder': batchWithholder,
  'bundle-cutter': bundleCutter,
  censor,
  'certificate-withholder': certificateWithholder,
  'clock-skewed': clockSkewed,
  equivocator,
  forger,
  'garbage-sender': garbageSender,
  'lane-equivocator': laneEquivocator,
  'lane-gapper': laneGapper,
  liar,
  nuller,
  'omni-voter': omniVoter,
  'proposal-withholder': proposalWithholder,
  silent,
  skipper,
  'stale-replayer': staleReplayer,
  twins,
} as const satisfies Record<string, AdversaryFactory>;

export type AdversaryName = keyof typeof ADVERSARIES;
export const ADVERSARY_NAMES = Object.keys(ADVERSARIES) as AdversaryName[];
/** Those that need no L1. */
export const CORE_ADVERSARY_NAMES: readonly AdversaryName[] = ADVERSARY_NAMES.filter((name) => name !== 'anchor-liar');
