/**
 * The rollup file as a genesis file of Ethereum execution clients (the form of geth, which reth, erigon and besu read, too),
 * so that they begin with the very same block 0.
 */

import type { Hex } from '@squad/types';
import { fromHex, SquadError } from '@squad/types';
import type { RollupFile } from '../../config/rollup-file.ts';
import { hexOf } from '../../hex.ts';
import { createSharedCommon } from './common.ts';
import { genesisAlloc, genesisHeader, headerFields, writeAlloc } from './genesis.ts';
import { EMPTY_STATE, EvmState } from './state.ts';

/** Ethereum's blob parameters. Blocks of the rollup hold no blobs; clients want to be told anyway. */
export const BLOB_SCHEDULE = {
  cancun: { target: 3, max: 6, baseFeeUpdateFraction: 3_338_477 },
  prague: { target: 6, max: 9, baseFeeUpdateFraction: 5_007_716 },
  osaka: { target: 6, max: 9, baseFeeUpdateFraction: 5_007_716 },
};

const BLOCK_FORKS = [
  'homestead',
  'eip150',
  'eip155',
  'eip158',
  'byzantium',
  'constantinople',
  'petersburg',
  'istanbul',
  'muirGlacier',
  'berlin',
  'london',
  'arrowGlacier',
  'grayGlacier',
  'mergeNetsplit',
];

/** Throws SquadError `NOT_ETHEREUM_BLOCKS` if an Ethereum client could not follow the rollup. */
export function ethereumGenesis(file: RollupFile): Record<string, unknown> {
  requireEthereumBlocks(file);
  const common = createSharedCommon(file.rollupId, file.hardfork);
  const { gasLimit, coinbase } = headerFields(file);
  const { timestamp, baseFeePerGas } = genesisHeader(file, common, new Uint8Array(32));
  const { prague, cancun, osaka } = BLOB_SCHEDULE;
  return {
    config: {
      chainId: file.rollupId,
      ...Object.fromEntries(BLOCK_FORKS.map((name) => [`${name}Block`, 0])),
      terminalTotalDifficulty: 0,
      terminalTotalDifficultyPassed: true,
      shanghaiTime: 0,
      cancunTime: 0,
      pragueTime: 0,
      ...(file.hardfork === 'osaka' ? { osakaTime: 0 } : {}),
      depositContractAddress: `0x${'00'.repeat(20)}`,
      blobSchedule: { cancun, prague, ...(file.hardfork === 'osaka' ? { osaka } : {}) },
    },
    nonce: '0x0',
    timestamp: `0x${timestamp.toString(16)}`,
    extraData: '0x',
    gasLimit: `0x${BigInt(gasLimit as bigint).toString(16)}`,
    difficulty: '0x0',
    mixHash: `0x${'00'.repeat(32)}`,
    coinbase,
    baseFeePerGas: `0x${(baseFeePerGas ?? 0n).toString(16)}`,
    blobGasUsed: '0x0',
    excessBlobGas: '0x0',
    alloc: Object.fromEntries(
      Object.entries(genesisAlloc(file)).map(([address, { balance, nonce, code, storage }]) => [
        address.toLowerCase(),
        {
          balance: `0x${BigInt(balance).toString(16)}`,
          ...(nonce === 0 ? {} : { nonce: `0x${nonce.toString(16)}` }),
          ...(code === undefined ? {} : { code }),
          ...(storage === undefined ? {} : { storage: Object.fromEntries(Object.entries(storage).map(word)) }),
        },
      ]),
    ),
  };
}

/** Hash of block 0, without a data directory. */
export async function genesisHash(file: RollupFile): Promise<Hex> {
  const state = new EvmState({ nodesInMemory: 0, node: () => undefined, code: () => undefined }, EMPTY_STATE);
  await writeAlloc(state, genesisAlloc(file));
  const common = createSharedCommon(file.rollupId, file.hardfork);
  return hexOf(genesisHeader(file, common, state.flush().root.hash).hash());
}

/** Throws SquadError `NOT_ETHEREUM_BLOCKS`. */
export function requireEthereumBlocks({ name, ethereumBlocks }: RollupFile): void {
  if (ethereumBlocks) return;
  throw new SquadError(
    'NOT_ETHEREUM_BLOCKS',
    `an Ethereum execution client cannot follow the rollup "${name}": its rollup file does not say "ethereumBlocks": true`,
    'That is a property of a rollup from its genesis on: it takes a new rollup file, the same on all its nodes.',
  );
}

function word([slot, value]: [string, string]): [string, string] {
  return [slot, hexOf(Uint8Array.from([...new Uint8Array(32), ...fromHex(value as Hex)]).slice(-32))];
}
