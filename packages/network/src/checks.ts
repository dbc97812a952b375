/** What both implementations check of their caller, and the errors that both answer with. */

import { SquadError } from '@squad/types';
import type { Channel, PeerId } from './api.ts';
import type { NetworkLimits } from './limits.ts';

export function maxFrameBytes(channel: Channel, limits: NetworkLimits): number {
  return channel === 'consensus' ? limits.maxConsensusFrameBytes : limits.maxDataFrameBytes;
}

/** Throws `FRAME_INVALID`: the receiver would take it for an attack. */
export function checkFrame(channel: Channel, frame: Uint8Array, limits: NetworkLimits): void {
  const maxBytes = maxFrameBytes(channel, limits);
  if (frame.length > 0 && frame.length <= maxBytes) return;
  throw new SquadError(
    'FRAME_INVALID',
    `a frame for the ${channel} channel has ${frame.length} bytes, not within 1 to ${maxBytes}`,
    'Split it, or send less in it.',
    { channel, length: frame.length, maxBytes },
  );
}

/** Throws `FRAME_INVALID`. */
export function checkFeedFrame(frame: Uint8Array, maxBytes: number): void {
  if (frame.length > 0 && frame.length <= maxBytes) return;
  throw new SquadError(
    'FRAME_INVALID',
    `a frame for a feed has ${frame.length} bytes, not within 1 to ${maxBytes}`,
    'Split it, or send less in it.',
    { length: frame.length, maxBytes },
  );
}

/** Throws `GOSSIP_TOO_LARGE`. */
export function checkGossipSize(message: Uint8Array, maxBytes: number): void {
  if (message.length <= maxBytes) return;
  throw new SquadError(
    'GOSSIP_TOO_LARGE',
    `a gossip message has ${message.length} bytes, more than maxGossipMessageBytes = ${maxBytes}`,
    'Put fewer transactions into one message.',
    { length: message.length, maxBytes },
  );
}

/** Throws `FEED_FULL`: a sender that does not wait must not fill the memory. One frame is always taken. */
export function checkFeedQueue(queuedBytes: number, frame: Uint8Array, maxBytes: number, peer: PeerId): void {
  if (queuedBytes === 0 || queuedBytes + frame.length <= maxBytes) return;
  throw new SquadError(
    'FEED_FULL',
    `${queuedBytes} bytes wait to be sent on the feed with ${peer}`,
    'Wait for earlier frames before sending more.',
    { peer, queuedBytes, maxBytes },
  );
}

export function feedClosed(peer: PeerId, cause?: unknown): SquadError {
  return new SquadError('FEED_CLOSED', `the feed with ${peer} is closed`, 'Open another one.', { peer }, cause);
}

/** `REQUEST_TIMEOUT`. */
export function requestTimedOut(peer: PeerId, protocol: string, timeoutMs: number, cause?: unknown): SquadError {
  const message = `${peer} did not answer a ${protocol} request within ${timeoutMs} ms`;
  return new SquadError('REQUEST_TIMEOUT', message, 'Ask another validator.', { peer, protocol, timeoutMs }, cause);
}

/** `REQUEST_FAILED`. */
export function requestFailed(peer: PeerId, protocol: string, reason: string, cause?: unknown): SquadError {
  const message = `a ${protocol} request to ${peer} failed: ${reason}`;
  return new SquadError('REQUEST_FAILED', message, 'Ask another validator.', { peer, protocol }, cause);
}

/** `NOT_CONNECTED`. */
export function notConnected(
  validator: number | PeerId,
  reason = 'there is no connection',
  cause?: unknown,
): SquadError {
  const message = `validator ${validator} is not reached: ${reason}`;
  return new SquadError('NOT_CONNECTED', message, 'Try another validator.', { validator }, cause);
}

/** `UNKNOWN_VALIDATOR`. */
export function unknownValidator(index: number, count: number): SquadError {
  return new SquadError(
    'UNKNOWN_VALIDATOR',
    `there is no validator ${index}: the set has ${count}`,
    'Use a position of the validator set that the network was created with.',
    { index, validators: count },
  );
}
