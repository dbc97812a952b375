/** A rollup node as a library: start one, or take its parts. Options and files alone are at `./options` and `./config`. */

export * from './derivation/api.ts';
export { openRollup, type Rollup } from './derivation/open.ts';
export * from './engine/index.ts';
export * from './execution/index.ts';
export * from './follow/index.ts';
export { createRollupNode, type RollupNode, type RollupNodeParts } from './node.ts';
export { type RollupNodeOptions, rollupNodeOptions } from './options.ts';
export * from './stacks/op/index.ts';
export { READY_DISTANCE_BLOCKS } from './status.ts';
export * from './submit/coalescer.ts';
export { SUBMIT_TIMEOUT_MS } from './submit/rpc-submitter.ts';
