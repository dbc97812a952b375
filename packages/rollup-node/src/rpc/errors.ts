/** Errors of the eth_* methods, worded as other Ethereum nodes word them: wallets match on the words. */

import { RpcCode, RpcError } from '@squad/service';
import { type Hex, toHex } from '@squad/types';
import type { CallResult } from '../execution/evm/reader.ts';
import { errorString } from '../execution/evm/revert.ts';

/** Execution reverted: the code that geth gives it. */
export const REVERTED = 3;

/** `data` is the contract's own, plain hex as wallets expect it. */
class RevertError extends RpcError {
  constructor(message: string, data: Hex) {
    super(REVERTED, message);
    Object.defineProperty(this, 'data', { value: data, enumerable: true });
  }
}

export function callError(result: CallResult & { readonly ok: false }): RpcError {
  if ('refused' in result) return refusedCall(result.refused.sentence);
  if (!result.reverted) {
    return refused(result.reason, 'CALL_FAILED', 'Look at the gas and the input of the call, and at the contract.');
  }
  return new RevertError(revertMessage(result.data), toHex(result.data));
}

export function refusedCall(message: string): RpcError {
  return refused(message, 'CALL_REFUSED', 'Change the call as the message says.');
}

export function revertMessage(data: Uint8Array): string {
  const reason = revertReason(data);
  return reason === undefined ? 'execution reverted' : `execution reverted: ${reason}`;
}

export function refused(
  message: string,
  code: string,
  remedy: string,
  details: Record<string, unknown> = {},
): RpcError {
  return new RpcError(RpcCode.refused, message, { code, remedy, ...details });
}

export function unknownBlock(message = 'header not found'): RpcError {
  return refused(message, 'UNKNOWN_BLOCK', 'Ask for a block up to eth_blockNumber, or one of the tags.');
}

const PANIC = '4e487b71';

/** Solidity's Error(string) and Panic(uint256). */
function revertReason(data: Uint8Array): string | undefined {
  const selector = Buffer.from(data.subarray(0, 4)).toString('hex');
  if (selector === PANIC && data.length === 36) return `panic code 0x${data[35]!.toString(16).padStart(2, '0')}`;
  return errorString(data);
}
