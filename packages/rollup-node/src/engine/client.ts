/**
 * The Engine API of one execution client, typed: the methods of the forks Prague and Osaka, each with its version, its
 * time-out and a fresh JWT. Answers are checked; what they mean is the driver's.
 */

import { rpcBatch, rpcCall } from '@squad/service';
import { type Hex, isHex, SquadError } from '@squad/types';
import { z } from 'zod';
import type { ClientBlock, ExecutionPayload, PayloadAttributes } from './api.ts';
import type { Account } from './forced.ts';
import { createJwt, readJwtSecret } from './jwt.ts';
import { ENGINE_EXECUTE_TIMEOUT_MS, ENGINE_QUERY_TIMEOUT_MS, MAX_ENGINE_ANSWER_BYTES } from './limits.ts';
import type { NewPayload } from './payload.ts';

export type EngineFork = 'prague' | 'osaka';

const hash = z.custom<Hex>((value) => isHex(value, 32), { error: 'expected 32 bytes as hex' });
const data = z.custom<Hex>((value) => isHex(value), { error: 'expected bytes as hex' });
const quantity = z.templateLiteral(['0x', z.string().regex(/^(0|[1-9a-f][0-9a-f]{0,63})$/)]) as z.ZodType<Hex>;
const amount = quantity.transform(BigInt);
const safeQuantity = quantity.transform(Number).refine(Number.isSafeInteger, { error: 'above 2^53' });

const PayloadStatus = z.object({
  status: z.enum(['VALID', 'INVALID', 'SYNCING', 'ACCEPTED', 'INVALID_BLOCK_HASH']),
  latestValidHash: hash.nullish(),
  validationError: z.string().max(4096).nullish(),
});
export type PayloadStatus = z.output<typeof PayloadStatus>;

const ForkchoiceAnswer = z.object({ payloadStatus: PayloadStatus, payloadId: data.nullish() });
export type ForkchoiceAnswer = z.output<typeof ForkchoiceAnswer>;

const Payload: z.ZodType<ExecutionPayload> = z.looseObject({
  parentHash: hash,
  feeRecipient: data,
  stateRoot: hash,
  receiptsRoot: hash,
  logsBloom: data,
  prevRandao: hash,
  blockNumber: quantity,
  gasLimit: quantity,
  gasUsed: quantity,
  timestamp: quantity,
  extraData: data,
  baseFeePerGas: quantity,
  blockHash: hash,
  transactions: z.array(data),
  withdrawals: z.array(z.unknown()),
  blobGasUsed: quantity,
  excessBlobGas: quantity,
});
const Envelope = z.looseObject({ executionPayload: Payload, executionRequests: z.array(data).default([]) });

const Block = z.looseObject({
  number: safeQuantity,
  hash,
  parentHash: hash,
  timestamp: safeQuantity,
  mixHash: hash,
  transactions: z.array(hash),
});

export interface ForkchoiceState {
  readonly headBlockHash: Hex;
  readonly safeBlockHash: Hex;
  readonly finalizedBlockHash: Hex;
}

export interface EngineClientConfig {
  /** http(s), the authenticated port: geth's 8551. */
  readonly url: string;
  readonly jwtSecretPath: string;
  readonly fork: EngineFork;
  /** Ends calls under way when the driver stops. */
  readonly signal: AbortSignal;
  /** Default `ENGINE_EXECUTE_TIMEOUT_MS`. */
  readonly executeTimeoutMs?: number | undefined;
}

const FORKCHOICE_UPDATED = 'engine_forkchoiceUpdatedV3';
/** Osaka has no newer one. */
const NEW_PAYLOAD = 'engine_newPayloadV4';
const GET_PAYLOAD: Readonly<Record<EngineFork, string>> = {
  prague: 'engine_getPayloadV4',
  osaka: 'engine_getPayloadV5',
};

export class EngineClient {
  readonly url: string;
  readonly #config: EngineClientConfig;
  readonly #executeTimeoutMs: number;
  #secret: Uint8Array | undefined;

  constructor(config: EngineClientConfig) {
    this.#config = config;
    this.url = config.url;
    this.#executeTimeoutMs = config.executeTimeoutMs ?? ENGINE_EXECUTE_TIMEOUT_MS;
  }

  /**
   * Reads the secret anew and agrees on versions. Throws SquadError `ENGINE_CAPABILITIES` if the client lacks a method, and
   * what reading the secret throws. Every method below throws what `rpcCall` throws.
   */
  async connect(builds: boolean): Promise<void> {
    this.#secret = await readJwtSecret(this.#config.jwtSecretPath);
    const wanted = [NEW_PAYLOAD, FORKCHOICE_UPDATED, ...(builds ? [GET_PAYLOAD[this.#config.fork]] : [])];
    const offered = new Set(await this.#call('engine_exchangeCapabilities', [wanted], z.array(z.string()).max(1_000)));
    const missing = wanted.filter((method) => !offered.has(method));
    if (missing.length === 0) return;
    throw new SquadError(
      'ENGINE_CAPABILITIES',
      `the execution client at ${this.url} does not offer ${missing.join(', ')}, which the fork ${this.#config.fork} takes`,
      'Run a version of the client that knows this fork, or a rollup of an older one.',
      { missing },
    );
  }

  newPayload({ payload, parentBeaconBlockRoot, requests }: NewPayload): Promise<PayloadStatus> {
    const params = [payload, [], parentBeaconBlockRoot, requests];
    return this.#call(NEW_PAYLOAD, params, PayloadStatus, this.#executeTimeoutMs);
  }

  forkchoiceUpdated(state: ForkchoiceState, attributes: PayloadAttributes | null = null): Promise<ForkchoiceAnswer> {
    return this.#call(FORKCHOICE_UPDATED, [state, attributes], ForkchoiceAnswer, this.#executeTimeoutMs);
  }

  getPayload(payloadId: Hex): Promise<z.output<typeof Envelope>> {
    return this.#call(GET_PAYLOAD[this.#config.fork], [payloadId], Envelope);
  }

  query<Schema extends z.ZodType>(
    method: string,
    params: readonly unknown[],
    schema: Schema,
  ): Promise<z.output<Schema>> {
    return this.#call(method, params, schema);
  }

  chainId(): Promise<number> {
    return this.#call('eth_chainId', [], safeQuantity);
  }

  /** Undefined if the client has none of that number. */
  async block(at: number | 'latest'): Promise<ClientBlock | undefined> {
    const tag = typeof at === 'number' ? `0x${at.toString(16)}` : at;
    return (await this.#call('eth_getBlockByNumber', [tag, false], Block.nullable())) ?? undefined;
  }

  /** In the state after a block, in the order of the addresses, in one request. */
  async accounts(addresses: readonly Hex[], blockHash: Hex): Promise<Account[]> {
    const at = { blockHash };
    const calls = addresses.flatMap((address) => [
      { method: 'eth_getTransactionCount', params: [address, at] },
      { method: 'eth_getBalance', params: [address, at] },
    ]);
    const amounts = (await rpcBatch(this.url, calls, this.#options(ENGINE_QUERY_TIMEOUT_MS))).map((outcome) => {
      if (!outcome.ok) throw outcome.error;
      const parsed = amount.safeParse(outcome.value);
      if (parsed.success) return parsed.data;
      const message = `the execution client at ${this.url} answers with no nonce or balance: ${outcome.value}`;
      throw new SquadError('RPC_BAD_ANSWER', message, 'Check that it is an execution client.', { url: this.url });
    });
    return addresses.map((_, index) => ({ nonce: amounts[2 * index]!, balance: amounts[2 * index + 1]! }));
  }

  #call<Schema extends z.ZodType>(
    method: string,
    params: readonly unknown[],
    schema: Schema,
    timeoutMs = ENGINE_QUERY_TIMEOUT_MS,
  ): Promise<z.output<Schema>> {
    return rpcCall(this.url, method, params, schema, this.#options(timeoutMs));
  }

  #options(timeoutMs: number) {
    const token = createJwt(this.#secret!, Math.floor(Date.now() / 1000));
    const { signal } = this.#config;
    const headers = { authorization: `Bearer ${token}` };
    return { timeoutMs, maxAnswerBytes: MAX_ENGINE_ANSWER_BYTES, signal, headers };
  }
}
