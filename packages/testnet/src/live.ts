/** A block of lines at the bottom of a terminal that is drawn anew in place, with other output above it. */

export interface Terminal {
  write(text: string): void;
  /** Undefined: not a terminal, or its size is unknown. */
  readonly columns: number | undefined;
}

export class LiveBlock {
  readonly #terminal: Terminal;
  #drawn = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Replaces the block. */
  draw(text: string): void {
    const lines = text.split('\n').map((line) => fit(line, this.#terminal.columns ?? 80));
    this.#terminal.write(`${this.#rewind()}${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`);
    this.#drawn = lines.length;
  }

  /** Prints above the block, which is drawn again by the next `draw`. */
  print(text: string): void {
    this.#terminal.write(`${this.#rewind()}\x1b[J${text}\n`);
    this.#drawn = 0;
  }

  /** To the block's first line. */
  #rewind(): string {
    return this.#drawn === 0 ? '' : `\x1b[${this.#drawn}A\r`;
  }
}

/** Cuts a line to a width, so that it never wraps; colors take no room. */
export function fit(line: string, columns: number): string {
  let width = 0;
  let out = '';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  for (const token of line.split(/(\x1b\[[0-9;]*m)/)) {
    if (token.startsWith('\x1b[')) {
      out += token;
      continue;
    }
    const room = columns - width;
    const kept = token.length > room ? `${token.slice(0, Math.max(0, room - 1))}${room > 0 ? '…' : ''}` : token;
    out += kept;
    width += kept.length;
  }
  return out;
}
