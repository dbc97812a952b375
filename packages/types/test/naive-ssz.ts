/** SSZ's hash tree root written out plainly, to check the library and our type definitions against the specification. */

import { createHash } from 'node:crypto';

/** Arrays of pairs are containers: their order is the order of fields. */
export type Schema =
  | { readonly uintBytes: number }
  | { readonly bytes: number }
  | { readonly byteListLimit: number }
  | { readonly bitListLimit: number }
  | { readonly listLimit: number; readonly of: Schema }
  | readonly (readonly [field: string, schema: Schema])[];

type Value =
  | number
  | boolean
  | Uint8Array
  | readonly boolean[]
  | readonly Value[]
  | { readonly [field: string]: Value };

const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());
const littleEndian = (value: number, bytes = 32): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) % 256);

function chunksOf(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / 32) }, (_, i) => {
    const chunk = new Uint8Array(32);
    chunk.set(bytes.subarray(32 * i, 32 * i + 32));
    return chunk;
  });
}

function merkleize(chunks: readonly Uint8Array[], limit: number): Uint8Array {
  let row = [...chunks];
  let zero = new Uint8Array(32);
  for (let width = 1; width < limit; width *= 2) {
    if (row.length % 2 === 1) row.push(zero);
    row = row.filter((_, i) => i % 2 === 0).map((left, i) => sha256(Buffer.concat([left, row[2 * i + 1]!])));
    zero = sha256(Buffer.concat([zero, zero])) as Uint8Array<ArrayBuffer>;
  }
  return row[0] ?? zero;
}

const withLength = (root: Uint8Array, length: number) => sha256(Buffer.concat([root, littleEndian(length)]));

export function naiveRoot(schema: Schema, value: Value): Uint8Array {
  if ('uintBytes' in schema) return littleEndian(Number(value));
  if ('bytes' in schema) return merkleize(chunksOf(value as Uint8Array), Math.ceil(schema.bytes / 32));
  if ('byteListLimit' in schema) {
    const bytes = value as Uint8Array;
    return withLength(merkleize(chunksOf(bytes), Math.ceil(schema.byteListLimit / 32)), bytes.length);
  }
  if ('bitListLimit' in schema) {
    const bits = value as readonly boolean[];
    const packed = new Uint8Array(Math.ceil(bits.length / 8));
    for (const [i, bit] of bits.entries()) if (bit) packed[i >> 3]! |= 1 << (i & 7);
    return withLength(merkleize(chunksOf(packed), Math.ceil(schema.bitListLimit / 256)), bits.length);
  }
  if ('of' in schema) {
    const items = value as readonly Value[];
    return withLength(
      merkleize(
        items.map((item) => naiveRoot(schema.of, item)),
        schema.listLimit,
      ),
      items.length,
    );
  }
  const fields = value as { readonly [field: string]: Value };
  return merkleize(
    schema.map(([field, of]) => naiveRoot(of, fields[field]!)),
    schema.length,
  );
}
