/** A steady stream of transactions to given nodes, which remembers what each of them accepted. */

import { rpcBatch } from '@squad/service';
import type { TestnetProcess } from '../src/index.ts';
import { ACCOUNTS, Signer } from './accounts.ts';

/** Transactions in one request. */
const BURST = 10;
const PAUSE_MS = 50;

export interface Load {
  /** Hashes that a node answered for, by its name. */
  accepted(name: string): readonly string[];
  /** Resolves with the number of refused or unanswered requests. */
  stop(): Promise<number>;
}

/** One account a node, so that nonces stay in order; `nonces`: where each account stands, moved on by the load. */
export function startLoad(nodes: readonly TestnetProcess[], chainId: number, nonces: Map<number, number>): Load {
  const accepted = new Map<string, string[]>(nodes.map(({ name }) => [name, []]));
  let running = true;
  let failures = 0;
  const streams = nodes.map(async (node, index) => {
    const signer = new Signer(ACCOUNTS[index]!, chainId, nonces.get(index) ?? 0);
    while (running) {
      const burst = await Promise.all(
        Array.from({ length: BURST }, () => signer.sign({ to: ACCOUNTS[9]!.address, value: 1n })),
      );
      try {
        const outcomes = await rpcBatch(
          node.rpcUrl,
          burst.map(({ raw }) => ({ method: 'eth_sendRawTransaction', params: [raw] })),
          { timeoutMs: 5_000 },
        );
        for (const [i, outcome] of outcomes.entries()) {
          if (outcome.ok) accepted.get(node.name)!.push(burst[i]!.hash);
          else failures++;
        }
      } catch {
        // The node is down: what it was just sent may or may not have been taken.
        failures++;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    nonces.set(index, signer.nonce);
  });
  return {
    accepted: (name) => accepted.get(name)!,
    stop: async () => {
      running = false;
      await Promise.all(streams);
      return failures;
    },
  };
}
