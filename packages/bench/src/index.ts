/** Measures a network of real processes under load, and compares it with others. */

export { bench } from './bench.ts';
export { type BenchOptions, benchOptions } from './options.ts';
export { BenchReport, REPORT_FORMAT, REPORT_VERSION } from './report/schema.ts';
