/** A call that is simulated, and the unsigned transaction that it is. */

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

/** Of the call's own sender, whoever that is. */
export function unsigned(rules: Common, request: CallRequest, gasLimit: bigint, nonce: bigint): TypedTransaction {
  const { to, value = 0n, data = new Uint8Array(), accessList } = request;
  const common = {
    gasLimit,
    nonce: request.nonce ?? nonce,
    value,
    data,
    ...(to === undefined ? {} : { to: new Address(to) }),
  };
  const lists = (accessList ?? []).map(([address, keys]) => [address, [...keys]] as [Uint8Array, Uint8Array[]]);
  const maxFeePerGas = request.maxFeePerGas ?? request.gasPrice ?? 0n;
  const maxPriorityFeePerGas = request.maxPriorityFeePerGas ?? request.gasPrice ?? 0n;
  const fees = { accessList: lists, maxFeePerGas, maxPriorityFeePerGas };
  const options = { common: rules, freeze: false };
  const authorizations = request.authorizationList?.map(authorizationItem) ?? [];
  const tx: TypedTransaction =
    authorizations.length === 0
      ? createTx({ type: 2, ...common, ...fees }, options)
      : createTx({ type: 4, ...common, ...fees, authorizationList: authorizations }, options);
  tx.getSenderAddress = () => new Address(request.from);
  return tx;
}

function authorizationItem(item: Authorization): AuthorizationListBytes[number] {
  const [chainId, nonce, yParity, r, s] = [item.chainId, item.nonce, item.yParity, item.r, item.s].map((value) =>
    bigIntToUnpaddedBytes(value),
  ) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  return [chainId, item.address, nonce, yParity, r, s];
}

/** EIP-7702: an account that keeps its key and lends itself another's code. */
export function isDelegated(code: Uint8Array): boolean {
  return code.length === 23 && code[0] === 0xef && code[1] === 0x01 && code[2] === 0x00;
}

/** Whether the account is one that has code. */
export function hasCode(account: Account | undefined): boolean {
  return account !== undefined && Buffer.compare(account.codeHash, KECCAK256_NULL) !== 0;
}
