/**
 * Subscriptions in the style of Ethereum nodes: `<namespace>_subscribe` with a name and its parameters returns an id, and
 * `<namespace>_subscription` notifications {subscription, result} follow until `<namespace>_unsubscribe` or the end.
 */

import { z } from 'zod';
import { RpcCode } from './code.ts';
import { invalidParams, RpcError } from './error.ts';
import {
  defineMethod,
  type ParamsOf,
  parametersOf,
  parseParams,
  type RpcContext,
  type RpcMethod,
  type RpcResult,
  type RpcSubscriber,
  type Unsubscribe,
} from './method.ts';

/** One thing that can be subscribed to. Made by `defineSubscription`. */
export interface RpcSubscription {
  /** `eth` gives eth_subscribe, eth_unsubscribe and eth_subscription. */
  readonly namespace: string;
  /** First parameter of the subscribe call, such as `newHeads`. */
  readonly name: string;
  readonly summary: string;
  readonly result: RpcResult;
  readonly parameterNames: readonly string[];
  /** `params` without the name. May throw `RpcError`. */
  open(params: readonly unknown[], subscriber: RpcSubscriber, context: RpcContext): Unsubscribe | Promise<Unsubscribe>;
}

export interface SubscriptionDefinition<Schemas extends Readonly<Record<string, z.ZodType>>> {
  readonly namespace: string;
  readonly name: string;
  readonly summary: string;
  /** In positional order, after the name. */
  readonly params: Schemas;
  /** Most live ones on one server, for what costs the server much. Default: only the limits of all subscriptions. */
  readonly maxLive?: number;
  /** What each notification holds. */
  readonly result: RpcResult;
  readonly subscribe: (
    params: ParamsOf<Schemas>,
    subscriber: RpcSubscriber,
    context: RpcContext,
  ) => Unsubscribe | Promise<Unsubscribe>;
}

export function defineSubscription<const Schemas extends Readonly<Record<string, z.ZodType>>>(
  definition: SubscriptionDefinition<Schemas>,
): RpcSubscription {
  const { namespace, name, summary, result, params, subscribe, maxLive = Number.POSITIVE_INFINITY } = definition;
  let live = 0;
  const parameters = parametersOf(params);
  return {
    namespace,
    name,
    summary,
    result,
    parameterNames: parameters.map((parameter) => parameter.name),
    open: (given, subscriber, context) => {
      const parsed = parseParams<Schemas>(parameters, given);
      if (live >= maxLive) throw tooManyLive(`${namespace}_subscribe ${name}`, maxLive);
      live++;
      subscriber.closed.addEventListener('abort', () => live--, { once: true });
      return subscribe(parsed, subscriber, context);
    },
  };
}

/** The server holds so many already, over all connections. */
export function tooManyLive(what: string, limit: number): RpcError {
  return new RpcError(RpcCode.limitExceeded, `this endpoint serves ${limit} of ${what}, its limit`, {
    code: 'TOO_MANY_SUBSCRIPTIONS',
    remedy: 'Try again later, or use another endpoint.',
    limit,
  });
}

/** The subscribe and unsubscribe methods of every namespace that occurs. */
export function subscriptionMethods(subscriptions: readonly RpcSubscription[]): RpcMethod[] {
  const namespaces = new Map<string, Map<string, RpcSubscription>>();
  for (const subscription of subscriptions) {
    const names = namespaces.get(subscription.namespace) ?? new Map<string, RpcSubscription>();
    if (names.has(subscription.name)) throw new Error(`two subscriptions are called ${subscription.name}`);
    namespaces.set(subscription.namespace, names.set(subscription.name, subscription));
  }
  return [...namespaces].flatMap(([namespace, names]) => [
    subscribeMethod(namespace, names),
    unsubscribeMethod(namespace),
  ]);
}

function subscribeMethod(namespace: string, names: ReadonlyMap<string, RpcSubscription>): RpcMethod {
  const list = [...names.values()].map((s) => `${[s.name, ...s.parameterNames].join(', ')}: ${s.summary}`).join('. ');
  return {
    name: `${namespace}_subscribe`,
    summary: `Subscribes over WebSocket; ${namespace}_subscription notifications follow. ${list}`,
    parameters: [
      { name: 'subscription', schema: z.enum([...names.keys()]), required: true },
      { name: 'parameters', schema: z.unknown().describe('As many as the subscription takes'), required: false },
    ],
    result: { name: 'subscriptionId', description: 'Names the subscription in its notifications', schema: z.string() },
    call: (params, context) => {
      if (!Array.isArray(params)) throw invalidParams('a subscription takes an array, its name first');
      const subscription = typeof params[0] === 'string' ? names.get(params[0]) : undefined;
      if (subscription === undefined) {
        throw invalidParams(`subscription: expected one of ${[...names.keys()].join(', ')}`, { param: 'subscription' });
      }
      const rest: unknown[] = params.slice(1);
      return hostOf(context).open(`${namespace}_subscription`, (subscriber) =>
        subscription.open(rest, subscriber, context),
      );
    },
  };
}

function unsubscribeMethod(namespace: string): RpcMethod {
  return defineMethod({
    name: `${namespace}_unsubscribe`,
    summary: 'Ends a subscription of this connection',
    params: { subscriptionId: z.string().max(128) },
    result: { name: 'existed', description: 'Whether there was such a subscription', schema: z.boolean() },
    handler: ({ subscriptionId }, context) => hostOf(context).close(subscriptionId),
  });
}

function hostOf(context: RpcContext) {
  if (context.subscriptions !== undefined) return context.subscriptions;
  throw new RpcError(RpcCode.notSupported, 'subscriptions need a WebSocket connection', {
    code: 'NOT_A_WEBSOCKET',
    remedy: 'Connect to the same host and port with ws:// instead of http://.',
  });
}
