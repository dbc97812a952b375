/** Where a transaction's fees go, and what they buy: asked of a node, as a user would. */

import { expect, it, onTestFinished } from 'vitest';
import { DEVELOPMENT_ACCOUNTS } from '../src/config/index.ts';
import { type RpcNode, startRpcNode } from './support/rpc-node.ts';
import { recipient, sign } from './support/transactions.ts';

const CHAIN = 901;
const GWEI = 10n ** 9n;
const GAS = 21_000n;
const RECIPIENT = recipient(1);

const transfer = (sender: number, tip: bigint) =>
  sign(CHAIN, sender, {
    nonce: 0,
    to: recipient(2),
    value: 5n,
    maxFeePerGas: 100n * GWEI,
    maxPriorityFeePerGas: tip,
  });

async function resultOf<T>(node: RpcNode, method: string, ...params: unknown[]): Promise<T> {
  const { result, error } = await node.call(method, params);
  if (error) throw new Error(error.message);
  return result as T;
}

it('burns the base fee, gives the priority fee to the recipient, and leaves the order as it is', async () => {
  const node = await startRpcNode({ file: { feeRecipient: RECIPIENT } });
  onTestFinished(() => node.close());
  const balance = async (of: string) => BigInt(await resultOf<string>(node, 'eth_getBalance', of, 'latest'));
  const everybody = [...DEVELOPMENT_ACCOUNTS.slice(0, 3), RECIPIENT, recipient(2)];
  const total = async () => (await Promise.all(everybody.map(balance))).reduce((sum, one) => sum + one);
  const before = await total();

  const tips = [1n * GWEI, 30n * GWEI, 2n * GWEI];
  const hashes: string[] = [];
  for (const [sender, tip] of tips.entries()) {
    const raw = `0x${Buffer.from(transfer(sender, tip)).toString('hex')}`;
    hashes.push(await resultOf<string>(node, 'eth_sendRawTransaction', raw));
  }
  await node.order();

  type Block = { transactions: string[]; baseFeePerGas: string; gasUsed: string };
  const block = await resultOf<Block>(node, 'eth_getBlockByNumber', 'latest', false);
  // The highest bidder came second, and is second.
  expect(block.transactions).toEqual(hashes);
  expect(BigInt(block.gasUsed)).toBe(3n * GAS);
  expect(await balance(RECIPIENT)).toBe(tips.reduce((sum, tip) => sum + tip * GAS, 0n));
  expect(before - (await total())).toBe(BigInt(block.baseFeePerGas) * 3n * GAS);
  expect(BigInt(block.baseFeePerGas)).toBeGreaterThan(0n);
});
