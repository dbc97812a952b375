/** Files with proofs in them, which strangers hand on: checkpoints, receipts, evidence, validator sets. */

import { evidenceIn, receiptIn, validatorSetIn } from '@squad/cli';
import { HonestChain } from '@squad/client/testing';
import { blstBls, sha256 } from '@squad/crypto/node';
import { type CheckpointFile, checkCheckpoint } from '@squad/sequencer/testing';
import {
  Block,
  blockHashHex,
  Certificate,
  decodeEvidence,
  encodeEvidence,
  HandOverProof,
  OrderingReceipt,
  parseGenesis,
  toHex,
  ValidatorSet,
} from '@squad/types';
import { jsonBytes, jsonOf, mutateJson, textOf } from '../json.ts';
import type { Random } from '../random.ts';
import { demand, demandSameBytes, type Target } from '../target.ts';
import { JSON_BUDGET, refused } from './files.ts';
import { findIn } from './wire.ts';

const EPOCH_LENGTH = 16;
const chain = new HonestChain({ bls: blstBls, sha256, epochLengthBlocks: EPOCH_LENGTH });
while (chain.head < 2 * EPOCH_LENGTH + 3) chain.append([]);
const genesis = parseGenesis(chain.genesisFile);
if (!genesis.ok) throw genesis.error;
const GENESIS = genesis.value;

/** A block of the first three epochs, with the proofs that lead there. */
function checkpointAt(height: number): CheckpointFile {
  const block = chain.blocks[height]!;
  const { epoch } = block.header;
  const boundary = chain.blocks[epoch * EPOCH_LENGTH]!;
  return {
    format: 'squad-checkpoint',
    networkId: toHex(chain.networkId),
    height,
    blockHash: blockHashHex(block.header),
    block: toHex(Block.serialize(block)),
    certificate: toHex(Certificate.serialize(chain.certificateAt(height))),
    ...(epoch > 0
      ? {
          handOvers: Array.from({ length: epoch }, (_, over) => toHex(HandOverProof.serialize(chain.handOver(over)!))),
          boundaryBlock: toHex(Block.serialize(boundary)),
        }
      : {}),
  };
}

const CHECKPOINTS: readonly Uint8Array[] = [1, EPOCH_LENGTH - 1, EPOCH_LENGTH + 2, chain.head].map((height) =>
  jsonBytes(checkpointAt(height)),
);

/** Whatever is changed, a file that is taken names a block of the chain: nothing else has been signed. */
function checkCheckpointFile(input: Uint8Array): boolean {
  const checked = checkCheckpoint(textOf(input), GENESIS);
  if (typeof checked === 'string') {
    demand(checked.length > 0 && checked.length < 1_000, `a reason of ${checked.length} characters`);
    return false;
  }
  const { block, validatorSet, handOvers } = checked;
  const { height, epoch } = block.header;
  demandSameBytes(Block.serialize(block), Block.serialize(chain.blocks[height]!), 'the block of a checkpoint');
  demandSameBytes(ValidatorSet.serialize(validatorSet), ValidatorSet.serialize(chain.setOf(epoch)), 'its set');
  demand(handOvers.length === epoch, 'proofs of another number of epochs');
  return true;
}

/** Reads a file whose refusals are `SquadError`s. */
function attempt<T>(read: () => T, inspect: (value: T) => void): boolean {
  let value: T;
  try {
    value = read();
  } catch (error) {
    return refused(error);
  }
  inspect(value);
  return true;
}

/** Bytes, their hex, JSON of one or more, or a whole answer of JSON-RPC. */
function inSomeForm(encoded: Uint8Array, random: Random): Uint8Array {
  const hex = toHex(encoded);
  const forms: readonly (() => Uint8Array)[] = [
    () => encoded,
    () => Buffer.from(`${hex}\n`),
    () => jsonBytes({ encoded: hex }),
    () => jsonBytes([{ encoded: hex }, hex]),
    () => jsonBytes({ jsonrpc: '2.0', id: 1, result: [{ encoded: hex }] }),
  ];
  return random.pick(forms)();
}

const json = { mutate: mutateJson, budget: JSON_BUDGET };

export const PROOF_FILE_TARGETS: readonly Target[] = [
  {
    ...json,
    name: 'checkpoint-file',
    what: 'files: a final block to begin at',
    make: (random) => random.pick(CHECKPOINTS),
    check: checkCheckpointFile,
    // Signatures are checked, a millisecond or two each: the proofs in it have the full count in block-proof, hand-over-proof.
    longRunInputs: 100_000,
    budget: { ...JSON_BUDGET, milliseconds: 2_000 },
  },
  {
    ...json,
    name: 'evidence-file',
    what: 'files: evidence, in one of its forms',
    make: (random) => inSomeForm(findIn('evidence').make(random), random),
    check: (input) =>
      attempt(
        () => evidenceIn('evidence', input),
        (pieces) => {
          for (const piece of pieces)
            demand(decodeEvidence(encodeEvidence(piece)).ok, 'evidence that is not read again');
        },
      ),
  },
  {
    ...json,
    name: 'validator-set-file',
    what: 'files: the validator set that evidence is judged by',
    make: () => Buffer.from(toHex(ValidatorSet.serialize(chain.validatorSet))),
    check: (input) =>
      attempt(
        () => validatorSetIn('set', input),
        (set) => {
          const text = textOf(input);
          const hex = (jsonOf(input)?.value ?? text.trim()) as unknown;
          // As one text, it has one value.
          if (typeof hex === 'string') demand(toHex(ValidatorSet.serialize(set)) === hex.toLowerCase(), 'another set');
        },
      ),
  },
  {
    ...json,
    name: 'receipt-file',
    what: 'files: an ordering receipt, its bytes, its JSON or an answer with it',
    make: (random) => {
      const receipt = findIn(random.chance(0.5) ? 'receipt' : 'receipt-json').make(random);
      const value = jsonOf(receipt);
      return value && random.chance(0.5) ? jsonBytes({ jsonrpc: '2.0', id: 1, result: value.value }) : receipt;
    },
    check: (input) =>
      attempt(
        () => receiptIn('receipt', input),
        (receipt) => {
          if (input[0] === 1) demandSameBytes(input, OrderingReceipt.serialize(receipt), 'a receipt');
        },
      ),
  },
];
