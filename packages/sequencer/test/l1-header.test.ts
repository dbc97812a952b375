/** Headers of an L1 hash to what Ethereum says they hash to. */

import { RLP } from '@ethereumjs/rlp';
import { keccak256 } from '@squad/crypto/node';
import { encodeL1Header, L1Header, toHex } from '@squad/types';
import { expect, it } from 'vitest';
import { FakeL1 } from '../src/testing/fake-l1.ts';

/** Block 1 of Ethereum mainnet. */
const FIRST = {
  parentHash: '0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3',
  sha3Uncles: '0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347',
  miner: '0x05a56e2d52c817161883f50c441c3228cfe54d9f',
  stateRoot: '0xd67e4d450343046425ae4271474353857ab860dbc0a1dde64b41b5cd3a532bf3',
  transactionsRoot: '0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421',
  receiptsRoot: '0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421',
  logsBloom: `0x${'00'.repeat(256)}`,
  difficulty: '0x3ff800000',
  number: '0x1',
  gasLimit: '0x1388',
  gasUsed: '0x0',
  timestamp: '0x55ba4224',
  extraData: '0x476574682f76312e302e302f6c696e75782f676f312e342e32',
  mixHash: '0x969b900de27b6ac6a67742365dd65f55a0526c41fd18e1b16f1a1215c2e66f59',
  nonce: '0x539bd4979fef1ec4',
};

it('of the first years', () => {
  expect(toHex(keccak256(encodeL1Header(L1Header.parse(FIRST))))).toBe(
    '0x88e96d4537bea4d9c05d12549907b32561d3bf31f45aae734cdc119f13406cb6',
  );
});

it('of today, all of whose fields are in the encoding, as the reference library writes it', () => {
  for (const number of [0, 1, 127, 128, 299]) {
    const header = L1Header.parse(new FakeL1(300).at(number));
    const items = Object.values(header).map((value) => (typeof value === 'bigint' ? integer(value) : value));
    expect(items).toHaveLength(21);
    expect(encodeL1Header(header)).toEqual(RLP.encode(items));
  }
});

it('that lack a field in the middle end there, and so have another hash', () => {
  const whole = L1Header.parse(new FakeL1().at(0));
  const { baseFeePerGas: _, ...lacking } = whole;
  const { withdrawalsRoot, blobGasUsed, excessBlobGas, parentBeaconBlockRoot, requestsHash, ...early } = lacking;
  expect(encodeL1Header(lacking)).toEqual(encodeL1Header(early));
  expect(encodeL1Header(lacking)).not.toEqual(encodeL1Header(whole));
});

function integer(value: bigint): Uint8Array {
  const digits = value === 0n ? '' : value.toString(16);
  return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
}
