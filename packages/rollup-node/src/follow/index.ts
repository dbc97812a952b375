export * from './api.ts';
export { Epochs, type EpochsConfig, type ProvenSets } from './epochs.ts';
export { createFollower } from './follower.ts';
export { provenSetFiles } from './set-files.ts';
