/** The rollup file: what is accepted, what is refused with which words, and that its hash tells what it means. */

import { describe, expect, it } from 'vitest';
import { developmentRollup, parseRollupFile, rollupFileHash, SYSTEM_CONTRACTS } from '../src/config/rollup-file.ts';

const VALID = { version: 1, rollupId: 901, name: 'one', executor: 'evm', genesisTimeMs: 1_700_000_000_000 };
const A = `0x${'aB'.repeat(20)}`;
const W = `0x${'aB'.repeat(32)}`;
const OP = { genesisHash: W, l1Origin: { number: 1, hash: W, timestamp: 2, baseFee: '3' }, batcher: A };
const op = (change: object = {}, file: object = {}) => ({ executor: 'op', op: { ...OP, ...change }, ...file });

function messageOf(change: object): string {
  const parsed = parseRollupFile({ ...VALID, ...change });
  return parsed.ok ? 'accepted' : parsed.error.message;
}

describe('the rollup file', () => {
  it('has defaults for all but identity', () => {
    const parsed = parseRollupFile(VALID);
    expect(parsed.ok && parsed.value).toMatchObject({
      blockTimeMs: 1000,
      gasLimit: 30_000_000,
      hardfork: 'prague',
      alloc: {},
    });
  });

  it.each([
    [{ version: 2 }, /version/],
    [{ rollupId: 0 }, /rollupId/],
    [{ rollupId: 2 ** 53 }, /rollupId/],
    [{ executor: 'wasm' }, /executor/],
    [{ genesisTimeMs: -1 }, /genesisTimeMs/],
    [{ blockTimeMs: 99 }, /blockTimeMs/],
    [{ gasLimit: 99_999 }, /gasLimit/],
    [{ maxTransactionGas: 20_999 }, /maxTransactionGas/],
    [{ baseFeePerGas: 7 }, /baseFeePerGas/],
    [{ baseFeePerGas: '1e9' }, /baseFeePerGas: expected wei/],
    [{ feeRecipient: '0x1' }, /feeRecipient: expected 0x and 40 hex digits/],
    [{ hardfork: 'london' }, /hardfork/],
    [{ unknown: 1 }, /unknown/],
    [{ alloc: { '0x12': { balance: '1' } } }, /alloc/],
    [{ alloc: { [A]: { balance: '-1' } } }, /alloc.*balance/],
    [{ alloc: { [A]: { balance: String(2n ** 256n) } } }, /above 2\^256-1/],
    [{ alloc: { [A]: { code: '0x1' } } }, /code/],
    [{ alloc: { [A]: { code: `0x${'00'.repeat(24_577)}` } } }, /code/],
    [{ alloc: { [A]: { storage: { '0x1': '0x1' } } } }, /storage/],
    [{ alloc: { [A]: {}, [A.toLowerCase()]: {} } }, /appears twice/],
    [{ alloc: { [SYSTEM_CONTRACTS[0]!]: { code: '0x00' } } }, /system contract/],
    [{ ethereumBlocks: true, alloc: { [SYSTEM_CONTRACTS[0]!]: { balance: '1' } } }, /`ethereumBlocks` puts there/],
    [{ ethereumBlocks: true, executor: 'ledger' }, /ethereumBlocks: is for the executor "evm"/],
    [{ ethereumBlocks: true, hardfork: 'cancun' }, /ethereumBlocks: is for the hard forks prague and osaka/],
    [{ ethereumBlocks: true, blockTimeMs: 999 }, /ethereumBlocks: needs a blockTimeMs of 1000 or more/],
    [{ executor: 'op' }, /op: is for the executor "op", which needs it/],
    [{ op: OP }, /op: is for the executor "op", which needs it/],
    [op({ genesisHash: '0x12' }), /op.genesisHash: expected 0x and 64 hex digits/],
    [op({ baseFeeScalar: 2 ** 32 }), /op.baseFeeScalar/],
    [op({ eip1559Elasticity: 6 }), /op: has one of eip1559Denominator and eip1559Elasticity/],
    [op({}, { hardfork: 'osaka' }), /op: needs the hardfork prague/],
    [op({}, { blockTimeMs: 999 }), /op: needs a blockTimeMs of 1000 or more/],
    [op({}, { gasLimit: 1_999_999 }), /op: needs a gasLimit of 2000000 or more/],
    [op({}, { alloc: { [A]: {} } }), /op: needs an empty alloc/],
  ])('refuses %j and names the field', (change, message) => {
    expect(messageOf(change)).toMatch(message);
  });

  it('has a hash that follows the meaning, not the spelling', () => {
    const hash = (change: object) => {
      const parsed = parseRollupFile({ ...VALID, ...change });
      if (!parsed.ok) throw parsed.error;
      return Buffer.from(rollupFileHash(parsed.value)).toString('hex');
    };
    const other = `0x${'01'.repeat(20)}`;
    expect(hash(op({ genesisHash: W.toLowerCase() }))).toBe(hash(op()));
    expect(hash({ alloc: { [A]: { balance: '16' }, [other]: {} } })).toBe(
      hash({ alloc: { [other]: {}, [A.toLowerCase()]: { balance: '0x10' } } }),
    );
    const changes = [
      {},
      { name: 'two' },
      { gasLimit: 1_000_000 },
      { maxTransactionGas: 1_000_000 },
      { baseFeePerGas: '8' },
      { hardfork: 'osaka' },
      { ethereumBlocks: true },
      { alloc: { [A]: { nonce: 1 } } },
      { alloc: { [A]: {} } },
      op(),
      op({ batcher: `0x${'01'.repeat(20)}` }),
      op({ operatorFeeConstant: 1 }),
      op({ l1Origin: { ...OP.l1Origin, baseFee: '4' } }),
    ];
    expect(new Set(changes.map(hash)).size).toBe(changes.length);
  });

  it('has the hash that it had before there was a field that is not set', () => {
    const parsed = parseRollupFile(VALID);
    if (!parsed.ok) throw parsed.error;
    expect(Buffer.from(rollupFileHash(parsed.value)).toString('hex')).toBe(
      '617d922b6943ae2a7c2e40c0d75a72bf7924ec469efd4f454ffbfa3b98201ddf',
    );
  });

  it('for development funds ten accounts', () => {
    const file = developmentRollup({ rollupId: 7, genesisTimeMs: 5, blockTimeMs: 250 });
    expect(Object.keys(file.alloc)).toHaveLength(10);
    expect(file).toMatchObject({ rollupId: 7, name: 'rollup-7', executor: 'evm', blockTimeMs: 250 });
  });
});
