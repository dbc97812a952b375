/** What a campaign says to people. */

import type { CampaignResult } from './campaign.ts';
import type { Mode } from './mode.ts';

export function coverageLines(mode: Mode, counts: ReadonlyMap<string, number>): string[] {
  const lines: string[] = [];
  for (const [rule, kinds] of Object.entries(mode.rules)) {
    const parts = kinds.map((kind) => `${kind} ${counts.get(kind) ?? 0}`);
    const missing = kinds.some((kind) => !counts.has(kind));
    lines.push(`  ${missing ? '✗' : '✓'} ${rule.padEnd(12)} ${parts.join(' · ')}`);
  }
  const known = new Set(Object.values(mode.rules).flat());
  const others = [...counts].filter(([kind]) => !known.has(kind)).sort(([a], [b]) => (a < b ? -1 : 1));
  lines.push(`    ${'others'.padEnd(12)} ${others.map(([kind, count]) => `${kind} ${count}`).join(' · ')}`);
  return lines;
}

/** Kinds of events that belong to the mode's rules and never occurred. */
export function notReached(mode: Mode, counts: ReadonlyMap<string, number>): string[] {
  return Object.values(mode.rules)
    .flat()
    .filter((kind) => !counts.has(kind));
}

export function summaryLine(mode: Mode, result: CampaignResult, firstSeed: number, seconds: number): string {
  const rate = result.done / seconds;
  return (
    `${mode.name}: ${result.done} schedules from seed ${firstSeed}, ${result.failed.length} failed; ` +
    `${seconds.toFixed(1)} s, ${rate.toFixed(rate < 10 ? 1 : 0)} a second; ${result.steps} steps, ${result.heights} final heights`
  );
}

/** What shows this schedule again. */
export function replayCommand(mode: Mode, schedule: string): string {
  return `npm run sim -- --mode ${mode.name} --trace --schedule '${schedule}'`;
}
