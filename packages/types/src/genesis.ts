/**
 * The network's genesis file: who validates, since when, which rollups are ordered. It is the second ring of
 * configuration, the same on every node; its hash is the network id, which every signature binds.
 */

import { ByteListType, ContainerType, ListCompositeType } from '@chainsafe/ssz';
import { z } from 'zod';
import { type Bytes32, fromHex, isHex } from './ids.ts';
import { MAX_VALIDATOR_WEIGHT, MAX_VALIDATORS } from './limits.ts';
import { err, ok, type Result, SquadError } from './result.ts';
import { Bytes32Type, HeightType, RollupIdType, UnixMsType } from './ssz.ts';
import type { ValidatorSet } from './validators.ts';
import { validatorSetHash } from './validators.ts';

const hexOf = (byteLength: number) =>
  z.string().refine((value) => isHex(value, byteLength), { error: `expected 0x and ${2 * byteLength} hex digits` });

export const GenesisValidator = z.strictObject({
  name: z.string().min(1).max(64),
  blsPublicKey: hexOf(48),
  /** Signature of the BLS public key by itself under the POP domain: shows that the secret key is known. */
  proofOfPossession: hexOf(96),
  /** Ed25519 public key, the libp2p identity. */
  nodePublicKey: hexOf(32),
  weight: z.int().min(1).max(MAX_VALIDATOR_WEIGHT),
  /** libp2p multiaddrs without /p2p, such as /ip4/10.0.0.1/tcp/9000. */
  addresses: z.array(z.string().max(256)).max(8),
});
export type GenesisValidator = z.infer<typeof GenesisValidator>;

export const GenesisRollup = z.strictObject({
  rollupId: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
  /** `evm`: transactions are checked at the door as Ethereum transactions. `opaque`: any bytes. */
  kind: z.enum(['evm', 'opaque']),
});
export type GenesisRollup = z.infer<typeof GenesisRollup>;

export const GenesisFile = z
  .strictObject({
    version: z.literal(1),
    name: z.string().min(1).max(64),
    genesisTimeMs: z.int().min(0),
    epochLengthBlocks: z.int().min(16).max(10_000_000),
    validators: z.array(GenesisValidator).min(1).max(MAX_VALIDATORS),
    rollups: z.array(GenesisRollup).min(1).max(1024),
  })
  .check((context) => {
    const file = context.value;
    const unique = (list: string, field: string, values: readonly unknown[]) => {
      const seen = new Map<unknown, number>();
      values.forEach((value, index) => {
        const first = seen.get(value);
        if (first === undefined) seen.set(value, index);
        else {
          const message = `${value} is already that of ${list}.${first}`;
          context.issues.push({ code: 'custom', input: value, path: [list, index, field], message });
        }
      });
    };
    unique(
      'validators',
      'blsPublicKey',
      file.validators.map((validator) => validator.blsPublicKey.toLowerCase()),
    );
    unique(
      'validators',
      'nodePublicKey',
      file.validators.map((validator) => validator.nodePublicKey.toLowerCase()),
    );
    unique(
      'rollups',
      'rollupId',
      file.rollups.map((rollup) => rollup.rollupId),
    );
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
  rollups: new ListCompositeType(new ContainerType({ rollupId: RollupIdType, kind: new ByteListType(16) }), 1024),
});

/** Checks form and derives the network id. Proofs of possession are checked by `@squad/crypto`'s `checkPossession`. */
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
  const validatorSet: ValidatorSet = {
    epoch: 0,
    validators: file.validators.map((validator) => ({
      blsPublicKey: fromHex(validator.blsPublicKey),
      nodePublicKey: fromHex(validator.nodePublicKey),
      weight: validator.weight,
    })),
  };
  const text = new TextEncoder();
  const networkId = NetworkIdentity.hashTreeRoot({
    name: text.encode(file.name),
    genesisTimeMs: file.genesisTimeMs,
    epochLengthBlocks: file.epochLengthBlocks,
    validatorSetHash: validatorSetHash(validatorSet),
    rollups: file.rollups.map(({ rollupId, kind }) => ({ rollupId, kind: text.encode(kind) })),
  });
  return ok({ file, networkId, validatorSet });
}
