/** For tests and tools that run `squad` in their own process, or what reads its files. */

export { COMMANDS } from './commands.ts';
export { evidenceIn, validatorSetIn } from './evidence-file.ts';
export { receiptIn } from './receipt-file.ts';
export { createProgram, run } from './run.ts';
