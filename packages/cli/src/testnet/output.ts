/** Where the testnet prints: a terminal that is drawn in place, or plain lines. */

import { LiveBlock, type ScreenStyle } from '@squad/testnet';

export interface Output {
  readonly style: ScreenStyle;
  /** True if `draw` may be used. */
  readonly live: boolean;
  line(text: string): void;
  draw(text: string): void;
}

export function createOutput(stream: NodeJS.WriteStream): Output {
  // A reader that went away (`squad testnet | head`) must not end the network with a stack.
  stream.on('error', () => {});
  const live = stream.isTTY === true && process.env.TERM !== 'dumb';
  const style: ScreenStyle = { color: live && process.env.NO_COLOR === undefined };
  if (!live) {
    return { style, live, line: (text) => void stream.write(`${text}\n`), draw: () => {} };
  }
  const block = new LiveBlock({
    write: (text) => void stream.write(text),
    get columns() {
      return stream.columns;
    },
  });
  return { style, live, line: (text) => block.print(text), draw: (text) => block.draw(text) };
}
