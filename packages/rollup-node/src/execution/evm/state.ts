/**
 * The state of an EVM rollup, as the EVM library wants it: accounts, code and storage over Merkle Patricia tries.
 *
 * Changes are kept in maps with an undo journal, so that a checkpoint costs nothing and a revert only what it undoes. The
 * tries are brought up to date once a block, by `flush`, which hands over exactly the nodes that are new. Until then
 * nothing is written anywhere: dropping the maps (`reset`) is a complete rollback.
 */

import type { AccountFields, StateManagerInterface } from '@ethereumjs/common';
import { RLP } from '@ethereumjs/rlp';
import { OriginalStorageCache } from '@ethereumjs/statemanager';
import {
  Account,
  type Address,
  createAccountFromRLP,
  KECCAK256_NULL,
  KECCAK256_RLP,
  unpadBytes,
} from '@ethereumjs/util';
import { SquadError } from '@squad/types';
import { breathe } from '../breathe.ts';
import { keccak256, keyOf } from '../keccak.ts';
import { encodeList, integerBytes } from './rlp.ts';
import {
  EMPTY_TRIE_ROOT,
  type NodeSink,
  type NodeSource,
  rootFromHash,
  type TrieRoot,
  trieCommit,
  trieGet,
  trieProof,
  triePut,
} from './trie.ts';

/** Trie nodes that the states of a rollup keep in memory (a branch node takes about 1 KiB); above, they are read from the store again. */
export const MAX_TRIE_NODES_IN_MEMORY = 200_000;
/** Accounts and storage slots that a state keeps decoded between blocks. */
export const MAX_CACHED_STATE_ENTRIES = 200_000;

/** Where state is read from, without waiting. */
export interface StateSource {
  /** Trie nodes loaded or made since the states that share this source last let go of them. */
  nodesInMemory: number;
  readonly node: NodeSource;
  readonly code: (hash: Uint8Array) => Uint8Array | undefined;
}

/** A root with what of the trie is in memory; kept from block to block, and shared with readers. */
export interface StateRoot {
  readonly hash: Uint8Array;
  readonly trie: TrieRoot;
}

/** What `flush` found to be new. */
export interface StateChanges {
  readonly root: StateRoot;
  readonly nodes: ReadonlyMap<string, Uint8Array>;
  readonly codes: ReadonlyMap<string, Uint8Array>;
}

interface AccountStorage {
  /** Values by slot key, without leading zeros; what was read and what was written. */
  readonly slots: Map<string, Uint8Array>;
  readonly written: Set<string>;
  /** Everything in the trie counts as deleted. */
  cleared: boolean;
  /** The storage trie as of the last flush, once it was opened. */
  trie: TrieRoot | 'unopened';
}

const NOTHING = new Uint8Array();
const NO_ACCOUNT: Readonly<Account> = new Account();

export class EvmState implements StateManagerInterface {
  readonly originalStorageCache: OriginalStorageCache = new OriginalStorageCache((address, key) =>
    this.getStorage(address, key),
  );
  readonly #shared: StateSource;
  readonly #nodes: NodeSource;
  #root: StateRoot;
  #cachedSlots = 0;
  #accounts = new Map<string, Account | undefined>();
  /** Hashes of the addresses of accounts. */
  #trieKeys = new Map<string, Uint8Array>();
  #writtenAccounts = new Set<string>();
  #storages = new Map<string, AccountStorage>();
  #codes = new Map<string, Uint8Array>();
  #undo: (() => void)[] = [];
  #checkpoints: number[] = [];
  #codeHiddenOf: string | undefined;

  constructor(source: StateSource, root: StateRoot) {
    this.#shared = source;
    this.#nodes = (hash) => {
      source.nodesInMemory++;
      return source.node(hash);
    };
    this.#root = root;
  }

  get root(): StateRoot {
    return this.#root;
  }

  /** The account itself, to look at: it must not be changed. */
  peek(address: Uint8Array): Readonly<Account> | undefined {
    return this.#account(keyOf(address), address);
  }

  /** Adds to the balance, in wei, and to the nonce. An account that does not exist is made, unless there is nothing to add. */
  adjust(address: Uint8Array, amount: bigint, nonces: bigint): void {
    if (amount === 0n && nonces === 0n) return;
    const key = keyOf(address);
    const { nonce, balance, storageRoot, codeHash } = this.#account(key, address) ?? NO_ACCOUNT;
    this.#writeAccount(key, new Account(nonce + nonces, balance + amount, storageRoot, codeHash));
  }

  deleteEmpty(address: Uint8Array): void {
    const key = keyOf(address);
    if (this.#account(key, address)?.isEmpty()) this.#delete(key);
  }

  async getAccount(address: Address): Promise<Account | undefined> {
    const key = keyOf(address.bytes);
    const account = this.#account(key, address.bytes);
    const copy = account && copyOf(account);
    if (copy === undefined || this.#codeHiddenOf !== key) return copy;
    this.#codeHiddenOf = undefined;
    return withCodeHiddenOnce(copy);
  }

  /**
   * Whoever looks at the account next does not see at once that it has code. No transaction may come from a contract (EIP-3607),
   * which the library checks first of all; a call may ask what would happen if it did.
   */
  hideCodeOnce(address: Uint8Array): void {
    this.#codeHiddenOf = keyOf(address);
  }

  async putAccount(address: Address, account?: Account): Promise<void> {
    this.#writeAccount(keyOf(address.bytes), account && copyOf(account));
  }

  async deleteAccount(address: Address): Promise<void> {
    this.#delete(keyOf(address.bytes));
  }

  async modifyAccountFields(address: Address, fields: AccountFields): Promise<void> {
    const account = (await this.getAccount(address)) ?? new Account();
    account.nonce = fields.nonce ?? account.nonce;
    account.balance = fields.balance ?? account.balance;
    account.storageRoot = fields.storageRoot ?? account.storageRoot;
    account.codeHash = fields.codeHash ?? account.codeHash;
    this.#writeAccount(keyOf(address.bytes), account);
  }

  async putCode(address: Address, code: Uint8Array): Promise<void> {
    const codeHash = code.length === 0 ? KECCAK256_NULL : keccak256(code);
    if (code.length > 0) this.#codes.set(keyOf(codeHash), code);
    await this.modifyAccountFields(address, { codeHash });
  }

  async getCode(address: Address): Promise<Uint8Array> {
    const account = this.#account(keyOf(address.bytes), address.bytes);
    return account === undefined ? NOTHING : this.codeByHash(account.codeHash);
  }

  codeByHash(hash: Uint8Array): Uint8Array {
    if (Buffer.compare(hash, KECCAK256_NULL) === 0) return NOTHING;
    const key = keyOf(hash);
    const known = this.#codes.get(key) ?? this.#shared.code(hash);
    if (known !== undefined) return known;
    throw new SquadError(
      'STATE_CODE_MISSING',
      `the state has no contract code ${key}: the store is damaged`,
      'Stop the node, delete its data directory, and let it derive the rollup again from the sequence.',
    );
  }

  async getCodeSize(address: Address): Promise<number> {
    return (await this.getCode(address)).length;
  }

  async getStorage(address: Address, slot: Uint8Array): Promise<Uint8Array> {
    const key = keyOf(address.bytes);
    const slotKey = keyOf(slot);
    const storage = this.#storage(key);
    const known = storage.slots.get(slotKey);
    if (known !== undefined) return known;
    const account = this.#account(key, address.bytes);
    if (account === undefined || storage.cleared) return NOTHING;
    const encoded = trieGet(this.#storageTrie(storage, account), keccak256(slot), this.#nodes);
    const value = encoded === undefined ? NOTHING : (RLP.decode(encoded) as Uint8Array);
    this.#cachedSlots++;
    storage.slots.set(slotKey, value);
    return value;
  }

  async putStorage(address: Address, slot: Uint8Array, value: Uint8Array): Promise<void> {
    const storage = this.#storage(keyOf(address.bytes));
    const slotKey = keyOf(slot);
    const before = storage.slots.get(slotKey);
    const wasWritten = storage.written.has(slotKey);
    this.#undo.push(() => {
      if (before === undefined) storage.slots.delete(slotKey);
      else storage.slots.set(slotKey, before);
      if (!wasWritten) storage.written.delete(slotKey);
    });
    if (before === undefined) this.#cachedSlots++;
    storage.slots.set(slotKey, unpadBytes(value));
    storage.written.add(slotKey);
  }

  async clearStorage(address: Address): Promise<void> {
    const key = keyOf(address.bytes);
    this.#clear(key);
    const account = this.#account(key, address.bytes);
    if (account === undefined) return;
    const emptied = copyOf(account);
    emptied.storageRoot = KECCAK256_RLP;
    this.#writeAccount(key, emptied);
  }

  async checkpoint(): Promise<void> {
    this.#checkpoints.push(this.#undo.length);
    await breathe();
  }

  async commit(): Promise<void> {
    this.#checkpoints.pop();
    if (this.#checkpoints.length === 0) this.#undo = [];
  }

  async revert(): Promise<void> {
    const mark = this.#checkpoints.pop() ?? 0;
    while (this.#undo.length > mark) this.#undo.pop()!();
  }

  /** Reverts to before the oldest checkpoint that is open, if any is. */
  async revertAll(): Promise<void> {
    while (this.#checkpoints.length > 0) await this.revert();
  }

  /** Brings the tries up to date and returns what is new. Must not be called inside a checkpoint. */
  flush(): StateChanges {
    const nodes = new Map<string, Uint8Array>();
    const sink: NodeSink = (hash, encoding) => {
      this.#shared.nodesInMemory++;
      nodes.set(keyOf(hash), encoding);
    };
    for (const [key, storage] of this.#storages) this.#flushStorage(key, storage, sink);
    const codes = new Map<string, Uint8Array>();
    let trie = this.#root.trie;
    for (const key of this.#writtenAccounts) {
      const account = this.#accounts.get(key);
      const codeKey = account && keyOf(account.codeHash);
      const code = codeKey === undefined ? undefined : this.#codes.get(codeKey);
      if (code !== undefined) codes.set(codeKey!, code);
      const encoded = account === undefined ? NOTHING : encodeAccount(account);
      trie = triePut(trie, this.#trieKeyOf(key), encoded, this.#nodes);
    }
    const hash = trieCommit(trie, sink);
    this.#writtenAccounts.clear();
    this.#codes.clear();
    this.#undo = [];
    this.#root = { hash, trie: this.#shared.nodesInMemory > MAX_TRIE_NODES_IN_MEMORY ? rootFromHash(hash) : trie };
    if (this.#root.trie !== trie) this.#shared.nodesInMemory = 0;
    const cachedEntries = this.#accounts.size + this.#cachedSlots;
    if (this.#root.trie !== trie || cachedEntries > MAX_CACHED_STATE_ENTRIES) this.#forget();
    return { root: this.#root, nodes, codes };
  }

  /** Drops every change and all that was cached, and goes on from the given root. */
  reset(root: StateRoot): void {
    this.#root = root;
    this.#forget();
    this.#writtenAccounts.clear();
    this.#codes.clear();
    this.#undo = [];
    this.#checkpoints = [];
    this.originalStorageCache.clear();
  }

  /** Becomes a copy of another state with its changes; what follows in either does not touch the other. */
  copyFrom(other: EvmState): void {
    this.reset(other.#root);
    for (const key of other.#writtenAccounts) {
      this.#accounts.set(key, other.#accounts.get(key));
      this.#writtenAccounts.add(key);
    }
    for (const [key, { slots, written, cleared, trie }] of other.#storages) {
      if (!cleared && written.size === 0) continue;
      const kept = new Map([...written].map((slotKey) => [slotKey, slots.get(slotKey)!] as const));
      this.#storages.set(key, { slots: kept, written: new Set(written), cleared, trie });
    }
    this.#codes = new Map(other.#codes);
  }

  /** EIP-1186: the nodes that prove an account, and those that prove each of its slots, against the flushed root. */
  proof(address: Address, slots: readonly Uint8Array[]): { account: Uint8Array[]; storage: Uint8Array[][] } {
    const account = this.#account(keyOf(address.bytes), address.bytes);
    const trie = account === undefined ? undefined : rootFromHash(account.storageRoot);
    return {
      account: trieProof(this.#root.trie, keccak256(address.bytes), this.#nodes),
      storage: slots.map((slot) => trieProof(trie, keccak256(slot), this.#nodes)),
    };
  }

  async getStateRoot(): Promise<Uint8Array> {
    return this.#root.hash;
  }

  async setStateRoot(hash: Uint8Array): Promise<void> {
    this.reset({ hash, trie: rootFromHash(hash) });
  }

  async hasStateRoot(hash: Uint8Array): Promise<boolean> {
    return rootFromHash(hash) === undefined || this.#nodes(hash) !== undefined;
  }

  /** The maps hold changes too: they are dropped by `reset` and `flush` alone. */
  clearCaches(): void {}

  /** Another state at the last flushed root, without the changes since. */
  shallowCopy(): EvmState {
    return new EvmState(this.#shared, this.#root);
  }

  /** An account is nearly always read before it is written, and hashed only then. */
  #trieKeyOf(key: string): Uint8Array {
    return this.#trieKeys.get(key) ?? keccak256(Buffer.from(key, 'hex'));
  }

  #account(key: string, address: Uint8Array): Account | undefined {
    if (this.#accounts.has(key)) return this.#accounts.get(key);
    const trieKey = keccak256(address);
    this.#trieKeys.set(key, trieKey);
    const encoded = trieGet(this.#root.trie, trieKey, this.#nodes);
    const account = encoded === undefined ? undefined : createAccountFromRLP(encoded);
    this.#accounts.set(key, account);
    return account;
  }

  #delete(key: string): void {
    this.#clear(key);
    this.#writeAccount(key, undefined);
  }

  #writeAccount(key: string, account: Account | undefined): void {
    if (this.#checkpoints.length > 0) this.#rememberAccount(key);
    this.#accounts.set(key, account);
    this.#writtenAccounts.add(key);
  }

  /** For `revert`. */
  #rememberAccount(key: string): void {
    const wasKnown = this.#accounts.has(key);
    const before = this.#accounts.get(key);
    const wasWritten = this.#writtenAccounts.has(key);
    this.#undo.push(() => {
      if (wasKnown) this.#accounts.set(key, before);
      else this.#accounts.delete(key);
      if (!wasWritten) this.#writtenAccounts.delete(key);
    });
  }

  #storage(key: string): AccountStorage {
    let storage = this.#storages.get(key);
    if (storage === undefined) {
      storage = { slots: new Map(), written: new Set(), cleared: false, trie: 'unopened' };
      this.#storages.set(key, storage);
    }
    return storage;
  }

  #storageTrie(storage: AccountStorage, account: Account): TrieRoot {
    if (storage.trie === 'unopened') storage.trie = rootFromHash(account.storageRoot);
    return storage.trie;
  }

  #clear(key: string): void {
    const before = this.#storages.get(key);
    this.#undo.push(() => {
      if (before === undefined) this.#storages.delete(key);
      else this.#storages.set(key, before);
    });
    this.#storages.set(key, { slots: new Map(), written: new Set(), cleared: true, trie: undefined });
  }

  #flushStorage(key: string, storage: AccountStorage, sink: NodeSink): void {
    if (!storage.cleared && storage.written.size === 0) return;
    const account = this.#account(key, Buffer.from(key, 'hex'));
    if (account !== undefined) {
      let trie = storage.cleared ? undefined : this.#storageTrie(storage, account);
      for (const slotKey of storage.written) {
        const value = storage.slots.get(slotKey)!;
        const encoded = value.length === 0 ? NOTHING : RLP.encode(value);
        trie = triePut(trie, keccak256(Buffer.from(slotKey, 'hex')), encoded, this.#nodes);
      }
      const changed = copyOf(account);
      changed.storageRoot = trieCommit(trie, sink);
      this.#accounts.set(key, changed);
      this.#writtenAccounts.add(key);
      storage.trie = trie;
    } else {
      // No account, no storage: what was written to it is gone, also from what is remembered.
      this.#storages.delete(key);
    }
    storage.cleared = false;
    storage.written.clear();
  }

  #forget(): void {
    this.#accounts = new Map();
    this.#trieKeys = new Map();
    this.#storages = new Map();
    this.#cachedSlots = 0;
  }
}

/** The state without accounts. */
function withCodeHiddenOnce(account: Account): Account {
  return Object.defineProperty(account, 'codeHash', {
    configurable: true,
    get: () => {
      // Behind it is the account's own, which is what is written back.
      Reflect.deleteProperty(account, 'codeHash');
      return KECCAK256_NULL;
    },
  });
}

export const EMPTY_STATE: StateRoot = { hash: EMPTY_TRIE_ROOT, trie: undefined };

export function stateRootFromHash(hash: Uint8Array): StateRoot {
  return { hash, trie: rootFromHash(hash) };
}

function copyOf(account: Account): Account {
  return new Account(account.nonce, account.balance, account.storageRoot, account.codeHash);
}

function encodeAccount({ nonce, balance, storageRoot, codeHash }: Account): Uint8Array {
  return encodeList([integerBytes(nonce), integerBytes(balance), storageRoot, codeHash]);
}
