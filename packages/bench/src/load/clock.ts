/** One clock for all processes of a run: the machine's monotonic one, in microseconds. */

const originUs = Number(process.hrtime.bigint() / 1000n) - performance.now() * 1000;
const wallClockOffsetUs = Date.now() * 1000 - nowUs();

export function nowUs(): number {
  return originUs + performance.now() * 1000;
}

/** A time of the wall clock, in milliseconds since 1970, on the clock of `nowUs`: to a millisecond. */
export function usOfWallClock(milliseconds: number): number {
  return milliseconds * 1000 - wallClockOffsetUs;
}
