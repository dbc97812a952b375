/** Receipts, good and bad, with each value on the way of a verifier: deterministic, as keys and signatures are. */

import { sha256 } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import {
  type BlockProof,
  BlockProof as BlockProofType,
  batchDigest,
  blockHash,
  bodyRange,
  FeedStage,
  OrderingReceipt,
  parseGenesis,
  quorumWeight,
  receiptToJson,
  signersOf,
  toHex,
  totalWeight,
  VoteKind,
  validatorSetHash,
  voteSigningRoot,
} from '@squad/types';
import { checkpointOf, proveTransaction } from '../src/index.ts';
import { HonestChain, transaction } from '../src/testing/index.ts';

export function receiptVectors() {
  const chain = new HonestChain({ bls: blstBls, sha256, weights: [1, 2, 3, 4] });
  const genesis = parseGenesis(chain.genesisFile);
  if (!genesis.ok) throw genesis.error;
  const checkpoint = checkpointOf(genesis.value);
  chain.append([
    { rollupId: 901, transactions: [transaction(100, 1), transaction(5000, 2), transaction(1, 3)] },
    { rollupId: 902, author: 1, transactions: [transaction(64, 4)] },
    { rollupId: 901, author: 3, transactions: [transaction(64, 5)] },
  ]);
  chain.append([]);
  const receiptOf = (batchIndex: number, transactionIndex: number, proof: BlockProof): OrderingReceipt =>
    proveTransaction(proof, chain.batchOf(chain.blocks[1]!.refs[batchIndex]!), { batchIndex, transactionIndex });
  const final = chain.blockProof(1);
  const byDescendant = chain.blockProof(1, { certifiedHeight: 2 });
  const good = receiptOf(0, 1, final);
  const encoded = (receipt: OrderingReceipt) => toHex(OrderingReceipt.serialize(receipt));
  const withProof = (change: Partial<BlockProof>) => encoded({ ...good, proof: { ...final, ...change } });
  const { header, refs } = final.block;

  const describeReceipt = (name: string, receipt: OrderingReceipt) => {
    const { proof, batchHeader, batchIndex, transactionIndex } = receipt;
    const { body } = chain.batchOf(proof.block.refs[batchIndex]!);
    const { start, end } = bodyRange(body, transactionIndex);
    const { rollupId } = batchHeader;
    return {
      name,
      proves: {
        stage: proof.certificate.kind === VoteKind.finalize ? 'final' : 'soft',
        transactionHash: toHex(receipt.transactionHash),
        height: proof.block.header.height,
        transaction: toHex(body.subarray(start, end)),
        namespaceBatches: proof.block.refs.filter((ref) => ref.rollupId === rollupId).length,
      },
      steps: {
        validatorSetHash: toHex(validatorSetHash(proof.validatorSet)),
        blockHash: toHex(blockHash(proof.block.header)),
        pathHashes: proof.path.map((descendant) => toHex(blockHash(descendant))),
        refsRoot: toHex(proof.block.header.refsRoot),
        batchDigest: toHex(batchDigest(batchHeader)),
        bodyRoot: toHex(batchHeader.bodyRoot),
        transactionStart: start,
        transactionEnd: end,
        signers: signersOf(proof.certificate),
        quorumWeight: quorumWeight(totalWeight(proof.validatorSet)),
        totalWeight: totalWeight(proof.validatorSet),
        signingRoot: toHex(voteSigningRoot(chain.networkId, proof.certificate)),
      },
      encoded: encoded(receipt),
      json: receiptToJson(receipt),
    };
  };

  return {
    description: 'Ordering receipts and proofs of blocks. Specified in docs/receipts.md.',
    checkpoint: {
      networkId: toHex(checkpoint.networkId),
      epochLengthBlocks: checkpoint.epochLengthBlocks,
      validatorSetHash: toHex(checkpoint.validatorSetHash),
    },
    receipts: [
      describeReceipt('final, a transaction across chunks', good),
      describeReceipt('final, the last transaction of its batch', receiptOf(0, 2, final)),
      describeReceipt('final by the finalization of its child', receiptOf(2, 0, byDescendant)),
      describeReceipt('soft', receiptOf(1, 0, chain.blockProof(1, { stage: FeedStage.soft }))),
    ],
    refused: [
      { name: 'an unknown version', encoded: encoded({ ...good, version: 2 }), code: 'ENCODING' },
      {
        name: 'a ref left out',
        encoded: withProof({ block: { header, refs: refs.slice(0, 2) } }),
        code: 'REFS_ROOT_MISMATCH',
      },
      {
        name: 'refs in another order',
        encoded: withProof({ block: { header, refs: [refs[0]!, refs[2]!, refs[1]!] } }),
        code: 'REFS_ROOT_MISMATCH',
      },
      {
        name: 'another transaction of the batch',
        encoded: encoded({ ...good, transactionIndex: 0 }),
        code: 'RANGE_NOT_PROVEN',
      },
      {
        name: 'another batch of the block',
        encoded: encoded({ ...good, batchIndex: 2 }),
        code: 'BATCH_DIGEST_MISMATCH',
      },
      {
        name: 'no quorum',
        encoded: withProof({ certificate: chain.certify(VoteKind.finalize, header, [0, 1, 2]) }),
        code: 'BELOW_QUORUM',
      },
      {
        name: 'a notarization passed off as a finalization',
        encoded: withProof({ certificate: { ...chain.certificateAt(1, VoteKind.notarize), kind: VoteKind.finalize } }),
        code: 'BAD_SIGNATURE',
      },
      {
        name: 'the certificate of another block',
        encoded: withProof({ certificate: chain.certificateAt(2) }),
        code: 'CERTIFICATE_MISMATCH',
      },
      {
        name: 'a path that leads elsewhere',
        encoded: withProof({ path: [{ ...byDescendant.path[0]!, parentHash: new Uint8Array(32) }] }),
        code: 'PATH_BROKEN',
      },
      {
        name: 'a validator with another weight',
        encoded: withProof({
          validatorSet: {
            ...final.validatorSet,
            validators: final.validatorSet.validators.map((validator) => ({ ...validator, weight: 1 })),
          },
        }),
        code: 'WRONG_VALIDATOR_SET',
      },
    ],
    namespaces: [901, 902, 903].map((rollupId) => ({
      name: `the batches of rollup ${rollupId} in block 1`,
      rollupId,
      refs: refs.filter((ref) => ref.rollupId === rollupId).length,
      encoded: toHex(BlockProofType.serialize(final)),
    })),
  };
}
