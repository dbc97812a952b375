/** Submitting and watching: one honest sequencer among F + 1 is enough, and only a verified receipt counts. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { SquadError } from '@squad/types';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  call,
  getBlockProof,
  getReceipt,
  MAX_ANSWER_CHARACTERS,
  MAX_QUOTED_CHARACTERS,
  submit,
  watchTransaction,
} from '../src/index.ts';
import { transaction } from '../src/testing/index.ts';
import type { FakeSequencer } from './fake-sequencer.ts';
import { fakeNetwork, hashOf, newChain, ROLLUP } from './support.ts';

const raw = transaction(60, 1);
const hash = hashOf(raw);

/** Orders at once what it takes. */
function ordering(sequencer: FakeSequencer): void {
  sequencer.onTaken = (rollupId, taken) => void sequencer.chain.append([{ rollupId, transactions: [taken] }]);
}

const codeOf = (error: { code: string }) => error.code;

describe('submit', () => {
  it('is done when one has accepted, and does no harm when called again', async () => {
    const { access, sequencers } = await fakeNetwork(newChain(), {}, {}, {}, {});
    const first = await submit(access, ROLLUP, raw);
    expect(first).toEqual({ hash, acceptedBy: [sequencers[0]!.url], receipt: undefined });
    expect(await submit(access, ROLLUP, raw)).toEqual(first);
    expect(sequencers.map(({ taken }) => taken.length)).toEqual([1, 0, 0, 0]);
  });

  it('passes over those that are down, full or starting', async () => {
    const busy = { refuses: { rpcCode: -32005, code: 'LANE_FULL' } };
    const starting = { refuses: { rpcCode: -32002, code: 'NOT_READY' } };
    const { access, sequencers } = await fakeNetwork(newChain(), {}, busy, starting, {});
    await sequencers[0]!.stop();
    expect((await submit(access, ROLLUP, raw)).acceptedBy).toEqual([sequencers[3]!.url]);
    await sequencers[3]!.stop();
    expect(await submit(access, ROLLUP, raw).catch(codeOf)).toBe('NO_ENDPOINT');
  });

  it('does not believe one alone that a transaction is bad, and believes F + 1', async () => {
    const bad = { refuses: { rpcCode: -32000, code: 'BAD_SIGNATURE' } };
    const one = await fakeNetwork(newChain(), bad, {}, {}, {});
    expect((await submit(one.access, ROLLUP, raw)).acceptedBy).toEqual([one.sequencers[1]!.url]);
    const two = await fakeNetwork(newChain(), bad, bad, {}, {});
    const refusal = await submit(two.access, ROLLUP, raw).catch((error) => error);
    expect(refusal).toMatchObject({ code: 'RPC_REFUSED', data: { reason: 'BAD_SIGNATURE' } });
    expect(two.sequencers[2]!.taken).toEqual([]);
  });

  it('gives it to F + 1, and no more, where the first does not order it', async () => {
    const { access, sequencers } = await fakeNetwork(newChain(), { drops: true }, {}, {}, {});
    ordering(sequencers[1]!);
    const done = await submit(access, ROLLUP, raw, { until: 'final', retryAfterMs: 300 });
    expect(done.acceptedBy).toEqual(sequencers.slice(0, 2).map(({ url }) => url));
    expect(done.receipt).toMatchObject({ stage: 'final', hash });
    const drops = { drops: true };
    const none = await fakeNetwork(newChain(), drops, drops, drops, drops);
    const options = { until: 'soft', retryAfterMs: 250, withinMs: 1_500 } as const;
    expect(await submit(none.access, ROLLUP, raw, options).catch(codeOf)).toBe('SUBMIT_TIMEOUT');
    expect(none.sequencers.map(({ taken }) => taken.length)).toEqual([1, 1, 0, 0]);
  });

  it('ends with the reason of its signal', async () => {
    const { access } = await fakeNetwork(newChain(), { drops: true });
    const signal = AbortSignal.abort(new Error('no longer wanted'));
    await expect(submit(access, ROLLUP, raw, { until: 'final', signal })).rejects.toThrow('no longer wanted');
  });
});

describe('a receipt', () => {
  it('is taken from whoever has one that verifies; who gives another is named', async () => {
    const chain = newChain();
    const changed = (honest: unknown) => ({ ...Object(honest), transaction_index: '1' });
    const lies = [{ receipt: () => null }, { receipt: changed }, { receipt: () => ({ format: 'none' }) }, {}];
    const { access, sequencers, liars } = await fakeNetwork(chain, ...lies);
    expect(await getReceipt(access, hash)).toBeUndefined();
    liars.splice(0);
    chain.append([{ rollupId: ROLLUP, transactions: [raw, transaction(5, 2)] }]);
    const receipt = await getReceipt(access, hash);
    expect(receipt).toMatchObject({ stage: 'final', hash, rollupId: ROLLUP, transactionIndex: 0 });
    expect(liars.map(({ endpoint, code }) => [endpoint, code])).toEqual([
      [sequencers[1]!.url, 'TRANSACTION_MISMATCH'],
      [sequencers[2]!.url, 'ENCODING'],
    ]);
  });

  it('of another transaction is a lie', async () => {
    const chain = newChain();
    chain.append([{ rollupId: ROLLUP, transactions: [raw, transaction(5, 2)] }]);
    const { access, sequencers, liars } = await fakeNetwork(chain, {});
    const other = await call(sequencers[0]!.url, 'squad_getReceipt', [hashOf(transaction(5, 2))]);
    sequencers[0]!.lies = { receipt: () => other };
    expect(await getReceipt(access, hash)).toBeUndefined();
    expect(liars).toMatchObject([{ code: 'TRANSACTION_MISMATCH' }]);
  });

  it('comes when the transaction is ordered: watching', async () => {
    const chain = newChain();
    const { access } = await fakeNetwork(chain, {});
    const watched: string[] = [];
    const done = (async () => {
      for await (const { stage } of watchTransaction(access, hash, { intervalMs: 20 })) watched.push(stage);
    })();
    chain.append([{ rollupId: ROLLUP, transactions: [raw] }]);
    await done;
    expect(watched).toEqual(['final']);
  });

  it('of a set that is not the checkpoint’s is no lie, and says what to do', async () => {
    const chain = newChain();
    chain.append([{ rollupId: ROLLUP, transactions: [raw] }]);
    const { access, liars } = await fakeNetwork(chain, {});
    const later = { ...access, checkpoint: { ...access.checkpoint, validatorSetHash: new Uint8Array(32) } };
    expect(await getReceipt(later, hash).catch(codeOf)).toBe('WRONG_VALIDATOR_SET');
    expect(await getBlockProof(later, 1).catch(codeOf)).toBe('WRONG_VALIDATOR_SET');
    expect(liars).toEqual([]);
  });
});

describe('the proof of a block', () => {
  it('is taken from whoever has one that verifies; who gives another is named', async () => {
    const chain = newChain();
    for (let i = 0; i < 3; i++) chain.append([{ rollupId: ROLLUP, transactions: [transaction(9, i)] }]);
    const withoutRefs = {
      blockProof: (proof: ReturnType<typeof chain.blockProof>) => ({ ...proof, block: { ...proof.block, refs: [] } }),
    };
    const another = { blockProof: () => chain.blockProof(1) };
    const { access, sequencers, liars } = await fakeNetwork(chain, withoutRefs, another, { head: 1 }, {});
    const block = await getBlockProof(access, 2);
    expect(block).toMatchObject({ stage: 'final', endpoint: sequencers[3]!.url, header: { height: 2 } });
    expect(block?.refs).toHaveLength(1);
    expect(liars.map(({ code }) => code)).toEqual(['REFS_ROOT_MISMATCH', 'GAP']);
    expect(await getBlockProof({ ...access, onLiar: () => {} }, 9)).toBeUndefined();
  });
});

describe('call', () => {
  it('makes an error of bearable length of whatever an endpoint calls its error', async () => {
    let error: unknown;
    const server = createServer((_, response) => response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, error })));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    const refusal = () => call(url, 'x', []).catch((thrown: unknown) => thrown as SquadError);
    // No text can be made of this object.
    error = { code: 1, message: { toString: null } };
    expect(await refusal()).toMatchObject({ code: 'RPC_REFUSED', message: `${url}: (object)` });
    error = { code: 1, message: '', data: { remedy: '' } };
    expect(await refusal()).toMatchObject({ message: `${url}: (no words)`, remedy: 'Ask another endpoint.' });
    const words = 'x'.repeat(MAX_QUOTED_CHARACTERS);
    error = { code: 1, message: words, data: { remedy: words } };
    expect(await refusal()).toMatchObject({ message: `${url}: ${words}`, remedy: words });
    error = { code: 1, message: `${words}y`, data: { remedy: `${words}y` } };
    expect(await refusal()).toMatchObject({ message: `${url}: ${words}`, remedy: words });
  });

  it('says what is wrong with an endpoint', async () => {
    const { sequencers } = await fakeNetwork(newChain(), {});
    const url = sequencers[0]!.url;
    expect(await call(url, 'squad_nothing', []).catch(codeOf)).toBe('RPC_REFUSED');
    await sequencers[0]!.stop();
    expect(await call(url, 'squad_status', []).catch(codeOf)).toBe('RPC_UNREACHABLE');
  });

  it('reads no more of an answer than the limit, and waits no longer', async () => {
    let length = MAX_ANSWER_CHARACTERS;
    const server = createServer((request, response) => {
      if (request.url === '/hang') return;
      const shell = '{"jsonrpc":"2.0","id":1,"result":""}';
      const result = 'x'.repeat(length - shell.length);
      response.end(request.url === '/text' ? 'no JSON' : Buffer.from(shell.replace('""', `"${result}"`)));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    try {
      expect(await call(url, 'x', [])).toHaveLength(length - 36);
      length++;
      expect(await call(url, 'x', []).catch(codeOf)).toBe('RPC_BAD_ANSWER');
      expect(await call(`${url}/text`, 'x', []).catch(codeOf)).toBe('RPC_BAD_ANSWER');
      expect(await call(`${url}/hang`, 'x', [], { timeoutMs: 100 }).catch(codeOf)).toBe('RPC_TIMEOUT');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
