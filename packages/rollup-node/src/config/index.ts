/** The rollup file. */
export * from './development-accounts.ts';
export * from './rollup-file.ts';
