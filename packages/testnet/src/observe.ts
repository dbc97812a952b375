/** Asks a process how it does. Never throws: what does not answer is an observation too. */

import { rpcCall } from '@squad/service';
import { z } from 'zod';

/** Longer, and a node counts as one that does not answer. */
export const OBSERVATION_TIMEOUT_MS = 2_000;

const Head = z.object({ height: z.number(), l1Anchor: z.object({ number: z.number() }).optional() });

/** Both roles' answers; each has some of the fields. */
const Status = z
  .object({
    ready: z.boolean(),
    reasons: z.array(z.string()),
    view: z.number(),
    soft: Head,
    final: Head,
    softHeight: z.number(),
    finalHeight: z.number(),
    softLagMs: z.number(),
    finalLagMs: z.number(),
    peerCount: z.number(),
    peers: z.number(),
    /** Final ones, a counter. */
    transactions: z.number(),
  })
  .partial()
  .required({ ready: true, reasons: true });

export interface NodeObservation {
  readonly name: string;
  readonly state: 'ready' | 'syncing' | 'unreachable' | 'exited';
  /** Why it is not ready. */
  readonly detail?: string;
  readonly view?: number;
  readonly softHeight?: number;
  readonly finalHeight?: number;
  readonly softLagMs?: number;
  readonly finalLagMs?: number;
  readonly peers?: number;
  readonly transactions?: number;
  /** Number of the L1 block that is the final head's anchor; 0: the network follows no L1. */
  readonly l1Anchor?: number;
  readonly observedAtMs: number;
}

export async function observe(name: string, rpcUrl: string): Promise<NodeObservation> {
  try {
    const status = await rpcCall(rpcUrl, 'squad_status', [], Status, { timeoutMs: OBSERVATION_TIMEOUT_MS });
    const { ready, reasons, soft, final, peerCount, ...rest } = status;
    const numbers = {
      softHeight: soft?.height,
      finalHeight: final?.height,
      peers: peerCount,
      l1Anchor: final?.l1Anchor?.number,
      ...rest,
    };
    return {
      name,
      state: ready ? 'ready' : 'syncing',
      ...(ready || reasons[0] === undefined ? {} : { detail: reasons[0] }),
      ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)),
      observedAtMs: Date.now(),
    };
  } catch (error) {
    return { name, state: 'unreachable', detail: (error as Error).message, observedAtMs: Date.now() };
  }
}
