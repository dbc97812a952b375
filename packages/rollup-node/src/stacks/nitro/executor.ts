/**
 * The rollup whose execution is Arbitrum Nitro's: of each block the feed message. A transaction that cannot be parsed would
 * make Nitro drop its whole block (`parseL2Message`); what is not valid otherwise, it skips.
 *
 * A block ends where Nitro's own limits would cut it: at the gas limit of the rollup file, counted in gas limits, and at
 * `MAX_L2_MESSAGE_BYTES`.
 */

import { type Bytes32, concatBytes } from '@squad/types';
import type { RollupFile } from '../../config/rollup-file.ts';
import type { BlockSummary } from '../../execution/api.ts';
import { keccak256 } from '../../execution/keccak.ts';
import { OrderedExecutor } from '../../execution/ordered.ts';
import { MAX_L2_MESSAGE_BYTES } from './limits.ts';
import { encodeL2Message, l2MessageBytes, type NitroMessage, signatureHash } from './message.ts';

export class NitroExecutor extends OrderedExecutor {
  readonly kind = 'nitro';

  static async open(file: RollupFile, directory: string): Promise<NitroExecutor> {
    return new NitroExecutor(file, await OrderedExecutor.openBlocks(file, directory));
  }

  /** The message of a durable block: its order is final. Undefined above `latest`, and for 0, which has none. */
  messageAt(number: number): NitroMessage | undefined {
    const block = number > this.latest.number ? undefined : this.sealedAt(number);
    return block && messageOf(block.summary, block.body);
  }

  protected isTooLarge(transactionCount: number, bytes: number): boolean {
    return l2MessageBytes(transactionCount, bytes) > MAX_L2_MESSAGE_BYTES;
  }

  protected encodeBody(transactions: readonly Uint8Array[]): Uint8Array {
    return encodeL2Message(transactions);
  }

  protected hashOf(summary: Omit<BlockSummary, 'hash'>, body: Uint8Array): Bytes32 {
    return keccak256(concatBytes(summary.parentHash, signatureHash(messageOf(summary, body), this.file.rollupId)));
  }
}

function messageOf(summary: Omit<BlockSummary, 'hash'>, l2Message: Uint8Array): NitroMessage {
  return { sequenceNumber: summary.number, timestampSeconds: summary.timestampSeconds, l2Message };
}
