/**
 * A final block to begin at instead of genesis, for a node that is no validator. Its file names the block; the finalization in
 * it is verified, so that nothing is trusted but the genesis file. What `squad checkpoint` writes.
 */

import { readFile } from 'node:fs/promises';
import { type Checkpoint, UNKNOWN_SEQ } from '@squad/consensus';
import { certificateFault, createVoteScheme } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import type { NodeStore } from '@squad/storage';
import {
  BatchRefs,
  Block,
  blockHashHex,
  Certificate,
  decode,
  decodeCertificate,
  equalBytes,
  fromHex,
  type Genesis,
  quorumWeight,
  SquadError,
  toHex,
  totalWeight,
  VoteKind,
  ZERO_HASH,
} from '@squad/types';
import { z } from 'zod';
import { noteBodies } from './bodies.ts';
import { CHECKPOINT_FORMAT, CheckpointFile } from './checkpoint-file.ts';
import { encodeRecord } from './records.ts';

/** Meta value of a store that began at a checkpoint. */
const META_KEY = 'startedAtCheckpoint';

export interface TrustedBlock {
  readonly block: Block;
  readonly certificate: Certificate;
}

/** Throws `CHECKPOINT_UNREADABLE`, or `CHECKPOINT_INVALID` with what is wrong. */
export async function readCheckpoint(path: string, genesis: Genesis): Promise<TrustedBlock> {
  const remedy =
    'Get one with `squad checkpoint --rpc URL` from a node of this network, and compare its block hash with others’.';
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new SquadError('CHECKPOINT_UNREADABLE', `the checkpoint ${path} cannot be read`, remedy, { path }, cause);
  }
  const checked = check(text, genesis);
  if (typeof checked !== 'string') return checked;
  throw new SquadError('CHECKPOINT_INVALID', `the checkpoint ${path} is of no use: ${checked}`, remedy, { path });
}

/** The block, or why not. */
function check(text: string, { networkId, validatorSet }: Genesis): TrustedBlock | string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  const file = CheckpointFile.safeParse(json);
  if (!file.success) return `it is not of the format ${CHECKPOINT_FORMAT}: ${z.prettifyError(file.error)}`;
  const { data } = file;
  if (data.networkId !== toHex(networkId)) return `it is of network ${data.networkId}, not of ${toHex(networkId)}`;
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
  const fault = certificateFault(certificate.value, {
    networkId,
    validatorSet,
    quorum: quorumWeight(totalWeight(validatorSet)),
    scheme: createVoteScheme(blstBls, validatorSet),
  });
  return fault ? `its certificate is ${fault}` : { block: block.value, certificate: certificate.value };
}

/** An empty store begins at the block; one that holds blocks stays as it is. True: it began. */
export async function beginAt(
  store: NodeStore,
  { block, certificate }: TrustedBlock,
  validators: number,
): Promise<boolean> {
  if (store.head > 0) return false;
  const { height } = block.header;
  const checkpoint: Checkpoint = {
    finalized: block,
    finalization: certificate,
    laneTips: Array.from({ length: validators }, () => ({ nextSeq: UNKNOWN_SEQ, lastDigest: ZERO_HASH })),
    blocks: [],
    certificates: [],
    votes: [],
  };
  await store.setMeta(META_KEY, Uint8Array.of(1));
  await noteBodies(store, { complete: height, from: height + 1 });
  await store.startAt(
    {
      height,
      hash: blockHashHex(block.header),
      block: Block.serialize(block),
      certificate: Certificate.serialize(certificate),
      batchDigests: [],
    },
    encodeRecord({ type: 'checkpoint', checkpoint }),
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
