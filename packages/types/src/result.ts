/** Expected failures are values. Bugs throw. */

export type Result<T, E = DecodeError> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E };

/** Bytes that are not a canonical encoding of what they should be. `what` names the type, `reason` the fault. */
export interface DecodeError {
  readonly code: 'DECODE';
  readonly what: string;
  readonly reason: string;
}

export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function err<E>(error: E): { readonly ok: false; readonly error: E } {
  return { ok: false, error };
}

/**
 * An error that a person reads: what happened, with which input, and what to do about it.
 *
 * @example
 * const verified = verifyReceipt(new Uint8Array(), checkpoint);
 * if (!verified.ok) console.log(verified.error.code, verified.error.message, verified.error.remedy);
 */
export class SquadError extends Error {
  readonly code: string;
  readonly remedy: string;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, remedy: string, data: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'SquadError';
    this.code = code;
    this.remedy = remedy;
    this.data = data;
  }
}
