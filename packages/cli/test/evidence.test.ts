/** `squad evidence`: whom `list` asks; what `verify` says of genuine, worthless and unreadable files. Their exit codes. */

import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createVoteScheme, signBatchHeader } from '@squad/crypto';
import { blstBls, createNodeKey } from '@squad/crypto/node';
import { createRpcServer, defineMethod, type RpcMethod, silentLogger } from '@squad/service';
import {
  type BatchHeader,
  type Evidence,
  encodeEvidence,
  parseGenesis,
  type Statement,
  signerBits,
  toHex,
  ValidatorSet,
  VoteKind,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { MAX_EVIDENCE_FILE_BYTES } from '../src/evidence-file.ts';
import { squad, temporaryDirectory } from './support.ts';

const NAMES = ['alice', 'bob', 'carol', 'dave'];
const keys = NAMES.map((_, index) => {
  const seed = new Uint8Array(32).fill(index + 1);
  return { bls: blstBls.secretKeyFromSeed(seed), node: createNodeKey(seed) };
});
const genesisJson = {
  version: 1,
  name: 'evidence-tests',
  genesisTimeMs: 1_700_000_000_000,
  epochLengthBlocks: 1_000,
  validators: keys.map(({ bls, node }, index) => ({
    name: NAMES[index],
    blsPublicKey: toHex(blstBls.publicKeyOf(bls)),
    proofOfPossession: toHex(blstBls.provePossession(bls)),
    nodePublicKey: toHex(node.publicKey),
    weight: 1,
    addresses: [],
  })),
  rollups: [{ rollupId: 901, kind: 'opaque' }],
};
const parsed = parseGenesis(genesisJson);
if (!parsed.ok) throw parsed.error;
const { networkId, validatorSet } = parsed.value;

function statement(kind: VoteKind, fill: number, signers: readonly number[]): Statement {
  const content = {
    kind,
    epoch: 0,
    view: 17,
    blockHash: kind === VoteKind.nullify ? ZERO_HASH : ZERO_HASH.map(() => fill),
  };
  const root = voteSigningRoot(networkId, content);
  const signatures = signers.map((signer) => createVoteScheme(blstBls, validatorSet, keys[signer]!.bls).sign(root));
  return { ...content, signers: signerBits(4, signers), signature: blstBls.aggregateSignatures(signatures)! };
}

const header: BatchHeader = {
  networkId,
  epoch: 0,
  author: 1,
  seq: 5,
  previousDigest: ZERO_HASH,
  rollupId: 901,
  bodyRoot: ZERO_HASH,
  byteLength: 5,
  transactionCount: 1,
  createdAtMs: 1,
  joinsNext: false,
};

const { notarize, finalize, nullify } = VoteKind;
const votes: Evidence = { kind: 'E1', first: statement(notarize, 1, [3]), second: statement(notarize, 2, [1, 2, 3]) };
const certificates: Evidence = {
  kind: 'E3',
  first: statement(nullify, 0, [0, 1, 2]),
  second: statement(finalize, 1, [1, 2, 3]),
};
const fork: Evidence = {
  kind: 'E5',
  first: signBatchHeader(header, keys[1]!.node),
  second: signBatchHeader({ ...header, createdAtMs: 2 }, keys[1]!.node),
};
/** Carol said only one of the two. */
const framed: Evidence = {
  kind: 'E2',
  first: statement(finalize, 1, [2]),
  second: { ...statement(finalize, 2, [3]), signers: signerBits(4, [2]) },
};

/** Writes the file and the genesis file, and verifies it. */
function verify(content: Uint8Array | string, ...more: string[]) {
  const folder = temporaryDirectory();
  const [file, genesis] = [join(folder, 'evidence'), join(folder, 'genesis.json')];
  writeFileSync(file, content);
  writeFileSync(genesis, JSON.stringify(genesisJson));
  return squad('evidence', 'verify', file, '--genesis', genesis, ...more);
}

/** Alice forked her lane in epoch 3, when the set was another and she stood elsewhere in it. */
const laterSet: ValidatorSet = { epoch: 3, validators: [validatorSet.validators[2]!, validatorSet.validators[0]!] };
const later: Evidence = (() => {
  const signed = { ...header, epoch: 3, author: 1 };
  return {
    kind: 'E5',
    first: signBatchHeader(signed, keys[0]!.node),
    second: signBatchHeader({ ...signed, createdAtMs: 2 }, keys[0]!.node),
  };
})();

const json = (...evidence: Evidence[]) =>
  JSON.stringify(evidence.map((one) => ({ kind: one.kind, encoded: toHex(encodeEvidence(one)) })));

describe('squad evidence list', () => {
  const serve = async (...methods: RpcMethod[]) => {
    const info = { title: 'test', version: '1' };
    const server = await createRpcServer({ host: '127.0.0.1', port: 0, info, methods, logger: silentLogger });
    onTestFinished(() => server.close());
    return server.url;
  };

  const held = {
    kind: 'E1',
    meaning: 'two votes',
    epoch: 0,
    view: 7,
    validators: [{ index: 2, name: 'c' }],
    encoded: '0x01',
  };
  const getEvidence = defineMethod({
    name: 'squad_getEvidence',
    summary: 'For the test',
    params: {},
    result: { name: 'evidence', description: 'For the test' },
    handler: () => [held],
  });

  it('shows what the nodes that answer hold, once, and names those that do not', async () => {
    const [first, second] = [await serve(getEvidence), await serve(getEvidence)];
    const { code, stdout, stderr } = await squad(
      ...['evidence', 'list', '--rpc', first, '--rpc', 'http://127.0.0.1:1', '--rpc', second, '--json'],
    );
    expect([code, JSON.parse(stdout)]).toEqual([0, [held]]);
    expect(stderr).toMatch(/^warning: http:\/\/127\.0\.0\.1:1 cannot be reached: .+\n$/);
  });

  it('says what the node that it asked says', async () => {
    expect(await squad('evidence', 'list', '--rpc', await serve())).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'error: the method squad_getEvidence does not exist/is not available\nremedy: Call rpc.discover for the list of methods.\n',
    });
  });
});

describe('squad evidence verify', () => {
  it('convicts by the set of a later epoch, which it has to be given', async () => {
    const without = await verify(json(later));
    expect(without.code).toBe(1);
    expect(without.stdout).toContain('name it with --validator-set');
    const path = join(temporaryDirectory(), 'set.json');
    writeFileSync(path, JSON.stringify({ epoch: 3, encoded: toHex(ValidatorSet.serialize(laterSet)) }));
    const { code, stdout } = await verify(json(later, votes), '--validator-set', path);
    expect(code).toBe(0);
    expect(stdout).toContain('validator 1 (alice)  of E5');
    expect(stdout).toContain('of epoch 3');
    writeFileSync(path, JSON.stringify({ encoded: '0x00' }));
    expect((await verify(json(later), '--validator-set', path)).code).toBe(2);
  });

  it('names validators, kind and place: exit code 0', async () => {
    expect(await verify(json(votes, certificates, fork))).toEqual({
      code: 0,
      stdout:
        'convicts  validator 3 (dave)  of E1, two NOTARIZE in one view: view 17 of epoch 0\n' +
        'convicts  validator 1 (bob), validator 2 (carol)  of E3, NULLIFY and FINALIZE in one view: view 17 of epoch 0\n' +
        'convicts  validator 1 (bob)  of E5, two batches at one place of a lane: seq 5 of epoch 0\n',
      stderr: '',
    });
  });

  it('reads bytes, hex, one piece, and a whole JSON-RPC answer', async () => {
    const bytes = encodeEvidence(votes);
    const piece = { encoded: toHex(bytes) };
    for (const content of [
      bytes,
      `${toHex(bytes)}\n`,
      JSON.stringify(piece),
      JSON.stringify({ jsonrpc: '2.0', id: 1, result: [piece] }),
    ]) {
      expect(await verify(content)).toMatchObject({ code: 0, stdout: expect.stringContaining('validator 3 (dave)') });
    }
  });

  it('prints JSON if asked to', async () => {
    const { code, stdout } = await verify(json(votes, framed), '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual([
      { kind: 'E1', convicts: true, epoch: 0, view: 17, validators: [{ index: 3, name: 'dave' }] },
      { kind: 'E2', convicts: false, reason: expect.stringContaining('second statement is not signed') },
    ]);
  });

  it('says why a piece proves nothing: exit code 1, also if another one does', async () => {
    expect(await verify(json(votes, framed))).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(
        /^convicts .*\nproves nothing {2}E2, .*: the second statement is not signed by all/,
      ),
    });
    expect(await verify('[]')).toMatchObject({ code: 1, stdout: 'there is no evidence in it\n' });
  });

  it.each([
    ['no evidence', Uint8Array.of(1, 2, 3)],
    ['an empty file', ''],
    ['text', 'evidence'],
    ['JSON of something else', '{"height": 3}'],
    ['a list with something else', '[null]'],
    ['cut hex', '0x0102'],
  ])('cannot read %s: exit code 2', async (_name, content) => {
    const { code, stderr, stdout } = await verify(content);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^error: .*holds no evidence that can be read.*\nremedy: /);
    expect(code).toBe(2);
  });

  it('cannot read a missing file, a bad genesis file or a command line without a file: exit code 2', async () => {
    const folder = temporaryDirectory();
    const [file, genesis] = [join(folder, 'evidence'), join(folder, 'genesis.json')];
    writeFileSync(genesis, JSON.stringify(genesisJson));
    expect((await squad('evidence', 'verify', file, '--genesis', genesis)).code).toBe(2);
    writeFileSync(file, encodeEvidence(votes));
    writeFileSync(genesis, '{}');
    expect((await squad('evidence', 'verify', file, '--genesis', genesis)).code).toBe(2);
    expect((await squad('evidence', 'verify')).code).toBe(2);
  });

  it('reads a file at the limit, and none beyond it', async () => {
    const folder = temporaryDirectory();
    const [file, genesis] = [join(folder, 'evidence'), join(folder, 'genesis.json')];
    writeFileSync(genesis, JSON.stringify(genesisJson));
    const content = json(votes);
    writeFileSync(file, content.padEnd(MAX_EVIDENCE_FILE_BYTES, ' '));
    expect((await squad('evidence', 'verify', file, '--genesis', genesis)).code).toBe(0);
    truncateSync(file, MAX_EVIDENCE_FILE_BYTES + 1);
    const { code, stderr } = await squad('evidence', 'verify', file, '--genesis', genesis);
    expect(code).toBe(2);
    expect(stderr).toContain('MAX_EVIDENCE_FILE_BYTES');
  });
});

describe('squad sequencer --test-misbehave', () => {
  const options = ['--genesis', 'genesis.json', '--data-directory', 'data', '--node-key', 'node-key.json'];

  it('is refused without leave in the environment, whatever it asks for', async () => {
    const { code, stderr } = await squad('sequencer', ...options, '--test-misbehave', 'equivocate-votes');
    expect(code).toBe(1);
    expect(stderr).toMatch(/for tests only\nremedy: .*SQUAD_ALLOW_MISBEHAVIOUR=1/);
  });

  it('is in no help text, and knows its own words', async () => {
    expect((await squad('sequencer', '--help')).stdout).not.toContain('misbehave');
    vi.stubEnv('SQUAD_ALLOW_MISBEHAVIOUR', '1');
    onTestFinished(() => void vi.unstubAllEnvs());
    const { code, stderr } = await squad('sequencer', ...options, '--test-misbehave', 'something');
    expect(code).toBe(1);
    expect(stderr).toContain('one of equivocate-proposals, equivocate-votes, equivocate-lane');
  });
});
