/**
 * Blocks that could follow a block, with calls of whoever likes, on state that was changed for it: eth_simulateV1. Nothing is
 * kept; what is made, down to the roots, is what blocks with these transactions would be, system calls included.
 */

import type { Block, HeaderData } from '@ethereumjs/block';
import { Account, Address, bigIntMin } from '@ethereumjs/util';
import { Bloom } from '@ethereumjs/vm';
import { SquadError, ZERO_HASH } from '@squad/types';
import { breatheNow } from '../breathe.ts';
import { keccak256, keyOf } from '../keccak.ts';
import {
  type EvmLog,
  type EvmTransaction,
  encodeConsensusReceipt,
  joinBlooms,
  makeBlock,
  makeHeader,
  nextLogIndex,
  summaryOf,
} from './block.ts';
import { CallRefused, type CallRequest, REFUSAL } from './call-request.ts';
import type { EvmExecutor } from './executor.ts';
import { failureWords } from './failure.ts';
import { headerFields } from './genesis.ts';
import type { StagedBlock } from './history.ts';
import { type AccountOverride, type BlockOverrides, overriddenFields, overrideAccounts } from './overrides.ts';
import { encodeList, integerBytes } from './rlp.ts';
import { type CallRun, runCall } from './run-call.ts';
import { EvmState, type StateRoot, type StateSource } from './state.ts';
import { callAtBlockStart, requestsHash, takeRequests } from './system-calls.ts';
import { effectiveGasPrice } from './transaction.ts';
import { listenForTransfers } from './transfer-logs.ts';
import { indexedRoot } from './trie.ts';
import { createRollupVm, type RollupVm, type ShownFees } from './vm.ts';

/** Blocks of one simulation, those between numbers that were asked for included. */
export const MAX_SIMULATED_BLOCKS = 256;
/** Calls of one simulation, in all its blocks. */
export const MAX_SIMULATED_CALLS = 1000;
/** Characters of one simulation's answer, roughly: what calls return and log, in hex and with the names around it. */
export const MAX_SIMULATED_CHARACTERS: number = 16 * 1024 * 1024;
/** Milliseconds of one simulation. */
export const SIMULATION_TIMEOUT_MS = 5000;

export interface SimulatedBlockPlan extends BlockOverrides {
  readonly beaconRoot?: Uint8Array | undefined;
  readonly withdrawals?: readonly Withdrawal[] | undefined;
  readonly overrides: readonly AccountOverride[];
  readonly calls: readonly CallRequest[];
}

/** EIP-4895. */
export interface Withdrawal {
  readonly index: bigint;
  readonly validatorIndex: bigint;
  readonly address: Uint8Array;
  /** Gwei. */
  readonly amount: bigint;
}

export interface SimulationOptions {
  /** Nonces and fees must be as a transaction's; without it they are not looked at, and blocks cost nothing. */
  readonly validation: boolean;
  /** Ether that moves is told of, as logs among the others (ERC-7528). */
  readonly traceTransfers: boolean;
  /** Of all calls together. */
  readonly gasCap: bigint;
}

export interface SimulatedCall {
  readonly returned: Uint8Array;
  readonly gasUsed: bigint;
  /** Before refunds. */
  readonly maxGasUsed: bigint;
  /** Undefined: it succeeded. `execution reverted`: the contract said so; else the EVM's own words. */
  readonly failure: string | undefined;
  /** The transaction's, and with `traceTransfers` what ether moved. */
  readonly logs: readonly EvmLog[];
}

export interface SimulatedBlock {
  readonly block: StagedBlock;
  readonly withdrawals: readonly Withdrawal[];
  readonly calls: readonly SimulatedCall[];
}

const GWEI = 10n ** 9n;
const MAX_TIME = 2n ** 64n - 1n;
/** Characters around what one call returned, and around the data of one log. */
const NAMES_OF_CALL = 200;
const NAMES_OF_LOG = 800;

export class BlockSimulation {
  readonly state: EvmState;
  readonly #executor: EvmExecutor;
  readonly #rollupVm: RollupVm;
  readonly #shown: ShownFees;
  readonly #hashes: Map<number, Uint8Array>;
  readonly #untilMs: number;
  readonly #options: SimulationOptions;
  /** Nodes and code of blocks that were simulated. */
  readonly #made: Map<string, Uint8Array>;
  #parent: StagedBlock;
  #gasLeft: bigint;
  #characters = 0;

  private constructor(parts: {
    executor: EvmExecutor;
    state: EvmState;
    rollupVm: RollupVm;
    shown: ShownFees;
    hashes: Map<number, Uint8Array>;
    made: Map<string, Uint8Array>;
    untilMs: number;
    parent: StagedBlock;
    options: SimulationOptions;
  }) {
    this.#executor = parts.executor;
    this.state = parts.state;
    this.#rollupVm = parts.rollupVm;
    this.#shown = parts.shown;
    this.#hashes = parts.hashes;
    this.#made = parts.made;
    this.#untilMs = parts.untilMs;
    this.#parent = parts.parent;
    this.#options = parts.options;
    this.#gasLeft = parts.options.gasCap;
  }

  static async begin(
    executor: EvmExecutor,
    root: StateRoot,
    parent: StagedBlock,
    options: SimulationOptions,
  ): Promise<BlockSimulation> {
    const made = new Map<string, Uint8Array>();
    const hashes = new Map<number, Uint8Array>();
    const state = new EvmState(sourceOver(executor.source, made), root);
    const hashAt = (number: number) => hashes.get(number) ?? executor.hashAt(number);
    const shown: ShownFees = {};
    const rollupVm = await createRollupVm(executor.common, state, hashAt, shown);
    const untilMs = performance.now() + SIMULATION_TIMEOUT_MS;
    rollupVm.deadline.atMs = untilMs;
    return new BlockSimulation({ executor, state, rollupVm, shown, hashes, made, untilMs, parent, options });
  }

  async run(plans: readonly SimulatedBlockPlan[]): Promise<SimulatedBlock[]> {
    const simulated: SimulatedBlock[] = [];
    for (const plan of this.#withGapsFilled(plans)) {
      await breatheNow();
      this.#checkTime();
      const restore = await overrideAccounts(this.#rollupVm, plan.overrides);
      simulated.push(await this.#block(plan));
      restore();
    }
    return simulated;
  }

  /** Numbers that were left out are blocks without calls, one slot after the other. */
  #withGapsFilled(plans: readonly SimulatedBlockPlan[]): SimulatedBlockPlan[] {
    const filled: SimulatedBlockPlan[] = [];
    const slotSeconds = BigInt(Math.ceil(this.#executor.file.blockTimeMs / 1000));
    let { number, timestamp } = this.#parent.header;
    for (const plan of plans) {
      const wanted = plan.number ?? number + 1n;
      if (wanted <= number)
        throw new CallRefused(REFUSAL.blockNumber, `block numbers must be in order: ${wanted} <= ${number}`);
      if (BigInt(filled.length) + wanted - number > BigInt(MAX_SIMULATED_BLOCKS)) {
        throw new CallRefused(REFUSAL.limit, `too many blocks: more than ${MAX_SIMULATED_BLOCKS}`);
      }
      for (number += 1n; number < wanted; number += 1n) {
        timestamp += slotSeconds;
        filled.push({ number, time: timestamp, overrides: [], calls: [] });
      }
      const time = plan.time ?? timestamp + slotSeconds;
      if (time <= timestamp) {
        throw new CallRefused(REFUSAL.blockTime, `block timestamps must be in order: ${time} <= ${timestamp}`);
      }
      if (time > MAX_TIME) throw new CallRefused(REFUSAL.blockTime, `block timestamp ${time} is above 2^64-1`);
      timestamp = time;
      filled.push({ ...plan, number, time });
    }
    const calls = plans.reduce((sum, plan) => sum + plan.calls.length, 0);
    if (calls > MAX_SIMULATED_CALLS) {
      throw new CallRefused(REFUSAL.limit, `too many calls: ${calls}, more than ${MAX_SIMULATED_CALLS}`);
    }
    return filled;
  }

  async #block(plan: SimulatedBlockPlan): Promise<SimulatedBlock> {
    const { common, file } = this.#executor;
    const parent = this.#parent;
    const fields: HeaderData = {
      ...headerFields(file),
      parentHash: parent.summary.hash,
      gasLimit: parent.header.gasLimit,
      coinbase: parent.header.coinbase,
      mixHash: ZERO_HASH,
      // What is not validated costs nothing, unless it is told to.
      baseFeePerGas: this.#options.validation ? nextBaseFee(parent) : 0n,
      ...(plan.beaconRoot === undefined ? {} : { parentBeaconBlockRoot: plan.beaconRoot }),
      ...overriddenFields(plan),
    };
    const environment = makeBlock(common, fields);
    this.#shown.base = environment.header.baseFeePerGas;
    this.#shown.blob = plan.blobBaseFee;
    if (file.ethereumBlocks) await this.#systemCalls(() => callAtBlockStart(this.#rollupVm, environment));
    const transactions: EvmTransaction[] = [];
    const calls: SimulatedCall[] = [];
    for (const request of plan.calls) {
      await breatheNow();
      this.#checkTime();
      const { call, transaction } = await this.#call(request, environment, transactions.at(-1));
      calls.push(call);
      transactions.push(transaction);
    }
    const { withdrawals = [] } = plan;
    await this.#withdraw(withdrawals);
    const requests = file.ethereumBlocks
      ? await this.#systemCalls(() => takeRequests(this.#rollupVm, environment))
      : [];
    const receipts = transactions.map(({ decoded, receipt }) => encodeConsensusReceipt(decoded.type, receipt));
    const header = makeHeader(common, {
      ...fields,
      stateRoot: this.#flush(),
      transactionsTrie: indexedRoot(transactions.map(({ raw }) => raw)),
      receiptTrie: indexedRoot(receipts),
      logsBloom: joinBlooms(transactions.map(({ receipt }) => receipt.bloom)),
      gasUsed: transactions.at(-1)?.receipt.cumulativeGasUsed ?? 0n,
      withdrawalsRoot: indexedRoot(withdrawals.map(encodeWithdrawal)),
      ...(file.ethereumBlocks ? { requestsHash: requestsHash(requests) } : {}),
    });
    const summary = summaryOf(header, parent.summary.slot + 1, transactions.length);
    this.#parent = { stage: 'soft', header, summary, transactions, requests };
    this.#hashes.set(summary.number, summary.hash);
    return { block: this.#parent, withdrawals, calls };
  }

  async #call(request: CallRequest, block: Block, previous: EvmTransaction | undefined) {
    const used = previous?.receipt.cumulativeGasUsed ?? 0n;
    const { gasLimit } = block.header;
    const asked = request.gas ?? gasLimit - used;
    if (used + asked > gasLimit) {
      throw new CallRefused(REFUSAL.blockGas, `block gas limit reached: ${used} + ${asked} >= ${gasLimit}`);
    }
    if (this.#gasLeft === 0n) {
      throw new CallRefused(REFUSAL.limit, `gas limit reached: all calls have ${this.#options.gasCap} together`);
    }
    const gas = bigIntMin(asked, this.#gasLeft);
    const transfers = this.#options.traceTransfers ? listenForTransfers(this.#rollupVm) : undefined;
    let run: CallRun;
    try {
      run = await runCall(this.#rollupVm, request, gas, block, this.#options.validation);
    } finally {
      transfers?.stop();
      if (this.#rollupVm.deadline.passed) this.#checkTime(true);
    }
    const { tx, result, maxGasUsed } = run;
    const { exceptionError, returnValue } = result.execResult;
    const gasUsed = result.totalGasSpent;
    const failure = exceptionError && failureWords(exceptionError.error);
    const logs = (result.execResult.logs ?? []).map(([address, topics, data]) => ({ address, topics, data }));
    this.#gasLeft -= gasUsed;
    const raw = tx.serialize();
    const transaction: EvmTransaction = {
      hash: keccak256(raw),
      raw,
      from: request.from,
      decoded: tx,
      receipt: {
        status: failure === undefined ? 1 : 0,
        gasUsed,
        cumulativeGasUsed: used + gasUsed,
        effectiveGasPrice: effectiveGasPrice(tx, block.header.baseFeePerGas ?? 0n),
        logs,
        firstLogIndex: nextLogIndex(previous?.receipt),
        bloom: bloomOf(logs),
        contractAddress: result.createdAddress?.bytes,
      },
    };
    const told = transfers?.among(logs) ?? logs;
    this.#keep(returnValue, told);
    return { transaction, call: { returned: returnValue, gasUsed, maxGasUsed, failure, logs: told } };
  }

  /** Memory is cheap in gas: calls of 48,000 gas return 96 KB each, and a thousand of them would not fit in an answer. */
  #keep(returned: Uint8Array, logs: readonly EvmLog[]): void {
    this.#characters += NAMES_OF_CALL + 2 * returned.length;
    for (const { data } of logs) this.#characters += NAMES_OF_LOG + 2 * data.length;
    if (this.#characters <= MAX_SIMULATED_CHARACTERS) return;
    const what = `the calls return and log too much: more than ${MAX_SIMULATED_CHARACTERS} characters`;
    throw new CallRefused(REFUSAL.limit, what);
  }

  async #withdraw(withdrawals: readonly Withdrawal[]): Promise<void> {
    for (const { address, amount } of withdrawals) {
      const at = new Address(address);
      const account = (await this.state.getAccount(at)) ?? new Account();
      // An overridden balance may be the highest there is: as geth, it begins again.
      account.balance = BigInt.asUintN(256, account.balance + amount * GWEI);
      await this.state.putAccount(at, account);
    }
  }

  /** The caller may have put other code in the place of a system contract's. */
  async #systemCalls<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (this.#rollupVm.deadline.passed) this.#checkTime(true);
      if (!(error instanceof SquadError && error.code === 'SYSTEM_CALL_FAILED')) throw error;
      throw new CallRefused(REFUSAL.request, error.message);
    }
  }

  #flush(): Uint8Array {
    const { root, nodes, codes } = this.state.flush();
    for (const [key, node] of nodes) this.#made.set(key, node);
    for (const [key, code] of codes) this.#made.set(key, code);
    return root.hash;
  }

  #checkTime(passed = performance.now() > this.#untilMs): void {
    if (passed) throw new CallRefused(REFUSAL.timeout, `execution aborted (timeout = ${SIMULATION_TIMEOUT_MS} ms)`);
  }
}

function nextBaseFee({ header, transactions }: StagedBlock): bigint {
  // A block that is open does not say yet what it used.
  const gasUsed = transactions.at(-1)?.receipt.cumulativeGasUsed ?? 0n;
  return makeHeader(header.common, { ...header, gasUsed }).calcNextBaseFee();
}

function encodeWithdrawal({ index, validatorIndex, address, amount }: Withdrawal): Uint8Array {
  return encodeList([integerBytes(index), integerBytes(validatorIndex), address, integerBytes(amount)]);
}

/** What the simulation made is found beside what there is; nodes in memory are counted where they are shared. */
function sourceOver(source: StateSource, made: ReadonlyMap<string, Uint8Array>): StateSource {
  return {
    get nodesInMemory() {
      return source.nodesInMemory;
    },
    set nodesInMemory(count: number) {
      // Letting go of them is for the executor, who knows what of them is in use.
      if (count > 0) source.nodesInMemory = count;
    },
    node: (hash) => made.get(keyOf(hash)) ?? source.node(hash),
    code: (hash) => made.get(keyOf(hash)) ?? source.code(hash),
  };
}

function bloomOf(logs: readonly EvmLog[]): Uint8Array {
  const bloom = new Bloom();
  for (const { address, topics } of logs) for (const item of [address, ...topics]) bloom.add(item);
  return bloom.bitvector;
}
