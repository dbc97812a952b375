/** A call that is simulated, why it is refused before it runs, and the unsigned transaction that it is. */

import type { Common } from '@ethereumjs/common';
import { createTx, type TypedTransaction } from '@ethereumjs/tx';
import {
  type Account,
  Address,
  type EOACode7702AuthorizationListBytes as AuthorizationListBytes,
  bigIntToUnpaddedBytes,
  KECCAK256_NULL,
} from '@ethereumjs/util';

/** A call that is simulated. What is absent is as generous as may be: no fee, all the gas allowed. */
export interface CallRequest {
  readonly from: Uint8Array;
  /** Absent: creates a contract. */
  readonly to?: Uint8Array | undefined;
  readonly gas?: bigint | undefined;
  readonly gasPrice?: bigint | undefined;
  readonly maxFeePerGas?: bigint | undefined;
  readonly maxPriorityFeePerGas?: bigint | undefined;
  readonly value?: bigint | undefined;
  readonly data?: Uint8Array | undefined;
  readonly nonce?: bigint | undefined;
  /** Refused if it is another chain's. */
  readonly chainId?: bigint | undefined;
  readonly accessList?: readonly (readonly [Uint8Array, readonly Uint8Array[]])[] | undefined;
  /** EIP-7702. */
  readonly authorizationList?: readonly Authorization[] | undefined;
}

export interface Authorization {
  readonly chainId: bigint;
  readonly address: Uint8Array;
  readonly nonce: bigint;
  readonly yParity: bigint;
  readonly r: bigint;
  readonly s: bigint;
}

/** Refused before it ran, as a transaction would be; with the code that execution-apis gives the reason in eth_simulateV1. */
export class CallRefused extends Error {
  readonly code: number;
  /** What it was to have; undefined if that has nothing to do with it. */
  readonly suppliedGas: bigint | undefined;
  constructor(code: number, message: string, suppliedGas?: bigint) {
    super(message);
    this.code = code;
    this.suppliedGas = suppliedGas;
  }

  /** As geth words it in eth_call and eth_simulateV1. */
  get sentence(): string {
    return this.suppliedGas === undefined ? this.message : `err: ${this.message} (supplied gas ${this.suppliedGas})`;
  }
}

/** https://github.com/ethereum/execution-apis, src/eth/execute.yaml. */
export const REFUSAL = {
  request: -32000,
  timeout: -32016,
  parameters: -32602,
  other: -32603,
  nonceTooLow: -38010,
  nonceTooHigh: -38011,
  feeTooLow: -38012,
  intrinsicGas: -38013,
  insufficientFunds: -38014,
  blockGas: -38015,
  blockNumber: -38020,
  blockTime: -38021,
  initCode: -38025,
  limit: -38026,
} as const;

/** EIP-7825: a transaction's, from the Osaka rules on. A call may have more. */
const MAX_TRANSACTION_GAS = 16_777_216n;

/** Of the call's own sender, whoever that is; legacy if it names a gas price, as geth has it. */
export function unsigned(rules: Common, request: CallRequest, gasLimit: bigint, nonce: bigint): TypedTransaction {
  const { to, value = 0n, data = new Uint8Array(), accessList, gasPrice } = request;
  const isLarge = gasLimit > MAX_TRANSACTION_GAS && rules.isActivatedEIP(7825);
  const common = {
    gasLimit: isLarge ? MAX_TRANSACTION_GAS : gasLimit,
    nonce: request.nonce ?? nonce,
    value,
    data,
    ...(to === undefined ? {} : { to: new Address(to) }),
  };
  const lists = (accessList ?? []).map(([address, keys]) => [address, [...keys]] as [Uint8Array, Uint8Array[]]);
  const maxFeePerGas = request.maxFeePerGas ?? gasPrice ?? 0n;
  const maxPriorityFeePerGas = request.maxPriorityFeePerGas ?? gasPrice ?? 0n;
  const fees = { accessList: lists, maxFeePerGas, maxPriorityFeePerGas };
  const options = { common: rules, freeze: false };
  const authorizations = request.authorizationList?.map(authorizationItem) ?? [];
  const tx: TypedTransaction =
    authorizations.length > 0
      ? createTx({ type: 4, ...common, ...fees, authorizationList: authorizations }, options)
      : gasPrice === undefined
        ? createTx({ type: 2, ...common, ...fees }, options)
        : accessList === undefined
          ? createTx({ type: 0, ...common, gasPrice }, options)
          : createTx({ type: 1, ...common, accessList: lists, gasPrice }, options);
  if (isLarge) Object.assign(tx, { gasLimit });
  tx.getSenderAddress = () => new Address(request.from);
  return tx;
}

function authorizationItem(item: Authorization): AuthorizationListBytes[number] {
  const [chainId, nonce, yParity, r, s] = [item.chainId, item.nonce, item.yParity, item.r, item.s].map((value) =>
    bigIntToUnpaddedBytes(value),
  ) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  return [chainId, item.address, nonce, yParity, r, s];
}

/** Whether the account is one that has code. */
export function hasCode(account: Account | undefined): boolean {
  return account !== undefined && Buffer.compare(account.codeHash, KECCAK256_NULL) !== 0;
}
