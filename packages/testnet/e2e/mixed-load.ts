/** Transactions of every kind that a rollup takes, made from a seed: for executions that are compared with another client's. */

import { concat, getContractAddress, type Hex, numberToHex, pad, type TransactionSerializable } from 'viem';
import { ACCOUNTS, COUNTER_CODE } from './accounts.ts';

const GWEI = 10n ** 9n;

/** Draws the same numbers below a bound from the same seed (mulberry32). */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Initialization code that returns what follows its 10 bytes. */
function deploying(runtime: string): Hex {
  return `0x61${(runtime.length / 2).toString(16).padStart(4, '0')}80600a5f395ff3${runtime}`;
}

/** What the block and the call look like from inside, in slots 1 to 19; slot 48: the hash of the block CALLDATALOAD(0) before. */
const ENVIRONMENT = [
  '30',
  '32',
  '33',
  '34',
  '36',
  '38',
  '3a',
  '41',
  '42',
  '43',
  '44',
  '45',
  '46',
  '47',
  '48',
  '4a',
  '58',
  '59',
  '5a',
]
  .map((operation, slot) => `${operation}60${(slot + 1).toString(16).padStart(2, '0')}55`)
  .join('');

const CONTRACTS = {
  counter: COUNTER_CODE,
  environment: deploying(`${ENVIRONMENT}5f3543034060305500`),
  /** Stores, then reverts with 32 bytes. */
  reverter: deploying('600160005560206000fd'),
  /** Calls the address CALLDATALOAD(0) with what follows; stores success, size and hash of what came back. */
  caller: deploying(
    '6020360380' + '60205f37' + '5f5f825f345f355af1' + '5f55' + '3d600155' + '3d5f5f3e' + '3d5f20600255' + '00',
  ),
  /** CREATE2 of the call data, with the call's value. */
  factory: deploying('365f5f375f365f34f55f5500'),
  /** SSTORE of two words. */
  storage: deploying('6020355f355500'),
  /** TSTORE, TLOAD, MSTORE, MCOPY, LOG4. */
  transient: deploying('335f5d5f5c5f55335f52602060405f5e6040516001556001600260036004602060' + '00a400'),
} as const;
type Contract = keyof typeof CONTRACTS;
const NAMES = Object.keys(CONTRACTS) as Contract[];

const SYSTEM = [
  '0x000f3df6d732807ef1319fb7b8bb8522d0beac02',
  '0x0000f90827f1c53a10cb7a02335b175320002935',
  '0x00000961ef480eb55e80d19ad83579a64c007002',
  '0x0000bbddc7ce488642fb579f8b00f3a590007251',
] as const;
/** Instructions of random programs: arithmetic, environment, memory, storage, calls, creation. PUSH1 comes between. */
const INSTRUCTIONS =
  '01 02 03 04 05 06 07 08 09 0a 0b 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 20 30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49 4a 50 51 52 53 54 55 58 59 5a 5b 5c 5d 5e 5f 80 81 82 83 90 91 92 a0 a1 a2 f0 f1 f2 f3 f4 f5 fa fd ff'.split(
    ' ',
  );

type Draft = Partial<TransactionSerializable> & { readonly to?: Hex; readonly data?: Hex; readonly value?: bigint };

/** A proof that EIP-4844's point evaluation holds for right: versioned hash, z, y, commitment, proof. */
const POINT_EVALUATION: Hex =
  '0x01e798154708fe7789429634053cbf9f99b619f9f084048927333fce637f549b564c0a11a0f704f4fc3e8acfe0f8245f0ad1347b378fbf96e206da11a5d3630624d25032e67a7e6a4910df5834b8fe70e6bcfeeac0352434196bdf4b2485d5a18f59a8d2a1a625a17f3fea0fe5eb8c896db3764f3185481bc22f91b4aaffcca25f26936857bc3a7c2539ea8ec3a952b7873033e038326e87ed3e1276fd140253fa08e9fc25fb2d9a98527fc22a2c9612fbeafdad446cbc7bcdbdcd780af2c16a';

export class MixedLoad {
  /** How many of each kind were made. */
  readonly kinds = new Map<string, number>();
  readonly #chainId: number;
  readonly #random: (below: number) => number;
  readonly #nonces = ACCOUNTS.map(() => 0);
  readonly #addresses = new Map<Contract, Hex>();

  constructor(chainId: number, seed: number) {
    this.#chainId = chainId;
    this.#random = randomFrom(seed);
  }

  /** Signed, in order: the contracts that the others use. */
  async contracts(): Promise<Hex[]> {
    const all: Hex[] = [];
    for (const name of NAMES) {
      const nonce = BigInt(this.#nonces[0]!);
      this.#addresses.set(name, getContractAddress({ from: ACCOUNTS[0]!.address, nonce }));
      all.push(await this.#sign(0, { data: CONTRACTS[name], gas: 300_000n }));
    }
    return all;
  }

  /** The next one, signed. */
  next(): Promise<Hex> {
    const makers = Object.entries(this.#makers);
    const [kind, make] = makers[this.#random(makers.length)]!;
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
    return make(this.#random(ACCOUNTS.length));
  }

  readonly #makers: Readonly<Record<string, (sender: number) => Promise<Hex>>> = {
    transfer: (sender) => this.#sign(sender, { to: this.#someone(), value: BigInt(this.#random(10 ** 9)) }),
    'transfer to a new account': (sender) =>
      this.#sign(sender, { to: this.#bytes(20), value: BigInt(this.#random(3)), gas: 21_000n }),
    'transfer with data': (sender) =>
      this.#sign(sender, { to: this.#someone(), data: this.#bytes(this.#random(900)), gas: 120_000n }),
    legacy: (sender) =>
      this.#sign(sender, { type: 'legacy', gasPrice: 50n * GWEI, to: this.#someone(), value: 5n, gas: 80_000n }),
    'access list': (sender) => {
      const address = this.#address('storage');
      const accessList = [
        { address, storageKeys: [this.#word(), this.#word()] },
        { address: this.#someone(), storageKeys: [] },
      ];
      return this.#sign(sender, {
        type: 'eip2930',
        gasPrice: 40n * GWEI,
        accessList,
        to: address,
        data: concat([this.#word(), this.#word()]),
        gas: 200_000n,
      });
    },
    count: (sender) => this.#sign(sender, { to: this.#address('counter'), gas: 100_000n }),
    store: (sender) =>
      this.#sign(sender, { to: this.#address('storage'), data: concat([this.#word(), this.#word()]), gas: 100_000n }),
    'out of gas': (sender) => this.#sign(sender, { to: this.#address('environment'), gas: 60_000n }),
    environment: (sender) =>
      this.#sign(sender, {
        to: this.#address('environment'),
        data: pad(numberToHex(this.#random(300))),
        value: 1n,
        gas: 900_000n,
      }),
    revert: (sender) =>
      this.#sign(sender, { to: this.#address('reverter'), value: BigInt(this.#random(2)), gas: 100_000n }),
    transient: (sender) => this.#sign(sender, { to: this.#address('transient'), gas: 200_000n }),
    precompile: (sender) => {
      const precompile = this.#random(20) === 0 ? 0x100 : 1 + this.#random(0x12);
      return this.#call(sender, numberToHex(precompile), this.#bytes(this.#random(400)), 600_000n);
    },
    'point evaluation': (sender) => this.#call(sender, '0x0a', POINT_EVALUATION, 200_000n),
    'precompile, directly': (sender) =>
      this.#sign(sender, {
        to: pad(numberToHex(1 + this.#random(0x12)), { size: 20 }),
        data: this.#bytes(this.#random(200)),
        gas: 300_000n,
      }),
    'system contract': (sender) => {
      const at = this.#random(SYSTEM.length);
      const data =
        this.#random(2) === 0
          ? '0x'
          : at < 2
            ? pad(numberToHex(1_700_000_000 + this.#random(500)))
            : this.#bytes(at === 2 ? 56 : 96);
      return this.#sign(sender, { to: SYSTEM[at]!, data, value: BigInt(this.#random(3)), gas: 400_000n });
    },
    'call of a call': (sender) =>
      this.#call(sender, this.#address(NAMES[this.#random(NAMES.length)]!), this.#bytes(64), 1_000_000n),
    create: (sender) => this.#sign(sender, { data: CONTRACTS[NAMES[this.#random(NAMES.length)]!], gas: 300_000n }),
    'create and destroy': (sender) => this.#sign(sender, { data: '0x33ff', value: 7n, gas: 100_000n }),
    'create2 of a random program': (sender) =>
      this.#sign(sender, {
        to: this.#address('factory'),
        data: this.#program(),
        value: BigInt(this.#random(2)),
        gas: 500_000n,
      }),
    'create of a random program': (sender) => this.#sign(sender, { data: this.#program(), gas: 500_000n }),
    delegation: async (sender) => {
      const authorizationList = [];
      for (let i = 0; i <= this.#random(2); i++) {
        const authority = (sender + 1 + this.#random(ACCOUNTS.length - 1)) % ACCOUNTS.length;
        const isValid = this.#random(4) > 0;
        const targets: Hex[] = [
          this.#address('counter'),
          this.#address('storage'),
          this.#someone(),
          `0x${'00'.repeat(20)}`,
        ];
        const nonce = this.#nonces[authority]! + (isValid ? 0 : 3);
        const chainId = this.#random(2) === 0 ? 0 : this.#chainId;
        const contractAddress = targets[this.#random(targets.length)]!;
        authorizationList.push(await ACCOUNTS[authority]!.signAuthorization!({ contractAddress, chainId, nonce }));
        if (isValid) this.#nonces[authority]!++;
      }
      return this.#sign(sender, {
        type: 'eip7702',
        authorizationList,
        to: this.#someone(),
        data: this.#bytes(64),
        gas: 400_000n,
      });
    },
  };

  #call(sender: number, to: Hex, data: Hex, gas: bigint): Promise<Hex> {
    return this.#sign(sender, { to: this.#address('caller'), data: concat([pad(to), data]), gas });
  }

  #address(name: Contract): Hex {
    return this.#addresses.get(name)!;
  }

  #someone(): Hex {
    return ACCOUNTS[this.#random(ACCOUNTS.length)]!.address;
  }

  #bytes(length: number): Hex {
    let hex = '';
    for (let i = 0; i < length; i++)
      hex += (this.#random(4) === 0 ? 0 : this.#random(256)).toString(16).padStart(2, '0');
    return `0x${hex}`;
  }

  /** Few of them, so that slots are written again and cleared. */
  #word(): Hex {
    return pad(numberToHex(this.#random(4)));
  }

  #program(): Hex {
    let code = '';
    for (let i = 0; i < 60; i++) {
      for (let push = 0; push < 2; push++) code += `60${this.#random(128).toString(16).padStart(2, '0')}`;
      code += INSTRUCTIONS[this.#random(INSTRUCTIONS.length)];
    }
    return `0x${code}`;
  }

  async #sign(sender: number, draft: Draft): Promise<Hex> {
    const fees = draft.gasPrice === undefined ? { maxFeePerGas: 100n * GWEI, maxPriorityFeePerGas: GWEI } : {};
    const type = draft.type ?? 'eip1559';
    const nonce = this.#nonces[sender]!++;
    // A plain transfer to an account that may have code by now, or to anybody: some gas more.
    const transaction = { type, chainId: this.#chainId, nonce, gas: 120_000n, ...fees, ...draft };
    return ACCOUNTS[sender]!.signTransaction(
      transaction as Parameters<(typeof ACCOUNTS)[number]['signTransaction']>[0],
    );
  }
}

export function bytesOf(raw: Hex): Uint8Array {
  return Uint8Array.from(Buffer.from(raw.slice(2), 'hex'));
}
