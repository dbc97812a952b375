/** What a validator says that it orders: each rollup's sequence, and all of them together, block by block. */

import { rpcBatch } from '@squad/service';
import type { Hex } from '@squad/types';
import { z } from 'zod';
import { type TestnetProcess, waitFor } from '../src/index.ts';
import type { Member } from './rollups-load.ts';

const BLOCKS_PER_REQUEST = 50;

const Batch = z.object({ author: z.number(), seq: z.number(), transactions: z.array(z.string()) });
type Batch = z.infer<typeof Batch>;
const Told = z.object({ stage: z.enum(['soft', 'final']), height: z.number(), batches: z.array(Batch) });

interface Sequence {
  /** The final height up to which it was told. */
  height: number;
  readonly blocks: { readonly height: number; readonly batches: readonly Batch[] }[];
}

/** Final blocks of many rollups' sequences from one validator, as they come. */
export class SequenceReader {
  readonly #node: TestnetProcess;
  readonly #socket: WebSocket;
  readonly #sequences: ReadonlyMap<number, Sequence>;

  constructor(node: TestnetProcess, rollupIds: readonly number[]) {
    this.#node = node;
    this.#sequences = new Map(rollupIds.map((rollupId) => [rollupId, { height: 0, blocks: [] }]));
    const bySubscription = new Map<string, Sequence>();
    this.#socket = new WebSocket(node.webSocketUrl);
    this.#socket.onopen = () => {
      for (const rollupId of rollupIds) {
        const params = ['sequence', rollupId, 1];
        this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id: rollupId, method: 'squad_subscribe', params }));
      }
    };
    this.#socket.onmessage = ({ data }) => {
      type Message = { id?: number; result?: string; params?: { subscription: string; result: unknown } };
      const { id, result, params } = JSON.parse(data) as Message;
      if (id !== undefined) return void bySubscription.set(result!, this.#sequences.get(id)!);
      const { stage, height, batches } = Told.parse(params!.result);
      if (stage !== 'final') return;
      const sequence = bySubscription.get(params!.subscription)!;
      sequence.height = height;
      if (batches.length > 0) sequence.blocks.push({ height, batches });
    };
  }

  /** Resolves once all of these rollups' transactions were told as final. */
  async have(wanted: ReadonlyMap<number, ReadonlySet<Hex>>, timeoutMs: number): Promise<void> {
    for (const [rollupId, transactions] of wanted) {
      const missing = new Set<string>(transactions);
      const sequence = this.#sequences.get(rollupId)!;
      let looked = 0;
      await waitFor(
        `${this.#node.name} tells of ${missing.size} final transactions of rollup ${rollupId}`,
        () => {
          for (; looked < sequence.blocks.length; looked++) {
            for (const { transactions: told } of sequence.blocks[looked]!.batches)
              for (const raw of told) missing.delete(raw);
          }
          if (missing.size > 0) throw new Error(`${missing.size} are missing at height ${sequence.height}`);
          return true;
        },
        timeoutMs,
      );
    }
  }

  async reach(height: number, timeoutMs: number): Promise<void> {
    for (const [rollupId, sequence] of this.#sequences) {
      const what = `${this.#node.name} tells of height ${height} of rollup ${rollupId}`;
      await waitFor(what, () => sequence.height >= height, timeoutMs);
    }
  }

  /** A rollup's transactions up to a height, in their order. */
  transactions(rollupId: number, height: number): Hex[] {
    const { blocks } = this.#sequences.get(rollupId)!;
    return blocks
      .filter((block) => block.height <= height)
      .flatMap(({ batches }) => batches.flatMap(({ transactions }) => transactions as Hex[]));
  }

  /** A rollup's batches up to a height. */
  batchCount(rollupId: number, height: number): number {
    const { blocks } = this.#sequences.get(rollupId)!;
    return blocks.reduce((sum, block) => sum + (block.height <= height ? block.batches.length : 0), 0);
  }

  /** Every block up to a height: the transactions of all rollups in the order of its refs, and the bytes of its encoding. */
  async blocks(height: number): Promise<{ members: Member[]; encodedBytes: number }[]> {
    const batches = new Map<string, Batch>();
    for (const [rollupId, { blocks }] of this.#sequences) {
      for (const block of blocks) for (const batch of block.batches) batches.set(nameOf({ ...batch, rollupId }), batch);
    }
    const found: { members: Member[]; encodedBytes: number }[] = [];
    for (let from = 1; from <= height; from += BLOCKS_PER_REQUEST) {
      const heights = Array.from({ length: Math.min(BLOCKS_PER_REQUEST, height - from + 1) }, (_, i) => from + i);
      const calls = heights.map((at) => ({ method: 'squad_getBlock', params: [at] }));
      for (const outcome of await rpcBatch(this.#node.rpcUrl, calls)) {
        if (!outcome.ok) throw outcome.error;
        const { refs, encoded } = Block.parse(outcome.value);
        const members = refs.flatMap((ref) => {
          const { transactions } = batches.get(nameOf(ref))!;
          return transactions.map((transaction) => ({ rollupId: ref.rollupId, transaction: transaction as Hex }));
        });
        found.push({ members, encodedBytes: (encoded.length - 2) / 2 });
      }
    }
    return found;
  }

  close(): void {
    this.#socket.close();
  }
}

const Ref = z.object({ author: z.number(), seq: z.number(), rollupId: z.number() });
const Block = z.object({ refs: z.array(Ref), encoded: z.string() });

const nameOf = ({ author, seq, rollupId }: z.infer<typeof Ref>) => `${rollupId} ${author} ${seq}`;
