/** Methods about the node and the chain as a whole: identity, heads, fees. */

import { defineMethod, hexBytes, type RpcMethod, toQuantity } from '@squad/service';
import { toHex } from '@squad/types';
import { z } from 'zod';
import type { StagedBlock } from '../execution/evm/history.ts';
import { keccak256 } from '../execution/keccak.ts';
import type { RpcState } from './context.ts';
import { refused, unknownBlock } from './errors.ts';
import { forkConfig } from './fork-config.ts';
import { gasUsedOf } from './format.ts';
import { MAX_FEE_HISTORY_BLOCKS, MAX_FEE_HISTORY_PERCENTILES, MAX_SHA3_BYTES } from './limits.ts';
import { BlockNumber, SmallQuantity } from './schemas.ts';

export function chainMethods(state: RpcState): RpcMethod[] {
  return [...identityMethods(state), ...feeMethods(state)];
}

function identityMethods(state: RpcState): RpcMethod[] {
  const { ports, history } = state;
  const chainId = state.executor.file.rollupId;
  return [
    constant('eth_chainId', 'The EIP-155 chain id, which is the rollup id', () => toQuantity(chainId)),
    constant('net_version', 'The chain id as a decimal string', () => String(chainId)),
    constant('net_listening', 'Whether the node is connected to a sequencer', () => ports.peerCount() > 0),
    constant('net_peerCount', 'Sequencers that the node follows', () => toQuantity(ports.peerCount())),
    constant('web3_clientVersion', 'Name and version of this node', () => ports.clientVersion),
    constant('eth_blockNumber', 'Number of the newest block whose order is final', () =>
      toQuantity(history.latestNumber),
    ),
    constant('eth_accounts', 'Always empty: this node keeps no keys', () => []),
    constant('eth_syncing', 'False at the head of the sequence, else where the node stands', () => {
      const status = ports.syncing();
      if (status === false) return false;
      const { startingBlock, currentBlock, highestBlock } = status;
      return {
        startingBlock: toQuantity(startingBlock),
        currentBlock: toQuantity(currentBlock),
        highestBlock: toQuantity(highestBlock),
      };
    }),
    constant('eth_config', 'The rules of the chain, which never change (EIP-7910)', () => forkConfig(state.executor)),
    defineMethod({
      name: 'web3_sha3',
      summary: 'Keccak-256 of the bytes',
      params: { data: hexBytes({ maxBytes: MAX_SHA3_BYTES }) },
      result: { name: 'hash', description: '32 bytes' },
      handler: ({ data }) => toHex(keccak256(data)),
    }),
  ];
}

function constant(name: string, summary: string, answer: () => unknown): RpcMethod {
  return defineMethod({ name, summary, params: {}, result: { name: 'result', description: summary }, handler: answer });
}

function feeMethods(state: RpcState): RpcMethod[] {
  return [
    constant('eth_gasPrice', 'A gas price that the next block takes', () =>
      toQuantity(nextBaseFee(state) + SUGGESTED_TIP),
    ),
    constant('eth_maxPriorityFeePerGas', 'Order does not follow the price, so 1 wei is enough', () =>
      toQuantity(SUGGESTED_TIP),
    ),
    constant('eth_blobBaseFee', 'Blob transactions are not part of this rollup; the floor', () => toQuantity(1)),
    defineMethod({
      name: 'eth_feeHistory',
      summary: 'Base fees, fullness and priority fees of a range of blocks',
      params: {
        blockCount: SmallQuantity,
        newestBlock: BlockNumber,
        rewardPercentiles: z.array(z.number().min(0).max(100)).max(MAX_FEE_HISTORY_PERCENTILES).nullish(),
      },
      result: { name: 'feeHistory', description: 'As in execution-apis' },
      handler: ({ blockCount, newestBlock, rewardPercentiles }) => {
        const newest = state.findBlock(newestBlock);
        if (newest === undefined) {
          const { latestNumber } = state.history;
          throw unknownBlock(
            `request beyond head block: requested ${state.numberOf(newestBlock)}, head ${latestNumber}`,
          );
        }
        const count = Math.min(blockCount, MAX_FEE_HISTORY_BLOCKS, newest.summary.number + 1);
        return feeHistory(state, newest, count, rewardPercentiles ?? undefined);
      },
    }),
  ];
}

/** Wei. The order comes from the sequencers, who do not look at it. */
const SUGGESTED_TIP = 1n;

/** Of the block that a transaction sent now will most likely be in. */
export function nextBaseFee(state: RpcState): bigint {
  const open = state.executor.openBlock?.block.header.baseFeePerGas ?? 0n;
  const next = state.executor.headHeader.calcNextBaseFee();
  return next > open ? next : open;
}

function feeHistory(state: RpcState, newest: StagedBlock, count: number, percentiles: readonly number[] | undefined) {
  const falling = percentiles?.findIndex((value, index) => index > 0 && value < percentiles[index - 1]!) ?? -1;
  if (falling > 0) {
    const [before, after] = percentiles!.slice(falling - 1, falling + 1) as [number, number];
    const message = `invalid reward percentile: #${falling - 1}:${before.toFixed(6)} >= #${falling}:${after.toFixed(6)}`;
    throw refused(message, 'INVALID_PERCENTILES', 'Sort the percentiles.');
  }
  const oldest = newest.summary.number - count + 1;
  const blocks = Array.from({ length: count }, (_, index) =>
    index === count - 1 ? newest : state.history.blockAt(oldest + index)!,
  );
  const baseFees = blocks.map(({ header }) => header.baseFeePerGas ?? 0n);
  if (count > 0) baseFees.push(newest.stage === 'open' ? nextBaseFee(state) : newest.header.calcNextBaseFee());
  return {
    oldestBlock: toQuantity(count === 0 ? 0 : oldest),
    baseFeePerGas: baseFees.map(toQuantity),
    gasUsedRatio: blocks.map((block) => Number(gasUsedOf(block)) / Number(block.header.gasLimit)),
    baseFeePerBlobGas: baseFees.map(() => '0x1'),
    blobGasUsedRatio: blocks.map(() => 0),
    ...(percentiles === undefined || percentiles.length === 0 || count === 0
      ? {}
      : { reward: blocks.map((block) => rewardsOf(block, percentiles)) }),
  };
}

/** Priority fees at percentiles of the gas used, cheapest first. */
function rewardsOf(block: StagedBlock, percentiles: readonly number[]): string[] {
  const baseFee = block.header.baseFeePerGas ?? 0n;
  const paid = block.transactions
    .map(({ receipt }) => ({ tip: receipt.effectiveGasPrice - baseFee, gas: receipt.gasUsed }))
    .sort((a, b) => (a.tip < b.tip ? -1 : a.tip > b.tip ? 1 : 0));
  let position = 0;
  let gas = paid[0]?.gas ?? 0n;
  return percentiles.map((percentile) => {
    const threshold = (Number(gasUsedOf(block)) * percentile) / 100;
    while (position < paid.length - 1 && Number(gas) < threshold) gas += paid[++position]!.gas;
    return toQuantity(paid[position]?.tip ?? 0n);
  });
}
