/**
 * A keep-alive HTTP/1.1 connection for POSTs of JSON, one at a time. Written on the socket, as a client library would cost
 * more than the node that is measured.
 */

import { connect, type Socket } from 'node:net';

/** Bytes of one answer. */
const MAX_ANSWER_BYTES: number = 16 * 1024 * 1024;

const HEAD_END = Buffer.from('\r\n\r\n');

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

export class HttpConnection {
  readonly #host: string;
  readonly #port: number;
  readonly #path: string;
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;
  bytesSent = 0;
  bytesReceived = 0;

  constructor(url: string) {
    const { hostname, port, pathname } = new URL(url);
    this.#host = hostname;
    this.#port = Number(port);
    this.#path = pathname;
  }

  get isBusy(): boolean {
    return this.#waiting !== undefined;
  }

  /** Connects; does nothing if it is connected. */
  open(): Promise<void> {
    if (this.#socket !== undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
      socket.once('connect', () => {
        this.#socket = socket;
        resolve();
      });
      socket.on('data', (chunk) => this.#onData(chunk));
      socket.on('error', reject);
      socket.on('close', () => {
        if (this.#socket === socket) this.#lost(new Error(`${this.#host}:${this.#port} closed the connection`));
      });
    });
  }

  /** The body must not change until the answer is there. Rejects if the connection is lost. */
  post(body: Buffer): Promise<Answer> {
    const socket = this.#socket;
    if (socket === undefined) return Promise.reject(new Error(`not connected to ${this.#host}:${this.#port}`));
    if (this.#waiting !== undefined) return Promise.reject(new Error('a request is under way'));
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      const head = `POST ${this.#path} HTTP/1.1\r\nhost: ${this.#host}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
      socket.cork();
      socket.write(head, 'latin1');
      socket.write(body);
      socket.uncork();
      this.bytesSent += head.length + body.length;
    });
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
    this.#lost(new Error('closed'));
  }

  #lost(error: Error): void {
    this.#socket = undefined;
    this.#received = Buffer.alloc(0);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }

  #onData(chunk: Buffer): void {
    this.bytesReceived += chunk.length;
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const answer = readAnswer(this.#received);
    if (answer === undefined && this.#received.length <= MAX_ANSWER_BYTES) return;
    if (answer === undefined || answer === 'malformed') {
      this.#socket?.destroy(new Error('an answer that is malformed or too large'));
      return;
    }
    this.#received = this.#received.subarray(answer.end);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(answer);
  }
}

/** The answer at the start of `bytes`, and where it ends; undefined if it is not all there. */
export function readAnswer(bytes: Buffer): (Answer & { readonly end: number }) | 'malformed' | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const head = bytes.toString('latin1', 0, headEnd);
  const status = Number(head.slice(9, 12));
  const start = headEnd + HEAD_END.length;
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return readChunks(bytes, start, status);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN);
  if (Number.isNaN(length)) return 'malformed';
  const end = start + length;
  return bytes.length < end ? undefined : { status, body: bytes.subarray(start, end), end };
}

/** RFC 9112, section 7.1, without extensions and trailers. */
function readChunks(
  bytes: Buffer,
  start: number,
  status: number,
): (Answer & { end: number }) | 'malformed' | undefined {
  const parts: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const length = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (Number.isNaN(length)) return 'malformed';
    const next = lineEnd + 2 + length + 2;
    if (bytes.length < next) return undefined;
    if (length === 0) return { status, body: Buffer.concat(parts), end: next };
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = next;
  }
}
