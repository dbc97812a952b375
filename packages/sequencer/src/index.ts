export { CHECKPOINT_INTERVAL_BLOCKS } from './actor.ts';
export { createSequencer, type Replacements, SEQUENCER_VERSION, type SequencerNode } from './node.ts';
export { type SequencerOptions, sequencerOptions } from './options.ts';
