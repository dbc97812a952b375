/**
 * A network namespace for each validator, with a cable to a bridge that the tests' own namespace is on: cables are pulled,
 * and the network is split, without a packet that says so. Linux, as root.
 */

import { execFileSync } from 'node:child_process';
import type { Place } from '../src/configs.ts';

const PREFIX = 'squad-t';
const SUBNET = '10.213.77';
const HERE = `${PREFIX}-here`;
const THERE = `${PREFIX}-there`;

export class Namespaces {
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
    this.remove();
    run('ip link add', HERE, 'type bridge');
    run('ip link add', THERE, 'type bridge');
    run(`ip addr add ${SUBNET}.254/24 dev`, HERE);
    for (const bridge of [HERE, THERE]) run('ip link set', bridge, 'up');
    for (let i = 0; i < count; i++) {
      const { namespace, cable } = names(i);
      run('ip netns add', namespace);
      run('ip link add', cable, 'type veth peer name eth0 netns', namespace);
      run('ip link set', cable, `master ${HERE} up`);
      const inside = `ip -n ${namespace}`;
      run(`${inside} addr add ${SUBNET}.${i + 1}/24 dev eth0`);
      for (const device of ['lo', 'eth0']) run(`${inside} link set ${device} up`);
    }
  }

  placeOf(index: number): Place {
    return { host: `${SUBNET}.${index + 1}`, within: ['ip', 'netns', 'exec', names(index).namespace] };
  }

  pullCable(index: number): void {
    run('ip link set', names(index).cable, 'down');
  }

  /** Puts these on a bridge of their own: they reach each other, and nobody else. */
  splitOff(indexes: readonly number[]): void {
    for (const index of indexes) run('ip link set', names(index).cable, `master ${THERE}`);
  }

  heal(): void {
    for (let i = 0; i < this.#count; i++) run('ip link set', names(i).cable, `master ${HERE} up`);
  }

  remove(): void {
    for (let i = 0; i < this.#count; i++) quietly('ip netns del', names(i).namespace);
    for (let i = 0; i < this.#count; i++) quietly('ip link del', names(i).cable);
    for (const bridge of [HERE, THERE]) quietly('ip link del', bridge);
  }
}

/** Why there can be none here; undefined if there can. */
export function whyNoNamespaces(): string | undefined {
  try {
    new Namespaces(1).remove();
    return undefined;
  } catch (error) {
    return (error as Error).message.split('\n')[0];
  }
}

function names(index: number): { readonly namespace: string; readonly cable: string } {
  return { namespace: `${PREFIX}-${index}`, cable: `${PREFIX}-c${index}` };
}

function run(...words: readonly string[]): void {
  const [program, ...args] = words.join(' ').split(' ');
  execFileSync(program!, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function quietly(...words: readonly string[]): void {
  try {
    run(...words);
  } catch {
    // There was none.
  }
}
