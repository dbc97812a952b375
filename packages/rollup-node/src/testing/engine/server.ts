/**
 * A strict execution client for tests: it speaks the Engine API over HTTP and checks every call by the specification, with
 * the library's own block, transaction and trie code. It keeps a tree of blocks and a forkchoice, and does not execute: the
 * state root is taken as it is given. `intercept` puts any other answer in the place of its own.
 */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Block, createBlockFromExecutionPayload } from '@ethereumjs/block';
import { Common, Mainnet } from '@ethereumjs/common';
import { fromHex, type Hex, toHex } from '@squad/types';
import type { z } from 'zod';
import type { EngineFork } from '../../engine/client.ts';
import { keccak256 } from '../../execution/keccak.ts';
import { authorizationFault } from './authority.ts';
import * as form from './form.ts';
import { attributesFault, type OpFork, opBlockOf, payloadFault } from './op.ts';

/** In place of an answer: an HTTP status with a text, a connection that breaks, or one that stays silent. */
export type Answer =
  | { readonly result: unknown }
  | { readonly error: { readonly code: number; readonly message: string; readonly data?: unknown } }
  | { readonly httpStatus: number; readonly text: string }
  | 'break'
  | 'silence';

export interface Call {
  readonly method: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever came
  readonly params: readonly any[];
}

export type Attributes = z.output<typeof form.ForcedAttributes>;
type Payload = z.output<typeof form.ExecutionPayloadV3> & { readonly withdrawalsRoot?: string };

export interface Built {
  readonly payload: Payload;
  readonly requests: readonly Hex[];
}

export interface EngineServerOptions {
  readonly chainId: number;
  readonly fork: EngineFork;
  readonly secret: Uint8Array;
  readonly genesis: Block;
  /** Takes forced transactions: what they give on top of a block. Without, attributes are ignored as by unmodified clients. */
  readonly build?: (parent: Hex, attributes: Attributes) => Promise<Built>;
  /** It is a client of the OP Stack, of this fork; `build` throws `BuildRefused` for what is not valid. */
  readonly op?: OpFork;
  /** In the state after a block. */
  readonly account?: (address: Hex, blockHash: Hex) => { readonly nonce: bigint; readonly balance: bigint };
  /** Methods that it says to offer. Default: those of the fork. */
  readonly capabilities?: readonly string[];
  readonly nowSeconds?: () => number;
}

/** A forced transaction that is not valid: nothing is built, and the message says why. */
export class BuildRefused extends Error {}

export interface Entry {
  readonly block: Block;
  /** Hashes. */
  readonly transactions: readonly Hex[];
  /** The first transaction, encoded. */
  readonly first?: string | undefined;
  readonly parent: Hex | undefined;
}

class Refusal extends Error {
  readonly code: number;
  /** As op-geth tells of what it does not build. */
  readonly data: { readonly err: string } | undefined;

  constructor(code: number, message: string, err?: string) {
    super(message);
    this.code = code;
    this.data = err === undefined ? undefined : { err };
  }
}

const MAX_RECORDED_CALLS = 10_000;
const MAX_BUILDS = 8;

export class EngineServer {
  /** What the caller did that the specification forbids. */
  readonly violations: string[] = [];
  readonly calls: Call[] = [];
  head: Hex;
  safe: Hex;
  finalized: Hex;
  /** Asked before each call; the first that gives an answer is obeyed. */
  intercept: (call: Call) => Answer | undefined | Promise<Answer | undefined> = () => undefined;
  secret: Uint8Array;
  readonly #options: EngineServerOptions;
  readonly #common: Common;
  readonly #blocks = new Map<Hex, Entry>();
  readonly #builds = new Map<Hex, Built>();
  #nextBuild = 1;
  readonly #waiting: (() => void)[] = [];
  readonly #refusals: (() => void)[] = [];
  #server: Server | undefined;
  #port = 0;

  constructor(options: EngineServerOptions) {
    this.#options = options;
    this.secret = options.secret;
    this.#common = new Common({ chain: { ...Mainnet, chainId: options.chainId }, hardfork: options.fork });
    const genesis = toHex(options.genesis.hash());
    this.#blocks.set(genesis, { block: options.genesis, transactions: [], parent: undefined });
    this.head = genesis;
    this.safe = genesis;
    this.finalized = genesis;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listens; again on the same port after `stop`. */
  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#serve(request, response));
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

  /** Loses all blocks above a number, as a client that was killed may. */
  forgetAbove(number: number): void {
    for (const [hash, { block }] of this.#blocks) if (block.header.number > number) this.#blocks.delete(hash);
    this.head = this.canonical(number)?.hash ?? this.head;
    if (!this.#blocks.has(this.head)) this.head = this.#newest();
    if (!this.#isAncestor(this.safe, this.head)) this.safe = this.head;
    if (!this.#isAncestor(this.finalized, this.head)) this.finalized = this.head;
  }

  /** Resolves when the condition holds, looked at after each call that was answered. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when a request was refused for its token. */
  refusedOnce(): Promise<void> {
    return new Promise((resolve) => this.#refusals.push(resolve));
  }

  /** Keeps the block of a call of `engine_newPayload`, without judging it. */
  async insertQuietly({ params: [payload, , beaconRoot, requests] }: Call): Promise<void> {
    const { head } = this;
    await this.insert(payload, beaconRoot, requests);
    this.head = head;
  }

  /** A block as given, apart from the rules of order. For tests that begin with a client that has something already. */
  async insert(payload: Payload, parentBeaconBlockRoot: Hex, requests: readonly Hex[]): Promise<void> {
    const block = await this.#blockOf(payload, parentBeaconBlockRoot, requests);
    const hash = toHex(block.hash());
    this.#keep(payload, block);
    this.head = hash;
  }

  has(hash: Hex): boolean {
    return this.#blocks.has(hash);
  }

  /** Of the chain that ends in the head. */
  canonical(number: number): (Entry & { readonly hash: Hex }) | undefined {
    let hash: Hex | undefined = this.head;
    while (hash !== undefined) {
      const entry: Entry | undefined = this.#blocks.get(hash);
      if (entry === undefined) return undefined;
      if (Number(entry.block.header.number) === number) return { ...entry, hash };
      hash = entry.parent;
    }
    return undefined;
  }

  get headNumber(): number {
    return Number(this.#blocks.get(this.head)!.block.header.number);
  }

  #newest(): Hex {
    let newest: [Hex, Entry] | undefined;
    for (const each of this.#blocks) {
      if (newest === undefined || each[1].block.header.number > newest[1].block.header.number) newest = each;
    }
    return newest![0];
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const now = (this.#options.nowSeconds ?? (() => Math.floor(Date.now() / 1000)))();
    const fault = authorizationFault(request.headers.authorization, this.secret, now);
    if (fault !== undefined) {
      for (const resolve of this.#refusals.splice(0)) resolve();
      return void response.writeHead(401).end(`${fault}\n`);
    }
    if (request.method !== 'POST' || request.headers['content-type'] !== 'application/json') {
      this.violations.push(`${request.method} with content type ${request.headers['content-type']}`);
    }
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (Array.isArray(body)) {
      const answers = body.map(async ({ id, method, params }) => ({ id, ...(await this.#answer({ method, params })) }));
      return void response.end(JSON.stringify(await Promise.all(answers)));
    }
    if (body.jsonrpc !== '2.0' || body.id === undefined || !Array.isArray(body.params)) {
      this.violations.push(`not a JSON-RPC call: ${JSON.stringify(body).slice(0, 200)}`);
    }
    const call: Call = { method: body.method, params: body.params };
    if (this.calls.length < MAX_RECORDED_CALLS) this.calls.push(call);
    const answer = (await this.intercept(call)) ?? (await this.#answer(call));
    for (const resolve of this.#waiting.splice(0)) setImmediate(resolve);
    if (answer === 'break') return void request.socket.destroy();
    if (answer === 'silence') return;
    if ('httpStatus' in answer) return void response.writeHead(answer.httpStatus).end(answer.text);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: body.id, ...answer }));
  }

  async #answer({ method, params }: Call): Promise<Exclude<Answer, string>> {
    try {
      return { result: await this.#dispatch(method, params) };
    } catch (error) {
      const { code, data } = error instanceof Refusal ? error : { code: -32603, data: undefined };
      if (code !== -38002 && code !== -38001 && data === undefined) {
        this.violations.push(`${method}: ${(error as Error).message}`);
      }
      return { error: { code, message: (error as Error).message, ...(data && { data }) } };
    }
  }

  get #methods(): readonly string[] {
    const getPayload = this.#options.fork === 'osaka' ? 'engine_getPayloadV5' : 'engine_getPayloadV4';
    return ['engine_newPayloadV4', 'engine_forkchoiceUpdatedV3', getPayload];
  }

  #dispatch(method: string, params: readonly unknown[]): unknown {
    switch (method) {
      case 'engine_exchangeCapabilities':
        checked(form.ExchangeCapabilities, params);
        return this.#options.capabilities ?? this.#methods;
      case 'engine_newPayloadV4':
        return this.#newPayload(...checked(this.#options.op ? form.OpNewPayloadV4 : form.NewPayloadV4, params));
      case 'engine_forkchoiceUpdatedV3':
        return this.#forkchoiceUpdated(...checked(form.ForkchoiceUpdatedV3, params));
      case 'engine_getPayloadV4':
      case 'engine_getPayloadV5':
        if (!this.#methods.includes(method)) throw new Refusal(-38005, `${method} is of another fork`);
        return this.#getPayload(...checked(form.GetPayload, params));
      case 'eth_chainId':
        checked(form.None, params);
        return `0x${this.#options.chainId.toString(16)}`;
      case 'eth_getTransactionCount':
        return `0x${this.#account(...checked(form.AccountAt, params)).nonce.toString(16)}`;
      case 'eth_getBalance':
        return `0x${this.#account(...checked(form.AccountAt, params)).balance.toString(16)}`;
      case 'eth_getBlockByNumber':
        return this.#blockByNumber(...checked(form.BlockByNumber, params));
      default:
        throw new Refusal(-32601, `the method ${method} does not exist`);
    }
  }

  #account(address: string, { blockHash }: { blockHash: string }) {
    const { account } = this.#options;
    if (account === undefined) throw new Refusal(-32601, 'this client has no accounts');
    return account(address as Hex, blockHash as Hex);
  }

  async #newPayload(payload: Payload, blobs: readonly string[], beaconRoot: string, requests: readonly string[]) {
    if (blobs.length > 0) this.violations.push('versioned hashes without blobs');
    let block: Block;
    try {
      block = await this.#blockOf(payload, beaconRoot as Hex, requests as Hex[]);
    } catch (error) {
      this.violations.push(`newPayload ${Number(payload.blockNumber)}: ${error}`);
      return { status: 'INVALID', latestValidHash: null, validationError: String(error) };
    }
    const hash = payload.blockHash as Hex;
    const parent = payload.parentHash as Hex;
    if (this.#blocks.has(hash)) return { status: 'VALID', latestValidHash: hash, validationError: null };
    const before = this.#blocks.get(parent);
    if (before === undefined) return { status: 'SYNCING', latestValidHash: null, validationError: null };
    const fault = this.#options.op ? timeFault(block, before.block) : headerFault(block, before.block);
    if (fault !== undefined) {
      this.violations.push(`newPayload ${Number(payload.blockNumber)}: ${fault}`);
      return { status: 'INVALID', latestValidHash: parent, validationError: fault };
    }
    this.#keep(payload, block);
    return { status: 'VALID', latestValidHash: hash, validationError: null };
  }

  #keep({ blockHash, parentHash, transactions }: Payload, block: Block): void {
    const hashes = transactions.map((raw) => toHex(keccak256(fromHex(raw as Hex))));
    const [first] = transactions;
    this.#blocks.set(blockHash as Hex, { block, transactions: hashes, first, parent: parentHash as Hex });
  }

  /** With the library: roots of transactions and requests made anew, and the hash of all compared. */
  async #blockOf(payload: Payload, parentBeaconBlockRoot: Hex, requests: readonly Hex[]): Promise<Block> {
    const inner = requests.map((request) => createHash('sha256').update(fromHex(request)).digest());
    const requestsHash = toHex(createHash('sha256').update(Buffer.concat(inner)).digest());
    const { op } = this.#options;
    if (op !== undefined) {
      const opPayload = payload as Parameters<typeof opBlockOf>[0];
      const fault = payloadFault(opPayload, op);
      if (fault !== undefined) throw new Error(fault);
      const block = opBlockOf(opPayload, parentBeaconBlockRoot, requestsHash as Hex, this.#common);
      const hash = toHex(block.hash());
      if (hash === payload.blockHash) return block;
      throw new Error(`the block's hash is ${hash}, said is ${payload.blockHash}`);
    }
    const fields = { ...payload, parentBeaconBlockRoot, requestsHash } as Parameters<
      typeof createBlockFromExecutionPayload
    >[0];
    return createBlockFromExecutionPayload(fields, { common: this.#common });
  }

  async #forkchoiceUpdated(
    state: { headBlockHash: string; safeBlockHash: string; finalizedBlockHash: string },
    attributes: Attributes | null,
  ) {
    const [head, safe, finalized] = [state.headBlockHash, state.safeBlockHash, state.finalizedBlockHash] as Hex[];
    const known = this.#blocks.get(head!);
    if (known === undefined) {
      return { payloadStatus: { status: 'SYNCING', latestValidHash: null, validationError: null }, payloadId: null };
    }
    if (!this.#isAncestor(safe!, head!)) throw new Refusal(-38002, 'safe block is not an ancestor of the head');
    if (!this.#isAncestor(finalized!, safe!)) throw new Refusal(-38002, 'finalized block is not an ancestor of safe');
    if (!this.#isAncestor(this.finalized, head!) && !this.#isAncestor(head!, this.finalized)) {
      this.violations.push(`the head ${head} is not on the chain of the finalized block ${this.finalized}`);
    }
    this.head = head!;
    this.safe = safe!;
    this.finalized = finalized!;
    return {
      payloadStatus: { status: 'VALID', latestValidHash: head, validationError: null },
      payloadId: attributes === null ? null : await this.#build(head!, known.block, attributes),
    };
  }

  async #build(head: Hex, parent: Block, attributes: Attributes): Promise<Hex> {
    if (BigInt(attributes.timestamp) <= parent.header.timestamp) {
      throw new Refusal(-38003, 'the timestamp is not after that of the head');
    }
    const { build, op } = this.#options;
    const opFault = op && attributesFault(attributes, op, this.#blocks.get(head)?.first);
    if (opFault !== undefined) {
      this.violations.push(opFault);
      throw new Refusal(-38003, 'Invalid payload attributes', opFault);
    }
    const given = build === undefined ? { ...attributes, transactions: [] } : attributes;
    const id = `0x${(this.#nextBuild++).toString(16).padStart(16, '0')}` as Hex;
    this.#builds.set(id, build === undefined ? emptyPayload(parent, given) : await forced(build(head, given)));
    for (const oldest of this.#builds.keys()) if (this.#builds.size > MAX_BUILDS) this.#builds.delete(oldest);
    return id;
  }

  #getPayload(id: string) {
    const built = this.#builds.get(id as Hex);
    if (built === undefined) throw new Refusal(-38001, 'Unknown payload');
    const { payload: executionPayload, requests: executionRequests } = built;
    const blobsBundle = { commitments: [], proofs: [], blobs: [] };
    return { executionPayload, blockValue: '0x0', blobsBundle, shouldOverrideBuilder: false, executionRequests };
  }

  #blockByNumber(at: string, full: boolean) {
    if (full) this.violations.push('a whole block was asked for');
    const named: Partial<Record<string, Hex>> = { latest: this.head, safe: this.safe, finalized: this.finalized };
    const hash = named[at] ?? this.canonical(Number(at))?.hash;
    const entry = hash && this.#blocks.get(hash);
    if (!entry) return null;
    return { ...headerJson(entry.block), hash, transactions: entry.transactions };
  }

  #isAncestor(ancestor: Hex, of: Hex): boolean {
    let hash: Hex | undefined = of;
    while (hash !== undefined && hash !== ancestor) hash = this.#blocks.get(hash)?.parent;
    return hash === ancestor;
  }
}

async function forced(building: Promise<Built>): Promise<Built> {
  try {
    return await building;
  } catch (error) {
    if (!(error instanceof BuildRefused)) throw error;
    throw new Refusal(-38003, 'Invalid payload attributes', error.message);
  }
}

/** By the names of JSON-RPC. */
function headerJson({ header }: Block) {
  const { uncleHash, coinbase, transactionsTrie, receiptTrie, ...rest } = header.toJSON();
  const names = {
    sha3Uncles: uncleHash,
    miner: coinbase,
    transactionsRoot: transactionsTrie,
    receiptsRoot: receiptTrie,
  };
  return { ...rest, ...names };
}

function timeFault({ header }: Block, { header: parent }: Block): string | undefined {
  if (header.number !== parent.number + 1n) return `number ${header.number} after ${parent.number}`;
  if (header.timestamp <= parent.timestamp) return `timestamp ${header.timestamp} after ${parent.timestamp}`;
  return undefined;
}

/** Rules between a header and its parent's; on an OP Stack chain only those of time hold. */
function headerFault(block: Block, before: Block): string | undefined {
  const fault = timeFault(block, before);
  if (fault !== undefined) return fault;
  const { header } = block;
  const parent = before.header;
  if (header.baseFeePerGas !== parent.calcNextBaseFee()) {
    return `base fee ${header.baseFeePerGas}, not ${parent.calcNextBaseFee()}`;
  }
  const bound = parent.gasLimit / 1024n;
  const change =
    header.gasLimit > parent.gasLimit ? header.gasLimit - parent.gasLimit : parent.gasLimit - header.gasLimit;
  if (change >= bound || header.gasLimit < 5000n) return `gas limit ${header.gasLimit} after ${parent.gasLimit}`;
  if (header.gasUsed > header.gasLimit) return 'more gas used than the limit';
  return undefined;
}

/** What an unmodified client builds of an empty pool; never executed, so its state root is made up. */
function emptyPayload(parent: Block, { timestamp, prevRandao, suggestedFeeRecipient, gasLimit }: Attributes): Built {
  const zero = `0x${'00'.repeat(32)}` as const;
  return {
    payload: {
      parentHash: toHex(parent.hash()),
      feeRecipient: suggestedFeeRecipient,
      stateRoot: zero,
      receiptsRoot: zero,
      logsBloom: `0x${'00'.repeat(256)}`,
      prevRandao,
      blockNumber: `0x${(parent.header.number + 1n).toString(16)}`,
      gasLimit,
      gasUsed: '0x0',
      timestamp,
      extraData: '0x',
      baseFeePerGas: '0x7',
      blockHash: zero,
      transactions: [],
      withdrawals: [],
      blobGasUsed: '0x0',
      excessBlobGas: '0x0',
    },
    requests: [],
  };
}

function checked<Schema extends z.ZodType>(schema: Schema, params: readonly unknown[]): z.output<Schema> {
  const parsed = schema.safeParse(params);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new Refusal(-32602, `invalid params: ${[...issue.path.map(String), issue.message].join(': ')}`);
}
