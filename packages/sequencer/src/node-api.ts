/** What the JSON-RPC methods see of the sequencer: station 1's port, implemented over the sequencer, its store and feed. */

import type { Network } from '@squad/network';
import type { NodeStore } from '@squad/storage';
import {
  Block,
  type BlockHeader,
  blockHashHex,
  Certificate,
  decodeBatch,
  type Epoch,
  type Genesis,
  type Height,
  MAX_BLOCKS_PER_RANGE,
  MAX_UNORDERED_BATCHES_PER_LANE,
  type RollupId,
  SquadError,
  type TransactionHash,
  toHex,
  type ValidatorIndex,
  type ValidatorSet,
} from '@squad/types';
import { evidenceJson } from './evidence/index.ts';
import type { Feed } from './feed/index.ts';
import { epilogueTo } from './hand-overs.ts';
import { Receipts } from './receipts.ts';
import type {
  BlockHead,
  BlockSelector,
  Head,
  NamedValidatorSet,
  SequenceReceiver,
  SequencerApi,
  SequencerStatus,
  StagedBlock,
  StagedCertificate,
  TransactionStatus,
} from './rpc/api.ts';
import type { Sequencer } from './sequencer.ts';
import { findTransaction } from './transaction-lookup.ts';
import type { ValidatorSetSource } from './validator-sets.ts';

export interface NodeApiParts {
  readonly genesis: Genesis;
  readonly validatorSets: ValidatorSetSource;
  readonly sequencer: Sequencer;
  readonly store: NodeStore;
  readonly feed: Feed;
  readonly network: Network;
  readonly version: string;
}

export function createSequencerApi(parts: NodeApiParts): SequencerApi {
  const { genesis, validatorSets, sequencer, store, feed, network, version } = parts;
  const startedMs = Date.now();

  const status = (): SequencerStatus => {
    const { view, leader } = sequencer.core.status;
    const reasons = sequencer.notReadyReasons();
    return {
      networkId: toHex(genesis.networkId),
      networkName: genesis.file.name,
      version,
      peerId: network.peerId,
      epoch: sequencer.epoch,
      validatorIndex: sequencer.self,
      validatorCount: sequencer.validatorSet.validators.length,
      connectedValidators: network.connectedValidators,
      peerCount: network.peerCount,
      view,
      leader,
      soft: headOf(sequencer.soft),
      final: headOf(sequencer.final),
      softLagMs: sequencer.soft.lagMs,
      finalLagMs: sequencer.final.lagMs,
      transactions: sequencer.indexer.transactions,
      ready: reasons.length === 0,
      reasons,
      laneDepth: sequencer.laneDepth,
      laneLimit: MAX_UNORDERED_BATCHES_PER_LANE,
      uptimeSeconds: (Date.now() - startedMs) / 1000,
    };
  };

  const finalBlock = async (height: Height): Promise<Block | undefined> => {
    if (height === sequencer.final.block.header.height) return sequencer.final.block;
    const stored = await store.readBlock(height);
    return stored && Block.deserialize(stored.block);
  };

  const block = async (selector: BlockSelector): Promise<StagedBlock | undefined> => {
    if ('hash' in selector) {
      const height = await store.heightOf(selector.hash);
      if (height !== undefined) return stagedFinal(await finalBlock(height));
      const soft = sequencer.core.softBlock(selector.hash);
      return (
        soft && { stage: soft.header.height <= sequencer.final.block.header.height ? 'final' : 'soft', block: soft }
      );
    }
    const final = await finalBlock(selector.height);
    if (final) return stagedFinal(final);
    const soft = sequencer.soft.block;
    return soft.header.height === selector.height ? { stage: 'soft', block: soft } : undefined;
  };

  /** The finalization that covers a height, and the headers from the height's child to the block that it names. */
  const certificate = async (height: Height): Promise<StagedCertificate | undefined> => {
    const header = (await finalBlock(height))?.header;
    const finalization = header && (await store.nextFinalizationAtOrAfter(height));
    if (!header || !finalization || finalization.height - height > MAX_BLOCKS_PER_RANGE) return undefined;
    const path: BlockHeader[] = [];
    for (let at = height + 1; at <= finalization.height; at++) {
      const descendant = await finalBlock(at);
      if (!descendant) return undefined;
      path.push(descendant.header);
    }
    const value = Certificate.deserialize(finalization.certificate) as Certificate;
    const beyond = await epilogueTo(value, path.at(-1) ?? header, sequencer.handOvers);
    return { stage: 'final', header, certificate: value, path: [...path, ...beyond] };
  };

  /** Of an epoch that has begun; undefined if it has not, or its beginning is not known here. */
  const validatorSet = async (epoch: Epoch): Promise<NamedValidatorSet | undefined> => {
    const set = await setOf(epoch);
    return set && { set, names: set.validators.map(({ nodePublicKey }) => nameOfKey(nodePublicKey)) };
  };
  const setOf = async (epoch: Epoch): Promise<ValidatorSet | undefined> => {
    if (epoch === sequencer.epoch) return sequencer.validatorSet;
    return epoch === 0 ? genesis.validatorSet : (await sequencer.handOvers.read(epoch - 1))?.nextValidatorSet;
  };
  const nameOfKey = (nodePublicKey: Uint8Array) => validatorSets.describe(nodePublicKey)?.name ?? null;
  const nameOf = (epoch: Epoch, index: ValidatorIndex) => {
    const key = sequencer.evidence.setOf(epoch)?.validators[index]?.nodePublicKey;
    return key ? nameOfKey(key) : null;
  };

  const transactionStatus = async (hash: TransactionHash): Promise<TransactionStatus> => {
    const known = sequencer.transactions.status(hash);
    if (known) return known;
    const found = await findTransaction(store, hash);
    if (!found) return { status: 'unknown' };
    const { header, ref, height, batchIndex, transactionIndex } = found;
    const { rollupId, author, seq } = ref;
    const blockHash = blockHashHex(header);
    return { status: 'final', height, batchIndex, transactionIndex, blockHash, rollupId, author, seq };
  };

  const receipts = new Receipts({ sequencer, store, setOf, block, certificate, transactionStatus });

  /** Final blocks from the store and as they come, soft ones as they come. */
  const subscribeSequence = (rollupId: RollupId, fromHeight: Height, receiver: SequenceReceiver) => {
    const ended = new AbortController();
    // One after another: reading a block's batches may take longer than reading its child's.
    let delivered = Promise.resolve();
    const unlisten = sequencer.listen(({ stage, block: soft }, notarization) => {
      if (stage !== 'soft' || soft.header.height < fromHeight) return;
      const deliver = async () => {
        const batches = ended.signal.aborted ? undefined : await readBatches(soft, rollupId);
        if (batches && !ended.signal.aborted)
          receiver.onBlock({ stage, block: soft, certificate: notarization, path: [], batches });
      };
      delivered = delivered.then(deliver).catch(stop);
    });
    const stop = () => {
      unlisten();
      ended.abort();
    };
    receiver.closed.addEventListener('abort', stop, { once: true });
    let next = fromHeight;
    let readAgain: Height | undefined;
    const follow = async () => {
      for await (const item of feed.sequenceFrom(rollupId, next, ended.signal)) {
        await receiver.ready();
        const batches = item.batches.flatMap((bytes) => {
          const batch = decodeBatch(bytes);
          return batch.ok ? [batch.value] : [];
        });
        const { block: final, certificate: finalization, path } = item;
        receiver.onBlock({ stage: 'final', block: final, certificate: finalization, path, batches });
        next = item.block.header.height + 1;
      }
    };
    void (async () => {
      for (;;) {
        // A block may be final here before all of its bodies are.
        await sequencer.bodies.reached(Math.min(next, sequencer.final.block.header.height), ended.signal);
        try {
          return await follow();
        } catch (error) {
          // Once they are, they are read again; what is not held then was pruned.
          if (!isNotHeld(error) || next === readAgain) throw error;
          readAgain = next;
        }
      }
    })().catch((error: unknown) => {
      stop();
      receiver.onEnd(error);
    });
    return stop;
  };

  /** A rollup's batches of a soft block; undefined if one is not held here yet. */
  const readBatches = async ({ refs }: Block, rollupId: RollupId) => {
    const batches = [];
    for (const ref of refs) {
      if (ref.rollupId !== rollupId) continue;
      const bytes = await store.readBatch(toHex(ref.digest));
      const batch = bytes && decodeBatch(bytes);
      if (!batch?.ok) return undefined;
      batches.push(batch.value);
    }
    return batches;
  };

  return {
    rollups: genesis.file.rollups,
    submit: (rollupId, transactions, onPlaced) => sequencer.submit(rollupId, transactions, onPlaced),
    submitBundle: (bundle) => sequencer.submitBundle(bundle),
    get lane() {
      return { epoch: sequencer.epoch, validatorIndex: sequencer.self };
    },
    status,
    block,
    certificate,
    evidence: () => sequencer.evidence.held.map((held) => evidenceJson(held, nameOf)),
    handOver: (epoch) => sequencer.handOvers.encoded(epoch),
    validatorSet,
    transactionStatus,
    receipt: (hash) => receipts.receipt(hash),
    blockProof: (height) => receipts.blockProof(height),
    subscribeBlocks: (listener) => sequencer.listen((staged) => listener(staged)),
    subscribeSequence,
  };
}

function isNotHeld(error: unknown): boolean {
  return error instanceof SquadError && error.code === 'FEED_NOT_HELD';
}

function headOf({ block }: Head): BlockHead {
  const { height, timestampMs, l1AnchorNumber: number, l1AnchorHash } = block.header;
  return { height, hash: blockHashHex(block.header), timestampMs, l1Anchor: { number, hash: toHex(l1AnchorHash) } };
}

function stagedFinal(block: Block | undefined): StagedBlock | undefined {
  return block && { stage: 'final', block };
}
