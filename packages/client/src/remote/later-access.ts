/** Proofs of epochs after an access's checkpoint: the set is reached by hand-over proofs, once for all who use the access. */

import { type SquadError, toHex, type ValidatorSet, validatorSetHash } from '@squad/types';
import { LightClient } from '../light/light-client.ts';
import { type NetworkAccess, tellLie } from './api.ts';
import { lightClientSource } from './light-client-source.ts';

interface Track {
  readonly client: LightClient;
  /** One at a time. */
  advancing: Promise<unknown> | undefined;
}

/** By the set that an access begins with. */
const tracks = new WeakMap<ValidatorSet, Track>();

/**
 * The same access with the checkpoint of a later set, if the endpoints prove that this set follows; undefined if they do not.
 * Throws `CONFLICTING_HISTORY`.
 */
export async function laterAccess(access: NetworkAccess, claimed: ValidatorSet): Promise<NetworkAccess | undefined> {
  const track = trackOf(access);
  const hash = toHex(validatorSetHash(claimed));
  if (!track.client.knownSet(hash) && claimed.epoch > track.client.known.validatorSet.epoch) {
    const { endpoints, timeoutMs } = access;
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    track.advancing ??= track.client
      .advance(endpoints.map((endpoint) => lightClientSource(endpoint, options)))
      .finally(() => {
        track.advancing = undefined;
      });
    await track.advancing;
  }
  const known = track.client.knownSet(hash);
  return known && { ...access, ...known };
}

function trackOf(access: NetworkAccess): Track {
  const before = tracks.get(access.validatorSet);
  if (before) return before;
  const onRefused = (refusal: { source: string; error: SquadError }) => tellLie(access, refusal.source, refusal.error);
  const track: Track = { client: new LightClient({ ...access, onRefused }), advancing: undefined };
  tracks.set(access.validatorSet, track);
  return track;
}

/** For whoever asks again and again: all errors but this one may pass. */
export function unlessConflict(error: unknown): undefined {
  if ((error as { code?: unknown } | null)?.code === 'CONFLICTING_HISTORY') throw error;
}
