/** Numbers in keys and values: 8 bytes, big-endian, so that their order is the numbers'. */

const scratch = new Uint8Array(8);
const view = new DataView(scratch.buffer);

export function encodeUint64(value: number): Uint8Array {
  view.setBigUint64(0, BigInt(value));
  // A small array that nobody has asked for its `buffer` stays in the heap, where one of its own costs an allocation outside.
  return scratch.slice();
}

export function decodeUint64(bytes: Uint8Array, offset: number = 0): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(offset));
}
