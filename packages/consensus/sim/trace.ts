/** What happened: a rolling hash of everything, counts by kind, and the last events in words. */

import { type Block, blockHash, type ConsensusMessage, toHex, VOTE_KIND_NAMES } from '@squad/types';

interface Line {
  readonly atMs: number;
  readonly words: () => string;
  /** A message: the places that it goes from and to. */
  readonly way?: readonly [from: number, to: number];
}

export class Trace {
  readonly counts = new Map<string, number>();
  readonly #lines: Line[] = [];
  readonly #keep: number;
  #next = 0;
  #hash = 0x811c9dc5;

  readonly #names: () => readonly string[];

  /** `keep`: how many lines are kept for the report. `names`: of the nodes, by place. */
  constructor(keep: number, names: () => readonly string[]) {
    this.#keep = keep;
    this.#names = names;
  }

  /** `kind`: from a closed set, counted. `numbers` and the kind go into the hash; `words` are made only for a report. */
  add(
    atMs: number,
    kind: string,
    numbers: readonly number[],
    words: () => string,
    way?: readonly [from: number, to: number],
  ): void {
    this.count(kind);
    this.#mix(atMs);
    for (let i = 0; i < kind.length; i++) this.#mix(kind.charCodeAt(i));
    for (const number of numbers) this.#mix(number);
    if (this.#keep === 0) return;
    this.#lines[this.#next++ % this.#keep] = { atMs, words, ...(way && { way }) };
  }

  /** A message that arrives. */
  addMessage(atMs: number, message: ConsensusMessage, from: number, to: number): void {
    this.add(atMs, message.type, [from, to, ...numbersOf(message)], () => describe(message), [from, to]);
  }

  count(kind: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  /** A sequence chart: time downwards, a column for each node, an arrow for each message that arrives. */
  report(): string {
    const names = this.#names();
    const width = Math.max(4, ...names.map((name) => name.length + 1));
    const lines = [`${' '.repeat(10)}  ${names.map((name) => name.padEnd(width)).join('')}`];
    for (let i = Math.max(0, this.#next - this.#keep); i < this.#next; i++) {
      const { atMs, words, way } = this.#lines[i % this.#keep]!;
      lines.push(`${String(atMs).padStart(7)} ms  ${lanes(names.length, width, way)}${words()}`);
    }
    return lines.join('\n');
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ (value & 0xffff), 0x01000193);
    this.#hash = Math.imul(this.#hash ^ ((value / 65536) | 0), 0x01000193);
  }
}

function lanes(count: number, width: number, way: readonly [from: number, to: number] | undefined): string {
  const cells: string[] = Array.from({ length: count * width }, (_, i) => (i % width === 0 ? '│' : ' '));
  if (way) {
    const [from, to] = way.map((place) => place * width) as [number, number];
    for (let i = Math.min(from, to) + 1; i < Math.max(from, to); i++) cells[i] = '─';
    cells[from] = '●';
    cells[to] = from < to ? '▶' : '◀';
  }
  return cells.join('');
}

const short = (hash: Uint8Array): string => toHex(hash.subarray(0, 3)).slice(2);

export function describeBlock({ header, refs }: Block): string {
  const { view, height, parentView, parentHash } = header;
  return `block ${short(blockHash(header))} view ${view} height ${height} on ${short(parentHash)} of view ${parentView}, ${refs.length} refs`;
}

export function describe(message: ConsensusMessage): string {
  switch (message.type) {
    case 'proposal':
      return `PROPOSAL ${describeBlock(message.proposal.block)}, ${message.proposal.skips.length} skips`;
    case 'vote': {
      const { kind, view, blockHash: hash } = message.vote;
      return `${VOTE_KIND_NAMES[kind].toUpperCase()} view ${view}${kind === 2 ? '' : ` ${short(hash)}`}`;
    }
    case 'certificate': {
      const { kind, view, blockHash: hash } = message.certificate;
      const name = { notarize: 'notarization', nullify: 'nullification', finalize: 'finalization' }[
        VOTE_KIND_NAMES[kind]
      ];
      return `certificate: ${name} view ${view}${kind === 2 ? '' : ` ${short(hash)}`}`;
    }
    case 'handOver': {
      const { boundaryHeader, path } = message.proof;
      return `HAND-OVER of epoch ${boundaryHeader.epoch}, height ${boundaryHeader.height}, path of ${path.length}`;
    }
  }
}

/** Kind and view of a message, as numbers for the hash. */
export function numbersOf(message: ConsensusMessage): number[] {
  switch (message.type) {
    case 'proposal':
      return [0, message.proposal.block.header.view, message.proposal.leaderSignature[0]!];
    case 'vote':
      return [message.vote.kind, message.vote.view, message.vote.signature[0]!];
    case 'certificate':
      return [10 + message.certificate.kind, message.certificate.view, message.certificate.signature[0]!];
    case 'handOver':
      return [20, message.proof.boundaryHeader.epoch, message.proof.certificate.signature[0]!];
  }
}
