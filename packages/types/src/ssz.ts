/**
 * Strict SSZ: the primitives that all codecs are made of, and `decode`, the only way in for outside bytes. An encoding is
 * accepted only if it is the canonical one: no trailing bytes, offsets in order, every list within its bound.
 */

import { setHasher } from '@chainsafe/persistent-merkle-tree';
import { hasher } from '@chainsafe/persistent-merkle-tree/hasher/as-sha256';
import { type BasicType, BooleanType, ByteVectorType, type Type, UintNumberType } from '@chainsafe/ssz';
import type { Epoch, Height, LaneSeq, RollupId, UnixMs, ValidatorIndex, View, Weight } from './ids.ts';
import { type DecodeError, err, ok, type Result } from './result.ts';

// WebAssembly: several times the speed of the default, and as much at home in a browser.
setHasher(hasher);

/** uint64 restricted to what a JavaScript number holds exactly; a larger one does not decode. */
export class SafeUint64Type extends UintNumberType {
  constructor() {
    super(8, { typeName: 'uint64' });
  }
  override value_deserializeFromBytes(
    data: Parameters<UintNumberType['value_deserializeFromBytes']>[0],
    start: number,
    end: number,
  ): number {
    const value = super.value_deserializeFromBytes(data, start, end);
    if (value > Number.MAX_SAFE_INTEGER) throw new Error('uint64 above 2^53-1');
    return value;
  }
}

const uint64: SafeUint64Type = new SafeUint64Type();
export const Uint8 = new UintNumberType(1);
export const Uint16 = new UintNumberType(2);
export const Uint32 = new UintNumberType(4);
export const Uint64: SafeUint64Type = uint64;
export const Bool = new BooleanType();
export const Bytes32Type = new ByteVectorType(32);
export const Bytes48Type = new ByteVectorType(48);
export const Bytes64Type = new ByteVectorType(64);
export const Bytes96Type = new ByteVectorType(96);

export const EpochType: BasicType<Epoch> = uint64;
export const ViewType: BasicType<View> = uint64;
export const HeightType: BasicType<Height> = uint64;
export const LaneSeqType: BasicType<LaneSeq> = uint64;
export const RollupIdType: BasicType<RollupId> = uint64;
export const WeightType: BasicType<Weight> = uint64;
export const UnixMsType: BasicType<UnixMs> = uint64;
export const ValidatorIndexType: BasicType<ValidatorIndex> = Uint16;

/**
 * The same memory as a bare Uint8Array. What comes from a socket is often a Node Buffer, whose `slice` does not copy and
 * whose kind would be passed on to every field.
 */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Decodes outside bytes. `what` names the type in the error. */
export function decode<T>(type: Type<T>, what: string, bytes: Uint8Array): Result<T> {
  if (bytes.length > type.maxSize || bytes.length < type.minSize) {
    return decodeError(what, `${bytes.length} bytes, not within ${type.minSize} to ${type.maxSize}`);
  }
  try {
    return ok(type.deserialize(plainBytes(bytes)));
  } catch (error) {
    // What reads beyond the end, in a union of types of several lengths say, is told by the DataView, in words of its own.
    if (error instanceof RangeError) return decodeError(what, `${bytes.length} bytes, which end too early`);
    return decodeError(what, error instanceof Error ? error.message : String(error));
  }
}

export function decodeError(what: string, reason: string): { readonly ok: false; readonly error: DecodeError } {
  return err({ code: 'DECODE', what, reason });
}
