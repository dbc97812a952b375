#!/usr/bin/env node
/** The `squad` program. Nothing is loaded before the command is known: the time to start is what people and tests wait for. */

import { enableCompileCache } from 'node:module';

enableCompileCache();
const { run } = await import('./run.ts');
process.exitCode = await run(process.argv.slice(2));
