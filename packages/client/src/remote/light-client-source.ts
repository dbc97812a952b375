/** A sequencer as a source of the light client. */

import { decodeBlockProof, decodeHandOverProof, fromHex, isHex } from '@squad/types';
import type { LightClientSource } from '../light/light-client.ts';
import { badAnswer, type CallOptions, call } from './call.ts';

/**
 * Asks `squad_getHandOver` and `squad_getBlockProof` of an endpoint.
 *
 * @example
 * const client = new LightClient({ checkpoint, validatorSet });
 * await client.advance([lightClientSource('http://127.0.0.1:8640')]);
 */
export function lightClientSource(endpoint: string, options: CallOptions = {}): LightClientSource {
  return {
    name: endpoint,
    async handOver(epoch) {
      const answer = await call(endpoint, 'squad_getHandOver', [epoch], options);
      return answer === null ? undefined : decoded(endpoint, answer, decodeHandOverProof);
    },
    async finalBlock() {
      const answer = (await call(endpoint, 'squad_getBlockProof', ['final'], options)) as { encoded?: unknown } | null;
      return answer === null ? undefined : decoded(endpoint, answer.encoded, decodeBlockProof);
    },
  };
}

function decoded<T>(
  endpoint: string,
  hex: unknown,
  decode: (bytes: Uint8Array) => { ok: true; value: T } | { ok: false; error: { reason: string } },
): T {
  if (!isHex(hex)) throw badAnswer(endpoint, 'what should be 0x-hex is not');
  const value = decode(fromHex(hex));
  if (value.ok) return value.value;
  throw badAnswer(endpoint, value.error.reason);
}
