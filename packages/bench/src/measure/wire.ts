/** Bytes that passed between nodes, from the kernel's own count of each TCP connection (`ss` of iproute2). */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Bytes that were sent so far over connections of these ports, both directions; undefined where there is no `ss`. */
export async function bytesOverPorts(ports: readonly number[]): Promise<number | undefined> {
  try {
    const { stdout } = await promisify(execFile)('ss', ['-tinHO', 'state', 'established'], { maxBuffer: 1 << 26 });
    return parseSocketBytes(stdout, ports);
  } catch {
    return undefined;
  }
}

/** Of `ss -tinHO`: a line a socket. A connection on one machine has two sockets; each says what it sent. */
export function parseSocketBytes(text: string, ports: readonly number[]): number {
  const wanted = new Set(ports);
  let sum = 0;
  for (const line of text.split('\n')) {
    const [, , local, remote] = line.trim().split(/\s+/);
    const portOf = (address: string | undefined) => Number(address?.slice(address.lastIndexOf(':') + 1));
    if (!wanted.has(portOf(local)) && !wanted.has(portOf(remote))) continue;
    sum += Number(/ bytes_sent:(\d+)/.exec(line)?.[1] ?? 0);
  }
  return sum;
}
