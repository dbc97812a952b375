export * from './bls.ts';
export type * from './vote-scheme.ts';
