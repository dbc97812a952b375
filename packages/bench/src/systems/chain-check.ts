/** Whether all sequencers have the same final blocks, and no batch in two of them. */

import { rpcBatch, rpcCall } from '@squad/service';
import { type TestnetProcess, waitFor } from '@squad/testnet';
import { SquadError } from '@squad/types';
import { z } from 'zod';

const BLOCKS_PER_REQUEST = 100;
const TIMEOUT_MS = 60_000;

const Status = z.object({ final: z.object({ height: z.number() }), soft: z.object({ height: z.number() }) });
const Block = z.object({
  stage: z.string(),
  hash: z.string(),
  timestampMs: z.number(),
  refs: z.array(z.object({ author: z.number(), seq: z.number() })),
});
type Block = z.infer<typeof Block>;

export interface CommonChain {
  /** Every node has the same final blocks up to here. */
  readonly height: number;
  /** Batches that stand in two places. */
  readonly repeatedBatches: number;
  /** Between the first and the last timestamp. */
  readonly seconds: number;
}

/**
 * Throws `CHAINS_DIFFER` if two nodes have different final blocks at a height. The height is one that every node reaches
 * and that lies above what any of them had as its final or soft head when asked.
 */
export async function commonChain(nodes: readonly TestnetProcess[]): Promise<CommonChain> {
  const heads = await Promise.all(nodes.map(({ rpcUrl }) => rpcCall(rpcUrl, 'squad_status', [], Status)));
  const height = Math.max(...heads.map(({ final, soft }) => Math.max(final.height, soft.height)));
  await Promise.all(nodes.map((node) => waitHeight(node, height)));
  const seen = new Set<string>();
  let repeatedBatches = 0;
  let firstMs: number | undefined;
  let lastMs = 0;
  for (let from = 1; from <= height; from += BLOCKS_PER_REQUEST) {
    const count = Math.min(BLOCKS_PER_REQUEST, height - from + 1);
    const chains = await Promise.all(nodes.map((node) => blocksOf(node, from, count)));
    for (const [index, block] of chains[0]!.entries()) {
      for (const [other, chain] of chains.entries()) {
        if (chain[index]!.hash !== block.hash) throw differ(from + index, nodes[0]!.name, nodes[other]!.name);
      }
      firstMs ??= block.timestampMs;
      lastMs = block.timestampMs;
      for (const { author, seq } of block.refs) {
        const key = `${author}/${seq}`;
        if (seen.has(key)) repeatedBatches++;
        seen.add(key);
      }
    }
  }
  return { height, repeatedBatches, seconds: (lastMs - (firstMs ?? lastMs)) / 1000 };
}

async function waitHeight(node: TestnetProcess, height: number): Promise<void> {
  await waitFor(
    `${node.name} has final height ${height}`,
    async () => (await rpcCall(node.rpcUrl, 'squad_status', [], Status)).final.height >= height,
    TIMEOUT_MS,
  );
}

async function blocksOf(node: TestnetProcess, from: number, count: number): Promise<Block[]> {
  const calls = Array.from({ length: count }, (_, i) => ({ method: 'squad_getBlock', params: [from + i] }));
  const outcomes = await rpcBatch(node.rpcUrl, calls, { timeoutMs: TIMEOUT_MS });
  return outcomes.map((outcome, i) => {
    const block = Block.safeParse(outcome.ok ? outcome.value : undefined);
    if (block.success && block.data.stage === 'final') return block.data;
    throw new SquadError('BLOCK_MISSING', `${node.name} has no final block ${from + i}`, 'Read its log.');
  });
}

function differ(height: number, a: string, b: string): SquadError {
  return new SquadError(
    'CHAINS_DIFFER',
    `${a} and ${b} have different final blocks at height ${height}`,
    'This must never happen: keep the data and report it.',
  );
}
