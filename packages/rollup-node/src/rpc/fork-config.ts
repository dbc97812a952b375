/** eth_config (EIP-7910): the rules that the chain has. They are the rollup file's, from genesis on, and no others follow. */

import { crc32 } from 'node:zlib';
import { type Hex, toHex } from '@squad/types';
import { SYSTEM_CONTRACTS } from '../config/rollup-file.ts';
import { BLOB_SCHEDULE } from '../execution/evm/ethereum-genesis.ts';
import type { EvmExecutor } from '../execution/evm/executor.ts';

/** EIP-7910's names, by address. */
const PRECOMPILES: Readonly<Record<number, string>> = {
  1: 'ECREC',
  2: 'SHA256',
  3: 'RIPEMD160',
  4: 'ID',
  5: 'MODEXP',
  6: 'BN254_ADD',
  7: 'BN254_MUL',
  8: 'BN254_PAIRING',
  9: 'BLAKE2F',
  10: 'KZG_POINT_EVALUATION',
};
const PRAGUE_PRECOMPILES: Readonly<Record<number, string>> = {
  11: 'BLS12_G1ADD',
  12: 'BLS12_G1MSM',
  13: 'BLS12_G2ADD',
  14: 'BLS12_G2MSM',
  15: 'BLS12_PAIRING_CHECK',
  16: 'BLS12_MAP_FP_TO_G1',
  17: 'BLS12_MAP_FP2_TO_G2',
};
const OSAKA_PRECOMPILES: Readonly<Record<number, string>> = { 256: 'P256VERIFY' };

export function forkConfig(executor: EvmExecutor): unknown {
  const { hardfork, rollupId, ethereumBlocks } = executor.file;
  const precompiles = {
    ...PRECOMPILES,
    ...(hardfork === 'cancun' ? {} : PRAGUE_PRECOMPILES),
    ...(hardfork === 'osaka' ? OSAKA_PRECOMPILES : {}),
  };
  const address = (number: number): Hex => `0x${number.toString(16).padStart(40, '0')}`;
  return {
    current: {
      activationTime: 0,
      blobSchedule: BLOB_SCHEDULE[hardfork],
      chainId: `0x${rollupId.toString(16)}`,
      // EIP-2124: of genesis alone, as nothing changed since.
      forkId: `0x${crc32(executor.hashAt(0)).toString(16).padStart(8, '0')}`,
      precompiles: Object.fromEntries(Object.entries(precompiles).map(([at, name]) => [name, address(Number(at))])),
      systemContracts: ethereumBlocks ? systemContracts() : {},
    },
    next: null,
    last: null,
  };
}

function systemContracts(): Record<string, Hex> {
  const [beaconRoots, historyStorage, withdrawalRequests, consolidationRequests] = SYSTEM_CONTRACTS;
  return {
    BEACON_ROOTS_ADDRESS: beaconRoots!,
    CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS: consolidationRequests!,
    // There is none; Ethereum clients are told so by this address.
    DEPOSIT_CONTRACT_ADDRESS: toHex(new Uint8Array(20)),
    HISTORY_STORAGE_ADDRESS: historyStorage!,
    WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS: withdrawalRequests!,
  };
}
