/** A rollup that Nitro executes: from the sequence to what a strict client of the feed has received. */

import { once } from 'node:events';
import { symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createLogger, type Metrics, noMetrics, silentLogger } from '@squad/service';
import { privateKeyToAddress } from 'viem/accounts';
import { afterEach, describe, expect, it } from 'vitest';
import { developmentRollup } from '../src/config/rollup-file.ts';
import { DerivationEvents } from '../src/derivation/events.ts';
import { openRollup, type Rollup } from '../src/derivation/open.ts';
import type { NitroExecutor } from '../src/stacks/nitro/executor.ts';
import { createNitroFeed, type NitroFeed, type NitroFeedConfig } from '../src/stacks/nitro/feed-server.ts';
import { readFeedKey } from '../src/stacks/nitro/key.ts';
import {
  MAX_FEED_CLIENTS,
  MAX_FEED_FRAME_BYTES,
  MAX_FEED_FRAME_MESSAGES,
  MAX_FEED_KEY_FILE_BYTES,
  MAX_L2_MESSAGE_BYTES,
} from '../src/stacks/nitro/limits.ts';
import { encodeL2Message, type NitroMessage } from '../src/stacks/nitro/message.ts';
import { temporaryDirectory } from './support/directory.ts';
import { type FeedMessage, NitroClient, type NitroClientOptions, transactionsOf } from './support/nitro-client.ts';
import { GENESIS_TIME_MS, sequenceOf, soft } from './support/sequence.ts';
import { DEVELOPMENT_KEYS, recipient, sign, signTransfers } from './support/transactions.ts';

const CHAIN = 412_346;
const GENESIS_SECONDS = GENESIS_TIME_MS / 1000;
const FILE = { ...developmentRollup({ rollupId: CHAIN, genesisTimeMs: GENESIS_TIME_MS }), executor: 'nitro' as const };

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function openNitro(directory = temporaryDirectory(), file = FILE) {
  const rollup = await openRollup(file, directory);
  open.push(rollup.derivation);
  return { rollup, executor: rollup.executor as NitroExecutor };
}

async function feedOf(config: Pick<NitroFeedConfig, 'messages'> & Partial<NitroFeedConfig>): Promise<NitroFeed> {
  const feed = await createNitroFeed({
    host: '127.0.0.1',
    port: 0,
    chainId: CHAIN,
    events: new DerivationEvents(),
    logger: silentLogger,
    metrics: noMetrics,
    ...config,
  });
  open.push(feed);
  return feed;
}

function clientOf(feed: NitroFeed, options: Partial<NitroClientOptions> = {}): NitroClient {
  const client = new NitroClient(feed.url, { chainId: CHAIN, ...options });
  open.push(client);
  return client;
}

/** Messages out of nowhere: as many as asked for, each of so many bytes. */
function madeUp(count: number, bytes = 200) {
  const [raw] = signTransfers(CHAIN, 1, 1);
  const padded = bytes <= 200 ? raw! : sign(CHAIN, 0, { to: recipient(0), data: `0x${'00'.repeat(bytes)}` });
  const l2Message = encodeL2Message([padded]);
  return {
    latest: { number: count },
    messageAt: (sequenceNumber: number): NitroMessage | undefined =>
      sequenceNumber >= 1 && sequenceNumber <= count
        ? { sequenceNumber, timestampSeconds: GENESIS_SECONDS, l2Message }
        : undefined,
  };
}

const apply = async ({ derivation }: Rollup, plan: Parameters<typeof sequenceOf>[0]) => {
  const blocks = sequenceOf(plan);
  for (const block of blocks) await derivation.applyFinal(block);
  return blocks;
};
const sequenceNumbers = (messages: readonly FeedMessage[]) => messages.map(({ sequenceNumber }) => sequenceNumber);

describe('the sequence as a feed', () => {
  it('gives one message a block: all transactions in order, the time, the sequence number', async () => {
    const [a, b, c] = signTransfers(CHAIN, 3, 3);
    const { rollup, executor } = await openNitro();
    await apply(rollup, [{ at: 0, batches: [[a!], [b!]] }, { at: 2500, batches: [[c!]] }, { at: 9000 }]);
    const client = clientOf(await feedOf({ messages: executor }), { requested: '1' });
    const messages = await client.received(2);
    expect(messages.map(({ message }) => message)).toMatchObject([
      {
        message: {
          header: {
            kind: 3,
            sender: '0xa4b000000000000000000073657175656e636572',
            blockNumber: 0,
            timestamp: GENESIS_SECONDS + 1,
            requestId: null,
            baseFeeL1: null,
          },
        },
        delayedMessagesRead: 1,
      },
      { message: { header: { timestamp: GENESIS_SECONDS + 3 } } },
    ]);
    expect(sequenceNumbers(messages)).toEqual([1, 2]);
    expect(messages.map(transactionsOf)).toEqual([[a, b], [c]]);
    expect(Buffer.from(messages[1]!.message.message.l2Msg, 'base64')[0]).toBe(4);
    expect(messages[0]!.signatureV2).toBeNull();
  });

  it('leaves to Nitro what Nitro judges, and leaves out what would make it drop the block', async () => {
    const farNonce = sign(CHAIN, 0, { nonce: 99, to: recipient(0) });
    const poor = sign(CHAIN, 1, { to: recipient(0), value: 10n ** 30n });
    const good = sign(CHAIN, 2, { to: recipient(0) });
    const foreign = sign(CHAIN + 1, 2, { to: recipient(0) });
    const greedy = sign(CHAIN, 3, { to: recipient(0), gasLimit: BigInt(FILE.maxTransactionGas) + 1n });
    const blob = Uint8Array.of(3, 0xc0);
    const { rollup, executor } = await openNitro();
    const skipped: string[] = [];
    rollup.events.on('skipped', ({ code }) => skipped.push(code));
    const batch = [farNonce, blob, poor, Uint8Array.of(1, 2, 3), foreign, greedy, good];
    await apply(rollup, [{ at: 0, batches: [batch] }, { at: 9000 }]);
    const [message] = await clientOf(await feedOf({ messages: executor })).received(1);
    expect(transactionsOf(message!)).toEqual([farNonce, poor, good]);
    expect(skipped).toEqual(['UNSUPPORTED', 'MALFORMED', 'MALFORMED', 'GAS_LIMIT']);
  });

  it('serves what is final, never what is only soft, and what becomes final at once', async () => {
    const [a, b, c] = signTransfers(CHAIN, 3, 3);
    const { rollup, executor } = await openNitro();
    const blocks = sequenceOf([{ at: 0, batches: [[a!]] }, { at: 1500, batches: [[b!]] }, { at: 3000 }, { at: 6000 }]);
    const feed = await feedOf({ messages: executor, events: rollup.events });
    const client = clientOf(feed);
    await client.opened();
    for (const block of blocks) await rollup.derivation.applySoft(soft(block));
    expect(rollup.executor.head.number).toBe(2);
    // The final order is another one than the soft.
    const other = sequenceOf([{ at: 0, batches: [[c!]] }, { at: 1500, batches: [[b!]] }, { at: 3000 }]);
    for (const block of other) await rollup.derivation.applyFinal(block);
    expect((await client.received(2)).map(transactionsOf)).toEqual([[c], [b]]);
    expect(client.frames).toEqual([1, 1]);
  });

  it('gives everybody the same, after a restart too, soft first or final only', async () => {
    const transfers = signTransfers(CHAIN, 30, 5);
    const plan = transfers.map((raw, index) => ({ at: 700 * index, batches: [[raw]] }));
    const directory = temporaryDirectory();
    const first = await openNitro(directory);
    await apply(first.rollup, [...plan, { at: 90_000 }]);
    const before = await clientOf(await feedOf({ messages: first.executor })).received(first.executor.latest.number);
    await first.rollup.derivation.close();
    open.splice(open.indexOf(first.rollup.derivation), 1);

    const again = await openNitro(directory);
    expect(await clientOf(await feedOf({ messages: again.executor })).received(before.length)).toEqual(before);

    const other = await openNitro();
    const blocks = sequenceOf([...plan, { at: 90_000 }]);
    for (const block of blocks) await other.rollup.derivation.applySoft(soft(block));
    for (const block of blocks) await other.rollup.derivation.applyFinal(block);
    expect(other.executor.latest.hash).toEqual(again.executor.latest.hash);
    expect(await clientOf(await feedOf({ messages: other.executor })).received(before.length)).toEqual(before);
    expect(before.flatMap(transactionsOf)).toEqual(transfers);
  });

  it('is signed so that Nitro’s verifier finds the signer', async () => {
    const path = join(temporaryDirectory(), 'feed.key');
    writeFileSync(path, `${DEVELOPMENT_KEYS[0]}\n`);
    const key = await readFeedKey(path);
    const signer = privateKeyToAddress(DEVELOPMENT_KEYS[0]!);
    expect(key.address).toBe(signer.toLowerCase());
    const feed = await feedOf({ messages: madeUp(3), sign: key.sign });
    await clientOf(feed, { signer }).received(3);
    const other = privateKeyToAddress(DEVELOPMENT_KEYS[1]!);
    await expect(clientOf(feed, { signer: other }).received(3)).rejects.toThrow('signed by');
    await expect(clientOf(await feedOf({ messages: madeUp(1) }), { signer }).received(1)).rejects.toThrow(
      'no signature',
    );
  });

  it('takes no key from a file that holds none', async () => {
    const path = join(temporaryDirectory(), 'feed.key');
    await expect(readFeedKey(path)).rejects.toMatchObject({ code: 'SECRET_FILE_UNREADABLE' });
    const zero = '0'.repeat(64);
    for (const text of ['', 'abc', zero, `${DEVELOPMENT_KEYS[0]} ${DEVELOPMENT_KEYS[1]}`, 'f'.repeat(64)]) {
      writeFileSync(path, text);
      await expect(readFeedKey(path)).rejects.toMatchObject({ code: 'SECRET_FILE_INVALID' });
    }
    const key = DEVELOPMENT_KEYS[0]!;
    writeFileSync(path, key.padEnd(MAX_FEED_KEY_FILE_BYTES, '\n'));
    expect((await readFeedKey(path)).address).toMatch(/^0x[0-9a-f]{40}$/);
    writeFileSync(path, key.padEnd(MAX_FEED_KEY_FILE_BYTES + 1, '\n'));
    await expect(readFeedKey(path)).rejects.toMatchObject({ code: 'SECRET_FILE_INVALID' });
    const device = join(temporaryDirectory(), 'feed.key');
    symlinkSync('/dev/zero', device);
    await expect(readFeedKey(device)).rejects.toThrow('more bytes than MAX_FEED_KEY_FILE_BYTES');
  });
});

describe('where a block ends', () => {
  it('at the bytes of an L2 message that Nitro reads', async () => {
    // Three with framing fill a message to the last byte: 1 + 3 · (8 + 1) + the transactions.
    const each = Math.floor((MAX_L2_MESSAGE_BYTES - 1 - 27) / 3);
    const sized = (bytes: number, sender: number) => {
      const data = (length: number) =>
        ({ to: recipient(0), gasLimit: 1_000_000n, data: `0x${'11'.repeat(length)}` }) as const;
      const overhead = sign(CHAIN, sender, data(bytes - 200)).length - (bytes - 200);
      return sign(CHAIN, sender, data(bytes - overhead));
    };
    const rest = MAX_L2_MESSAGE_BYTES - 1 - 27 - 2 * each;
    for (const [last, expected] of [
      [rest, [3]],
      [rest + 1, [2, 1]],
    ] as const) {
      const { rollup, executor } = await openNitro();
      const batch = [sized(each, 0), sized(each, 1), sized(last, 2)];
      expect(batch.map(({ length }) => length)).toEqual([each, each, last]);
      await apply(rollup, [{ at: 0, batches: [batch] }, { at: 9000 }]);
      const messages = await clientOf(await feedOf({ messages: executor })).received(expected.length);
      expect(messages.map((message) => transactionsOf(message).length)).toEqual(expected);
      expect(new Set(messages.map(({ message }) => message.message.header.timestamp)).size).toBe(1);
    }
  });

  it('at the gas limit of the rollup file, in gas limits', async () => {
    const transfers = signTransfers(CHAIN, 5, 5);
    const { rollup, executor } = await openNitro(temporaryDirectory(), { ...FILE, gasLimit: 105_000 });
    await apply(rollup, [{ at: 0, batches: [transfers] }, { at: 9000 }]);
    expect(executor.latest).toMatchObject({ number: 1, transactionCount: 5 });
    const tight = await openNitro(temporaryDirectory(), { ...FILE, gasLimit: 104_999 });
    await apply(tight.rollup, [{ at: 0, batches: [transfers] }, { at: 9000 }]);
    expect(tight.executor.latest).toMatchObject({ number: 2, transactionCount: 1 });
  });
});

describe('the handshake', () => {
  const handshake = async (feed: NitroFeed, path: string, headers: string[] = []) => {
    const { hostname, port } = new URL(feed.url);
    const socket = connect(Number(port), hostname);
    const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
    socket.write([`GET ${path} HTTP/1.1`, 'Host: feed', ...upgrade, key, ...headers, '', ''].join('\r\n'));
    const [answer] = await once(socket, 'data');
    socket.destroy();
    return String(answer);
  };

  it('names version and chain as Nitro writes them, and offers no compression', async () => {
    const feed = await feedOf({ messages: madeUp(0) });
    const offer = [
      'Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover',
    ];
    const answer = await handshake(feed, '/', ['Arbitrum-Feed-Client-Version: 2', ...offer]);
    expect(answer).toMatch(/^HTTP\/1.1 101 /);
    expect(answer).toContain('\r\nArbitrum-Feed-Server-Version: 2\r\n');
    expect(answer).toContain(`\r\nArbitrum-Chain-Id: ${CHAIN}\r\n`);
    expect(answer.toLowerCase()).not.toContain('sec-websocket-extensions');
  });

  it('answers a probe, and refuses old and malformed clients', async () => {
    const feed = await feedOf({ messages: madeUp(0) });
    expect(await handshake(feed, '/livenessprobe')).toMatch(/^HTTP\/1.1 200 /);
    expect((await fetch(`${feed.url.replace('ws', 'http')}/livenessprobe`)).status).toBe(200);
    expect((await fetch(feed.url.replace('ws', 'http'))).status).toBe(426);
    for (const header of [
      'Arbitrum-Feed-Client-Version: 1',
      'Arbitrum-Feed-Client-Version: x',
      'Arbitrum-Requested-Sequence-Number: -1',
      'Arbitrum-Requested-Sequence-Number: 1.5',
      `Arbitrum-Requested-Sequence-Number: ${2n ** 64n}`,
    ]) {
      expect(await handshake(feed, '/', [header])).toMatch(/^HTTP\/1.1 400 /);
    }
    expect(await handshake(feed, '/', [`Arbitrum-Requested-Sequence-Number: ${2n ** 64n - 1n}`])).toMatch(/ 101 /);
  });

  it('takes as many clients as it says, and no more until one leaves', async () => {
    const feed = await feedOf({ messages: madeUp(1) });
    const clients = Array.from({ length: MAX_FEED_CLIENTS }, () => clientOf(feed));
    for (const client of clients) await client.received(1);
    expect(await handshake(feed, '/')).toMatch(/^HTTP\/1.1 429 /);
    clients[0]!.close();
    await clients[0]!.closed();
    await expect.poll(() => handshake(feed, '/'), { timeout: 30_000 }).toMatch(/^HTTP\/1.1 101 /);
  });
});

describe('catching up', () => {
  it('begins where the client asks, from the first if it does not, and waits where nothing is yet', async () => {
    const messages = madeUp(5);
    const events = new DerivationEvents();
    const feed = await feedOf({ messages, events });
    expect(sequenceNumbers(await clientOf(feed, { requested: '4' }).received(2))).toEqual([4, 5]);
    expect(sequenceNumbers(await clientOf(feed, { requested: '0x4' }).received(2))).toEqual([4, 5]);
    for (const requested of [undefined, '0', '1']) {
      const client = clientOf(feed, requested === undefined ? {} : { requested });
      expect(sequenceNumbers(await client.received(5))).toEqual([1, 2, 3, 4, 5]);
    }
    const ahead = clientOf(feed, { requested: '7' });
    await ahead.opened();
    const grown = madeUp(7);
    Object.assign(messages, grown);
    for (const number of [6, 7]) events.emit('latest', number);
    expect(sequenceNumbers(await ahead.received(1))).toEqual([7]);
  });

  it('comes in frames that end at a number of messages, and at a number of bytes', async () => {
    const many = clientOf(await feedOf({ messages: madeUp(2 * MAX_FEED_FRAME_MESSAGES + 1) }));
    await many.received(2 * MAX_FEED_FRAME_MESSAGES + 1);
    expect(many.frames).toEqual([MAX_FEED_FRAME_MESSAGES, MAX_FEED_FRAME_MESSAGES, 1]);
    const bytes = 128 * 1024;
    const fit = MAX_FEED_FRAME_BYTES / bytes;
    const large = clientOf(await feedOf({ messages: madeUp(fit + 1, bytes) }));
    await large.received(fit + 1);
    expect(large.frames).toEqual([fit, 1]);
  });

  it('holds one frame for a client that reads nothing, and cuts it off; the others go on', async () => {
    let read = 0;
    let clients = () => 0;
    const metrics: Metrics = {
      ...noMetrics,
      gauge: ({ read: count }) => {
        clients = count!;
        return { set: () => {} };
      },
    };
    const source = madeUp(4000, 100_000);
    const messageAt = (number: number) => {
      read++;
      return source.messageAt(number);
    };
    const messages = { ...source, messageAt };
    const events = new DerivationEvents();
    const feed = await feedOf({ messages, events, metrics, pingMs: 100 });
    const { hostname, port } = new URL(feed.url);
    const deaf = connect(Number(port), hostname);
    deaf.pause();
    deaf.on('error', () => {});
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
    const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', key];
    deaf.write(['GET / HTTP/1.1', 'Host: feed', ...upgrade, '', ''].join('\r\n'));
    const client = clientOf(feed, { requested: '3990' });
    expect(await client.received(11)).toHaveLength(11);
    // What is new is no reason to give a client another frame while it has one.
    for (let again = 0; again < 200; again++) events.emit('latest', 4000);
    await expect.poll(clients, { timeout: 30_000 }).toBe(1);
    // What it did not read stood in the system's buffers, of some megabytes, and in one frame here.
    expect(read).toBeGreaterThan(11);
    expect(read).toBeLessThan(1000);
    expect(client.pings).toBeGreaterThan(0);
    expect(client.socket.readyState).toBe(client.socket.OPEN);
    deaf.destroy();
  });

  it('cuts off a client that does not answer pings, and one that sends what nobody asked for', async () => {
    const feed = await feedOf({ messages: madeUp(1), pingMs: 20 });
    const silent = clientOf(feed, { autoPong: false });
    const alive = clientOf(feed);
    await silent.received(1);
    await silent.closed();
    expect(alive.socket.readyState).toBe(alive.socket.OPEN);
    alive.socket.send('x'.repeat(1025));
    await alive.closed();
  });

  it('cuts off a client whose messages cannot be read, and says why in the log', async () => {
    const lines: string[] = [];
    const logger = createLogger({ name: 'test', level: 'info', write: (line) => void lines.push(line) });
    const messages = { latest: { number: 1 }, messageAt: () => undefined };
    await clientOf(await feedOf({ messages, logger })).closed();
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { err: { message: 'message 1 is not in the store' } },
    ]);
  });
});
