/**
 * A rollup node that drives a real geth along: as a process beside a live testnet, and, in a slice of what `npm run faults`
 * does at length, block by block. Without a geth on PATH nothing here runs.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { developmentRollup } from '@squad/rollup-node/config';
import { RpcError, rpcCall } from '@squad/service';
import { type Hex, numberToHex } from 'viem';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Exit, ManagedProcess, waitFor } from '../src/index.ts';
import { ACCOUNTS, COUNTER_CODE, Signer } from './accounts.ts';
import { compareWithGeth } from './engine-compare.ts';
import { GETH_VERSION, Geth } from './geth.ts';
import { freePort, launch, type RunningNet, SQUAD_MAIN, showLogsOnFailure } from './support.ts';

const CHAIN_ID = 901;
const Receipt = z.looseObject({ blockNumber: z.string(), blockHash: z.string(), status: z.string() }).nullable();

describe.skipIf(GETH_VERSION === undefined)('with a real geth', () => {
  it('comes to the same in 40 blocks, though geth is killed', () =>
    compareWithGeth({ hardfork: 'prague', blocks: 40, killAfter: 20, seed: 2 }));

  describe('beside a live testnet', () => {
    let net: RunningNet;
    let folder: string;
    let rollupPath: string;
    let geth: Geth;
    let node: ManagedProcess;
    let url: string;
    const signer = new Signer(ACCOUNTS[0]!, CHAIN_ID);

    beforeAll(async () => {
      net = await launch();
      folder = join(net.testnet.directory, 'driving');
      mkdirSync(folder);
      const genesisTimeMs = Date.now() - 5_000;
      const rollup = developmentRollup({ rollupId: CHAIN_ID, genesisTimeMs, ethereumBlocks: true });
      rollupPath = join(folder, 'rollup.json');
      writeFileSync(rollupPath, JSON.stringify(rollup));
      const written = spawnSync(process.execPath, [SQUAD_MAIN, 'rollup-genesis', rollupPath], { encoding: 'utf8' });
      geth = await Geth.create(join(folder, 'geth'), rollup, written.stdout);
      expect(written.stderr).toContain((await geth.block(0))!.hash);
      const rpcPort = await freePort();
      url = `http://127.0.0.1:${rpcPort}`;
      node = rollupNode('driver', geth, rpcPort);
      await node.start();
    });
    afterAll(async () => {
      await node?.stop();
      await geth?.kill();
      await net?.close();
    });
    beforeEach(() => showLogsOnFailure(net.testnet));

    function rollupNode(name: string, { url: engine, jwtSecretPath }: Geth, rpcPort: number): ManagedProcess {
      const sequencers = net.testnet.nodes.map(({ rpcUrl }) => rpcUrl).join();
      const flags = {
        genesis: net.testnet.genesisPath,
        rollup: rollupPath,
        'data-directory': join(folder, name),
        'sequencer-rpc': sequencers,
        'rpc-port': String(rpcPort),
        'metrics-port': '0',
        engine,
        'jwt-secret': jwtSecretPath,
      };
      const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
      const command = [process.execPath, SQUAD_MAIN, 'rollup-node', ...args];
      return new ManagedProcess({ name, command, logPath: join(folder, `${name}.log`) });
    }

    async function send(draft: Parameters<Signer['sign']>[0]): Promise<Hex> {
      const { raw, hash } = await signer.sign(draft);
      await rpcCall(url, 'eth_sendRawTransaction', [raw], z.string());
      return hash;
    }

    /** Geth has the transaction in its chain, in the block where the rollup node has it. */
    async function inGeth(hash: Hex): Promise<void> {
      await waitFor(
        `geth has ${hash}`,
        async () => {
          const receipt = await geth.call('eth_getTransactionReceipt', [hash], Receipt).catch(() => null);
          if (receipt === null) throw new Error(`${node.logTail(3)}\n${geth.logTail(20)}`);
          const own = await rpcCall(url, 'eth_getTransactionReceipt', [hash], Receipt);
          if (own === null) throw new Error('not final yet');
          expect(receipt).toMatchObject({ blockHash: own.blockHash, status: own.status });
          return true;
        },
        60_000,
        200,
      );
    }

    it('what users send is executed by geth, too, also after geth was killed', async () => {
      await inGeth(await send({ to: ACCOUNTS[1]!.address, value: 5n }));
      // Killed before it ever wrote its state, geth may take itself for in the midst of a snap sync, and wait for peers.
      await geth.stop();
      await geth.start();
      const created = await send({ data: COUNTER_CODE, gas: 200_000n });
      await geth.kill();
      const meanwhile = await send({ to: ACCOUNTS[2]!.address, value: 7n });
      await waitFor('the node finds it gone', async () => node.logTail(50).includes('trying again'), 60_000, 200);
      await geth.start();
      await inGeth(created);
      await inGeth(meanwhile);
      const balance = [ACCOUNTS[2]!.address, 'latest'];
      expect(await geth.call('eth_getBalance', balance, z.string())).toBe(numberToHex(10_000n * 10n ** 18n + 7n));
    });

    it('a blob transaction is refused at the door', async () => {
      const blob = `0x03${'c0'}` as const;
      const refusal = await rpcCall(url, 'eth_sendRawTransaction', [blob], z.string()).catch((error) => error);
      expect(refusal).toBeInstanceOf(RpcError);
      expect(refusal.message).toContain('blob transactions are not part of this rollup');
    });

    it('a geth with another genesis ends the node, with the reason', async () => {
      const other = developmentRollup({ rollupId: CHAIN_ID, genesisTimeMs: 1_600_000_000_000, ethereumBlocks: true });
      const stranger = await Geth.create(join(folder, 'stranger'), other);
      const doomed = rollupNode('doomed', stranger, 0);
      try {
        const exit = new Promise<Exit>((resolve) => doomed.onExit(resolve));
        await doomed.start().catch(() => {});
        expect((await exit).code).toBe(1);
        expect(doomed.logTail(20)).toContain('the execution client at');
        expect(doomed.logTail(20)).toContain('squad rollup-genesis');
      } finally {
        await doomed.stop();
        await stranger.kill();
      }
    });
  });
});
