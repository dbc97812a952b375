/** Runs a call that is no transaction: what is refused before it runs, in the order and the words of geth, and the run. */

import type { Block } from '@ethereumjs/block';
import type { TypedTransaction } from '@ethereumjs/tx';
import { type Account, Address, bigIntMax, toChecksumAddress } from '@ethereumjs/util';
import { type RunTxResult, runTx } from '@ethereumjs/vm';
import { SquadError, toHex } from '@squad/types';
import { makeBlock } from './block.ts';
import { CallRefused, type CallRequest, hasCode, REFUSAL, unsigned } from './call-request.ts';
import type { EvmState } from './state.ts';
import { firstSentence } from './transaction.ts';
import type { RollupVm } from './vm.ts';

export interface CallRun {
  readonly tx: TypedTransaction;
  readonly result: RunTxResult;
  /** Before refunds: what the gas limit must allow. */
  readonly maxGasUsed: bigint;
}

const MAX_NONCE = 2n ** 64n - 1n;

/**
 * On the state of `rollupVm`, which keeps its effects, in `block`, with so much gas. Without `validation` a call may come with
 * any nonce, and one that offers no fee pays none. Throws `CallRefused`.
 */
export async function runCall(
  rollupVm: RollupVm,
  request: CallRequest,
  gas: bigint,
  block: Block,
  validation = false,
): Promise<CallRun> {
  const { vm } = rollupVm;
  const state = vm.stateManager as EvmState;
  const sender = await state.getAccount(new Address(request.from));
  const baseFee = block.header.baseFeePerGas ?? 0n;
  const isFree = !validation && maxFeeOf(request) === 0n && (request.maxPriorityFeePerGas ?? 0n) === 0n;
  const fault =
    requestFault(request, vm.common.chainId()) ??
    nonceFault(request, sender, validation) ??
    (isFree ? undefined : feeFault(request, baseFee)) ??
    fundsFault(request, gas, sender) ??
    initCodeFault(request, vm.common.param('maxInitCodeSize'));
  if (fault !== undefined) throw refusalOf(fault, gas);
  const tx = transactionOf(vm.common, request, gas, sender?.nonce ?? 0n);
  const gasFault = gasFaultOf(tx, gas);
  if (gasFault !== undefined) throw refusalOf(gasFault, gas);
  if (hasCode(sender)) state.hideCodeOnce(request.from);
  try {
    const result = await runTx(vm, {
      tx,
      block: isFree && baseFee > 0n ? makeBlock(vm.common, { ...block.header, baseFeePerGas: 0n }) : block,
      skipNonce: true,
      skipBalance: true,
      skipHardForkValidation: true,
      skipBlockGasLimitValidation: true,
      reportAccessList: true,
    });
    const spent = result.execResult.executionGasUsed + tx.getIntrinsicGas();
    return { tx, result, maxGasUsed: bigIntMax(spent, result.totalGasSpent) };
  } catch (error) {
    if (error instanceof SquadError) throw error;
    throw new CallRefused(REFUSAL.request, firstSentence(error));
  }
}

/** The library refuses what no transaction can be, such as an authorization whose nonce has 32 bytes. */
function transactionOf(...call: Parameters<typeof unsigned>): TypedTransaction {
  try {
    return unsigned(...call);
  } catch (error) {
    throw new CallRefused(REFUSAL.request, firstSentence(error));
  }
}

/** `plain`: of the request itself; the gas that it has does not matter. */
type Fault = readonly [code: number, message: string, kind?: 'plain'];

function refusalOf([code, message, kind]: Fault, gas: bigint): CallRefused {
  return new CallRefused(code, message, kind === 'plain' ? undefined : gas);
}

function requestFault(request: CallRequest, own: bigint): Fault | undefined {
  const { chainId, gasPrice, maxFeePerGas, maxPriorityFeePerGas } = request;
  if (gasPrice !== undefined && (maxFeePerGas !== undefined || maxPriorityFeePerGas !== undefined)) {
    return [REFUSAL.request, 'both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified', 'plain'];
  }
  if (chainId === undefined || chainId === own) return undefined;
  return [REFUSAL.request, `chainId does not match node's (have=${chainId}, want=${own})`, 'plain'];
}

function nonceFault(request: CallRequest, sender: Account | undefined, validation: boolean): Fault | undefined {
  const own = sender?.nonce ?? 0n;
  const nonce = request.nonce ?? own;
  if (validation && nonce !== own) {
    const [code, word] = nonce < own ? [REFUSAL.nonceTooLow, 'low'] : [REFUSAL.nonceTooHigh, 'high'];
    return [code, `nonce too ${word}: ${addressOf(request)}, tx: ${nonce} state: ${own}`];
  }
  if (nonce < MAX_NONCE && own < MAX_NONCE) return undefined;
  return [REFUSAL.other, `nonce has max value: ${addressOf(request)}, nonce: ${nonce}`];
}

function feeFault(request: CallRequest, baseFee: bigint): Fault | undefined {
  const fee = maxFeeOf(request);
  const tip = request.maxPriorityFeePerGas ?? request.gasPrice ?? 0n;
  if (tip > fee) {
    const fees = `${addressOf(request)}, maxPriorityFeePerGas: ${tip}, maxFeePerGas: ${fee}`;
    return [REFUSAL.parameters, `max priority fee per gas higher than max fee per gas: ${fees}`];
  }
  if (fee >= baseFee) return undefined;
  const fees = `${addressOf(request)}, maxFeePerGas: ${fee}, baseFee: ${baseFee}`;
  return [REFUSAL.feeTooLow, `max fee per gas less than block base fee: ${fees}`];
}

function fundsFault(request: CallRequest, gas: bigint, sender: Account | undefined): Fault | undefined {
  const have = sender?.balance ?? 0n;
  const want = (request.value ?? 0n) + gas * maxFeeOf(request);
  if (have >= want) return undefined;
  const funds = `${addressOf(request)} have ${have} want ${want}`;
  return [REFUSAL.insufficientFunds, `insufficient funds for gas * price + value: ${funds}`];
}

function initCodeFault({ to, data }: CallRequest, most: bigint): Fault | undefined {
  const size = data?.length ?? 0;
  if (to !== undefined || size <= Number(most)) return undefined;
  return [REFUSAL.initCode, `max initcode size exceeded: code size ${size} limit ${most}`];
}

function gasFaultOf(tx: TypedTransaction, gas: bigint): Fault | undefined {
  const intrinsic = tx.getIntrinsicGas();
  if (gas < intrinsic) return [REFUSAL.intrinsicGas, `intrinsic gas too low: have ${gas}, want ${intrinsic}`];
  const floor = tx.getMinimumGasLimit();
  if (gas >= floor) return undefined;
  return [REFUSAL.other, `insufficient gas for floor data gas cost: have ${gas}, want ${floor}`];
}

function maxFeeOf({ maxFeePerGas, gasPrice }: CallRequest): bigint {
  return maxFeePerGas ?? gasPrice ?? 0n;
}

function addressOf({ from }: CallRequest): string {
  return `address ${toChecksumAddress(toHex(from))}`;
}
