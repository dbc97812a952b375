/** What is here of the OP Stack: its formats, what is read from L1, output roots. */

export type { L1Header } from '@squad/types';
export * from './deposit.ts';
export { type DepositLog, decodeDepositLog } from './deposit-log.ts';
export { depositsIn, type L1Log, readL1Deposits, readL1Header, readL1Logs } from './l1.ts';
export * from './l1-attributes.ts';
export { type L1Block, L1Chain, type L1ChainConfig } from './l1-chain.ts';
export type { L1Origin, OriginPlace } from './origin.ts';
export { type OutputV0, outputRoot } from './output.ts';
export { CONFIG_UPDATE_EVENT, configUpdate, type SystemConfig } from './system-config.ts';
