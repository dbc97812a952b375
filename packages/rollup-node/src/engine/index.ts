/** The engine driver: an execution client of the operator's own, kept on the rollup's chain. */

export type * from './api.ts';
export { createEngineDriver, type EngineDriver, type EngineDriverConfig, type EngineState } from './driver.ts';
export { attributesFeeder, type BlockFeeder, payloadFeeder } from './feeder.ts';
export { readJwtSecret } from './jwt.ts';
export { driveEngine } from './node.ts';
export { plainStack } from './stack.ts';
