/**
 * Shapes of answers, after the schemas of https://github.com/ethereum/execution-apis (src/schemas/*.yaml, src/eth/*.yaml, as of
 * 2026), written down here as what they say: required fields, formats, and no field that they do not know, but for
 * `squadStage`, which is this node's own.
 */

import { z } from 'zod';

const pattern = (regex: RegExp) => z.string().regex(regex);
// base-types.yaml
export const uint = pattern(/^0x(0|[1-9a-f][0-9a-f]*)$/);
const uint64 = pattern(/^0x(0|[1-9a-f][0-9a-f]{0,15})$/);
const uint256 = pattern(/^0x(0|[1-9a-f][0-9a-f]{0,63})$/);
const byte = pattern(/^0x([0-9a-fA-F]?){1,2}$/);
export const bytes = pattern(/^0x[0-9a-f]*$/);
const bytes8 = pattern(/^0x[0-9a-f]{16}$/);
const bytes256 = pattern(/^0x[0-9a-f]{512}$/);
export const hash32 = pattern(/^0x[0-9a-f]{64}$/);
export const address = pattern(/^0x[0-9a-fA-F]{40}$/);
const bytesMax32 = pattern(/^0x[0-9a-f]{0,64}$/);
const squadStage = z.enum(['soft', 'final']);

// transaction.yaml
const AccessList = z.array(z.strictObject({ address, storageKeys: z.array(hash32) }));
const Placed = {
  blockHash: hash32,
  blockNumber: uint,
  blockTimestamp: uint,
  from: address,
  hash: hash32,
  transactionIndex: uint,
};
const Contents = { nonce: uint, gas: uint, value: uint, input: bytes, gasPrice: uint, r: uint, s: uint, squadStage };
const to = address.nullable();
const Fees = { maxFeePerGas: uint, maxPriorityFeePerGas: uint };
const Typed = { ...Placed, ...Contents, chainId: uint, accessList: AccessList, yParity: byte, v: byte };
const Authorization = z.strictObject({
  chainId: uint,
  nonce: uint,
  address,
  yParity: byte,
  r: uint256,
  s: uint256,
});
export const TransactionInfo = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('0x0'), ...Placed, ...Contents, to, v: uint, chainId: uint.optional() }),
  z.strictObject({ type: z.literal('0x1'), ...Typed, to }),
  z.strictObject({ type: z.literal('0x2'), ...Typed, ...Fees, to }),
  z.strictObject({
    type: z.literal('0x4'),
    ...Typed,
    ...Fees,
    to: address,
    authorizationList: z.array(Authorization),
  }),
]);

// block.yaml, with the fields of cancun and prague that go-ethereum answers
const Header = {
  number: uint,
  hash: hash32,
  parentHash: hash32,
  sha3Uncles: hash32,
  miner: address,
  stateRoot: hash32,
  transactionsRoot: hash32,
  receiptsRoot: hash32,
  logsBloom: bytes256,
  difficulty: bytes,
  gasLimit: uint,
  gasUsed: uint,
  timestamp: uint,
  extraData: bytes,
  mixHash: hash32,
  nonce: bytes8,
  baseFeePerGas: uint,
  withdrawalsRoot: hash32,
  blobGasUsed: uint,
  excessBlobGas: uint,
  parentBeaconBlockRoot: hash32,
  requestsHash: hash32.optional(),
};
export const BlockHeader = z.strictObject({ ...Header, squadStage });
const blockOf = (transactions: z.ZodType) =>
  z.strictObject({
    ...Header,
    size: uint,
    transactions: z.array(transactions),
    uncles: z.array(hash32),
    withdrawals: z.array(z.never()),
    squadStage,
  });
export const BlockOfHashes = blockOf(hash32);
export const BlockOfTransactions = blockOf(TransactionInfo);

// receipt.yaml
export const Log = z.strictObject({
  removed: z.boolean(),
  logIndex: uint,
  transactionIndex: uint,
  transactionHash: hash32,
  blockHash: hash32,
  blockNumber: uint,
  blockTimestamp: uint,
  address,
  data: bytes,
  topics: z.array(hash32).max(4),
});
export const ReceiptInfo = z.strictObject({
  type: byte,
  transactionHash: hash32,
  transactionIndex: uint,
  blockHash: hash32,
  blockNumber: uint,
  from: address,
  to: address.nullable(),
  cumulativeGasUsed: uint,
  gasUsed: uint,
  contractAddress: address.nullable(),
  logs: z.array(Log),
  logsBloom: bytes256,
  status: uint,
  effectiveGasPrice: uint,
  squadStage,
});

// state.yaml
export const AccountProof = z.strictObject({
  address,
  accountProof: z.array(bytes),
  balance: uint256,
  codeHash: hash32,
  nonce: uint64,
  storageHash: hash32,
  storageProof: z.array(z.strictObject({ key: bytesMax32, value: uint256, proof: z.array(bytes) })),
});

// fee_market.yaml
const ratio = z.number().min(0).max(1);
export const FeeHistory = z.strictObject({
  oldestBlock: uint,
  baseFeePerGas: z.array(uint),
  baseFeePerBlobGas: z.array(uint),
  gasUsedRatio: z.array(ratio),
  blobGasUsedRatio: z.array(ratio),
  reward: z.array(z.array(uint)).optional(),
});

// execute.yaml, client.yaml
export const AccessListResult = z.strictObject({
  accessList: AccessList,
  error: z.string().optional(),
  gasUsed: uint,
});
export const Syncing = z.union([
  z.literal(false),
  z.strictObject({ startingBlock: uint, currentBlock: uint, highestBlock: uint }),
]);

// client.yaml (EIP-7910)
const ForkConfig = z.strictObject({
  activationTime: z.int(),
  blobSchedule: z.strictObject({ target: z.int(), max: z.int(), baseFeeUpdateFraction: z.int() }),
  chainId: uint,
  forkId: pattern(/^0x[0-9a-f]{8}$/),
  precompiles: z.record(z.string(), address),
  systemContracts: z.record(z.string(), address),
});
export const ChainConfig = z.strictObject({
  current: ForkConfig,
  next: ForkConfig.nullable(),
  last: ForkConfig.nullable(),
});

const Call = { returnData: bytes, gasUsed: uint64, maxUsedGas: uint64, logs: z.array(Log) };
export const SimulatedBlocks = z.array(
  BlockOfHashes.omit({ squadStage: true }).extend({
    calls: z.array(
      z.discriminatedUnion('status', [
        z.strictObject({ status: z.literal('0x1'), ...Call }),
        z.strictObject({
          status: z.literal('0x0'),
          ...Call,
          error: z.strictObject({ code: z.int(), message: z.string(), data: bytes.optional() }),
        }),
      ]),
    ),
  }),
);

/** Of a transaction that is in no block; geth's, as txpool_… is not in execution-apis. */
const Waiting = z.looseObject({
  blockHash: z.null(),
  transactionIndex: z.null(),
  hash: hash32,
  from: address,
  nonce: uint,
});
const byNonce = z.record(pattern(/^\d+$/), Waiting);
export const PoolOfSender = z.strictObject({ pending: byNonce, queued: byNonce });
export const Pool = z.strictObject({ pending: z.record(address, byNonce), queued: z.record(address, byNonce) });

// opcode-tracer.yaml, call-tracer.yaml
const count = z.int().min(0);
export const OpcodeTransactionTrace = z.strictObject({
  gas: count,
  failed: z.boolean(),
  returnValue: bytes,
  structLogs: z.array(
    z.strictObject({
      pc: count,
      op: z.string().min(1),
      gas: count,
      gasCost: count,
      depth: z.int().min(1),
      error: z.string().min(1).optional(),
      refund: count,
      stack: z.array(uint256).optional(),
      memory: z.array(hash32).optional(),
      returnData: bytes.optional(),
      storage: z.record(hash32, hash32).optional(),
    }),
  ),
});
export const blockTrace = (result: z.ZodType) => z.array(z.strictObject({ txHash: hash32, result }));
export const CallFrame: z.ZodType = z.strictObject({
  type: z.enum(['CALL', 'CALLCODE', 'DELEGATECALL', 'STATICCALL', 'CREATE', 'CREATE2', 'SELFDESTRUCT']),
  from: address,
  to: address.optional(),
  value: uint.optional(),
  gas: uint,
  gasUsed: uint,
  input: bytes,
  output: bytes.optional(),
  error: z.string().optional(),
  revertReason: z.string().optional(),
  logs: z
    .array(
      z.strictObject({
        address,
        topics: z.array(hash32).max(4),
        data: bytes,
        index: uint.optional(),
        position: uint.optional(),
      }),
    )
    .optional(),
  get calls() {
    return z.array(CallFrame).min(1).optional();
  },
});
