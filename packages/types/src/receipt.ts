/**
 * Proofs that carry everything with them: that a quorum stands behind a block, and where in it a transaction was ordered.
 * They are judged by `@squad/client`, which needs to trust the network id and the hash of the validator set alone.
 * docs/receipts.md specifies both forms, bytes and JSON.
 */

import { ByteListType, ContainerType, ListCompositeType, type ValueOf } from '@chainsafe/ssz';
import { BatchHeader } from './batch.ts';
import { Block, BlockHeader } from './block.ts';
import { BODY_CHUNK_BYTES, MAX_BATCH_BODY_BYTES, MAX_BLOCKS_PER_RANGE, MAX_TRANSACTION_BYTES } from './limits.ts';
import { ok, type Result } from './result.ts';
import { Bytes32Type, decode, decodeError, Uint8, Uint16, Uint32 } from './ssz.ts';
import { ValidatorSet } from './validators.ts';
import { Certificate, checkKind, VoteKind } from './vote.ts';

export const RECEIPT_VERSION = 1;
/** The `format` of a receipt's JSON form. */
export const RECEIPT_FORMAT = 'squad-ordering-receipt';

/**
 * A block with all its refs, and what shows that the set stands behind it: a notarization of the block (soft), or a
 * finalization of it or of the last header of `path`, its descendants in order. All refs are opened, so it shows for any
 * rollup which batches the block orders for it, and that there are no others, or none at all.
 */
const BlockProofType = new ContainerType(
  {
    validatorSet: ValidatorSet,
    block: Block,
    path: new ListCompositeType(BlockHeader, MAX_BLOCKS_PER_RANGE),
    certificate: Certificate,
  },
  { typeName: 'BlockProof', jsonCase: 'eth2' },
);

export { BlockProofType as BlockProof };
export type BlockProof = Omit<ValueOf<typeof BlockProofType>, 'certificate'> & { certificate: Certificate };

/** Bytes of the chunks that one transaction touches: one that begins at a chunk's last byte touches one more. */
export const MAX_BODY_RANGE_BYTES: number = MAX_TRANSACTION_BYTES + BODY_CHUNK_BYTES;
/** Hashes beside the paths of a range: two at each of the log2(128) levels of a largest body. */
export const MAX_BODY_RANGE_SIBLINGS: number = 2 * Math.log2(MAX_BATCH_BODY_BYTES / BODY_CHUNK_BYTES);

/** As `bodyRangeProof` of `@squad/crypto` makes it. */
export const BodyRange = new ContainerType(
  {
    chunks: new ByteListType(MAX_BODY_RANGE_BYTES),
    siblings: new ListCompositeType(Bytes32Type, MAX_BODY_RANGE_SIBLINGS),
  },
  { typeName: 'BodyRange', jsonCase: 'eth2' },
);
export type BodyRange = ValueOf<typeof BodyRange>;

/** Transaction `transactionIndex` of the batch that is ref `batchIndex` of the block. */
const OrderingReceiptType = new ContainerType(
  {
    version: Uint8,
    proof: BlockProofType,
    batchIndex: Uint16,
    batchHeader: BatchHeader,
    transactionIndex: Uint32,
    /** Keccak-256: a small body's proof opens all of its transactions. */
    transactionHash: Bytes32Type,
    /** Opens the transaction's offset and the next one's; of the last transaction, its own alone. */
    offsets: BodyRange,
    /** Opens the transaction's bytes. */
    transaction: BodyRange,
  },
  { typeName: 'OrderingReceipt', jsonCase: 'eth2' },
);

export { OrderingReceiptType as OrderingReceipt };
export type OrderingReceipt = Omit<ValueOf<typeof OrderingReceiptType>, 'proof'> & { proof: BlockProof };

/** Bytes of an encoded receipt. */
export const MAX_RECEIPT_BYTES: number = OrderingReceiptType.maxSize;

/** Outside bytes: checks the form only. */
export function decodeBlockProof(bytes: Uint8Array): Result<BlockProof> {
  const proof = decode(BlockProofType, 'BlockProof', bytes);
  if (!proof.ok) return proof;
  const fault = kindFault(proof.value);
  return fault ?? ok(proof.value as BlockProof);
}

/**
 * Outside bytes: checks the form only; `verifyReceipt` does the rest.
 *
 * @example
 * const receipt = decodeReceipt(bytes);
 * if (!receipt.ok) throw new Error(receipt.error.reason);
 */
export function decodeReceipt(bytes: Uint8Array): Result<OrderingReceipt> {
  // The version stands first, so that a receipt of another one is told apart from bytes that are none.
  if (bytes.length > 0 && bytes[0] !== RECEIPT_VERSION) {
    return decodeError('OrderingReceipt', `version ${bytes[0]}, known is ${RECEIPT_VERSION}`);
  }
  const receipt = decode(OrderingReceiptType, 'OrderingReceipt', bytes);
  if (!receipt.ok) return receipt;
  const fault = kindFault(receipt.value.proof);
  return fault ?? ok(receipt.value as OrderingReceipt);
}

/** A notarization shows that its own block is soft; only of finality do ancestors have a part. */
function kindFault({ certificate, path }: ValueOf<typeof BlockProofType>): ReturnType<typeof decodeError> | undefined {
  const checked = checkKind('BlockProof', certificate);
  if (!checked.ok) return checked;
  if (certificate.kind === VoteKind.nullify) return decodeError('BlockProof', 'its certificate is a nullification');
  if (certificate.kind === VoteKind.notarize && path.length > 0) {
    return decodeError('BlockProof', 'a soft block has no path');
  }
  return undefined;
}

/**
 * The JSON form: names in snake case, integers as decimal text, bytes as 0x-hex, as in Ethereum's consensus API.
 *
 * @example
 * const text = JSON.stringify(receiptToJson(receipt));
 */
export function receiptToJson(receipt: OrderingReceipt): unknown {
  return { format: RECEIPT_FORMAT, ...(OrderingReceiptType.toJson(receipt) as Record<string, unknown>) };
}

/**
 * What `JSON.parse` gave. Only the one JSON form of a receipt is accepted: no other field, no other spelling of a value.
 *
 * @example
 * const receipt = receiptFromJson(JSON.parse(receiptText));
 * if (!receipt.ok) throw new Error(receipt.error.reason);
 * const verified = verifyReceipt(receipt.value, checkpoint);
 */
export function receiptFromJson(json: unknown): Result<OrderingReceipt> {
  const { format, ...fields } = Object(json) as Record<string, unknown>;
  if (format !== RECEIPT_FORMAT) return decodeError('OrderingReceipt', `its format is not "${RECEIPT_FORMAT}"`);
  let encoded: Uint8Array;
  try {
    encoded = OrderingReceiptType.serialize(OrderingReceiptType.fromJson(fields));
  } catch (error) {
    return decodeError('OrderingReceipt', error instanceof Error ? error.message : String(error));
  }
  const receipt = decodeReceipt(encoded);
  if (!receipt.ok) return receipt;
  const place = differingPlace(json, receiptToJson(receipt.value), '');
  return place === undefined ? receipt : decodeError('OrderingReceipt', `not the JSON form of a receipt: ${place}`);
}

/**
 * The text of a receipt, or of a whole JSON-RPC answer with one. What a person reads in it is what is judged: a text in which a
 * name stands twice, of which `JSON.parse` sees the last alone, or that says something beside the receipt, is refused.
 *
 * @example
 * const receipt = receiptFromText(receiptText);
 * if (!receipt.ok) throw new Error(receipt.error.reason);
 * const verified = verifyReceipt(receipt.value, checkpoint);
 */
export function receiptFromText(text: string): Result<OrderingReceipt> {
  let json: unknown;
  let again: string;
  try {
    json = JSON.parse(text);
    again = JSON.stringify(json);
  } catch {
    return decodeError('OrderingReceipt', `neither the bytes of a receipt of version ${RECEIPT_VERSION} nor JSON`);
  }
  if (withoutSpace(text) !== withoutSpace(again)) {
    return decodeError('OrderingReceipt', 'a name stands twice in its JSON, or something is written in an unusual way');
  }
  if (!Object.hasOwn(Object(json), 'result')) return receiptFromJson(json);
  const { jsonrpc: _, id: __, result, ...others } = json as Record<string, unknown>;
  const [other] = Object.keys(others);
  if (other !== undefined) return decodeError('OrderingReceipt', `an answer with a receipt has no "${other}"`);
  return receiptFromJson(result);
}

const withoutSpace = (text: string): string => text.replace(/[ \t\r\n]/g, '');

/** The first place at which two JSON values differ. */
function differingPlace(given: unknown, canonical: unknown, place: string): string | undefined {
  if (typeof canonical !== 'object' || canonical === null) return given === canonical ? undefined : place;
  if (typeof given !== 'object' || given === null || Array.isArray(given) !== Array.isArray(canonical)) return place;
  const names = new Set([...Object.keys(given), ...Object.keys(canonical)]);
  for (const name of names) {
    const at = place === '' ? name : `${place}.${name}`;
    if (!Object.hasOwn(given, name) || !Object.hasOwn(canonical, name)) return at;
    const [one, other] = [given, canonical].map((value) => (value as Record<string, unknown>)[name]);
    const found = differingPlace(one, other, at);
    if (found !== undefined) return found;
  }
  return undefined;
}
