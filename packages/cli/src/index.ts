/** For tests and tools that run `squad` in their own process. */

export { COMMANDS } from './commands.ts';
export { createProgram, run } from './run.ts';
