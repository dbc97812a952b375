/** What a person sees: figures in place, nothing that wraps or is left over. */

import { describe, expect, it } from 'vitest';
import { endpointTable, fit, LiveBlock, type NodeObservation, statusLine, statusLines } from '../src/index.ts';

const PLAIN = { color: false };

function node(more: Partial<NodeObservation> = {}): NodeObservation {
  return {
    name: 'sequencer-0',
    state: 'ready',
    view: 120,
    finalHeight: 118,
    softLagMs: 41.6,
    finalLagMs: 63,
    peers: 4,
    transactions: 500,
    observedAtMs: 10_000,
    ...more,
  };
}

describe('statusLines', () => {
  it('shows one aligned line a node, with rates over the time between observations', () => {
    const before = node({ transactions: 300, observedAtMs: 8_000 });
    const lines = statusLines(PLAIN, [node(), node({ name: 'rollup-901', state: 'syncing' })], [before, before]).split(
      '\n',
    );
    expect(lines).toHaveLength(3);
    expect(lines[1]).toMatch(/^sequencer-0 +ready +120 +118 +42 ms +63 ms +4 +100 +500$/);
    expect(lines[2]).toMatch(/^rollup-901 +syncing/);
    expect(lines[0]!.indexOf('state')).toBe(lines[1]!.indexOf('ready'));
  });

  it('shows the L1 anchor of a network that has one', () => {
    const lines = statusLines(PLAIN, [node({ l1Anchor: 77 }), node({ name: 'rollup-901' })], undefined).split('\n');
    expect(lines[0]).toMatch(/transactions +L1 anchor$/);
    expect(lines[1]).toMatch(/500 +77$/);
    expect(lines[2]).toMatch(/500 +–$/);
    expect(statusLines(PLAIN, [node({ l1Anchor: 0 })], undefined)).not.toContain('L1');
  });

  it('shows what is not known as such, and why a node is down', () => {
    const dead: NodeObservation = { name: 'sequencer-3', state: 'exited', detail: 'signal SIGKILL', observedAtMs: 1 };
    const line = statusLines(PLAIN, [dead], undefined).split('\n')[1]!;
    expect(line).toContain('exited (signal SIGKILL)');
    expect(line).toMatch(/–( +–){6}$/);
  });

  it('shows no negative rate after a restart', () => {
    const line = statusLines(PLAIN, [node({ transactions: 1 })], [node({ observedAtMs: 9_000 })]).split('\n')[1]!;
    expect(line).toMatch(/ 0\.0 +1$/);
  });

  it('fits one line where there is no terminal', () => {
    const other = node({ name: 'rollup-901', state: 'unreachable' });
    expect(statusLine([node(), other], [node({ transactions: 499, observedAtMs: 9_000 }), other])).toBe(
      'sequencer-0 view 120 height 118 1.0 tx/s | rollup-901 unreachable',
    );
  });
});

describe('endpointTable', () => {
  it('has a row a process and no trailing spaces', () => {
    const table = endpointTable(PLAIN, [
      { name: 'rollup-901', rpc: 'http://127.0.0.1:8545', p2p: '', metrics: 'http://127.0.0.1:9749' },
    ]);
    expect(table.split('\n')).toHaveLength(2);
    expect(table).not.toMatch(/ $/m);
  });
});

describe('LiveBlock', () => {
  /** A terminal as far as the block uses one. */
  function screen(columns: number) {
    const lines: string[] = [''];
    let row = 0;
    return {
      columns,
      lines: () => lines.filter((line, index) => index < lines.length - 1 || line !== ''),
      write(text: string) {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
        for (const [token] of text.matchAll(/\x1b\[\d*[AKJ]|\n|\r|[^\x1b\n\r]+/g)) {
          if (token.endsWith('A') && token.startsWith('\x1b')) row -= Number.parseInt(token.slice(2), 10);
          else if (token === '\x1b[J') lines.splice(row, lines.length, '');
          else if (token === '\n') lines[++row] ??= '';
          else if (token !== '\r' && token !== '\x1b[K') lines[row] = token;
        }
      },
    };
  }

  it('replaces itself, keeps what is printed above, and leaves nothing over', () => {
    const terminal = screen(40);
    const block = new LiveBlock(terminal);
    block.draw('a 1\nb 1\nc 1');
    block.draw('a 2\nb 2');
    expect(terminal.lines()).toEqual(['a 2', 'b 2']);
    block.print('notice');
    block.draw('a 3\nb 3');
    expect(terminal.lines()).toEqual(['notice', 'a 3', 'b 3']);
  });

  it('cuts lines to the width of the terminal, colors not counted', () => {
    expect(fit('abcdef', 4)).toBe('abc…');
    expect(fit('abcd', 4)).toBe('abcd');
    expect(fit('\x1b[31mabcdef\x1b[0m', 4)).toBe('\x1b[31mabc…\x1b[0m');
    expect(fit('\x1b[31mab\x1b[0mcd', 4)).toBe('\x1b[31mab\x1b[0mcd');
  });
});
