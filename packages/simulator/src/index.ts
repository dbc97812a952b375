export { type CampaignOptions, type CampaignResult, runCampaign } from './campaign.ts';
export { coreMode } from './core-mode.ts';
export { type CorpusEntry, parseCorpus, readCorpus } from './corpus.ts';
export type { DrawOptions, Failure, Mode, Outcome } from './mode.ts';
export { MODES, modeOf } from './modes.ts';
export { shrink } from './shrink.ts';
