/** `squad init`: a genesis file from the validators' public data files. */

import { writeFile } from 'node:fs/promises';
import { checkPossession, nobleBls } from '@squad/crypto';
import { defineOptions } from '@squad/service';
import {
  faultyWeight,
  type GenesisL1,
  type GenesisRollup,
  MAX_L1_CONFIRMATIONS,
  parseGenesis,
  SquadError,
  toHex,
  totalWeight,
} from '@squad/types';
import type { Command } from 'commander';
import { z } from 'zod';
import { addOptions, readOptions } from '../options.ts';
import { readValidatorFile } from '../validator-file.ts';

const initOptions = defineOptions({
  name: { type: z.string().min(1).max(64), env: 'SQUAD_INIT_NAME', flag: '--name', help: 'name of the network' },
  validators: {
    type: z.array(z.string().min(1)).min(1).max(256),
    env: 'SQUAD_INIT_VALIDATORS',
    flag: '--validator',
    help: 'validator.json of one validator; may be repeated, or a list with commas',
  },
  rollups: {
    type: z
      .array(
        z.string().regex(/^\d+(:(evm|opaque)(:[A-Za-z]+=\d+)*)?$/, {
          error: 'expected ID, ID:evm or ID:opaque, then parameters such as :maxBytesPerSecond=1000000',
        }),
      )
      .min(1),
    env: 'SQUAD_INIT_ROLLUPS',
    flag: '--rollup',
    help: 'a rollup that the network orders: its id (for an EVM its chain id), then :evm (default) or :opaque, then :maxTransactionBytes=N, :maxBytesPerSecond=N, :minFeePerGas=WEI; may be repeated',
  },
  l1: {
    type: z
      .string()
      .regex(/^\d+:\d+:0x[0-9a-fA-F]{64}$/, { error: 'expected CHAIN_ID:NUMBER:HASH' })
      .optional(),
    env: 'SQUAD_INIT_L1',
    flag: '--l1',
    help: 'the L1 that the network follows, as CHAIN_ID:NUMBER:HASH: its chain id, and one of its final blocks, from which anchors go on',
  },
  l1Confirmations: {
    type: z.int().min(0).max(MAX_L1_CONFIRMATIONS),
    default: 64,
    env: 'SQUAD_INIT_L1_CONFIRMATIONS',
    flag: '--l1-confirmations',
    help: 'blocks that stand on an L1 block before it may be an anchor',
  },
  genesisTime: {
    type: z.union([z.literal('now'), z.iso.datetime({ offset: true })]),
    default: 'now',
    env: 'SQUAD_INIT_GENESIS_TIME',
    flag: '--genesis-time',
    help: 'when the network starts: now, or such as 2030-01-01T12:00:00Z',
  },
  epochLengthBlocks: {
    type: z.int().min(16).max(10_000_000),
    default: 1_000_000,
    env: 'SQUAD_INIT_EPOCH_LENGTH_BLOCKS',
    flag: '--epoch-length',
    help: 'blocks of one epoch',
  },
  output: {
    type: z.string().min(1),
    default: 'genesis.json',
    env: 'SQUAD_INIT_OUTPUT',
    flag: '--output',
    help: 'file to write; never overwritten',
  },
});

export function define(command: Command): void {
  addOptions(command, initOptions)
    .addHelpText(
      'after',
      '\nExample:\n  $ squad init --name pilot --rollup 901 --validator alice/validator.json --validator bob/validator.json',
    )
    .action(() => init(command));
}

async function init(command: Command): Promise<void> {
  const options = readOptions(command, initOptions).values;
  const validators = [];
  for (const path of options.validators) validators.push(await readValidatorFile(path));
  const parsed = parseGenesis({
    version: 1,
    name: options.name,
    genesisTimeMs: options.genesisTime === 'now' ? Date.now() : Date.parse(options.genesisTime),
    epochLengthBlocks: options.epochLengthBlocks,
    validators,
    rollups: options.rollups.map(rollupOf),
    ...(options.l1 === undefined ? {} : { l1: l1Of(options.l1, options.l1Confirmations) }),
  });
  if (!parsed.ok) throw parsed.error;
  const genesis = parsed.value;
  const possession = checkPossession(genesis, nobleBls);
  if (!possession.ok) throw possession.error;
  try {
    await writeFile(options.output, `${JSON.stringify(genesis.file, null, 2)}\n`, { flag: 'wx' });
  } catch (error) {
    throw new SquadError(
      'GENESIS_UNWRITABLE',
      `${options.output} cannot be written: ${(error as Error).message}`,
      'Choose another file with --output; an existing one is never overwritten.',
    );
  }
  const total = totalWeight(genesis.validatorSet);
  process.stdout.write(
    [
      `network id  ${toHex(genesis.networkId)}`,
      `validators  ${validators.length}, weight ${total}, of which ${faultyWeight(total)} may be faulty`,
      `written to  ${options.output}`,
      '',
      'Every node needs this same file. Operators compare the network id before they start.',
      '',
    ].join('\n'),
  );
}

function l1Of(text: string, confirmations: number): GenesisL1 {
  const [chainId, number, hash] = text.split(':');
  return { chainId: Number(chainId), anchor: { number: Number(number), hash: hash! }, confirmations };
}

/** What stands before the parameters. */
const FIXED: ReadonlySet<string> = new Set(['rollupId', 'kind']);

function rollupOf(text: string): z.infer<typeof GenesisRollup> {
  const [id, kind, ...parameters] = text.split(':');
  const values = parameters.map((parameter) => parameter.split('=')).map(([name, value]) => [name, Number(value)]);
  const again = values.find(([name], i) => FIXED.has(`${name}`) || values.findIndex(([other]) => other === name) < i);
  if (again) {
    throw new SquadError(
      'ROLLUP_PARAMETER_TWICE',
      `the rollup ${text} says twice what its ${again[0]} is`,
      'Give the id and the kind once, before the parameters, and each parameter once.',
    );
  }
  // A parameter that there is none of is refused with the file.
  return { rollupId: Number(id), kind: kind === 'opaque' ? 'opaque' : 'evm', ...Object.fromEntries(values) };
}
