/**
 * A keep-alive HTTP/1.1 connection for POSTs of JSON, one at a time. Written on the socket, as a client library would cost
 * more than the node that is measured. Takes answers with a content-length, which is what JSON-RPC servers send.
 */

import { connect, type Socket } from 'node:net';

/** Bytes of one answer. */
export const MAX_ANSWER_BYTES: number = 16 * 1024 * 1024;

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
    const headEnd = this.#received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = this.#received.toString('latin1', 0, headEnd);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN);
    if (!(length <= MAX_ANSWER_BYTES)) {
      this.#socket?.destroy(new Error(`an answer without a fit content-length:\n${head}`));
      return;
    }
    const end = headEnd + HEAD_END.length + length;
    if (this.#received.length < end) return;
    const body = this.#received.subarray(headEnd + HEAD_END.length, end);
    this.#received = this.#received.subarray(end);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve({ status: Number(head.slice(9, 12)), body });
  }
}
