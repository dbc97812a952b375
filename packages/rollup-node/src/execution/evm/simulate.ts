/**
 * Blocks that could follow a block, with calls of whoever likes, on state that was changed for it: eth_simulateV1 without
 * validation. Nothing is kept; what is made, down to the roots, is what blocks with these transactions would be.
 */

import { Block } from '@ethereumjs/block';
import type { TypedTransaction } from '@ethereumjs/tx';
import { Account, Address, bigIntMin } from '@ethereumjs/util';
import { Bloom, runTx } from '@ethereumjs/vm';
import { SquadError, ZERO_HASH } from '@squad/types';
import { breatheNow } from '../breathe.ts';
import { keccak256, keyOf } from '../keccak.ts';
import {
  type EvmLog,
  type EvmTransaction,
  encodeConsensusReceipt,
  joinBlooms,
  makeHeader,
  nextLogIndex,
  summaryOf,
} from './block.ts';
import { type CallRequest, hasCode, isDelegated, unsigned } from './call-request.ts';
import type { EvmExecutor } from './executor.ts';
import { headerFields } from './genesis.ts';
import type { StagedBlock } from './history.ts';
import { EvmState, type StateRoot, type StateSource } from './state.ts';
import { effectiveGasPrice, firstSentence } from './transaction.ts';
import { indexedRoot } from './trie.ts';
import { createRollupVm, type RollupVm } from './vm.ts';

/** Blocks of one simulation, those between numbers that were asked for included. */
export const MAX_SIMULATED_BLOCKS = 256;
/** Calls of one simulation, in all its blocks. */
export const MAX_SIMULATED_CALLS = 1000;
/** Milliseconds of one simulation. */
export const SIMULATION_TIMEOUT_MS = 5000;

export interface AccountOverride {
  readonly address: Uint8Array;
  readonly nonce?: bigint | undefined;
  readonly balance?: bigint | undefined;
  readonly code?: Uint8Array | undefined;
  /** In place of all slots. */
  readonly state?: readonly StorageOverride[] | undefined;
  /** Over the slots that there are. */
  readonly stateDiff?: readonly StorageOverride[] | undefined;
}
export type StorageOverride = readonly [slot: Uint8Array, value: Uint8Array];

export interface SimulatedBlockPlan {
  readonly number?: bigint | undefined;
  /** Seconds. */
  readonly time?: bigint | undefined;
  readonly gasLimit?: bigint | undefined;
  readonly feeRecipient?: Uint8Array | undefined;
  readonly prevRandao?: Uint8Array | undefined;
  readonly baseFeePerGas?: bigint | undefined;
  readonly overrides: readonly AccountOverride[];
  readonly calls: readonly CallRequest[];
}

export interface SimulatedCall {
  readonly returned: Uint8Array;
  readonly gasUsed: bigint;
  /** Undefined: it succeeded. `revert`: the contract said so; else the EVM's own word. */
  readonly failure: string | undefined;
}

export interface SimulatedBlock {
  readonly block: StagedBlock;
  readonly calls: readonly SimulatedCall[];
}

/** The whole simulation is refused, with the code that execution-apis gives the reason. */
export class SimulationRefused extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const CODES = {
  timeout: -32016,
  intrinsicGas: -38013,
  insufficientFunds: -38014,
  blockGas: -38015,
  number: -38020,
  time: -38021,
  limit: -38026,
} as const;

/** As much as one transaction may have from the Osaka rules on (EIP-7825). */
const OSAKA_GAS = 1n << 24n;

export class BlockSimulation {
  readonly state: EvmState;
  readonly #executor: EvmExecutor;
  readonly #rollupVm: RollupVm;
  readonly #hashes: Map<number, Uint8Array>;
  readonly #untilMs: number;
  /** Nodes and code of blocks that were simulated. */
  readonly #made: Map<string, Uint8Array>;
  #parent: StagedBlock;
  #gasLeft: bigint;

  private constructor(parts: {
    executor: EvmExecutor;
    state: EvmState;
    rollupVm: RollupVm;
    hashes: Map<number, Uint8Array>;
    made: Map<string, Uint8Array>;
    untilMs: number;
    parent: StagedBlock;
    gasCap: bigint;
  }) {
    this.#executor = parts.executor;
    this.state = parts.state;
    this.#rollupVm = parts.rollupVm;
    this.#hashes = parts.hashes;
    this.#made = parts.made;
    this.#untilMs = parts.untilMs;
    this.#parent = parts.parent;
    this.#gasLeft = parts.gasCap;
  }

  /** `gasCap`: of all calls together. */
  static async begin(
    executor: EvmExecutor,
    root: StateRoot,
    parent: StagedBlock,
    gasCap: bigint,
  ): Promise<BlockSimulation> {
    const made = new Map<string, Uint8Array>();
    const hashes = new Map<number, Uint8Array>();
    const state = new EvmState(sourceOver(executor.source, made), root);
    const hashAt = (number: number) => hashes.get(number) ?? executor.hashAt(number);
    const rollupVm = await createRollupVm(executor.common, state, hashAt);
    const untilMs = performance.now() + SIMULATION_TIMEOUT_MS;
    rollupVm.deadline.atMs = untilMs;
    return new BlockSimulation({ executor, state, rollupVm, hashes, made, untilMs, parent, gasCap });
  }

  async run(plans: readonly SimulatedBlockPlan[]): Promise<SimulatedBlock[]> {
    const simulated: SimulatedBlock[] = [];
    for (const plan of this.#withGapsFilled(plans)) {
      await breatheNow();
      this.#checkTime();
      for (const override of plan.overrides) await this.#override(override);
      simulated.push(await this.#block(plan));
    }
    return simulated;
  }

  /** Numbers that were left out are blocks without calls, one second after the other. */
  #withGapsFilled(plans: readonly SimulatedBlockPlan[]): SimulatedBlockPlan[] {
    const filled: SimulatedBlockPlan[] = [];
    let { number, timestamp } = this.#parent.header;
    for (const plan of plans) {
      const wanted = plan.number ?? number + 1n;
      if (wanted <= number)
        throw new SimulationRefused(CODES.number, `block numbers must be in order: ${wanted} <= ${number}`);
      if (BigInt(filled.length) + wanted - number > BigInt(MAX_SIMULATED_BLOCKS)) {
        throw new SimulationRefused(CODES.limit, `too many blocks: more than ${MAX_SIMULATED_BLOCKS}`);
      }
      for (number += 1n; number < wanted; number += 1n) {
        filled.push({ number, time: ++timestamp, overrides: [], calls: [] });
      }
      const time = plan.time ?? timestamp + 1n;
      if (time <= timestamp) {
        throw new SimulationRefused(CODES.time, `block timestamps must be in order: ${time} <= ${timestamp}`);
      }
      timestamp = time;
      filled.push({ ...plan, number, time });
    }
    const calls = plans.reduce((sum, plan) => sum + plan.calls.length, 0);
    if (calls > MAX_SIMULATED_CALLS) {
      throw new SimulationRefused(CODES.limit, `too many calls: ${calls}, more than ${MAX_SIMULATED_CALLS}`);
    }
    return filled;
  }

  async #override({ address, nonce, balance, code, state, stateDiff }: AccountOverride): Promise<void> {
    const at = new Address(address);
    const account = (await this.state.getAccount(at)) ?? new Account();
    if (nonce !== undefined) account.nonce = nonce;
    if (balance !== undefined) account.balance = balance;
    await this.state.putAccount(at, account);
    if (code !== undefined) await this.state.putCode(at, code);
    if (state !== undefined) await this.state.clearStorage(at);
    for (const [slot, value] of state ?? stateDiff ?? []) await this.state.putStorage(at, slot, withoutZeros(value));
  }

  async #block(plan: SimulatedBlockPlan): Promise<SimulatedBlock> {
    const { common, file } = this.#executor;
    const parent = this.#parent;
    const fields = {
      ...headerFields(file),
      parentHash: parent.summary.hash,
      number: plan.number!,
      timestamp: plan.time!,
      gasLimit: plan.gasLimit ?? parent.header.gasLimit,
      coinbase: plan.feeRecipient === undefined ? parent.header.coinbase : new Address(plan.feeRecipient),
      mixHash: plan.prevRandao ?? ZERO_HASH,
      // What is not validated costs nothing, unless it is told to.
      baseFeePerGas: plan.baseFeePerGas ?? 0n,
    };
    const options = { common, skipConsensusFormatValidation: true };
    const environment = new Block(makeHeader(common, fields), [], [], [], options);
    const transactions: EvmTransaction[] = [];
    const calls: SimulatedCall[] = [];
    for (const request of plan.calls) {
      await breatheNow();
      this.#checkTime();
      const { call, transaction } = await this.#call(request, environment, transactions.at(-1));
      calls.push(call);
      transactions.push(transaction);
    }
    const header = makeHeader(common, {
      ...fields,
      stateRoot: this.#flush(),
      transactionsTrie: indexedRoot(transactions.map(({ raw }) => raw)),
      receiptTrie: indexedRoot(
        transactions.map(({ decoded, receipt }) => encodeConsensusReceipt(decoded.type, receipt)),
      ),
      logsBloom: joinBlooms(transactions.map(({ receipt }) => receipt.bloom)),
      gasUsed: transactions.at(-1)?.receipt.cumulativeGasUsed ?? 0n,
    });
    const summary = summaryOf(header, parent.summary.slot + 1, transactions.length);
    this.#parent = { stage: 'soft', header, summary, transactions, requests: [] };
    this.#hashes.set(summary.number, summary.hash);
    return { block: this.#parent, calls };
  }

  async #call(request: CallRequest, block: Block, previous: EvmTransaction | undefined) {
    const used = previous?.receipt.cumulativeGasUsed ?? 0n;
    const free = block.header.gasLimit - used;
    if (request.gas !== undefined && request.gas > free) {
      throw new SimulationRefused(
        CODES.blockGas,
        `block gas limit reached: ${used} + ${request.gas} > ${block.header.gasLimit}`,
      );
    }
    const sender = await this.state.getAccount(new Address(request.from));
    const gas = bigIntMin(
      request.gas ?? free,
      this.#gasLeft,
      this.#executor.common.isActivatedEIP(7825) ? OSAKA_GAS : free,
    );
    const tx = unsigned(this.#executor.common, request, gas, sender?.nonce ?? 0n);
    const price = request.gasPrice ?? request.maxFeePerGas ?? 0n;
    const needed = (request.value ?? 0n) + price * gas;
    const have = sender?.balance ?? 0n;
    if (needed > have) {
      const message = `insufficient funds for gas * price + value: have ${have} want ${needed}`;
      throw new SimulationRefused(CODES.insufficientFunds, message);
    }
    const minimum = tx.getMinimumGasLimit();
    if (gas < minimum) {
      throw new SimulationRefused(CODES.intrinsicGas, `intrinsic gas too low: have ${gas}, want ${minimum}`);
    }
    const isContract = hasCode(sender) && !isDelegated(await this.state.getCode(new Address(request.from)));
    const effects = isContract ? await this.#fromContract(tx, block) : await this.#fromAccount(tx, block);
    if (this.#rollupVm.deadline.passed) this.#checkTime(true);
    const { returned, gasUsed, failure, logs, contractAddress } = effects;
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
        contractAddress,
      },
    };
    return { transaction, call: { returned, gasUsed, failure } };
  }

  async #fromAccount(tx: TypedTransaction, block: Block): Promise<CallEffects> {
    try {
      const { execResult, totalGasSpent, createdAddress } = await runTx(this.#rollupVm.vm, {
        tx,
        block,
        skipNonce: true,
        skipBalance: true,
        skipHardForkValidation: true,
        skipBlockGasLimitValidation: true,
      });
      return effectsOf(execResult, totalGasSpent, createdAddress?.bytes);
    } catch (error) {
      if (error instanceof SquadError) throw error;
      throw new SimulationRefused(-32000, firstSentence(error));
    }
  }

  /** A transaction cannot come from a contract (EIP-3607), but a call may ask what would happen if it did. */
  async #fromContract(tx: TypedTransaction, block: Block): Promise<CallEffects> {
    const { evm } = this.#rollupVm.vm;
    const intrinsic = tx.getIntrinsicGas();
    const { to, value, data } = tx;
    const target = to === undefined ? {} : { to };
    const caller = tx.getSenderAddress();
    const gasLimit = tx.gasLimit - intrinsic;
    const { execResult, createdAddress } = await evm.runCall({ caller, ...target, value, data, gasLimit, block });
    await evm.journal.cleanup();
    this.state.originalStorageCache.clear();
    return effectsOf(execResult, execResult.executionGasUsed + intrinsic, createdAddress?.bytes);
  }

  #flush(): Uint8Array {
    const { root, nodes, codes } = this.state.flush();
    for (const [key, node] of nodes) this.#made.set(key, node);
    for (const [key, code] of codes) this.#made.set(key, code);
    return root.hash;
  }

  #checkTime(passed = performance.now() > this.#untilMs): void {
    if (passed) throw new SimulationRefused(CODES.timeout, `execution aborted (timeout = ${SIMULATION_TIMEOUT_MS} ms)`);
  }
}

interface CallEffects extends SimulatedCall {
  readonly logs: readonly EvmLog[];
  readonly contractAddress: Uint8Array | undefined;
}

type ExecResult = Awaited<ReturnType<typeof runTx>>['execResult'];

function effectsOf(result: ExecResult, gasUsed: bigint, contractAddress: Uint8Array | undefined): CallEffects {
  const { exceptionError, returnValue, logs = [] } = result;
  return {
    returned: returnValue,
    gasUsed,
    failure: exceptionError?.error,
    logs: logs.map(([address, topics, data]) => ({ address, topics, data })),
    contractAddress,
  };
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

function withoutZeros(word: Uint8Array): Uint8Array {
  const first = word.findIndex((byte) => byte !== 0);
  return word.subarray(first === -1 ? word.length : first);
}
