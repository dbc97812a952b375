/** Receipts and proofs of blocks: what is so is proven, from bytes and from JSON, and nothing else is. */

import { bodyRangeProof, nobleBls, keccak256 as portableKeccak } from '@squad/crypto';
import { blstBls, sha256 } from '@squad/crypto/node';
import {
  type BatchRef,
  BlockProof,
  bodyTransactions,
  decodeReceipt,
  FeedStage,
  MAX_BATCH_BODY_BYTES,
  MAX_BLOCKS_PER_RANGE,
  MAX_RECEIPT_BYTES,
  MAX_TRANSACTION_BYTES,
  OrderingReceipt,
  parseGenesis,
  receiptFromJson,
  receiptFromText,
  receiptToJson,
  toHex,
  VoteKind,
} from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Checkpoint,
  checkpointOf,
  proveTransaction,
  verifyBlockProof,
  verifyNamespace,
  verifyReceipt,
} from '../src/index.ts';
import { HonestChain, transaction } from '../src/testing/index.ts';

const bls = blstBls;

function chainOf(options: Partial<ConstructorParameters<typeof HonestChain>[0]> = {}): {
  chain: HonestChain;
  checkpoint: Checkpoint;
} {
  const chain = new HonestChain({ bls, sha256, ...options });
  const genesis = parseGenesis(chain.genesisFile);
  if (!genesis.ok) throw genesis.error;
  return { chain, checkpoint: checkpointOf(genesis.value) };
}

function receiptOf(
  chain: HonestChain,
  height: number,
  batchIndex: number,
  transactionIndex: number,
  plan: Parameters<HonestChain['blockProof']>[1] = {},
): OrderingReceipt {
  const proof = chain.blockProof(height, plan);
  const batch = chain.batchOf(proof.block.refs[batchIndex]!);
  return proveTransaction(proof, batch, { batchIndex, transactionIndex }, { sha256 });
}

/** The code with which a receipt is refused. */
function refusal(input: Uint8Array | OrderingReceipt, checkpoint: Checkpoint): string {
  const verified = verifyReceipt(input, checkpoint, { bls });
  return verified.ok ? 'accepted' : verified.error.code;
}

const { chain, checkpoint } = chainOf();
chain.append([
  { rollupId: 901, transactions: [transaction(150, 1), transaction(1, 2), transaction(300, 3)] },
  { rollupId: 902, author: 1, transactions: [transaction(80, 4)] },
  { rollupId: 901, author: 2, transactions: [transaction(99, 5), transaction(7, 6)] },
]);
chain.append([{ rollupId: 902, transactions: [transaction(40, 7)] }]);
chain.append([]);

describe('an ordering receipt', () => {
  it.each([
    ['final by its own finalization', {}, 'final'],
    ['final by that of a descendant', { certifiedHeight: 3 }, 'final'],
    ['soft', { stage: FeedStage.soft }, 'soft'],
  ] as const)('shows place, stage and completeness: %s', (_, plan, stage) => {
    const receipt = receiptOf(chain, 1, 2, 1, plan);
    const verified = verifyReceipt(OrderingReceipt.serialize(receipt), checkpoint, { bls });
    if (!verified.ok) throw verified.error;
    expect(verified.value).toMatchObject({ stage, rollupId: 901, batchIndex: 2, transactionIndex: 1 });
    expect(verified.value.header.height).toBe(1);
    expect(toHex(verified.value.transaction)).toBe(toHex(transaction(7, 6)));
    expect(verified.value.hash).toBe(toHex(portableKeccak(transaction(7, 6))));
    expect(verified.value.namespaceRefs.map(({ author }) => author)).toEqual([0, 2]);
  });

  it('is judged alike with noble, and by its JSON form', () => {
    const receipt = receiptOf(chain, 1, 0, 0);
    expect(verifyReceipt(receipt, checkpoint, { bls: nobleBls }).ok).toBe(true);
    expect(verifyReceipt(receipt, checkpoint).ok).toBe(true);
    const again = receiptFromJson(JSON.parse(JSON.stringify(receiptToJson(receipt))));
    if (!again.ok) throw new Error(again.error.reason);
    expect(OrderingReceipt.serialize(again.value)).toEqual(OrderingReceipt.serialize(receipt));
  });

  it('proves each transaction of any body', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 30 }),
        fc.nat(),
        (sizes, pick) => {
          const { chain, checkpoint } = chainOf();
          chain.append([{ rollupId: 901, transactions: sizes.map((size, i) => transaction(size, i)) }]);
          const index = pick % sizes.length;
          const verified = verifyReceipt(OrderingReceipt.serialize(receiptOf(chain, 1, 0, index)), checkpoint, { bls });
          if (!verified.ok) throw verified.error;
          expect(toHex(verified.value.transaction)).toBe(toHex(transaction(sizes[index]!, index)));
        },
      ),
      { numRuns: 40 },
    );
  });

  it('has room for the largest transaction at the worst place of the largest body', () => {
    const { chain, checkpoint } = chainOf();
    // Its first byte is the last one of a chunk.
    const before = 3 * 4096 - 1 - 3 * 4;
    const rest = MAX_BATCH_BODY_BYTES - 3 * 4 - before - MAX_TRANSACTION_BYTES;
    const sizes = [before, MAX_TRANSACTION_BYTES, Math.min(rest, MAX_TRANSACTION_BYTES)];
    chain.append([{ rollupId: 901, transactions: sizes.map((size, i) => transaction(size, i)) }]);
    const encoded = OrderingReceipt.serialize(receiptOf(chain, 1, 0, 1));
    expect(encoded.length).toBeLessThanOrEqual(MAX_RECEIPT_BYTES);
    expect(refusal(encoded, checkpoint)).toBe('accepted');
  });

  it('fails with any byte changed', { timeout: 120_000 }, () => {
    for (const plan of [{ certifiedHeight: 2 }, { stage: FeedStage.soft }]) {
      const encoded = OrderingReceipt.serialize(receiptOf(chain, 1, 0, 1, plan));
      expect(refusal(encoded, checkpoint)).toBe('accepted');
      for (const mask of [0x01, 0x80, 0xff]) {
        for (let at = 0; at < encoded.length; at++) {
          const changed = encoded.slice();
          changed[at]! ^= mask;
          if (refusal(changed, checkpoint) === 'accepted')
            throw new Error(`byte ${at} xor ${mask} makes no difference`);
        }
      }
    }
  });

  it('fails with any byte less or more', () => {
    const encoded = OrderingReceipt.serialize(receiptOf(chain, 1, 0, 1));
    for (let length = 0; length < encoded.length; length++) {
      expect(refusal(encoded.slice(0, length), checkpoint)).toBe('ENCODING');
    }
    expect(refusal(Uint8Array.from([...encoded, 0]), checkpoint)).not.toBe('accepted');
    expect(refusal(new Uint8Array(MAX_RECEIPT_BYTES + 1).fill(1), checkpoint)).toBe('ENCODING');
  });

  it('fails with any field of its JSON form changed, left out or added', () => {
    const receipt = receiptOf(chain, 1, 0, 1, { certifiedHeight: 2 });
    const text = JSON.stringify(receiptToJson(receipt));
    const judge = (json: unknown): string => {
      const decoded = receiptFromJson(json);
      return decoded.ok ? refusal(decoded.value, checkpoint) : decoded.error.code;
    };
    expect(judge(JSON.parse(text))).toBe('accepted');
    let places = 0;
    const eachPlace = (visit: (holder: Record<string, unknown>, name: string) => void) => {
      const walk = (path: readonly string[]) => {
        const root = JSON.parse(text);
        const holder = path.reduce((at, name) => at[name], root);
        for (const name of Object.keys(holder)) {
          const changed = JSON.parse(text);
          visit(
            path.reduce((at, step) => at[step], changed),
            name,
          );
          places++;
          expect([[...path, name].join('.'), judge(changed)]).not.toEqual([[...path, name].join('.'), 'accepted']);
          if (typeof holder[name] === 'object') walk([...path, name]);
        }
      };
      walk([]);
    };
    const another = (value: unknown): unknown => {
      if (typeof value !== 'string') return Array.isArray(value) ? [...value, '0x'] : { ...Object(value), more: 0 };
      const last = value.at(-1)!;
      return value.slice(0, -1) + (last === '1' ? '2' : '1');
    };
    eachPlace((holder, name) => {
      holder[name] = another(holder[name]);
    });
    eachPlace((holder, name) => {
      if (Array.isArray(holder)) holder.splice(Number(name), 1);
      else delete holder[name];
    });
    eachPlace((holder, name) => {
      holder[name] = typeof holder[name] === 'string' ? holder[name].toUpperCase().concat(' ') : null;
    });
    expect(places).toBeGreaterThan(200);
    // A field of every object by another way.
    expect(judge(JSON.parse(text.replace('{', '{"__proto__":{},')))).toBe('DECODE');
    expect(judge(JSON.parse(text.replace('"header":{', '"header":{"__proto__":{},')))).toBe('DECODE');
    for (const junk of [null, 1, 'x', [], {}, { format: 'squad-ordering-receipt' }]) expect(judge(junk)).toBe('DECODE');
  });

  it('is read from a text that says nothing else: no name twice, no other spelling, nothing beside it', () => {
    const receipt = receiptOf(chain, 1, 0, 1, { certifiedHeight: 2 });
    const text = JSON.stringify(receiptToJson(receipt));
    const answer = `{"jsonrpc":"2.0","id":1,"result":${text}}`;
    const judge = (given: string): string => {
      const decoded = receiptFromText(given);
      return decoded.ok ? refusal(decoded.value, checkpoint) : decoded.error.code;
    };
    for (const same of [text, `${JSON.stringify(JSON.parse(text), null, '\t')}\r\n`, answer]) {
      expect(judge(same)).toBe('accepted');
    }
    const lie = `"transaction_hash":"0x${'ab'.repeat(32)}"`;
    const others = [
      text.replace('"transaction_hash"', `${lie},"transaction_hash"`),
      text.replace('"header":{', '"header":{"height":"9",'),
      text.replace('"header":{', '"header":{},"header":{'),
      text.replace('"height":"', '"height":"\\u0039","height":"'),
      text.replace('"format"', '"\\u0066ormat"'),
      answer.replace('"result":', `"result":{${lie}},"result":`),
      answer.replace('"result":', `${lie},"result":`),
      text.replace('{', `{"result":${text},`),
      `${text}${text}`,
      `\u00a0${text}`,
      '['.repeat(100_000),
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      '',
      'null',
    ];
    for (const other of others) expect([other.slice(0, 200), judge(other)]).toEqual([other.slice(0, 200), 'DECODE']);
  });

  it('of another set, network or epoch proves nothing here', () => {
    const receipt = receiptOf(chain, 1, 0, 0);
    const other = chainOf({ seed: 1 });
    expect(refusal(receipt, other.checkpoint)).toBe('WRONG_NETWORK');
    expect(refusal(receipt, { ...checkpoint, validatorSetHash: other.checkpoint.validatorSetHash })).toBe(
      'WRONG_VALIDATOR_SET',
    );
    const ownSet = { ...receipt.proof, validatorSet: other.chain.validatorSet };
    expect(refusal({ ...receipt, proof: ownSet }, checkpoint)).toBe('WRONG_VALIDATOR_SET');
  });

  it('needs a quorum', () => {
    const receipt = receiptOf(chain, 1, 0, 0);
    const certificate = chain.certify(VoteKind.finalize, receipt.proof.block.header, [0, 1]);
    expect(refusal({ ...receipt, proof: { ...receipt.proof, certificate } }, checkpoint)).toBe('BELOW_QUORUM');
  });

  it('does not show bytes within a transaction as one', () => {
    // As they would stand after their length, and as they would stand behind offsets.
    const inner = transaction(50, 9);
    const { chain, checkpoint } = chainOf();
    const outer = Uint8Array.from([50, 0, 0, 0, ...inner]);
    chain.append([{ rollupId: 901, transactions: [outer, transaction(10, 1)] }]);
    const honest = receiptOf(chain, 1, 0, 0);
    const { body } = chain.batchOf(honest.proof.block.refs[0]!);
    const start = 8 + 4;
    const { chunks, siblings } = bodyRangeProof(body, start, inner.length, sha256);
    // The chunk opens both; the offsets say what is a transaction.
    const lie = { ...honest, transactionHash: portableKeccak(inner), transaction: { chunks, siblings: [...siblings] } };
    expect(refusal(lie, checkpoint)).toBe('TRANSACTION_MISMATCH');
    expect(bodyTransactions(body).map(toHex)).not.toContain(toHex(inner));
  });

  it.each([
    ['no ref', { batchIndex: 3 }, 'NO_SUCH_REF'],
    ["another rollup's ref", { batchIndex: 1 }, 'BATCH_DIGEST_MISMATCH'],
    ['another transaction', { transactionIndex: 1 }, 'TRANSACTION_MISMATCH'],
    ['no transaction', { transactionIndex: 3 }, 'NO_SUCH_TRANSACTION'],
    ['an unknown version', { version: 2 }, 'ENCODING'],
  ])('that names %s', (_, change, code) => {
    expect(refusal({ ...receiptOf(chain, 1, 0, 0), ...change }, checkpoint)).toBe(code);
  });

  it('whose ref names another rollup than its batch', () => {
    const { chain, checkpoint } = chainOf();
    const ref = chain.seal({ rollupId: 901, transactions: [transaction(9, 1)] });
    chain.appendRefs([{ ...ref, rollupId: 902 }]);
    expect(refusal(receiptOf(chain, 1, 0, 0), checkpoint)).toBe('BATCH_HEADER_MISMATCH');
  });
});

describe('a block proof', () => {
  const namespaceOf = (height: number, rollupId: number, change: Partial<BlockProof> = {}) => {
    const proof = { ...chain.blockProof(height), ...change };
    const namespace = verifyNamespace(BlockProof.serialize(proof), rollupId, checkpoint, { bls });
    return namespace.ok ? namespace.value.refs.map(({ author, seq }) => [author, seq]) : namespace.error.code;
  };

  it('shows all batches of a rollup in a block, or that there are none', () => {
    expect(namespaceOf(1, 901)).toEqual([
      [0, 0],
      [2, 0],
    ]);
    expect(namespaceOf(2, 901)).toEqual([]);
    expect(namespaceOf(3, 902)).toEqual([]);
    expect(namespaceOf(1, 12345)).toEqual([]);
  });

  it('fails with a ref left out, added, moved or given to another rollup', () => {
    const { header, refs } = chain.blocks[1]!;
    const lies: BatchRef[][] = [
      refs.slice(1),
      refs.slice(0, 2),
      [...refs, refs[0]!],
      [refs[1]!, refs[0]!, refs[2]!],
      refs.map((ref) => ({ ...ref, rollupId: 902 })),
      [],
    ];
    for (const lie of lies) expect(namespaceOf(1, 901, { block: { header, refs: lie } })).toBe('REFS_ROOT_MISMATCH');
  });

  it('takes the longest path and no longer one', () => {
    const { chain, checkpoint } = chainOf();
    for (let i = 0; i <= MAX_BLOCKS_PER_RANGE + 1; i++) chain.append([]);
    const proof = (end: number) => verifyBlockProof(chain.blockProof(1, { certifiedHeight: end }), checkpoint, { bls });
    expect(proof(1 + MAX_BLOCKS_PER_RANGE).ok).toBe(true);
    const beyond = proof(2 + MAX_BLOCKS_PER_RANGE);
    expect(!beyond.ok && beyond.error.code).toBe('ENCODING');
  });

  it('needs linked headers to the finalized one', () => {
    const path = [chain.blocks[2]!.header, chain.blocks[3]!.header];
    const certificate = chain.certificateAt(3);
    expect(namespaceOf(1, 902, { path, certificate })).toEqual([[1, 0]]);
    expect(namespaceOf(1, 902, { path: path.slice(1), certificate })).toBe('PATH_BROKEN');
    expect(namespaceOf(1, 902, { path: [path[1]!, path[0]!], certificate })).toBe('PATH_BROKEN');
    expect(namespaceOf(1, 902, { path: [], certificate })).toBe('CERTIFICATE_MISMATCH');
    const view = { ...certificate, view: 9 };
    expect(namespaceOf(1, 902, { path, certificate: view })).toBe('CERTIFICATE_MISMATCH');
  });

  it('of an epilogue block is none of the height that the next epoch orders', () => {
    const { chain, checkpoint } = chainOf({ epochLengthBlocks: 16 });
    for (let i = 0; i < 16; i++) chain.append([]);
    chain.append([], { epoch: 0, view: 17, parentView: 16 });
    const judge = (height: number) => verifyNamespace(chain.blockProof(height), 901, checkpoint, { bls });
    expect(judge(16).ok).toBe(true);
    const epilogue = judge(17);
    expect(!epilogue.ok && epilogue.error.code).toBe('EPILOGUE');
  });

  it('is none with a nullification, nor a soft one with a path', () => {
    const proof = chain.blockProof(1);
    const nullification = { ...proof.certificate, kind: VoteKind.nullify, blockHash: new Uint8Array(32) };
    expect(namespaceOf(1, 901, { certificate: nullification })).toBe('ENCODING');
    const soft = chain.blockProof(1, { stage: FeedStage.soft, certifiedHeight: 2 });
    expect(namespaceOf(1, 901, { ...soft })).toBe('ENCODING');
  });
});

describe('decoding', () => {
  it('names the version that it does not know', () => {
    const encoded = OrderingReceipt.serialize(receiptOf(chain, 1, 0, 0));
    encoded[0] = 2;
    const decoded = decodeReceipt(encoded);
    expect(!decoded.ok && decoded.error.reason).toContain('version 2');
  });
});
