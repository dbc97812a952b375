/** A rollup node in this process: a JSON-RPC server over a rollup whose sequencers are made up. */

import { createLogger, createRpcServer } from '@squad/service';
import { type Hex, toHex } from '@squad/types';
import { developmentRollup, type RollupFile } from '../../src/config/rollup-file.ts';
import type { ProvenBlock } from '../../src/derivation/api.ts';
import { openRollup, type Rollup } from '../../src/derivation/open.ts';
import type { EvmExecutor } from '../../src/execution/evm/executor.ts';
import { keccak256 } from '../../src/execution/keccak.ts';
import { createEthApi } from '../../src/rpc/eth-methods.ts';
import type { RollupRpcPorts } from '../../src/rpc/ports.ts';
import type { OpRollupConfig } from '../../src/stacks/op/rollup-config.ts';
import { temporaryDirectory } from './directory.ts';
import { GENESIS_TIME_MS, sequenceOf, soft } from './sequence.ts';

export interface RpcNode {
  readonly url: string;
  readonly webSocketUrl: string;
  readonly rollup: Rollup;
  /** What was handed to the sequencers and not ordered yet. */
  readonly waiting: Uint8Array[];
  /** Orders what waits, one slot later, as a soft block; returns it. */
  orderSoft(): Promise<ProvenBlock>;
  /** Makes all soft blocks final, and an empty one after them, so that their slots are complete. */
  makeFinal(): Promise<void>;
  /** Both. */
  order(): Promise<void>;
  call(
    method: string,
    params?: unknown,
  ): Promise<{ result?: unknown; error?: { code: number; message: string; data?: unknown } }>;
  close(): Promise<void>;
}

export async function startRpcNode(
  options: { file?: Partial<RollupFile>; ports?: Partial<RollupRpcPorts>; opRollupConfig?: OpRollupConfig } = {},
): Promise<RpcNode> {
  const file = developmentRollup({ rollupId: 901, genesisTimeMs: GENESIS_TIME_MS, ...options.file });
  const rollup = await openRollup(file, temporaryDirectory());
  const waiting: Uint8Array[] = [];
  const ports: RollupRpcPorts = {
    submit: async (raw): Promise<Hex> => {
      waiting.push(raw);
      return toHex(keccak256(raw));
    },
    syncing: () => false,
    peerCount: () => 3,
    clientVersion: 'squad/test/rollup-node',
    ...options.ports,
  };
  const api = createEthApi({ ...rollup, executor: rollup.executor as EvmExecutor }, ports, options.opRollupConfig);
  const server = await createRpcServer({
    host: '127.0.0.1',
    port: 0,
    info: { title: 'rollup', version: '0' },
    methods: api.methods,
    subscriptions: api.subscriptions,
    logger: createLogger({ name: 'test', level: 'fatal' }),
  });
  let tip: ProvenBlock | undefined;
  let at = 0;
  const softBlocks: ProvenBlock[] = [];
  const node: RpcNode = {
    url: server.url,
    webSocketUrl: server.url.replace('http', 'ws'),
    rollup,
    waiting,
    orderSoft: async () => {
      at += file.blockTimeMs;
      const [block] = sequenceOf([{ at, batches: waiting.length === 0 ? [] : [waiting.splice(0)] }], tip);
      tip = block!;
      softBlocks.push(tip);
      await rollup.derivation.applySoft(soft(tip));
      return tip;
    },
    makeFinal: async () => {
      await node.orderSoft();
      for (const block of softBlocks.splice(0)) await rollup.derivation.applyFinal(block);
    },
    order: async () => {
      await node.orderSoft();
      await node.makeFinal();
    },
    call: async (method, params = []) => {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
      const response = await fetch(server.url, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
      });
      return (await response.json()) as Awaited<ReturnType<RpcNode['call']>>;
    },
    close: async () => {
      await server.close();
      api.close();
      await rollup.derivation.close();
    },
  };
  return node;
}
