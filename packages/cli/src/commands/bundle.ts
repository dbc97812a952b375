/** `squad bundle send FILE`: transactions of several rollups that one block orders, or none does. */

import { defineOptions, readBoundedFile, rpcCall } from '@squad/service';
import { MAX_BUNDLE_BATCHES, SquadError } from '@squad/types';
import type { Command } from 'commander';
import { z } from 'zod';
import { addOptions, readOptions } from '../options.ts';

const bundleOptions = defineOptions({
  rpc: {
    type: z.url({ protocol: /^https?$/ }),
    default: 'http://127.0.0.1:8640',
    env: 'SQUAD_RPC',
    flag: '--rpc',
    help: 'JSON-RPC address of a sequencer',
  },
});

/** More than the hex of the largest bundle, twice over. */
export const MAX_BUNDLE_FILE_BYTES: number = 2 * 1024 * 1024;

const BundleFile = z
  .array(z.strictObject({ rollupId: z.int().min(1), transaction: z.string().regex(/^0x([0-9a-fA-F]{2})+$/) }))
  .min(1)
  .max(MAX_BUNDLE_BATCHES);

export function define(command: Command): void {
  const send = addOptions(
    command
      .command('send')
      .argument('<file>', 'JSON: [{"rollupId": 901, "transaction": "0x…"}, …], in the order in which they are to stand')
      .description('give a sequencer a bundle, and print the hashes of its transactions'),
    bundleOptions,
  );
  send
    .addHelpText(
      'after',
      '\nExample:\n  $ squad bundle send bundle.json --rpc http://127.0.0.1:8640\n  $ squad receipt get 0x… # for each hash',
    )
    .action(async (file: string) => {
      const { rpc } = readOptions(send, bundleOptions).values;
      const hashes = await rpcCall(rpc, 'squad_sendBundle', [await readBundle(file)], z.array(z.string()));
      process.stdout.write(`${hashes.join('\n')}\n`);
    });
}

async function readBundle(file: string): Promise<z.infer<typeof BundleFile>> {
  let json: unknown;
  try {
    const bytes = await readBoundedFile(file, MAX_BUNDLE_FILE_BYTES);
    if (!bytes) throw new RangeError(`more bytes than MAX_BUNDLE_FILE_BYTES = ${MAX_BUNDLE_FILE_BYTES}`);
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw invalid(file, cause instanceof Error ? cause.message : String(cause));
  }
  const bundle = BundleFile.safeParse(json);
  if (bundle.success) return bundle.data;
  const issue = bundle.error.issues[0]!;
  throw invalid(file, `${issue.path.join('.') || 'the whole file'}: ${issue.message}`);
}

function invalid(file: string, reason: string): SquadError {
  return new SquadError(
    'BUNDLE_FILE_INVALID',
    `${file} holds no bundle: ${reason}`,
    `Write a JSON list of 1 to ${MAX_BUNDLE_BATCHES} objects with rollupId and transaction (0x-hex).`,
  );
}
