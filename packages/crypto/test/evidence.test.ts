/** `verifyEvidence`: each kind convicts who did it, nothing convicts anybody else, and both BLS implementations agree. */

import {
  type BatchHeader,
  type BlockHeader,
  blockHash,
  type Certificate,
  decodeEvidence,
  type Evidence,
  encodeEvidence,
  genesisBlock,
  openSkips,
  SkipCertificates,
  type SkipOpening,
  type Statement,
  signerBits,
  type ValidatorSet,
  VoteKind,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  accusationOf,
  createNodeKey,
  createVoteScheme,
  nobleBls,
  verifyEd25519 as portableEd25519,
  signBatchHeader,
  verifyEvidence,
} from '../src/index.ts';
import { blstBls, verifyEd25519 } from '../src/node/index.ts';

const { notarize, nullify, finalize } = VoteKind;
const keys = [0, 1, 2, 3].map((index) => {
  const seed = new Uint8Array(32).fill(index + 1);
  return { bls: blstBls.secretKeyFromSeed(seed), node: createNodeKey(seed) };
});
const validatorSet: ValidatorSet = {
  epoch: 4,
  validators: keys.map(({ bls, node }) => ({
    blsPublicKey: blstBls.publicKeyOf(bls),
    nodePublicKey: node.publicKey,
    weight: 1,
  })),
};
const networkId = new Uint8Array(32).fill(9);
const LIAR = 3;

const hashOf = (fill: number) => new Uint8Array(32).fill(fill);
const judge = (evidence: Evidence, set = validatorSet, network = networkId) =>
  verifyEvidence(evidence, set, network, createVoteScheme(blstBls, set), verifyEd25519);

function statement(kind: VoteKind, blockHash: Uint8Array, signers: readonly number[], view = 17): Statement {
  const content = { kind, epoch: 4, view, blockHash };
  const root = voteSigningRoot(networkId, content);
  const signatures = signers.map((signer) => blstBls.sign(keys[signer]!.bls, root));
  return { ...content, signers: signerBits(4, signers), signature: blstBls.aggregateSignatures(signatures)! };
}

const skipOf = (view: number, signers: readonly number[] = [0, 1, 2]): Certificate =>
  statement(nullify, ZERO_HASH, signers, view);
const GOOD_SKIPS = [15, 16].map((view) => skipOf(view));

/** A header of view 17 on view 14, with these skips, notarized by the liar. */
function skipping(skips: Certificate[], opening: SkipOpening, change: Partial<BlockHeader> = {}): Evidence {
  const header: BlockHeader = {
    ...genesisBlock(networkId, 1).header,
    epoch: 4,
    view: 17,
    height: 9,
    parentView: 14,
    skipsRoot: SkipCertificates.hashTreeRoot(skips),
    ...change,
  };
  return { kind: 'E4', vote: statement(notarize, blockHash(header), [LIAR]), header, opening };
}

const batch: BatchHeader = {
  networkId,
  epoch: 4,
  author: LIAR,
  seq: 5,
  previousDigest: ZERO_HASH,
  rollupId: 901,
  bodyRoot: ZERO_HASH,
  byteLength: 5,
  transactionCount: 1,
  createdAtMs: 1,
  joinsNext: false,
};
const signed = (change: Partial<BatchHeader> = {}, by = LIAR) =>
  signBatchHeader({ ...batch, ...change }, keys[by]!.node);

const E1: Evidence = {
  kind: 'E1',
  first: statement(notarize, hashOf(1), [LIAR]),
  second: statement(notarize, hashOf(2), [0, 1, LIAR]),
};
const E2: Evidence = {
  kind: 'E2',
  first: statement(finalize, hashOf(1), [1, 2, LIAR]),
  second: statement(finalize, hashOf(2), [LIAR]),
};
const E3: Evidence = {
  kind: 'E3',
  first: statement(nullify, ZERO_HASH, [LIAR]),
  second: statement(finalize, hashOf(2), [0, 1, LIAR]),
};
const shortSkips = [skipOf(15)];
const weakSkips = [skipOf(15), skipOf(16, [0, LIAR])];
const E4_COUNT = skipping(shortSkips, openSkips(shortSkips));
const E4_CERTIFICATE = skipping(weakSkips, openSkips(weakSkips, 1));
const E5: Evidence = { kind: 'E5', first: signed(), second: signed({ createdAtMs: 2 }) };
const GENUINE: readonly (readonly [string, Evidence])[] = [
  ['E1', E1],
  ['E2', E2],
  ['E3', E3],
  ['E4 by the number of skips', E4_COUNT],
  ['E4 by one of them', E4_CERTIFICATE],
  ['E5', E5],
];

describe('evidence', () => {
  it.each(GENUINE)('%s convicts who did it, by blst and by noble', (_name, evidence) => {
    const place = evidence.kind === 'E5' ? { seq: 5 } : { view: 17 };
    const expected = { ok: true, value: { kind: evidence.kind, epoch: 4, validators: [LIAR], place } };
    expect(judge(evidence)).toEqual(expected);
    const portable = createVoteScheme(nobleBls, validatorSet);
    expect(verifyEvidence(evidence, validatorSet, networkId, portable, portableEd25519)).toEqual(expected);
  });

  it('of two certificates convicts all that are in both', () => {
    const first = statement(notarize, hashOf(1), [0, 1, 2]);
    const second = statement(notarize, hashOf(2), [1, 2, LIAR]);
    expect(judge({ kind: 'E1', first, second })).toMatchObject({ ok: true, value: { validators: [1, 2] } });
  });

  it.each(GENUINE)('%s proves nothing in another network or epoch, or with another set', (_name, evidence) => {
    expect(judge(evidence, validatorSet, hashOf(8)).ok).toBe(false);
    expect(judge(evidence, { ...validatorSet, epoch: 5 })).toMatchObject({ error: { code: 'EVIDENCE_EPOCH' } });
    const others = { ...validatorSet, validators: [...validatorSet.validators].reverse() };
    expect(judge(evidence, others).ok).toBe(false);
    const fewer = { ...validatorSet, validators: validatorSet.validators.slice(0, 3) };
    expect(judge(evidence, fewer)).toMatchObject({ error: { code: 'EVIDENCE_SET' } });
  });
});

const forged = (one: Statement): Statement => ({
  ...one,
  signature: statement(notarize, hashOf(77), [LIAR]).signature,
});

describe('what proves nothing', () => {
  const harmless: [string, RegExp, Evidence][] = [
    [
      'NOTARIZE and NULLIFY',
      /do not exclude/,
      { kind: 'E3', first: statement(notarize, hashOf(1), [0]), second: skipOf(17, [0]) },
    ],
    [
      'NOTARIZE and FINALIZE',
      /do not exclude/,
      { kind: 'E1', first: statement(notarize, hashOf(1), [0]), second: statement(finalize, hashOf(2), [0]) },
    ],
    [
      'one vote twice',
      /do not exclude/,
      { kind: 'E1', first: statement(notarize, hashOf(1), [0]), second: statement(notarize, hashOf(1), [0, 1]) },
    ],
    ['NULLIFY twice', /do not exclude/, { kind: 'E3', first: skipOf(17, [0]), second: skipOf(17, [0, 1]) }],
    [
      'votes of two views',
      /two views/,
      { kind: 'E1', first: statement(notarize, hashOf(1), [0]), second: statement(notarize, hashOf(2), [0], 18) },
    ],
    [
      'votes of two signers',
      /no validator signed both/,
      { kind: 'E1', first: statement(notarize, hashOf(1), [0]), second: statement(notarize, hashOf(2), [1]) },
    ],
    ['the wrong kind', /show E2, not E1/, { ...E2, kind: 'E1' } as Evidence],
    [
      'a forged first statement',
      /first statement is not signed/,
      { ...E1, first: forged(E1.first as Statement) } as Evidence,
    ],
    [
      'a forged second statement',
      /second statement is not signed/,
      { ...E3, second: forged(E3.second as Statement) } as Evidence,
    ],
    [
      'a signer added to a statement',
      /second statement is not signed/,
      {
        kind: 'E1',
        first: statement(notarize, hashOf(1), [0]),
        second: { ...statement(notarize, hashOf(2), [1, 2]), signers: signerBits(4, [0, 1, 2]) },
      },
    ],
    ['skips as they must be, one shown', /is nullified as it must be/, skipping(GOOD_SKIPS, openSkips(GOOD_SKIPS, 0))],
    [
      'skips as they must be, their number shown',
      /a certificate for each/,
      skipping(GOOD_SKIPS, openSkips(GOOD_SKIPS)),
    ],
    [
      'a position shown where the number is wrong',
      /the count is what is to be shown/,
      skipping(shortSkips, openSkips(shortSkips, 0)),
    ],
    ['an opening of another root', /not one of the header/, skipping(GOOD_SKIPS, openSkips(weakSkips, 1))],
    [
      'a skips root that nobody can open',
      /not one of the header/,
      skipping(GOOD_SKIPS, openSkips(GOOD_SKIPS, 0), { skipsRoot: hashOf(5) }),
    ],
    ['a header that skips no view', /skips no view/, skipping([], openSkips([]), { parentView: 16 })],
    ['a header above its own view', /skips no view/, skipping([], openSkips([]), { parentView: 20 })],
    [
      'a vote for another header',
      /no NOTARIZE of this header/,
      { ...E4_COUNT, vote: statement(notarize, hashOf(3), [LIAR]) } as Evidence,
    ],
    [
      'a FINALIZE of the header',
      /no NOTARIZE of this header/,
      { ...E4_COUNT, vote: { ...(E4_COUNT as { vote: Statement }).vote, kind: finalize } } as Evidence,
    ],
    [
      'a vote that nobody signed',
      /nobody signed/,
      { ...E4_COUNT, vote: { ...(E4_COUNT as { vote: Statement }).vote, signers: signerBits(4, []) } } as Evidence,
    ],
    [
      'a vote signed badly',
      /vote is not signed/,
      { ...E4_COUNT, vote: forged((E4_COUNT as { vote: Statement }).vote) } as Evidence,
    ],
    ['two places of a lane', /two places/, { kind: 'E5', first: signed(), second: signed({ seq: 6 }) }],
    ['two authors', /two places/, { kind: 'E5', first: signed(), second: signed({ author: 1 }, 1) }],
    ['one batch twice', /are the same/, { kind: 'E5', first: signed(), second: signed() }],
    [
      'a batch that another one signed',
      /second batch header is not signed/,
      { kind: 'E5', first: signed(), second: signed({ createdAtMs: 2 }, 1) },
    ],
    [
      'an author outside the set',
      /not in the set/,
      { kind: 'E5', first: signed({ author: 4 }), second: signed({ author: 4, createdAtMs: 2 }) },
    ],
  ];

  it.each(harmless)('%s', (_name, reason, evidence) => {
    expect(judge(evidence)).toMatchObject({ ok: false, error: { reason: expect.stringMatching(reason) } });
  });

  it('whatever is changed in genuine evidence: it never throws, and convicts nobody but who did it', () => {
    const encodings = GENUINE.map(([, evidence]) => encodeEvidence(evidence));
    const scheme = createVoteScheme(blstBls, validatorSet);
    fc.assert(
      fc.property(fc.constantFrom(...encodings), fc.nat(), fc.integer({ min: 1, max: 255 }), (encoding, at, change) => {
        const bytes = encoding.slice();
        bytes[at % bytes.length]! ^= change;
        const evidence = decodeEvidence(bytes);
        if (!evidence.ok) return;
        const judged = verifyEvidence(evidence.value, validatorSet, networkId, scheme, verifyEd25519);
        if (judged.ok) expect(judged.value.validators).toEqual([LIAR]);
      }),
      { numRuns: 300 },
    );
  });
});

it('an accusation names the same validators without any signature check', () => {
  for (const [, evidence] of GENUINE) {
    expect(accusationOf(evidence, validatorSet, networkId)).toMatchObject({ ok: true, value: { validators: [LIAR] } });
  }
});
