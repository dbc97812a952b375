/** Random bytes from a seed (mulberry32): the same load each time. Not for keys of worth. */

export function createRandom(seed: number): { uint32(): number; fill(bytes: Uint8Array): void } {
  let state = seed >>> 0;
  const uint32 = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    uint32,
    fill: (bytes) => {
      for (let i = 0; i < bytes.length; i++) bytes[i] = uint32() & 0xff;
    },
  };
}
