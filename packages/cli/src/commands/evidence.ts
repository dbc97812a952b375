/** `squad evidence list` and `squad evidence verify FILE`: who signed what no honest validator signs, and whether that is so. */

import { type Conviction, createVoteScheme, verifyEvidence } from '@squad/crypto';
import { blstBls, verifyEd25519 } from '@squad/crypto/node';
import { readGenesis } from '@squad/sequencer/genesis';
import { defineOptions, rpcCall } from '@squad/service';
import { plainTable } from '@squad/testnet';
import {
  type Epoch,
  EVIDENCE_MEANINGS,
  type Evidence,
  epochOfEvidence,
  type Genesis,
  toHex,
  type ValidatorIndex,
  type ValidatorSet,
  validatorsByNodeKey,
} from '@squad/types';
import { type Command, CommanderError } from 'commander';
import { z } from 'zod';
import { readEvidenceFile, readValidatorSetFile } from '../evidence-file.ts';
import { addOptions, readOptions } from '../options.ts';
import { report } from '../report.ts';
import { testnetNodes } from '../testnet/nodes.ts';

/** Exit codes of `verify`. */
const PROVES_NOTHING = 1;
const BAD_INPUT = 2;

const evidenceListOptions = defineOptions({
  rpc: {
    type: z
      .array(z.url({ protocol: /^https?$/ }))
      .max(64)
      .optional(),
    env: 'SQUAD_EVIDENCE_RPC',
    flag: '--rpc',
    help: 'JSON-RPC address of a sequencer; may be repeated. Without it, the testnet in --dir is asked',
  },
  directory: {
    type: z.string().min(1),
    default: '.squad',
    env: 'SQUAD_TESTNET_DIR',
    flag: '--dir',
    help: 'folder of a testnet',
  },
  json: { type: z.boolean(), default: false, env: 'SQUAD_EVIDENCE_JSON', flag: '--json', help: 'print JSON' },
});

const evidenceVerifyOptions = defineOptions({
  genesis: {
    type: z.string().min(1),
    env: 'SQUAD_GENESIS',
    flag: '--genesis',
    help: 'path of the network’s genesis file, which has the validator set of epoch 0',
  },
  validatorSet: {
    type: z.array(z.string().min(1)).max(64).default([]),
    default: [],
    env: 'SQUAD_EVIDENCE_VALIDATOR_SET',
    flag: '--validator-set',
    help: 'file with the validator set of a later epoch that the evidence is of, as squad_getValidatorSet gives it; may be repeated. It is trusted: compare its hash',
  },
  json: { type: z.boolean(), default: false, env: 'SQUAD_EVIDENCE_JSON', flag: '--json', help: 'print JSON' },
});

export function define(command: Command): void {
  const list = addOptions(
    command.command('list').description('print the evidence that sequencers hold'),
    evidenceListOptions,
  );
  list
    .addHelpText(
      'after',
      '\nExamples:\n  $ squad evidence list --rpc http://127.0.0.1:9545\n  $ squad evidence list --json > evidence.json',
    )
    .action(() => print(list));
  const verify = addOptions(
    command
      .command('verify')
      .argument('<file>', 'evidence: JSON as squad_getEvidence gives it, or the bytes of one piece')
      .description('say whom evidence convicts; needs the file and the genesis file alone'),
    evidenceVerifyOptions,
  );
  verify
    .exitOverride((error) => {
      throw new CommanderError(error.exitCode === 0 ? 0 : BAD_INPUT, error.code, error.message);
    })
    .addHelpText(
      'after',
      '\nExit code 0: every piece convicts. 1: one proves nothing, or there is none. 2: the input cannot be read.' +
        '\n\nExample:\n  $ squad evidence verify evidence.json --genesis .squad/genesis.json',
    )
    .action(async (file: string) => {
      try {
        process.exitCode = await judge(verify, file);
      } catch (error) {
        report(error);
        process.exitCode = BAD_INPUT;
      }
    });
  command.addHelpText(
    'after',
    '\nExamples:\n  $ squad evidence list --json > evidence.json\n  $ squad evidence verify evidence.json --genesis genesis.json',
  );
}

const HeldEvidence = z.looseObject({
  kind: z.string(),
  meaning: z.string(),
  epoch: z.number(),
  view: z.number().optional(),
  seq: z.number().optional(),
  validators: z.array(z.object({ index: z.number(), name: z.string().nullable() })),
  encoded: z.string(),
});
type HeldEvidence = z.infer<typeof HeldEvidence>;

async function print(command: Command): Promise<void> {
  const { rpc, directory, json } = readOptions(command, evidenceListOptions).values;
  const asked = rpc === undefined ? await sequencersIn(directory) : rpc;
  // Nodes may hold unlike pieces of one fault; what is the same in every byte is shown once.
  const pieces = new Map<string, HeldEvidence>();
  const answers = await Promise.allSettled(
    asked.map((url) => rpcCall(url, 'squad_getEvidence', [], z.array(HeldEvidence))),
  );
  const failed = answers.filter((answer) => answer.status === 'rejected');
  // What one holds the others are sent: a node that is down need not keep the rest from being seen.
  if (failed.length === answers.length && failed[0] !== undefined) throw failed[0].reason;
  for (const { reason } of failed) process.stderr.write(`warning: ${(reason as Error).message}\n`);
  for (const answer of answers) {
    if (answer.status === 'rejected') continue;
    for (const piece of answer.value) if (!pieces.has(piece.encoded)) pieces.set(piece.encoded, piece);
  }
  const held = [...pieces.values()];
  const answered = answers.length - failed.length;
  if (json) process.stdout.write(`${JSON.stringify(held, null, 2)}\n`);
  else if (held.length === 0) process.stdout.write(`no evidence against anybody, at ${answered} nodes\n`);
  else {
    const rows = held.map(({ kind, meaning, epoch, view, seq, validators }) => [
      kind,
      validators.map(({ index, name }) => nameOf(index, name)).join(', '),
      view === undefined ? `seq ${seq}` : `view ${view}`,
      String(epoch),
      meaning,
    ]);
    const style = { color: process.stdout.isTTY === true };
    process.stdout.write(`${plainTable(style, ['kind', 'validators', 'where', 'epoch', 'what'], rows)}\n`);
  }
}

async function sequencersIn(directory: string): Promise<string[]> {
  const nodes = await testnetNodes(directory);
  return nodes.filter(({ role }) => role === 'sequencer').map(({ rpcUrl }) => rpcUrl);
}

type Verdict = { readonly kind: Evidence['kind'] } & (
  | { readonly convicts: true; readonly conviction: Conviction }
  | { readonly convicts: false; readonly reason: string }
);

/** The exit code. */
async function judge(command: Command, file: string): Promise<number> {
  const options = readOptions(command, evidenceVerifyOptions).values;
  const genesis = await readGenesis(options.genesis);
  const sets = new Map<Epoch, ValidatorSet>([[0, genesis.validatorSet]]);
  for (const path of options.validatorSet) {
    const set = await readValidatorSetFile(path);
    sets.set(set.epoch, set);
  }
  const name = namesIn(genesis, sets);
  const verdicts = (await readEvidenceFile(file)).map((evidence): Verdict => {
    const epoch = epochOfEvidence(evidence);
    const set = sets.get(epoch);
    if (!set) {
      const reason = `it is of epoch ${epoch}, whose validator set is not among those given: name it with --validator-set`;
      return { kind: evidence.kind, convicts: false, reason };
    }
    const scheme = createVoteScheme(blstBls, set);
    const judged = verifyEvidence(evidence, set, genesis.networkId, scheme, verifyEd25519);
    return judged.ok
      ? { kind: evidence.kind, convicts: true, conviction: judged.value }
      : { kind: evidence.kind, convicts: false, reason: judged.error.reason };
  });
  process.stdout.write(
    options.json
      ? `${JSON.stringify(
          verdicts.map((verdict) => verdictJson(verdict, name)),
          null,
          2,
        )}\n`
      : `${verdicts.map((verdict) => verdictLine(verdict, name)).join('\n') || 'there is no evidence in it'}\n`,
  );
  return verdicts.length > 0 && verdicts.every(({ convicts }) => convicts) ? 0 : PROVES_NOTHING;
}

type NameOf = (epoch: Epoch, index: ValidatorIndex) => string | null;

/** Genesis names validators by their keys; who joined later has none there. */
function namesIn({ file }: Genesis, sets: ReadonlyMap<Epoch, ValidatorSet>): NameOf {
  const later = (file.validatorSchedule ?? []).map(({ validators }) => validators);
  const known = validatorsByNodeKey(file.validators, ...later);
  return (epoch, index) => {
    const key = sets.get(epoch)?.validators[index]?.nodePublicKey;
    return (key && known.get(toHex(key))?.name) ?? null;
  };
}

function verdictLine(verdict: Verdict, name: NameOf): string {
  const what = `${verdict.kind}, ${EVIDENCE_MEANINGS[verdict.kind]}`;
  if (!verdict.convicts) return `proves nothing  ${what}: ${verdict.reason}`;
  const { place, epoch, validators } = verdict.conviction;
  const where = 'view' in place ? `view ${place.view}` : `seq ${place.seq}`;
  const convicted = validators.map((index) => nameOf(index, name(epoch, index))).join(', ');
  return `convicts  ${convicted}  of ${what}: ${where} of epoch ${epoch}`;
}

function verdictJson(verdict: Verdict, name: NameOf): unknown {
  if (!verdict.convicts) return verdict;
  const { epoch, place, validators } = verdict.conviction;
  const named = validators.map((index) => ({ index, name: name(epoch, index) }));
  return { kind: verdict.kind, convicts: true, epoch, ...place, validators: named };
}

function nameOf(index: number, name: string | null): string {
  return `validator ${index}${name === null ? '' : ` (${name})`}`;
}
