/**
 * The client's side of JSON-RPC: what a sequencer that lies answers, through the client's own calls. Each ends with what it was
 * asked for, or with a `SquadError` of bearable length; nothing that one endpoint says may end who asks others too.
 */

import { call, getBlockProof, getReceipt, lightClientSource, networkAccess, submit } from '@squad/client';
import { eventOf, HonestChain } from '@squad/client/testing';
import { blstBls, sha256 } from '@squad/crypto/node';
import { FeedBlock, fromHex, OrderingReceipt, parseGenesis, receiptToJson, SquadError, toHex } from '@squad/types';
import { jsonBytes, jsonOf, mutateJson, textOf } from '../json.ts';
import type { Random } from '../random.ts';
import { DEFAULT_BUDGET, demand, demandSameBytes, type Target } from '../target.ts';
import { findIn } from './wire.ts';

const ENDPOINT = 'http://server';
const HASH = `0x${'11'.repeat(32)}` as const;
const TRANSACTION = Uint8Array.of(1, 2, 3);

const chain = new HonestChain({ bls: blstBls, sha256 });
const genesis = parseGenesis(chain.genesisFile);
if (!genesis.ok) throw genesis.error;
const access = networkAccess(genesis.value, [ENDPOINT], { bls: blstBls, sha256 });

const ASKED: readonly (() => Promise<unknown>)[] = [
  () => call(ENDPOINT, 'squad_status', []),
  () => lightClientSource(ENDPOINT).handOver(0),
  () => lightClientSource(ENDPOINT).finalBlock(),
  () => getBlockProof(access, 1),
  () => getReceipt(access, HASH),
  () => submit(access, 901, TRANSACTION),
];

/** Every call is answered with the input. True if one of them took it. */
async function checkAnswer(input: Uint8Array): Promise<boolean> {
  const platformFetch = globalThis.fetch;
  globalThis.fetch = async () => new Response(new Uint8Array(input));
  try {
    let taken = false;
    for (const ask of ASKED) taken = (await ends(ask)) || taken;
    return taken;
  } finally {
    globalThis.fetch = platformFetch;
  }
}

async function ends(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    return (await ask()) !== undefined;
  } catch (error) {
    if (!(error instanceof SquadError)) throw error;
    demandShort(error.message);
    demandShort(error.remedy);
    return false;
  }
}

function demandShort(words: string): void {
  demand(words.length > 0 && words.length < 2_000, `${words.length} characters of an endpoint's own`);
}

function randomAnswer(random: Random): Uint8Array {
  const encoded = (name: string) => toHex(findIn(name).make(random));
  const results: readonly (() => unknown)[] = [
    () => [{ hash: HASH }],
    () => [{ error: { code: -32000, message: 'no', data: { code: 'NONCE', remedy: 'None.' } } }],
    () => encoded('hand-over-proof'),
    () => ({ encoded: encoded('block-proof') }),
    () => receiptToJson(OrderingReceipt.deserialize(findIn('receipt').make(random)) as OrderingReceipt),
  ];
  return jsonBytes({ jsonrpc: '2.0', id: 1, result: random.pick(results)() });
}

function mutateAnswer(input: Uint8Array, random: Random): Uint8Array {
  if (random.chance(0.7)) return mutateJson(input, random);
  const error = { code: -32000, message: 'no', data: { code: 'NO', remedy: 'None.', retryAfterMs: 5 } };
  return mutateJson(jsonBytes({ jsonrpc: '2.0', id: 1, error }), random);
}

/** Over WebSocket: a block of a sequence, as text. */
function checkSequence(input: Uint8Array): boolean {
  const text = textOf(input);
  const event = eventOf(text);
  if (event === undefined) return false;
  if (event.type !== 'block') {
    demandShort(event.message);
    return false;
  }
  const { params } = jsonOf(input)!.value as { params: { result: { encoded: string } } };
  demandSameBytes(fromHex(params.result.encoded), FeedBlock.serialize(event.block), 'a block of a sequence');
  return true;
}

function randomNotification(random: Random): Uint8Array {
  const encoded = toHex(findIn('feed-block').make(random));
  const params = { subscription: '0x1', result: { stage: 'final', height: 1, encoded } };
  return jsonBytes({ jsonrpc: '2.0', method: 'squad_subscription', params });
}

function mutateNotification(input: Uint8Array, random: Random): Uint8Array {
  if (random.chance(0.7)) return mutateJson(input, random);
  const error = { code: 'INTERNAL', message: 'the sequence could not be read' };
  const ends = random.chance(0.5) ? { params: { result: { error } } } : { id: 1, error };
  return mutateJson(jsonBytes({ jsonrpc: '2.0', ...ends }), random);
}

export const CLIENT_TARGETS: readonly Target[] = [
  {
    name: 'client-answer',
    what: "JSON-RPC: a sequencer's answer, at the calls of the client",
    make: randomAnswer,
    mutate: mutateAnswer,
    check: checkAnswer,
    budget: { bytes: 16 << 20, bytesPerInputByte: 2048, milliseconds: 2_000 },
    // Six calls an input, each with a timer and a stream; what is in the answers has the full count in its own target.
    longRunInputs: 200_000,
  },
  {
    name: 'client-sequence',
    what: "WebSocket: what a sequencer sends of a rollup's sequence, at the client",
    make: randomNotification,
    mutate: mutateNotification,
    check: checkSequence,
    budget: { ...DEFAULT_BUDGET, bytesPerInputByte: 1024 },
  },
];
