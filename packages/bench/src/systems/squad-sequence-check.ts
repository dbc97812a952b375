/**
 * After a run with opaque transactions: the whole final sequence is read from one node, and each accepted transaction must
 * be in it exactly once. That every node has the same sequence follows from equal block hashes, which commit to it.
 */

import { followSubscription } from '@squad/service';
import type { Testnet } from '@squad/testnet';
import { SquadError } from '@squad/types';
import type { LoadResult } from '../load/protocol.ts';
import { commonChain } from './chain-check.ts';
import type { Verification } from './system.ts';

const PROGRESS_BLOCKS = 500;
/** Without a block for this long, the subscription is taken for dead and made anew. */
const SILENCE_MS = 15_000;
const MAX_ATTEMPTS = 4;

export interface SequenceEvent {
  readonly stage: string;
  readonly height: number;
  readonly batches: readonly { readonly transactions: readonly string[] }[];
}

export async function verifySequence(
  testnet: Testnet,
  rollupId: number,
  loads: readonly LoadResult[],
  onProgress: (text: string) => void,
): Promise<Verification> {
  onProgress('checking that all nodes have the same final blocks');
  const chain = await commonChain(testnet.nodes);
  const counts = new TransactionCounts(loads);
  onProgress(`reading ${chain.height} blocks back`);
  await readSequence(testnet.nodes[0]!.webSocketUrl, rollupId, chain.height, (event) => {
    if (event.height % PROGRESS_BLOCKS === 0) onProgress(`checked ${event.height} of ${chain.height} blocks`);
    for (const { transactions } of event.batches) for (const transaction of transactions) counts.add(transaction);
  });
  const { lost, duplicated } = counts.compare();
  return {
    checked: `block hashes 1 to ${chain.height} equal on ${testnet.nodes.length} nodes; every transaction of the sequence counted`,
    lost,
    duplicated: duplicated + chain.repeatedBatches,
    blocks: chain.height,
    blocksSeconds: chain.seconds,
  };
}

/** Every final block from 1 to a height, once and in order. */
export async function readSequence(
  url: string,
  rollupId: number,
  toHeight: number,
  onBlock: (event: SequenceEvent) => void,
): Promise<void> {
  let next = 1;
  for (let attempt = 1; next <= toHeight; attempt++) {
    const before = next;
    await followSequence(url, rollupId, next, toHeight, (event) => {
      if (event.height !== next) return;
      next++;
      onBlock(event);
    });
    if (next === before && attempt >= MAX_ATTEMPTS) {
      throw new SquadError('SEQUENCE_SILENT', `${url} does not tell block ${next} of the sequence`, 'Read its log.');
    }
  }
}

/** Resolves when `toHeight` was told, when nothing came for a while, or when the connection was lost. */
function followSequence(
  url: string,
  rollupId: number,
  fromHeight: number,
  toHeight: number,
  onBlock: (event: SequenceEvent) => void,
): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(silence);
      follower.close();
      resolve();
    };
    let silence = setTimeout(end, SILENCE_MS);
    const follower = followSubscription({
      url,
      method: 'squad_subscribe',
      params: () => ['sequence', rollupId, fromHeight],
      onLost: end,
      onNotification: (value) => {
        const event = value as SequenceEvent;
        if (event.stage !== 'final') return;
        clearTimeout(silence);
        silence = setTimeout(end, SILENCE_MS);
        onBlock(event);
        if (event.height >= toHeight) end();
      },
    });
  });
}

/** How often each numbered transaction was seen. */
export class TransactionCounts {
  readonly #loads: readonly LoadResult[];
  readonly #seen: Uint8Array[];

  constructor(loads: readonly LoadResult[]) {
    this.#loads = loads;
    this.#seen = loads.map(() => new Uint8Array(0));
  }

  /** 0x-hex; it begins with 2 bytes of client and 6 of number. */
  add(transaction: string): void {
    const client = Number.parseInt(transaction.slice(2, 6), 16);
    const number = Number.parseInt(transaction.slice(6, 18), 16);
    const seen = this.#seen[client];
    if (seen === undefined) return;
    if (number >= seen.length) {
      const larger = new Uint8Array(Math.max(65_536, 2 * number));
      larger.set(seen);
      this.#seen[client] = larger;
    }
    this.#seen[client]![number]!++;
  }

  /** `lost`: accepted and never seen. `duplicated`: seen more than once. */
  compare(): { lost: number; duplicated: number } {
    let lost = 0;
    let duplicated = 0;
    for (const [client, load] of this.#loads.entries()) {
      const seen = this.#seen[client]!;
      for (const count of seen) if (count > 1) duplicated++;
      for (const [first, count] of load.acceptedNumbers) {
        for (let number = first; number < first + count; number++) if ((seen[number] ?? 0) === 0) lost++;
      }
    }
    return { lost, duplicated };
  }
}
