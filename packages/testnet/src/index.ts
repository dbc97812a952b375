/** A local network of real processes: for people (`squad testnet`) and for end-to-end tests. */

export * from './genesis.ts';
export * from './launch.ts';
export * from './layout.ts';
export * from './live.ts';
export { type DirectoryLock, isAlive, lockDirectory } from './lock.ts';
export * from './manifest.ts';
export * from './observe.ts';
export * from './ports.ts';
export * from './process.ts';
export * from './screen.ts';
export * from './state.ts';
export * from './validator-keys.ts';
export * from './wait.ts';
