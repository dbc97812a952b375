/** JSON inputs: UTF-8 text that is changed as a tree, so that most of it stays JSON. */

import { fromHex, isHex, toHex } from '@squad/types';
import { mutateBytes } from './bytes.ts';
import type { Random } from './random.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const jsonBytes = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));
export const textOf = (input: Uint8Array): string => decoder.decode(input);

/** Undefined if it is not JSON. */
export function jsonOf(input: Uint8Array): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(textOf(input)) };
  } catch {
    return undefined;
  }
}

/** One to three changes somewhere in the tree. Text that is not JSON stays as it is. */
export function mutateJson(input: Uint8Array, random: Random): Uint8Array {
  const parsed = jsonOf(input);
  if (parsed === undefined) return input;
  let root = parsed.value;
  for (let left = random.integer(1, 3); left > 0; left--) root = mutateTree(root, random);
  if (random.chance(0.02)) return encoder.encode(nested(random));
  const text = JSON.stringify(root) ?? '0';
  // A key that appears twice, and one that is special to the language, cannot be made by writing a value.
  if (random.chance(0.03)) return encoder.encode(text.replace(/"(\w+)":/, '"$1":null,"$1":'));
  if (random.chance(0.03)) return encoder.encode(text.replace(/^\{/, '{"__proto__":{"version":1},'));
  return encoder.encode(text);
}

function nested(random: Random): string {
  const depth = random.pick([10, 1000, 20_000]);
  return random.chance(0.5) ? '['.repeat(depth) + ']'.repeat(depth) : `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
}

function mutateTree(root: unknown, random: Random): unknown {
  const holder: Record<string, unknown> = { root };
  const places: { readonly node: Record<string, unknown> | unknown[]; readonly key: string | number }[] = [];
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null || places.length > 500) return;
    const keys = Array.isArray(node) ? node.keys() : Object.keys(node);
    for (const key of keys) {
      places.push({ node: node as Record<string, unknown>, key });
      walk((node as Record<string | number, unknown>)[key]);
    }
  };
  walk(holder);
  const { node, key } = random.pick(places);
  const slots = node as Record<string | number, unknown>;
  const value = slots[key];
  switch (random.below(6)) {
    case 0:
      if (Array.isArray(node)) node.splice(key as number, 1);
      else if (node !== holder) delete slots[key];
      break;
    case 1:
      if (Array.isArray(node)) node.splice(key as number, 0, structuredClone(value));
      else slots[random.pick(ODD_KEYS)] = structuredClone(value);
      break;
    case 2:
      slots[key] = structuredClone(random.pick(ODD_VALUES));
      break;
    case 3:
      slots[key] = near(structuredClone(slots[random.pick(Object.keys(slots))]), random);
      break;
    default:
      slots[key] = near(value, random);
  }
  return holder.root;
}

const ODD_KEYS: readonly string[] = [
  '',
  'constructor',
  'toString',
  'length',
  'hasOwnProperty',
  'x'.repeat(300),
  '\ud800',
];
const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1.5,
  1e21,
  1e308,
  2 ** 53,
  Number.MAX_SAFE_INTEGER,
  -(2 ** 31),
  '',
  '0x',
  '0x0',
  '0X00',
  '1e3',
  ' 1',
  'latest',
  '\u0000',
  '\ud800',
  '0x'.padEnd(70, 'f'),
  'a'.repeat(2000),
  [],
  [[]],
  {},
  { length: 3 },
];

/** A value of the same kind that is a little different. */
function near(value: unknown, random: Random): unknown {
  if (typeof value === 'number')
    return random.pick([value + 1, value - 1, -value, value * 2 ** 32, value / 3, random.number()]);
  if (typeof value === 'boolean') return !value;
  if (typeof value !== 'string') return random.chance(0.5) ? [value] : { value };
  if (isHex(value) && random.chance(0.6)) {
    const bytes = fromHex(value);
    return toHex(mutateBytes(bytes, random, bytes));
  }
  const at = random.below(value.length + 1);
  switch (random.below(5)) {
    case 0:
      return value.slice(0, at);
    case 1:
      return (
        value.slice(0, at) + random.pick(['\u0000', ' ', '"', '/', '..', 'é', '\ud800', '0', 'g']) + value.slice(at)
      );
    case 2:
      return value.toUpperCase();
    case 3:
      return value + value;
    default:
      return value.slice(0, at) + value.slice(at + 1);
  }
}
