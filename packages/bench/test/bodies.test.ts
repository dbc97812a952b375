/** Bodies of requests that are changed in place: still JSON, with the transactions and numbers that they should hold. */

import { Common, Mainnet } from '@ethereumjs/common';
import { createTxFromRLP } from '@ethereumjs/tx';
import { keccak256 } from '@squad/crypto/node';
import { expect, it } from 'vitest';
import { DEVELOPMENT_KEYS } from '../src/load/accounts.ts';
import { CometbftBody, cometbftNumber } from '../src/load/cometbft-body.ts';
import { readAnswer } from '../src/load/http-connection.ts';
import { OpaqueBody } from '../src/load/opaque-body.ts';
import { createRandom } from '../src/load/random.ts';
import { addressOf, signTransfer } from '../src/load/transfer.ts';

const { fill } = createRandom(7);

it('numbers opaque transactions', () => {
  const body = new OpaqueBody({ rollupId: 901, transactionBytes: 40, transactionsPerRequest: 3, client: 258, fill });
  for (const first of [0, 14, 0xff_ffff_fffd]) {
    body.number(first);
    const { method, params } = JSON.parse(body.bytes.toString());
    expect([method, params[0], params[2]]).toEqual(['squad_sendTransactions', 901, 'places']);
    const numbers = params[1].map((hex: string) => {
      const bytes = Buffer.from(hex.slice(2), 'hex');
      expect(bytes.length).toBe(40);
      return [bytes.readUInt16BE(0), bytes.readUIntBE(2, 6)];
    });
    expect(numbers).toEqual([0, 1, 2].map((i) => [258, first + i]));
  }
});

it('numbers transactions for the kvstore, which takes exactly one = in each', () => {
  const body = new CometbftBody({ transactionBytes: 256, transactionsPerRequest: 3, client: 12, fill });
  for (const first of [0, 999_999_997]) {
    body.number(first);
    const calls = JSON.parse(body.bytes.toString()) as { id: number; params: { tx: string } }[];
    for (const [index, { id, params }] of calls.entries()) {
      expect(id).toBe(index);
      const text = Buffer.from(params.tx, 'base64').toString('latin1');
      expect(text).toHaveLength(256);
      expect(text).toMatch(/^\d{12}=[\w-]+$/);
      expect(cometbftNumber(params.tx, 12)).toBe(first + index);
      expect(cometbftNumber(params.tx, 13)).toBeUndefined();
    }
  }
});

it('signs transfers that another library reads', () => {
  const common = new Common({ chain: { ...Mainnet, chainId: 901 }, hardfork: 'prague' });
  const key = Buffer.from(DEVELOPMENT_KEYS[3]!.slice(2), 'hex');
  for (const nonce of [0, 1, 127, 128, 70_000]) {
    const to = keccak256(Uint8Array.of(nonce & 0xff)).subarray(12);
    const { raw, hash } = signTransfer(901, key, nonce, to);
    const transaction = createTxFromRLP(raw, { common });
    expect(transaction.nonce).toBe(BigInt(nonce));
    expect(transaction.to?.bytes).toEqual(new Uint8Array(to));
    expect(transaction.getSenderAddress().bytes).toEqual(new Uint8Array(addressOf(key)));
    expect(Buffer.from(transaction.hash()).toString('hex')).toBe(hash.slice(2));
  }
});

it('reads answers of known length and in chunks, whole ones only', () => {
  const known = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello');
  const chunked = Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n');
  for (const whole of [known, chunked]) {
    for (let length = 0; length < whole.length; length++) expect(readAnswer(whole.subarray(0, length))).toBeUndefined();
    const answer = readAnswer(Buffer.concat([whole, Buffer.from('HTTP/1.1')]));
    expect(answer).toMatchObject({ status: 200, end: whole.length });
    expect(answer !== 'malformed' && answer?.body.toString()).toBe('hello');
  }
  expect(readAnswer(Buffer.from('HTTP/1.1 200 OK\r\n\r\n'))).toBe('malformed');
});
