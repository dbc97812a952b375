/** `squad checkpoint`: a final block and its finalization, for a node that begins there instead of at genesis. */

import { CHECKPOINT_FORMAT, type CheckpointFile, MAX_CHECKPOINT_EPOCHS } from '@squad/sequencer/checkpoint';
import { defineOptions, rpcCall } from '@squad/service';
import { decodeHandOverProof, fromHex, SquadError } from '@squad/types';
import type { Command } from 'commander';
import { z } from 'zod';
import { addOptions, readOptions } from '../options.ts';

const checkpointOptions = defineOptions({
  rpc: {
    type: z.url({ protocol: /^https?$/ }),
    default: 'http://127.0.0.1:8640',
    env: 'SQUAD_CHECKPOINT_RPC',
    flag: '--rpc',
    help: 'JSON-RPC address of a sequencer',
  },
});

const Hex = z.templateLiteral(['0x', z.string()]);
type Hex = z.infer<typeof Hex>;
const Status = z.looseObject({ networkId: Hex });
const Covering = z.looseObject({
  height: z.int(),
  certificate: z.looseObject({ blockHash: Hex, encoded: Hex }),
  path: z.array(z.unknown()),
});
const Encoded = z
  .looseObject({ hash: Hex, height: z.int(), epoch: z.int(), nextValidatorSetHash: Hex, encoded: Hex })
  .nullable();

export function define(command: Command): void {
  addOptions(command, checkpointOptions)
    .addHelpText(
      'after',
      '\nExample:\n  $ squad checkpoint --rpc http://203.0.113.7:8640 > checkpoint.json\n  $ squad sequencer --config observer.yaml --checkpoint checkpoint.json',
    )
    .action(async () => {
      const { rpc } = readOptions(command, checkpointOptions).values;
      const file = await checkpointFrom(rpc);
      process.stdout.write(`${JSON.stringify(file, null, 2)}\n`);
      process.stderr.write(`block ${file.height}, ${file.blockHash}: compare it with another node’s\n`);
    });
}

async function checkpointFrom(url: string): Promise<CheckpointFile> {
  const { networkId } = await rpcCall(url, 'squad_status', [], Status);
  const found = await rpcCall(url, 'squad_getCertificate', ['final'], Covering.nullable());
  const block = found && (await rpcCall(url, 'squad_getBlock', [found.height + found.path.length], Encoded));
  // One that ends an epoch is no block to begin at.
  const isUsable = block?.hash === found?.certificate.blockHash && BigInt(block?.nextValidatorSetHash ?? 1) === 0n;
  if (!found || !block || !isUsable || block.height < 1) {
    throw none(
      `${url} has no final block with a certificate, or an epoch has just ended there`,
      'Try again in some seconds, with a node that is ready: `squad status --rpc URL`.',
    );
  }
  const { hash: blockHash, height, encoded, epoch } = block;
  return {
    format: CHECKPOINT_FORMAT,
    networkId,
    height,
    blockHash,
    block: encoded as CheckpointFile['block'],
    certificate: found.certificate.encoded as CheckpointFile['certificate'],
    ...(await wayTo(url, epoch)),
  };
}

/** What leads from the genesis file's validator set to that of the epoch. The node that reads the file verifies it. */
async function wayTo(url: string, epoch: number): Promise<Pick<CheckpointFile, 'handOvers' | 'boundaryBlock'>> {
  if (epoch === 0) return {};
  if (epoch > MAX_CHECKPOINT_EPOCHS) {
    throw none(
      `the network is in epoch ${epoch}, and a checkpoint leads through ${MAX_CHECKPOINT_EPOCHS} at most`,
      'Start the node without a checkpoint: it follows from genesis.',
    );
  }
  const remedy = 'Ask a validator, or a node that followed from genesis.';
  const handOvers: Hex[] = [];
  for (let over = 0; over < epoch; over++) {
    const proof = await rpcCall(url, 'squad_getHandOver', [over], Hex.nullable());
    if (proof === null) throw none(`${url} does not have the proof that epoch ${over} is over`, remedy);
    handOvers.push(proof);
  }
  const last = decodeHandOverProof(fromHex(handOvers.at(-1)!));
  const height = last.ok ? last.value.boundaryHeader.height : undefined;
  const boundary = height === undefined ? null : await rpcCall(url, 'squad_getBlock', [height], Encoded);
  if (boundary === null) throw none(`${url} does not have the last block of epoch ${epoch - 1}`, remedy);
  return { handOvers, boundaryBlock: boundary.encoded };
}

function none(message: string, remedy: string): SquadError {
  return new SquadError('CHECKPOINT_NONE', message, remedy);
}
