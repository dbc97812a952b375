/**
 * CometBFT with its kvstore, if `cometbft` is on PATH: as it comes, and tuned. Its localnet is configured as its own
 * documentation does it, each node a process, all on loopback.
 */

import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from '@squad/testnet';
import { z } from 'zod';
import { ForeignProcess, freePorts, versionOf } from './child.ts';
import type { RunningSystem, System, SystemContext, Verification } from './system.ts';

const PROGRAM = 'cometbft';
/** Its own default; the tuned one raises it. */
const STOCK_MAX_PER_REQUEST = 10;
/**
 * Transactions on their way at once: below its mempool's 5,000 places. More slow it down, as each is sent to each peer
 * singly.
 */
const MAX_WINDOW = 4_000;
const READY_TIMEOUT_MS = 60_000;

/** No wait for empty blocks, no wait after a commit, and rates, mempool and requests that are never the limit. */
const TUNED: Readonly<Record<string, string>> = {
  timeout_commit: '"0s"',
  skip_timeout_commit: 'true',
  create_empty_blocks: 'false',
  peer_gossip_sleep_duration: '"10ms"',
  flush_throttle_timeout: '"10ms"',
  max_packet_msg_payload_size: '65536',
  send_rate: '1000000000',
  recv_rate: '1000000000',
  size: '200000',
  cache_size: '400000',
  recheck: 'false',
  max_request_batch_size: '0',
  max_body_bytes: '100000000',
  indexer: '"null"',
};

export async function cometbftSystems(nodes: number): Promise<System[] | string> {
  const version = await versionOf(PROGRAM, ['version']);
  if (version === undefined) return 'CometBFT: skipped, `cometbft` is not on PATH';
  return [
    {
      id: 'cometbft-stock',
      title: `CometBFT ${version} as it comes, ${nodes} validators`,
      nodes,
      version,
      start: (context) => start(nodes, {}, STOCK_MAX_PER_REQUEST, context),
    },
    {
      id: 'cometbft-tuned',
      title: `CometBFT ${version} tuned, ${nodes} validators`,
      nodes,
      version,
      start: (context) => start(nodes, TUNED, Number.POSITIVE_INFINITY, context),
    },
  ];
}

async function start(
  nodes: number,
  settings: Readonly<Record<string, string>>,
  maxPerRequest: number,
  { directory }: SystemContext,
): Promise<RunningSystem> {
  const ports = await freePorts(2 * nodes);
  const p2pPorts = ports.slice(0, nodes);
  const rpcPorts = ports.slice(nodes);
  const homes = Array.from({ length: nodes }, (_, index) => join(directory, `node${index}`));
  await promisify(execFile)(PROGRAM, ['testnet', '--v', String(nodes), '--o', directory]);
  const ids = await Promise.all(homes.map(nodeId));
  for (const [index, home] of homes.entries()) {
    const peers = ids.map((id, peer) => `${id}@127.0.0.1:${p2pPorts[peer]}`).filter((_, peer) => peer !== index);
    const path = join(home, 'config/config.toml');
    writeFileSync(path, configured(readFileSync(path, 'utf8'), peers, { ...settings, pex: 'false' }));
  }
  const children = homes.map((home, index) => {
    const args = ['start', '--home', home, '--proxy_app', 'kvstore', '--log_level', 'error'];
    args.push('--p2p.laddr', `tcp://127.0.0.1:${p2pPorts[index]}`, '--rpc.laddr', `tcp://127.0.0.1:${rpcPorts[index]}`);
    return new ForeignProcess(PROGRAM, args, join(directory, `node${index}.log`));
  });
  const urls = rpcPorts.map((port) => `http://127.0.0.1:${port}`);
  const stop = async () => {
    await Promise.all(children.map((child) => child.stop()));
  };
  try {
    await Promise.all(urls.map((url) => waitPeers(url, nodes - 1)));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    kind: 'cometbft',
    rollupId: 0,
    targets: urls.map((rpcUrl, author) => ({
      name: `cometbft-${author}`,
      author,
      rpcUrl,
      webSocketUrl: rpcUrl.replace('http', 'ws'),
    })),
    processes: children.map((child, index) => ({ name: `cometbft-${index}`, role: 'validator', pid: () => child.pid })),
    p2pPorts,
    maxPerRequest,
    maxWindow: MAX_WINDOW,
    logPathOf: () => undefined,
    crash: async (count) => {
      for (const child of children.slice(nodes - count)) await child.kill();
    },
    recover: async () => {},
    verify: (loads) =>
      verify(
        urls[0]!,
        loads.reduce((sum, load) => sum + load.accepted - load.final, 0),
      ),
    stop,
  };
}

async function nodeId(home: string): Promise<string> {
  const { stdout } = await promisify(execFile)(PROGRAM, ['show-node-id', '--home', home]);
  return stdout.trim();
}

/** Each name stands once in CometBFT's file, under whatever heading; `size` and others at the start of a line. */
function configured(text: string, peers: readonly string[], settings: Readonly<Record<string, string>>): string {
  const all = { ...settings, persistent_peers: `"${peers.join(',')}"` };
  return Object.entries(all).reduce(
    (config, [name, value]) => config.replace(new RegExp(`^${name} = .*$`, 'm'), `${name} = ${value}`),
    text,
  );
}

async function waitPeers(url: string, peers: number): Promise<void> {
  const NetInfo = z.object({ n_peers: z.string() });
  const Status = z.object({ sync_info: z.object({ catching_up: z.boolean() }) });
  await waitFor(
    `${url} has ${peers} peers`,
    async () => {
      const { n_peers } = await ask(url, 'net_info', NetInfo);
      const { sync_info } = await ask(url, 'status', Status);
      return Number(n_peers) >= peers && !sync_info.catching_up;
    },
    READY_TIMEOUT_MS,
  );
}

async function verify(url: string, unseen: number): Promise<Verification> {
  const Head = z.object({ time: z.string(), height: z.string() });
  const Blockchain = z.object({ last_height: z.string(), block_metas: z.array(z.object({ header: Head })) });
  const last = await ask(url, 'blockchain', Blockchain);
  const first = await ask(url, 'blockchain?minHeight=1&maxHeight=1', Blockchain);
  const timeOf = ({ block_metas }: z.infer<typeof Blockchain>) => Date.parse(block_metas[0]!.header.time);
  return {
    checked: 'by the load client alone, from the blocks that each node told it',
    lost: unseen,
    duplicated: 0,
    blocks: Number(last.last_height),
    blocksSeconds: (timeOf(last) - timeOf(first)) / 1000,
  };
}

async function ask<T>(url: string, path: string, schema: z.ZodType<T>): Promise<T> {
  const response = await fetch(`${url}/${path}`);
  const { result } = z.object({ result: z.unknown() }).parse(await response.json());
  return schema.parse(result);
}
