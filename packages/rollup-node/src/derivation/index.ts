/** From the sequence to rollup blocks. */
export * from './api.ts';
export * from './derivation.ts';
export * from './events.ts';
export * from './open.ts';
export * from './skipped.ts';
