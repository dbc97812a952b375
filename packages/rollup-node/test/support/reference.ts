/** An independent run to compare with: the library's own vm with its own trie and state manager. */

import { Block, createBlockHeader } from '@ethereumjs/block';
import { Common, Mainnet } from '@ethereumjs/common';
import type { EVMMockBlockchainInterface } from '@ethereumjs/evm';
import { createMPT } from '@ethereumjs/mpt';
import { RLP } from '@ethereumjs/rlp';
import { Caches, MerkleStateManager } from '@ethereumjs/statemanager';
import { createTxFromRLP } from '@ethereumjs/tx';
import { createAccount, createAddressFromString } from '@ethereumjs/util';
import { createVM, encodeReceipt, runTx, type VM } from '@ethereumjs/vm';
import { fromHex } from '@squad/types';
import type { RollupFile } from '../../src/config/index.ts';

/** The library as it comes: its Common, its trie, its caches, no custom cryptography. */
export class Reference {
  readonly #vm: VM;
  readonly #common: Common;
  private constructor(vm: VM, common: Common) {
    this.#vm = vm;
    this.#common = common;
  }

  static async create(file: RollupFile, hashAt: (number: number) => Uint8Array): Promise<Reference> {
    const common = new Common({ chain: { ...Mainnet, chainId: file.rollupId }, hardfork: file.hardfork });
    const stateManager = new MerkleStateManager({
      common,
      caches: new Caches(),
      trie: await createMPT({ useKeyHashing: true }),
    });
    for (const [key, { balance, nonce, code, storage }] of Object.entries(file.alloc)) {
      const address = createAddressFromString(key);
      await stateManager.putAccount(address, createAccount({ balance: BigInt(balance), nonce: BigInt(nonce) }));
      if (code !== undefined) await stateManager.putCode(address, fromHex(code));
      for (const [slot, value] of Object.entries(storage ?? {})) {
        await stateManager.putStorage(address, fromHex(slot), fromHex(value));
      }
    }
    const blockchain: EVMMockBlockchainInterface = {
      getBlock: async (number) => ({ hash: () => hashAt(number) }),
      putBlock: async () => {},
      shallowCopy: () => blockchain,
    };
    return new Reference(await createVM({ common, stateManager, blockchain }), common);
  }

  stateRoot(): Promise<Uint8Array> {
    return this.#vm.stateManager.getStateRoot();
  }

  goTo(stateRoot: Uint8Array): Promise<void> {
    return this.#vm.stateManager.setStateRoot(stateRoot);
  }

  /** `included`: for each transaction, whether the rules let it in. */
  async run(fields: Parameters<typeof createBlockHeader>[0], raws: readonly Uint8Array[]) {
    const options = { common: this.#common, skipConsensusFormatValidation: true };
    const block = new Block(createBlockHeader(fields, options), [], [], [], options);
    const receipts = await createMPT();
    const transactions = await createMPT();
    let gasUsed = 0n;
    let index = 0;
    const included: boolean[] = [];
    for (const raw of raws) {
      const result = await this.#runTransaction(raw, block, gasUsed);
      included.push(result !== undefined);
      if (result === undefined) continue;
      gasUsed += result.totalGasSpent;
      await receipts.put(RLP.encode(index), result.receipt);
      await transactions.put(RLP.encode(index), raw);
      index++;
    }
    return {
      included,
      stateRoot: await this.stateRoot(),
      receiptsRoot: receipts.root(),
      transactionsRoot: transactions.root(),
      gasUsed,
    };
  }

  async #runTransaction(raw: Uint8Array, block: Block, blockGasUsed: bigint) {
    try {
      const tx = createTxFromRLP(raw, { common: this.#common });
      const { totalGasSpent, receipt } = await runTx(this.#vm, { tx, block, blockGasUsed });
      return { totalGasSpent, receipt: encodeReceipt(receipt, tx.type) };
    } catch {
      return undefined;
    }
  }
}
