/**
 * An L1 for tests, with headers and receipts whose hashes and roots are right, and the endpoint that serves them, to rollup
 * nodes and to validators. It has no state: logs come as they are given. `intercept` puts any other answer in the place of
 * its own.
 */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Bytes32, concatBytes, encodeL1Header, fromHex, type Hex, type L1Header, toHex } from '@squad/types';
import { indexedRoot } from '../execution/evm/trie.ts';
import { keccak256 } from '../execution/keccak.ts';
import { DEPOSIT_EVENT } from '../stacks/op/deposit-log.ts';
import { encodeReceipt, type L1Receipt } from '../stacks/op/l1.ts';
import { CONFIG_UPDATE_EVENT } from '../stacks/op/system-config.ts';

export interface FakeLog {
  readonly address: Hex;
  readonly topics: readonly Hex[];
  readonly data: Hex;
}

export interface FakeL1Block {
  readonly number: number;
  readonly hash: Bytes32;
  readonly timestamp: number;
}

type Json = Record<string, unknown>;
type Answer =
  | { readonly result: unknown }
  | { readonly error: { readonly code: number; readonly message: string } }
  | 'break';

const SECONDS = 12;
const WORD = 32;
const BLOOM_BYTES = 256;

export class FakeL1 {
  readonly chainId: number = 1;
  readonly portal: Hex = `0x${'d0'.repeat(20)}`;
  readonly systemConfig: Hex = `0x${'5c'.repeat(20)}`;
  /** Of the block that is number `first`, and so on. */
  readonly blocks: FakeL1Block[] = [];
  readonly calls: { readonly method: string; readonly hash: string }[] = [];
  intercept: (method: string, hash: string, answer: unknown) => Answer | undefined = () => undefined;
  readonly #headers = new Map<string, Json>();
  readonly #receipts = new Map<string, Json[]>();
  readonly #waiting: (() => void)[] = [];
  #server: Server | undefined;
  #port = 0;

  /** Begins with one block. */
  constructor(first: number, timestamp: number) {
    this.#make(first, timestamp, new Uint8Array(WORD), [], {});
  }

  get head(): FakeL1Block {
    return this.blocks.at(-1)!;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Another block upon the head, `SECONDS` later; each list is what one transaction logs. */
  mine(logs: readonly (readonly FakeLog[])[] = [], fields: Partial<L1Header> = {}): FakeL1Block {
    const { number, hash, timestamp } = this.head;
    return this.#make(number + 1, timestamp + SECONDS, hash, logs, fields);
  }

  /** Goes on as if the newest blocks had never been; the endpoint still knows them. */
  reorganise(count: number): void {
    this.blocks.length -= count;
  }

  /** What the OptimismPortal logs. Amounts in wei. */
  deposit(to: Hex, mint: bigint, given: { from?: Hex; value?: bigint; gas?: bigint; data?: Hex } = {}): FakeLog {
    const { from = to, value = mint, gas = 100_000n, data = '0x' } = given;
    const opaque = concatBytes(word(mint), word(value), word(gas).subarray(24), Uint8Array.of(0), fromHex(data));
    const topics = [toHex(DEPOSIT_EVENT), toHex(padded(fromHex(from))), toHex(padded(fromHex(to))), toHex(word(0n))];
    return { address: this.portal, topics, data: toHex(bytesArgument(opaque)) };
  }

  /** What the SystemConfig logs; `words` are the update's data. */
  configUpdate(type: number, ...words: (bigint | Uint8Array)[]): FakeLog {
    const data = concatBytes(...words.map((each) => (typeof each === 'bigint' ? word(each) : padded(each))));
    const topics = [toHex(CONFIG_UPDATE_EVENT), toHex(word(0n)), toHex(word(BigInt(type)))];
    return { address: this.systemConfig, topics, data: toHex(bytesArgument(data)) };
  }

  async start(): Promise<void> {
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      this.calls.push({ method, hash: params[0] });
      const result = structuredClone(this.#result(method, params[0]));
      const answer = this.intercept(method, params[0], result) ?? { result };
      for (const resolve of this.#waiting.splice(0)) setImmediate(resolve);
      if (answer === 'break') return void request.socket.destroy();
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id, ...answer }));
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    server?.closeAllConnections();
    await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
  }

  /** Resolves when the condition holds, looked at after each call that was answered. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #result(method: string, at: string): unknown {
    if (method === 'eth_chainId') return json(BigInt(this.chainId));
    if (method === 'eth_blockNumber') return json(BigInt(this.head.number));
    if (method === 'eth_getBlockByNumber') {
      const block = this.blocks.find(({ number }) => number === Number(at));
      return block === undefined ? null : this.#headers.get(toHex(block.hash));
    }
    if (method === 'eth_getBlockByHash') return this.#headers.get(at) ?? null;
    if (method === 'eth_getBlockReceipts') return this.#receipts.get(at) ?? null;
    throw new Error(`${method} is not asked of L1`);
  }

  #make(
    number: number,
    timestamp: number,
    parentHash: Bytes32,
    logs: readonly (readonly FakeLog[])[],
    fields: Partial<L1Header>,
  ): FakeL1Block {
    const receipts = logs.map((all, index): L1Receipt => {
      const parsed = all.map(({ address, topics, data }) => ({
        address: fromHex(address),
        topics: topics.map(fromHex),
        data: fromHex(data),
      }));
      return {
        type: 2n,
        status: 1n,
        cumulativeGasUsed: BigInt(21_000 * (index + 1)),
        logsBloom: bloomOf(all),
        logs: parsed,
      };
    });
    const header: L1Header = {
      parentHash,
      sha3Uncles: new Uint8Array(WORD),
      miner: new Uint8Array(20),
      // Tells two blocks with the same contents apart.
      stateRoot: keccak256(concatBytes(parentHash, word(BigInt(this.#headers.size)))),
      transactionsRoot: new Uint8Array(WORD),
      receiptsRoot: indexedRoot(receipts.map(encodeReceipt)),
      logsBloom: bloomOf(logs.flat()),
      difficulty: 0n,
      number: BigInt(number),
      gasLimit: 60_000_000n,
      gasUsed: 0n,
      timestamp: BigInt(timestamp),
      extraData: new Uint8Array(),
      mixHash: new Uint8Array(WORD),
      nonce: new Uint8Array(8),
      baseFeePerGas: BigInt(1_000_000_000 + number),
      withdrawalsRoot: new Uint8Array(WORD),
      blobGasUsed: 0n,
      excessBlobGas: 0n,
      parentBeaconBlockRoot: keccak256(parentHash),
      requestsHash: new Uint8Array(WORD),
      ...fields,
    };
    const hash = keccak256(encodeL1Header(header));
    this.#headers.set(toHex(hash), { ...(json(header) as Json), hash: toHex(hash) });
    this.#receipts.set(toHex(hash), json(receipts) as Json[]);
    const block = { number, hash, timestamp: Number(header.timestamp) };
    this.blocks.push(block);
    return block;
  }
}

function bloomOf(logs: readonly FakeLog[]): Uint8Array {
  const bloom = new Uint8Array(BLOOM_BYTES);
  for (const item of logs.flatMap(({ address, topics }) => [address, ...topics])) {
    const view = new DataView(keccak256(fromHex(item)).buffer.slice(0));
    for (const at of [0, 2, 4]) {
      const bit = view.getUint16(at) % 2048;
      bloom[BLOOM_BYTES - 1 - Math.floor(bit / 8)]! |= 2 ** (bit % 8);
    }
  }
  return bloom;
}

/** ABI encoding of one `bytes`. */
function bytesArgument(content: Uint8Array): Uint8Array {
  const rest = new Uint8Array((WORD - (content.length % WORD)) % WORD);
  return concatBytes(word(32n), word(BigInt(content.length)), content, rest);
}

function word(value: bigint): Uint8Array {
  return fromHex(`0x${value.toString(16).padStart(2 * WORD, '0')}`);
}

function padded(bytes: Uint8Array): Uint8Array {
  return concatBytes(new Uint8Array(WORD - bytes.length), bytes);
}

/** As JSON-RPC has it. */
function json(value: unknown): unknown {
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(json);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, json(each)]));
}
