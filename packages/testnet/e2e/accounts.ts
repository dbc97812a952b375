/** The ten development accounts, signing without asking a node for anything. */

import { DEVELOPMENT_MNEMONIC } from '@squad/rollup-node/config';
import { type Hex, keccak256 } from 'viem';
import { type HDAccount, mnemonicToAccount } from 'viem/accounts';

export const ACCOUNTS: readonly HDAccount[] = Array.from({ length: 10 }, (_, addressIndex) =>
  mnemonicToAccount(DEVELOPMENT_MNEMONIC, { addressIndex }),
);

const GWEI = 10n ** 9n;

export interface Draft {
  readonly to?: Hex;
  readonly value?: bigint;
  readonly data?: Hex;
  readonly gas?: bigint;
}

export interface Signed {
  readonly raw: Hex;
  readonly hash: Hex;
}

/** Counts nonces for one account and signs EIP-1559 transactions in their order. */
export class Signer {
  readonly account: HDAccount;
  readonly #chainId: number;
  #nonce: number;

  constructor(account: HDAccount, chainId: number, nonce = 0) {
    this.account = account;
    this.#chainId = chainId;
    this.#nonce = nonce;
  }

  get nonce(): number {
    return this.#nonce;
  }

  async sign(draft: Draft): Promise<Signed> {
    const raw = await this.account.signTransaction({
      type: 'eip1559',
      chainId: this.#chainId,
      nonce: this.#nonce++,
      gas: 21_000n,
      maxFeePerGas: 100n * GWEI,
      maxPriorityFeePerGas: GWEI,
      ...draft,
    });
    return { raw, hash: keccak256(raw) };
  }
}

/**
 * A contract that counts its calls in slot 0, emits LOG1 with topic 42 and the new count, and returns the count:
 * SLOAD(0) + 1, DUP, SSTORE(0), MSTORE(0), LOG1(0, 32, 42), RETURN(0, 32).
 */
const COUNTER_RUNTIME = '6000546001018060005560005260' + '2a60206000a160206000f3';
/** Copies the runtime, 25 bytes after these 12, and returns it. */
export const COUNTER_CODE: Hex = `0x6019600c60003960196000f3${COUNTER_RUNTIME}`;
export const COUNTER_TOPIC: Hex = `0x${'2a'.padStart(64, '0')}`;
