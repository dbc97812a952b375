/** What is here of the OP Stack: its formats, deposits read from L1, output roots. */

export * from './deposit.ts';
export { type DepositLog, decodeDepositLog } from './deposit-log.ts';
export { type L1Header, readL1Deposits, readL1Header } from './l1.ts';
export * from './l1-attributes.ts';
export { type OutputV0, outputRoot } from './output.ts';
