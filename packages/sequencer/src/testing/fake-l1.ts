/**
 * An L1 for tests: blocks with headers of the present form, linked and hashed as Ethereum's, behind the three methods that
 * a follower asks. It can be reorganised, lie, and go away; several endpoints may show one chain.
 */

import { keccak256 } from '@squad/crypto/node';
import { createRpcServer, defineMethod, type RpcServer, silentLogger } from '@squad/service';
import { encodeL1Header, fromHex, type Hex, type L1BlockId, L1Header, toHex } from '@squad/types';
import { z } from 'zod';

export type L1BlockJson = Readonly<Record<string, unknown>>;

const CHAIN_ID = 31_337;
const word = (byte: number, length = 32) => `0x${byte.toString(16).padStart(2, '0').repeat(length)}`;
const hex = (value: number) => `0x${value.toString(16)}`;

function makeBlock(number: number, parentHash: string, fork: number): L1BlockJson {
  const fields = {
    parentHash,
    sha3Uncles: word(0x1d),
    miner: word(0, 20),
    stateRoot: word(2),
    transactionsRoot: word(3),
    receiptsRoot: word(4),
    logsBloom: word(0, 256),
    difficulty: '0x0',
    number: hex(number),
    gasLimit: hex(60_000_000),
    gasUsed: hex(21_000 * (number % 100)),
    timestamp: hex(1_700_000_000 + 12 * number),
    extraData: hex(0xa0 + fork),
    mixHash: word(5),
    nonce: word(0, 8),
    baseFeePerGas: hex(7 + number),
    withdrawalsRoot: word(6),
    blobGasUsed: '0x0',
    excessBlobGas: '0x0',
    parentBeaconBlockRoot: word(7),
    requestsHash: word(8),
  };
  return { ...fields, hash: toHex(keccak256(encodeL1Header(L1Header.parse(fields)))), transactions: [], uncles: [] };
}

/** A chain from block 0 on. */
export class FakeL1 {
  readonly chainId: number = CHAIN_ID;
  #blocks: readonly L1BlockJson[];
  #fork: number;

  constructor(blocks = 1, fork = 0) {
    this.#blocks = [makeBlock(0, word(0), fork)];
    this.#fork = fork;
    this.mine(blocks - 1);
  }

  /** Number of the last block. */
  get head(): number {
    return this.#blocks.length - 1;
  }

  at(number: number): L1BlockJson | undefined {
    return this.#blocks[number];
  }

  idOf(number: number): L1BlockId {
    return { number, hash: fromHex((this.#blocks[number] as { hash: Hex }).hash) };
  }

  mine(count = 1): void {
    for (let i = 0; i < count; i++) {
      const parent = this.#blocks.at(-1) as { hash: string };
      this.#blocks = [...this.#blocks, makeBlock(this.#blocks.length, parent.hash, this.#fork)];
    }
  }

  /** Other blocks in the place of the last ones, and one more. */
  reorganise(depth: number): void {
    this.#blocks = this.#blocks.slice(0, -depth);
    this.#fork++;
    this.mine(depth + 1);
  }

  /** The same blocks so far, which go on by themselves. */
  copy(): FakeL1 {
    const copy = new FakeL1(1, this.#fork + 7);
    copy.#blocks = this.#blocks;
    return copy;
  }
}

export interface FakeL1Endpoint {
  readonly url: string;
  /** What it shows; may be changed. */
  chain: FakeL1;
  /** What it says in place of a block, or of its head. */
  lie: ((answer: unknown) => unknown) | undefined;
  /** Questions that it was asked. */
  readonly asked: string[];
  close(): Promise<void>;
}

/** `port`: 0 takes a free one. */
export async function serveFakeL1(chain: FakeL1, port = 0): Promise<FakeL1Endpoint> {
  const asked: string[] = [];
  const method = (name: string, params: Record<string, z.ZodType>, answer: (number: string) => unknown) =>
    defineMethod({
      name,
      summary: name,
      params,
      result: { name: 'result', description: name },
      handler: (given) => {
        const [number = ''] = Object.values(given) as string[];
        asked.push(`${name} ${number}`.trim());
        const honest = answer(number);
        return name === 'eth_chainId' || !endpoint.lie ? honest : endpoint.lie(honest);
      },
    });
  const server: RpcServer = await createRpcServer({
    host: '127.0.0.1',
    port,
    info: { title: 'L1', version: '0' },
    methods: [
      method('eth_chainId', {}, () => hex(endpoint.chain.chainId)),
      method('eth_blockNumber', {}, () => hex(endpoint.chain.head)),
      method('eth_getBlockByNumber', { number: z.string(), full: z.boolean() }, (number) => {
        return endpoint.chain.at(Number(number)) ?? null;
      }),
    ],
    logger: silentLogger,
  });
  const endpoint: FakeL1Endpoint = { url: server.url, chain, lie: undefined, asked, close: () => server.close() };
  return endpoint;
}
