/** op-node's JSON-RPC, over the rollup's own chain: what op-proposer asks, checked by viem's own verification. */

import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RLP } from '@ethereumjs/rlp';
import { createRpcServer, rpcCall, silentLogger } from '@squad/service';
import { type Hex, toHex } from '@squad/types';
import { concat, keccak256 } from 'viem';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { EvmExecutor } from '../src/execution/evm/executor.ts';
import { clientOpBlocks } from '../src/rpc/op-client-blocks.ts';
import { opMethods } from '../src/rpc/op-methods.ts';
import { MAX_OP_ROLLUP_CONFIG_BYTES } from '../src/stacks/op/limits.ts';
import { type OpRollupConfig, type RollupGenesis, readOpRollupConfig } from '../src/stacks/op/rollup-config.ts';
import type { FakeL1, FakeL1Block } from '../src/testing/index.ts';
import { temporaryDirectory } from './support/directory.ts';
import { type OpEngine, opClient, startOp } from './support/op.ts';
import { type Following, follow, startL1 } from './support/op-l1.ts';
import { type RpcNode, startRpcNode } from './support/rpc-node.ts';
import { GENESIS_TIME_MS } from './support/sequence.ts';
import { sign } from './support/transactions.ts';

const CHAIN = 901;
const PASSER = '0x4200000000000000000000000000000000000016';
const L1_ORIGIN = { hash: `0x${'a1'.repeat(32)}` as Hex, number: 17 };
/** Stores the second word of its input at the first: PUSH1 32 CALLDATALOAD PUSH0 CALLDATALOAD SSTORE. */
const STORE_CODE = '0x6020355f355500';

const configOf = ({ chainId, hash, timestampSeconds }: RollupGenesis): OpRollupConfig => ({
  genesis: {
    l1: L1_ORIGIN,
    l2: { hash, number: 0 },
    l2_time: timestampSeconds,
    system_config: { gasLimit: 30_000_000 },
  },
  block_time: 1,
  l1_chain_id: 1,
  l2_chain_id: chainId,
  deposit_contract_address: `0x${'d0'.repeat(20)}`,
  l1_system_config_address: `0x${'5c'.repeat(20)}`,
  regolith_time: 0,
});
const GENESIS: RollupGenesis = {
  chainId: CHAIN,
  hash: `0x${'11'.repeat(32)}`,
  timestampSeconds: GENESIS_TIME_MS / 1000,
};

let node: RpcNode;
afterEach(() => node?.close());

const result = async (method: string, ...params: unknown[]) => {
  const answer = await node.call(method, params);
  if (answer.error) throw Object.assign(new Error(answer.error.message), answer.error);
  return answer.result as never;
};

describe('optimism_*', () => {
  it('gives output roots from which a withdrawal can be proven, of final blocks only', async () => {
    node = await startRpcNode({
      file: { alloc: { [PASSER]: { balance: '0', nonce: 1, code: STORE_CODE }, ...funded() } },
      opRollupConfig: configOf(GENESIS),
    });
    const slot = `0x${'7e'.repeat(32)}` as const;
    const data = concat([slot, `0x${'00'.repeat(31)}01`]);
    node.waiting.push(sign(CHAIN, 0, { to: PASSER, gasLimit: 100_000n, data }));
    await node.orderSoft();
    await node.orderSoft();
    const before: { unsafe_l2: { number: number }; safe_l2: { number: number } } = await result('optimism_syncStatus');
    expect([before.unsafe_l2.number, before.safe_l2.number]).toEqual([1, 0]);
    await expect(result('optimism_outputAtBlock', '0x1')).rejects.toThrow('header not found');
    await node.makeFinal();

    const output: Record<string, Hex> & { blockRef: object; syncStatus: object } = await result(
      'optimism_outputAtBlock',
      '0x1',
    );
    const block: { hash: Hex; parentHash: Hex; stateRoot: Hex; timestamp: Hex } = await result(
      'eth_getBlockByNumber',
      '0x1',
      false,
    );
    const proof: { storageHash: Hex; accountProof: Hex[]; storageProof: { value: Hex; proof: Hex[] }[] } = await result(
      'eth_getProof',
      PASSER,
      [slot],
      '0x1',
    );
    expect(output).toMatchObject({
      version: `0x${'00'.repeat(32)}`,
      stateRoot: block.stateRoot,
      withdrawalStorageRoot: proof.storageHash,
      outputRoot: keccak256(concat([`0x${'00'.repeat(32)}`, block.stateRoot, proof.storageHash, block.hash])),
      blockRef: {
        hash: block.hash,
        number: 1,
        parentHash: block.parentHash,
        timestamp: Number(block.timestamp),
        l1origin: L1_ORIGIN,
        sequenceNumber: 1,
      },
    });
    // What OptimismPortal checks: the slot is 1 under the storage root, whose first node is of that hash.
    expect(proof.storageProof[0]!.value).toBe('0x1');
    expect(keccak256(proof.storageProof[0]!.proof[0]!)).toBe(proof.storageHash);
    const leaf = RLP.decode(proof.storageProof[0]!.proof.at(-1)!) as Uint8Array[];
    expect(toHex(leaf[1]!)).toBe('0x01');
    expect(output.syncStatus).toEqual(await result('optimism_syncStatus'));
  });

  it('tells heads as op-node does, numbers as numbers, and nothing of L1', async () => {
    node = await startRpcNode({ opRollupConfig: configOf(GENESIS) });
    const zero = `0x${'00'.repeat(32)}`;
    const genesis = {
      hash: toHex((node.rollup.executor as EvmExecutor).hashAt(0)),
      number: 0,
      parentHash: zero,
      timestamp: GENESIS_TIME_MS / 1000,
      l1origin: L1_ORIGIN,
      sequenceNumber: 0,
    };
    const l1 = { hash: zero, number: 0, parentHash: zero, timestamp: 0 };
    expect(await result('optimism_syncStatus')).toEqual({
      current_l1: l1,
      current_l1_finalized: l1,
      head_l1: l1,
      safe_l1: l1,
      finalized_l1: l1,
      unsafe_l2: genesis,
      safe_l2: genesis,
      finalized_l2: genesis,
      pending_safe_l2: genesis,
      cross_unsafe_l2: genesis,
      local_safe_l2: genesis,
    });
    expect(await result('optimism_rollupConfig')).toEqual(configOf(GENESIS));
    expect(await result('optimism_version')).toBe('squad/test/rollup-node');
    await expect(result('optimism_outputAtBlock', '0x0')).rejects.toMatchObject({
      data: { code: 'NO_MESSAGE_PASSER' },
    });
  });

  it('is not there without a configuration', async () => {
    node = await startRpcNode();
    await expect(result('optimism_syncStatus')).rejects.toMatchObject({ code: -32601 });
  });
});

describe('optimism_* of an execution client', () => {
  const open: { close(): unknown }[] = [];
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close();
  });
  type Output = Record<string, unknown> & { blockRef: Record<string, unknown>; syncStatus: Record<string, unknown> };
  const start = async (): Promise<{
    l1: FakeL1;
    following: Following;
    engine: OpEngine;
    ask: (method: string, ...params: unknown[]) => Promise<Output>;
  }> => {
    const l1 = await startL1();
    open.push({ close: () => l1.stop() });
    const following = await follow(l1);
    open.push(following);
    const engine = await startOp(opClient(), { order: following.order });
    open.push(engine);
    const blocks = clientOpBlocks(engine.order.executor, engine.driver);
    const methods = opMethods(blocks, configOf(GENESIS), 'squad/test');
    const info = { title: 'rollup', version: '0' };
    const server = await createRpcServer({ host: '127.0.0.1', port: 0, info, methods, logger: silentLogger });
    open.push(server);
    return { l1, following, engine, ask: (method, ...params) => rpcCall(server.url, method, params, z.any()) };
  };
  const transfer = (nonce: number) => sign(CHAIN, 0, { nonce, to: PASSER, value: 1n });

  it('gives the client’s roots of final blocks, and L1 as the anchors tell of it', async () => {
    const { l1, following, engine, ask } = await start();
    const { order, anchor } = following;
    await order.final([transfer(0)]);
    const [one, two] = [l1.mine(), l1.mine()];
    anchor(one);
    await order.final([], [transfer(1)], []);
    anchor(two);
    await order.soft([transfer(2)], []);
    await engine.followed();
    const entry = engine.client.canonical(3)!;
    const { header } = entry.block;
    const output = await ask('optimism_outputAtBlock', '0x3');
    const withdrawalStorageRoot = toHex(header.withdrawalsRoot!);
    const parts = [`0x${'00'.repeat(32)}` as const, toHex(header.stateRoot), withdrawalStorageRoot, entry.hash];
    expect(output).toMatchObject({
      version: parts[0],
      stateRoot: parts[1],
      withdrawalStorageRoot,
      outputRoot: keccak256(concat(parts)),
      blockRef: {
        hash: entry.hash,
        number: 3,
        parentHash: toHex(header.parentHash),
        timestamp: Number(header.timestamp),
        l1origin: { hash: toHex(one.hash), number: one.number },
        sequenceNumber: 1,
      },
    });
    const l1Ref = ({ hash, number, timestamp }: FakeL1Block, parent: FakeL1Block) => ({
      hash: toHex(hash),
      number,
      timestamp,
      parentHash: toHex(parent.hash),
    });
    expect(output.syncStatus).toMatchObject({
      unsafe_l2: { hash: engine.client.head, number: 4, l1origin: { number: two.number }, sequenceNumber: 0 },
      safe_l2: output.blockRef,
      finalized_l2: output.blockRef,
      head_l1: l1Ref(two, one),
      current_l1: l1Ref(one, l1.blocks[0]!),
      finalized_l1: l1Ref(one, l1.blocks[0]!),
    });
    await expect(ask('optimism_outputAtBlock', '0x4')).rejects.toThrow('header not found');
    expect(await ask('optimism_outputAtBlock', '0x0')).toMatchObject({ blockRef: { number: 0, sequenceNumber: 0 } });
    expect(await ask('optimism_version')).toBe('squad/test');
  });

  it('takes no header that is not of the block that the client was driven to', async () => {
    const { following, engine, ask } = await start();
    await following.order.final([transfer(0)], [transfer(1)], []);
    await engine.followed();
    const { client } = engine;
    const of = async (number: number) =>
      (await engine.driver.query('eth_getBlockByNumber', [`0x${number}`, false], z.looseObject({}))) as object;
    const honest = await of(2);
    for (const lie of [{ ...honest, stateRoot: `0x${'66'.repeat(32)}` }, await of(1)]) {
      client.intercept = ({ method, params }) =>
        method === 'eth_getBlockByNumber' && params[0] === '0x2' ? { result: lie } : undefined;
      await expect(ask('optimism_outputAtBlock', '0x2')).rejects.toMatchObject({
        data: { code: 'ENGINE_HEADER_WRONG' },
      });
    }
    client.intercept = ({ method }) => (method === 'eth_getBlockByNumber' ? 'break' : undefined);
    await expect(ask('optimism_syncStatus')).rejects.toMatchObject({ data: { code: 'ENGINE_NOT_FOLLOWING' } });
  });

  it('is not there before the client is', async () => {
    const l1 = await startL1();
    open.push({ close: () => l1.stop() });
    const following = await follow(l1);
    open.push(following);
    const driver = {
      headNumber: undefined,
      takenHash: () => undefined,
      query: () => Promise.reject(new Error('asked')),
    };
    const { heads } = clientOpBlocks(following.order.executor, driver);
    expect(heads).toThrow('it took no block yet');
  });
});

describe('rollup.json', () => {
  const path = join(temporaryDirectory(), 'rollup.json');
  const read = (config: unknown) => {
    writeFileSync(path, typeof config === 'string' ? config : JSON.stringify(config));
    return readOpRollupConfig(path, GENESIS);
  };
  const good = configOf(GENESIS);

  it('is taken with everything in it, up to its limit', async () => {
    const config = { ...good, batch_inbox_address: `0x${'ff'.repeat(20)}`, ecotone_time: 0 };
    expect(await read(config)).toEqual(config);
    const text = JSON.stringify(good);
    expect(await read(text.padEnd(MAX_OP_ROLLUP_CONFIG_BYTES))).toEqual(good);
    await expect(read(text.padEnd(MAX_OP_ROLLUP_CONFIG_BYTES + 1))).rejects.toMatchObject({
      code: 'OP_ROLLUP_CONFIG_INVALID',
    });
    const device = join(temporaryDirectory(), 'rollup.json');
    symlinkSync('/dev/zero', device);
    await expect(readOpRollupConfig(device, GENESIS)).rejects.toThrow('more bytes than MAX_OP_ROLLUP_CONFIG_BYTES');
  });

  it('is refused if it is not one', async () => {
    await expect(readOpRollupConfig(join(path, 'none'), GENESIS)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    const { genesis, ...without } = good;
    for (const bad of ['{', without, { ...good, l2_chain_id: '901' }, { ...good, deposit_contract_address: '0x' }]) {
      await expect(read(bad)).rejects.toMatchObject({ code: 'OP_ROLLUP_CONFIG_INVALID' });
    }
    expect(genesis.l1).toEqual(L1_ORIGIN);
  });

  it('is refused if it is of another chain', async () => {
    const { genesis } = good;
    for (const other of [
      { ...good, l2_chain_id: 902 },
      { ...good, genesis: { ...genesis, l2: { hash: `0x${'12'.repeat(32)}`, number: 0 } } },
      { ...good, genesis: { ...genesis, l2: { ...genesis.l2, number: 1 } } },
      { ...good, genesis: { ...genesis, l2_time: genesis.l2_time + 1 } },
    ]) {
      await expect(read(other)).rejects.toMatchObject({ code: 'OP_ROLLUP_CONFIG_OF_OTHER_CHAIN' });
    }
  });

  it('is refused if it is of another L1 than the rollup file', async () => {
    const { genesis, l1_chain_id: chainId } = good;
    const blobSchedule = [{ time: 0, baseFeeUpdateFraction: 1 }];
    const [depositContract, systemConfig] = [good.deposit_contract_address, good.l1_system_config_address];
    const op = {
      l1Origin: { ...L1_ORIGIN, timestamp: 0, baseFee: '0', blobBaseFee: '1' },
      l1: { chainId, depositContract, systemConfig, blobSchedule },
    };
    const readOf = (config: object) => {
      writeFileSync(path, JSON.stringify(config));
      return readOpRollupConfig(path, { ...GENESIS, op });
    };
    expect(await readOf(good)).toEqual(good);
    for (const other of [
      { ...good, genesis: { ...genesis, l1: { ...genesis.l1, number: 18 } } },
      { ...good, genesis: { ...genesis, l1: { ...genesis.l1, hash: `0x${'a2'.repeat(32)}` } } },
      { ...good, l1_chain_id: 2 },
      { ...good, deposit_contract_address: PASSER },
      { ...good, l1_system_config_address: PASSER },
    ]) {
      await expect(readOf(other)).rejects.toMatchObject({ code: 'OP_ROLLUP_CONFIG_OF_OTHER_CHAIN' });
    }
  });
});

function funded() {
  return { '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266': { balance: String(10n ** 22n), nonce: 0 } };
}
