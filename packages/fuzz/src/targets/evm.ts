/**
 * Ethereum transactions, read twice: at the sequencer's door by its own decoder, and in the rollup node by a library's. They
 * must agree: what the door lets in, the rollup must be able to read, with the same sender.
 */

import { RLP } from '@ethereumjs/rlp';
import { keccak256 } from '@squad/crypto/node';
import { createSharedCommon, decodeTransaction } from '@squad/rollup-node/testing';
import {
  admitEvm,
  brokenRule,
  decodeEvmTransaction,
  type EvmRules,
  RlpCursor,
  RlpError,
} from '@squad/sequencer/testing';
import { concatBytes, equalBytes } from '@squad/types';
import type { Random } from '../random.ts';
import { demand, demandSameBytes, type Target } from '../target.ts';
import { encodeRlp, integerItem, mutateTree, type RlpItem } from './rlp.ts';

const CHAIN_ID = 901;
const RULES: EvmRules = { osaka: false };
const common = createSharedCommon(CHAIN_ID, 'prague');

const uint = (value: bigint): Uint8Array => {
  const hex = value.toString(16);
  return value === 0n
    ? new Uint8Array(0)
    : new Uint8Array(Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex'));
};

/** Fields of a transaction of a type, as RLP items. Any r below the order is some key's signature, about every other time. */
function fields(type: number, random: Random): RlpItem[] {
  const nonce = integerItem(random, 3);
  const price = uint(1n + BigInt(random.uint32()));
  const gas = uint(BigInt(random.integer(100_000, 20_000_000)));
  const to = random.chance(0.8) || type === 4 ? random.bytes(20) : new Uint8Array(0);
  const call = [gas, to, integerItem(random, 10), random.bytes(random.below(70))];
  const access = Array.from(
    { length: random.below(3) },
    (): RlpItem => [random.bytes(20), Array.from({ length: random.below(3) }, () => random.bytes(32))],
  );
  const authorization = (): RlpItem => [
    uint(BigInt(CHAIN_ID)),
    random.bytes(20),
    integerItem(random, 8),
    random.chance(0.5) ? uint(1n) : uint(0n),
    integerItem(random, 31),
    integerItem(random, 31),
  ];
  const scalars = [nonZero(integerItem(random, 31)), nonZero(integerItem(random, 31))];
  const yParity = uint(BigInt(random.below(2)));
  const chainId = uint(BigInt(CHAIN_ID));
  switch (type) {
    case 0:
      return [nonce, price, ...call, uint(BigInt(CHAIN_ID * 2 + 35 + random.below(2))), ...scalars];
    case 1:
      return [chainId, nonce, price, ...call, access, yParity, ...scalars];
    case 2:
      return [chainId, nonce, uint(1n), price, ...call, access, yParity, ...scalars];
    default: {
      const authorizations = Array.from({ length: random.integer(1, 2) }, authorization);
      return [chainId, nonce, uint(1n), price, ...call, access, authorizations, yParity, ...scalars];
    }
  }
}

const nonZero = (bytes: Uint8Array): Uint8Array => (bytes.length === 0 ? Uint8Array.of(1) : bytes);

function encodeTransaction(type: number, items: RlpItem, random?: Random): Uint8Array {
  const list = encodeRlp(items, random);
  return type === 0 ? list : concatBytes(Uint8Array.of(type), list);
}

function randomTransaction(random: Random): Uint8Array {
  const type = random.pick([0, 1, 2, 4]);
  return encodeTransaction(type, fields(type, random));
}

/** Another value in a field, a field more or less, or a prefix that is not the canonical one. */
function mutateTransaction(input: Uint8Array, random: Random): Uint8Array {
  const type = input[0]! >= 0xc0 ? 0 : input[0]!;
  let items: RlpItem;
  try {
    items = RLP.decode(type === 0 ? input : input.subarray(1)) as RlpItem;
  } catch {
    return input;
  }
  const tree = random.chance(0.7) ? mutateTree(items, random) : items;
  const otherType = random.chance(0.1) ? random.pick([0, 1, 2, 3, 4, 5, 0x7f]) : type;
  return encodeTransaction(otherType, tree, random.chance(0.4) ? random : undefined);
}

/** What the door's decoder accepts is canonical RLP, as the library sees it, of the fields that it names. */
function checkDecode(input: Uint8Array): boolean {
  const decoded = decodeEvmTransaction(input);
  if (!decoded.ok) {
    demand(decoded.error.message.length > 0 && decoded.error.message.length < 1000, 'refused without a reason');
    return false;
  }
  const { type, to, data, signingPayload, r, s } = decoded.value;
  const items = RLP.decode(type === 0 ? input : input.subarray(1)) as RlpItem[];
  demandSameBytes(input, encodeTransaction(type, items), 'a transaction');
  demand(to === undefined || to.length === 20, 'an address of another length');
  const [dataItem, unsigned] =
    type === 0 ? [items[5], items.slice(0, 6)] : [items[type === 1 ? 6 : 7], items.slice(0, -3)];
  demandSameBytes(data, dataItem as Uint8Array, 'the data of a transaction');
  demandSameBytes(r, items.at(-2) as Uint8Array, 'r');
  demandSameBytes(s, items.at(-1) as Uint8Array, 's');
  const suffix = type === 0 ? [uint(BigInt(decoded.value.chainId)), new Uint8Array(0), new Uint8Array(0)] : [];
  demandSameBytes(signingPayload, encodeTransaction(type, [...unsigned, ...suffix]), 'what the sender signed');
  return true;
}

/** The door against the rollup. */
function checkAdmission(input: Uint8Array): boolean {
  const admitted = admitEvm(CHAIN_ID, input, RULES);
  const executed = decodeTransaction(input, common);
  const readable = 'transaction' in executed;
  if (admitted.ok) {
    demand(
      readable,
      `the door lets in what the rollup skips: ${readable ? '' : `${executed.code} ${executed.reason}`}`,
    );
    demand(equalBytes(admitted.value.sender, executed.from), 'the door and the rollup see two senders');
    demand(equalBytes(admitted.value.hash, keccak256(input)), 'another hash');
    demand(admitted.value.nonce === executed.transaction.nonce, 'another nonce');
    return true;
  }
  if (readable) checkRefusal(input, admitted.error.code);
  return false;
}

/** The door may be stricter than the rollup in its rules, its chain and its sizes, and not in what is a transaction. */
function checkRefusal(input: Uint8Array, code: string): void {
  const decoded = decodeEvmTransaction(input);
  const byRule = decoded.ok && (decoded.value.chainId !== CHAIN_ID || brokenRule(decoded.value, RULES) !== undefined);
  demand(byRule || !decoded.ok || code === 'SIGNATURE_INVALID', `the door refuses with ${code} what the rollup reads`);
}

/** Any RLP: the cursor walks exactly what the library decodes, and nothing that is not canonical. */
function checkRlp(input: Uint8Array): boolean {
  let own: RlpItem;
  try {
    const cursor = new RlpCursor(input);
    own = walk(cursor, input, 0);
    cursor.finish('the input');
  } catch (error) {
    if (error instanceof RlpError) return false;
    throw error;
  }
  demandSameBytes(input, encodeRlp(own), 'RLP');
  demandSameBytes(input, RLP.encode(RLP.decode(input)), 'RLP, by the library');
  return true;
}

/** The next item. A prefix of 0xc0 or more begins a list; both calls check that it is one. */
function walk(cursor: RlpCursor, input: Uint8Array, depth: number): RlpItem {
  // Only this walk recurses; the cursor does not.
  if (depth > 64) throw new RlpError('deeper than this test goes');
  if (cursor.done || input[cursor.position]! < 0xc0) return cursor.string('an item', 0, input.length);
  const list = cursor.list('a list');
  const items: RlpItem[] = [];
  while (!list.done) items.push(walk(list, input, depth + 1));
  return items;
}

function randomTree(random: Random, depth: number): RlpItem {
  if (depth === 0 || random.chance(0.4)) return random.bytes(random.pick([0, 1, 1, 2, 20, 32, 55, 56, 57, 300]));
  return Array.from({ length: random.below(5) }, () => randomTree(random, depth - 1));
}

export const EVM_TARGETS: readonly Target[] = [
  {
    name: 'rlp',
    what: 'RPC, gossip: RLP',
    make: (random) => encodeRlp(randomTree(random, 3)),
    mutate: (input, random) => encodeRlp(randomTree(random, 3), random) ?? input,
    check: checkRlp,
  },
  {
    name: 'evm-transaction',
    what: 'RPC, gossip: an Ethereum transaction at the door',
    make: randomTransaction,
    mutate: mutateTransaction,
    check: checkDecode,
  },
  {
    name: 'evm-admission',
    what: 'RPC, gossip: door and rollup read the same transactions',
    // A signature that recovers to no key is refused by both: not every one made here is valid.
    make: (random) => {
      for (;;) {
        const transaction = randomTransaction(random);
        if (admitEvm(CHAIN_ID, transaction, RULES).ok) return transaction;
      }
    },
    mutate: mutateTransaction,
    check: checkAdmission,
    // Both recover the signer, 0.3 ms an input; the decoder alone has the full count in evm-transaction.
    longRunInputs: 300_000,
  },
];
