// What @chainsafe/ssz wants of Node's Buffer, for the npm package of the client, which runs where there is none: a view of
// memory into which a length is written.
export class Buffer extends Uint8Array {
  static from(memory, offset, length) {
    return new Buffer(memory, offset, length);
  }

  static alloc(length) {
    return new Buffer(length);
  }

  writeUIntLE(value, offset, byteLength) {
    for (let i = 0, rest = value; i < byteLength; i++, rest = Math.floor(rest / 256)) this[offset + i] = rest % 256;
  }
}
