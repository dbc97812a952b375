/** One clock for all processes of a run: the machine's monotonic one, in microseconds. */

const originUs = Number(process.hrtime.bigint() / 1000n) - performance.now() * 1000;

export function nowUs(): number {
  return originUs + performance.now() * 1000;
}
