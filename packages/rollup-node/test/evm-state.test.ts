/** Execution against an independent run: the library's own vm with its own trie and state manager, block by block. */

import { createMPT } from '@ethereumjs/mpt';
import { RLP } from '@ethereumjs/rlp';
import { fromHex, type Hex, toHex } from '@squad/types';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DEVELOPMENT_ACCOUNTS, developmentRollup } from '../src/config/index.ts';
import { encodeConsensusReceipt } from '../src/execution/evm/block.ts';
import { EvmExecutor, MAX_ETHEREUM_BLOCK_BYTES } from '../src/execution/evm/executor.ts';
import { indexedRoot, type TrieRoot, trieCommit, trieGet, trieProof, triePut } from '../src/execution/evm/trie.ts';
import { keccak256, keyOf } from '../src/execution/keccak.ts';
import { CHURN, COUNTER, initCodeOf, WITNESS } from './support/contracts.ts';
import { temporaryDirectory } from './support/directory.ts';
import { Reference } from './support/reference.ts';
import { recipient, sign, signTransfers } from './support/transactions.ts';

const CHAIN = 901;
const RANDOMNESS = new Uint8Array(32).fill(7);

describe('the trie', () => {
  it('has the roots of the reference trie after any puts and deletes, and reads back what it holds', async () => {
    const key = fc.integer({ min: 0, max: 40 }).map((n) => keccak256(Uint8Array.of(n)));
    const value = fc.oneof(fc.constant(new Uint8Array()), fc.uint8Array({ minLength: 1, maxLength: 40 }));
    const change = fc.record({ key, value, commit: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 60, size: 'max' }), async (changes) => {
        const stored = new Map<string, Uint8Array>();
        const source = (hash: Uint8Array) => stored.get(keyOf(hash));
        const reference = await createMPT();
        const held = new Map<string, Uint8Array>();
        let root: TrieRoot;
        for (const { key, value, commit } of changes) {
          root = triePut(root, key, value, source);
          await reference.put(key, value);
          held.set(keyOf(key), value);
          // Going on from the bare hash makes every node be read from the store again.
          if (commit) root = trieCommit(root, (hash, encoding) => stored.set(keyOf(hash), encoding));
          if (root instanceof Uint8Array && source(root) === undefined) root = undefined;
        }
        expect(trieCommit(root, () => {})).toEqual(reference.root());
        for (const [key, value] of held) {
          const found = trieGet(root, Buffer.from(key, 'hex'), source);
          expect(found ?? new Uint8Array()).toEqual(value);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('leaves a committed root as it was when its successor changes', () => {
    const none = () => undefined;
    const first = triePut(
      triePut(undefined, keccak256(Uint8Array.of(1)), Uint8Array.of(1), none),
      keccak256(Uint8Array.of(2)),
      Uint8Array.of(2),
      none,
    );
    const hash = trieCommit(first, () => {});
    const second = triePut(first, keccak256(Uint8Array.of(1)), Uint8Array.of(9), none);
    trieCommit(triePut(second, keccak256(Uint8Array.of(2)), new Uint8Array(), none), () => {});
    expect(trieCommit(first, () => {})).toEqual(hash);
    expect(trieGet(first, keccak256(Uint8Array.of(1)), none)).toEqual(Uint8Array.of(1));
  });

  it('proves a key with nodes that hash to the root', () => {
    const none = () => undefined;
    let root: TrieRoot;
    for (let i = 0; i < 100; i++) root = triePut(root, keccak256(Uint8Array.of(i)), new Uint8Array(33).fill(i), none);
    const hash = trieCommit(root, () => {});
    const proof = trieProof(root, keccak256(Uint8Array.of(5)), none);
    expect(keccak256(proof[0]!)).toEqual(hash);
    for (let i = 1; i < proof.length; i++) expect(toHex(proof[i - 1]!)).toContain(toHex(keccak256(proof[i]!)).slice(2));
    expect(toHex(proof.at(-1)!)).toContain('05'.repeat(33));
  });

  it('roots indexed lists as headers do', async () => {
    const values = Array.from({ length: 300 }, (_, index) => new Uint8Array(1 + (index % 90)).fill(index));
    const reference = await createMPT();
    for (const [index, value] of values.entries()) await reference.put(RLP.encode(index), value);
    expect(indexedRoot(values)).toEqual(reference.root());
  });
});

/** The same type 2 transaction in RLP that is not canonical: long lengths for short items, leading zeros, prefixed bytes. */
function otherEncodings(raw: Uint8Array): Uint8Array[] {
  const fields = RLP.decode(raw.subarray(1)) as Uint8Array[];
  const encode = (items: readonly Uint8Array[]) => {
    const body = Buffer.concat(items);
    return Uint8Array.from([2, 0xf9, body.length >> 8, body.length & 255, ...body]);
  };
  const items = fields.map((field) => RLP.encode(field));
  const replace = (index: number, item: readonly number[]) =>
    items.map((old, at) => (at === index ? Uint8Array.from(item) : old));
  return [
    encode(items),
    encode(replace(5, [0xb8, 20, ...fields[5]!])),
    encode(replace(5, [0xb9, 0, 20, ...fields[5]!])),
    encode(replace(6, [0x81, 1])),
    encode(replace(6, [0x82, 0, 1])),
    encode(replace(1, [0x81, 0])),
    encode(replace(1, [0])),
    encode([...items, Uint8Array.of(0x80)]),
  ];
}

/** Contract address of a sender's creation. */
function created(sender: number, nonce: number): Hex {
  const from = fromHex(DEVELOPMENT_ACCOUNTS[sender]!);
  return toHex(keccak256(RLP.encode([from, nonce === 0 ? new Uint8Array() : Uint8Array.of(nonce)])).slice(12));
}

const word = (value: number | bigint) => value.toString(16).padStart(64, '0');

/** Blocks of transfers, deployments, calls, reverts, storage that comes and goes, contracts that destroy themselves. */
function scenario(): Uint8Array[][] {
  const nonces = [0, 0, 0, 0, 0];
  const send = (sender: number, data: object) =>
    sign(CHAIN, sender, { nonce: nonces[sender]!++, gasLimit: 500_000n, ...data });
  const counter = created(0, 0);
  const witness = created(1, 0);
  const churn = created(2, 0);
  const deploy = (runtime: Hex) => ({ data: initCodeOf(runtime) });
  return [
    [
      send(0, deploy(COUNTER)),
      send(1, deploy(WITNESS)),
      send(2, deploy(CHURN)),
      send(3, { to: recipient(1), value: 5n }),
    ],
    [
      send(0, { to: counter, data: `0x${word(5)}` }),
      send(1, { to: counter, data: `0x${word(13)}` }),
      send(2, { to: witness }),
      send(3, { type: 0, gasPrice: 10n ** 10n, to: recipient(2), value: 7n }),
    ],
    Array.from({ length: 8 }, (_, slot) =>
      send(2, { to: churn, value: slot % 2 === 0 ? 3n : 0n, data: `0x${word(1)}${word(slot)}${word(slot % 2)}` }),
    ),
    [
      ...Array.from({ length: 8 }, (_, slot) =>
        send(1, { to: churn, data: `0x${word(slot === 3 ? 9 : 0)}${word(slot)}${word(0)}` }),
      ),
      send(4, { to: witness, accessList: [{ address: witness, storageKeys: [`0x${word(1)}`] }] }),
      send(4, { to: recipient(3), value: 0n }),
      send(4, { gasLimit: 60_000n, data: initCodeOf(COUNTER) }),
    ],
  ];
}

describe('the EVM executor', () => {
  for (const hardfork of ['cancun', 'prague', 'osaka'] as const) {
    it(`comes to the same roots and gas as the library’s own state (${hardfork})`, async () => {
      const file = developmentRollup({
        rollupId: CHAIN,
        genesisTimeMs: 1_700_000_000_000,
        hardfork,
        feeRecipient: recipient(99),
      });
      const executor = await EvmExecutor.open(file, temporaryDirectory());
      const reference = await Reference.create(file, (number) => executor.hashAt(number));
      expect(toHex(executor.latest.stateRoot)).toBe(toHex(await reference.stateRoot()));
      for (const [slot, raws] of scenario().entries()) {
        await executor.begin({ slot, timestampSeconds: 1_700_000_001 + slot, randomness: RANDOMNESS });
        const { header } = executor.openBlock!.block;
        for (const raw of raws) expect(await executor.execute(raw)).toMatchObject({ status: 'executed' });
        const expected = await reference.run(header, raws);
        const sealed = (await executor.seal())!;
        const actual = executor.provisional.at(-1)!.block.header;
        expect(toHex(sealed.stateRoot)).toBe(toHex(expected.stateRoot));
        expect(toHex(actual.receiptTrie)).toBe(toHex(expected.receiptsRoot));
        expect(toHex(actual.transactionsTrie)).toBe(toHex(expected.transactionsRoot));
        expect(actual.gasUsed).toBe(expected.gasUsed);
        await executor.commit(sealed.number, { height: slot + 1, hash: RANDOMNESS, timestampMs: 0 });
      }
      await executor.close();
    });
  }

  it('has the genesis root and hash of an allocation known from elsewhere', async () => {
    // One account, no storage: the root is the hash of one leaf, computed here from the yellow paper's definition.
    const address = recipient(5);
    const file = {
      ...developmentRollup({ rollupId: 1, genesisTimeMs: 0 }),
      alloc: { [address]: { balance: '1', nonce: 0 } },
    };
    const executor = await EvmExecutor.open(file, temporaryDirectory());
    const account = RLP.encode([
      new Uint8Array(),
      Uint8Array.of(1),
      keccak256(Uint8Array.of(0x80)),
      keccak256(new Uint8Array()),
    ]);
    const path = new Uint8Array([0x20, ...keccak256(fromHex(address))]);
    expect(toHex(executor.latest.stateRoot)).toBe(toHex(keccak256(RLP.encode([path, account]))));
    await executor.close();
  });

  it('leaves no trace of a skipped transaction', async () => {
    const file = developmentRollup({ rollupId: CHAIN, genesisTimeMs: 1_700_000_000_000 });
    const run = async (raws: readonly Uint8Array[]) => {
      const executor = await EvmExecutor.open(file, temporaryDirectory());
      await executor.begin({ slot: 0, timestampSeconds: 1_700_000_001, randomness: RANDOMNESS });
      const outcomes = [];
      for (const raw of raws) outcomes.push((await executor.execute(raw)).status);
      const sealed = await executor.seal();
      await executor.close();
      return { hash: toHex(sealed!.hash), outcomes };
    };
    const good = signTransfers(CHAIN, 3, 3);
    const bad = [
      sign(CHAIN, 0, { nonce: 7, to: recipient(1) }),
      sign(CHAIN, 1, { nonce: 0, to: recipient(1), value: 10n ** 30n }),
      sign(CHAIN, 2, { nonce: 0, to: recipient(1), gasLimit: 20_000n }),
    ];
    const mixed = await run([bad[0]!, good[0]!, bad[1]!, good[1]!, bad[2]!, good[2]!]);
    expect(mixed.outcomes).toEqual(['skipped', 'executed', 'skipped', 'executed', 'skipped', 'executed']);
    expect(mixed.hash).toBe((await run(good)).hash);
  });

  it('leaves no trace of a transaction that the virtual machine cannot finish', async () => {
    const file = developmentRollup({ rollupId: CHAIN, genesisTimeMs: 1_700_000_000_000 });
    const executor = await EvmExecutor.open(file, temporaryDirectory());
    // As if there were something that the library could not do.
    const { customCrypto } = executor.common;
    const { kzg } = customCrypto;
    onTestFinished(() => void Object.assign(customCrypto, { kzg }));
    Object.assign(customCrypto, { kzg: undefined });
    const before = toHex(executor.head.stateRoot);
    const pointEvaluation = `0x${'0a'.padStart(40, '0')}` as const;
    for (const slot of [0, 1]) {
      await executor.begin({ slot, timestampSeconds: 1_700_000_001 + slot, randomness: RANDOMNESS });
      const unfinished = sign(CHAIN, 0, { nonce: 0, to: pointEvaluation, gasLimit: 100_000n });
      expect(await executor.execute(unfinished)).toMatchObject({ status: 'skipped', reason: 'kzg not initialized' });
      expect(await executor.seal()).toBeUndefined();
    }
    expect(toHex((await executor.state.flush()).root.hash)).toBe(before);
    await executor.close();
  });

  it('fills a block of Ethereum to 8 MiB, and not a byte beyond', async () => {
    const file = developmentRollup({ rollupId: CHAIN, genesisTimeMs: 1_700_000_000_000, ethereumBlocks: true });
    const executor = await EvmExecutor.open(file, temporaryDirectory());
    await executor.begin({ slot: 0, timestampSeconds: 1_700_000_001, randomness: RANDOMNESS });
    const data = (length: number, nonce: number) =>
      sign(CHAIN, 0, { nonce, to: recipient(0), gasLimit: 16_000_000n, data: new Uint8Array(length) });
    const large = 1_000_000;
    let nonce = 0;
    let bytes = 1024;
    for (; nonce < 8; nonce++) {
      const raw = data(large, nonce);
      bytes += raw.length + 5;
      expect(await executor.execute(raw)).toMatchObject({ status: 'executed' });
    }
    const overhead = data(large, nonce).length - large;
    const rest = MAX_ETHEREUM_BLOCK_BYTES - bytes - 5 - overhead;
    expect(data(rest, nonce).length + 5 + bytes).toBe(MAX_ETHEREUM_BLOCK_BYTES);
    expect(await executor.execute(data(rest + 1, nonce))).toEqual({ status: 'full' });
    expect(await executor.execute(data(rest, nonce))).toMatchObject({ status: 'executed' });
    await executor.close();
  });

  it('skips 64 and more malformed transactions, and says why', async () => {
    const file = developmentRollup({ rollupId: CHAIN, genesisTimeMs: 1_700_000_000_000 });
    const executor = await EvmExecutor.open(file, temporaryDirectory());
    await executor.begin({ slot: 0, timestampSeconds: 1_700_000_001, randomness: RANDOMNESS });
    const valid = signTransfers(CHAIN, 1, 1)[0]!;
    const before = toHex(executor.head.stateRoot);
    const inputs: Uint8Array[] = [new Uint8Array(), Uint8Array.of(0), Uint8Array.of(0xc0), Uint8Array.of(0xff)];
    for (let type = 0; type < 0x80; type += 3) inputs.push(Uint8Array.of(type, 0xc0));
    for (let cut = 1; cut < valid.length; cut += 5) inputs.push(valid.slice(0, cut));
    inputs.push(new Uint8Array([...valid, 0]), new Uint8Array(100_000), new Uint8Array(1000).fill(0xbf));
    inputs.push(...otherEncodings(valid));
    inputs.push(sign(1, 0, { nonce: 0, to: recipient(0) }));
    for (let byte = 0; byte < valid.length; byte += 9) {
      const flipped = valid.slice();
      flipped[byte]! ^= 0x80;
      inputs.push(flipped);
    }
    expect(inputs.length).toBeGreaterThan(64);
    for (const input of inputs) {
      const outcome = await executor.execute(input);
      expect(outcome.status, toHex(input).slice(0, 100)).toBe('skipped');
      if (outcome.status === 'skipped') expect(outcome.reason).not.toBe('');
    }
    expect(await executor.seal()).toBeUndefined();
    expect(toHex(executor.head.stateRoot)).toBe(before);
    await executor.close();
  });

  it('encodes a receipt as EIP-2718 says', () => {
    const receipt = {
      status: 1 as const,
      gasUsed: 1n,
      cumulativeGasUsed: 21_000n,
      effectiveGasPrice: 1n,
      logs: [],
      firstLogIndex: 0,
      bloom: new Uint8Array(256),
      contractAddress: undefined,
    };
    const legacy = encodeConsensusReceipt(0, receipt);
    expect(toHex(legacy)).toBe(`0xf9010801825208b90100${'00'.repeat(256)}c0`);
    expect(toHex(encodeConsensusReceipt(2, receipt))).toBe(`0x02${toHex(legacy).slice(2)}`);
  });
});
