/** Files that people and other machines hand to a node: JSON and YAML. Every refusal is a `SquadError` that names the field. */

import { isDeepStrictEqual } from 'node:util';
import { checkKeystore, createNodeKey, decryptKeystore, encryptKeystore, parseNodeKey } from '@squad/crypto/node';
import { decodeLedgerTransaction, encodeLedgerTransaction, type LedgerTransaction } from '@squad/rollup-node';
import { parseRollupFile, rollupFileHash } from '@squad/rollup-node/config';
import { sequencerOptions } from '@squad/sequencer/options';
import { describeOptions, parseOptionsFile, resolveOptions } from '@squad/service';
import {
  GenesisValidator,
  type Hex,
  parseGenesis,
  parseValidatorSchedule,
  type Result,
  SquadError,
  toHex,
} from '@squad/types';
import { jsonBytes, jsonOf, mutateJson, textOf } from '../json.ts';
import type { Random } from '../random.ts';
import { DEFAULT_BUDGET, demand, demandSameBytes, type Target } from '../target.ts';

/** zod builds an error for each issue it finds: a good deal more than the text that it reads. */
export const JSON_BUDGET = { ...DEFAULT_BUDGET, bytes: 4 << 20, bytesPerInputByte: 1024 };

const hex = (random: Random, length: number): Hex => toHex(random.bytes(length));
const text = (random: Random): string => random.pick(['a', 'validator-1', 'Größe', '名前', 'x'.repeat(64)]);

function randomValidator(random: Random): GenesisValidator {
  return {
    name: text(random),
    blsPublicKey: hex(random, 48),
    proofOfPossession: hex(random, 96),
    nodePublicKey: hex(random, 32),
    weight: random.integer(1, 1_000_000),
    addresses: Array.from({ length: random.below(3) }, () => '/ip4/10.0.0.1/tcp/9000'),
  };
}

function randomGenesis(random: Random): Uint8Array {
  return jsonBytes({
    version: 1,
    name: text(random),
    genesisTimeMs: random.number(),
    epochLengthBlocks: random.integer(16, 10_000_000),
    validators: Array.from({ length: random.integer(1, 5) }, () => randomValidator(random)),
    rollups: Array.from({ length: random.integer(1, 3) }, (_, i) => ({
      rollupId: 900 + i,
      kind: random.pick(['evm', 'opaque']),
    })),
  });
}

function randomSchedule(random: Random): Uint8Array {
  let fromEpoch = 0;
  return jsonBytes({
    version: 1,
    validatorSchedule: Array.from({ length: random.below(4) }, () => {
      fromEpoch += random.integer(1, 5);
      return { fromEpoch, validators: Array.from({ length: random.integer(1, 3) }, () => randomValidator(random)) };
    }),
  });
}

function randomRollupFile(random: Random): Uint8Array {
  const account = () => ({
    balance: random.pick(['0', '10000000000000000000', '0xff']),
    ...(random.chance(0.5) ? { nonce: random.number() } : {}),
    ...(random.chance(0.3)
      ? { code: hex(random, random.below(40)), storage: { [hex(random, 32)]: hex(random, 4) } }
      : {}),
  });
  return jsonBytes({
    version: 1,
    rollupId: random.integer(1, 10_000),
    name: text(random),
    executor: random.pick(['evm', 'ledger', 'custom']),
    genesisTimeMs: random.number(),
    ...(random.chance(0.5) ? { blockTimeMs: random.integer(100, 5000), gasLimit: 30_000_000 } : {}),
    ...(random.chance(0.3) ? { baseFeePerGas: '7', feeRecipient: hex(random, 20), hardfork: 'osaka' } : {}),
    alloc: Object.fromEntries(Array.from({ length: random.below(3) }, () => [hex(random, 20), account()])),
  });
}

/** A refusal in plain words, and no longer than a page. */
export function refused(error: unknown): false {
  if (!(error instanceof SquadError)) throw error;
  demand(error.message.length > 0 && error.message.length < 20_000, `a message of ${error.message.length} characters`);
  demand(error.remedy.length > 0, 'a refusal without a remedy');
  return false;
}

function checkFile<T>(parse: (json: unknown) => Result<T, SquadError>, inspect: (value: T, json: unknown) => void) {
  return (input: Uint8Array): boolean => {
    const json = jsonOf(input);
    if (json === undefined) return false;
    const parsed = parse(json.value);
    if (!parsed.ok) return refused(parsed.error);
    inspect(parsed.value, json.value);
    return true;
  };
}

function demandIdempotent<T>(
  parse: (json: unknown) => Result<T, SquadError>,
  file: unknown,
  hash: (value: T) => Uint8Array,
) {
  const [first, again] = [parse(file), parse(JSON.parse(JSON.stringify(file)))];
  demand(first.ok && again.ok, 'what was accepted is refused when it is written out again');
  demandSameBytes(hash(first.value), hash(again.value), 'a file that was read and written again');
}

/** Keystores of one key, as the password "fuzz" opens them: few rounds, so that most of the time is not spent in the KDF. */
const PASSWORD = 'fuzz';
const SECRET_KEY: Uint8Array = new Uint8Array(32).fill(7);
const light = { strength: 'pbkdf2-light-for-testnets' } as const;
const KEYSTORES: readonly Uint8Array[] = await Promise.all(
  ['', 'm/12381/3600/0/0/0'].map(async (path) =>
    jsonBytes(await encryptKeystore(SECRET_KEY, PASSWORD, { ...light, path })),
  ),
);
/** More rounds than this are not waited for here. */
const MAX_ROUNDS = 10_000;

function checkKeystoreForm(input: Uint8Array): boolean {
  const json = jsonOf(input);
  if (json === undefined) return false;
  try {
    const { kdf } = checkKeystore(json.value).crypto;
    demand(kdf.params.dklen === 32, `a keystore that asks for a key of ${kdf.params.dklen} bytes`);
    return true;
  } catch (error) {
    return refused(error);
  }
}

async function checkKeystoreKey(input: Uint8Array): Promise<boolean> {
  const json = jsonOf(input);
  if (json === undefined) return false;
  try {
    const { kdf } = checkKeystore(json.value).crypto;
    if (kdf.function === 'scrypt' ? kdf.params.n > 1024 : kdf.params.c > MAX_ROUNDS) return false;
    demandSameBytes(await decryptKeystore(json.value, PASSWORD), SECRET_KEY, 'the secret key');
    return true;
  } catch (error) {
    return refused(error);
  }
}

function checkNodeKey(input: Uint8Array): boolean {
  const json = jsonOf(input);
  if (json === undefined) return false;
  try {
    const key = parseNodeKey('node.json', json.value);
    demandSameBytes(createNodeKey(key.secretKey).publicKey, key.publicKey, 'the public key');
    return true;
  } catch (error) {
    return refused(error);
  }
}

function randomOptions(random: Random): Uint8Array {
  const values = {
    genesis: 'genesis.json',
    dataDirectory: 'data',
    nodeKey: 'node.json',
    ...(random.chance(0.5) ? { rpcPort: random.below(65_536), mdns: true, listen: ['/ip4/0.0.0.0/tcp/1'] } : {}),
    ...(random.chance(0.5) ? { logLevel: 'info', name: text(random), batchBytes: 4096 } : {}),
  };
  if (random.chance(0.5)) return jsonBytes(values);
  const line = ([key, value]: [string, unknown]) => `${key}: ${JSON.stringify(value)}\n`;
  return new TextEncoder().encode(`# options\n${Object.entries(values).map(line).join('')}`);
}

/** Odd pieces of YAML are put between lines: tags, anchors, aliases, merges, block texts, directives. */
function mutateOptions(input: Uint8Array, random: Random): Uint8Array {
  if (input[0] === 0x7b && random.chance(0.6)) return mutateJson(input, random);
  const lines = textOf(input).split('\n');
  lines.splice(random.below(lines.length + 1), random.below(2), random.pick(ODD_YAML));
  return new TextEncoder().encode(lines.join('\n'));
}

const ODD_YAML: readonly string[] = [
  'a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: [*b, *b, *b, *b]',
  'self: &self\n  self: *self',
  '<<: *missing',
  '<<: {rpcPort: 1}',
  'rpcPort: !!js/function "x"',
  'rpcPort: !!binary aGFsbG8=',
  '? [complex, key]\n: value',
  '%YAML 1.1\n---',
  '---\nrpcPort: 1\n---\nrpcPort: 2',
  'name: |\n  text\n   more',
  'name: "\\ud800"',
  '__proto__: {rpcPort: 9}',
  'constructor: 1',
  'rpcPort: 0x10',
  'rpcPort: 1e3',
  'rpcPort: .inf',
  'mdns: yes',
  '\trpcPort: 1',
  'listen: [[[[[[[[[[[[[[[[',
  '- rpcPort',
  'genesis: ~',
  'rpcPort: 8640\nrpcPort: 8641',
];

function checkOptions(input: Uint8Array): boolean {
  const file = parseOptionsFile('squad.yaml', textOf(input));
  if (!file.ok) return refused(file.error);
  const resolved = resolveOptions(sequencerOptions, { file: file.value });
  if (!resolved.ok) return refused(resolved.error);
  demand(Number.isInteger(resolved.value.values.rpcPort), 'a port that is no number');
  const described = describeOptions(sequencerOptions, { file: file.value });
  if (!described.ok) throw described.error;
  for (const { value } of described.value.rows) demand(value.length < 200, 'a value that is not shown short');
  return true;
}

/** Flags, and variables of the environment, as text by option name and by variable. */
function randomTexts(random: Random): Uint8Array {
  const flags = {
    genesis: 'genesis.json',
    dataDirectory: 'data',
    nodeKey: 'node.json',
    ...(random.chance(0.5) ? { rpcPort: String(random.below(65_536)), mdns: random.pick(['yes', '0', 'true']) } : {}),
    ...(random.chance(0.5) ? { listen: ['/ip4/0.0.0.0/tcp/1', '/ip4/0.0.0.0/tcp/2,/ip4/0.0.0.0/tcp/3'] } : {}),
  };
  const env = random.chance(0.5) ? { [sequencerOptions.logLevel.env]: 'info' } : {};
  return jsonBytes({ flags, env });
}

function checkTexts(input: Uint8Array): boolean {
  const { flags, env } = Object(jsonOf(input)?.value) as { flags?: unknown; env?: unknown };
  // The command line and the system give texts, or lists of them, and nothing else.
  const isTexts = (value: unknown): value is Record<string, string> =>
    typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string');
  const isFlag = (value: unknown) => typeof value === 'string' || (Array.isArray(value) && value.every(isText));
  if (typeof flags !== 'object' || flags === null || !Object.values(flags).every(isFlag) || !isTexts(env)) return false;
  const resolved = resolveOptions(sequencerOptions, { flags: flags as Record<string, string>, env });
  if (!resolved.ok) return refused(resolved.error);
  demand(Number.isInteger(resolved.value.values.rpcPort), 'a port that is no number');
  return true;
}

const isText = (value: unknown): value is string => typeof value === 'string';

function randomLedgerTransaction(random: Random): Uint8Array {
  const word = (): string => random.pick(['a', 'balance/1', 'ключ', '😀', '"\\', ' ']);
  const transaction: LedgerTransaction = random.chance(0.5)
    ? { op: 'set', key: word(), value: random.pick(['', word()]), nonce: word() }
    : { op: 'transfer', from: word(), to: word(), amount: String(random.number()), nonce: '' };
  return encodeLedgerTransaction(transaction);
}

function checkLedgerTransaction(input: Uint8Array): boolean {
  const decoded = decodeLedgerTransaction(input);
  if (!decoded.ok) {
    demand(decoded.error.length > 0 && decoded.error.length < 10_000, 'refused without a reason');
    return false;
  }
  demandSameBytes(input, encodeLedgerTransaction(decoded.value), 'a ledger transaction');
  return true;
}

const json = { mutate: mutateJson, budget: JSON_BUDGET };

export const FILE_TARGETS: readonly Target[] = [
  {
    ...json,
    name: 'genesis-file',
    what: 'files: the genesis file',
    make: randomGenesis,
    check: checkFile(parseGenesis, ({ file }) => demandIdempotent(parseGenesis, file, ({ networkId }) => networkId)),
  },
  {
    ...json,
    name: 'validator-schedule-file',
    what: 'files: who is to validate later epochs',
    make: randomSchedule,
    check: checkFile(parseValidatorSchedule, (schedule, given) => {
      const again = parseValidatorSchedule(JSON.parse(JSON.stringify({ version: 1, validatorSchedule: schedule })));
      demand(again.ok && isDeepStrictEqual(again.value, schedule), 'a schedule that was read and written again');
      demand(isDeepStrictEqual({ version: 1, validatorSchedule: schedule }, given), 'a schedule that has another form');
    }),
  },
  {
    ...json,
    name: 'validator-file',
    what: "files: a validator's public data",
    make: (random) => jsonBytes(randomValidator(random)),
    check: (input) => {
      const parsed = jsonOf(input);
      return parsed !== undefined && GenesisValidator.safeParse(parsed.value).success;
    },
  },
  {
    ...json,
    name: 'rollup-file',
    what: 'files: the rollup file',
    make: randomRollupFile,
    check: checkFile(parseRollupFile, (file) => demandIdempotent(parseRollupFile, file, rollupFileHash)),
  },
  {
    ...json,
    name: 'keystore-form',
    what: 'files: a keystore, up to the work that it asks for',
    make: (random) => random.pick(KEYSTORES),
    check: checkKeystoreForm,
  },
  {
    ...json,
    name: 'keystore-key',
    what: 'files: a keystore, opened',
    make: (random) => random.pick(KEYSTORES),
    check: checkKeystoreKey,
    // 1,024 rounds of PBKDF2 and a BLS public key, about a millisecond; keystore-form has the full count.
    longRunInputs: 100_000,
    budget: { ...JSON_BUDGET, milliseconds: 2_000 },
  },
  {
    ...json,
    name: 'node-key-file',
    what: 'files: a node key',
    make: (random) => {
      const { publicKey, secretKey } = createNodeKey(random.bytes(32));
      return jsonBytes({ version: 1, type: 'squad-node-key', publicKey: toHex(publicKey), seed: toHex(secretKey) });
    },
    check: checkNodeKey,
  },
  {
    name: 'options-file',
    what: 'files: options, YAML or JSON',
    make: randomOptions,
    mutate: mutateOptions,
    check: checkOptions,
    budget: { bytes: 8 << 20, bytesPerInputByte: 4096, milliseconds: 1_000 },
  },
  {
    ...json,
    name: 'options-text',
    what: 'command line, environment: options as text',
    make: randomTexts,
    check: checkTexts,
    budget: { ...JSON_BUDGET, milliseconds: 1_000 },
  },
  {
    ...json,
    name: 'ledger-transaction',
    what: 'RPC, gossip: a transaction of the ledger rollup',
    make: randomLedgerTransaction,
    check: checkLedgerTransaction,
  },
];
