/** Asks for the proof of a block and verifies it. */

import {
  type BlockProof,
  decodeBlockProof,
  fromHex,
  type Height,
  isHex,
  ok,
  type Result,
  type SquadError,
} from '@squad/types';
import { type CertifiedBlock, verifyBlockProof } from '../proof/block-proof.ts';
import { refused } from '../proof/fault.ts';
import { type NetworkAccess, tellLie } from './api.ts';
import { askEach } from './ask-each.ts';
import { laterAccess } from './later-access.ts';

export interface VerifiedBlock extends CertifiedBlock {
  /** To keep, or to hand on. */
  readonly proof: BlockProof;
  /** Who gave it. */
  readonly endpoint: string;
}

/**
 * The first proof of a block that verifies; undefined if no endpoint has one. `'final'`: of the newest final block that an
 * endpoint has. With the block, `refs` answers for any rollup (`verifyNamespace`).
 *
 * @example
 * const block = await getBlockProof(network, 1200);
 * const mine = block?.refs.filter((ref) => ref.rollupId === 901);
 */
export async function getBlockProof(
  access: NetworkAccess,
  height: Height | 'final',
  signal?: AbortSignal,
): Promise<VerifiedBlock | undefined> {
  let unknownSet: SquadError | undefined;
  for await (const { endpoint, answer } of askEach(access, 'squad_getBlockProof', [height], signal)) {
    if (answer === null) continue;
    const verified = await judge(answer, height, access);
    if (verified.ok) return { ...verified.value, endpoint };
    // It may be of an epoch that the endpoints do not lead to: no lie.
    if (verified.error.code === 'WRONG_VALIDATOR_SET') unknownSet = verified.error;
    else tellLie(access, endpoint, verified.error, height === 'final' ? undefined : height);
  }
  if (unknownSet) throw unknownSet;
  return undefined;
}

async function judge(
  answer: unknown,
  height: Height | 'final',
  access: NetworkAccess,
): Promise<Result<Omit<VerifiedBlock, 'endpoint'>, SquadError>> {
  const { encoded } = Object(answer) as { encoded?: unknown };
  const what = 'the block proof';
  if (!isHex(encoded)) return refused(what, { code: 'ENCODING', reason: 'it has no field "encoded" of 0x-hex' });
  const proof = decodeBlockProof(fromHex(encoded));
  if (!proof.ok) return refused(what, { code: 'ENCODING', reason: proof.error.reason });
  let verified = verifyBlockProof(proof.value, access.checkpoint, access);
  if (!verified.ok && verified.error.code === 'WRONG_VALIDATOR_SET') {
    const later = await laterAccess(access, proof.value.validatorSet);
    if (later) verified = verifyBlockProof(proof.value, later.checkpoint, access);
  }
  if (!verified.ok) return verified;
  const { stage, header } = verified.value;
  const isWanted = height === 'final' ? stage === 'final' : header.height === height;
  if (isWanted) return ok({ ...verified.value, proof: proof.value });
  return refused(what, { code: 'GAP', reason: `it is of the ${stage} block ${header.height}, not ${height}` });
}
