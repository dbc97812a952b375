/** eth_* and ledger_* for a JSON-RPC server. */
export * from './eth-methods.ts';
export * from './ledger-methods.ts';
export * from './limits.ts';
export * from './ports.ts';
