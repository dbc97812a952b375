/**
 * A final block to begin at instead of genesis, for a node that is no validator. Its file names the block; the validator set is
 * followed from genesis to the block's epoch by the proofs in the file (R22), and the finalization verified by that set, so that
 * nothing is trusted but the genesis file. What `squad checkpoint` writes.
 */

import { type Checkpoint, type EpochEndedRecord, UNKNOWN_SEQ } from '@squad/consensus';
import { certificateFault, createVoteScheme, verifyHandOver } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import { readBoundedFile } from '@squad/service';
import type { NodeStore } from '@squad/storage';
import {
  BatchRefs,
  Block,
  blockHashHex,
  Certificate,
  decode,
  decodeCertificate,
  decodeHandOverProof,
  equalBytes,
  fromHex,
  type Genesis,
  type HandOverProof,
  lastHeightOf,
  quorumWeight,
  SquadError,
  toHex,
  totalWeight,
  type ValidatorSet,
  VoteKind,
  ZERO_HASH,
} from '@squad/types';
import type { z } from 'zod';
import { noteBodies } from './bodies.ts';
import { CHECKPOINT_FORMAT, CheckpointFile, MAX_CHECKPOINT_FILE_BYTES } from './checkpoint-file.ts';
import { HandOvers } from './hand-overs.ts';
import { encodeRecord } from './records.ts';

/** Meta value of a store that began at a checkpoint. */
const META_KEY = 'startedAtCheckpoint';

export interface TrustedBlock {
  readonly block: Block;
  readonly certificate: Certificate;
  /** Of the block's epoch. */
  readonly validatorSet: ValidatorSet;
  /** The proofs of the ends of all epochs before, in order. */
  readonly handOvers: readonly HandOverProof[];
  /** The end of the epoch before; undefined in the first one. */
  readonly startedBy: EpochEndedRecord | undefined;
}

/** Throws `CHECKPOINT_UNREADABLE`, or `CHECKPOINT_INVALID` with what is wrong. */
export async function readCheckpoint(path: string, genesis: Genesis): Promise<TrustedBlock> {
  const remedy =
    'Get one with `squad checkpoint --rpc URL` from a node of this network, and compare its block hash with others’.';
  let text: string;
  try {
    const bytes = await readBoundedFile(path, MAX_CHECKPOINT_FILE_BYTES);
    if (!bytes) {
      throw new RangeError(`it is larger than MAX_CHECKPOINT_FILE_BYTES = ${MAX_CHECKPOINT_FILE_BYTES} bytes`);
    }
    text = new TextDecoder().decode(bytes);
  } catch (cause) {
    throw new SquadError('CHECKPOINT_UNREADABLE', `the checkpoint ${path} cannot be read`, remedy, { path }, cause);
  }
  const checked = checkCheckpoint(text, genesis);
  if (typeof checked !== 'string') return checked;
  throw new SquadError('CHECKPOINT_INVALID', `the checkpoint ${path} is of no use: ${checked}`, remedy, { path });
}

/** What the text of a file says, or why it is of no use. */
export function checkCheckpoint(text: string, genesis: Genesis): TrustedBlock | string {
  const { networkId } = genesis;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  const file = CheckpointFile.safeParse(json);
  if (!file.success) {
    const { path, message } = file.error.issues[0]!;
    return `it is not of the format ${CHECKPOINT_FORMAT}: ${[...path.map(String), message].join(': ')}`;
  }
  const { data } = file;
  if (data.networkId !== toHex(networkId))
    return `it is of network ${data.networkId.slice(0, 66)}, not of ${toHex(networkId)}`;
  const block = decode(Block, 'Block', fromHex(data.block));
  if (!block.ok) return `its block does not decode: ${block.error.reason}`;
  const certificate = decodeCertificate(fromHex(data.certificate));
  if (!certificate.ok) return `its certificate does not decode: ${certificate.error.reason}`;
  const { header, refs } = block.value;
  const hash = blockHashHex(header);
  if (hash !== data.blockHash || header.height !== data.height) {
    return `its block is ${hash} of height ${header.height}, and not the one that it names`;
  }
  if (!equalBytes(header.networkId, networkId)) return 'its block is of another network';
  if (!equalBytes(BatchRefs.hashTreeRoot(refs), header.refsRoot)) return 'its block’s refs are not its own';
  const { kind, blockHash } = certificate.value;
  if (kind !== VoteKind.finalize || toHex(blockHash) !== hash) return 'its certificate does not finalize its block';
  const followed = follow(data, header.epoch, genesis);
  if (typeof followed === 'string') return followed;
  const { validatorSet, scheme } = followed;
  // An epoch's last block is final with the proof of the end only, and epilogue blocks are none of the chain (R22).
  if (header.height >= lastHeightOf(header.epoch, genesis.file.epochLengthBlocks)) {
    return 'its block ends an epoch: take the next one';
  }
  const quorum = quorumWeight(totalWeight(validatorSet));
  const fault = certificateFault(certificate.value, { networkId, validatorSet, quorum, scheme });
  if (fault) return `its certificate is ${fault}`;
  return { ...followed, block: block.value, certificate: certificate.value };
}

type Followed = Pick<TrustedBlock, 'validatorSet' | 'handOvers' | 'startedBy'> & {
  readonly scheme: ReturnType<typeof createVoteScheme>;
};

/** From the genesis set to that of the epoch, each step by the proof that the epoch before is over. */
function follow(
  { handOvers: encoded, boundaryBlock }: z.output<typeof CheckpointFile>,
  epoch: number,
  { networkId, validatorSet: first, file }: Genesis,
): Followed | string {
  if (encoded.length !== epoch) return `its block is of epoch ${epoch}, and ${encoded.length} proofs lead there`;
  const handOvers: HandOverProof[] = [];
  let validatorSet = first;
  let scheme = createVoteScheme(blstBls, first);
  for (const [over, bytes] of encoded.entries()) {
    const proof = decodeHandOverProof(fromHex(bytes));
    if (!proof.ok) return `its proof of the end of epoch ${over} does not decode: ${proof.error.reason}`;
    const lastHeight = lastHeightOf(over, file.epochLengthBlocks);
    const next = verifyHandOver(proof.value, { networkId, validatorSet, lastHeight, scheme });
    if (!next.ok) return `its proof of the end of epoch ${over} proves nothing: ${next.error.reason}`;
    handOvers.push(proof.value);
    validatorSet = next.value;
    scheme = createVoteScheme(blstBls, validatorSet);
  }
  const proof = handOvers.at(-1);
  if (!proof) return { validatorSet, scheme, handOvers, startedBy: undefined };
  const block = boundaryBlock === undefined ? undefined : decode(Block, 'Block', fromHex(boundaryBlock));
  if (!block?.ok) return `the last block of epoch ${epoch - 1} is not in it, or does not decode`;
  const { header, refs } = block.value;
  const isThatBlock =
    blockHashHex(header) === blockHashHex(proof.boundaryHeader) &&
    equalBytes(BatchRefs.hashTreeRoot(refs), header.refsRoot);
  if (!isThatBlock) return `the block in it is not the last one of epoch ${epoch - 1}`;
  return { validatorSet, scheme, handOvers, startedBy: { type: 'epochEnded', block: block.value, proof } };
}

/** An empty store begins at the block; one that holds blocks stays as it is. True: it began. */
export async function beginAt(
  store: NodeStore,
  { block, certificate, validatorSet, handOvers, startedBy }: TrustedBlock,
): Promise<boolean> {
  if (store.head > 0) return false;
  const { height } = block.header;
  const checkpoint: Checkpoint = {
    finalized: block,
    finalization: certificate,
    laneTips: validatorSet.validators.map(() => ({ nextSeq: UNKNOWN_SEQ, lastDigest: ZERO_HASH })),
    blocks: [],
    certificates: [],
    votes: [],
  };
  await store.setMeta(META_KEY, Uint8Array.of(1));
  const kept = new HandOvers(store);
  for (const proof of handOvers) await kept.keep(proof);
  await noteBodies(store, { complete: height, from: height + 1 });
  await store.startAt(
    {
      height,
      hash: blockHashHex(block.header),
      block: Block.serialize(block),
      certificate: Certificate.serialize(certificate),
      batchDigests: [],
    },
    [...(startedBy ? [startedBy] : []), { type: 'checkpoint' as const, checkpoint }].map(encodeRecord),
  );
  return true;
}

/** A validator must know all lanes from their beginning. Throws `CHECKPOINT_OF_VALIDATOR`. */
export async function refuseToValidate(store: NodeStore): Promise<void> {
  if (store.head === 0 || (await store.getMeta(META_KEY)) === undefined) return;
  throw new SquadError(
    'CHECKPOINT_OF_VALIDATOR',
    'the data folder began at a checkpoint, and a validator has to hold the whole chain',
    'Start the validator with an empty data folder and without --checkpoint; it catches up from its peers.',
  );
}
