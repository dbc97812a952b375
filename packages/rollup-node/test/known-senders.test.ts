import { expect, it } from 'vitest';
import { KnownSenders, MAX_KNOWN_SENDERS } from '../src/execution/evm/known-senders.ts';

it('remembers so many senders, each until it is asked for', () => {
  const senders = new KnownSenders();
  const hash = (index: number) => {
    const bytes = new Uint8Array(32);
    new DataView(bytes.buffer).setUint32(0, index);
    return bytes;
  };
  const sender = (index: number) => hash(index).slice(0, 20);
  for (let index = 0; index < MAX_KNOWN_SENDERS; index++) senders.add(hash(index), sender(index));
  expect(senders.size).toBe(MAX_KNOWN_SENDERS);
  expect(senders.take(hash(1))).toEqual(sender(1));
  expect(senders.take(hash(1))).toBeUndefined();
  senders.add(hash(1), sender(1));
  senders.add(hash(MAX_KNOWN_SENDERS), sender(MAX_KNOWN_SENDERS));
  expect(senders.size).toBe(MAX_KNOWN_SENDERS);
  expect(senders.take(hash(0))).toBeUndefined();
  expect(senders.take(hash(2))).toEqual(sender(2));
});
