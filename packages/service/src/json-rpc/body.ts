/** Reading the body of an HTTP request within its limits: bytes, pieces, and the memory that is left. */

import type { Readable } from 'node:stream';
import { MAX_RPC_BODY_PIECES } from '../limits.ts';
import { bodyInPieces, bodyTooLarge, serverBusy } from './error.ts';
import type { Held } from './memory.ts';

const FIRST_BUFFER_BYTES = 4096;

/**
 * The text of a body. Rejects with an `RpcError`: `BODY_TOO_LARGE`, `BODY_IN_PIECES`, `SERVER_BUSY`, or with the stream's
 * error. It is copied together as it comes: pieces that were kept would cost a hundred times their bytes if they were tiny.
 */
export function readBody(stream: Readable, maxBytes: number, held: Held): Promise<string> {
  return new Promise((resolve, reject) => {
    let body = Buffer.alloc(0);
    let length = 0;
    let pieces = 0;
    const fail = (error: Error) => {
      stream.off('data', onData);
      // What still comes is dropped until the answer closes the connection.
      stream.resume();
      reject(error);
    };
    const onData = (piece: Buffer) => {
      if (length + piece.length > maxBytes) return fail(bodyTooLarge(maxBytes));
      if (++pieces > MAX_RPC_BODY_PIECES) return fail(bodyInPieces(MAX_RPC_BODY_PIECES));
      if (length + piece.length > body.length) {
        const grown = Math.min(maxBytes, Math.max(FIRST_BUFFER_BYTES, 2 * body.length, length + piece.length));
        if (!held.take(grown - body.length)) return fail(serverBusy());
        const larger = Buffer.allocUnsafe(grown);
        body.copy(larger, 0, 0, length);
        body = larger;
      }
      piece.copy(body, length);
      length += piece.length;
    };
    stream.on('data', onData);
    stream.once('end', () => {
      const text = body.toString('utf8', 0, length);
      // The stream lives until the request is answered, and its listeners with it.
      body = Buffer.alloc(0);
      resolve(text);
    });
    stream.once('error', fail);
  });
}
