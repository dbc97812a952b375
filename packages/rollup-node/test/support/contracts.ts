/** Small contracts written by hand, and a minimal assembler for them. */

import { fromHex, type Hex, toHex } from '@squad/types';

const OPCODES = {
  STOP: 0x00, ADD: 0x01, SUB: 0x03, EQ: 0x14, ISZERO: 0x15, SHA3: 0x20, ADDRESS: 0x30, CALLER: 0x33, CALLVALUE: 0x34,
  CALLDATALOAD: 0x35, CALLDATASIZE: 0x36, CALLDATACOPY: 0x37, CODECOPY: 0x39, GASPRICE: 0x3a, BLOCKHASH: 0x40, COINBASE: 0x41,
  TIMESTAMP: 0x42, NUMBER: 0x43, PREVRANDAO: 0x44, GASLIMIT: 0x45, CHAINID: 0x46, BASEFEE: 0x48, POP: 0x50,
  MSTORE: 0x52, SLOAD: 0x54, SSTORE: 0x55, JUMP: 0x56, JUMPI: 0x57, GAS: 0x5a, JUMPDEST: 0x5b, PUSH0: 0x5f, DUP1: 0x80, DUP2: 0x81, SWAP1: 0x90,
  LOG1: 0xa1, CREATE: 0xf0, CALL: 0xf1, RETURN: 0xf3, REVERT: 0xfd, SELFDESTRUCT: 0xff,
} as const; // biome-ignore format: a table

/** Words: an opcode's name, a number or 0x-hex to push, `label:` to define and `@label` to push a label (one byte). */
export function assemble(source: string): Hex {
  const bytes: number[] = [];
  const labels = new Map<string, number>();
  const uses: { at: number; label: string }[] = [];
  for (const word of source.trim().split(/\s+/)) {
    if (word.endsWith(':')) {
      labels.set(word.slice(0, -1), bytes.length);
      bytes.push(OPCODES.JUMPDEST);
    } else if (word.startsWith('@')) {
      uses.push({ at: bytes.length + 1, label: word.slice(1) });
      bytes.push(0x60, 0);
    } else if (word in OPCODES) {
      bytes.push(OPCODES[word as keyof typeof OPCODES]);
    } else {
      const digits = BigInt(word).toString(16);
      const pushed = fromHex(`0x${digits.padStart(digits.length + (digits.length % 2), '0')}`);
      bytes.push(0x5f + pushed.length, ...pushed);
    }
  }
  for (const { at, label } of uses) bytes[at] = labels.get(label)!;
  return toHex(Uint8Array.from(bytes));
}

/** Init code that returns the given runtime code. */
export function initCodeOf(runtime: Hex): Hex {
  const length = runtime.length / 2 - 1;
  const prefix = (offset: number) => assemble(`${length} DUP1 ${offset} PUSH0 CODECOPY PUSH0 RETURN`);
  const offset = prefix(1).length / 2 - 1;
  return `${prefix(offset)}${runtime.slice(2)}` as Hex;
}

/** Error("unlucky") as revert data, in two memory words and a bit. */
const UNLUCKY = `
  0x08c379a000000000000000000000000000000000000000000000000000000000 PUSH0 MSTORE
  0x20 4 MSTORE
  7 36 MSTORE
  0x756e6c75636b7900000000000000000000000000000000000000000000000000 68 MSTORE
  100 PUSH0 REVERT`;

export const ADDED_TOPIC: Hex = `0x${'ad'.padStart(64, '0')}`;

/**
 * A counter. Without input it returns the count. One word of input is added to it and logged, as the data of a log with
 * the topic ADDED_TOPIC; 13 reverts with Error("unlucky").
 */
export const COUNTER: Hex = assemble(`
  CALLDATASIZE @add JUMPI
  PUSH0 SLOAD PUSH0 MSTORE 32 PUSH0 RETURN
  add:
  PUSH0 CALLDATALOAD 13 EQ @unlucky JUMPI
  PUSH0 SLOAD PUSH0 CALLDATALOAD ADD PUSH0 SSTORE
  PUSH0 CALLDATALOAD PUSH0 MSTORE 0xad 32 PUSH0 LOG1 STOP
  unlucky: ${UNLUCKY}`);

/** Stores what it can see of its block at slots 0 to 5, and the hash of the block before at 6. */
export const WITNESS: Hex = assemble(`
  NUMBER PUSH0 SSTORE  TIMESTAMP 1 SSTORE  PREVRANDAO 2 SSTORE
  BASEFEE 3 SSTORE  CHAINID 4 SSTORE  GASLIMIT 5 SSTORE
  1 NUMBER SUB BLOCKHASH 6 SSTORE STOP`);

/**
 * Writes, clears and destroys: stores the first word of input at the slot in the second; if the third is not zero, it
 * creates a contract that destroys itself in its init code.
 */
export const CHURN: Hex = assemble(`
  PUSH0 CALLDATALOAD 32 CALLDATALOAD SSTORE
  64 CALLDATALOAD ISZERO @end JUMPI
  0x33ff 240 MSTORE 2 270 CALLVALUE CREATE POP
  end: STOP`);
