/** The JSON-RPC methods and subscriptions of an EVM rollup, as tables for `createRpcServer` of `@squad/service`. */

import type { RpcMethod, RpcSubscription } from '@squad/service';
import type { DerivationEvents } from '../derivation/events.ts';
import type { SkippedTransactions } from '../derivation/skipped.ts';
import type { EvmExecutor } from '../execution/evm/executor.ts';
import type { OpRollupConfig } from '../stacks/op/rollup-config.ts';
import { blockMethods } from './block-methods.ts';
import { chainMethods } from './chain-methods.ts';
import { RpcState } from './context.ts';
import { debugMethods } from './debug-methods.ts';
import { Filters, filterMethods } from './filters.ts';
import { evmOpBlocks, opMethods } from './op-methods.ts';
import { poolMethods } from './pool-methods.ts';
import type { RollupRpcPorts } from './ports.ts';
import { simulateMethod } from './simulate-method.ts';
import { stateMethods } from './state-methods.ts';
import { submitMethod } from './submit-method.ts';
import { ethSubscriptions } from './subscriptions.ts';

export interface EthApi {
  readonly methods: readonly RpcMethod[];
  readonly subscriptions: readonly RpcSubscription[];
  /** Stops listening to the rollup. Call it after the server is closed and before the derivation is. */
  close(): void;
}

export function createEthApi(
  rollup: { readonly executor: EvmExecutor; readonly events: DerivationEvents; readonly skipped: SkippedTransactions },
  ports: RollupRpcPorts,
  /** With it, op-node's methods are served, too. */
  opRollupConfig?: OpRollupConfig,
): EthApi {
  const state = new RpcState(rollup, ports);
  const filters = new Filters(state);
  const stops = [
    rollup.events.on('transaction', (hash) => state.submitted.remove(hash)),
    rollup.events.on('skipped', ({ hash }) => state.submitted.remove(hash)),
  ];
  return {
    methods: [
      ...chainMethods(state),
      ...blockMethods(state),
      ...stateMethods(state),
      simulateMethod(state),
      ...debugMethods(state),
      ...filterMethods(filters),
      submitMethod(state),
      ...poolMethods(state),
      ...(opRollupConfig === undefined
        ? []
        : opMethods(evmOpBlocks(state, opRollupConfig), opRollupConfig, ports.clientVersion)),
    ],
    subscriptions: ethSubscriptions(state),
    close: () => {
      filters.close();
      for (const stop of stops) stop();
    },
  };
}
