/** What Nitro itself publishes, and what its feed has sent: the tests' own client reads it, and the encoder gives the same bytes. */

import { parseTransaction, toHex } from 'viem';
import { describe, expect, it } from 'vitest';
import { encodeL2Message } from '../src/stacks/nitro/message.ts';
import { type FeedMessage, parseBroadcast, signatureHash, transactionsOf } from './support/nitro-client.ts';
import { ARBITRUM_ONE_243170738 } from './support/nitro-vectors.ts';

describe('Nitro’s own vectors', () => {
  const header = { kind: 0, sender: `0x${'00'.repeat(20)}`, blockNumber: 0, timestamp: 0 } as const;
  const message = {
    message: { header: { ...header, requestId: `0x${'00'.repeat(32)}`, baseFeeL1: 0 }, l2Msg: '3q2+7w==' },
    delayedMessagesRead: 3333,
  } as const;

  it('broadcaster/message/message_serialization_test.go: the client reads every form', () => {
    const text =
      '{"version":1,"messages":[{"sequenceNumber":12345,"message":{"message":{"header":{"kind":0,"sender":"0x0000000000000000000000000000000000000000","blockNumber":0,"timestamp":0,"requestId":"0x0000000000000000000000000000000000000000000000000000000000000000","baseFeeL1":0},"l2Msg":"3q2+7w=="},"delayedMessagesRead":3333},"blockHash":"0xff00000000000000000000000000000000000000000000000000000000000000","signatureV2":null,"blockMetadata":"AAI="}]}';
    const blockHash = `0xff${'00'.repeat(31)}`;
    expect(parseBroadcast(text)).toEqual({
      version: 1,
      messages: [{ sequenceNumber: 12345, message, blockHash, signatureV2: null, blockMetadata: 'AAI=' }],
    });
    expect(parseBroadcast('{"version":1}')).toEqual({ version: 1 });
    expect(parseBroadcast('{"version":1,"confirmedSequenceNumberMessage":{"sequenceNumber":1234}}')).toEqual({
      version: 1,
      confirmedSequenceNumberMessage: { sequenceNumber: 1234 },
    });
  });

  it('broadcaster/message/message_signature_test.go: what is signed', () => {
    const signed: FeedMessage = { sequenceNumber: 12345, message, signatureV2: null, blockMetadata: '3q2+rw==' };
    expect(signatureHash(signed, 0xa4b1)).toBe('0x3d79853de5f9e4354e5d6c6d4cad19dcd969f9646f0cab21e5bdfee4902dfa2e');
  });
});

describe('a message of Arbitrum One', () => {
  const [message] = parseBroadcast(ARBITRUM_ONE_243170738).messages!;

  it('holds the transactions of its block', () => {
    const transactions = transactionsOf(message!);
    expect(transactions.map((raw) => parseTransaction(toHex(raw)))).toMatchObject([
      { chainId: 42161, nonce: 0x0c35be, to: '0x7ae9ab13fc8945323b778b3f8678145e80ec2efb', gas: 104_865n },
      { chainId: 42161, nonce: 54, to: '0x7d6ed186354c734748259f5902ddf6a2b2929317', gas: 514_691n },
    ]);
  });

  it('is encoded by this package to the same bytes', () => {
    expect(Buffer.from(encodeL2Message(transactionsOf(message!))).toString('base64')).toBe(
      message!.message.message.l2Msg,
    );
  });
});
