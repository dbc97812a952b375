/** Reads and writes a file with one ordering receipt: its SSZ bytes, or its JSON form as `squad_getReceipt` gives it. */

import { writeFile } from 'node:fs/promises';
import { readBoundedFile } from '@squad/service';
import {
  decodeReceipt,
  MAX_RECEIPT_BYTES,
  OrderingReceipt,
  RECEIPT_VERSION,
  type Result,
  receiptFromText,
  receiptToJson,
  SquadError,
} from '@squad/types';

/** A receipt's hex, twice over for names and white space. */
export const MAX_RECEIPT_FILE_BYTES: number = 4 * MAX_RECEIPT_BYTES;

/** Throws a SquadError `RECEIPT_FILE_UNREADABLE` or `RECEIPT_FILE_INVALID`. */
export async function readReceiptFile(path: string): Promise<OrderingReceipt> {
  return receiptIn(path, await readBounded(path));
}

/** What the bytes of such a file hold. Throws `RECEIPT_FILE_INVALID`. */
export function receiptIn(path: string, bytes: Uint8Array): OrderingReceipt {
  // The encoding begins with the version, no text does.
  const receipt: Result<OrderingReceipt, { readonly reason: string }> =
    bytes[0] === RECEIPT_VERSION ? decodeReceipt(bytes) : receiptFromText(new TextDecoder().decode(bytes));
  if (!receipt.ok) throw invalid(path, receipt.error.reason);
  return receipt.value;
}

/** As SSZ bytes if the name ends with .ssz, else as JSON. */
export async function writeReceiptFile(path: string, receipt: OrderingReceipt): Promise<void> {
  await writeFile(path, path.endsWith('.ssz') ? OrderingReceipt.serialize(receipt) : receiptText(receipt));
}

export function receiptText(receipt: OrderingReceipt): string {
  return `${JSON.stringify(receiptToJson(receipt), null, 2)}\n`;
}

async function readBounded(path: string): Promise<Uint8Array> {
  try {
    const bytes = await readBoundedFile(path, MAX_RECEIPT_FILE_BYTES);
    if (bytes) return bytes;
    throw invalid(path, `more bytes than MAX_RECEIPT_FILE_BYTES = ${MAX_RECEIPT_FILE_BYTES}`);
  } catch (cause) {
    if (cause instanceof SquadError) throw cause;
    const remedy = 'Name a file that `squad receipt get --out` wrote.';
    throw new SquadError('RECEIPT_FILE_UNREADABLE', `the file ${path} cannot be read`, remedy, { path }, cause);
  }
}

function invalid(path: string, reason: string): SquadError {
  const remedy = 'Get it anew with `squad receipt get`; what was changed cannot be mended.';
  return new SquadError('RECEIPT_FILE_INVALID', `${path} holds no receipt: ${reason}`, remedy, { path });
}
