/** What a person sees of a running testnet: a table of endpoints, then one live line a node. Text only, no effects. */

import Table from 'cli-table3';
import type { NodeObservation } from './observe.ts';

export interface ScreenStyle {
  readonly color: boolean;
}

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export function paint(style: ScreenStyle, color: keyof typeof CODES, text: string): string {
  return style.color ? `\x1b[${CODES[color]}m${text}\x1b[0m` : text;
}

/** Rows of columns under a head, aligned, without lines. Numbers go right. */
export function plainTable(
  style: ScreenStyle,
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const none = '';
  const table = new Table({
    chars: {
      top: none,
      'top-mid': none,
      'top-left': none,
      'top-right': none,
      bottom: none,
      'bottom-mid': none,
      'bottom-left': none,
      'bottom-right': none,
      left: none,
      'left-mid': none,
      mid: none,
      'mid-mid': none,
      right: none,
      'right-mid': none,
      middle: '  ',
    },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colAligns: head.map((_, index) => (right.includes(index) ? 'right' : 'left')),
  });
  table.push(head.map((text) => paint(style, 'dim', text)));
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

export interface Endpoint {
  readonly name: string;
  readonly rpc: string;
  readonly p2p: string;
  /** Also of health. */
  readonly metrics: string;
}

export function endpointTable(style: ScreenStyle, endpoints: readonly Endpoint[]): string {
  return plainTable(
    style,
    ['process', 'JSON-RPC (HTTP, WebSocket)', 'p2p', 'metrics, health'],
    endpoints.map(({ name, rpc, p2p, metrics }) => [paint(style, 'cyan', name), rpc, p2p, metrics]),
  );
}

const HEAD = ['node', 'state', 'view', 'height', 'soft lag', 'final lag', 'peers', 'tx/s', 'transactions'];

/** The live lines, a head above them. `previous`: an observation some seconds older, for the rates. */
export function statusLines(
  style: ScreenStyle,
  nodes: readonly NodeObservation[],
  previous: readonly NodeObservation[] | undefined,
): string {
  const followsL1 = nodes.some(({ l1Anchor = 0 }) => l1Anchor > 0);
  const rows = nodes.map((node, index) => {
    const before = previous?.[index];
    return [
      node.name,
      stateText(style, node),
      numeric(node.view),
      numeric(node.finalHeight),
      milliseconds(node.softLagMs),
      milliseconds(node.finalLagMs),
      numeric(node.peers),
      rate(node, before),
      numeric(node.transactions),
      ...(followsL1 ? [numeric(node.l1Anchor)] : []),
    ];
  });
  const head = followsL1 ? [...HEAD, 'L1 anchor'] : HEAD;
  return plainTable(style, head, rows, [2, 3, 4, 5, 6, 7, 8, 9]);
}

/** One line for output that is not a terminal. */
export function statusLine(
  nodes: readonly NodeObservation[],
  previous: readonly NodeObservation[] | undefined,
): string {
  return nodes
    .map((node, index) => {
      if (node.state !== 'ready') return `${node.name} ${node.state}`;
      const perSecond = rate(node, previous?.[index]);
      return `${node.name} view ${numeric(node.view)} height ${numeric(node.finalHeight)} ${perSecond} tx/s`;
    })
    .join(' | ');
}

function stateText(style: ScreenStyle, node: NodeObservation): string {
  if (node.state === 'ready') return paint(style, 'green', 'ready');
  if (node.state === 'syncing') return paint(style, 'yellow', 'syncing');
  return paint(style, 'red', node.detail === undefined ? node.state : `${node.state} (${node.detail})`);
}

function numeric(value: number | undefined): string {
  return value === undefined ? '–' : String(value);
}

function milliseconds(value: number | undefined): string {
  return value === undefined ? '–' : `${Math.round(value)} ms`;
}

function rate(node: NodeObservation, before: NodeObservation | undefined): string {
  if (before?.transactions === undefined || node.transactions === undefined) return '–';
  const seconds = (node.observedAtMs - before.observedAtMs) / 1000;
  if (seconds <= 0) return '–';
  const perSecond = Math.max(0, node.transactions - before.transactions) / seconds;
  return perSecond < 10 ? perSecond.toFixed(1) : perSecond.toFixed(0);
}
