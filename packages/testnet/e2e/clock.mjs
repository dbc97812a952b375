/**
 * Loaded into every process before its program (`NODE_OPTIONS=--import`): moves its clock by as many milliseconds as the file
 * `clock-offset-ms` beside its configuration file says.
 */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const LOOK_EVERY_MS = 50;
const config = process.argv[process.argv.indexOf('--config') + 1];
if (process.argv.includes('--config')) {
  const file = join(dirname(config), 'clock-offset-ms');
  const now = Date.now;
  let offsetMs = 0;
  Date.now = () => now() + offsetMs;
  setInterval(() => {
    try {
      offsetMs = Number(readFileSync(file, 'utf8'));
    } catch {
      offsetMs = 0;
    }
  }, LOOK_EVERY_MS).unref();
}
