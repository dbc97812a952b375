/** One table of methods: each entry is name, parameters, result and handler; the OpenRPC document comes from it too. */

import type { z } from 'zod';
import { invalidParams } from './error.ts';

/** Who is calling, and over what. */
export interface RpcContext {
  readonly transport: 'http' | 'websocket';
  readonly remoteAddress: string;
  /** The parts of the URL's path that the route names, such as `rollupId` in `/rollup/:rollupId`. */
  readonly pathParameters: Readonly<Record<string, string>>;
  /** Takes tokens from the caller's rate limits. Returns 0, or the milliseconds after which there will be enough. */
  charge(tokens: number): number;
  /** Present on a WebSocket connection. */
  readonly subscriptions: SubscriptionHost | undefined;
}

/** Keeps the live subscriptions of one connection. */
export interface SubscriptionHost {
  /** Opens a subscription and returns its id. What `open` emits before the id is sent to the client is sent after it. */
  open(notification: string, open: (subscriber: RpcSubscriber) => Unsubscribe | Promise<Unsubscribe>): Promise<string>;
  /** False if there is no such subscription. */
  close(id: string): boolean;
}

export type Unsubscribe = () => void;

/** The receiving end of a subscription. */
export interface RpcSubscriber {
  /** Sends one notification. The result must not change afterwards: given to many, it is written out once. A consumer that does not keep up is closed, which aborts `closed`. */
  emit(result: unknown): void;
  /** Resolves when the connection can take more without filling its buffer; for replaying history at the reader's pace. */
  ready(): Promise<void>;
  /** Aborted when the client unsubscribed or went away. */
  readonly closed: AbortSignal;
}

export interface RpcParameter {
  readonly name: string;
  readonly schema: z.ZodType;
  readonly required: boolean;
}

export interface RpcResult {
  readonly name: string;
  readonly description: string;
  readonly schema?: z.ZodType;
}

/** A method as the server keeps it. Made by `defineMethod`. */
export interface RpcMethod {
  readonly name: string;
  readonly summary: string;
  readonly parameters: readonly RpcParameter[];
  readonly result: RpcResult;
  /** `params` as they came, an array, an object or undefined. Returns the result or a promise; throws `RpcError`. */
  call(params: RawParams, context: RpcContext): unknown;
}

export type RawParams = readonly unknown[] | Readonly<Record<string, unknown>> | undefined;

type ParamSchemas = Readonly<Record<string, z.ZodType>>;
export type ParamsOf<Schemas extends ParamSchemas> = { readonly [Name in keyof Schemas]: z.output<Schemas[Name]> };

export interface MethodDefinition<Schemas extends ParamSchemas> {
  readonly name: string;
  readonly summary: string;
  /** In positional order. Callers may pass an array, or an object by these names. */
  readonly params: Schemas;
  readonly result: RpcResult;
  readonly handler: (params: ParamsOf<Schemas>, context: RpcContext) => unknown;
}

/** Checks parameters against the schemas, then calls the handler, which may be async. */
export function defineMethod<const Schemas extends ParamSchemas>(definition: MethodDefinition<Schemas>): RpcMethod {
  const parameters = parametersOf(definition.params);
  return {
    name: definition.name,
    summary: definition.summary,
    parameters,
    result: definition.result,
    call: (params, context) => definition.handler(parseParams<Schemas>(parameters, params), context),
  };
}

export function parametersOf(schemas: ParamSchemas): RpcParameter[] {
  return Object.entries(schemas).map(([name, schema]) => ({
    name,
    schema,
    required: !schema.safeParse(undefined).success,
  }));
}

/** Throws `RpcError` -32602 that names the parameter, what was expected and, if it is short, the value. */
export function parseParams<Schemas extends ParamSchemas>(
  parameters: readonly RpcParameter[],
  params: RawParams,
): ParamsOf<Schemas> {
  const byPosition = params === undefined || Array.isArray(params);
  if (byPosition && params !== undefined && params.length > parameters.length) {
    throw invalidParams(`${params.length} parameters given, at most ${parameters.length} taken`);
  }
  if (!byPosition) refuseUnknownNames(parameters, params as Record<string, unknown>);
  const values: Record<string, unknown> = {};
  for (let i = 0; i < parameters.length; i++) {
    const { name, schema } = parameters[i]!;
    const given = byPosition
      ? (params as readonly unknown[] | undefined)?.[i]
      : Object.hasOwn(params as object, name)
        ? (params as Record<string, unknown>)[name]
        : undefined;
    const parsed = schema.safeParse(given);
    if (!parsed.success) throw badParameter(name, given, parsed.error);
    values[name] = parsed.data;
  }
  return values as ParamsOf<Schemas>;
}

function refuseUnknownNames(parameters: readonly RpcParameter[], params: Record<string, unknown>): void {
  for (const name of Object.keys(params)) {
    if (!parameters.some((parameter) => parameter.name === name)) {
      throw invalidParams(`unknown parameter "${name.slice(0, 64)}"`, { taken: parameters.map((p) => p.name) });
    }
  }
}

function badParameter(name: string, given: unknown, error: z.ZodError) {
  const issue = error.issues[0]!;
  const where = [name, ...issue.path.map(String)].join('.');
  const what = given === undefined ? 'is missing' : issue.message;
  return invalidParams(`${where}: ${what}`, { param: name, ...(given === undefined ? {} : { given: brief(given) }) });
}

/** Enough of a value to recognise it in an error. */
function brief(value: unknown): string {
  const text = typeof value === 'string' ? value : asText(value);
  return text.length > 64 ? `${text.slice(0, 64)}…` : text;
}

/** A value that is nested too deeply to be written out is what a hostile caller sends: still the caller's fault. */
function asText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return typeof value;
  }
}
