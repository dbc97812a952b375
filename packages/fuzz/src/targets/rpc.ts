/**
 * JSON-RPC, from the text of a request to the text of its answer, with the real method tables. What must not happen is an
 * internal error: a handler that threw what it did not mean to throw.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRollup } from '@squad/rollup-node';
import { developmentRollup } from '@squad/rollup-node/config';
import { createEthApi, ledgerMethods } from '@squad/rollup-node/testing';
import {
  admitEvm,
  type SequencerApi,
  type StagedBlock,
  sequencerMethods,
  sequencerSubscriptions,
} from '@squad/sequencer/testing';
import {
  createDispatcher,
  type Dispatcher,
  outcomeOf,
  type RpcContext,
  type RpcMethod,
  SharedMemory,
  silentLogger,
  subscriptionMethods,
} from '@squad/service';
import {
  type Block,
  blockHashHex,
  genesisBlock,
  genesisCertificate,
  SquadError,
  type TransactionHash,
  toHex,
  type ValidatorSet,
  ZERO_HASH,
} from '@squad/types';
import { jsonBytes, jsonOf, mutateJson, textOf } from '../json.ts';
import type { Random } from '../random.ts';
import { demand, type Target } from '../target.ts';

const INTERNAL_ERROR = -32603;
const RPC_BUDGET = { bytes: 32 << 20, bytesPerInputByte: 2048, milliseconds: 8_000 };

const ANSWER_BUDGET_BYTES = 1 << 28;

const context: RpcContext = {
  transport: 'http',
  remoteAddress: '127.0.0.1',
  pathParameters: {},
  charge: () => 0,
  // Opens and ends at once.
  subscriptions: {
    open: async (_notification, open) => {
      const closing = new AbortController();
      try {
        const unsubscribe = await open({ emit: () => {}, ready: async () => {}, closed: closing.signal });
        unsubscribe();
        return '0x1';
      } finally {
        // Also of one that could not be opened, as the server does: it would count as live for ever.
        closing.abort();
      }
    },
    close: () => true,
  },
};

function dispatcherOf(methods: readonly RpcMethod[]): Dispatcher {
  return createDispatcher({
    info: { title: 'fuzz', version: '0' },
    methods,
    logger: silentLogger,
    maxBatchCalls: 64,
    maxResponseBytes: 1 << 24,
  });
}

/** Every answer is JSON-RPC of the right shape; none is an internal error. True if a call of it succeeded. */
async function checkAnswer(dispatcher: Dispatcher, input: Uint8Array): Promise<boolean> {
  const answer = await dispatcher.handle(
    textOf(input),
    context,
    new SharedMemory(ANSWER_BUDGET_BYTES, 0).connection().hold(),
  );
  if (answer === undefined) return false;
  const parsed: unknown = JSON.parse(answer);
  let succeeded = false;
  for (const one of Array.isArray(parsed) ? parsed : [parsed]) {
    const { jsonrpc, id, result, error } = one as Record<string, unknown>;
    demand(jsonrpc === '2.0' && id !== undefined, 'an answer that is no JSON-RPC');
    demand((result === undefined) !== (error === undefined), 'an answer with both or neither of result and error');
    if (error === undefined) {
      succeeded = true;
      continue;
    }
    const { code, message } = error as { code: unknown; message: unknown };
    demand(typeof code === 'number' && typeof message === 'string', 'an error without code or message');
    demand(code !== INTERNAL_ERROR, `an internal error: ${String(message)}`);
    demand(message.length < 2_000, `a message of ${message.length} characters`);
  }
  return succeeded;
}

// ---------------------------------------------------------------- the sequencer's methods

const NETWORK_ID = new Uint8Array(32).fill(1);
const rollups = [
  { rollupId: 7, kind: 'opaque' },
  { rollupId: 901, kind: 'evm' },
] as const;
const VALIDATOR_SET: ValidatorSet = {
  epoch: 0,
  validators: [{ blsPublicKey: new Uint8Array(48), nodePublicKey: new Uint8Array(32), weight: 1 }],
};
const genesis: Block = genesisBlock(NETWORK_ID, 1_000);
const staged: StagedBlock = { stage: 'final', block: genesis };
const head = {
  height: 0,
  hash: blockHashHex(genesis.header),
  timestampMs: 1_000,
  l1Anchor: { number: 0, hash: toHex(ZERO_HASH) },
};

const sequencer: SequencerApi = {
  rollups,
  lane: { epoch: 0, validatorIndex: undefined },
  submit: async (rollupId, transactions) =>
    transactions.map((raw) => {
      const admitted = admitEvm(rollupId, raw, { osaka: false });
      if (!admitted.ok) return { accepted: false, rejection: admitted.error };
      return { accepted: true, hash: toHex(admitted.value.hash) };
    }),
  submitBundle: async (bundle) => {
    const hashes: TransactionHash[] = [];
    for (const [index, { rollupId, transaction }] of bundle.entries()) {
      const admitted = admitEvm(rollupId, transaction, { osaka: false });
      if (!admitted.ok) return { accepted: false, index, rejection: admitted.error };
      hashes.push(toHex(admitted.value.hash));
    }
    return { accepted: true, hashes };
  },
  evidence: () => [],
  handOver: async (epoch) => (epoch === 0 ? Uint8Array.of(1) : undefined),
  validatorSet: async (epoch) => (epoch === 0 ? { set: VALIDATOR_SET, names: [] } : undefined),
  status: () => ({
    networkId: toHex(NETWORK_ID),
    networkName: 'fuzz',
    version: '0',
    peerId: '',
    epoch: 0,
    validatorIndex: 0,
    validatorCount: 4,
    connectedValidators: [],
    peerCount: 0,
    view: 1,
    leader: 0,
    soft: head,
    final: head,
    softLagMs: 0,
    finalLagMs: 0,
    transactions: 0,
    ready: true,
    reasons: [],
    laneDepth: 0,
    laneLimit: 64,
    uptimeSeconds: 0,
  }),
  block: async (selector) =>
    ('hash' in selector ? selector.hash === head.hash : selector.height === 0) ? staged : undefined,
  certificate: async (height) =>
    height === 0
      ? { stage: 'final', header: genesis.header, certificate: genesisCertificate(4, ZERO_HASH), path: [] }
      : undefined,
  transactionStatus: async () => ({ status: 'unknown' }),
  receipt: async () => undefined,
  blockProof: async () => undefined,
  subscribeBlocks: () => () => {},
  subscribeSequence: () => () => {},
};

const HASH = `0x${'11'.repeat(32)}`;
const ADDRESS = '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266';
const SIGNED = '0x02f86b82038580018203e8825208943c44cdddb6a900fa2b585dd299e03d12fa4293bc0180c001a0';

/** Calls that succeed: what every other one is made of. */
const SEQUENCER_CALLS: readonly (readonly [string, readonly unknown[]])[] = [
  ['eth_chainId', []],
  ['net_version', []],
  ['web3_clientVersion', []],
  ['squad_sendTransactions', [901, [SIGNED, '0x00']]],
  ['squad_status', []],
  ['squad_getBlock', [0]],
  ['squad_getBlock', ['final']],
  ['squad_getBlock', [head.hash]],
  ['squad_getCertificate', ['0x0']],
  ['squad_getTransactionStatus', [HASH]],
  ['squad_getReceipt', [HASH]],
  ['squad_getBlockProof', ['final']],
  ['squad_getValidatorSet', []],
  ['squad_getValidatorSet', [0]],
  ['squad_getHandOver', ['0x0']],
  ['squad_getEvidence', []],
  ['squad_subscribe', ['blocks']],
  ['squad_subscribe', ['sequence', 901, 0, 'encoded']],
  ['squad_unsubscribe', ['0x1']],
  ['rpc.discover', []],
];

const CALL = { from: ADDRESS, to: ADDRESS, value: '0x1', gas: '0x10000', data: '0x' };
const ETH_CALLS: readonly (readonly [string, readonly unknown[]])[] = [
  ['eth_chainId', []],
  ['eth_blockNumber', []],
  ['eth_gasPrice', []],
  ['eth_syncing', []],
  ['eth_feeHistory', ['0x2', 'latest', [10, 50]]],
  ['eth_getBalance', [ADDRESS, 'latest']],
  ['eth_getTransactionCount', [ADDRESS, 'pending']],
  ['eth_getCode', [ADDRESS, { blockNumber: '0x0' }]],
  ['eth_getStorageAt', [ADDRESS, '0x0', 'latest']],
  ['eth_getProof', [ADDRESS, [HASH], 'latest']],
  [
    'eth_simulateV1',
    [{ blockStateCalls: [{ stateOverrides: { [ADDRESS]: { nonce: '0x5' } }, calls: [CALL] }] }, 'latest'],
  ],
  ['eth_call', [CALL, 'latest']],
  ['eth_call', [{ data: '0x60016001015f5260205ff3', gas: '0x10000' }, 'latest']],
  ['eth_estimateGas', [CALL]],
  ['eth_getBlockByNumber', ['0x0', true]],
  ['eth_getBlockByHash', [HASH, false]],
  ['eth_getTransactionByHash', [HASH]],
  ['eth_getTransactionReceipt', [HASH]],
  ['eth_getBlockReceipts', ['latest']],
  ['eth_getLogs', [{ fromBlock: '0x0', toBlock: 'latest', address: [ADDRESS], topics: [[HASH], null] }]],
  ['eth_newFilter', [{ address: ADDRESS }]],
  ['eth_newBlockFilter', []],
  ['web3_sha3', ['0x68656c6c6f']],
  ['net_version', []],
];

const LEDGER_CALLS: readonly (readonly [string, readonly unknown[]])[] = [
  ['ledger_get', ['key', 'latest']],
  ['ledger_blockNumber', []],
  ['ledger_getBlock', ['0x0']],
  ['ledger_send', ['0x7b226f70223a22736574222c226b6579223a2261222c2276616c7565223a22222c226e6f6e6365223a22227d']],
  ['squad_getSkippedTransaction', [HASH]],
];

function randomRequest(calls: readonly (readonly [string, readonly unknown[]])[], random: Random): Uint8Array {
  const one = () => {
    const [method, params] = random.pick(calls);
    return { jsonrpc: '2.0', id: random.pick([1, 'a', null, random.number()]), method, params };
  };
  return jsonBytes(random.chance(0.2) ? Array.from({ length: random.integer(1, 4) }, one) : one());
}

// ---------------------------------------------------------------- the rollup node's methods, over rollups at genesis

interface OpenedRollups {
  readonly evm: Dispatcher;
  readonly ledger: Dispatcher;
}

let opened: Promise<OpenedRollups> | undefined;

async function openRollups(): Promise<OpenedRollups> {
  const folder = mkdtempSync(join(tmpdir(), 'squad-fuzz-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  let nowMs = 0;
  const ports = {
    submit: async (raw: Uint8Array) => toHex(raw.slice(0, 32)),
    syncing: () => false as const,
    peerCount: () => 0,
    clientVersion: 'fuzz',
    // Filters expire, as they would between the calls of many callers.
    now: () => {
      nowMs += 1_000;
      return nowMs;
    },
  };
  const evm = await openRollup(developmentRollup({ rollupId: 901, genesisTimeMs: 1_000 }), join(folder, 'evm'));
  const ledger = await openRollup(
    developmentRollup({ rollupId: 902, genesisTimeMs: 1_000, executor: 'ledger', alloc: {} }),
    join(folder, 'ledger'),
  );
  type EthRollup = Parameters<typeof createEthApi>[0];
  type LedgerRollup = Parameters<typeof ledgerMethods>[0];
  return {
    evm: dispatcherOf(createEthApi(evm as unknown as EthRollup, ports).methods),
    ledger: dispatcherOf(ledgerMethods(ledger as unknown as LedgerRollup, ports)),
  };
}

async function rollupDispatcher(kind: keyof OpenedRollups): Promise<Dispatcher> {
  opened ??= openRollups();
  return (await opened)[kind];
}

// ---------------------------------------------------------------- the other end: answers

/** Whatever a server answers is an outcome, or a `SquadError` that says what is wrong with it. */
function checkOutcome(input: Uint8Array): boolean {
  const json = jsonOf(input);
  if (json === undefined) return false;
  try {
    const outcome = outcomeOf('http://server', json.value);
    return outcome.ok || outcome.error.message.length >= 0;
  } catch (error) {
    if (error instanceof SquadError) return false;
    throw error;
  }
}

const sequencerDispatcher = dispatcherOf([
  ...sequencerMethods(sequencer),
  ...subscriptionMethods(sequencerSubscriptions(sequencer)),
]);

export const RPC_TARGETS: readonly Target[] = [
  {
    name: 'rpc-sequencer',
    what: "JSON-RPC: the sequencer's methods",
    make: (random) => randomRequest(SEQUENCER_CALLS, random),
    mutate: mutateJson,
    check: (input) => checkAnswer(sequencerDispatcher, input),
    budget: RPC_BUDGET,
  },
  {
    name: 'rpc-rollup',
    what: 'JSON-RPC: eth_* of an EVM rollup at genesis',
    make: (random) => randomRequest(ETH_CALLS, random),
    mutate: mutateJson,
    check: async (input) => checkAnswer(await rollupDispatcher('evm'), input),
    budget: RPC_BUDGET,
    // Calls are really executed, on state that is really stored; the parameters' parsers are the same few for all methods.
    longRunInputs: 300_000,
  },
  {
    name: 'rpc-ledger',
    what: 'JSON-RPC: methods of a ledger rollup',
    make: (random) => randomRequest(LEDGER_CALLS, random),
    mutate: mutateJson,
    check: async (input) => checkAnswer(await rollupDispatcher('ledger'), input),
    budget: RPC_BUDGET,
  },
  {
    name: 'rpc-answer',
    what: "JSON-RPC: a server's answer, at the client",
    make: (random) =>
      jsonBytes(
        random.chance(0.5)
          ? { jsonrpc: '2.0', id: 1, result: { hash: HASH } }
          : { jsonrpc: '2.0', id: 1, error: { code: -32000, message: 'no', data: { code: 'NO', remedy: 'None.' } } },
      ),
    mutate: mutateJson,
    check: checkOutcome,
  },
];
