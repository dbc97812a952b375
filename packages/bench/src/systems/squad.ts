/** SQUAD as a system under test: a testnet of real processes. */

import { startTestnet, type Testnet } from '@squad/testnet';
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
  readonly sequencerOptions?: Readonly<Record<string, unknown>>;
}

export function squadSystem(options: SquadOptions): System {
  const { id, nodes, version } = options;
  const title = nodes === 1 ? 'SQUAD, 1 validator' : `SQUAD, ${nodes} validators`;
  return { id, title, nodes, version, start: (context) => start(options, context) };
}

async function start(options: SquadOptions, { directory, onProgress }: SystemContext): Promise<RunningSystem> {
  const { nodes, workload, program, delayMs } = options;
  const proxy = delayMs > 0 ? await DelayProxy.start(delayMs) : undefined;
  const testnet = await startTestnet({
    directory,
    program: [program[0]!, ...INSPECTOR_FLAGS, ...program.slice(1)],
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
    return running(options, testnet, proxy, stop, onProgress);
  } catch (error) {
    await stop();
    throw error;
  }
}

function running(
  { workload }: SquadOptions,
  testnet: Testnet,
  proxy: DelayProxy | undefined,
  stop: () => Promise<void>,
  onProgress: (text: string) => void,
): RunningSystem {
  const crashed: string[] = [];
  const ingress = workload === 'evm' ? testnet.rollupNodes : testnet.nodes;
  const p2pPorts = testnet.nodes.flatMap(({ p2pAddress }) => Number(p2pAddress!.split('/').at(-1)));
  return {
    kind: workload === 'evm' ? 'squad-evm' : 'squad-opaque',
    rollupId: FIRST_ROLLUP_ID,
    targets: ingress.map(
      ({ name, rpcUrl, webSocketUrl }, author): LoadTarget => ({ name, author, rpcUrl, webSocketUrl }),
    ),
    processes: [
      ...testnet.processes.map(({ name, role, process }) => ({ name, role, pid: () => process.pid })),
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
