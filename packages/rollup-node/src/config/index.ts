/** `@squad/rollup-node/config`: the rollup's genesis file and the development accounts, without the node and its EVM. */

export * from './development-accounts.ts';
export * from './rollup-file.ts';
