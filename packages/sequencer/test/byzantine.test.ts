/** Three honest sequencers and one validator that does what it likes: they go on, blame it and nobody else, and hold what is bounded. */

import { createVoteScheme } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import type { Network, RequestProtocol } from '@squad/network';
import {
  BatchesResponse,
  Block,
  BlockResponse,
  blockHash,
  Certificate,
  decodeValidatorMessage,
  type Evidence,
  encodeBatch,
  encodeValidatorMessage,
  MAX_UNORDERED_BATCHES_PER_LANE,
  RangeRequest,
  RangeResponse,
  signerBits,
  statementOf,
  toHex,
  type ValidatorMessage,
  type Vote,
  VoteKind,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StoredBatch } from '../src/actor.ts';
import {
  Cluster,
  keysOf,
  mutations,
  networkConfig,
  sealBatch,
  sealRun,
  type TestNode,
  transaction,
  until,
} from './support.ts';

const LIAR = 3;
const HONEST = [0, 1, 2] as const;

let cluster: Cluster;
let honest: TestNode[];
let liar: Network;
let heard: ValidatorMessage[];
let onHeard: (message: ValidatorMessage, from: number) => void;
let answer: (protocol: RequestProtocol, request: Uint8Array) => Promise<Uint8Array>;

beforeEach(async () => {
  cluster = new Cluster({ heartbeatMs: 10 });
  honest = HONEST.map((index) => cluster.nodes[index]!);
  heard = [];
  onHeard = () => {};
  answer = async () => new Uint8Array();
  liar = cluster.hub.createNetwork(
    networkConfig(cluster.genesis, LIAR, {
      onFrame: (from, _channel, frame) => {
        const message = decodeValidatorMessage(frame);
        if (!message.ok) throw new Error('an honest node sent garbage');
        heard.push(message.value);
        onHeard(message.value, from);
      },
      onValidatorConnected: () => {},
      onValidatorDisconnected: () => {},
      onRequest: (_from, protocol, request) => answer(protocol, request),
      onGossip: async () => 'ignore',
      onFeed: () => {},
    }),
  );
  await cluster.start(HONEST);
  await liar.start();
  await connected();
});

afterEach(async () => {
  await liar.stop();
  await cluster.close(honest);
});

const connected = () => until('the liar to be connected', () => liar.connectedValidators.length === HONEST.length);
const send = (message: ValidatorMessage, to: number | 'all' = 'all') =>
  liar.send(to, message.type === 'batch' ? 'data' : 'consensus', encodeValidatorMessage(message));
const sendBatch = ({ batch }: StoredBatch, to: number | 'all' = 'all') => send({ type: 'batch', batch }, to);

/** The honest ones order on, the same, and blame nobody else. */
async function expectHealth(): Promise<void> {
  const before = Math.max(...honest.map(({ height }) => height));
  const raw = transaction(0, before + 1_000_000);
  await honest[0]!.submit([raw]);
  await until('the transaction to be final everywhere', async () => {
    for (const node of honest) if (!(await node.transactions()).includes(toHex(raw))) return false;
    return true;
  });
  const lowest = Math.min(...honest.map(({ height }) => height));
  const [first, ...others] = await Promise.all(honest.map((node) => node.hashes(1, lowest)));
  for (const other of others) expect(other).toEqual(first);
  for (const node of honest) {
    expect(node.failures).toEqual([]);
    expect(node.journal.errors).toEqual([]);
    expect(node.journal.blamed.filter(({ peer }) => peer !== LIAR)).toEqual([]);
  }
}

async function expectBlame(reason: RegExp, nodes: readonly TestNode[] = honest): Promise<void> {
  await until(`blame for ${reason}`, () =>
    nodes.every(({ journal }) => journal.blamed.some((entry) => entry.peer === LIAR && reason.test(entry.reason))),
  );
}

function voteOf(kind: Vote['kind'], view: number, signer = LIAR, blockHash = ZERO_HASH): Vote {
  const { networkId, validatorSet } = cluster.genesis;
  const content = { kind, epoch: 0, view, blockHash };
  const scheme = createVoteScheme(blstBls, validatorSet, keysOf(LIAR).bls);
  return { ...content, signer, signature: scheme.sign(voteSigningRoot(networkId, content)) };
}

/** Whom a node's evidence convicts, and of what. */
function convictedIn({ sequencer }: TestNode): string[] {
  return sequencer.evidence.held.flatMap(({ conviction: { kind, validators } }) =>
    validators.map((validator) => `${kind}/${validator}`),
  );
}

describe('what is sent', () => {
  const badBatches: readonly (readonly [string, RegExp, () => StoredBatch])[] = [
    [
      'a bad signature',
      /signature is not its author/,
      () => {
        const { batch, digest } = sealBatch(cluster.genesis, LIAR);
        const signature = batch.signed.signature.slice();
        signature[7]! ^= 1;
        return { batch: { ...batch, signed: { ...batch.signed, signature } }, digest };
      },
    ],
    ['another author', /sent a batch of validator 1 as its own/, () => sealBatch(cluster.genesis, 1)],
    ['an unknown rollup', /rollup 12345/, () => sealBatch(cluster.genesis, LIAR, { rollupId: 12345 })],
    [
      'a wrong body root',
      /body is not the one/,
      () => sealBatch(cluster.genesis, LIAR, {}, undefined, { bodyRoot: new Uint8Array(32) }),
    ],
    [
      'another network',
      /another network/,
      () => sealBatch(cluster.genesis, LIAR, {}, undefined, { networkId: new Uint8Array(32) }),
    ],
  ];

  it('batches that are wrong: each is blamed, none is held', async () => {
    for (const [, reason, make] of badBatches) {
      await connected();
      sendBatch(make());
      await expectBlame(reason);
    }
    for (const { sequencer } of honest) expect(sequencer.lanes.firstAt(LIAR, 0)).toBeUndefined();
    await expectHealth();
  });

  it('a vote of somebody else, and own ones that are signed badly', async () => {
    send({ type: 'vote', vote: voteOf(VoteKind.nullify, honest[0]!.sequencer.core.status.view, 1) });
    await expectBlame(/sent a vote of validator 1/);
    await connected();
    onHeard = (message) => {
      if (message.type !== 'proposal' || liar.connectedValidators.length === 0) return;
      // Early enough to be among the first: the views that it leads itself end by a quorum of NULLIFY.
      const view = message.proposal.block.header.view + 1;
      send({ type: 'vote', vote: { ...voteOf(VoteKind.nullify, view + 1), view } });
    };
    await until('blame by one that needed the vote', () =>
      honest.some(({ journal }) => journal.blamed.some(({ reason }) => /signed a vote of view \d+ badly/.test(reason))),
    );
    onHeard = () => {};
    await expectHealth();
  });

  it('a certificate without a quorum behind it', async () => {
    const vote = voteOf(VoteKind.finalize, 5000, LIAR, new Uint8Array(32).fill(1));
    const certificate: Certificate = { ...vote, signers: signerBits(4, [0, 1, LIAR]) };
    send({ type: 'certificate', certificate });
    await expectBlame(/sent a certificate of view 5000/);
    await connected();
    send({ type: 'certificate', certificate: { ...certificate, signers: signerBits(4, [LIAR]) } });
    await until('blame again', () => honest.every(({ journal }) => journal.blamed.length > 1));
    await expectHealth();
  });

  it('mutations of every kind of frame: none does harm', async () => {
    sendBatch(sealBatch(cluster.genesis, LIAR));
    await until('one of each kind', () =>
      ['proposal', 'vote', 'certificate', 'acknowledgements'].every((type) => heard.some((one) => one.type === type)),
    );
    const samples = (['proposal', 'vote', 'certificate', 'acknowledgements'] as const).map(
      (type) => heard.findLast((message) => message.type === type)!,
    );
    samples.push({ type: 'batch', batch: sealBatch(cluster.genesis, LIAR, { seq: 1 }).batch });
    const [target] = honest as [TestNode];
    let undecodable = 0;
    for (const [seed, sample] of samples.entries()) {
      for (const frame of mutations(encodeValidatorMessage(sample), 96, seed)) {
        target.sequencer.handlers.onFrame(LIAR, 'consensus', frame);
        if (!decodeValidatorMessage(frame).ok) undecodable++;
      }
    }
    expect(undecodable).toBeGreaterThan(200);
    expect(target.journal.blamed.filter(({ reason }) => reason.includes('sent a frame that is none'))).toHaveLength(
      undecodable,
    );
    await expectHealth();
  });

  it('frames far too large, and empty ones', async () => {
    const [target] = honest as [TestNode];
    const kinds = [0, 1, 2, 3, 4, 5, 6, 255];
    for (const kind of kinds) {
      const frame = new Uint8Array(3 * 1024 * 1024).fill(1);
      frame[0] = kind;
      target.sequencer.handlers.onFrame(LIAR, 'data', frame);
      target.sequencer.handlers.onFrame(LIAR, 'data', frame.subarray(0, 1));
    }
    target.sequencer.handlers.onFrame(LIAR, 'data', new Uint8Array());
    expect(target.journal.blamed).toHaveLength(2 * kinds.length + 1);
    await expectHealth();
  });

  it('acknowledgements of everything, for ever: they count for nothing', async () => {
    send({
      type: 'acknowledgements',
      epoch: 0,
      acknowledgements: Array.from({ length: 256 }, (_, author) => ({
        author,
        seq: Number.MAX_SAFE_INTEGER - 1,
        digest: ZERO_HASH,
      })),
    });
    await expectHealth();
    for (const { journal } of honest) expect(journal.blamed).toEqual([]);
  });
});

describe('a lane that forks', () => {
  it('is seen as that by all, and one branch is ordered everywhere (E5)', async () => {
    const branches = [1, 2].map((number) => sealBatch(cluster.genesis, LIAR, {}, [transaction(LIAR, number)]));
    sendBatch(branches[0]!, 0);
    sendBatch(branches[1]!, 1);
    sendBatch(branches[1]!, 2);
    const texts: string[] = [1, 2].map((number) => toHex(transaction(LIAR, number)));
    await until('one of them to be final everywhere', async () => {
      for (const node of honest) {
        const held = await node.transactions();
        if (!texts.some((text) => held.includes(text))) return false;
      }
      return true;
    });
    const chosen = await Promise.all(
      honest.map(async (node) => (await node.transactions()).filter((text) => texts.includes(text))),
    );
    expect(chosen[0]).toHaveLength(1);
    expect(chosen[1]).toEqual(chosen[0]);
    expect(chosen[2]).toEqual(chosen[0]);
    await expectHealth();
  });

  it('convicts its author everywhere, once, whoever sees both branches', async () => {
    // After a gap, so that neither can be ordered.
    const branches = [1, 2].map((number) => sealBatch(cluster.genesis, LIAR, { seq: 5 }, [transaction(LIAR, number)]));
    sendBatch(branches[0]!, 0);
    await until('the first to be held', () => honest[0]!.sequencer.lanes.firstAt(LIAR, 5) !== undefined);
    for (let i = 0; i < 20; i++) sendBatch(branches[1]!, 0);
    const fork = { kind: 'E5', first: branches[0]!.batch.signed, second: branches[1]!.batch.signed };
    await until('the evidence', () => honest.every(({ sequencer }) => sequencer.evidence.held.length > 0));
    await expectHealth();
    for (const node of honest) {
      expect(node.sequencer.evidence.held.map(({ evidence }) => evidence)).toEqual([fork]);
      expect(convictedIn(node)).toEqual(['E5/3']);
    }
  });

  it('does not fill the memory: what is beyond the window is not held', async () => {
    for (const batch of sealRun(cluster.genesis, LIAR, 300, 1)) sendBatch(batch);
    const last = 2 * MAX_UNORDERED_BATCHES_PER_LANE - 1;
    await until('the window', () => honest.every(({ sequencer }) => sequencer.lanes.firstAt(LIAR, last)));
    await expectHealth();
    for (const { sequencer } of honest) {
      const held = sequencer.lanes.unordered().filter(({ header }) => header.author === LIAR);
      expect(held).toHaveLength(last);
    }
  });
});

describe('what it signs twice', () => {
  const NOTARIZED = [1, 2].map((fill) => new Uint8Array(32).fill(fill));

  it('convicts it on every honest node, by the one that saw both, and is kept over a restart', async () => {
    // To one alone; it looks at votes of views that are over, too.
    const { view } = honest[0]!.sequencer.core.status;
    for (const hash of NOTARIZED) send({ type: 'vote', vote: voteOf(VoteKind.notarize, view, LIAR, hash) }, 0);
    await until('the evidence', () => honest.every(({ sequencer }) => sequencer.evidence.held.length > 0));
    await expectHealth();
    for (const node of honest) expect(convictedIn(node)).toEqual(['E1/3']);
    const [, restarted] = honest as [TestNode, TestNode];
    const before = restarted.sequencer.evidence.held;
    await restarted.stop();
    await restarted.start();
    expect(restarted.sequencer.evidence.held).toEqual(before);
  });

  it('reaches a node that was away when it was found', async () => {
    const [a, , away] = honest as [TestNode, TestNode, TestNode];
    await away.crash();
    const [first, second] = NOTARIZED.map((hash) => statementOf(voteOf(VoteKind.notarize, 7, LIAR, hash), 4));
    a.sequencer.evidence.found({ kind: 'E1', first: first!, second: second! });
    await until('the evidence', () => a.sequencer.evidence.held.length > 0);
    await away.start();
    await until('it to come', () => away.sequencer.evidence.held.length > 0);
    expect(convictedIn(away)).toEqual(['E1/3']);
  });

  it('is believed of nobody without both signatures: who passes on less is blamed, and not heard for a while', async () => {
    const [target] = honest as [TestNode];
    const genuine = statementOf(voteOf(VoteKind.finalize, 7, LIAR, NOTARIZED[0]), 4);
    const framed = { ...genuine, blockHash: NOTARIZED[1]!, signers: signerBits(4, [1]) };
    const evidence: Evidence = { kind: 'E2', first: { ...genuine, signers: signerBits(4, [1]) }, second: framed };
    for (let i = 0; i < 5; i++) {
      target.sequencer.handlers.onFrame(LIAR, 'consensus', encodeValidatorMessage({ type: 'evidence', evidence }));
    }
    expect(target.journal.blamed).toEqual([
      { peer: LIAR, reason: expect.stringMatching(/passed on evidence that proves nothing: .*not signed/) },
    ]);
    expect(target.sequencer.evidence.held).toEqual([]);
    await expectHealth();
  });
});

describe('what is answered', () => {
  /** One of the honest is away while the others order; the liar answers it when it comes back. */
  async function expectCatchUp(lie: typeof answer, reason: RegExp | undefined): Promise<void> {
    const [a, b, c] = honest as [TestNode, TestNode, TestNode];
    // The liar votes for what is proposed, or there would be no quorum while one is away.
    onHeard = (message) => {
      if (liar.connectedValidators.length === 0) return;
      if (message.type === 'proposal') {
        const { view } = message.proposal.block.header;
        send({
          type: 'vote',
          vote: voteOf(VoteKind.notarize, view, LIAR, blockHash(message.proposal.block.header)),
        });
      } else if (message.type === 'vote' && message.vote.kind !== VoteKind.notarize) {
        const { kind, view, blockHash } = message.vote;
        send({ type: 'vote', vote: voteOf(kind, view, LIAR, blockHash) });
      }
    };
    await c.crash();
    const away = a.height;
    const raw = Array.from({ length: 5 }, (_, number) => transaction(0, number));
    for (const one of raw) await a.submit([one]);
    await until('a few blocks', () => a.height > away + 4 && b.height > away + 4);
    let lies = 0;
    answer = (protocol, request) => {
      lies++;
      return lie(protocol, request);
    };
    c.journal.warnings.length = 0;
    // At first it reaches nobody but the liar, who shows it that there is more to fetch.
    for (const other of [a, b]) cluster.hub.cut(c.network.peerId, other.network.peerId);
    await c.start();
    await connected();
    const finalization = heard.findLast(
      (message) => message.type === 'certificate' && message.certificate.kind === VoteKind.finalize,
    )!;
    send(finalization, c.index);
    await until('a lie', () => lies > 0 && (!reason || c.journal.blamed.length > 0));
    for (const other of [a, b]) cluster.hub.heal(c.network.peerId, other.network.peerId);
    await until('the one that was away to hold it all', async () => {
      const held = await c.transactions();
      return raw.every((one) => held.includes(toHex(one)));
    });
    onHeard = () => {};
    for (const { peer } of c.journal.blamed) expect(peer).toBe(LIAR);
    if (reason) for (const entry of c.journal.blamed) expect(entry.reason).toMatch(reason);
    await expectHealth();
  }

  it('nothing at all', () => expectCatchUp(async () => Promise.reject(new Error('no')), undefined));

  it('garbage', () => {
    const draw = mutations(new Uint8Array(5000).fill(7), 10_000, 3);
    return expectCatchUp(async () => draw.next().value ?? new Uint8Array(), /answered a request|batch that is none/);
  });

  it('what was not asked for', () =>
    expectCatchUp(async (protocol) => {
      const [a] = honest as [TestNode];
      const first = Block.deserialize((await a.store.readBlock(1))!.block);
      switch (protocol) {
        case 'batches':
          return BatchesResponse.serialize([encodeBatch(sealBatch(cluster.genesis, LIAR).batch)]);
        case 'block':
          return BlockResponse.serialize([first]);
        case 'range': {
          const finalization = await a.store.nextFinalizationAtOrAfter(1);
          return RangeResponse.serialize({
            blocks: [first],
            certificates: [Certificate.deserialize(finalization!.certificate)],
          });
        }
        case 'handOver':
          return Uint8Array.of(1, 2, 3);
      }
    }, /answered/));

  it('blocks that nobody finalized', () =>
    expectCatchUp(async (protocol, request) => {
      const [a] = honest as [TestNode];
      if (protocol !== 'range') return Promise.reject(new Error('no'));
      const { fromHeight } = RangeRequest.deserialize(request);
      const { block } = (await a.store.readBlock(fromHeight))!;
      const forged = Block.deserialize(block);
      forged.header.timestampMs++;
      const finalization = Certificate.deserialize((await a.store.nextFinalizationAtOrAfter(fromHeight))!.certificate);
      const certificate = { ...finalization, blockHash: blockHash(forged.header) };
      return RangeResponse.serialize({ blocks: [forged], certificates: [certificate] });
    }, /answered with a finalization that is|does not follow|does not finalize/));
});
