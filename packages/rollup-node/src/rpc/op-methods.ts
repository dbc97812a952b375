/**
 * op-node's own JSON-RPC methods, for op-proposer and whoever reads output roots:
 * https://github.com/ethereum-optimism/optimism, op-node/node/api.go and op-service/eth (output.go, sync_status.go).
 *
 * Of the rollup's own chain: `safe_l2` and `finalized_l2` are the newest block whose order is final, which is what may be
 * proposed, and not what L1 has settled. No L1 is followed: its blocks are zero, and the L1 origin of every block is the one
 * that the chain began with.
 */

import { defineMethod, type RpcMethod } from '@squad/service';
import { fromHex, type Hex, toHex, ZERO_HASH } from '@squad/types';
import type { StagedBlock } from '../execution/evm/history.ts';
import { outputRoot } from '../stacks/op/output.ts';
import type { OpRollupConfig } from '../stacks/op/rollup-config.ts';
import type { RpcState } from './context.ts';
import { refused, unknownBlock } from './errors.ts';
import { SmallQuantity } from './schemas.ts';

/** The predeploy L2ToL1MessagePasser: withdrawals are in its storage. */
const MESSAGE_PASSER = fromHex('0x4200000000000000000000000000000000000016');

export function opMethods(state: RpcState, config: OpRollupConfig): RpcMethod[] {
  return [
    defineMethod({
      name: 'optimism_outputAtBlock',
      summary: 'The output root of a block whose order is final',
      params: { number: SmallQuantity },
      result: { name: 'output', description: 'As op-node answers' },
      handler: ({ number }) => outputAtBlock(state, config, number),
    }),
    defineMethod({
      name: 'optimism_syncStatus',
      summary: 'Heads of the rollup, as op-node names them',
      params: {},
      result: { name: 'status', description: 'As op-node answers; what is of L1 is zero' },
      handler: () => syncStatus(state, config),
    }),
    defineMethod({
      name: 'optimism_rollupConfig',
      summary: 'The rollup configuration that this node was given',
      params: {},
      result: { name: 'config', description: 'rollup.json' },
      handler: () => config,
    }),
    defineMethod({
      name: 'optimism_version',
      summary: 'Name and version of this node',
      params: {},
      result: { name: 'version', description: 'Text' },
      handler: () => state.ports.clientVersion,
    }),
  ];
}

async function outputAtBlock(state: RpcState, config: OpRollupConfig, number: number): Promise<unknown> {
  const block = state.findBlock({ number });
  if (block === undefined) throw unknownBlock();
  const { account } = await state.reader.proof(MESSAGE_PASSER, [], block);
  if (account === undefined) {
    throw refused(
      `block ${number} has no L2ToL1MessagePasser at ${toHex(MESSAGE_PASSER)}: nothing could be withdrawn by its output root`,
      'NO_MESSAGE_PASSER',
      "Put the OP Stack's predeploys into `alloc` of the rollup file.",
    );
  }
  const { stateRoot, hash } = block.summary;
  const withdrawalStorageRoot = account.storageRoot;
  return {
    version: toHex(ZERO_HASH),
    outputRoot: toHex(outputRoot({ stateRoot, withdrawalStorageRoot, blockHash: hash })),
    blockRef: blockRef(block, config),
    withdrawalStorageRoot: toHex(withdrawalStorageRoot),
    stateRoot: toHex(stateRoot),
    syncStatus: syncStatus(state, config),
  };
}

function syncStatus(state: RpcState, config: OpRollupConfig): unknown {
  const { history, executor } = state;
  const l1 = { hash: toHex(ZERO_HASH), number: 0, parentHash: toHex(ZERO_HASH), timestamp: 0 };
  const soft = blockRef(history.blockAt(executor.head.number)!, config);
  const final = blockRef(history.blockAt(history.latestNumber)!, config);
  return {
    current_l1: l1,
    current_l1_finalized: l1,
    head_l1: l1,
    safe_l1: l1,
    finalized_l1: l1,
    unsafe_l2: soft,
    safe_l2: final,
    finalized_l2: final,
    pending_safe_l2: final,
    cross_unsafe_l2: soft,
    local_safe_l2: final,
  };
}

interface L2BlockRef {
  readonly hash: Hex;
  readonly number: number;
  readonly parentHash: Hex;
  readonly timestamp: number;
  readonly l1origin: { readonly hash: string; readonly number: number };
  /** Blocks with this L1 origin before it. */
  readonly sequenceNumber: number;
}

function blockRef({ summary }: StagedBlock, { genesis }: OpRollupConfig): L2BlockRef {
  return {
    hash: toHex(summary.hash),
    number: summary.number,
    parentHash: toHex(summary.parentHash),
    timestamp: summary.timestampSeconds,
    l1origin: { hash: genesis.l1.hash, number: genesis.l1.number },
    sequenceNumber: summary.number,
  };
}
