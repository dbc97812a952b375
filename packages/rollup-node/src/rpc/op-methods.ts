/**
 * op-node's own JSON-RPC methods, for op-proposer and whoever reads output roots:
 * https://github.com/ethereum-optimism/optimism, op-node/node/api.go and op-service/eth (output.go, sync_status.go).
 *
 * `safe_l2` and `finalized_l2` are the newest block whose order is final, which is what may be proposed, and not what L1 has
 * settled. What is of L1 is known from the anchors of ordered blocks, or zero where the rollup follows no L1.
 */

import { defineMethod, type RpcMethod } from '@squad/service';
import { type Bytes32, fromHex, type Hex, toHex, ZERO_HASH } from '@squad/types';
import type { StagedBlock } from '../execution/evm/history.ts';
import { outputRoot } from '../stacks/op/output.ts';
import type { OpRollupConfig } from '../stacks/op/rollup-config.ts';
import type { RpcState } from './context.ts';
import { refused, unknownBlock } from './errors.ts';
import { SmallQuantity } from './schemas.ts';

/** The predeploy L2ToL1MessagePasser: withdrawals are in its storage. */
const MESSAGE_PASSER = fromHex('0x4200000000000000000000000000000000000016');

export interface L1BlockRef {
  readonly hash: Hex;
  readonly number: number;
  readonly parentHash: Hex;
  readonly timestamp: number;
}

export interface L2BlockRef extends L1BlockRef {
  readonly l1origin: { readonly hash: string; readonly number: number };
  /** Blocks with this L1 origin before it. */
  readonly sequenceNumber: number;
}

/** A rollup's blocks, as op-node would tell of them. */
export interface OpBlocks {
  /** Numbers of the newest block, and of the newest one whose order is final. */
  heads(): { readonly unsafe: number; readonly final: number };
  /** Of a block up to `unsafe`. */
  ref(number: number): Promise<L2BlockRef>;
  /** Roots of a block up to `final`. */
  roots(number: number): Promise<{ readonly stateRoot: Bytes32; readonly withdrawalStorageRoot: Bytes32 }>;
  /** The newest L1 block that the rollup knows, and the newest that its final blocks do; undefined: it follows no L1. */
  l1(): { readonly head: L1BlockRef; readonly final: L1BlockRef } | undefined;
}

export function opMethods(blocks: OpBlocks, config: OpRollupConfig, clientVersion: string): RpcMethod[] {
  return [
    defineMethod({
      name: 'optimism_outputAtBlock',
      summary: 'The output root of a block whose order is final',
      params: { number: SmallQuantity },
      result: { name: 'output', description: 'As op-node answers' },
      handler: ({ number }) => outputAtBlock(blocks, number),
    }),
    defineMethod({
      name: 'optimism_syncStatus',
      summary: 'Heads of the rollup, as op-node names them',
      params: {},
      result: {
        name: 'status',
        description: 'As op-node answers; of L1 what the anchors of ordered blocks tell, or zero',
      },
      handler: () => syncStatus(blocks),
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
      handler: () => clientVersion,
    }),
  ];
}

async function outputAtBlock(blocks: OpBlocks, number: number): Promise<unknown> {
  if (number > blocks.heads().final) throw unknownBlock();
  const { stateRoot, withdrawalStorageRoot } = await blocks.roots(number);
  const ref = await blocks.ref(number);
  return {
    version: toHex(ZERO_HASH),
    outputRoot: toHex(outputRoot({ stateRoot, withdrawalStorageRoot, blockHash: fromHex(ref.hash) })),
    blockRef: ref,
    withdrawalStorageRoot: toHex(withdrawalStorageRoot),
    stateRoot: toHex(stateRoot),
    syncStatus: await syncStatus(blocks),
  };
}

async function syncStatus(blocks: OpBlocks): Promise<unknown> {
  const heads = blocks.heads();
  const none = { hash: toHex(ZERO_HASH), number: 0, parentHash: toHex(ZERO_HASH), timestamp: 0 };
  const l1 = blocks.l1() ?? { head: none, final: none };
  const soft = await blocks.ref(heads.unsafe);
  const final = await blocks.ref(heads.final);
  return {
    current_l1: l1.final,
    current_l1_finalized: l1.final,
    head_l1: l1.head,
    safe_l1: l1.final,
    finalized_l1: l1.final,
    unsafe_l2: soft,
    safe_l2: final,
    finalized_l2: final,
    pending_safe_l2: final,
    cross_unsafe_l2: soft,
    local_safe_l2: final,
  };
}

/** Of a rollup that this node executes itself: the L1 origin of every block is the one that the chain began with. */
export function evmOpBlocks(state: RpcState, config: OpRollupConfig): OpBlocks {
  const { history, executor } = state;
  return {
    heads: () => ({ unsafe: executor.head.number, final: history.latestNumber }),
    ref: async (number) => blockRef(history.blockAt(number)!, config),
    roots: async (number) => {
      const block = state.findBlock({ number })!;
      const { account } = await state.reader.proof(MESSAGE_PASSER, [], block);
      if (account !== undefined) {
        return { stateRoot: block.summary.stateRoot, withdrawalStorageRoot: account.storageRoot };
      }
      throw refused(
        `block ${number} has no L2ToL1MessagePasser at ${toHex(MESSAGE_PASSER)}: nothing could be withdrawn by its output root`,
        'NO_MESSAGE_PASSER',
        "Put the OP Stack's predeploys into `alloc` of the rollup file.",
      );
    },
    l1: () => undefined,
  };
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
