/**
 * The rollup configuration of an OP Stack chain, op-node's `rollup.json`: what matters here is read and checked against the
 * rollup, the rest is handed on as it is. https://github.com/ethereum-optimism/optimism, op-node/rollup/types.go.
 */

import { readBoundedFile } from '@squad/service';
import { type Hex, isHex, SquadError } from '@squad/types';
import { z } from 'zod';
import type { OpChain } from '../../config/op-chain.ts';
import { MAX_OP_ROLLUP_CONFIG_BYTES } from './limits.ts';

const hash = z.string().refine((value): value is Hex => isHex(value, 32), { error: 'expected 0x and 64 hex digits' });
const address = z
  .string()
  .refine((value): value is Hex => isHex(value, 20), { error: 'expected 0x and 40 hex digits' });
const blockId = z.looseObject({ hash, number: z.int().min(0) });

const OpRollupConfig = z.looseObject({
  genesis: z.looseObject({ l1: blockId, l2: blockId, l2_time: z.int().min(0) }),
  block_time: z.int().min(1),
  l1_chain_id: z.int().min(1),
  l2_chain_id: z.int().min(1),
  deposit_contract_address: address,
  l1_system_config_address: address,
});
export type OpRollupConfig = z.infer<typeof OpRollupConfig>;

/** What the rollup itself says of its beginning. */
export interface RollupGenesis {
  readonly chainId: number;
  readonly hash: Hex;
  /** Seconds since 1970. */
  readonly timestampSeconds: number;
  /** Of a rollup file that says it: where the chain begins on L1, and whose L1 it follows. */
  readonly op?: Pick<OpChain, 'l1Origin' | 'l1'> | undefined;
}

/** Throws SquadError `FILE_UNREADABLE`, `OP_ROLLUP_CONFIG_INVALID` or `OP_ROLLUP_CONFIG_OF_OTHER_CHAIN`. */
export async function readOpRollupConfig(path: string, genesis: RollupGenesis): Promise<OpRollupConfig> {
  const parsed = OpRollupConfig.safeParse(parseJson(path, await readSmall(path)));
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw invalid(path, `${issue.path.map(String).join('.') || 'the whole file'}: ${issue.message}`);
  }
  const config = parsed.data;
  const { l2, l2_time } = config.genesis;
  const fault =
    config.l2_chain_id !== genesis.chainId
      ? `l2_chain_id is ${config.l2_chain_id}, the rollup's ${genesis.chainId}`
      : l2.number !== 0 || l2.hash.toLowerCase() !== genesis.hash
        ? `genesis.l2 is block ${l2.number}, ${l2.hash}; the rollup begins with block 0, ${genesis.hash}`
        : l2_time !== genesis.timestampSeconds
          ? `genesis.l2_time is ${l2_time}, the rollup begins at ${genesis.timestampSeconds}`
          : l1Fault(config, genesis);
  if (fault === undefined) return config;
  throw new SquadError(
    'OP_ROLLUP_CONFIG_OF_OTHER_CHAIN',
    `${path} is not of this rollup: ${fault}`,
    'Give the rollup.json that belongs to the rollup file, or write these values into it.',
    { path },
  );
}

function l1Fault(config: OpRollupConfig, { op }: RollupGenesis): string | undefined {
  if (op === undefined) return undefined;
  const { l1Origin, l1 } = op;
  const pairs: [name: string, found: string | number, wanted: string | number][] = [
    ['genesis.l1.number', config.genesis.l1.number, l1Origin.number],
    ['genesis.l1.hash', config.genesis.l1.hash, l1Origin.hash],
  ];
  if (l1 !== undefined) {
    pairs.push(
      ['l1_chain_id', config.l1_chain_id, l1.chainId],
      ['deposit_contract_address', config.deposit_contract_address, l1.depositContract],
      ['l1_system_config_address', config.l1_system_config_address, l1.systemConfig],
    );
  }
  const fault = pairs.find(([, found, wanted]) => String(found).toLowerCase() !== String(wanted).toLowerCase());
  return fault && `${fault[0]} is ${fault[1]}, the rollup file has ${fault[2]}`;
}

async function readSmall(path: string): Promise<string> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readBoundedFile(path, MAX_OP_ROLLUP_CONFIG_BYTES);
  } catch (error) {
    const message = `the OP rollup configuration ${path} cannot be read: ${(error as Error).message}`;
    throw new SquadError('FILE_UNREADABLE', message, 'Name its path with --op-rollup-config.', { path }, error);
  }
  if (bytes) return new TextDecoder().decode(bytes);
  throw invalid(path, `it has more bytes than MAX_OP_ROLLUP_CONFIG_BYTES = ${MAX_OP_ROLLUP_CONFIG_BYTES}`);
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(path, `not JSON: ${(error as Error).message}`);
  }
}

function invalid(path: string, reason: string): SquadError {
  return new SquadError(
    'OP_ROLLUP_CONFIG_INVALID',
    `the OP rollup configuration ${path} is not valid: ${reason}`,
    'Give the rollup.json that op-deployer, or whoever set up the contracts on L1, has made.',
    { path },
  );
}
