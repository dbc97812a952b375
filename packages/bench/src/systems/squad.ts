/** SQUAD as a system under test: a testnet of real processes. */

import { readFileSync } from 'node:fs';
import { ManagedProcess, startTestnet, type Testnet, type TestnetProcess } from '@squad/testnet';
import type { LoadTarget } from '../load/protocol.ts';
import { DelayProxy } from '../measure/delay-proxy.ts';
import { INSPECTOR_FLAGS } from '../measure/profile.ts';
import { waitReady } from './ready.ts';
import { verifyTransfers } from './squad-evm-check.ts';
import { verifySequence } from './squad-sequence-check.ts';
import type { RunningSystem, System, SystemContext } from './system.ts';

const FIRST_ROLLUP_ID = 901;
const MAX_PER_REQUEST = 1_000;
const RECOVERY_TIMEOUT_MS = 60_000;

export interface SquadOptions {
  readonly id: string;
  readonly nodes: number;
  readonly workload: 'opaque' | 'evm';
  /** The words before a command of `squad`. */
  readonly program: readonly string[];
  readonly version: string;
  /** One way between two validators; 0: none is added. */
  readonly delayMs: number;
  /** The last validators that clients do not send to. */
  readonly withoutClients?: number;
  /** The last validators that flood the others. */
  readonly floods?: number;
  /** Votes of all validators are signed by nothing: what remains is what all the rest costs. */
  readonly unsignedVotes?: boolean;
  /** Cores that its processes share, by `taskset`; all without. Load clients have all in any case. */
  readonly cores?: number;
  readonly sequencerOptions?: Readonly<Record<string, unknown>>;
}

export function squadSystem(options: SquadOptions): System {
  const { id, nodes, version } = options;
  const title = titleOf(options);
  return { id, title, nodes, version, start: (context) => start(options, context) };
}

function titleOf({ nodes, floods = 0, withoutClients = 0, cores, unsignedVotes }: SquadOptions): string {
  if (unsignedVotes) return `SQUAD, ${nodes} validators, votes not signed`;
  if (cores !== undefined) return `SQUAD, ${nodes} validators on ${cores} ${cores === 1 ? 'core' : 'cores'}`;
  if (nodes === 1) return 'SQUAD, 1 validator';
  if (floods > 0) return `SQUAD, ${nodes} validators, of which ${floods} flood`;
  return withoutClients > 0 ? `SQUAD, ${nodes} validators, nobody floods` : `SQUAD, ${nodes} validators`;
}

async function start(options: SquadOptions, { directory, onProgress }: SystemContext): Promise<RunningSystem> {
  const { nodes, workload, program, delayMs } = options;
  const proxy = delayMs > 0 ? await DelayProxy.start(delayMs) : undefined;
  const testnet = await startTestnet({
    directory,
    program: [...pinning(options.cores), program[0]!, ...INSPECTOR_FLAGS, ...program.slice(1)],
    nodes,
    rollups: 1,
    rollupKind: workload,
    ports: 'free',
    logLevel: 'warn',
    ...(options.sequencerOptions === undefined ? {} : { sequencerOptions: options.sequencerOptions }),
    ...(proxy === undefined ? {} : { publishedPort: (_name, port) => proxy.listen(port) }),
  });
  const stop = async () => {
    await testnet.stop();
    proxy?.stop();
  };
  try {
    await waitReady(testnet.processes);
    const liars = options.unsignedVotes
      ? await startLiars(testnet, nodes, 'unsigned-votes', onProgress)
      : await startLiars(testnet, options.floods ?? 0, 'flood', onProgress);
    const stopAll = async () => {
      for (const liar of liars) await liar.stop();
      await stop();
    };
    return running(options, testnet, liars, proxy, stopAll, onProgress);
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The words before a command that has it run on the first cores alone. It becomes that command: pid and channels stay. */
function pinning(cores: number | undefined): string[] {
  return cores === undefined ? [] : ['taskset', '--cpu-list', allowedCores().slice(0, cores).join(',')];
}

/** Numbers of the cores that this process may run on, as Linux has them: `0-3,8`. */
export function allowedCores(status: string = readFileSync('/proc/self/status', 'utf8')): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '0';
  return list.split(',').flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

/** Runs the last validators anew with a misbehaviour of tests. On one machine those who flood take CPU from the others besides. */
async function startLiars(
  testnet: Testnet,
  count: number,
  how: string,
  onProgress: (text: string) => void,
): Promise<ManagedProcess[]> {
  const liars: ManagedProcess[] = [];
  const chosen = testnet.nodes.slice(testnet.nodes.length - count);
  // All at once: what is left of the set would go on.
  await Promise.all(chosen.map(({ name }) => testnet.kill(name, 'SIGTERM')));
  for (const { name, process, logPath } of chosen) {
    onProgress(`${name} starts again, to ${how}`);
    const command = [...process.command, '--test-misbehave', how];
    const liar = new ManagedProcess({ name, command, logPath, env: { SQUAD_ALLOW_MISBEHAVIOUR: '1' } });
    liars.push(liar);
    await liar.start();
  }
  if (count > 0) await waitReady(testnet.processes);
  return liars;
}

function running(
  { workload, withoutClients = 0 }: SquadOptions,
  testnet: Testnet,
  liars: readonly ManagedProcess[],
  proxy: DelayProxy | undefined,
  stop: () => Promise<void>,
  onProgress: (text: string) => void,
): RunningSystem {
  const crashed: string[] = [];
  const sequencers = testnet.nodes.slice(0, testnet.nodes.length - withoutClients);
  const ingress = workload === 'evm' ? testnet.rollupNodes : sequencers;
  const pidOf = ({ name, process }: TestnetProcess) => (liars.find((liar) => liar.name === name) ?? process).pid;
  const p2pPorts = testnet.nodes.flatMap(({ p2pAddress }) => Number(p2pAddress!.split('/').at(-1)));
  return {
    kind: workload === 'evm' ? 'squad-evm' : 'squad-opaque',
    rollupId: FIRST_ROLLUP_ID,
    targets: ingress.map(
      ({ name, rpcUrl, webSocketUrl }, author): LoadTarget => ({ name, author, rpcUrl, webSocketUrl }),
    ),
    processes: [
      ...testnet.processes.map((one) => ({ name: one.name, role: one.role, pid: () => pidOf(one) })),
      ...(proxy === undefined ? [] : [{ name: 'delay-proxy', role: 'proxy', pid: () => proxy.pid }]),
    ],
    p2pPorts,
    maxPerRequest: MAX_PER_REQUEST,
    logPathOf: (name) => testnet.processes.find((one) => one.name === name)?.logPath,
    crash: async (count) => {
      for (const { name } of testnet.nodes.slice(testnet.nodes.length - count)) {
        onProgress(`SIGKILL to ${name}`);
        crashed.push(name);
        await testnet.kill(name, 'SIGKILL');
      }
    },
    recover: async () => {
      for (const name of crashed.splice(0)) {
        onProgress(`starting ${name} again`);
        await testnet.restart(name);
      }
      await waitReady(testnet.processes, RECOVERY_TIMEOUT_MS);
    },
    verify: (loads) =>
      workload === 'evm'
        ? verifyTransfers(testnet, loads)
        : verifySequence(testnet, FIRST_ROLLUP_ID, loads, onProgress),
    stop,
  };
}
