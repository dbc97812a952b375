/** The default tracer of debug_trace…: each operation with gas, stack, memory and storage (execution-apis, StructLog). */

import type { EVMResult, InterpreterStep, Message } from '@ethereumjs/evm';
import { bigIntToHex } from '@ethereumjs/util';
import type { Hex } from '@squad/types';
import { hexOf } from '../../hex.ts';
import { failureWords } from './failure.ts';
import type { TraceBudget, Tracer } from './trace.ts';

export interface StructLoggerOptions {
  readonly disableStack: boolean;
  readonly disableStorage: boolean;
  readonly enableMemory: boolean;
  readonly enableReturnData: boolean;
  /** Operations that are kept; 0: all. */
  readonly limit: number;
}

export interface StructLog {
  pc: number;
  op: string;
  gas: number;
  gasCost: number;
  depth: number;
  refund: number;
  error?: string;
  stack?: Hex[];
  memory?: Hex[];
  storage?: Record<Hex, Hex>;
  returnData?: Hex;
}

export interface StructTrace {
  readonly gas: number;
  readonly failed: boolean;
  readonly returnValue: Hex;
  readonly structLogs: readonly StructLog[];
}

/** What the callee gets on top of what the caller pays, if value is sent. */
const CALL_STIPEND = 2300n;
const LOG_BYTES = 100;
const WORD_BYTES = 70;

export class StructLogger implements Tracer<StructTrace> {
  readonly compares = false;
  readonly #options: StructLoggerOptions;
  readonly #budget: TraceBudget;
  readonly #logs: StructLog[] = [];
  /** The newest operation of each depth, kept or not. */
  readonly #newest: StructLog[] = [];
  /** By address: slots that were read or written, until now. */
  readonly #storage = new Map<string, Record<Hex, Hex>>();
  /** Of the last call that each depth made. */
  readonly #returned: Hex[] = [];
  #last: InterpreterStep | undefined;
  #depth = 0;
  #read: { readonly log: StructLog; readonly address: string; readonly slot: Hex } | undefined;

  constructor(options: StructLoggerOptions, budget: TraceBudget) {
    this.#options = options;
    this.#budget = budget;
  }

  step(step: InterpreterStep): void {
    const { stack } = step;
    this.#last = step;
    this.#finishRead(stack);
    const log: StructLog = {
      pc: step.pc,
      op: step.opcode.name,
      gas: Number(step.gasLeft),
      gasCost: Number(step.opcode.dynamicFee ?? BigInt(step.opcode.fee)),
      depth: step.depth + 1,
      refund: Number(step.gasRefund),
    };
    this.#newest.length = step.depth;
    this.#newest[step.depth] = log;
    if (this.#options.limit > 0 && this.#logs.length >= this.#options.limit) return;
    this.#budget.keep(LOG_BYTES);
    this.#logs.push(log);
    if (!this.#options.disableStack) {
      this.#budget.keep(stack.length * 8);
      log.stack = stack.map((word) => this.#quantity(word));
    }
    if (this.#options.enableMemory && step.memory.length > 0) log.memory = this.#words(step.memory);
    const returned = this.#returned[step.depth] ?? '0x';
    if (this.#options.enableReturnData && returned !== '0x') {
      log.returnData = returned;
      this.#budget.keep(returned.length);
    }
    if (!this.#options.disableStorage) this.#touch(step, log);
  }

  enter({ depth, gasLimit, value, delegatecall }: Message): void {
    this.#finishRead(undefined);
    this.#depth = depth;
    this.#returned.length = depth;
    const caller = depth === 0 ? undefined : this.#newest[depth - 1];
    // What a call hands to the callee is part of its cost; of a creation it is not.
    if (caller === undefined || !/CALL/.test(caller.op)) return;
    const stipend = value > 0n && !delegatecall ? CALL_STIPEND : 0n;
    caller.gasCost += Number(gasLimit - stipend);
  }

  leave({ execResult, createdAddress }: EVMResult): void {
    this.#finishRead(undefined);
    // Of a precompile there are no operations.
    const depth = this.#depth--;
    const { exceptionError, returnValue } = execResult;
    const log = this.#newest[depth];
    if (exceptionError !== undefined && exceptionError.error !== 'revert' && log !== undefined) {
      log.error = failureWords(exceptionError.error, this.#last);
    }
    // A creation gives its code to the new account, and nothing to its caller.
    const isCreated = createdAddress !== undefined && exceptionError === undefined;
    if (depth > 0) this.#returned[depth - 1] = isCreated ? '0x' : hexOf(returnValue);
  }

  async answer({ result }: Parameters<Tracer<StructTrace>['answer']>[0]): Promise<StructTrace> {
    const { execResult, totalGasSpent, gasRefund = 0n } = result;
    // What authorizations gave back is there from the beginning (EIP-7702); the library counts it in the end.
    const given = Number(gasRefund - (execResult.gasRefund ?? 0n));
    if (given > 0) for (const log of this.#logs) log.refund += given;
    return {
      gas: Number(totalGasSpent),
      failed: execResult.exceptionError !== undefined,
      returnValue: hexOf(execResult.returnValue),
      structLogs: this.#logs,
    };
  }

  #touch({ opcode, stack, address }: InterpreterStep, log: StructLog): void {
    if (opcode.name !== 'SLOAD' && opcode.name !== 'SSTORE') return;
    const slot = word(stack.at(-1) ?? 0n);
    // What is read shows on the stack of the next operation.
    if (opcode.name === 'SLOAD') this.#read = { log, address: address.toString(), slot };
    else this.#remember(log, address.toString(), slot, word(stack.at(-2) ?? 0n));
  }

  #finishRead(stack: readonly bigint[] | undefined): void {
    const read = this.#read;
    this.#read = undefined;
    const value = stack?.at(-1);
    if (read !== undefined && value !== undefined) this.#remember(read.log, read.address, read.slot, word(value));
  }

  #remember(log: StructLog, address: string, slot: Hex, value: Hex): void {
    const slots = { ...this.#storage.get(address), [slot]: value };
    this.#budget.keep(2 * WORD_BYTES * Object.keys(slots).length);
    this.#storage.set(address, slots);
    log.storage = slots;
  }

  #quantity(value: bigint): Hex {
    const text = bigIntToHex(value);
    this.#budget.keep(text.length);
    return text;
  }

  #words(memory: Uint8Array): Hex[] {
    this.#budget.keep((memory.length / 32) * WORD_BYTES);
    const words: Hex[] = [];
    for (let at = 0; at < memory.length; at += 32) words.push(hexOf(memory.subarray(at, at + 32)));
    return words;
  }
}

function word(value: bigint): Hex {
  return `0x${value.toString(16).padStart(64, '0')}`;
}
