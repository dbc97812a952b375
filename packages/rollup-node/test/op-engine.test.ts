/** A rollup that an OP Stack client executes: what the client is asked to build, and what becomes of what it refuses. */

import { createPrometheusMetrics } from '@squad/service';
import { fromHex, toHex } from '@squad/types';
import { afterEach, describe, expect, it } from 'vitest';
import { openRollup } from '../src/derivation/open.ts';
import { keccak256 } from '../src/execution/keccak.ts';
import { decodeDeposit, l1AttributesSource } from '../src/stacks/op/deposit.ts';
import type { OpBlock } from '../src/stacks/op/executor.ts';
import { decodeL1Attributes } from '../src/stacks/op/l1-attributes.ts';
import { MAX_OP_BLOCK_BYTES, MAX_OP_BLOCK_TRANSACTIONS } from '../src/stacks/op/limits.ts';
import type { EngineServer } from '../src/testing/engine/index.ts';
import { temporaryDirectory } from './support/directory.ts';
import {
  CHAIN,
  GENESIS_SECONDS,
  type OpClientOptions,
  type OpEngine,
  Order,
  opClient,
  opFile,
  startOp,
} from './support/op.ts';
import { sequenceOf, soft } from './support/sequence.ts';
import { recipient, sign } from './support/transactions.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function start(options: OpClientOptions = {}, given: Parameters<typeof startOp>[1] = {}): Promise<OpEngine> {
  const engine = await startOp(opClient(options), given);
  open.push(engine);
  return engine;
}

const transfer = (sender: number, nonce: number) => sign(CHAIN, sender, { nonce, to: recipient(nonce), value: 1n });
const hashOf = (raw: Uint8Array) => toHex(keccak256(raw));
/** Attributes of the calls that began a block. */
const begun = ({ calls }: EngineServer) =>
  calls.flatMap(({ method, params }) =>
    method === 'engine_forkchoiceUpdatedV3' && params[1] !== null ? [params[1]] : [],
  );
/** Hashes of a block of the client, besides the L1 attributes. */
const inBlock = ({ client }: OpEngine, number: number) => client.canonical(number)!.transactions.slice(1);

describe('what the client is asked to build', () => {
  it('begins with the attributes of the one L1 origin, goes on with what was ordered, and holds nothing else', async () => {
    const engine = await start();
    const [first, second, third] = [transfer(0, 0), transfer(1, 0), transfer(0, 1)];
    await engine.order.final([first, second], [], [third], []);
    await engine.followed();
    const asked = begun(engine.client);
    expect(asked).toHaveLength(2);
    expect(asked.map(({ timestamp }) => Number(timestamp))).toEqual([GENESIS_SECONDS + 1, GENESIS_SECONDS + 3]);
    expect(asked[0].transactions.slice(1)).toEqual([toHex(first), toHex(second)]);
    expect(asked[1].transactions.slice(1)).toEqual([toHex(third)]);
    expect(asked[0]).toMatchObject({
      suggestedFeeRecipient: '0x4200000000000000000000000000000000000011',
      withdrawals: [],
      noTxPool: true,
      gasLimit: '0x1c9c380',
      eip1559Params: '0x0000000000000000',
    });
    for (const [index, { transactions }] of asked.entries()) {
      const deposit = decodeDeposit(fromHex(transactions[0]));
      if (!deposit.ok) throw new Error(deposit.error);
      expect(deposit.value.sourceHash).toEqual(l1AttributesSource(fromHex(`0x${'11'.repeat(32)}`), index + 1));
      expect(decodeL1Attributes(deposit.value.data)).toMatchObject({
        value: {
          form: 'isthmus',
          attributes: {
            number: 7n,
            timestamp: 1_699_999_999n,
            baseFee: 8n,
            blobBaseFee: 9n,
            sequenceNumber: BigInt(index + 1),
            baseFeeScalar: 10n,
            blobBaseFeeScalar: 11n,
            operatorFeeScalar: 12n,
            operatorFeeConstant: 13n,
          },
        },
      });
    }
    expect(engine.client.violations).toEqual([]);
  });
});

describe('what the client refuses', () => {
  it('is left out with what its sender could not do before the block; all else stays in its order', async () => {
    const metrics = createPrometheusMetrics();
    const engine = await start({}, { metrics });
    const { order, client, followed } = engine;
    const [a0, a1, a3, b0, b1] = [transfer(0, 0), transfer(0, 1), transfer(0, 3), transfer(1, 0), transfer(1, 1)];
    const rich = sign(CHAIN, 2, { nonce: 0, to: recipient(0), value: 10n ** 18n });
    // Valid only after one that comes later: left out. The same bytes again in one block: once at most.
    await order.final([a1, b0, a3, a0, b0, rich, b1], [a0, a1], []);
    await followed();
    expect(inBlock(engine, 1)).toEqual([b0, a0, b1].map(hashOf));
    expect(inBlock(engine, 2)).toEqual([hashOf(a1)]);
    const reasonFor = (raw: Uint8Array) => order.rollup.skipped.get(keccak256(raw))?.reason;
    expect(reasonFor(a3)).toContain('nonce too high');
    expect(reasonFor(a0)).toContain('nonce too low');
    expect(reasonFor(rich)).toContain('insufficient funds');
    expect(reasonFor(b0)).toBeUndefined();
    expect(await metrics.text()).toContain('squad_engine_left_out_transactions_total 4\n');
    expect(engine.log.filter((line) => line.includes('refuses some of the transactions'))).toHaveLength(2);
    // Each block once, and once more.
    expect(begun(client)).toHaveLength(4);
    expect(client.violations).toEqual([]);
  });

  it('is the cost of all that a sender has in the block, not of each', async () => {
    const half = (nonce: number) =>
      sign(CHAIN, 0, { nonce, to: recipient(0), value: 5n * 10n ** 17n - 21_000n * 10n ** 11n });
    const engine = await start();
    await engine.order.final([half(0), half(1), transfer(0, 2), transfer(1, 9)], []);
    await engine.followed();
    expect(inBlock(engine, 1)).toEqual([half(0), half(1)].map(hashOf));
  });

  it.each([false, true])(
    'for a reason of its own goes with what its sender has after it (unnamed: %s)',
    async (isSilent) => {
      const [bad, after, worse] = [transfer(0, 0), transfer(0, 1), transfer(2, 1)];
      const good = [transfer(1, 0), transfer(1, 1), transfer(2, 0)];
      const engine = await start({ isSilent, dislikes: [bad, worse] });
      await engine.order.final([good[0]!, bad, good[1]!, after, good[2]!, worse], []);
      await engine.followed();
      expect(inBlock(engine, 1)).toEqual(good.map(hashOf));
      const reasonFor = (raw: Uint8Array) => engine.order.rollup.skipped.get(keccak256(raw))?.reason;
      expect(reasonFor(bad)).toContain('intrinsic gas too low');
      expect(reasonFor(after)).toContain('one of the same sender before it');
      expect(reasonFor(worse)).toContain('intrinsic gas too low');
      // Named: whole, after looking at nonces, and once more for each refusal. Else by halving 6 and 4, and the empty block first.
      expect(begun(engine.client).length).toBeLessThanOrEqual(isSilent ? 4 + (1 + 3) + (1 + 2) : 4);
      expect(engine.client.violations).toEqual([]);
    },
  );

  it('may be all of a block, which then has the L1 attributes alone', async () => {
    const engine = await start();
    await engine.order.final([transfer(0, 5), transfer(0, 6)], []);
    await engine.followed();
    expect(engine.client.canonical(1)!.transactions).toHaveLength(1);
  });

  it('is not looked for where it is the stack’s own: the driver stops', async () => {
    const engine = await start({ refuses: () => 'missing minBaseFee' });
    await engine.order.final([transfer(0, 0), transfer(1, 0), transfer(2, 0)], []);
    expect(await engine.failed).toMatchObject({ code: 'ENGINE_REFUSED' });
    expect((await engine.failed).message).toContain('missing minBaseFee');
    expect(engine.order.rollup.skipped.total).toBe(0);
    // Whole, after looking at nonces, and without any of the transactions.
    expect(begun(engine.client)).toHaveLength(3);
  });
});

describe('from where the driver goes on', () => {
  /** With another driver; returns how many blocks were begun by it. */
  const again = async (first: OpEngine, then: () => Promise<void>): Promise<number> => {
    const { client, order } = first;
    await first.close();
    const [before, calls] = [begun(client).length, client.calls.length];
    await then();
    const second = await startOp(client, { order });
    await client.until(() =>
      client.calls
        .slice(calls)
        .some(({ method, params }) => method.startsWith('engine_forkchoice') && params[1] === null),
    );
    await second.followed();
    await second.close();
    return begun(client).length - before;
  };
  const grown = async () => {
    const order = new Order(await openRollup(opFile(), temporaryDirectory()));
    open.push(order.rollup.derivation);
    return startOp(opClient(), { order });
  };

  it('a block that lacks what the client refused is the derived one, and is not built again', async () => {
    const first = await grown();
    const { order, client } = first;
    await order.final([transfer(0, 0)], [transfer(0, 7), transfer(0, 1), transfer(1, 5)], []);
    await first.followed();
    const head = client.head;
    expect(await again(first, async () => {})).toBe(0);
    expect(client.head).toBe(head);
  });

  it('a block of the same transactions upon another order is another one', async () => {
    const first = await grown();
    await first.order.soft([transfer(0, 0)], []);
    await first.followed();
    expect(await again(first, () => first.order.final([transfer(0, 0)], []))).toBe(1);
  });

  it('a block that lacks what was ordered into its slot after all is another one', async () => {
    const first = await grown();
    const { derivation } = first.order.rollup;
    const [early, late] = [transfer(0, 0), transfer(0, 1)];
    for (const block of sequenceOf([{ at: 0, batches: [[early]] }, { at: 1000 }]))
      await derivation.applySoft(soft(block));
    await first.followed();
    expect(inBlock(first, 1)).toEqual([hashOf(early)]);
    const final = sequenceOf([{ at: 0, batches: [[early]] }, { at: 500, batches: [[late]] }, { at: 1000 }]);
    const begunAnew = await again(first, async () => {
      for (const block of final) await derivation.applyFinal(block);
    });
    expect(begunAnew).toBe(1);
    expect(inBlock(first, 1)).toEqual([early, late].map(hashOf));
  });

  it('a client on another soft order is led over', async () => {
    const engine = await start();
    await engine.order.final([transfer(0, 0)], []);
    await engine.order.soft([transfer(0, 1)], []);
    await engine.followed();
    expect(inBlock(engine, 2)).toEqual([hashOf(transfer(0, 1))]);
    await engine.order.final([transfer(1, 0)], []);
    await engine.followed();
    expect(inBlock(engine, 2)).toEqual([hashOf(transfer(1, 0))]);
    expect(engine.client.violations).toEqual([]);
  });

  it('a client with another block 0 is refused', async () => {
    const { op } = opFile();
    const engine = await start({}, { changes: { op: { ...op!, genesisHash: `0x${'33'.repeat(32)}` } } });
    expect(await engine.failed).toMatchObject({ code: 'ENGINE_WRONG_GENESIS' });
  });
});

describe('where a block ends', () => {
  const counts = async (...slots: (readonly Uint8Array[])[]) => {
    const directory = temporaryDirectory();
    const order = new Order(await openRollup(opFile(), directory));
    await order.final(...slots, []);
    const numbers = Array.from({ length: order.executor.head.number + 1 }, (_, number) => number);
    const blocks = numbers.map((number) => order.executor.blockAt(number)!);
    await order.rollup.derivation.close();
    // The same, read from the disk.
    const again = new Order(await openRollup(opFile(), directory));
    const told = ({ summary, transactions }: OpBlock) => [toHex(summary.hash), transactions.map(hashOf)];
    expect(numbers.map((number) => told(again.executor.blockAt(number)!))).toEqual(blocks.map(told));
    await again.rollup.derivation.close();
    const times = blocks.map(({ summary }) => summary.timestampSeconds);
    expect(new Set(times).size).toBe(times.length);
    return blocks.slice(1).map(({ transactions }) => transactions.length);
  };
  const many = (count: number) => {
    const raw = transfer(0, 0);
    return Array.from({ length: count }, () => raw);
  };
  const withGas = (gasLimit: bigint, bytes = 0) =>
    sign(CHAIN, 0, { nonce: 0, gasLimit, to: recipient(0), data: new Uint8Array(bytes) });

  it('at MAX_OP_BLOCK_TRANSACTIONS', async () => {
    expect(await counts(many(MAX_OP_BLOCK_TRANSACTIONS))).toEqual([MAX_OP_BLOCK_TRANSACTIONS]);
    expect(await counts(many(MAX_OP_BLOCK_TRANSACTIONS + 1))).toEqual([MAX_OP_BLOCK_TRANSACTIONS, 1]);
  });

  it('at MAX_OP_BLOCK_BYTES', async () => {
    const half = withGas(1_000_000n, MAX_OP_BLOCK_BYTES / 2 - 1_000);
    const left = MAX_OP_BLOCK_BYTES - 2 * half.length;
    const filler = (bytes: number) => {
      const base = withGas(1_000_000n, bytes - 150);
      return withGas(1_000_000n, bytes - 150 + (bytes - base.length));
    };
    expect(filler(left)).toHaveLength(left);
    expect(await counts([half, half, filler(left)])).toEqual([3]);
    expect(await counts([half, half, filler(left + 1)])).toEqual([2, 1]);
  });

  it('at the gas limit less what the L1 attributes may use, in gas limits', async () => {
    expect(await counts([withGas(28_000_000n), withGas(1_000_000n)])).toEqual([2]);
    expect(await counts([withGas(28_000_000n), withGas(1_000_001n)])).toEqual([1, 1]);
    const rollup = await openRollup(opFile(), temporaryDirectory());
    open.push(rollup.derivation);
    const { executor } = new Order(rollup);
    expect(executor.refusal(withGas(29_000_000n))).toBeUndefined();
    expect(executor.refusal(withGas(29_000_001n))).toMatchObject({ code: 'GAS_LIMIT' });
    expect(executor.refusal(fromHex(`0x7e${'00'.repeat(40)}`))).toMatchObject({ code: 'MALFORMED' });
  });
});
