/** What the functions that ask sequencers have in common: whom they ask, what they trust, and what they say of liars. */

import type { HandOverFault } from '@squad/crypto';
import type { Genesis, Height, SquadError, ValidatorSet } from '@squad/types';
import type { VerificationErrorCode } from '../errors.ts';
import type { ProofOptions } from '../proof/block-proof.ts';
import { type Checkpoint, checkpointOf } from '../proof/checkpoint.ts';

/**
 * What a network's genesis file lets one trust, and whom to ask.
 *
 * @example
 * const network = networkAccess(genesis, ['https://a.example:9545', 'https://b.example:9545']);
 */
export function networkAccess(
  genesis: Genesis,
  endpoints: readonly string[],
  options: Omit<NetworkAccess, 'endpoints' | 'checkpoint' | 'validatorSet'> = {},
): NetworkAccess {
  return { endpoints, checkpoint: checkpointOf(genesis), validatorSet: genesis.validatorSet, ...options };
}

export interface NetworkAccess extends ProofOptions {
  /** JSON-RPC addresses of sequencers, http or https; at least one, best those of F + 1 validators or more. */
  readonly endpoints: readonly string[];
  /** `checkpointOf(genesis)`, or a later one of the light client. */
  readonly checkpoint: Checkpoint;
  /** That of the checkpoint. */
  readonly validatorSet: ValidatorSet;
  /** Milliseconds that one call may take. Default `CALL_TIMEOUT_MS`. */
  readonly timeoutMs?: number;
  /** Told of each endpoint that gave what fails verification, or less than others prove that there is. */
  readonly onLiar?: (liar: Liar) => void;
}

/**
 * `STALE_HEAD`: others prove a final block that it did not give. `PROTOCOL`: it gave what it was not asked for. The rest as
 * the verifier says.
 */
export type LiarCode = VerificationErrorCode | HandOverFault['code'] | 'STALE_HEAD' | 'PROTOCOL';

/** Whom not to ask again, and why. */
export interface Liar {
  readonly endpoint: string;
  readonly code: LiarCode;
  /** What was wrong, at which height. */
  readonly message: string;
  readonly height: Height | undefined;
}

/** Milliseconds that an endpoint has to answer a call. */
export const CALL_TIMEOUT_MS = 5_000;
/** Characters of one answer: a largest receipt in hex and its names. */
export const MAX_ANSWER_CHARACTERS: number = 4 * 1024 * 1024;
/** Endpoints of one `NetworkAccess`. */
export const MAX_ENDPOINTS = 256;

/** Tells who gave what was refused. */
export function tellLie(
  { onLiar }: Pick<NetworkAccess, 'onLiar'>,
  endpoint: string,
  error: SquadError,
  height?: Height,
): void {
  onLiar?.({ endpoint, code: error.code as LiarCode, message: error.message, height });
}
