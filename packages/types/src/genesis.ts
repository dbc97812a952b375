/**
 * The network's genesis file: who validates, since when, which rollups are ordered. It is the second ring of
 * configuration, the same on every node; its hash is the network id, which every signature binds.
 */

import { ByteListType, ContainerType, ListCompositeType } from '@chainsafe/ssz';
// The namespace, not its copy `z`: a bundler then leaves out what is not used, three quarters of it.
import * as z from 'zod';
import { type L1BlockId, NO_L1_ANCHOR } from './block.ts';
import { type Bytes32, fromHex, type Hex, ZERO_HASH } from './ids.ts';
import { MAX_SCHEDULED_VALIDATOR_SETS, MAX_TRANSACTION_BYTES } from './limits.ts';
import { err, ok, type Result, SquadError } from './result.ts';
import { Bytes32Type, EpochType, HeightType, RollupIdType, Uint32, Uint64, UnixMsType } from './ssz.ts';
import {
  refuseRepeated,
  refuseRepeatedKeys,
  ValidatorList,
  ValidatorSchedule,
  validatorSetOf,
} from './validator-schedule.ts';
import type { ValidatorSet } from './validators.ts';
import { validatorSetHash } from './validators.ts';

/** Rollups of one network. */
export const MAX_ROLLUPS = 1024;

/**
 * The parameters are what every honest validator keeps at its door; nothing of them is asked of a batch that another one
 * sealed.
 */
export const GenesisRollup = z
  .strictObject({
    rollupId: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
    /** `evm`: transactions are checked at the door as Ethereum transactions. `opaque`: any bytes. */
    kind: z.enum(['evm', 'opaque']),
    /** Default: MAX_TRANSACTION_BYTES. */
    maxTransactionBytes: z.int().min(1).max(MAX_TRANSACTION_BYTES).optional(),
    /** What each validator takes into its lane, over a second or one largest transaction; default: no bound. */
    maxBytesPerSecond: z.int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
    /** Wei, of the max fee per gas or the gas price of an EVM transaction; default: any fee. */
    minFeePerGas: z.int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
  })
  .check((context) => {
    const { kind, minFeePerGas } = context.value;
    if (kind === 'evm' || minFeePerGas === undefined) return;
    const message = 'an opaque rollup’s transactions have no fee that a validator can read';
    context.issues.push({ code: 'custom', path: ['minFeePerGas'], message, input: minFeePerGas });
  });
export type GenesisRollup = z.infer<typeof GenesisRollup>;

/** The furthest that an L1 block may have to be below the head. */
export const MAX_L1_CONFIRMATIONS = 10_000;

/** The L1 that the network follows (R24). */
export const GenesisL1 = z.strictObject({
  /** EIP-155. */
  chainId: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
  /** The first blocks' anchor; every later one descends from it. */
  anchor: z.strictObject({
    number: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
    hash: z
      .string()
      .regex(/^0x[0-9a-fA-F]{64}$/, { error: 'expected 0x and 64 hex digits' })
      .refine((hash) => !/^0x0*$/.test(hash), { error: 'no L1 block has the hash zero' }),
  }),
  /** Blocks that stand on an L1 block before it may be an anchor. */
  confirmations: z.int().min(0).max(MAX_L1_CONFIRMATIONS),
});
export type GenesisL1 = z.infer<typeof GenesisL1>;

export const GenesisFile = z
  .strictObject({
    version: z.literal(1),
    name: z.string().min(1).max(64),
    genesisTimeMs: z.int().min(0),
    epochLengthBlocks: z.int().min(16).max(10_000_000),
    /** Of epoch 0. */
    validators: ValidatorList,
    /** Of later epochs, as far as they were known; none: those of epoch 0 stay until an operator's file says otherwise. */
    validatorSchedule: ValidatorSchedule.optional(),
    rollups: z.array(GenesisRollup).min(1).max(MAX_ROLLUPS),
    /** None: the network follows no L1, and its anchors stay zero. */
    l1: GenesisL1.optional(),
  })
  .check((context) => {
    const { validators, rollups } = context.value;
    refuseRepeatedKeys(context, validators);
    const rollupIds = rollups.map((rollup) => rollup.rollupId);
    refuseRepeated(context, 'rollups', 'rollupId', rollupIds);
  });
export type GenesisFile = z.infer<typeof GenesisFile>;

/** A genesis file that was checked, with what follows from it. */
export interface Genesis {
  readonly file: GenesisFile;
  readonly networkId: Bytes32;
  /** The set of epoch 0. */
  readonly validatorSet: ValidatorSet;
}

const NetworkIdentity = new ContainerType({
  name: new ByteListType(256),
  genesisTimeMs: UnixMsType,
  epochLengthBlocks: HeightType,
  validatorSetHash: Bytes32Type,
  validatorSchedule: new ListCompositeType(
    new ContainerType({ fromEpoch: EpochType, validatorSetHash: Bytes32Type }),
    MAX_SCHEDULED_VALIDATOR_SETS,
  ),
  rollups: new ListCompositeType(
    new ContainerType({
      rollupId: RollupIdType,
      kind: new ByteListType(16),
      /** Zero: not given. */
      maxTransactionBytes: Uint32,
      maxBytesPerSecond: Uint64,
      minFeePerGas: Uint64,
    }),
    MAX_ROLLUPS,
  ),
  /** Hash tree root of an `L1Identity`; zero without an L1, which is the root of the container before there was this field. */
  l1: Bytes32Type,
});

const L1Identity = new ContainerType({
  chainId: Uint64,
  anchorNumber: Uint64,
  anchorHash: Bytes32Type,
  confirmations: Uint64,
});

/** What the first blocks of a network take for their parent's anchor (R24). */
export function firstL1Anchor({ l1 }: Pick<GenesisFile, 'l1'>): L1BlockId {
  return l1 ? { number: l1.anchor.number, hash: fromHex(l1.anchor.hash as Hex) } : NO_L1_ANCHOR;
}

function l1Root(file: GenesisFile): Bytes32 {
  if (!file.l1) return ZERO_HASH;
  const { number, hash } = firstL1Anchor(file);
  const { chainId, confirmations } = file.l1;
  return L1Identity.hashTreeRoot({ chainId, anchorNumber: number, anchorHash: hash, confirmations });
}

/**
 * Checks form and derives the network id. Proofs of possession are checked by `checkPossession`.
 *
 * @example
 * const genesis = parseGenesis(JSON.parse(genesisText));
 * if (!genesis.ok) throw genesis.error;
 * console.log(toHex(genesis.value.networkId)); // compare it over a second channel
 */
export function parseGenesis(json: unknown): Result<Genesis, SquadError> {
  const parsed = GenesisFile.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return err(
      new SquadError(
        'GENESIS_INVALID',
        `the genesis file is not valid: ${issue.path.join('.') || 'the whole file'}: ${issue.message}`,
        'Mend that field, or get the genesis file again from the network; `squad init` writes a valid one.',
      ),
    );
  }
  const file = parsed.data;
  const validatorSet = validatorSetOf(0, file.validators);
  const text = new TextEncoder();
  const networkId = NetworkIdentity.hashTreeRoot({
    name: text.encode(file.name),
    genesisTimeMs: file.genesisTimeMs,
    epochLengthBlocks: file.epochLengthBlocks,
    validatorSetHash: validatorSetHash(validatorSet),
    validatorSchedule: (file.validatorSchedule ?? []).map(({ fromEpoch, validators }) => ({
      fromEpoch,
      validatorSetHash: validatorSetHash(validatorSetOf(fromEpoch, validators)),
    })),
    rollups: file.rollups.map(
      ({ rollupId, kind, maxTransactionBytes = 0, maxBytesPerSecond = 0, minFeePerGas = 0 }) => ({
        rollupId,
        kind: text.encode(kind),
        maxTransactionBytes,
        maxBytesPerSecond,
        minFeePerGas,
      }),
    ),
    l1: l1Root(file),
  });
  return ok({ file, networkId, validatorSet });
}
