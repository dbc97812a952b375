/**
 * Bodies for a CometBFT node with its kvstore: a JSON-RPC batch of broadcast_tx_sync. A transaction is `number=value`, the
 * number 12 decimal digits: 3 of the client, 9 of the counter. Base64 turns each three digits into four characters, so a
 * number is changed in place.
 */

/** Characters of base64 that hold the number. */
export const COMETBFT_NUMBER_CHARACTERS = 16;
const COUNTERS = 1e9;

const GROUPS: readonly Buffer[] = Array.from({ length: 1000 }, (_, group) =>
  Buffer.from(Buffer.from(String(group).padStart(3, '0')).toString('base64'), 'latin1'),
);

export interface CometbftBodyOptions {
  readonly transactionBytes: number;
  readonly transactionsPerRequest: number;
  readonly client: number;
  readonly fill: (bytes: Uint8Array) => void;
}

export class CometbftBody {
  readonly bytes: Buffer;
  readonly #numbersAt: readonly number[];
  readonly #client: number;

  constructor({ transactionBytes, transactionsPerRequest, client, fill }: CometbftBodyOptions) {
    const numbersAt: number[] = [];
    let text = '[';
    for (let i = 0; i < transactionsPerRequest; i++) {
      const random = Buffer.alloc(transactionBytes);
      fill(random);
      // Its own alphabet has neither = nor :, which kvstore takes for the end of the key.
      const value = random.toString('base64url').slice(0, transactionBytes - 13);
      const transaction = Buffer.from(`000000000000=${value}`, 'latin1').toString('base64');
      text += `${i === 0 ? '' : ','}{"jsonrpc":"2.0","id":${i},"method":"broadcast_tx_sync","params":{"tx":"`;
      numbersAt.push(text.length);
      text += `${transaction}"}}`;
    }
    this.bytes = Buffer.from(`${text}]`, 'latin1');
    this.#numbersAt = numbersAt;
    this.#client = client;
  }

  /** Numbers the transactions from `first` on. */
  number(first: number): void {
    for (const [i, at] of this.#numbersAt.entries()) {
      let rest = this.#client * COUNTERS + first + i;
      for (let group = 3; group >= 0; group--) {
        GROUPS[rest % 1000]!.copy(this.bytes, at + group * 4);
        rest = Math.floor(rest / 1000);
      }
    }
  }
}

/** The number in a transaction as a block shows it, in base64; undefined if it is another client's. */
export function cometbftNumber(base64: string, client: number): number | undefined {
  const number = Number(Buffer.from(base64.slice(0, COMETBFT_NUMBER_CHARACTERS), 'base64').toString('latin1'));
  return Math.floor(number / COUNTERS) === client ? number % COUNTERS : undefined;
}
