/** `squad receipt get HASH`, `verify FILE` and `page`: proof of where a transaction was ordered, and its check off-line. */

import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import {
  type Checkpoint,
  checkpointOf,
  LightClient,
  lightClientSource,
  type OrderedTransaction,
  SOFT_MAY_REVERT,
  verifyReceipt,
} from '@squad/client';
import { blstBls, keccak256, sha256 } from '@squad/crypto/node';
import { readGenesis } from '@squad/sequencer/genesis';
import { defineOptions, rpcCall } from '@squad/service';
import {
  fromHex,
  isHex,
  type OrderingReceipt,
  receiptFromJson,
  SquadError,
  toHex,
  type ValidatorSet,
  validatorSetHash,
} from '@squad/types';
import { type Command, CommanderError } from 'commander';
import { z } from 'zod';
import { addOptions, readOptions } from '../options.ts';
import { readReceiptFile, receiptText, writeReceiptFile } from '../receipt-file.ts';
import { report } from '../report.ts';

/** Exit codes of `verify`. */
const PROVES_NOTHING = 1;
const BAD_INPUT = 2;

const receiptGetOptions = defineOptions({
  rpc: {
    type: z.url({ protocol: /^https?$/ }),
    default: 'http://127.0.0.1:8640',
    env: 'SQUAD_RPC',
    flag: '--rpc',
    help: 'JSON-RPC address of a sequencer',
  },
  out: {
    type: z.string().min(1).optional(),
    env: 'SQUAD_RECEIPT_OUT',
    flag: '--out',
    help: 'file to write: JSON, or SSZ bytes if its name ends with .ssz. Without it, JSON is printed',
  },
});

const receiptVerifyOptions = defineOptions({
  genesis: {
    type: z.string().min(1),
    env: 'SQUAD_GENESIS',
    flag: '--genesis',
    help: 'path of the network’s genesis file',
  },
  validatorSetHash: {
    type: z
      .string()
      .refine((value) => isHex(value, 32), { error: 'expected 0x and 64 hex digits' })
      .optional(),
    env: 'SQUAD_VALIDATOR_SET_HASH',
    flag: '--validator-set-hash',
    help: 'hash of the set that is trusted, for a receipt of a later epoch than that of the genesis file',
  },
  rpc: {
    type: z
      .array(z.url({ protocol: /^https?$/ }))
      .max(64)
      .optional(),
    env: 'SQUAD_RECEIPT_RPC',
    flag: '--rpc',
    help: 'address of a sequencer to take the proofs from that lead from the genesis file to a later set; may be repeated',
  },
  json: { type: z.boolean(), default: false, env: 'SQUAD_RECEIPT_JSON', flag: '--json', help: 'print JSON' },
});

const receiptPageOptions = defineOptions({
  out: {
    type: z.string().min(1),
    default: 'receipt.html',
    env: 'SQUAD_RECEIPT_PAGE_OUT',
    flag: '--out',
    help: 'file to write',
  },
});

export function define(command: Command): void {
  const get = addOptions(
    command
      .command('get')
      .argument('<hash>', 'of the transaction: Keccak-256 of its bytes, 0x and 64 hex digits')
      .description('ask a sequencer for the ordering receipt of a transaction'),
    receiptGetOptions,
  );
  get
    .addHelpText('after', '\nExample:\n  $ squad receipt get 0x… --rpc http://127.0.0.1:8640 --out receipt.json')
    .action((hash: string) => getReceipt(get, hash));
  const verify = addOptions(
    command
      .command('verify')
      .argument('<file>', 'a receipt, as JSON or as SSZ bytes')
      .description('say what a receipt proves; needs the file and the genesis file alone'),
    receiptVerifyOptions,
  );
  verify
    .exitOverride((error) => {
      throw new CommanderError(error.exitCode === 0 ? 0 : BAD_INPUT, error.code, error.message);
    })
    .addHelpText(
      'after',
      '\nExit code 0: it proves that the transaction was ordered. 1: it proves nothing. 2: the input cannot be read.' +
        '\n\nExample:\n  $ squad receipt verify receipt.json --genesis .squad/genesis.json',
    )
    .action(async (file: string) => {
      try {
        process.exitCode = await judge(verify, file);
      } catch (error) {
        report(error);
        process.exitCode = BAD_INPUT;
      }
    });
  const page = addOptions(
    command.command('page').description('write a page that judges receipts in a browser, off-line, as `verify` does'),
    receiptPageOptions,
  );
  page.action(() => writePage(page));
  command.addHelpText(
    'after',
    '\nExamples:\n  $ squad receipt get 0x… --out receipt.json\n  $ squad receipt verify receipt.json --genesis genesis.json',
  );
}

async function getReceipt(command: Command, hash: string): Promise<void> {
  const { rpc, out } = readOptions(command, receiptGetOptions).values;
  const answer = await rpcCall(rpc, 'squad_getReceipt', [hash], z.unknown());
  if (answer === null) {
    throw new SquadError(
      'RECEIPT_NOT_FOUND',
      `${rpc} has no receipt of ${hash}`,
      'Ask again in a moment: the transaction may not be ordered yet, or not be indexed there. Else ask another sequencer.',
      { hash },
    );
  }
  const receipt = receiptFromJson(answer);
  if (!receipt.ok) {
    const remedy = 'Ask another sequencer, or use the version of squad that the network runs.';
    throw new SquadError('RECEIPT_UNUSABLE', `${rpc} gave what is no receipt: ${receipt.error.reason}`, remedy);
  }
  if (toHex(receipt.value.transactionHash) !== hash.toLowerCase()) {
    const given = toHex(receipt.value.transactionHash);
    throw new SquadError('RECEIPT_UNUSABLE', `${rpc} gave the receipt of ${given}`, 'Ask another sequencer.');
  }
  if (out === undefined) process.stdout.write(receiptText(receipt.value));
  else await writeReceiptFile(out, receipt.value);
}

async function writePage(command: Command): Promise<void> {
  const { out } = readOptions(command, receiptPageOptions).values;
  // scripts/bundle.mjs puts it beside the bundled program.
  const page = fileURLToPath(new URL('./receipt-page.html', import.meta.url));
  if (!existsSync(page)) {
    const remedy =
      'Run the bundled program: `npm run squad -- receipt page`, or `node scripts/bundle.mjs` after a build.';
    throw new SquadError('RECEIPT_PAGE_MISSING', `the page is not beside this program: ${page}`, remedy, {
      path: page,
    });
  }
  await copyFile(page, out);
  process.stdout.write(`${out} is written: open it in a browser\n`);
}

/** The exit code. */
async function judge(command: Command, file: string): Promise<number> {
  const { genesis: path, validatorSetHash, rpc, json } = readOptions(command, receiptVerifyOptions).values;
  const receipt = await readReceiptFile(file);
  const genesis = await readGenesis(path);
  const trusted = checkpointOf(genesis);
  const checkpoint =
    validatorSetHash === undefined
      ? await reached(receipt, trusted, genesis.validatorSet, rpc ?? [])
      : { ...trusted, validatorSetHash: fromHex(validatorSetHash) };
  const verified = verifyReceipt(receipt, checkpoint, { bls: blstBls, sha256, keccak256 });
  if (!verified.ok) {
    const { code, message, remedy } = verified.error;
    process.stdout.write(
      json ? `${JSON.stringify({ proven: false, code, message, remedy }, null, 2)}\n` : `${message}\n${remedy}\n`,
    );
    return PROVES_NOTHING;
  }
  process.stdout.write(json ? `${JSON.stringify(provenJson(verified.value), null, 2)}\n` : provenText(verified.value));
  return 0;
}

/** The checkpoint of the receipt's set if the nodes' proofs lead there, else that of the genesis file. */
async function reached(
  { proof }: OrderingReceipt,
  checkpoint: Checkpoint,
  validatorSet: ValidatorSet,
  rpc: readonly string[],
): Promise<Checkpoint> {
  if (rpc.length === 0 || proof.validatorSet.epoch === validatorSet.epoch) return checkpoint;
  const onRefused = ({ source, error }: { source: string; error: SquadError }) =>
    void process.stderr.write(`warning: ${source}: ${error.message}\n`);
  const light = new LightClient({ checkpoint, validatorSet, bls: blstBls, sha256, keccak256, onRefused });
  await light.advance(rpc.map((url) => lightClientSource(url)));
  return light.knownSet(toHex(validatorSetHash(proof.validatorSet)))?.checkpoint ?? checkpoint;
}

function provenJson(proven: OrderedTransaction): unknown {
  const { stage, rollupId, hash, header, blockHash, batchIndex, batchHeader, transactionIndex, namespaceRefs } = proven;
  return {
    proven: true,
    stage,
    ...(stage === 'soft' ? { mayRevert: SOFT_MAY_REVERT } : {}),
    hash,
    rollupId,
    height: header.height,
    blockHash: toHex(blockHash),
    timestampMs: header.timestampMs,
    batchIndex,
    author: batchHeader.author,
    seq: batchHeader.seq,
    transactionIndex,
    namespaceBatches: namespaceRefs.map(({ author, seq, digest }) => ({ author, seq, digest: toHex(digest) })),
    transaction: toHex(proven.transaction),
  };
}

function provenText(proven: OrderedTransaction): string {
  const { stage, rollupId, hash, header, batchIndex, batchHeader, transactionIndex, namespaceRefs } = proven;
  const { author, seq, transactionCount } = batchHeader;
  const time = new Date(header.timestampMs).toISOString();
  const all = namespaceRefs.length === 1 ? 'the only batch' : `one of all ${namespaceRefs.length} batches`;
  const lines = [
    `${stage}  transaction ${hash} of rollup ${rollupId}`,
    `  block ${header.height} (${toHex(proven.blockHash)}), ${time}`,
    `  batch ${batchIndex} of the block (validator ${author}, seq ${seq}), transaction ${transactionIndex} of ${transactionCount}`,
    `  ${all} of rollup ${rollupId} in that block`,
    ...(stage === 'soft' ? [`  it may still revert: ${SOFT_MAY_REVERT}`] : []),
  ];
  return `${lines.join('\n')}\n`;
}
