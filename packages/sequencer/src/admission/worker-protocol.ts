/**
 * What the pool and its workers say to each other. Transactions and answers are packed into one buffer each, which is
 * handed over, not copied: structured cloning of one object per transaction would cost more than decoding it.
 */

import { ok, type Result } from '@squad/types';
import type { AdmittedEvm } from './admit-evm.ts';
import type { EvmRules } from './evm-rules.ts';
import type { Rejection } from './rejection.ts';

export interface CheckRequest {
  readonly id: number;
  readonly chainId: number;
  readonly rules: EvmRules;
  /** Transactions as `encodeBody` of `@squad/types` packs them. */
  readonly packed: Uint8Array;
}

export interface CheckAnswer {
  readonly id: number;
  /** One record for each transaction; a rejected one's is zeros. */
  readonly records: Uint8Array;
  readonly rejections: readonly { readonly index: number; readonly rejection: Rejection }[];
}

/** First message of a worker: it is loaded. */
export const WORKER_READY = 'ready';

export type WorkerMessage = typeof WORKER_READY | CheckAnswer;

const HASH_BYTES = 32;
const SENDER_BYTES = 20;
const NONCE_BYTES = 8;
/** Four words of 8 bytes, the most significant first. */
const FEE_BYTES = 32;
const NONCE_AT: number = HASH_BYTES + SENDER_BYTES;
const FEE_AT: number = NONCE_AT + NONCE_BYTES;
const RECORD_BYTES: number = FEE_AT + FEE_BYTES;

type Outcome = Result<AdmittedEvm, Rejection>;

export function packAnswer(id: number, outcomes: readonly Outcome[]): CheckAnswer {
  const records = new Uint8Array(outcomes.length * RECORD_BYTES);
  const view = new DataView(records.buffer);
  const rejections: { index: number; rejection: Rejection }[] = [];
  outcomes.forEach((outcome, index) => {
    if (!outcome.ok) {
      rejections.push({ index, rejection: outcome.error });
      return;
    }
    const at = index * RECORD_BYTES;
    records.set(outcome.value.hash, at);
    records.set(outcome.value.sender, at + HASH_BYTES);
    view.setBigUint64(at + NONCE_AT, outcome.value.nonce);
    const { maxFeePerGas } = outcome.value;
    for (let word = 0; word < 4; word++) {
      view.setBigUint64(at + FEE_AT + 8 * word, BigInt.asUintN(64, maxFeePerGas >> BigInt(64 * (3 - word))));
    }
  });
  return { id, records, rejections };
}

export function unpackAnswer({ records, rejections }: CheckAnswer): Outcome[] {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  const outcomes: Outcome[] = [];
  for (let at = 0; at < records.length; at += RECORD_BYTES) {
    const senderAt = at + HASH_BYTES;
    let maxFeePerGas = 0n;
    for (let word = 0; word < 4; word++) {
      maxFeePerGas = (maxFeePerGas << 64n) | view.getBigUint64(at + FEE_AT + 8 * word);
    }
    outcomes.push(
      ok({
        hash: records.slice(at, senderAt),
        sender: records.slice(senderAt, senderAt + SENDER_BYTES),
        nonce: view.getBigUint64(at + NONCE_AT),
        maxFeePerGas,
      }),
    );
  }
  for (const { index, rejection } of rejections) outcomes[index] = { ok: false, error: rejection };
  return outcomes;
}
