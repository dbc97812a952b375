/**
 * An execution that shares nothing with the rollup node's: the ordered transactions of its blocks, as JSON-RPC tells them,
 * run through an EVM of the test's own from the rollup's genesis file.
 */

import { createBlock } from '@ethereumjs/block';
import { Common, Hardfork, Mainnet } from '@ethereumjs/common';
import { MerkleStateManager } from '@ethereumjs/statemanager';
import { createTxFromRLP } from '@ethereumjs/tx';
import { Account, Address, bytesToHex, hexToBytes } from '@ethereumjs/util';
import { createVM, runTx } from '@ethereumjs/vm';
import type { RollupFile } from '@squad/rollup-node/config';
import type { Block, Hex, TransactionReceipt } from 'viem';

export interface IndependentReceipt {
  readonly hash: Hex;
  readonly status: 'success' | 'reverted';
  readonly gasUsed: bigint;
  readonly logs: readonly { address: Hex; topics: Hex[]; data: Hex }[];
}

export interface IndependentExecution {
  /** After each block, by its number. */
  readonly stateRoots: ReadonlyMap<bigint, Hex>;
  readonly receipts: ReadonlyMap<Hex, IndependentReceipt>;
  balanceOf(address: Hex): Promise<bigint>;
  nonceOf(address: Hex): Promise<bigint>;
}

/** `blocks`: from 1 on, ascending, without gaps. `raw`: the encoding of each transaction by hash. */
export async function execute(
  file: RollupFile,
  blocks: readonly Block[],
  raw: (hash: Hex) => Promise<Hex>,
): Promise<IndependentExecution> {
  const common = new Common({
    chain: { ...Mainnet, chainId: file.rollupId },
    hardfork: { cancun: Hardfork.Cancun, prague: Hardfork.Prague, osaka: Hardfork.Osaka }[file.hardfork],
  });
  // A copy of all of Common for each transaction takes longer than the transaction.
  common.copy = () => common;
  const stateManager = new MerkleStateManager({ common });
  for (const [address, { balance, nonce }] of Object.entries(file.alloc)) {
    const account = new Account(BigInt(nonce), BigInt(balance));
    await stateManager.putAccount(new Address(hexToBytes(address as Hex)), account);
  }
  const vm = await createVM({ common, stateManager });
  const stateRoots = new Map<bigint, Hex>();
  const receipts = new Map<Hex, IndependentReceipt>();
  for (const block of blocks) {
    const environment = createBlock(
      {
        header: {
          number: block.number!,
          timestamp: block.timestamp,
          gasLimit: block.gasLimit,
          baseFeePerGas: block.baseFeePerGas!,
          coinbase: new Address(hexToBytes(block.miner!)),
          mixHash: hexToBytes((block as unknown as { mixHash: Hex }).mixHash),
          parentHash: hexToBytes(block.parentHash),
          excessBlobGas: 0n,
          blobGasUsed: 0n,
        },
      },
      { common, skipConsensusFormatValidation: true },
    );
    let cumulative = 0n;
    for (const hash of block.transactions as Hex[]) {
      const tx = createTxFromRLP(hexToBytes(await raw(hash)), { common, freeze: false });
      const result = await runTx(vm, { tx, block: environment, blockGasUsed: cumulative });
      cumulative += result.totalGasSpent;
      receipts.set(hash, {
        hash,
        status: result.execResult.exceptionError === undefined ? 'success' : 'reverted',
        gasUsed: result.totalGasSpent,
        logs: (result.execResult.logs ?? []).map(([address, topics, data]) => ({
          address: bytesToHex(address),
          topics: topics.map((topic) => bytesToHex(topic)),
          data: bytesToHex(data),
        })),
      });
    }
    await stateManager.flush();
    stateRoots.set(block.number!, bytesToHex(await stateManager.getStateRoot()));
  }
  const accountOf = (address: Hex) => stateManager.getAccount(new Address(hexToBytes(address)));
  return {
    stateRoots,
    receipts,
    balanceOf: async (address) => (await accountOf(address))?.balance ?? 0n,
    nonceOf: async (address) => (await accountOf(address))?.nonce ?? 0n,
  };
}

/** The parts of a receipt that execution decides. */
export function comparable(receipt: TransactionReceipt): IndependentReceipt {
  return {
    hash: receipt.transactionHash,
    status: receipt.status,
    gasUsed: receipt.gasUsed,
    logs: receipt.logs.map(({ address, topics, data }) => ({
      address: address.toLowerCase() as Hex,
      topics: [...topics],
      data,
    })),
  };
}
