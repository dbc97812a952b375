/**
 * Ether that moves, told as logs of ERC-20's Transfer at ERC-7528's address, among the logs that contracts emit: the
 * `traceTransfers` of eth_simulateV1 (execution-apis). What a call moved that failed did not move.
 */

import type { EVM, EVMResult, InterpreterStep, Message } from '@ethereumjs/evm';
import { setLengthLeft } from '@ethereumjs/util';
import { fromHex } from '@squad/types';
import type { EvmLog } from './block.ts';
import { integerBytes } from './rlp.ts';
import type { EvmState } from './state.ts';
import type { RollupVm } from './vm.ts';

const ETHER = fromHex('0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee');
/** keccak256("Transfer(address,address,uint256)") */
const TRANSFER = fromHex('0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef');

/** A transfer, or the place of a log that is known when the transaction is over. */
type Entry = { from: Uint8Array; to: Uint8Array | undefined; value: bigint } | 'log';

export interface TransferListener {
  stop(): void;
  /** The transaction's logs, and transfers where they belong between them. */
  among(logs: readonly EvmLog[]): EvmLog[];
}

export function listenForTransfers({ vm }: RollupVm): TransferListener {
  const { events } = vm.evm as EVM;
  /** Of each call that is under way, the innermost last. */
  const frames: Entry[][] = [[]];
  let opcode = '';
  const onStep = ({ opcode: { name }, stack, address }: InterpreterStep) => {
    opcode = name;
    if (/^LOG[0-4]$/.test(name)) frames.at(-1)!.push('log');
    if (name !== 'SELFDESTRUCT' || stack.length === 0) return;
    const value = (vm.stateManager as EvmState).peek(address.bytes)?.balance ?? 0n;
    const to = setLengthLeft(integerBytes(BigInt.asUintN(160, stack.at(-1)!)), 20);
    if (value > 0n) frames.at(-1)!.push({ from: address.bytes, to, value });
  };
  const onEnter = ({ depth, caller, to, value, delegatecall }: Message) => {
    const borrowsCode = delegatecall || (depth > 0 && opcode === 'CALLCODE');
    frames.push(value > 0n && !borrowsCode ? [{ from: caller.bytes, to: to?.bytes, value }] : []);
  };
  const onLeave = ({ execResult, createdAddress }: EVMResult) => {
    const entries = frames.pop()!;
    if (execResult.exceptionError !== undefined) return;
    for (const entry of entries) if (entry !== 'log') entry.to ??= createdAddress?.bytes;
    frames.at(-1)!.push(...entries);
  };
  events.on('step', onStep);
  events.on('beforeMessage', onEnter);
  events.on('afterMessage', onLeave);
  return {
    stop: () => {
      events.off('step', onStep);
      events.off('beforeMessage', onEnter);
      events.off('afterMessage', onLeave);
    },
    among: (logs) => {
      let next = 0;
      return frames[0]!.map((entry) => (entry === 'log' ? logs[next++]! : transferLog(entry)));
    },
  };
}

function transferLog({ from, to, value }: Exclude<Entry, 'log'>): EvmLog {
  const topics = [TRANSFER, setLengthLeft(from, 32), setLengthLeft(to ?? new Uint8Array(), 32)];
  return { address: ETHER, topics, data: setLengthLeft(integerBytes(value), 32) };
}
