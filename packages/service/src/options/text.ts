/** Values of options as text: read from flags and the environment, shown to people, and the nearest name to a wrong one. */

import { z } from 'zod';

export type ValueKind = 'boolean' | 'number' | 'array' | 'object' | 'string';

interface JsonSchema {
  readonly type?: string;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
}

/** What a schema takes: decides how text becomes a value. */
export function kindOf(schema: z.ZodType): ValueKind {
  return kindOfJson(jsonSchemaOf(schema));
}

function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
}

function kindOfJson(schema: JsonSchema): ValueKind {
  const type = schema.type ?? schema.anyOf?.find((option) => option.type !== 'null')?.type;
  if (type === 'integer' || type === 'number') return 'number';
  return type === 'boolean' || type === 'array' || type === 'object' ? type : 'string';
}

/** Turns text into the kind that the schema takes. What cannot be turned stays text, for the schema to refuse. */
export function fromText(schema: z.ZodType, text: string): unknown {
  return convert(jsonSchemaOf(schema), text);
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  1: true,
  yes: true,
  false: false,
  0: false,
  no: false,
};

function convert(schema: JsonSchema, text: string): unknown {
  switch (kindOfJson(schema)) {
    case 'number':
      return /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text;
    case 'boolean':
      return BOOLEANS[text.trim().toLowerCase()] ?? text;
    case 'array': {
      const items = text.split(',').map((item) => item.trim());
      return items.filter((item) => item !== '').map((item) => convert(schema.items ?? {}, item));
    }
    case 'object':
      try {
        return JSON.parse(text);
      } catch {
        return text;
      }
    case 'string':
      return text;
  }
}

/** A value for people; text with quotes, so that spaces show. Long values are cut. */
export function toText(value: unknown): string {
  const text = typeof value === 'string' ? `"${value}"` : (JSON.stringify(value) ?? String(value));
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/** The candidate nearest to a name, if it is near enough to be a slip of the fingers. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance: insertions, deletions and replacements of one character each. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
