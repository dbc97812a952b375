/** `squad receipt`: what `get` writes, and what `verify` says of genuine, changed and unreadable files. Their exit codes. */

import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { proveTransaction } from '@squad/client';
import { HonestChain, transaction } from '@squad/client/testing';
import { blstBls, keccak256, sha256 } from '@squad/crypto/node';
import { createRpcServer, defineMethod, Hash, Quantity, silentLogger } from '@squad/service';
import { FeedStage, HandOverProof, OrderingReceipt, receiptToJson, toHex } from '@squad/types';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MAX_RECEIPT_FILE_BYTES } from '../src/receipt-file.ts';
import { squad, temporaryDirectory } from './support.ts';

const chain = new HonestChain({ bls: blstBls, sha256 });
chain.append([{ rollupId: 901, transactions: [transaction(20, 1), transaction(30, 2)] }]);
const hash = toHex(keccak256(transaction(30, 2)));

function receipt(stage: FeedStage = FeedStage.final): OrderingReceipt {
  const proof = chain.blockProof(1, { stage });
  const batch = chain.batchOf(proof.block.refs[0]!);
  return proveTransaction(proof, batch, { batchIndex: 0, transactionIndex: 1 }, { sha256, keccak256 });
}

function folder(): { readonly genesis: string; readonly path: (name: string) => string } {
  const directory = temporaryDirectory();
  const path = (name: string) => join(directory, name);
  writeFileSync(path('genesis.json'), JSON.stringify(chain.genesisFile));
  return { genesis: path('genesis.json'), path };
}

async function nodeWith(answer: unknown): Promise<string> {
  const server = await createRpcServer({
    host: '127.0.0.1',
    port: 0,
    info: { title: 'node', version: '0' },
    methods: [
      defineMethod({
        name: 'squad_getReceipt',
        summary: 'a receipt',
        params: { hash: Hash },
        result: { name: 'receipt', description: 'a receipt' },
        handler: () => answer,
      }),
    ],
    logger: silentLogger,
  });
  onTestFinished(() => server.close());
  return server.url;
}

describe('squad receipt', () => {
  it('says how to come to the page where there is only the program without its bundle', async () => {
    const { path } = folder();
    const { code, stderr } = await squad('receipt', 'page', '--out', path('receipt.html'));
    expect([code, stderr]).toEqual([1, expect.stringContaining('node scripts/bundle.mjs')]);
    expect(existsSync(path('receipt.html'))).toBe(false);
  });

  it('gets a receipt into either kind of file, from which it is verified', async () => {
    const { genesis, path } = folder();
    const rpc = await nodeWith(receiptToJson(receipt()));
    for (const name of ['receipt.json', 'receipt.ssz']) {
      expect(await squad('receipt', 'get', hash, '--rpc', rpc, '--out', path(name))).toMatchObject({ code: 0 });
      const { code, stdout } = await squad('receipt', 'verify', path(name), '--genesis', genesis, '--json');
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        proven: true,
        stage: 'final',
        hash,
        rollupId: 901,
        height: 1,
        batchIndex: 0,
        transactionIndex: 1,
        namespaceBatches: [{ author: 0, seq: 0 }],
        transaction: toHex(transaction(30, 2)),
      });
    }
    expect(new Uint8Array(readFileSync(path('receipt.ssz')))).toEqual(OrderingReceipt.serialize(receipt()));
    const printed = await squad('receipt', 'get', hash, '--rpc', rpc);
    expect(JSON.parse(printed.stdout)).toEqual(receiptToJson(receipt()));
  });

  it('says of a path where it cannot write what to look at', async () => {
    const { path } = folder();
    const rpc = await nodeWith(receiptToJson(receipt()));
    const { code, stderr } = await squad('receipt', 'get', hash, '--rpc', rpc, '--out', path('none/receipt.json'));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: .*none\/receipt\.json.*\nremedy: Check that the path is right/);
  });

  it('takes a whole answer of JSON-RPC, and says what may undo a soft receipt', async () => {
    const { genesis, path } = folder();
    const answer = { jsonrpc: '2.0', id: 1, result: receiptToJson(receipt(FeedStage.soft)) };
    writeFileSync(path('answer.json'), JSON.stringify(answer));
    const { code, stdout } = await squad('receipt', 'verify', path('answer.json'), '--genesis', genesis);
    expect(code).toBe(0);
    expect(stdout).toContain('the only batch of rollup 901 in that block');
    expect(stdout).toContain('soft  transaction');
    expect(stdout).toContain('may still revert');
  });

  it('says that a receipt proves nothing to whoever trusts another set', async () => {
    const { genesis, path } = folder();
    writeFileSync(path('receipt.ssz'), OrderingReceipt.serialize(receipt()));
    const of = (setHash: string) =>
      squad('receipt', 'verify', path('receipt.ssz'), '--genesis', genesis, '--validator-set-hash', setHash, '--json');
    const { code, stdout } = await of(`0x${'11'.repeat(32)}`);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ proven: false, code: 'WRONG_VALIDATOR_SET' });
    expect((await of('0x11')).code).toBe(2);
  });

  it('reaches the set of a later epoch by the proofs of nodes, and says what to do without', async () => {
    const later = new HonestChain({ bls: blstBls, sha256, epochLengthBlocks: 16 });
    for (let i = 0; i < 20; i++) later.append([{ rollupId: 901, transactions: [transaction(20, i)] }]);
    const { genesis, path } = folder();
    writeFileSync(genesis, JSON.stringify(later.genesisFile));
    const proof = later.blockProof(19);
    const place = { batchIndex: 0, transactionIndex: 0 };
    writeFileSync(
      path('receipt.ssz'),
      OrderingReceipt.serialize(proveTransaction(proof, later.batchOf(proof.block.refs[0]!), place)),
    );
    const result = { name: 'proof', description: 'a proof' };
    const server = await createRpcServer({
      host: '127.0.0.1',
      port: 0,
      info: { title: 'node', version: '0' },
      methods: [
        defineMethod({
          name: 'squad_getHandOver',
          summary: 'a hand-over',
          params: { epoch: Quantity },
          result,
          handler: ({ epoch }) => {
            const handOver = later.handOver(epoch);
            return handOver ? toHex(HandOverProof.serialize(handOver)) : null;
          },
        }),
      ],
      logger: silentLogger,
    });
    onTestFinished(() => server.close());
    const verify = (...more: string[]) =>
      squad('receipt', 'verify', path('receipt.ssz'), '--genesis', genesis, ...more);
    expect(await verify()).toMatchObject({ code: 1, stdout: expect.stringContaining('--rpc') });
    expect(await verify('--rpc', server.url)).toMatchObject({ code: 0, stdout: expect.stringContaining('block 19') });
  });

  it('refuses files that cannot be read, with exit code 2', async () => {
    const { genesis, path } = folder();
    const verify = (name: string) => squad('receipt', 'verify', path(name), '--genesis', genesis);
    expect(await verify('missing.json')).toMatchObject({ code: 2, stderr: expect.stringContaining('cannot be read') });
    writeFileSync(path('text.json'), 'no receipt');
    expect(await verify('text.json')).toMatchObject({ code: 2, stderr: expect.stringContaining('nor JSON') });
    writeFileSync(path('cut.ssz'), OrderingReceipt.serialize(receipt()).slice(0, 500));
    expect(await verify('cut.ssz')).toMatchObject({ code: 2, stderr: expect.stringContaining('holds no receipt') });
    writeFileSync(path('large.json'), '');
    truncateSync(path('large.json'), MAX_RECEIPT_FILE_BYTES + 1);
    expect(await verify('large.json')).toMatchObject({ stderr: expect.stringContaining('MAX_RECEIPT_FILE_BYTES') });
    truncateSync(path('large.json'), MAX_RECEIPT_FILE_BYTES);
    expect((await verify('large.json')).stderr).not.toContain('MAX_RECEIPT_FILE_BYTES');
  });

  it('does not take the receipt of another transaction, nor none', async () => {
    const other = `0x${'22'.repeat(32)}`;
    const rpc = await nodeWith(receiptToJson(receipt()));
    expect((await squad('receipt', 'get', other, '--rpc', rpc)).stderr).toContain(`gave the receipt of ${hash}`);
    expect((await squad('receipt', 'get', hash, '--rpc', await nodeWith(null))).stderr).toContain('has no receipt');
    expect((await squad('receipt', 'get', hash, '--rpc', await nodeWith({}))).stderr).toContain('no receipt');
  });
});
