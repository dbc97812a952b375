/**
 * What this machine takes for the bytes of a batch of 500 transactions, by what is native in Node alone: no code of ours gets
 * below it. What a transaction costs in a run, less these, is what can still be had.
 */

import { createCipheriv, hash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { MicroSuite } from './suite.ts';

const BATCH_BYTES = 128 * 1024;
const TRANSACTIONS_PER_REQUEST = 200;
const TRANSACTION_BYTES = 256;

export async function machine(suite: MicroSuite): Promise<void> {
  const bytes = new Uint8Array(BATCH_BYTES).map((_, i) => (i * 31) & 0xff);
  await suite.time('machine-copy-128k', 1, () => void bytes.slice());
  await suite.time('machine-sha256-128k', 1, () => void hash('sha256', bytes, 'buffer'));
  await suite.time('machine-encrypt-128k', 1, () => {
    const cipher = createCipheriv('aes-128-gcm', bytes.subarray(0, 16), bytes.subarray(0, 12));
    cipher.update(bytes);
    cipher.final();
    cipher.getAuthTag();
  });
  const transactions = Array.from(
    { length: TRANSACTIONS_PER_REQUEST },
    (_, i) => `0x${Buffer.alloc(TRANSACTION_BYTES, i).toString('hex')}`,
  );
  const request = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'any', params: [transactions] }));
  await suite.time('machine-json-transaction', TRANSACTIONS_PER_REQUEST, () => void JSON.parse(request.toString()));
  await suite.time('machine-hex-transaction', TRANSACTIONS_PER_REQUEST, () => {
    for (const transaction of transactions) Buffer.from(transaction.slice(2), 'hex');
  });
  await loopback(suite, bytes);
}

/** One end writes, the other reads, both in this process: the system calls of either side and the kernel's copies. */
async function loopback(suite: MicroSuite, bytes: Uint8Array): Promise<void> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const writer = connect(address.port, '127.0.0.1');
  const [reader] = await accepted;
  let missing = 0;
  let arrived: () => void = () => {};
  reader.on('data', (chunk: Uint8Array) => {
    missing -= chunk.length;
    if (missing === 0) arrived();
  });
  await suite.time('machine-loopback-128k', 1, () => {
    missing = bytes.length;
    return new Promise<void>((resolve) => {
      arrived = resolve;
      writer.write(bytes);
    });
  });
  writer.destroy();
  server.close();
}
