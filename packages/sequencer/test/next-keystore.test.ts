/** A validator changes its BLS key at an epoch: by `--next-keystore` and an operator's file, in a node as `squad sequencer` starts it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { blstBls, encryptKeystore } from '@squad/crypto/node';
import { resolveOptions, rpcCall } from '@squad/service';
import { decodeHandOverProof, fromHex, toHex, validatorSetHash, validatorSetOf } from '@squad/types';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { createSequencer, type SequencerNode } from '../src/node.ts';
import { sequencerOptions } from '../src/options.ts';
import { createGenesis, describeMember, keysOf, until } from './support.ts';

const PASSWORD = 'rotation';
/** The only validator of its network, so that nobody but its new key can finalize anything in the epoch of that key. */
const genesis = createGenesis(1, Date.now() - 1_000, { epochLengthBlocks: 16 });
const rotated = describeMember({ key: 0, bls: 100 });

let folder: string;
let node: SequencerNode | undefined;
const path = (name: string) => join(folder, name);
const write = (name: string, content: unknown) => writeFileSync(path(name), JSON.stringify(content));

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'squad-next-keystore-'));
  const { publicKey, secretKey } = keysOf(0).node;
  write('genesis.json', genesis.file);
  write('schedule.json', { version: 1, validatorSchedule: [{ fromEpoch: 1, validators: [rotated] }] });
  write('node.json', { version: 1, type: 'squad-node-key', publicKey: toHex(publicKey), seed: toHex(secretKey) });
  writeFileSync(path('password'), PASSWORD, { mode: 0o600 });
  for (const [name, key] of [['old.json', 0] as const, ['new.json', 100] as const]) {
    write(name, await encryptKeystore(keysOf(key).bls, PASSWORD, { strength: 'pbkdf2-light-for-testnets', path: '' }));
  }
});
afterEach(async () => {
  await node?.stop();
  node = undefined;
  rmSync(folder, { recursive: true });
});

/** Through the table of options, as the command line reads them. */
async function start(more: Readonly<Record<string, string>>): Promise<SequencerNode> {
  const flags = {
    genesis: path('genesis.json'),
    dataDirectory: path('data'),
    nodeKey: path('node.json'),
    keystore: path('old.json'),
    keystorePasswordFile: path('password'),
    validatorSchedule: path('schedule.json'),
    listen: '/ip4/127.0.0.1/tcp/0',
    rpcPort: '0',
    metricsPort: '0',
    heartbeatMs: '100',
    statusSeconds: '0',
    admissionThreads: '0',
    logLevel: 'fatal',
    ...more,
  };
  const resolved = resolveOptions(sequencerOptions, { flags });
  if (!resolved.ok) throw resolved.error;
  node = await createSequencer(resolved.value.values);
  return node;
}

const Status = z.object({
  epoch: z.number(),
  validatorIndex: z.number().nullable(),
  final: z.object({ height: z.number() }),
});
const statusOf = ({ rpcUrl }: SequencerNode) => rpcCall(rpcUrl, 'squad_status', [], Status);

it('signs with the key of the next keystore from the epoch on that has it, and with the first one before', async () => {
  const validator = await start({ nextKeystore: path('new.json') });
  await until('the end of the epoch of the new key', async () => (await statusOf(validator)).epoch >= 2, 60_000);
  expect(await statusOf(validator)).toMatchObject({ validatorIndex: 0 });
  const proofOf = async (epoch: number) => {
    const bytes = await rpcCall(validator.rpcUrl, 'squad_getHandOver', [epoch], z.string());
    const proof = decodeHandOverProof(fromHex(bytes));
    if (!proof.ok) throw new Error(proof.error.reason);
    return proof.value;
  };
  // What the old key finalized names the new one, and what the new one finalized is final.
  const next = (await proofOf(0)).nextValidatorSet;
  expect(toHex(validatorSetHash(next))).toBe(toHex(validatorSetHash(validatorSetOf(1, [rotated]))));
  expect(toHex(next.validators[0]!.blsPublicKey)).toBe(toHex(blstBls.publicKeyOf(keysOf(100).bls)));
  expect((await proofOf(1)).certificate).toMatchObject({ epoch: 1 });
});

it('without it the node is no validator in that epoch, and the only one stops there', async () => {
  const validator = await start({});
  await until('the epoch of the new key', async () => (await statusOf(validator)).epoch === 1, 60_000);
  expect(await statusOf(validator)).toMatchObject({ validatorIndex: null, final: { height: 16 } });
});
