/**
 * How the rollups of a network share what waits in one place. Each may fill as much as it leaves free: one alone half of the
 * bound, k at once 1/(k + 1) each. So a flood of some never takes all, and nothing is set aside for those that send nothing.
 * (Dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998.)
 */

/** Whether a rollup that has `own` of `all` that waits may add `more`; in whatever unit `limit` is. */
export function isWithinShare(limit: number, all: number, own: number, more: number): boolean {
  return own + more <= limit - (all + more);
}
