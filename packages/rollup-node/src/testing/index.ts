/** For tests outside of this package: what reads outside bytes, without the node around it, and servers that are strict with it. */

export { createSharedCommon } from '../execution/evm/common.ts';
export { decodeTransaction } from '../execution/evm/transaction.ts';
export { createEthApi } from '../rpc/eth-methods.ts';
export { ledgerMethods } from '../rpc/ledger-methods.ts';
export { clientOpBlocks } from '../rpc/op-client-blocks.ts';
export * from './engine/index.ts';
export * from './l1.ts';
