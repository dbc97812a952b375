/** Follows a subscription over WebSocket, and subscribes again when the connection was lost. */

import { WebSocket } from 'ws';
import { MAX_RPC_CLIENT_ANSWER_BYTES, WEBSOCKET_PING_INTERVAL_MS } from '../limits.ts';
import { outcomeOf, unreachable } from './client.ts';

export interface FollowOptions {
  /** ws://host:port */
  readonly url: string;
  /** Such as `squad_subscribe`. */
  readonly method: string;
  /** Asked for at every connection, so that a follower resumes where it was. */
  readonly params: () => readonly unknown[];
  readonly onNotification: (result: unknown) => void;
  /** Subscribed, the first time and after every reconnection. */
  readonly onSubscribed?: () => void;
  /** The connection was lost or refused; it is tried again after `retryMs` unless `close` was called. */
  readonly onLost?: (error: Error) => void;
  /** Default 1,000. */
  readonly retryMs?: number;
  /** Default `MAX_RPC_CLIENT_ANSWER_BYTES`. */
  readonly maxMessageBytes?: number;
  /** A server that answers no ping in one interval is taken for lost. Default `WEBSOCKET_PING_INTERVAL_MS`. */
  readonly pingIntervalMs?: number;
}

export interface Follower {
  close(): void;
}

export function followSubscription(options: FollowOptions): Follower {
  const { url, retryMs = 1_000 } = options;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let socket: WebSocket | undefined;

  const lost = (error: Error) => {
    if (closed) return;
    options.onLost?.(error);
    // onLost may close.
    if (!closed) timer = setTimeout(connect, retryMs);
  };
  const connect = () => {
    socket = openSubscription(options, lost);
  };
  connect();
  return {
    close: () => {
      closed = true;
      clearTimeout(timer);
      socket?.terminate();
      socket = undefined;
    },
  };

  function openSubscription(settings: FollowOptions, onEnd: (error: Error) => void): WebSocket {
    const { maxMessageBytes = MAX_RPC_CLIENT_ANSWER_BYTES } = settings;
    const connection = new WebSocket(url, { maxPayload: maxMessageBytes, perMessageDeflate: false });
    let reason: Error | undefined;
    const stopPings = watch(connection, settings.pingIntervalMs ?? WEBSOCKET_PING_INTERVAL_MS, () => {
      reason = unreachable(url, new Error('it answers no ping'));
    });
    connection.on('open', () => {
      const params = settings.params();
      connection.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: settings.method, params }));
    });
    connection.on('message', (data) => {
      try {
        onMessage(settings, JSON.parse(data.toString()));
      } catch (error) {
        reason = error instanceof Error ? error : new Error(String(error));
        connection.terminate();
      }
    });
    connection.on('error', (error) => {
      reason ??= unreachable(url, error);
    });
    connection.on('close', (code, text) => {
      stopPings();
      onEnd(
        reason ??
          unreachable(url, new Error(`the connection was closed (${code}${text.length > 0 ? `: ${text}` : ''})`)),
      );
    });
    return connection;
  }

  function onMessage(settings: FollowOptions, message: { method?: unknown; params?: { result?: unknown } }): void {
    if (closed) return;
    if (message.method !== undefined) {
      settings.onNotification(message.params?.result);
      return;
    }
    const outcome = outcomeOf(url, message);
    if (!outcome.ok) throw outcome.error;
    settings.onSubscribed?.();
  }
}

/** Pings, and cuts a connection that answers none in one interval, or is not even open after one. */
function watch(connection: WebSocket, intervalMs: number, onSilent: () => void): () => void {
  let answering = false;
  connection.on('pong', () => {
    answering = true;
  });
  connection.on('open', () => {
    answering = true;
  });
  const timer = setInterval(() => {
    if (!answering) {
      onSilent();
      connection.terminate();
      return;
    }
    answering = false;
    connection.ping();
  }, intervalMs);
  return () => clearInterval(timer);
}
