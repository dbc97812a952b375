/** Single Ethereum nodes as baselines of the EVM workload, if they are on PATH: anvil, and geth in developer mode. */

import { join } from 'node:path';
import { rpcCall } from '@squad/service';
import { waitFor } from '@squad/testnet';
import { toHex } from '@squad/types';
import { z } from 'zod';
import { DEVELOPMENT_KEYS } from '../load/accounts.ts';
import type { LoadResult } from '../load/protocol.ts';
import { addressOf } from '../load/transfer.ts';
import { ForeignProcess, freePorts, versionOf } from './child.ts';
import { executedTransfers } from './squad-evm-check.ts';
import type { RunningSystem, System, SystemContext } from './system.ts';

const READY_TIMEOUT_MS = 30_000;
const MAX_PER_REQUEST = 100;
/** 10,000 ether, as the other systems give each account. */
const FUNDS = '0x21e19e0c9bab2400000';

export async function ethereumSystems(): Promise<(System | string)[]> {
  const anvil = await versionOf('anvil', ['--version']);
  const geth = await versionOf('geth', ['version']);
  return [
    anvil === undefined
      ? 'anvil: skipped, `anvil` is not on PATH'
      : { id: 'anvil', title: `anvil ${anvil}`, nodes: 1, version: anvil, start: startAnvil },
    geth === undefined
      ? 'geth: skipped, `geth` is not on PATH'
      : { id: 'geth-dev', title: `geth ${geth} --dev`, nodes: 1, version: geth, start: startGeth },
  ];
}

async function startAnvil({ directory }: SystemContext): Promise<RunningSystem> {
  const [port] = await freePorts(1);
  const args = [
    '--port',
    String(port),
    '--silent',
    '--gas-limit',
    '300000000',
    '--accounts',
    '10',
    '--balance',
    '10000',
  ];
  return running('anvil', new ForeignProcess('anvil', args, join(directory, 'anvil.log')), port!, port!);
}

async function startGeth({ directory }: SystemContext): Promise<RunningSystem> {
  const [http, ws] = await freePorts(2);
  const args = [
    '--dev',
    '--datadir',
    join(directory, 'geth'),
    '--dev.gaslimit',
    '300000000',
    '--nodiscover',
    '--port',
    '0',
  ];
  args.push('--http', '--http.port', String(http), '--ws', '--ws.port', String(ws), '--authrpc.port', '0');
  args.push('--txpool.globalslots', '65536', '--txpool.accountslots', '65536', '--txpool.accountqueue', '65536');
  args.push('--ipcdisable', '--verbosity', '1');
  const system = await running('geth', new ForeignProcess('geth', args, join(directory, 'geth.log')), http!, ws!);
  try {
    await fund(system.targets[0]!.rpcUrl);
  } catch (error) {
    await system.stop();
    throw error;
  }
  return system;
}

/** Only geth's own developer account has funds at the start. */
async function fund(url: string): Promise<void> {
  const [from] = await rpcCall(url, 'eth_accounts', [], z.array(z.string()));
  const addresses = DEVELOPMENT_KEYS.map((key) => toHex(addressOf(Buffer.from(key.slice(2), 'hex'))));
  for (const to of addresses) await rpcCall(url, 'eth_sendTransaction', [{ from, to, value: FUNDS }], z.string());
  await waitFor('the accounts are funded', async () => {
    const balances = await Promise.all(
      addresses.map((address) => rpcCall(url, 'eth_getBalance', [address, 'latest'], z.string())),
    );
    return balances.every((balance) => BigInt(balance) >= BigInt(FUNDS));
  });
}

async function running(
  name: string,
  child: ForeignProcess,
  httpPort: number,
  webSocketPort: number,
): Promise<RunningSystem> {
  const rpcUrl = `http://127.0.0.1:${httpPort}`;
  let chainId = 0;
  try {
    await waitFor(
      `${name} answers`,
      async () => {
        chainId = Number(await rpcCall(rpcUrl, 'eth_chainId', [], z.string()));
        return true;
      },
      READY_TIMEOUT_MS,
    );
  } catch (error) {
    await child.stop();
    throw error;
  }
  return {
    kind: 'ethereum',
    rollupId: chainId,
    targets: [{ name, author: 0, rpcUrl, webSocketUrl: `ws://127.0.0.1:${webSocketPort}` }],
    processes: [{ name, role: 'node', pid: () => child.pid }],
    p2pPorts: [],
    maxPerRequest: MAX_PER_REQUEST,
    logPathOf: () => undefined,
    crash: async () => {},
    recover: async () => {},
    verify: async (loads: readonly LoadResult[]) => {
      const accepted = loads.reduce((sum, load) => sum + load.accepted, 0);
      const executed = await executedTransfers(rpcUrl);
      return {
        checked: `nonces in the final state against ${accepted} accepted`,
        lost: Math.max(0, accepted - executed),
        duplicated: loads.reduce((sum, load) => sum + load.finalTwice, 0),
        blocks: Number(await rpcCall(rpcUrl, 'eth_blockNumber', [], z.string())),
        blocksSeconds: 0,
      };
    },
    stop: () => child.stop(),
  };
}
