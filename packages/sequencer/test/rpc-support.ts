/** A node behind the JSON-RPC methods that keeps what it is given, and whose state the test sets. */

import { silentLogger } from '@squad/service';
import {
  type Block,
  BlockHeader,
  type BlockProof,
  blockHashHex,
  encodeBody,
  type GenesisRollup,
  genesisBlock,
  genesisCertificate,
  type Height,
  type TransactionHash,
  toHex,
  ZERO_HASH,
} from '@squad/types';
import { createAdmission, laneFull } from '../src/admission/index.ts';
import type {
  Bundle,
  BundleOutcome,
  LanePlaces,
  NamedValidatorSet,
  SequenceBlock,
  SequenceReceiver,
  SequencerApi,
  SequencerStatus,
  StagedBlock,
  SubmitOutcome,
  TransactionStatus,
} from '../src/rpc/index.ts';

export const rollups: readonly GenesisRollup[] = [
  { rollupId: 7, kind: 'opaque' },
  { rollupId: 901, kind: 'evm' },
  { rollupId: 902, kind: 'evm' },
];

const NETWORK_ID = new Uint8Array(32).fill(1);

export function blockAt(height: Height): Block {
  const { header } = genesisBlock(NETWORK_ID, 1_000);
  const ref = {
    author: 1,
    seq: Number(height),
    rollupId: 901,
    digest: new Uint8Array(32).fill(height),
    joinsNext: false,
  };
  return { header: { ...header, height, view: height + 1 }, refs: [ref] };
}

const validator = { blsPublicKey: new Uint8Array(48).fill(1), nodePublicKey: new Uint8Array(32).fill(2), weight: 5 };

export class FakeNode implements SequencerApi {
  readonly rollups = rollups;
  readonly submitted: { rollupId: number; transaction: string }[] = [];
  readonly blockListeners = new Set<(block: StagedBlock) => void>();
  readonly sequences = new Set<{ rollupId: number; fromHeight: Height; receiver: SequenceReceiver }>();
  readonly admission = createAdmission({ logger: silentLogger, threads: 0 });
  full = false;
  softHeight = 5;
  finalHeight = 3;

  async submit(
    rollupId: number,
    transactions: readonly Uint8Array[],
    onPlaced?: (places: readonly LanePlaces[]) => void,
  ): Promise<SubmitOutcome[]> {
    if (this.full) {
      const rejection = laneFull(901, { bytes: 1000, transactions: 10 }, 40);
      return transactions.map(() => ({ accepted: false, rejection }));
    }
    const rollup = rollups.find((candidate) => candidate.rollupId === rollupId)!;
    const outcomes = await this.admission.admit(rollup, transactions);
    const count = outcomes.filter(({ ok }) => ok).length;
    if (count > 0) onPlaced?.([{ seq: 12, transactionIndex: this.submitted.length, count }]);
    return outcomes.map((outcome, i) => {
      if (!outcome.ok) return { accepted: false, rejection: outcome.error };
      this.submitted.push({ rollupId, transaction: toHex(transactions[i]!) });
      return { accepted: true, hash: outcome.value.hash };
    });
  }

  async submitBundle(bundle: Bundle): Promise<BundleOutcome> {
    const hashes: TransactionHash[] = [];
    for (const [index, { rollupId, transaction }] of bundle.entries()) {
      const [outcome] = await this.submit(rollupId, [transaction]);
      if (!outcome!.accepted) return { accepted: false, index, rejection: outcome!.rejection };
      hashes.push(outcome!.hash);
    }
    return { accepted: true, hashes };
  }

  get lane(): SequencerApi['lane'] {
    const { epoch, validatorIndex } = this.status();
    return { epoch, validatorIndex };
  }

  status(): SequencerStatus {
    const head = (height: Height) => ({
      height,
      hash: blockHashHex(blockAt(height).header),
      timestampMs: 1_000,
      l1Anchor: { number: 0, hash: toHex(ZERO_HASH) },
    });
    return {
      networkId: toHex(NETWORK_ID),
      networkName: 'test',
      version: '1.2.3',
      peerId: '12D3Koo',
      epoch: 2,
      validatorIndex: undefined,
      validatorCount: 4,
      connectedValidators: [1, 2],
      peerCount: 2,
      view: 9,
      leader: undefined,
      soft: head(this.softHeight),
      final: head(this.finalHeight),
      softLagMs: 120,
      finalLagMs: 200,
      transactions: 0,
      ready: true,
      reasons: [],
      laneDepth: 0,
      laneLimit: 64,
      uptimeSeconds: 1,
    };
  }

  async block(selector: Parameters<SequencerApi['block']>[0]): Promise<StagedBlock | undefined> {
    for (let height = 0; height <= this.softHeight; height++) {
      const block = blockAt(height);
      const found = 'hash' in selector ? blockHashHex(block.header) === selector.hash : height === selector.height;
      if (found) return { stage: height <= this.finalHeight ? 'final' : 'soft', block };
    }
    return undefined;
  }

  async certificate(height: Height): ReturnType<SequencerApi['certificate']> {
    if (height > this.softHeight) return undefined;
    const { header } = blockAt(height);
    return {
      stage: 'final',
      header,
      certificate: genesisCertificate(4, BlockHeader.hashTreeRoot(header)),
      path: [blockAt(height + 1).header],
    };
  }

  async handOver(epoch: number): Promise<Uint8Array | undefined> {
    return epoch < 2 ? Uint8Array.of(epoch) : undefined;
  }

  async validatorSet(epoch: number): Promise<NamedValidatorSet | undefined> {
    return epoch <= 2 ? { set: { epoch, validators: [validator] }, names: ['alice'] } : undefined;
  }

  evidence(): readonly unknown[] {
    return [{ kind: 'E1', encoded: '0x01' }];
  }

  async transactionStatus(hash: string): Promise<TransactionStatus> {
    if (hash === `0x${'aa'.repeat(32)}`) return { status: 'pending', rollupId: 901 };
    if (hash !== `0x${'bb'.repeat(32)}`) return { status: 'unknown' };
    const blockHash = blockHashHex(blockAt(3).header);
    const place = { rollupId: 901, height: 3, blockHash, batchIndex: 0, author: 1, seq: 3, transactionIndex: 17 };
    return { status: 'final', ...place };
  }

  async receipt(): Promise<undefined> {
    return undefined;
  }

  async blockProof(height: Height): Promise<BlockProof | undefined> {
    const found = await this.certificate(height);
    if (!found || height > this.finalHeight) return undefined;
    const { certificate, path } = found;
    return { validatorSet: { epoch: 0, validators: [] }, block: blockAt(height), path: [...path], certificate };
  }

  subscribeBlocks(listener: (block: StagedBlock) => void): () => void {
    this.blockListeners.add(listener);
    return () => this.blockListeners.delete(listener);
  }

  subscribeSequence(rollupId: number, fromHeight: Height, receiver: SequenceReceiver): () => void {
    const sequence = { rollupId, fromHeight, receiver };
    this.sequences.add(sequence);
    receiver.onBlock(sequenceBlock(fromHeight));
    return () => this.sequences.delete(sequence);
  }
}

export function sequenceBlock(height: Height): SequenceBlock {
  const block = blockAt(height);
  const transactions = [Uint8Array.of(1, 2, 3), Uint8Array.of(4)];
  const body = encodeBody(transactions);
  const header = {
    networkId: NETWORK_ID,
    epoch: 0,
    author: 1,
    seq: Number(height),
    previousDigest: ZERO_HASH,
    rollupId: 901,
    bodyRoot: ZERO_HASH,
    byteLength: body.length,
    transactionCount: transactions.length,
    createdAtMs: 900,
    joinsNext: false,
  };
  return {
    stage: 'final',
    block,
    certificate: genesisCertificate(4, BlockHeader.hashTreeRoot(block.header)),
    path: [],
    batches: [{ signed: { header, signature: new Uint8Array(64) }, body }],
  };
}
