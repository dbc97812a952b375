/**
 * Sockets give `Buffer`s. Their `slice` makes a view where a `Uint8Array`'s makes a copy, and they are not equal to one in
 * tests: what leaves this package is a plain `Uint8Array`.
 */

/** The same bytes, not copied. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  if (bytes.constructor === Uint8Array) return bytes;
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function copyBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** Memory that is not set to zero: for who writes all of it at once. */
export function uninitializedBytes(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}
