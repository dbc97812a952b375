/**
 * The rollup's genesis file, such as `rollup-901.json`: the rules and the first state of one rollup. All nodes of a rollup
 * must use the same file; its hash is stored with the derived data, and a data directory of another file is refused.
 */

import { createHash } from 'node:crypto';
import { type Bytes32, err, type Hex, isHex, ok, type Result, SquadError } from '@squad/types';
import { z } from 'zod';
import { BlockTimeMs, DEFAULT_BLOCK_TIME_MS } from './block-time.ts';
import { DEVELOPMENT_ACCOUNTS, DEVELOPMENT_BALANCE } from './development-accounts.ts';
import { OpChain, opChainFault, opChainFields } from './op-chain.ts';
import { address, wei, word } from './values.ts';

/** Bytes of a rollup file. */
export const MAX_ROLLUP_FILE_BYTES: number = 256 * 1024 * 1024;
/** Accounts that a rollup file may fund. */
export const MAX_ALLOC_ACCOUNTS = 10_000;
/** Bytes of code of one account in a rollup file (EIP-170). */
export const MAX_ALLOC_CODE_BYTES = 24_576;
/** Storage slots of one account in a rollup file. */
export const MAX_ALLOC_STORAGE_SLOTS = 10_000;

const hex = (maxBytes: number) =>
  z.string().refine((value) => isHex(value) && value.length <= 2 + 2 * maxBytes, {
    error: `expected 0x and at most ${2 * maxBytes} hex digits, two for each byte`,
  });

export const AllocAccount = z.strictObject({
  balance: wei.default('0'),
  nonce: z.int().min(0).default(0),
  code: hex(MAX_ALLOC_CODE_BYTES).optional(),
  storage: z.record(word, hex(32)).optional(),
});
export type AllocAccount = z.infer<typeof AllocAccount>;

/** Addresses where Ethereum runs system calls: by `ethereumBlocks`, the rollup has Ethereum's code there, otherwise none. */
export const SYSTEM_CONTRACTS: readonly Hex[] = [
  '0x000f3df6d732807ef1319fb7b8bb8522d0beac02', // EIP-4788 beacon roots
  '0x0000f90827f1c53a10cb7a02335b175320002935', // EIP-2935 block hashes
  '0x00000961ef480eb55e80d19ad83579a64c007002', // EIP-7002 withdrawal requests
  '0x0000bbddc7ce488642fb579f8b00f3a590007251', // EIP-7251 consolidation requests
];

export const RollupFile = z
  .strictObject({
    version: z.literal(1),
    /** For an EVM rollup its EIP-155 chain id. */
    rollupId: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
    name: z.string().min(1).max(64),
    /**
     * `custom`: a module of the rollup's team, which every node of the rollup is given by `--executor`. `nitro`: nothing is
     * executed here; the order is served to Arbitrum Nitro nodes (`stacks/nitro`). `op`: nor here; an OP Stack execution
     * client builds the blocks (`stacks/op`).
     */
    executor: z.enum(['evm', 'ledger', 'custom', 'nitro', 'op']),
    /** Of the executor `op`, which needs it. */
    op: OpChain.optional(),
    /** Start of slot 0. */
    genesisTimeMs: z.int().min(0),
    /** Length of a slot. */
    blockTimeMs: BlockTimeMs.default(DEFAULT_BLOCK_TIME_MS),
    /** Gas of one block; a slot that holds more yields more blocks. Above half of it the base fee rises (EIP-1559). */
    gasLimit: z.int().min(100_000).max(10_000_000_000).default(30_000_000),
    /** Gas limit of one transaction: bounds how long one can take. Effective is the lesser of this and `gasLimit`. */
    maxTransactionGas: z.int().min(21_000).max(10_000_000_000).default(30_000_000),
    /** Base fee of block 1, in wei; later ones follow EIP-1559. */
    baseFeePerGas: wei.default('1000000000'),
    /** Receives priority fees. The base fee is burnt. */
    feeRecipient: address.default('0x0000000000000000000000000000000000000000'),
    hardfork: z.enum(['cancun', 'prague', 'osaka']).default('prague'),
    /**
     * Every block is one that an unmodified Ethereum execution client accepts, and can be driven to by the Engine API: the
     * system contracts of the hard fork stand in genesis and are called in each block, timestamps rise strictly.
     */
    ethereumBlocks: z.boolean().default(false),
    alloc: z.record(address, AllocAccount).default({}),
  })
  .check((context) => {
    const { ethereumBlocks, executor, hardfork, blockTimeMs, op } = context.value;
    const accounts = Object.entries(context.value.alloc);
    const refuse = (path: string, message: string) =>
      context.issues.push({ code: 'custom', input: path, path: ['alloc', path], message });
    const opFault =
      (executor === 'op') !== (op !== undefined)
        ? 'is for the executor "op", which needs it'
        : op === undefined
          ? undefined
          : opChainFault(context.value);
    if (opFault !== undefined) context.issues.push({ code: 'custom', input: true, path: ['op'], message: opFault });
    const fault = !ethereumBlocks
      ? undefined
      : executor !== 'evm'
        ? 'is for the executor "evm"'
        : hardfork === 'cancun'
          ? 'is for the hard forks prague and osaka'
          : blockTimeMs < 1_000
            ? "needs a blockTimeMs of 1000 or more: Ethereum's timestamps are whole seconds, and rise with each block"
            : undefined;
    if (fault !== undefined) {
      context.issues.push({ code: 'custom', input: true, path: ['ethereumBlocks'], message: fault });
    }
    if (accounts.length > MAX_ALLOC_ACCOUNTS)
      refuse('', `more than MAX_ALLOC_ACCOUNTS = ${MAX_ALLOC_ACCOUNTS} accounts`);
    const seen = new Set<string>();
    for (const [key, account] of accounts) {
      if (seen.has(key.toLowerCase())) refuse(key, 'appears twice, in different letter case');
      seen.add(key.toLowerCase());
      if (SYSTEM_CONTRACTS.includes(key.toLowerCase() as Hex)) {
        if (ethereumBlocks) refuse(key, 'is a system contract of Ethereum, which `ethereumBlocks` puts there');
        else if (account.code !== undefined) {
          refuse(key, 'is a system contract of Ethereum, which this rollup does not run');
        }
      }
      if (Object.keys(account.storage ?? {}).length > MAX_ALLOC_STORAGE_SLOTS) {
        refuse(key, `has more than MAX_ALLOC_STORAGE_SLOTS = ${MAX_ALLOC_STORAGE_SLOTS} storage slots`);
      }
    }
  });
export type RollupFile = z.infer<typeof RollupFile>;

export function parseRollupFile(json: unknown): Result<RollupFile, SquadError> {
  const parsed = RollupFile.safeParse(json);
  if (parsed.success) return ok(parsed.data);
  const issue = parsed.error.issues[0]!;
  return err(
    new SquadError(
      'ROLLUP_FILE_INVALID',
      `the rollup file is not valid: ${issue.path.map(String).join('.') || 'the whole file'}: ${issue.message}`,
      'Mend that field, or get the file again from whoever runs the rollup; all its nodes must use the same.',
    ),
  );
}

/** What the file means, apart from how it is written: fields in a fixed order, addresses in lower case and sorted. */
export function rollupFileHash(file: RollupFile): Bytes32 {
  const alloc = Object.entries(file.alloc)
    .map(([key, { balance, nonce, code, storage }]) => [
      key.toLowerCase(),
      String(BigInt(balance)),
      nonce,
      code?.toLowerCase() ?? '0x',
      Object.entries(storage ?? {})
        .map(([slot, value]) => [slot.toLowerCase(), value.toLowerCase()])
        .sort(([a], [b]) => (a! < b! ? -1 : 1)),
    ])
    .sort(([a], [b]) => (a! < b! ? -1 : 1));
  const { version, rollupId, name, executor, genesisTimeMs, blockTimeMs, gasLimit, hardfork } = file;
  const { maxTransactionGas } = file;
  const fees = [String(BigInt(file.baseFeePerGas)), file.feeRecipient.toLowerCase()];
  const text = JSON.stringify([
    [version, rollupId, name, executor, genesisTimeMs, blockTimeMs, gasLimit, maxTransactionGas, hardfork],
    fees,
    alloc,
    // Absent where it is off: the hash of files from before there was such a field stays.
    ...(file.ethereumBlocks ? ['ethereumBlocks'] : []),
    ...(file.op === undefined ? [] : [opChainFields(file.op)]),
  ]);
  return createHash('sha256').update(text).digest();
}

/** What one transaction may use at most: by the rollup's own rule and the block's. */
export function transactionGasCap(file: RollupFile): bigint {
  return BigInt(Math.min(file.gasLimit, file.maxTransactionGas));
}

/**
 * Gas of a block of a development rollup: so much that 7,000 transfers in a slot leave the base fee where it is, for load
 * tests. A rollup that strangers can use needs less (README).
 */
export const DEVELOPMENT_GAS_LIMIT = 300_000_000;

/** A rollup for development: the ten well-known accounts hold 10,000 ether each. */
export function developmentRollup(
  options: { rollupId: number; genesisTimeMs: number } & Partial<RollupFile>,
): RollupFile {
  const alloc = Object.fromEntries(DEVELOPMENT_ACCOUNTS.map((account) => [account, { balance: DEVELOPMENT_BALANCE }]));
  return RollupFile.parse({
    version: 1,
    name: `rollup-${options.rollupId}`,
    executor: 'evm',
    gasLimit: DEVELOPMENT_GAS_LIMIT,
    alloc,
    ...options,
  });
}
