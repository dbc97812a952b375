/**
 * The rollup whose execution is an OP Stack client's, op-geth's: of each block what it is to be built of. Gas is counted in
 * gas limits, so that the client never refuses a transaction for what others in the block might use.
 *
 * Where the rollup file says which L1 the chain follows, the L1 origin of blocks follows the anchors of the ordered blocks:
 *
 * - A slot's anchor is that of its first sequencer block. While it is above the chain's L1 origin, the slot begins with one
 *   block for each L1 block in between, each with the next one as its origin, and no more of them than the slot has seconds:
 *   what is left comes with the next slots. The last of these blocks stays open for what is ordered in the slot; it is a block
 *   even if that is nothing.
 * - The first block of an origin has that L1 block's deposits, and the SystemConfig with its changes, which stay. A block's
 *   time is not below its origin's.
 */

import { RLP } from '@ethereumjs/rlp';
import { type Bytes32, concatBytes, SquadError } from '@squad/types';
import { L1_ATTRIBUTES_GAS } from '../../config/op-chain.ts';
import type { RollupFile } from '../../config/rollup-file.ts';
import type { BlockEnvironment, BlockSummary } from '../../execution/api.ts';
import { encodeList } from '../../execution/evm/rlp.ts';
import { keccak256 } from '../../execution/keccak.ts';
import { type OrderedBlock, OrderedExecutor } from '../../execution/ordered.ts';
import type { SealedBlocks } from '../../execution/sealed-blocks.ts';
import { numberKey } from '../../execution/store.ts';
import type { L1Block, L1Chain } from './l1-chain.ts';
import { MAX_OP_BLOCK_BYTES, MAX_OP_BLOCK_TRANSACTIONS } from './limits.ts';
import { decodeOriginPlace, encodeOriginPlace, genesisOrigin, type OriginPlace } from './origin.ts';
import { DEFAULT_DA_FOOTPRINT_GAS_SCALAR, genesisSystemConfig, type SystemConfig } from './system-config.ts';

export interface OpBlock {
  readonly summary: BlockSummary;
  readonly place: OriginPlace;
  /** Of the L1 origin, encoded; in its first block only. */
  readonly deposits: readonly Uint8Array[];
  /** As they were ordered. */
  readonly transactions: readonly Uint8Array[];
}

/** What is read of L1: `L1Chain`. */
export type L1Source = Pick<L1Chain, 'blocksAfter' | 'has'>;

interface OpenPlace {
  readonly place: OriginPlace;
  readonly deposits: readonly Uint8Array[];
}

/** What op-geth counts for a transaction at least in a block's DA footprint (Jovian), in bytes. */
const MIN_DA_BYTES = 100;

export class OpExecutor extends OrderedExecutor {
  readonly kind = 'op';
  readonly #l1: L1Source | undefined;
  readonly #genesis: OriginPlace;
  readonly #isJovian: boolean;
  /** Of the open block. */
  #open: OpenPlace | undefined;
  /** Of the newest sealed block. */
  #newest: { readonly hash: Bytes32; readonly place: OriginPlace } | undefined;

  private constructor(file: RollupFile, blocks: SealedBlocks<OrderedBlock>, l1: L1Source | undefined) {
    super(file, blocks);
    const chain = file.op!;
    this.#l1 = l1;
    this.#isJovian = chain.jovianTime !== undefined;
    const config = genesisSystemConfig(chain, file.gasLimit);
    this.#genesis = { origin: genesisOrigin(chain), sequenceNumber: 0, config };
  }

  /** `l1`: of a rollup file that says which L1 the chain follows. Throws SquadError `L1_RPC_MISSING`, and as a store does. */
  static async open(file: RollupFile, directory: string, l1: L1Source | undefined): Promise<OpExecutor> {
    if (file.op!.l1 !== undefined && l1 === undefined) {
      throw new SquadError(
        'L1_RPC_MISSING',
        `the rollup file of "${file.name}" follows L1, chain ${file.op!.l1.chainId}, and no endpoint of that is given`,
        'Name one or more: --l1-rpc URL. They are not trusted.',
      );
    }
    return new OpExecutor(file, await OrderedExecutor.openBlocks(file, directory), l1);
  }

  /** A sealed block, provisional or durable; 0 has no transactions. */
  blockAt(number: number): OpBlock | undefined {
    if (number === 0) return { summary: this.genesis, place: this.#genesis, deposits: [], transactions: [] };
    const block = this.sealedAt(number);
    if (block === undefined) return undefined;
    const [, ...rest] = RLP.decode(block.body) as [Uint8Array, ...Uint8Array[]];
    const { summary } = block;
    if (!this.#followsL1) {
      return { summary, place: { ...this.#genesis, sequenceNumber: number }, deposits: [], transactions: rest };
    }
    const [place, deposits, ...transactions] = rest as [Uint8Array, unknown, ...Uint8Array[]];
    return { summary, place: decodeOriginPlace(place), deposits: deposits as Uint8Array[], transactions };
  }

  /** Number of the L1 origin of the newest sealed block. */
  get l1OriginNumber(): number {
    return this.#placeOfHead().origin.number;
  }

  isDue(environment: BlockEnvironment): boolean {
    return this.#steps(environment) > 0;
  }

  async canBegin(environment: BlockEnvironment): Promise<boolean> {
    const count = this.#steps(environment);
    return count === 0 || this.#l1!.has(this.#place.origin, environment.l1Anchor!, count);
  }

  /** Waits for L1, if the slot begins with a new L1 origin. */
  protected override async open(environment: BlockEnvironment): Promise<void> {
    const count = this.#steps(environment);
    if (count === 0) {
      const place = this.#placeOfHead();
      this.#open = { place: { ...place, sequenceNumber: place.sequenceNumber + 1 }, deposits: [] };
      return this.openWith(environment, 0n);
    }
    const blocks = await this.#l1!.blocksAfter(this.#placeOfHead().origin, environment.l1Anchor!, count);
    for (const [index, block] of blocks.entries()) {
      if (index > 0) this.sealOpen();
      this.#openOrigin(environment, block);
    }
  }

  #openOrigin(environment: BlockEnvironment, { origin, deposits, depositGas, updates }: L1Block): void {
    const before = this.#placeOfHead();
    const config: SystemConfig = Object.assign({ ...before.config }, ...updates);
    this.#open = { place: { origin, sequenceNumber: 0, config }, deposits };
    this.openWith(environment, depositGas);
  }

  /** How many L1 blocks the chain's origin goes on by at the beginning of a slot. */
  #steps({ slot, l1Anchor }: BlockEnvironment): number {
    if (!this.#followsL1 || l1Anchor === undefined || this.head.slot >= slot) return 0;
    const most = Math.floor(this.file.blockTimeMs / 1000);
    return Math.max(0, Math.min(most, l1Anchor.number - this.#place.origin.number));
  }

  get #followsL1(): boolean {
    return this.file.op!.l1 !== undefined;
  }

  /** Of the open block, or else of the newest sealed one. */
  get #place(): OriginPlace {
    return this.#open?.place ?? this.#placeOfHead();
  }

  #placeOfHead(): OriginPlace {
    const { hash, number } = this.head;
    if (this.#newest?.hash !== hash) this.#newest = { hash, place: this.blockAt(number)!.place };
    return this.#newest.place;
  }

  protected override get isNeeded(): boolean {
    return this.#open?.place.sequenceNumber === 0;
  }

  protected override get blockGas(): bigint {
    return this.#place.config.gasLimit - BigInt(L1_ATTRIBUTES_GAS);
  }

  /**
   * Of Jovian, op-geth counts a transaction's compressed size, which is not above its size, and at least so much:
   * https://specs.optimism.io/protocol/jovian/exec-engine.html#da-footprint-block-limit
   */
  protected override sizeOf(raw: Uint8Array): number {
    return this.#isJovian ? Math.max(MIN_DA_BYTES, raw.length) : raw.length;
  }

  protected isTooLarge(transactionCount: number, bytes: number): boolean {
    if (transactionCount > MAX_OP_BLOCK_TRANSACTIONS || bytes > MAX_OP_BLOCK_BYTES) return true;
    if (!this.#isJovian) return false;
    const { gasLimit, daFootprintGasScalar } = this.#place.config;
    const scalar = daFootprintGasScalar === 0n ? DEFAULT_DA_FOOTPRINT_GAS_SCALAR : daFootprintGasScalar;
    return BigInt(bytes) * scalar > gasLimit;
  }

  /** The randomness is there for the hash. */
  protected encodeBody(transactions: readonly Uint8Array[], { randomness }: BlockEnvironment): Uint8Array {
    if (!this.#followsL1) return encodeList([randomness, ...transactions]);
    const { place, deposits } = this.#open!;
    return encodeList([randomness, encodeOriginPlace(place), deposits, ...transactions]);
  }

  protected hashOf({ parentHash, number, timestampSeconds }: Omit<BlockSummary, 'hash'>, body: Uint8Array): Bytes32 {
    return keccak256(concatBytes(parentHash, numberKey(number), numberKey(timestampSeconds), body));
  }

  /** The client wants it to rise: blocks of one slot are a second apart. */
  protected override timeOf({ timestampSeconds }: BlockEnvironment): number {
    const origin = Number(this.#place.origin.timestamp);
    return Math.max(timestampSeconds, this.head.timestampSeconds + 1, this.#followsL1 ? origin : 0);
  }

  protected override sealOpen(): BlockSummary | undefined {
    const open = this.#open;
    const sealed = super.sealOpen();
    this.#open = undefined;
    if (sealed !== undefined && open !== undefined) this.#newest = { hash: sealed.hash, place: open.place };
    return sealed;
  }

  override async rollback(number: number): Promise<void> {
    await super.rollback(number);
    this.#open = undefined;
  }
}
