/** `squad checkpoint`: a final block and its finalization, for a node that begins there instead of at genesis. */

import { CHECKPOINT_FORMAT, type CheckpointFile } from '@squad/sequencer/checkpoint';
import { defineOptions, rpcCall } from '@squad/service';
import { SquadError } from '@squad/types';
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
const Status = z.looseObject({ networkId: Hex });
const Covering = z.looseObject({
  height: z.int(),
  certificate: z.looseObject({ blockHash: Hex, encoded: Hex }),
  path: z.array(z.unknown()),
});
const Encoded = z.looseObject({ hash: Hex, height: z.int(), encoded: Hex }).nullable();

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
  if (!found || !block || block.hash !== found.certificate.blockHash || block.height < 1) {
    throw new SquadError(
      'CHECKPOINT_NONE',
      `${url} has no final block with a certificate`,
      'Ask a node that is ready: `squad status --rpc URL`.',
    );
  }
  const { hash: blockHash, height, encoded } = block;
  return {
    format: CHECKPOINT_FORMAT,
    networkId,
    height,
    blockHash,
    block: encoded as CheckpointFile['block'],
    certificate: found.certificate.encoded as CheckpointFile['certificate'],
  };
}
