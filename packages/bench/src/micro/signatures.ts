/** Votes and certificates at the sizes of a small and a large validator set, and the check of a block of the feed. */

import { createVerifier } from '@squad/client';
import { HonestChain, transaction } from '@squad/client/testing';
import { createVoteScheme } from '@squad/crypto';
import { blstBls, sha256 } from '@squad/crypto/node';
import { VoteKind, voteSigningRoot } from '@squad/types';
import type { MicroSuite } from './suite.ts';

const ROLLUP = 901;

export async function signatures(suite: MicroSuite): Promise<void> {
  for (const validators of [4, 100]) {
    const chain = new HonestChain({ bls: blstBls, sha256, weights: new Array<number>(validators).fill(1) });
    const secretKeys = chain.validatorSet.validators.map((_, i) =>
      blstBls.secretKeyFromSeed(sha256(Uint8Array.of(0, i))),
    );
    const schemes = secretKeys.map((secretKey) => createVoteScheme(blstBls, chain.validatorSet, secretKey));
    const root = (round: number) =>
      voteSigningRoot(chain.networkId, { kind: VoteKind.finalize, epoch: 0, view: round, blockHash: chain.hashAt(0) });
    if (validators === 4) {
      await suite.time('vote-sign', 1, (round) => void schemes[0]!.sign(root(round)));
      const signed = schemes[0]!.sign(root(0));
      await suite.time('vote-verify', 1, () => expectTrue(schemes[1]!.verify([0], root(0), signed)));
    }
    const quorum = chain.quorum();
    const votes = quorum.map((signer) => schemes[signer]!.sign(root(0)));
    await suite.time(`votes-aggregate-${validators}`, 1, () => void schemes[0]!.aggregate(votes));
    const sum = schemes[0]!.aggregate(votes)!;
    await suite.time(`certificate-verify-${validators}`, 1, () => expectTrue(schemes[0]!.verify(quorum, root(0), sum)));
  }
  await feedBlock(suite);
}

/** One block with 128 KiB of one rollup: certificate, refs, bodies. What a receipt rests on. */
async function feedBlock(suite: MicroSuite): Promise<void> {
  const chain = new HonestChain({ bls: blstBls, sha256 });
  const transactions = Array.from({ length: 500 }, (_, i) => transaction(256, i));
  chain.append([{ rollupId: ROLLUP, transactions }]);
  const block = chain.feedBlock(1, ROLLUP);
  const { networkId, genesisTimeMs, validatorSet, scheme, genesisFile } = chain;
  const { epochLengthBlocks } = genesisFile;
  const config = { networkId, genesisTimeMs, epochLengthBlocks, rollupId: ROLLUP, validatorSet, scheme, sha256 };
  await suite.time('feed-block-verify-128k', 1, () => {
    // Each certificate is checked once by a verifier: a new one for each round.
    const verifier = createVerifier(config);
    expectTrue(verifier.verifyFeedBlock(block, verifier.genesis).ok);
  });
}

function expectTrue(value: boolean): void {
  if (!value) throw new Error('what should be valid is not');
}
