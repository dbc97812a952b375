/** Who the validators are: the set binds each position to a libp2p peer id, made of its node public key. */

import { privateKeyFromRaw, publicKeyFromRaw } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey, PeerId as Libp2pPeerId } from '@libp2p/interface';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { createNodeKey } from '@squad/crypto/node';
import { concatBytes, equalBytes, SquadError, type ValidatorIndex } from '@squad/types';
import type { NetworkValidator, PeerId } from '../api.ts';
import { unknownValidator } from '../checks.ts';
import { MAX_REMEMBERED_PEERS } from '../limits.ts';

const P2P_CODE = 421;

export interface ValidatorEntry {
  readonly index: ValidatorIndex;
  readonly id: Libp2pPeerId;
  /** Text of the id. */
  readonly peer: PeerId;
  /** Full multiaddrs, with /p2p. */
  readonly addresses: readonly Multiaddr[];
}

export class ValidatorDirectory {
  #entries: readonly ValidatorEntry[] = [];
  #byPeer: ReadonlyMap<PeerId, ValidatorEntry> = new Map();
  /** Of sets before this one, the oldest forgotten. */
  readonly #former = new Set<PeerId>();
  /** Of sets that were known from the start. */
  readonly #others: ReadonlySet<PeerId>;

  /** Throws `ADDRESS_INVALID` for an address that is no multiaddr, `NODE_KEY_INVALID` for a key of a wrong length. */
  constructor(validators: readonly NetworkValidator[], others: readonly NetworkValidator[] = []) {
    this.#others = new Set(others.map((other, index) => validatorEntry(other, index).peer));
    this.change(validators);
  }

  /** Throws as the constructor, and changes nothing then. An address that is not given is the one that was known before. */
  change(validators: readonly NetworkValidator[]): void {
    const entries = validators.map(validatorEntry).map((entry) => {
      const before = this.#byPeer.get(entry.peer);
      return before && entry.addresses.length === 0 ? { ...entry, addresses: before.addresses } : entry;
    });
    for (const peer of this.#byPeer.keys()) this.#former.add(peer);
    for (const peer of this.#former) {
      if (this.#former.size <= MAX_REMEMBERED_PEERS) break;
      this.#former.delete(peer);
    }
    this.#entries = entries;
    this.#byPeer = new Map(entries.map((entry) => [entry.peer, entry]));
  }

  get entries(): readonly ValidatorEntry[] {
    return this.#entries;
  }

  /** Whether it was a validator before. */
  wasValidator(peer: PeerId): boolean {
    return this.#former.has(peer);
  }

  /** Whether it validates no more, or not yet, as far as this node is: it may be in another epoch. */
  isOfOtherSet(peer: PeerId): boolean {
    return !this.has(peer) && (this.#former.has(peer) || this.#others.has(peer));
  }

  indexOf(peer: PeerId): ValidatorIndex | undefined {
    return this.#byPeer.get(peer)?.index;
  }

  has(peer: PeerId): boolean {
    return this.#byPeer.has(peer);
  }

  /** The validator at a position; throws `UNKNOWN_VALIDATOR`, since callers take positions from the set. */
  at(index: ValidatorIndex): ValidatorEntry {
    const entry = this.#entries[index];
    if (entry !== undefined) return entry;
    throw unknownValidator(index, this.#entries.length);
  }
}

/** The multiaddr that the text names. Throws `ADDRESS_INVALID`. */
export function parseAddress(text: string, where: string): Multiaddr {
  try {
    return multiaddr(text);
  } catch (cause) {
    throw new SquadError(
      'ADDRESS_INVALID',
      `${where} has "${text}", which is no multiaddr`,
      'Write it as /ip4/<address>/tcp/<port> or /dns4/<name>/tcp/<port>.',
      { address: text },
      cause,
    );
  }
}

/** The key pair of a node. Throws `NODE_KEY_INVALID`, or `NODE_KEY_MISMATCH` if the genesis file has another for `self`. */
export function nodeKey(
  seed: Uint8Array,
  self: ValidatorIndex | undefined,
  validators: readonly NetworkValidator[],
): Ed25519PrivateKey {
  checkKeyLength(seed, 'the node key seed');
  // libp2p would derive the public key in JavaScript: a tenth of a process's start.
  const { publicKey } = createNodeKey(seed);
  const key = privateKeyFromRaw(concatBytes(seed, publicKey)) as Ed25519PrivateKey;
  if (self === undefined) return key;
  const expected = validators[self]?.nodePublicKey;
  if (expected === undefined || !equalBytes(expected, key.publicKey.raw)) {
    throw new SquadError(
      'NODE_KEY_MISMATCH',
      `the node key is not the one that the genesis file has for validator ${self}`,
      'Start with the key of that validator, or with the genesis file that holds this key.',
      { self },
    );
  }
  return key;
}

function validatorEntry(validator: NetworkValidator, index: ValidatorIndex): ValidatorEntry {
  checkKeyLength(validator.nodePublicKey, `the node public key of validator ${index}`);
  const id = peerIdFromPublicKey(publicKeyFromRaw(validator.nodePublicKey));
  const peer = id.toString();
  const addresses = validator.addresses.map((text) => {
    const address = parseAddress(text, `validator ${index}`);
    const bare = address.getComponents().some((component) => component.code === P2P_CODE)
      ? address.decapsulateCode(P2P_CODE)
      : address;
    return bare.encapsulate(`/p2p/${peer}`);
  });
  return { index, id, peer, addresses };
}

function checkKeyLength(bytes: Uint8Array, what: string): void {
  if (bytes.length === 32) return;
  throw new SquadError(
    'NODE_KEY_INVALID',
    `${what} has ${bytes.length} bytes`,
    'Give an Ed25519 key, which has 32 bytes.',
    {
      length: bytes.length,
    },
  );
}
