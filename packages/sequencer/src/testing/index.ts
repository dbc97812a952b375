/** For tests outside of this package: what reads outside bytes, without the node around it. */

export { admitEvm } from '../admission/admit-evm.ts';
export { brokenRule, type EvmRules } from '../admission/evm-rules.ts';
export { decodeEvmTransaction, type EvmTransaction } from '../admission/evm-transaction.ts';
export { encodeInteger, listPrefix, RlpCursor, RlpError } from '../admission/rlp.ts';
export { checkCheckpoint } from '../checkpoint.ts';
export type { CheckpointFile } from '../checkpoint-file.ts';
export { decodeRecord, encodeRecord, type NodeRecord } from '../records.ts';
export type { SequencerApi, StagedBlock } from '../rpc/api.ts';
export { sequencerMethods, sequencerSubscriptions } from '../rpc/methods.ts';
export { FakeL1, type FakeL1Endpoint, serveFakeL1 } from './fake-l1.ts';
