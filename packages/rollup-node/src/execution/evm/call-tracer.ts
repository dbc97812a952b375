/** callTracer of debug_trace…: the tree of calls and creations (execution-apis, CallFrame). */

import type { EVMResult, InterpreterStep, Message } from '@ethereumjs/evm';
import { type Hex, toHex } from '@squad/types';
import { hexOf } from '../../hex.ts';
import { failureWords } from './failure.ts';
import { errorString } from './revert.ts';
import type { EvmState } from './state.ts';
import type { TraceBudget, Tracer } from './trace.ts';

export interface CallTracerOptions {
  readonly onlyTopCall: boolean;
  readonly withLog: boolean;
}

export interface CallFrame {
  type: string;
  from: Hex;
  to?: Hex;
  value?: Hex;
  gas: Hex;
  gasUsed: Hex;
  input: Hex;
  output?: Hex;
  error?: string;
  revertReason?: string;
  calls?: CallFrame[];
  logs?: CallLog[];
}

interface CallLog {
  readonly address: Hex;
  readonly topics: readonly Hex[];
  readonly data: Hex;
  /** Calls of the same frame before it. */
  readonly position: Hex;
}

const FRAME_BYTES = 300;

export class CallTracer implements Tracer<CallFrame> {
  readonly compares = false;
  readonly #options: CallTracerOptions;
  readonly #budget: TraceBudget;
  readonly #gasLimit: bigint;
  /** From the transaction's own call down to the one that runs. */
  readonly #path: CallFrame[] = [];
  #top: CallFrame | undefined;
  #last: InterpreterStep | undefined;

  /** `gasLimit`: of the transaction, whose frame begins with all of it, also what it pays before the first operation. */
  constructor(options: CallTracerOptions, budget: TraceBudget, gasLimit: bigint) {
    this.#options = options;
    this.#budget = budget;
    this.#gasLimit = gasLimit;
  }

  step(step: InterpreterStep): void {
    this.#last = step;
    const { name } = step.opcode;
    if (name === 'SELFDESTRUCT') this.#selfdestruct(step);
    else if (this.#options.withLog && /^LOG[0-4]$/.test(name)) this.#log(step);
  }

  enter(message: Message): void {
    const frame = this.#frameOf(message);
    this.#budget.keep(FRAME_BYTES + frame.input.length);
    const caller = this.#path.at(-1);
    this.#path.push(frame);
    if (caller === undefined) this.#top = frame;
    else if (!this.#options.onlyTopCall) append(caller, frame);
  }

  leave({ execResult, createdAddress }: EVMResult): void {
    const frame = this.#path.pop()!;
    const { exceptionError, returnValue, executionGasUsed } = execResult;
    frame.gasUsed = quantity(executionGasUsed);
    this.#budget.keep(2 * returnValue.length);
    if (returnValue.length > 0) frame.output = toHex(returnValue);
    if (frame.type.startsWith('CREATE') && createdAddress !== undefined && exceptionError === undefined) {
      frame.to = hexOf(createdAddress.bytes);
    }
    if (exceptionError === undefined) return;
    const reverted = exceptionError.error === 'revert';
    frame.error = failureWords(exceptionError.error, this.#last);
    const reason = reverted ? errorString(returnValue) : undefined;
    if (reason !== undefined) frame.revertReason = reason;
    if (!reverted) delete frame.output;
    dropLogs(frame);
  }

  async answer({ result }: Parameters<Tracer<CallFrame>['answer']>[0]): Promise<CallFrame> {
    const top = this.#top!;
    top.gasUsed = quantity(result.totalGasSpent);
    return top;
  }

  #frameOf(message: Message): CallFrame {
    const { depth, to, value, gasLimit, data, caller } = message;
    const isCreate = to === undefined;
    const opcode = this.#last?.opcode.name;
    const type = depth === 0 ? (isCreate ? 'CREATE' : 'CALL') : (opcode ?? 'CALL');
    const borrowsCode = type === 'DELEGATECALL' || type === 'CALLCODE';
    return {
      type,
      // Who asked for it, which with borrowed code is not whom the callee sees as its caller.
      from: hexOf(borrowsCode ? this.#last!.address.bytes : caller.bytes),
      ...(isCreate ? {} : { to: hexOf(borrowsCode ? message.codeAddress.bytes : to.bytes) }),
      ...(type === 'STATICCALL' ? {} : { value: quantity(value) }),
      gas: quantity(depth === 0 ? this.#gasLimit : gasLimit),
      gasUsed: '0x0',
      input: toHex(data),
    };
  }

  #selfdestruct({ stack, address, stateManager }: InterpreterStep): void {
    const frame = this.#path.at(-1)!;
    if (this.#options.onlyTopCall || stack.length === 0) return;
    this.#budget.keep(FRAME_BYTES);
    const to: Hex = `0x${(stack.at(-1)! & ((1n << 160n) - 1n)).toString(16).padStart(40, '0')}`;
    const balance = (stateManager as EvmState).peek(address.bytes)?.balance ?? 0n;
    const ended = { gas: '0x0', gasUsed: '0x0', input: '0x' } as const;
    append(frame, { type: 'SELFDESTRUCT', from: hexOf(address.bytes), to, value: quantity(balance), ...ended });
  }

  #log({ opcode, stack, address, memory }: InterpreterStep): void {
    const count = Number(opcode.name.slice(3));
    if (stack.length < 2 + count) return;
    const [offset, size] = [Number(stack.at(-1)), Number(stack.at(-2))];
    if (!Number.isSafeInteger(offset + size)) return;
    this.#budget.keep(FRAME_BYTES + 2 * size);
    const data = new Uint8Array(size);
    data.set(memory.subarray(offset, offset + size));
    const topics = stack.slice(stack.length - 2 - count, stack.length - 2).reverse();
    const frame = this.#path.at(-1)!;
    frame.logs ??= [];
    frame.logs.push({
      address: hexOf(address.bytes),
      topics: topics.map((topic): Hex => `0x${topic.toString(16).padStart(64, '0')}`),
      data: toHex(data),
      position: quantity(BigInt(frame.calls?.length ?? 0)),
    });
  }
}

function append(caller: CallFrame, frame: CallFrame): void {
  caller.calls ??= [];
  caller.calls.push(frame);
}

/** What a call that failed had logged, and all below it, did not happen. */
function dropLogs(frame: CallFrame): void {
  delete frame.logs;
  for (const call of frame.calls ?? []) dropLogs(call);
}

function quantity(value: bigint): Hex {
  return `0x${value.toString(16)}`;
}
