/** A program that behaves as `squad` does towards its launcher, without a network: for tests of the launcher alone. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Set in the environment: names of processes that end while they start. */
export const FAILING_VARIABLE = 'STAND_IN_FAILS';

const SOURCE = `
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';

const [role, , configPath] = process.argv.slice(2);
const config = readFileSync(configPath, 'utf8');
const value = (key) => new RegExp('^' + key + ': (.*)$', 'm').exec(config)?.[1];
if ((process.env.${FAILING_VARIABLE} ?? '').split(',').includes(value('name'))) {
  console.error('the disk is full');
  process.exit(1);
}
const leaked = Object.keys(process.env).filter((name) => name.startsWith('SQUAD_'));
const server = createServer((request, response) => {
  const result = { ready: true, reasons: [], view: 7, final: { height: 5 }, peerCount: 3, transactions: 11, role, leaked };
  response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result }));
});
server.listen(Number(value('rpcPort')), '127.0.0.1', () => process.send('serving'));
process.on('SIGTERM', () => process.exit(0));
process.on('disconnect', () => process.exit(0));
`;

/** Writes the program and returns the words that run it. */
export function standIn(directory: string): string[] {
  const path = join(directory, 'stand-in.mjs');
  writeFileSync(path, SOURCE);
  return [process.execPath, path];
}
