/** The parts of a sequencer, for whoever puts one together in another way than `node.ts`: a simulator, with other edges. */

export { type Admission, admitOpaque } from './admission/admission.ts';
export { createFeed, type Feed } from './feed/index.ts';
export { decodeRecord } from './records.ts';
export { Sequencer } from './sequencer.ts';
export { createSequencerMetrics } from './sequencer-metrics.ts';
export type { SequencerParts } from './sequencer-parts.ts';
export { genesisSchedule, type ValidatorSetSource } from './validator-sets.ts';
