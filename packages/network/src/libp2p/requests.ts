/** Request and answer: one of each on a stream of their own, with a varint length before them. */

import type { Connection, Stream } from '@libp2p/interface';
import type { NetworkHandlers, PeerId, RequestProtocol } from '../api.ts';
import { requestFailed, requestTimedOut } from '../checks.ts';
import { ProtocolBudget } from '../rate-limit.ts';
import type { Host } from './host.ts';
import { PeerTable } from './peer-table.ts';
import { closeStream, readMessage, toError, writeMessage } from './streams.ts';

/** Asks on an open connection. Rejects with `REQUEST_TIMEOUT` or `REQUEST_FAILED`. */
export async function ask(
  host: Host,
  connection: Connection,
  protocol: RequestProtocol,
  request: Uint8Array,
): Promise<Uint8Array> {
  const { limits, statistics } = host;
  const signal = AbortSignal.timeout(limits.requestTimeoutMs);
  let stream: Stream | undefined;
  statistics.requestsSent++;
  try {
    stream = await connection.newStream(host.names.requests[protocol], { signal });
    await writeMessage(stream, request, signal);
    const answer = await readMessage(stream, limits.maxAnswerBytes, signal);
    closeStream(stream, limits.requestTimeoutMs);
    return answer;
  } catch (cause) {
    statistics.requestsFailed++;
    stream?.abort(toError(cause));
    const peer = connection.remotePeer.toString();
    if (signal.aborted) throw requestTimedOut(peer, protocol, limits.requestTimeoutMs, cause);
    throw requestFailed(peer, protocol, toError(cause).message, cause);
  }
}

interface Asker {
  readonly budget: ProtocolBudget;
  inFlight: number;
}

/** Answers the requests of validators and edge peers within their rates. */
export class RequestServer {
  readonly #host: Host;
  readonly #answer: NetworkHandlers['onRequest'];
  readonly #askers: PeerTable<Asker>;
  #answerBytesInFlight = 0;

  constructor(host: Host, answer: NetworkHandlers['onRequest']) {
    const { limits, directory } = host;
    this.#host = host;
    this.#answer = answer;
    this.#askers = new PeerTable((peer) => ({
      budget: new ProtocolBudget(
        directory.has(peer) ? limits.validatorRequestRate : limits.edgeRequestRate,
        Date.now(),
      ),
      inFlight: 0,
    }));
  }

  /** The set has changed: others have a validator's rate now. Requests that are being answered no longer count. */
  validatorsChanged(): void {
    this.#askers.clear();
  }

  async serve(protocol: RequestProtocol, stream: Stream, connection: Connection): Promise<void> {
    const peer = connection.remotePeer.toString();
    const asker = this.#askers.get(peer);
    if (!this.#admit(peer, asker)) {
      stream.abort(new Error('too many requests'));
      return;
    }
    asker.inFlight++;
    try {
      await this.#serve(protocol, stream, peer, asker);
    } catch (error) {
      stream.abort(toError(error));
      this.#host.logger.debug({ peer, protocol, error: toError(error).message }, 'request not answered');
    } finally {
      asker.inFlight--;
    }
  }

  #admit(peer: PeerId, asker: Asker): boolean {
    const { gate, limits } = this.#host;
    if (asker.inFlight >= limits.maxRequestsInFlightPerPeer) gate.strike(peer, 'tooManyRequests');
    else if (!asker.budget.inCredit(Date.now())) gate.strike(peer, 'rate');
    else return true;
    return false;
  }

  async #serve(protocol: RequestProtocol, stream: Stream, peer: PeerId, asker: Asker): Promise<void> {
    const { directory, limits, statistics } = this.#host;
    const request = await this.#read(stream, peer);
    const answer = await this.#answer(peer, protocol, request);
    asker.budget.take(1, answer.length, Date.now());
    if (answer.length > limits.maxAnswerBytes) {
      throw new Error(`the answer has ${answer.length} bytes, more than maxAnswerBytes = ${limits.maxAnswerBytes}`);
    }
    // Edge peers get half of the room, so that slow readers among them do not keep validators from catching up.
    const share = directory.has(peer) ? 1 : 0.5;
    if (this.#answerBytesInFlight + answer.length > share * limits.maxAnswerBytesInFlight) {
      statistics.refusals.tooManyRequests++;
      throw new Error('too many answers are being sent');
    }
    this.#answerBytesInFlight += answer.length;
    try {
      const signal = AbortSignal.timeout(limits.answerTimeoutMs);
      await writeMessage(stream, answer, signal);
      await stream.close({ signal });
      statistics.requestsAnswered++;
    } finally {
      this.#answerBytesInFlight -= answer.length;
    }
  }

  async #read(stream: Stream, peer: PeerId): Promise<Uint8Array> {
    const { limits, gate } = this.#host;
    const signal = AbortSignal.timeout(limits.requestTimeoutMs);
    try {
      return await readMessage(stream, limits.maxRequestBytes, signal);
    } catch (error) {
      gate.strike(peer, 'requestInvalid');
      throw error;
    }
  }
}
