/**
 * Answers requests with what was not asked for or never was (R21): other bodies, blocks that nobody proposed, ranges that do
 * not hang together, certificates of nobody, ends of epochs that no quorum signed; or not at all.
 */

import { type Adversary, forgedSignature, type Random } from '@squad/consensus/sim';
import type { RequestProtocol } from '@squad/network';
import {
  BatchesResponse,
  BlockResponse,
  type Certificate,
  decodeHandOverProof,
  HandOverProof,
  RangeResponse,
  signerBits,
  VoteKind,
} from '@squad/types';

const HONEST_CHANCE = 0.25;
const SILENCE_CHANCE = 0.05;
const NOISE_CHANCE = 0.05;

/** `adversary`: the liar of the epoch, which knows blocks and ends of epochs; undefined while it has no place. */
export async function lie(
  random: Random,
  adversary: Adversary | undefined,
  protocol: RequestProtocol,
  answer: Uint8Array,
): Promise<Uint8Array> {
  if (random.chance(HONEST_CHANCE)) return answer;
  if (random.chance(SILENCE_CHANCE)) return new Promise(() => {});
  if (random.chance(NOISE_CHANCE)) return random.bytes(random.integer(0, 300));
  switch (protocol) {
    case 'batches':
      return BatchesResponse.serialize(otherBatches(random, BatchesResponse.deserialize(answer)));
    case 'block':
      return BlockResponse.serialize(
        BlockResponse.deserialize(answer).flatMap((block) => adversary?.servesBlock?.(block) ?? []),
      );
    case 'range':
      return RangeResponse.serialize(otherRange(random, adversary, RangeResponse.deserialize(answer)));
    case 'handOver': {
      const proof = decodeHandOverProof(answer);
      const other = proof.ok ? adversary?.servesHandOver?.(proof.value) : undefined;
      return other ? HandOverProof.serialize(other) : new Uint8Array();
    }
  }
}

function otherBatches(random: Random, batches: readonly Uint8Array[]): Uint8Array[] {
  switch (random.integer(0, 3)) {
    case 0:
      return random.subset(batches);
    case 1:
      return [...batches, ...batches];
    default: {
      const [one] = batches.length > 0 ? [random.integer(0, batches.length - 1)] : [];
      // The body ends the encoding, what names and signs it begins it.
      return batches.map((batch, i) => (i === one ? withOtherByte(batch, random) : batch));
    }
  }
}

function withOtherByte(bytes: Uint8Array, random: Random): Uint8Array {
  const other = bytes.slice();
  other[random.chance(0.7) ? other.length - 1 : random.integer(0, other.length - 1)]! ^= 1;
  return other;
}

function otherRange(random: Random, adversary: Adversary | undefined, range: RangeResponse): RangeResponse {
  const { blocks, certificates } = range;
  const [certificate] = certificates;
  if (blocks.length === 0 || !certificate) return range;
  const lied = random.chance(0.5)
    ? adversary?.servesRange?.({ blocks, certificate: certificate as Certificate })
    : undefined;
  if (lied) return { blocks: [...lied.blocks], certificates: [lied.certificate] };
  switch (random.integer(0, 5)) {
    case 0:
      return { blocks: blocks.slice(0, -1), certificates };
    case 1:
      return { blocks: blocks.slice(1), certificates };
    case 2:
      return { blocks: blocks.slice(0, random.integer(0, blocks.length - 1)), certificates: [] };
    case 3: {
      const size = certificate.signers.bitLen;
      const signers = signerBits(size, [...Array(size).keys()]);
      return { blocks, certificates: [{ ...certificate, signers, signature: forgedSignature(blocks.length, true) }] };
    }
    case 4:
      return { blocks, certificates: [{ ...certificate, kind: VoteKind.notarize }] };
    default: {
      const one = random.integer(0, blocks.length - 1);
      return {
        blocks: blocks.map((block, i) => (i === one ? (adversary?.servesBlock?.(block) ?? block) : block)),
        certificates,
      };
    }
  }
}
