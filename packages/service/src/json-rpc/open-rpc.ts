/** The OpenRPC description (https://spec.open-rpc.org) of a method table, answered by `rpc.discover`. */

import { z } from 'zod';
import type { RpcMethod } from './method.ts';

export interface ServiceInfo {
  readonly title: string;
  readonly version: string;
  readonly description?: string;
}

export interface OpenRpcDocument {
  readonly openrpc: string;
  readonly info: ServiceInfo;
  readonly methods: readonly unknown[];
}

export function openRpcDocument(info: ServiceInfo, methods: Iterable<RpcMethod>): OpenRpcDocument {
  return { openrpc: '1.3.2', info, methods: [...methods].map(describe) };
}

function describe(method: RpcMethod): unknown {
  return {
    name: method.name,
    summary: method.summary,
    paramStructure: 'either',
    params: method.parameters.map(({ name, schema, required }) => ({
      name,
      required,
      ...(schema.description === undefined ? {} : { description: schema.description }),
      schema: jsonSchema(schema),
    })),
    result: {
      name: method.result.name,
      description: method.result.description,
      schema: method.result.schema === undefined ? {} : jsonSchema(method.result.schema),
    },
  };
}

function jsonSchema(schema: z.ZodType): unknown {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}
