/** A chain of the OP Stack for a real op-geth: its genesis file, and the rollup file that belongs to it. */

import {
  DEVELOPMENT_ACCOUNTS,
  DEVELOPMENT_BALANCE,
  developmentRollup,
  type RollupFile,
} from '@squad/rollup-node/config';
import type { Hex } from '@squad/types';
import { Geth } from './geth.ts';

const L1_BASE_FEE = 1_000_000_000n;
/** What op-geth takes for data on L1, with the fee above: some 10^12 wei a transfer. */
const BASE_FEE_SCALAR = 1_000_000;
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
  'bedrock',
];
const TIME_FORKS = [
  ...['shanghai', 'cancun', 'prague', 'regolith', 'canyon', 'ecotone', 'fjord', 'granite', 'holocene', 'isthmus'],
];

/** What a chain has besides the defaults of `opRollup`; with a `jovianTime`, its genesis is of Jovian. */
export type OpChanges = Partial<NonNullable<RollupFile['op']>>;

/**
 * In the place of L2ToL1MessagePasser: whoever calls it sets the slot of its input's hash to 1, and leaves there what it sends.
 * CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 KECCAK256 PUSH1 1 SWAP1 SSTORE STOP.
 */
const MESSAGE_PASSER_CODE = '0x365f5f37365f206001905500';

/** The development accounts, each with its ether, on a chain of the fork Isthmus or Jovian. */
export function opGenesis(
  chainId: number,
  timestampSeconds: number,
  { jovianTime, minBaseFee }: OpChanges = {},
): string {
  const zeroes = (names: readonly string[], suffix: string) =>
    Object.fromEntries(names.map((name) => [`${name}${suffix}`, 0]));
  const slot = (number: number): Hex => `0x${number.toString(16).padStart(64, '0')}`;
  return JSON.stringify({
    config: {
      chainId,
      ...zeroes(BLOCK_FORKS, 'Block'),
      ...zeroes(TIME_FORKS, 'Time'),
      ...(jovianTime === undefined ? {} : { jovianTime }),
      terminalTotalDifficulty: 0,
      terminalTotalDifficultyPassed: true,
      optimism: { eip1559Elasticity: 6, eip1559Denominator: 50, eip1559DenominatorCanyon: 250 },
    },
    timestamp: `0x${timestampSeconds.toString(16)}`,
    // Denominator 250, elasticity 6: Holocene's parameters, version 0; with a least base fee Jovian's, version 1.
    extraData:
      jovianTime === undefined
        ? '0x00000000fa00000006'
        : `0x01000000fa00000006${(minBaseFee ?? 0).toString(16).padStart(16, '0')}`,
    ...(jovianTime === undefined ? {} : { blobGasUsed: '0x0', excessBlobGas: '0x0' }),
    gasLimit: '0x1c9c380',
    difficulty: '0x0',
    baseFeePerGas: '0x3b9aca00',
    alloc: {
      ...Object.fromEntries(DEVELOPMENT_ACCOUNTS.map((account) => [account, { balance: DEVELOPMENT_BALANCE }])),
      // Of L1Block what op-geth reads to charge for data: the base fee in slot 1, its scalar in bytes 16 to 20 of slot 3.
      '0x4200000000000000000000000000000000000015': {
        balance: '0x0',
        code: '0x00',
        storage: {
          [slot(1)]: `0x${L1_BASE_FEE.toString(16).padStart(64, '0')}`,
          [slot(3)]: `0x${BASE_FEE_SCALAR.toString(16).padStart(40, '0').padEnd(64, '0')}`,
        },
      },
      // L2ToL1MessagePasser, whose storage root is in each header.
      '0x4200000000000000000000000000000000000016': {
        balance: '0x0',
        code: MESSAGE_PASSER_CODE,
        storage: { [slot(0)]: slot(1) },
      },
    },
  });
}

/** `genesisHash`: what op-geth makes of `opGenesis`. */
export function opRollup(
  rollupId: number,
  genesisTimeMs: number,
  genesisHash: Hex,
  changes: OpChanges = {},
): RollupFile {
  return developmentRollup({
    rollupId,
    genesisTimeMs,
    executor: 'op',
    gasLimit: 30_000_000,
    alloc: {},
    op: {
      genesisHash,
      l1Origin: {
        number: 7,
        hash: `0x${'11'.repeat(32)}`,
        timestamp: Math.floor(genesisTimeMs / 1000),
        baseFee: String(L1_BASE_FEE),
        blobBaseFee: '1',
      },
      batcher: `0x${'22'.repeat(20)}`,
      baseFeeScalar: BASE_FEE_SCALAR,
      blobBaseFeeScalar: 0,
      operatorFeeScalar: 0,
      operatorFeeConstant: 0,
      eip1559Denominator: 0,
      eip1559Elasticity: 0,
      minBaseFee: 0,
      daFootprintGasScalar: 0,
      ...changes,
    },
  });
}

/** Started, and the rollup file that goes with it. */
export async function launchOpGeth(
  folder: string,
  chainId: number,
  genesisTimeMs: number,
  flags: Readonly<Record<string, string>> = {},
  changes: OpChanges = {},
): Promise<{ readonly client: Geth; readonly file: RollupFile }> {
  const genesis = opGenesis(chainId, Math.floor(genesisTimeMs / 1000), changes);
  const client = await Geth.launch(folder, 'op-geth', genesis, flags);
  return { client, file: opRollup(chainId, genesisTimeMs, (await client.block(0))!.hash as Hex, changes) };
}
