/** Starts the testnet, shows it until someone stops it, and stops it in order. */

import { realpathSync } from 'node:fs';
import { isAbsolute, relative, resolve } from 'node:path';
import {
  describeExit,
  endpointTable,
  type NodeObservation,
  observe,
  paint,
  type ScreenStyle,
  shellLine,
  startTestnet,
  statusLine,
  statusLines,
  type Testnet,
  type TestnetProcess,
} from '@squad/testnet';
import { stoppable } from './interrupts.ts';
import type { TestnetCommandOptions } from './options.ts';
import { createOutput, type Output } from './output.ts';

/** How often nodes are asked how they do, and the terminal is drawn. */
const REFRESH_INTERVAL_MS = 1_000;
/** Between two lines where the output is no terminal. */
const PLAIN_INTERVAL_MS = 10_000;
/** Observations that the rates are taken over. */
const RATE_WINDOW = 5;
/** Resolves with the exit code. Throws the SquadError that says why the testnet did not start. */
export async function runTestnet(options: TestnetCommandOptions): Promise<number> {
  const output = createOutput(process.stdout);
  const startedAtMs = performance.now();
  const { l1Rpc } = options;
  const interrupts = stoppable();
  output.line(`${paint(output.style, 'bold', 'SQUAD testnet')}  data in ${shown(resolve(options.directory))}`);
  let testnet: Testnet;
  try {
    testnet = await startTestnet({
      directory: resolve(options.directory),
      // Each process of the testnet runs the program that this one runs.
      program: [process.execPath, ...process.execArgv, realpathSync(process.argv[1]!)],
      nodes: options.nodes,
      rollups: options.rollups,
      opaqueRollups: options.opaqueRollups,
      blockTimeMs: options.blockTimeMs,
      l1RpcOf: l1Rpc === undefined ? undefined : () => l1Rpc,
      reset: options.reset,
      logLevel: options.logLevel,
      ports: options.freePorts
        ? 'free'
        : {
            rollupRpc: options.rpcPortBase,
            sequencerRpc: options.sequencerRpcPortBase,
            sequencerP2p: options.p2pPortBase,
            metrics: options.metricsPortBase,
          },
      onProgress: (text) => output.line(`  ${text} …`),
      onUnexpectedExit: (one, exit) => output.line(exitNotice(output.style, one, describeExit(exit))),
      signal: interrupts.first,
    });
  } catch (error) {
    if (interrupts.first.aborted) return 130;
    throw error;
  }
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  output.line(`  ${testnet.processes.length} processes serve after ${seconds} s`);
  output.line(await introduction(output.style, testnet));
  const reason = await show(output, testnet, startedAtMs, interrupts.first);
  output.line(`\nstopping ${testnet.processes.length} processes … (again: at once)`);
  interrupts.onSecond(() => void testnet.stop(0));
  await testnet.stop();
  if (reason === 'dead') {
    output.line('All processes had ended by themselves; their logs say why.');
    return 1;
  }
  output.line(`stopped. The data is kept: the same command goes on with it, --reset begins anew.`);
  return 0;
}

/** A path as short as it can be read from here. */
function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short === '' || short.startsWith('..') || isAbsolute(short) ? path : short;
}

async function introduction(style: ScreenStyle, testnet: Testnet): Promise<string> {
  const endpoints = testnet.processes.map((one) => ({
    name: one.name,
    rpc: one.rpcUrl,
    p2p: one.p2pAddress ?? '',
    metrics: one.metricsUrl,
  }));
  const { DEVELOPMENT_ACCOUNTS, DEVELOPMENT_MNEMONIC } = await import('@squad/rollup-node/config');
  const folder = shown(testnet.directory);
  const accounts = DEVELOPMENT_ACCOUNTS.map((account, index) => `  ${String(index).padStart(2)}  ${account}`);
  return [
    '',
    endpointTable(style, endpoints),
    '',
    'Ten development accounts with 10,000 ether each, the same on every rollup:',
    ...accounts,
    paint(style, 'dim', `  Mnemonic: ${DEVELOPMENT_MNEMONIC}`),
    paint(style, 'dim', '  Everyone knows these keys. Never send them anything of worth, on any network.'),
    '',
    ...testnet.rollupNodes.map((one) => `Rollup ${one.rollupId}: ${one.rpcUrl}  (chain id ${one.rollupId})`),
    `For scripts: ${folder}/testnet.json.  Logs: ${folder}/<process>/log.jsonl.  Ctrl-C stops everything.`,
    '',
  ].join('\n');
}

/** Shows the nodes until the signal. Resolves with why it ended. */
async function show(
  output: Output,
  testnet: Testnet,
  startedAtMs: number,
  signal: AbortSignal,
): Promise<'stopped' | 'dead'> {
  const history: NodeObservation[][] = [];
  const aborted = new Promise<undefined>((resolveAborted) => {
    if (signal.aborted) resolveAborted(undefined);
    signal.addEventListener('abort', () => resolveAborted(undefined), { once: true });
  });
  let announced = false;
  let lastPlainMs = Number.NEGATIVE_INFINITY;
  for (;;) {
    // A node that hangs must not hold up whoever wants to stop.
    const nodes = await Promise.race([Promise.all(testnet.processes.map(observeProcess)), aborted]);
    if (nodes === undefined || signal.aborted) return 'stopped';
    if (testnet.processes.every(({ process }) => process.state === 'exited')) return 'dead';
    history.push(nodes);
    if (history.length > RATE_WINDOW) history.shift();
    const previous = history.length > 1 ? history[0] : undefined;
    if (!announced && nodes.every((node) => node.state === 'ready')) {
      announced = true;
      output.line(`All nodes are ready, ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s after the start.\n`);
    }
    if (output.live) output.draw(statusLines(output.style, nodes, previous));
    else if (performance.now() - lastPlainMs >= PLAIN_INTERVAL_MS) {
      lastPlainMs = performance.now();
      output.line(statusLine(nodes, previous));
    }
    // Until all are ready, look more often: people wait for that.
    await pause(announced ? REFRESH_INTERVAL_MS : REFRESH_INTERVAL_MS / 4, signal);
  }
}

async function observeProcess(one: TestnetProcess): Promise<NodeObservation> {
  const { state, lastExit } = one.process;
  // One that was started again by hand answers too, though it is no child.
  const observation = await observe(one.name, one.rpcUrl);
  if (observation.state !== 'unreachable' || (state !== 'exited' && state !== 'stopped')) return observation;
  return {
    name: one.name,
    state: 'exited',
    observedAtMs: observation.observedAtMs,
    ...(lastExit === undefined ? {} : { detail: describeExit(lastExit) }),
  };
}

function exitNotice(style: ScreenStyle, one: TestnetProcess, how: string): string {
  return [
    '',
    paint(style, 'red', `${one.name} ended (${how}). The end of its log:`),
    one.process.logTail(8).replaceAll(/^/gm, '    '),
    `The others go on. To start it again, in another terminal:`,
    `    ${shellLine(one.process.command)}`,
    '',
  ].join('\n');
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolvePause) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolvePause();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
  });
}
