/** Traces of `spec/voting.qnt` in the Informal Trace Format, as `spec/run.mjs` writes them. */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface ItfMap<V> {
  readonly '#map': readonly (readonly [number, V])[];
}
interface ItfSet {
  readonly '#set': readonly number[];
}

interface ItfNode {
  readonly view: number;
  readonly notarized: ItfMap<number>;
  readonly nullified: ItfSet;
  readonly finalized: ItfMap<number>;
  readonly restartView: number;
  readonly notarizations: ItfMap<number>;
  readonly nullifications: ItfSet;
  readonly final: number;
  readonly fresh: boolean;
}

export type StepName =
  | 'init'
  | 'propose'
  | 'proposeByzantine'
  | 'takeProposal'
  | 'takeNotarization'
  | 'takeNullification'
  | 'takeFinalization'
  | 'timeout'
  | 'takeBadProposal'
  | 'takeLeaderNullify'
  | 'restart';

interface ItfState {
  readonly nodes: ItfMap<ItfNode>;
  readonly parents: ItfMap<number>;
  readonly onFinalized: ItfSet;
  readonly last: {
    readonly name: StepName;
    readonly node: number;
    readonly view: number;
    readonly block: number;
    readonly mayNotarize: boolean;
    readonly mayNullify: boolean;
    readonly mayFinalize: ItfSet;
  };
}

/** A node's state, in an order and a form that can be compared. */
export interface NodeState {
  readonly view: number;
  readonly notarized: readonly (readonly [number, number])[];
  readonly nullified: readonly number[];
  readonly finalized: readonly (readonly [number, number])[];
  readonly final: number;
}

export interface TraceStep extends Omit<ItfState['last'], 'mayFinalize'> {
  readonly mayFinalize: readonly number[];
  /** Of each honest validator after the step. */
  readonly nodes: ReadonlyMap<number, NodeState & Pick<ItfNode, 'restartView' | 'fresh'> & Held>;
  readonly parents: ReadonlyMap<number, number>;
  readonly onFinalized: ReadonlySet<number>;
}

interface Held {
  readonly notarizations: readonly (readonly [number, number])[];
  readonly nullifications: readonly number[];
}

export interface ModelTrace {
  readonly name: string;
  readonly size: number;
  readonly steps: readonly TraceStep[];
}

const FOLDER = fileURLToPath(new URL('../../../../spec/traces/', import.meta.url));
const ascending = (a: number, b: number): number => a - b;
export const byView = (a: readonly [number, unknown], b: readonly [number, unknown]): number => a[0] - b[0];

export function readTraces(): ModelTrace[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith('.itf.json'))
    .sort()
    .map((name) => {
      const { '#meta': meta, states } = JSON.parse(readFileSync(FOLDER + name, 'utf8')) as {
        '#meta': { main: string };
        states: ItfState[];
      };
      return { name, size: Number(meta.main.slice('voting'.length)), steps: states.map(stepOf) };
    });
}

function stepOf({ nodes, parents, onFinalized, last }: ItfState): TraceStep {
  return {
    ...last,
    mayFinalize: [...last.mayFinalize['#set']].sort(ascending),
    nodes: new Map(
      nodes['#map'].map(([index, node]) => [
        index,
        {
          view: node.view,
          restartView: node.restartView,
          fresh: node.fresh,
          final: node.final,
          notarized: [...node.notarized['#map']].sort(byView),
          finalized: [...node.finalized['#map']].sort(byView),
          nullified: [...node.nullified['#set']].sort(ascending),
          notarizations: [...node.notarizations['#map']].sort(byView),
          nullifications: [...node.nullifications['#set']].sort(ascending),
        },
      ]),
    ),
    parents: new Map(parents['#map']),
    onFinalized: new Set(onFinalized['#set']),
  };
}

/** A block's number is twice its view, plus one for an equivocating leader's second one. */
export const viewOf = (block: number): number => block >> 1;
