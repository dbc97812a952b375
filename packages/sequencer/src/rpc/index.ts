export type * from './api.ts';
export * from './limits.ts';
export { SEQUENCER_RPC_PATHS, sequencerMethods, sequencerSubscriptions } from './methods.ts';
