#!/usr/bin/env node
/** The `squad` program. Nothing is loaded before the command is known: the time to start is what people and tests wait for. */

import * as nodeModule from 'node:module';

const MINIMUM = [22, 13] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1])) {
  process.stderr.write(
    `error: squad needs Node ${MINIMUM.join('.')} or newer, this is ${process.versions.node}\n` +
      'remedy: in the repository `npm start` and `npm run squad -- COMMAND` bring their own; elsewhere install a newer Node.\n',
  );
  process.exitCode = 1;
} else {
  nodeModule.enableCompileCache();
  // A reader that has seen enough (`squad … | head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  const { run } = await import('./run.ts');
  process.exitCode = await run(process.argv.slice(2));
}
