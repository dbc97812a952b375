/**
 * The golden vectors of receipts: packages/client/vectors/receipts.json, for whoever writes another verifier.
 * `SQUAD_UPDATE_VECTORS=1` writes them anew; the diff is then what a reviewer judges.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { nobleBls } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import { fromHex, OrderingReceipt, receiptToJson, toHex } from '@squad/types';
import { describe, expect, it } from 'vitest';
import { verifyBlockProof, verifyNamespace, verifyReceipt } from '../src/index.ts';
import { receiptVectors } from './receipt-vectors.ts';

const path = new URL('../vectors/receipts.json', import.meta.url);
const vectors = receiptVectors();

describe('golden vectors of receipts', () => {
  it('are those of the file', async () => {
    const text = `${JSON.stringify(vectors, null, 1)}\n`;
    if (process.env.SQUAD_UPDATE_VECTORS === '1') await writeFile(path, text);
    expect(JSON.parse(text)).toEqual(JSON.parse(await readFile(path, 'utf8')));
  });

  const checkpoint = {
    networkId: fromHex(vectors.checkpoint.networkId),
    epochLengthBlocks: vectors.checkpoint.epochLengthBlocks,
    validatorSetHash: fromHex(vectors.checkpoint.validatorSetHash),
  };

  it.each([nobleBls, blstBls])('are judged as they say, with $name', (bls) => {
    for (const { name, encoded, json, proves } of vectors.receipts) {
      const verified = verifyReceipt(fromHex(encoded), checkpoint, { bls });
      if (!verified.ok) throw new Error(`${name}: ${verified.error.message}`);
      const { stage, hash, header, transaction, namespaceRefs } = verified.value;
      expect({
        stage,
        transactionHash: hash,
        height: header.height,
        transaction: toHex(transaction),
        namespaceBatches: namespaceRefs.length,
      }).toEqual(proves);
      expect(receiptToJson(OrderingReceipt.deserialize(fromHex(encoded)) as OrderingReceipt)).toEqual(json);
    }
    for (const { name, encoded, code } of vectors.refused) {
      const verified = verifyReceipt(fromHex(encoded), checkpoint, { bls });
      expect([name, verified.ok ? 'accepted' : verified.error.code]).toEqual([name, code]);
    }
    for (const { encoded, rollupId, refs } of vectors.namespaces) {
      const namespace = verifyNamespace(fromHex(encoded), rollupId, checkpoint, { bls });
      expect(namespace.ok && namespace.value.refs.length).toBe(refs);
      expect(verifyBlockProof(fromHex(encoded), checkpoint, { bls }).ok).toBe(true);
    }
  });
});
