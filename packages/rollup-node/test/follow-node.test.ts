/** A whole rollup node, with its files, servers and store, against sequencers on an in-memory network. */

import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChainSource, HonestChain } from '@squad/client/testing';
import { blstBls, sha256 } from '@squad/crypto/node';
import { type FeedStream, MemoryHub, type Network } from '@squad/network';
import { rpcCall, silentLogger } from '@squad/service';
import {
  decode,
  decodeFeedMessage,
  encodeFeedMessage,
  fromHex,
  GossipTransactions,
  type Height,
  MAX_GENESIS_FILE_BYTES,
  MAX_VALIDATOR_SCHEDULE_FILE_BYTES,
  toHex,
} from '@squad/types';
import { privateKeyToAddress } from 'viem/accounts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { MAX_ROLLUP_FILE_BYTES } from '../src/config/index.ts';
import { encodeLedgerTransaction } from '../src/execution/ledger/transaction.ts';
import { createRollupNode, type RollupNode, type RollupNodeOptions } from '../src/index.ts';
import type { FakeL1 } from '../src/testing/index.ts';
import { NitroClient, transactionsOf } from './support/nitro-client.ts';
import { followingFile, L1_START, startL1 } from './support/op-l1.ts';
import { DEVELOPMENT_KEYS, signTransfers } from './support/transactions.ts';

const ROLLUP = 901;
/** One whose execution is Nitro's. */
const ORBIT = 903;

let directory: string;
let chain: HonestChain;
let source: ChainSource;
let hub: MemoryHub;
let networks: Network[];
let gossip: Uint8Array[];
const feeds = new Set<() => void>();
const nodes: RollupNode[] = [];

/** Posts every final block from where it is asked, and what is new when told. */
const serve = async (stream: FeedStream): Promise<void> => {
  let next: Height = Number.MAX_SAFE_INTEGER;
  let rollupId = ROLLUP;
  const send = (message: Parameters<typeof encodeFeedMessage>[0]) =>
    void stream.send(encodeFeedMessage(message)).catch(() => {});
  const pump = () => {
    send({ type: 'head', height: source.head });
    for (; next <= source.head; next++) {
      send({ type: 'block', block: chain.feedBlock(next, rollupId) });
    }
  };
  feeds.add(pump);
  for await (const frame of stream.frames()) {
    const message = decodeFeedMessage(frame);
    if (!message.ok) throw new Error(message.error.reason);
    if (message.value.type === 'subscribe') {
      ({ fromHeight: next, rollupId } = message.value);
      pump();
    }
  }
  feeds.delete(pump);
};

const set = (key: string, value: string, nonce = '0') => encodeLedgerTransaction({ op: 'set', key, value, nonce });
const order = (transactions: Uint8Array[], rollupId = ROLLUP) => {
  chain.append(transactions.length === 0 ? [] : [{ rollupId, transactions }]);
  source.head = chain.head;
  for (const pump of feeds) pump();
};
/** Time moves on until the slot of what was ordered is over. */
const closeSlot = () => {
  for (let i = 0; i < 9; i++) order([]);
};

const ledgerRollup = () => ({
  version: 1,
  rollupId: ROLLUP,
  name: 'ledger',
  executor: 'ledger',
  genesisTimeMs: chain.genesisTimeMs,
  blockTimeMs: 1000,
});
const optionsOf = (overrides: Partial<RollupNodeOptions> = {}): RollupNodeOptions => ({
  name: 'test',
  genesis: join(directory, 'genesis.json'),
  rollup: join(directory, 'rollup.json'),
  executor: undefined,
  blockTimeMs: undefined,
  dataDirectory: join(directory, 'data'),
  nodeKey: undefined,
  listen: [],
  bootstrap: [],
  mdns: false,
  validatorSchedule: undefined,
  maxFeeds: 16,
  submit: undefined,
  sequencerRpc: [],
  l1Rpc: [],
  engine: undefined,
  jwtSecret: undefined,
  engineMode: 'payload',
  rpcHost: '127.0.0.1',
  rpcPort: 0,
  rpcRatePerSecond: 0,
  nitroFeedHost: '127.0.0.1',
  nitroFeedPort: undefined,
  nitroFeedKey: undefined,
  opRollupConfig: undefined,
  metricsHost: '127.0.0.1',
  metricsPort: 0,
  statusSeconds: 0,
  logLevel: 'silent',
  ...overrides,
});
const start = async (overrides: Partial<RollupNodeOptions> = {}) => {
  const node = await createRollupNode(optionsOf(overrides), {
    createNetwork: async (config) => hub.createEdgeNetwork(config),
    logger: silentLogger,
  });
  nodes.push(node);
  return node;
};
/** Generous: the machine may be busy; it waits no longer than it must. */
const eventually = (check: () => unknown) => vi.waitFor(check, { timeout: 30_000, interval: 20 });
const call = (node: RollupNode, method: string, ...params: unknown[]) => rpcCall(node.rpcUrl, method, params, z.any());
const health = async (node: RollupNode) => {
  const answer = await fetch(`${node.monitorUrl}/health/ready`);
  return { status: answer.status, ...((await answer.json()) as { reasons: string[] }) };
};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'squad-rollup-node-'));
  chain = new HonestChain({
    bls: blstBls,
    sha256,
    rollups: [
      { rollupId: ROLLUP, kind: 'opaque' },
      { rollupId: ORBIT, kind: 'evm' },
    ],
    l1: { chainId: 1, anchor: { number: L1_START, hash: `0x${'11'.repeat(32)}` }, confirmations: 2 },
  });
  source = new ChainSource(chain);
  hub = new MemoryHub();
  gossip = [];
  const validators = chain.genesisFile.validators.map(({ nodePublicKey }) => ({
    nodePublicKey: fromHex(nodePublicKey),
    addresses: [],
  }));
  networks = validators.map((_, self) =>
    hub.createNetwork({
      nodeKeySeed: sha256(Uint8Array.of(0, self)),
      networkId: chain.networkId,
      validators,
      self,
      listen: [],
      bootstrap: [],
      mdns: false,
      handlers: {
        onFrame: () => {},
        onValidatorConnected: () => {},
        onValidatorDisconnected: () => {},
        onRequest: () => Promise.reject(new Error('not asked for')),
        onGossip: async (_, message) => {
          if (self === 0) gossip.push(message);
          return 'accept';
        },
        onFeed: (stream) => void serve(stream),
      },
    }),
  );
  for (const network of networks) await network.start();
  await writeFile(join(directory, 'genesis.json'), JSON.stringify(chain.genesisFile));
  await writeFile(join(directory, 'rollup.json'), JSON.stringify(ledgerRollup()));
});

afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop();
  for (const network of networks) await network.stop();
  feeds.clear();
  await rm(directory, { recursive: true, force: true });
});

describe('a rollup node', () => {
  it('executes what is ordered, is ready at the head of the set, and says where it stands', async () => {
    order([set('colour', 'green')]);
    closeSlot();
    const node = await start();
    await eventually(async () => expect(await call(node, 'ledger_get', 'colour')).toBe('green'));
    await eventually(async () => expect(await health(node)).toMatchObject({ status: 200, reasons: [] }));
    // Ready is it near the head: the last blocks may still be on their way.
    await eventually(async () =>
      expect(await call(node, 'squad_status')).toMatchObject({
        ready: true,
        finalHeight: 10,
        setHead: 10,
        transactions: 1,
        peers: 4,
        rollupId: ROLLUP,
      }),
    );
    const metrics = await (await fetch(`${node.monitorUrl}/metrics`)).text();
    expect(metrics).toMatch(/^squad_follow_final_height_blocks 10$/m);
  });

  it('is alive and not ready while no sequencer is there, and says why', async () => {
    for (const network of networks) await network.stop();
    const node = await start();
    expect((await fetch(`${node.monitorUrl}/health/live`)).status).toBe(200);
    const { status, reasons } = await health(node);
    expect(status).toBe(503);
    expect(reasons).toContain('no feed is open of 4 sequencers');
  });

  it('goes on where it was after a restart, with nothing applied twice', async () => {
    order([set('a', '1')]);
    closeSlot();
    const first = await start();
    await eventually(() => expect(first.follower.head.height).toBe(10));
    await first.stop();
    order([set('b', '2')]);
    closeSlot();
    const second = await start();
    await eventually(async () => expect(await call(second, 'ledger_get', 'b')).toBe('2'));
    expect(await call(second, 'ledger_get', 'a')).toBe('1');
    expect(await call(second, 'ledger_blockNumber')).toBe('0x2');
  });

  it('publishes transactions by gossip when no sequencer’s RPC is given', async () => {
    const node = await start();
    const transaction = set('x', 'y');
    await eventually(() => expect(node.follower.setHead).toBe(0));
    await call(node, 'ledger_send', toHex(transaction));
    await eventually(() => expect(gossip).toHaveLength(1));
    expect(gossip.map((message) => decode(GossipTransactions, 'GossipTransactions', message))).toEqual([
      { ok: true, value: { rollupId: ROLLUP, transactions: [transaction] } },
    ]);
  });

  it('has the block time that its options give, and refuses data that were derived with another', async () => {
    const node = await start({ blockTimeMs: 250 });
    expect(node.rollup.file.blockTimeMs).toBe(250);
    await node.stop();
    await expect(start()).rejects.toMatchObject({
      code: 'ROLLUP_STORE_MISMATCH',
      remedy: expect.stringContaining('--block-time'),
    });
    await start({ blockTimeMs: 250 });
  });

  it('makes itself a node key and keeps it', async () => {
    const keys: Uint8Array[] = [];
    for (let i = 0; i < 2; i++) {
      const node = await createRollupNode(optionsOf(), {
        createNetwork: async (config) => {
          keys.push(config.nodeKeySeed);
          return hub.createEdgeNetwork(config);
        },
        logger: silentLogger,
      });
      await node.stop();
    }
    expect(keys[0]).toEqual(keys[1]);
  });
});

describe('a rollup whose execution is Nitro’s', () => {
  beforeEach(async () => {
    const { genesisTimeMs } = chain;
    const rollup = { version: 1, rollupId: ORBIT, name: 'orbit', executor: 'nitro', genesisTimeMs, blockTimeMs: 1000 };
    await writeFile(join(directory, 'rollup.json'), JSON.stringify(rollup));
    await writeFile(join(directory, 'feed.key'), DEVELOPMENT_KEYS[0]!, { mode: 0o600 });
  });

  it('is served as a signed feed, goes on with what is ordered, and begins again after a restart', async () => {
    const transfers = signTransfers(ORBIT, 3, 3);
    const signer = privateKeyToAddress(DEVELOPMENT_KEYS[0]!);
    order(transfers.slice(0, 2), ORBIT);
    closeSlot();
    const options = { nitroFeedPort: 0, nitroFeedKey: join(directory, 'feed.key') };
    const node = await start(options);
    const client = new NitroClient(node.nitroFeedUrl!, { chainId: ORBIT, requested: '1', signer });
    expect((await client.received(1)).map(transactionsOf)).toEqual([transfers.slice(0, 2)]);
    order(transfers.slice(2), ORBIT);
    closeSlot();
    const before = [...(await client.received(2))];
    expect(before.map(transactionsOf)).toEqual([transfers.slice(0, 2), transfers.slice(2)]);
    expect(await (await fetch(`${node.monitorUrl}/metrics`)).text()).toMatch(/^squad_nitro_feed_clients 1$/m);
    await node.stop();
    await client.closed();
    const again = new NitroClient((await start(options)).nitroFeedUrl!, { chainId: ORBIT, signer });
    expect(await again.received(2)).toEqual(before);
    again.close();
  });

  it('takes what Nitro nodes forward, and refuses what no block could hold', async () => {
    const node = await start();
    expect(node.nitroFeedUrl).toBeUndefined();
    await eventually(() => expect(node.follower.setHead).toBe(0));
    expect(await call(node, 'eth_chainId')).toBe('0x387');
    const [transfer] = signTransfers(ORBIT, 1, 1);
    await call(node, 'eth_sendRawTransaction', toHex(transfer!));
    await eventually(() => expect(gossip).toHaveLength(1));
    await expect(call(node, 'eth_sendRawTransaction', toHex(signTransfers(ORBIT + 1, 1, 1)[0]!))).rejects.toMatchObject(
      {
        data: { code: 'MALFORMED' },
      },
    );
  });

  it('is the only kind that is served so; a key alone signs nothing', async () => {
    await expect(start({ nitroFeedKey: join(directory, 'feed.key') })).rejects.toMatchObject({
      code: 'OPTIONS_INCONSISTENT',
    });
    const opRollupConfig = join(directory, 'op.json');
    await expect(start({ opRollupConfig })).rejects.toMatchObject({ code: 'OP_NEEDS_EVM' });
    const node = await start({ nitroFeedPort: 0 });
    const nitroFeedPort = Number(new URL(node.nitroFeedUrl!).port);
    const dataDirectory = join(directory, 'second');
    await expect(start({ nitroFeedPort, dataDirectory })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    await writeFile(join(directory, 'rollup.json'), JSON.stringify(ledgerRollup()));
    await expect(start({ nitroFeedPort: 0, dataDirectory: join(directory, 'third') })).rejects.toMatchObject({
      code: 'ROLLUP_NOT_NITRO',
    });
  });
});

describe('a rollup that follows L1', () => {
  let l1: FakeL1;
  beforeEach(async () => {
    l1 = await startL1();
    await writeFile(join(directory, 'rollup.json'), JSON.stringify({ ...followingFile(l1), rollupId: ORBIT }));
  });
  afterEach(() => l1.stop());

  it('waits while L1 is away, says so, and can be stopped; then it goes on by the anchors of the blocks', async () => {
    const { hash, number } = l1.mine([[l1.deposit(`0x${'a1'.repeat(20)}`, 1n)]]);
    l1.intercept = () => 'break';
    chain.append([], { l1AnchorNumber: number, l1AnchorHash: hash });
    source.head = chain.head;
    closeSlot();
    const node = await start({ l1Rpc: [l1.url] });
    await eventually(async () =>
      expect((await health(node)).reasons.join()).toContain('L1 cannot be read, derivation waits'),
    );
    expect(await call(node, 'squad_status')).toMatchObject({ finalHeight: 0, l1Origin: L1_START });
    await node.stop();
    l1.intercept = () => undefined;
    const again = await start({ l1Rpc: [l1.url] });
    await eventually(async () =>
      expect(await call(again, 'squad_status')).toMatchObject({ latestBlock: 1, l1Origin: number, l1Trouble: null }),
    );
    const metrics = await (await fetch(`${again.monitorUrl}/metrics`)).text();
    expect(metrics).toContain(`squad_rollup_l1_origin_number ${number}\n`);
  });

  it('is refused without an endpoint, and so is an endpoint without such a rollup', async () => {
    await expect(start()).rejects.toMatchObject({ code: 'L1_RPC_MISSING' });
    await writeFile(join(directory, 'rollup.json'), JSON.stringify(ledgerRollup()));
    await expect(start({ l1Rpc: [l1.url] })).rejects.toMatchObject({ code: 'L1_NOT_FOLLOWED' });
  });

  it('is refused in a network that follows another L1, or none', async () => {
    const { l1: followed, ...without } = chain.genesisFile;
    for (const [network, message] of [
      [
        { ...without, l1: { ...followed!, chainId: 5 } },
        'follows the L1 of chain 1, the network "honest-chain-0" that of chain 5',
      ],
      [without, 'follows the L1 of chain 1, the network "honest-chain-0" none'],
    ] as const) {
      await writeFile(join(directory, 'genesis.json'), JSON.stringify(network));
      const refused = { code: 'L1_NOT_FOLLOWED', message: expect.stringContaining(message) };
      await expect(start({ l1Rpc: [l1.url] })).rejects.toMatchObject(refused);
    }
  });
});

describe('files that do not fit are refused before anything starts', () => {
  it('a rollup that the network does not order', async () => {
    const genesis = { ...chain.genesisFile, rollups: [{ rollupId: 5, kind: 'evm' }] };
    await writeFile(join(directory, 'genesis.json'), JSON.stringify(genesis));
    await expect(start()).rejects.toMatchObject({ code: 'ROLLUP_NOT_ORDERED' });
  });
  it('data of another network', async () => {
    await (await start()).stop();
    await writeFile(join(directory, 'genesis.json'), JSON.stringify({ ...chain.genesisFile, name: 'other' }));
    await expect(start()).rejects.toMatchObject({ code: 'DATA_OF_OTHER_NETWORK' });
  });
  it('a data directory that is a file, or cannot be made', async () => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    for (const dataDirectory of [file, join(file, 'data'), '/proc/none/data']) {
      await expect(start({ dataDirectory })).rejects.toMatchObject({ code: 'FOLDER_UNUSABLE' });
    }
  });
  it('no file, and no JSON', async () => {
    await expect(start({ genesis: join(directory, 'none') })).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    await writeFile(join(directory, 'rollup.json'), '{');
    await expect(start()).rejects.toMatchObject({ code: 'FILE_NOT_JSON' });
  });
  it('files beyond their limits', async () => {
    const large = join(directory, 'large.json');
    const limits = { MAX_GENESIS_FILE_BYTES, MAX_ROLLUP_FILE_BYTES, MAX_VALIDATOR_SCHEDULE_FILE_BYTES };
    for (const [option, limit] of [
      ['genesis', 'MAX_GENESIS_FILE_BYTES'],
      ['rollup', 'MAX_ROLLUP_FILE_BYTES'],
      ['validatorSchedule', 'MAX_VALIDATOR_SCHEDULE_FILE_BYTES'],
    ] as const) {
      await writeFile(large, '');
      await truncate(large, limits[limit] + 1);
      await expect(start({ [option]: large })).rejects.toMatchObject({
        code: 'FILE_UNREADABLE',
        message: expect.stringContaining(`${large} cannot be read: it has more bytes than ${limit} = ${limits[limit]}`),
      });
    }
  });
  it('submit by RPC without an address', async () => {
    await expect(start({ submit: 'rpc' })).rejects.toMatchObject({ code: 'OPTIONS_INCONSISTENT' });
  });
  it('a taken port; what was opened is closed again', async () => {
    const node = await start();
    const rpcPort = Number(new URL(node.rpcUrl).port);
    const dataDirectory = join(directory, 'second');
    await expect(start({ rpcPort, dataDirectory })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    await start({ dataDirectory });
  });
});
