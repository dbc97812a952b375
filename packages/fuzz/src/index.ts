export * from './run.ts';
export * from './target.ts';
export { findTarget, TARGETS } from './targets/index.ts';
