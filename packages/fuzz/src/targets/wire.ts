/** SSZ from the network: everything validators, edge peers and rollup nodes send each other. */

import { isDeepStrictEqual } from 'node:util';
import type { Type } from '@chainsafe/ssz';
import {
  Acknowledgement,
  BatchesRequest,
  BatchesResponse,
  BatchHeader,
  Block,
  BlockHeader,
  BlockProof,
  BlockRequest,
  BlockResponse,
  bodyTransactions,
  Certificate,
  decode,
  decodeBatch,
  decodeBlockProof,
  decodeCertificate,
  decodeEvidence,
  decodeFeedBlock,
  decodeFeedMessage,
  decodeHandOverProof,
  decodeProposal,
  decodeRangeResponse,
  decodeReceipt,
  decodeValidatorMessage,
  decodeVote,
  EVIDENCE_KINDS,
  type Evidence,
  encodeBatch,
  encodeBody,
  encodeEvidence,
  encodeFeedMessage,
  encodeValidatorMessage,
  FEED_ERROR_CODES,
  FeedBlock,
  type FeedMessage,
  GossipTransactions,
  HASH_PREFIX_BYTES,
  HandOverProof,
  HandOverRequest,
  OrderingReceipt,
  Proposal,
  RangeRequest,
  RangeResponse,
  RECEIPT_VERSION,
  type Result,
  receiptFromJson,
  receiptToJson,
  SignedBatchHeader,
  SkipCertificates,
  SkipOpening,
  type ValidatorMessage,
  ValidatorSet,
  Vote,
  VoteKind,
  ZERO_HASH,
} from '@squad/types';
import { splice } from '../bytes.ts';
import { jsonBytes, jsonOf, mutateJson } from '../json.ts';
import type { Random } from '../random.ts';
import { mutateOffsets, randomValue } from '../ssz.ts';
import { demand, demandSameBytes, type Target } from '../target.ts';

// The library's types are invariant in their value; here values are whatever a type makes and takes.
type AnyType = Type<unknown>;
const any = (type: unknown): AnyType => type as AnyType;

/** Accepted must mean canonical; refused must be a `DecodeError` in plain words. */
function roundTrip<T>(result: Result<T>, input: Uint8Array, what: string, encode: (value: T) => Uint8Array): boolean {
  if (result.ok) {
    demandSameBytes(input, encode(result.value), what);
    return true;
  }
  const { code, reason } = result.error;
  demand(code === 'DECODE' && reason.length > 0 && reason.length < 1000, `${what}: refused without a reason`);
  return false;
}

/** Votes, certificates and feed blocks have fields that hold one of a few numbers. */
function settle(value: unknown, random: Random): unknown {
  if (Array.isArray(value)) for (const item of value) settle(item, random);
  else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    const fields = value as Record<string, unknown>;
    for (const field of Object.values(fields)) settle(field, random);
    if ('kind' in fields) {
      fields.kind = random.integer(1, 3);
      if (fields.kind === VoteKind.nullify) fields.blockHash = ZERO_HASH;
    }
    if ('stage' in fields) fields.stage = random.integer(1, 2);
    if ('bodiesOmitted' in fields) fields.bodiesOmitted = random.below(2);
  }
  return value;
}

function randomOf<T>(type: unknown, random: Random): T {
  return settle(randomValue(any(type), random), random) as T;
}

function sszTarget<T>(name: string, what: string, type: unknown, decoder?: (bytes: Uint8Array) => Result<T>): Target {
  const codec = any(type);
  const read = decoder ?? ((bytes: Uint8Array) => decode(codec, name, bytes) as Result<T>);
  return {
    name,
    what,
    make: (random) => codec.serialize(randomOf(type, random)),
    mutate: (input, random) => mutateOffsets(codec, input, random),
    check: (input) => roundTrip(read(input), input, name, (value) => codec.serialize(value)),
  };
}

function randomBatch(random: Random): Uint8Array {
  const transactions = Array.from({ length: random.integer(1, 5) }, () => random.bytes(random.integer(1, 60)));
  const body = encodeBody(transactions);
  const signed = randomOf<SignedBatchHeader>(SignedBatchHeader, random);
  const header = { ...signed.header, byteLength: body.length, transactionCount: transactions.length };
  return encodeBatch({ signed: { ...signed, header }, body });
}

/** A length in the body is moved, or the header's two counts are. */
function mutateBatch(input: Uint8Array, random: Random): Uint8Array {
  const copy = input.slice();
  const view = new DataView(copy.buffer);
  // The counts stand before the header's last field; the body begins after the signature.
  const counts = BatchHeader.fixedSize! - 16;
  const bodyStart = SignedBatchHeader.fixedSize!;
  const at = random.pick([counts, counts + 4, bodyStart]);
  view.setUint32(at, random.chance(0.7) ? view.getUint32(at, true) + random.integer(-2, 2) : random.number(), true);
  if (random.chance(0.3)) return splice(copy, copy.length, copy.length, random.bytes(random.integer(1, 6)));
  return copy;
}

function checkBatch(input: Uint8Array): boolean {
  const decoded = decodeBatch(input);
  if (decoded.ok) {
    const transactions = bodyTransactions(decoded.value.body);
    demand(transactions.length === decoded.value.signed.header.transactionCount, 'a batch with another count');
    demandSameBytes(decoded.value.body, encodeBody(transactions), 'a batch body');
  }
  return roundTrip(decoded, input, 'Batch', encodeBatch);
}

/** The certificate's kind decides what else may be in a proof. */
function finalProof(proof: BlockProof): BlockProof {
  return { ...proof, certificate: { ...proof.certificate, kind: VoteKind.finalize } };
}

function randomReceipt(random: Random): OrderingReceipt {
  const receipt = randomOf<OrderingReceipt>(OrderingReceipt, random);
  return { ...receipt, version: RECEIPT_VERSION, proof: finalProof(receipt.proof) };
}

function checkReceiptJson(input: Uint8Array): boolean {
  const json = jsonOf(input);
  const receipt = json && receiptFromJson(json.value);
  if (!receipt?.ok) return false;
  demand(isDeepStrictEqual(json?.value, receiptToJson(receipt.value)), 'a receipt that has another JSON form');
  const encoded = OrderingReceipt.serialize(receipt.value);
  return roundTrip(decodeReceipt(encoded), encoded, 'OrderingReceipt', (value) => OrderingReceipt.serialize(value));
}

function randomEvidence(random: Random): Evidence {
  const kind = random.pick(EVIDENCE_KINDS);
  const statement = () => randomOf<Certificate>(Certificate, random);
  if (kind === 'E5') {
    const batch = () => randomOf<SignedBatchHeader>(SignedBatchHeader, random);
    return { kind, first: batch(), second: batch() };
  }
  if (kind !== 'E4') return { kind, first: statement(), second: statement() };
  const opening = randomOf<SkipOpening>(SkipOpening, random);
  return { kind, vote: statement(), header: randomOf<BlockHeader>(BlockHeader, random), opening };
}

/** The kind is exchanged, or a word of the first offsets, which stand behind it, is moved. */
function mutateEvidence(input: Uint8Array, random: Random): Uint8Array {
  if (random.chance(0.3) || input.length < 13) return splice(input, 0, 1, Uint8Array.of(random.below(8)));
  const copy = input.slice();
  const view = new DataView(copy.buffer);
  const at = 1 + 4 * random.below(3);
  view.setUint32(at, (view.getUint32(at, true) + random.integer(-4, 4)) >>> 0, true);
  return copy;
}

function randomMessage(random: Random): Uint8Array {
  const messages: readonly (() => ValidatorMessage)[] = [
    () => ({ type: 'proposal', proposal: randomOf<Proposal>(Proposal, random) }),
    () => ({ type: 'vote', vote: randomOf<Vote>(Vote, random) }),
    () => ({ type: 'certificate', certificate: randomOf<Certificate>(Certificate, random) }),
    () => {
      const batch = decodeBatch(randomBatch(random));
      if (!batch.ok) throw new Error(batch.error.reason);
      if (random.chance(0.5)) return { type: 'batch', batch: batch.value };
      const { transactionCount } = batch.value.signed.header;
      return { type: 'batch', batch: batch.value, hashPrefixes: random.bytes(HASH_PREFIX_BYTES * transactionCount) };
    },
    () => ({
      type: 'acknowledgements',
      epoch: random.below(3),
      acknowledgements: Array.from({ length: random.below(5) }, () =>
        randomOf<Acknowledgement>(Acknowledgement, random),
      ),
    }),
    () => ({ type: 'evidence', evidence: randomEvidence(random) }),
    () => ({ type: 'handOver', proof: randomOf<HandOverProof>(HandOverProof, random) }),
  ];
  return encodeValidatorMessage(random.pick(messages)());
}

/** The frame's kind is exchanged, or the offsets of its content are moved. */
function mutateFramed(types: readonly (AnyType | undefined)[]): (input: Uint8Array, random: Random) => Uint8Array {
  return (input, random) => {
    const type = types[input[0]!];
    if (type !== undefined && random.chance(0.8)) {
      return splice(input, 1, input.length, mutateOffsets(type, input.slice(1), random));
    }
    return splice(input, 0, 1, Uint8Array.of(random.below(9)));
  };
}

function randomFeedMessage(random: Random): Uint8Array {
  const height = random.number();
  const text = random.pick(['', 'no such rollup', 'é\ufeff', '\ufeff', '😀'.repeat(30)]);
  const messages: readonly (() => FeedMessage)[] = [
    () => ({ type: 'subscribe', rollupId: random.number(), fromHeight: height }),
    () => ({ type: 'acknowledge', height }),
    () => ({ type: 'block', block: randomOf<FeedBlock>(FeedBlock, random) }),
    () => ({ type: 'batch', batch: random.bytes(random.below(100)) }),
    () => ({ type: 'head', height }),
    () => ({ type: 'error', code: random.pick(FEED_ERROR_CODES), message: text }),
  ];
  return encodeFeedMessage(random.pick(messages)());
}

export const WIRE_TARGETS: readonly Target[] = [
  sszTarget('vote', 'validator channel: a vote', Vote, decodeVote),
  sszTarget('certificate', 'validator channel: a certificate', Certificate, decodeCertificate),
  sszTarget('proposal', 'validator channel: a proposal', Proposal, decodeProposal),
  {
    name: 'batch',
    what: 'validator channel, answers, feeds: a batch',
    make: randomBatch,
    mutate: mutateBatch,
    check: checkBatch,
  },
  {
    name: 'validator-message',
    what: 'validator channel: a frame of any kind',
    make: randomMessage,
    mutate: mutateFramed([
      undefined,
      any(Proposal),
      any(Vote),
      any(Certificate),
      undefined,
      undefined,
      undefined,
      any(HandOverProof),
    ]),
    check: (input) => roundTrip(decodeValidatorMessage(input), input, 'ValidatorMessage', encodeValidatorMessage),
  },
  sszTarget(
    'hand-over-proof',
    'validator channel, answers, light clients: the end of an epoch',
    HandOverProof,
    decodeHandOverProof,
  ),
  {
    name: 'evidence',
    what: 'validator channel, files: evidence',
    make: (random) => encodeEvidence(randomEvidence(random)),
    mutate: mutateEvidence,
    check: (input) => roundTrip(decodeEvidence(input), input, 'Evidence', encodeEvidence),
  },
  {
    ...sszTarget('block-proof', 'answers, clients: a block with who certified it', BlockProof, decodeBlockProof),
    make: (random) => BlockProof.serialize(finalProof(randomOf<BlockProof>(BlockProof, random))),
  },
  {
    ...sszTarget('receipt', 'files, answers, clients: an ordering receipt', OrderingReceipt, decodeReceipt),
    make: (random) => OrderingReceipt.serialize(randomReceipt(random)),
  },
  {
    name: 'receipt-json',
    what: 'files, answers, clients: the JSON form of an ordering receipt',
    make: (random) => jsonBytes(receiptToJson(randomReceipt(random))),
    mutate: mutateJson,
    check: checkReceiptJson,
  },
  sszTarget('block', 'answers: a block', Block),
  sszTarget('skip-certificates', 'proposals: nullifications', SkipCertificates),
  sszTarget('validator-set', 'genesis, light clients: a validator set', ValidatorSet),
  sszTarget('batches-request', 'requests: batches by digest', BatchesRequest),
  sszTarget('batches-response', 'answers: batches', BatchesResponse),
  sszTarget('block-request', 'requests: a block by hash', BlockRequest),
  sszTarget('block-response', 'answers: no or one block', BlockResponse),
  sszTarget('hand-over-request', 'requests: the proof that an epoch is over', HandOverRequest),
  sszTarget('range-request', 'requests: final blocks from a height', RangeRequest),
  {
    ...sszTarget('range-response', 'answers: final blocks with a certificate', RangeResponse),
    check: (input) =>
      roundTrip(decodeRangeResponse(input), input, 'RangeResponse', (value) => RangeResponse.serialize(value)),
  },
  sszTarget('gossip-transactions', 'gossip: transactions of edge peers', GossipTransactions),
  sszTarget('feed-block', 'feeds: a block for a rollup', FeedBlock, decodeFeedBlock),
  {
    name: 'feed-message',
    what: 'feeds: a frame of any kind',
    make: randomFeedMessage,
    mutate: mutateFramed([undefined, undefined, undefined, any(FeedBlock)]),
    check: (input) => roundTrip(decodeFeedMessage(input), input, 'FeedMessage', encodeFeedMessage),
  },
];

/** The target of this name, for what carries its bytes within something else. */
export function findIn(name: string): Target {
  return WIRE_TARGETS.find((target) => target.name === name)!;
}
