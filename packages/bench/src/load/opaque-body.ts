/**
 * Bodies of squad_sendTransactions with opaque transactions. A body is made once; for each request only the numbers in it
 * change, in place. A transaction begins with its number: 2 bytes of client, 6 bytes of counter.
 */

/** Bytes of a transaction that say which one it is. */
export const TRANSACTION_NUMBER_BYTES = 8;

export interface OpaqueBodyOptions {
  readonly rollupId: number;
  readonly transactionBytes: number;
  readonly transactionsPerRequest: number;
  readonly client: number;
  /** Fills `bytes` with what the transactions hold after their numbers. */
  readonly fill: (bytes: Uint8Array) => void;
}

export class OpaqueBody {
  readonly bytes: Buffer;
  readonly #firstDigit: number;
  readonly #stride: number;
  readonly #count: number;

  constructor(options: OpaqueBodyOptions) {
    const { rollupId, transactionBytes, transactionsPerRequest, client, fill } = options;
    const prefix = `{"jsonrpc":"2.0","id":1,"method":"squad_sendTransactions","params":[${rollupId},[`;
    const transactions = Array.from({ length: transactionsPerRequest }, () => {
      const bytes = Buffer.alloc(transactionBytes);
      fill(bytes);
      bytes.writeUInt16BE(client, 0);
      bytes.writeUIntBE(0, 2, 6);
      return `"0x${bytes.toString('hex')}"`;
    });
    this.bytes = Buffer.from(`${prefix}${transactions.join(',')}],"places"]}`, 'latin1');
    this.#firstDigit = prefix.length + 3 + 4;
    this.#stride = transactionBytes * 2 + 5;
    this.#count = transactionsPerRequest;
  }

  /** Numbers the transactions from `first` on. */
  number(first: number): void {
    for (let i = 0; i < this.#count; i++) {
      let rest = first + i;
      // 12 hex digits, the last one first; leading zeros stand there already, as numbers of a body only grow.
      for (let at = this.#firstDigit + i * this.#stride + 11; rest > 0; at--) {
        const digit = rest % 16;
        this.bytes[at] = digit < 10 ? 48 + digit : 87 + digit;
        rest = (rest - digit) / 16;
      }
    }
  }
}
