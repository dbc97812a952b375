/** What a rollup asks of its transactions beyond what all have to meet: a port, and what the genesis file can say. */

import type { GenesisRollup } from '@squad/types';
import type { Admitted } from './admission.ts';
import { type Rejection, refused, transactionTooLarge } from './rejection.ts';

/**
 * A rollup's own word at the door. It is asked after all other checks, once for each transaction, on the main thread. It
 * binds honest validators only: what another one orders all the same is for the rollup's rules to skip.
 */
export interface RollupPolicy {
  /** Why a transaction is not let in; undefined if it is. Must not throw. */
  refusal(transaction: Uint8Array, admitted: Admitted): Rejection | undefined;
}

/** By the rollup's parameters in the genesis file; undefined if it has none that concern single transactions. */
export function genesisPolicy({
  rollupId,
  maxTransactionBytes,
  minFeePerGas,
}: GenesisRollup): RollupPolicy | undefined {
  if (maxTransactionBytes === undefined && minFeePerGas === undefined) return undefined;
  return {
    refusal: (transaction, { evm }) => {
      if (maxTransactionBytes !== undefined && transaction.length > maxTransactionBytes) {
        return transactionTooLarge(transaction.length, maxTransactionBytes);
      }
      if (minFeePerGas !== undefined && evm !== undefined && evm.maxFeePerGas < BigInt(minFeePerGas)) {
        return refused(
          'FEE_TOO_LOW',
          `transaction underpriced: max fee per gas ${evm.maxFeePerGas}, rollup ${rollupId} asks for ${minFeePerGas}`,
          `Set maxFeePerGas, or the gas price, to ${minFeePerGas} wei or more.`,
        );
      }
      return undefined;
    },
  };
}
