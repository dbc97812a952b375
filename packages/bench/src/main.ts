/** `npm run bench`. */

import { runBench } from './bench.ts';
import { failed } from './failed.ts';

runBench(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
}, failed);
