/**
 * Starts a network of real processes from a folder: keys, genesis and configuration files are made or brought up to date,
 * then every process is spawned as a person would start it by hand, with one `--config` file.
 */

import { recordPossession } from '@squad/crypto/node';
import { SquadError, toHex } from '@squad/types';
import { type Place, type ProcessPlan, writeConfigs } from './configs.ts';
import { ensureGenesis } from './genesis.ts';
import { ensureKeyFiles } from './keys.ts';
import { readGenesisL1 } from './l1.ts';
import { pathsOf, sequencerNames, type TestnetPaths } from './layout.ts';
import { type DirectoryLock, lockDirectory } from './lock.ts';
import {
  checkCounts,
  checkFolder,
  type Manifest,
  makeDirectory,
  openManifest,
  resetDirectory,
  rollupIds,
  rollupNodeNames,
  type TestnetEpochs,
} from './manifest.ts';
import { assignPorts, DEFAULT_PORT_BASES, LOOPBACK, type PortBases } from './ports.ts';
import { type Exit, ManagedProcess, STOP_TIMEOUT_MS } from './process.ts';
import { type ProcessEntry, type TestnetState, writeState } from './state.ts';

export interface TestnetOptions {
  readonly directory: string;
  /** The words before a command of `squad`, such as `[node, main.js]`. */
  readonly program: readonly string[];
  /** Sequencers: 1, or 4 to 16. Default: the folder's own, or 4. */
  readonly nodes?: number | undefined;
  /** Default: the folder's own, or 1. */
  readonly rollups?: number | undefined;
  /** Of a new testnet. Opaque rollups get no node: nothing here executes them. Default: `evm`. */
  readonly rollupKind?: Manifest['rollupKind'] | undefined;
  /** How many of `rollups`, the first ones, get a node: nodes of the others are started by hand. Default: all. */
  readonly rollupNodes?: number | undefined;
  /** Opaque rollups beside `rollups`, with the ids after theirs, and without a node. Default: the folder's own, or 0. */
  readonly opaqueRollups?: number | undefined;
  /** Of a new testnet. Default: all sequencers validate, in an epoch that does not end. */
  readonly epochs?: TestnetEpochs | undefined;
  /** By the name of a sequencer: the JSON-RPC address of the L1 that it asks. A new testnet then follows that L1 (R24). */
  readonly l1RpcOf?: ((name: string) => string) | undefined;
  /** Milliseconds, of a new testnet's rollups. Default: the folder's own, or 1,000. */
  readonly blockTimeMs?: number | undefined;
  /** `free`: any free ports. A base of 0: any free ports for this use. */
  readonly ports?: 'free' | Partial<PortBases>;
  /** Deletes the testnet in the folder first. */
  readonly reset?: boolean;
  readonly logLevel?: string | undefined;
  /** Options that go into the configuration files of one role, over the testnet's own. */
  readonly sequencerOptions?: Readonly<Record<string, unknown>>;
  readonly rollupNodeOptions?: Readonly<Record<string, unknown>>;
  /**
   * Asked before anything is written: the port at its host by which the other validators reach this one, in place of its
   * own. For a proxy between them that delays or breaks what passes.
   */
  readonly publishedPort?: (name: string, port: number) => Promise<number>;
  /** Where each process runs. Default: on loopback, as it is. */
  readonly placeOf?: (name: string) => Place;
  readonly onProgress?: (text: string) => void;
  /** A process ended and was not told to. */
  readonly onUnexpectedExit?: (process: TestnetProcess, exit: Exit) => void;
  /** Aborted: everything that was started is stopped, and `startTestnet` rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface TestnetProcess {
  readonly name: string;
  readonly role: 'sequencer' | 'rollup-node';
  readonly rpcUrl: string;
  readonly webSocketUrl: string;
  readonly p2pAddress: string | undefined;
  readonly metricsUrl: string;
  readonly logPath: string;
  readonly dataDirectory: string;
  readonly configPath: string;
  /** The rollup that a rollup node serves. */
  readonly rollupId: number | undefined;
  readonly process: ManagedProcess;
}

export interface Testnet {
  readonly directory: string;
  /** 0x-hex. */
  readonly networkId: string;
  readonly genesisPath: string;
  /** False if the folder held a testnet already. */
  readonly created: boolean;
  readonly nodes: readonly TestnetProcess[];
  readonly rollupNodes: readonly TestnetProcess[];
  /** All of them, sequencers first. */
  readonly processes: readonly TestnetProcess[];
  process(name: string): TestnetProcess;
  /** Sends the signal and waits for the end. */
  kill(name: string, signal: NodeJS.Signals): Promise<void>;
  /** Starts a process that does not run, or stops it first; resolves once it serves. */
  restart(name: string): Promise<void>;
  /** SIGTERM to all, SIGKILL after the time-out (default STOP_TIMEOUT_MS); gives the folder free. */
  stop(timeoutMs?: number): Promise<void>;
}

/**
 * Resolves once every process serves its RPC. Throws a SquadError: those of the manifest, ports and lock, and `CHILD_EXITED`
 * or `CHILD_TIMEOUT` if a process does not come up; all others are stopped first.
 */
export async function startTestnet(options: TestnetOptions): Promise<Testnet> {
  const paths = pathsOf(options.directory);
  const progress = options.onProgress ?? (() => {});
  // What can be refused without touching the folder is refused first.
  checkCounts(options.nodes ?? 4, options.rollups ?? 1);
  checkFolder(paths.directory);
  await makeDirectory(paths.directory);
  const lock = lockDirectory(paths.directory);
  try {
    if (options.reset === true) {
      progress('deleting the old testnet');
      await resetDirectory(paths.directory);
    }
    const { manifest, created } = await openManifest(paths.directory, {
      sequencers: options.nodes,
      rollups: options.rollups,
      rollupKind: options.rollupKind,
      opaqueRollups: options.opaqueRollups,
      blockTimeMs: options.blockTimeMs,
      epochs: options.epochs,
      l1: options.l1RpcOf && (() => readGenesisL1(options.l1RpcOf!('sequencer-0'))),
    });
    const testnet = await prepare(options, paths, manifest, created, lock);
    progress(`starting ${testnet.processes.length} processes`);
    await testnet.startAll();
    return testnet;
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function prepare(
  options: TestnetOptions,
  paths: TestnetPaths,
  manifest: Manifest,
  created: boolean,
  lock: DirectoryLock,
): Promise<RunningTestnet> {
  const names = sequencerNames(manifest.sequencers);
  const withNode = Math.min(manifest.rollups, options.rollupNodes ?? manifest.rollups);
  const rollupNames = manifest.rollupKind === 'opaque' ? [] : rollupNodeNames(withNode);
  const free: PortBases = { rollupRpc: 0, sequencerRpc: 0, sequencerP2p: 0, metrics: 0 };
  const bases = options.ports === 'free' ? free : { ...DEFAULT_PORT_BASES, ...options.ports };
  const ports = await assignPorts(names, rollupNames, bases);
  if (created) options.onProgress?.('making keys and the genesis file');
  const placeOf = options.placeOf ?? (() => ({ host: LOOPBACK, within: [] }));
  const addresses = new Map<string, string>();
  for (const name of names) {
    const { p2p } = ports.get(name)!;
    const published = (await options.publishedPort?.(name, p2p!)) ?? p2p!;
    addresses.set(name, `/ip4/${placeOf(name).host}/tcp/${published}`);
  }
  const { genesis, made } = await ensureGenesis(manifest, paths, (name) => addresses.get(name)!);
  for (const name of [...names, ...rollupNames]) await ensureKeyFiles(manifest, name, paths.process(name));
  const plans: ProcessPlan[] = [
    ...names.map(
      (name) =>
        ({
          name,
          role: 'sequencer',
          rollupId: undefined,
          ports: ports.get(name)!,
          place: placeOf(name),
        }) as const,
    ),
    ...rollupNames.map(
      (name, index) =>
        ({
          name,
          role: 'rollup-node',
          rollupId: rollupIds(manifest.rollups)[index]!,
          ports: ports.get(name)!,
          place: placeOf(name),
        }) as const,
    ),
  ];
  await writeConfigs(paths, { genesis, blockTimeMs: manifest.blockTimeMs }, plans, options);
  if (made) {
    // Nobody else's proofs are in it: five processes need not spend their start on checking them.
    for (const { name } of plans) await recordPossession(genesis, paths.process(name).dataDirectory);
  }
  return new RunningTestnet(options, paths, toHex(genesis.networkId), created, plans, lock);
}

/** What an earlier start or an earlier version left may be why a process does not come up. */
function withResetRemedy(error: unknown): unknown {
  if (!(error instanceof SquadError)) return error;
  const remedy = `${error.remedy}\nIf the data of this testnet are not needed, --reset begins anew.`;
  return new SquadError(error.code, error.message, remedy, error.data, error);
}

class RunningTestnet implements Testnet {
  readonly directory: string;
  readonly networkId: string;
  readonly genesisPath: string;
  readonly created: boolean;
  readonly processes: readonly TestnetProcess[];
  readonly #options: TestnetOptions;
  readonly #lock: DirectoryLock;
  readonly #startedAtMs = Date.now();
  #stateWrites: Promise<void> = Promise.resolve();
  #state: TestnetState['state'] = 'starting';

  constructor(
    options: TestnetOptions,
    paths: TestnetPaths,
    networkId: string,
    created: boolean,
    plans: readonly ProcessPlan[],
    lock: DirectoryLock,
  ) {
    this.#options = options;
    this.#lock = lock;
    this.directory = paths.directory;
    this.networkId = networkId;
    this.genesisPath = paths.genesisPath;
    this.created = created;
    this.processes = plans.map((plan) => this.#processOf(plan, paths));
  }

  get nodes(): readonly TestnetProcess[] {
    return this.processes.filter(({ role }) => role === 'sequencer');
  }

  get rollupNodes(): readonly TestnetProcess[] {
    return this.processes.filter(({ role }) => role === 'rollup-node');
  }

  process(name: string): TestnetProcess {
    const found = this.processes.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no process is called ${name}`);
    return found;
  }

  async startAll(): Promise<void> {
    const aborted = new Promise<never>((_resolve, reject) => {
      const { signal } = this.#options;
      if (signal?.aborted) reject(signal.reason);
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    aborted.catch(() => {});
    try {
      // Rollup nodes have nobody to follow before, and would slow down the sequencers' own start.
      for (const group of [this.nodes, this.rollupNodes]) {
        const starts = group.map(({ process }) => process.start());
        await this.#writeState('starting');
        await Promise.race([Promise.all(starts), aborted]);
      }
      await this.#writeState('running');
    } catch (error) {
      await this.stop();
      throw this.created ? error : withResetRemedy(error);
    }
  }

  async kill(name: string, signal: NodeJS.Signals): Promise<void> {
    await this.process(name).process.kill(signal);
    await this.#writeState(this.#state);
  }

  async restart(name: string): Promise<void> {
    const { process } = this.process(name);
    await process.stop();
    await process.start();
    await this.#writeState(this.#state);
  }

  async stop(timeoutMs: number = STOP_TIMEOUT_MS): Promise<void> {
    await Promise.all(this.processes.map(({ process }) => process.stop(timeoutMs)));
    await this.#writeState('stopped');
    this.#lock.release();
  }

  #processOf(plan: ProcessPlan, paths: TestnetPaths): TestnetProcess {
    const at = paths.process(plan.name);
    const managed = new ManagedProcess({
      name: plan.name,
      command: [...plan.place.within, ...this.#options.program, plan.role, '--config', at.configPath],
      logPath: at.logPath,
    });
    const { rpc, p2p, metrics } = plan.ports;
    const { host } = plan.place;
    const entry: TestnetProcess = {
      name: plan.name,
      role: plan.role,
      rpcUrl: `http://${host}:${rpc}`,
      webSocketUrl: `ws://${host}:${rpc}`,
      p2pAddress: p2p === undefined ? undefined : `/ip4/${host}/tcp/${p2p}`,
      metricsUrl: `http://${host}:${metrics}`,
      logPath: at.logPath,
      dataDirectory: at.dataDirectory,
      configPath: at.configPath,
      rollupId: plan.rollupId,
      process: managed,
    };
    managed.onExit((exit, expected) => {
      if (expected || this.#state !== 'running') return;
      this.#writeState('running').catch(() => {});
      this.#options.onUnexpectedExit?.(entry, exit);
    });
    return entry;
  }

  /** One write at a time, the newest last. */
  #writeState(state: TestnetState['state']): Promise<void> {
    this.#state = state;
    const write = this.#stateWrites.then(() => writeState(this.directory, this.#describe(state)));
    this.#stateWrites = write.catch(() => {});
    return write;
  }

  #describe(state: TestnetState['state']): TestnetState {
    return {
      version: 1,
      state,
      launcherPid: state === 'stopped' ? null : process.pid,
      startedAtMs: this.#startedAtMs,
      networkId: this.networkId,
      genesisPath: this.genesisPath,
      processes: this.processes.map(
        (one): ProcessEntry => ({
          name: one.name,
          role: one.role,
          pid: one.process.pid ?? null,
          rpcUrl: one.rpcUrl,
          webSocketUrl: one.webSocketUrl,
          p2pAddress: one.p2pAddress ?? null,
          metricsUrl: one.metricsUrl,
          logPath: one.logPath,
          dataDirectory: one.dataDirectory,
          configPath: one.configPath,
          command: [...one.process.command],
        }),
      ),
      rollups: this.rollupNodes.map(({ rollupId, rpcUrl, webSocketUrl }) => ({
        rollupId: rollupId!,
        chainId: rollupId!,
        rpcUrl,
        webSocketUrl,
      })),
    };
  }
}
