/**
 * The model in `spec/` and the code, each held to the other: traces of the model replayed by real cores, and runs of the
 * simulator checked against the model's rules.
 */

import { describe, expect, it } from 'vitest';
import { drawSchedule } from '../sim/schedule.ts';
import { World } from '../sim/world.ts';
import { Consensus } from '../src/core.ts';
import { Conformance, type Reached } from './model/conformance.ts';
import { readTraces, type TraceStep, viewOf } from './model/itf.ts';
import { Replay } from './model/replay.ts';
import { ModelNode } from './model/voting.ts';

const TRACES = readTraces();

function where(name: string, index: number, step: TraceStep): string {
  return `${name}, step ${index}: validator ${step.node}: ${step.name} of view ${step.view}, block ${step.block}`;
}

describe('traces of the model', () => {
  it('are there, and reach every kind of step', () => {
    expect(TRACES.length).toBeGreaterThanOrEqual(6);
    const reached = new Set(TRACES.flatMap(({ steps }) => steps.map(({ name }) => name)));
    expect([...reached].sort()).toEqual([
      'init',
      'propose',
      'proposeByzantine',
      'restart',
      'takeBadProposal',
      'takeFinalization',
      'takeLeaderNullify',
      'takeNotarization',
      'takeNullification',
      'takeProposal',
      'timeout',
    ]);
  });

  it.each(TRACES)('$name: real cores cast the same votes and come to the same views', ({ name, size, steps }) => {
    const replay = new Replay(size, steps[0]!.nodes.keys());
    steps.forEach((step, index) => {
      if (index > 0) replay.take(step, steps[index - 1]!);
      for (const [model, { view, notarized, nullified, finalized, final }] of step.nodes) {
        const expected = { view, notarized, nullified, finalized, final };
        expect(replay.stateOf(model), `${where(name, index, step)}; state of ${model}`).toEqual(expected);
      }
    });
  });

  it.each(TRACES)('$name: the rules in TypeScript permit the same and come to the same state', ({ name, steps }) => {
    const nodes = new Map([...steps[0]!.nodes.keys()].map((index) => [index, new ModelNode(0)]));
    steps.forEach((step, index) => {
      if (index === 0 || step.name === 'proposeByzantine') return;
      const node = nodes.get(step.node)!;
      follow(node, step);
      const { proposed: _, closed: __, ...expected } = step.nodes.get(step.node)! as never as Record<string, unknown>;
      expect(stateOf(node), where(name, index, step)).toEqual(expected);
      const may = { notarize: node.mayNotarize, nullify: node.mayNullify };
      expect(may, where(name, index, step)).toEqual({ notarize: step.mayNotarize, nullify: step.mayNullify });
      const views = Array.from({ length: step.mayFinalize.length + 16 }, (_unused, i) => i + 1).filter(
        (view) => view <= (name.startsWith('voting4') ? 6 : 5),
      );
      const finalizable = views.filter((view) => node.mayFinalize(view, node.notarized.get(view) ?? 2 * view));
      expect(finalizable, where(name, index, step)).toEqual(step.mayFinalize);
    });
  });
});

describe('runs of the simulator', () => {
  const reached: Reached = new Map();
  const SCHEDULES = 480;
  /** From here on some schedules reach even what is rare: a notarization that comes when its view was left long ago. */
  const FIRST_SEED = 1_501;
  const PARTS = 16;

  it.each(Array.from({ length: PARTS }, (_, part) => part))('keep to the model, part %i', (part) => {
    for (let seed = FIRST_SEED + part; seed < FIRST_SEED + SCHEDULES; seed += PARTS) {
      const world = new World(drawSchedule(seed, { overload: false }), 0);
      const conformance = new Conformance(world, reached);
      try {
        observed(conformance, () => world.run());
      } catch (cause) {
        throw new Error(`seed ${seed}`, { cause });
      }
    }
  });

  it('reach what the model speaks of', () => {
    const expected = [
      'FINALIZE of an earlier view',
      'NOTARIZE after a skip',
      'NULLIFY after NOTARIZE',
      'NULLIFY of the view of a restart',
      'finalize',
      'notarize',
      'nullify',
      'restart',
    ];
    expect(expected.filter((kind) => !reached.has(kind))).toEqual([]);
  });
});

/** Runs `act` with every step of every core shown to the checker: the simulator need not know of it. */
function observed(conformance: Conformance, act: () => void): void {
  const { step } = Consensus.prototype;
  Consensus.prototype.step = function (...input) {
    const outputs = step.apply(this, input);
    conformance.stepped(this, outputs);
    return outputs;
  };
  try {
    act();
  } finally {
    Consensus.prototype.step = step;
  }
}

/** The step, by the guards in TypeScript. */
function follow(node: ModelNode, { name, view, block, parents, onFinalized }: TraceStep): void {
  const learn = (kind: 'notarize' | 'nullify' | 'finalize', of: number, what: number) => {
    const isNew = !node.holds(kind, of);
    if (isNew && kind === 'notarize' && node.mayFinalize(of, what)) node.finalized.set(of, what);
    node.learn(kind, { block: what, view: of });
  };
  switch (name) {
    case 'propose':
      expect(node.isJustified({ block: parents.get(block)!, view: viewOf(parents.get(block)!) })).toBe(true);
      node.notarized.set(view, block);
      return;
    case 'takeProposal': {
      const parent = parents.get(block)!;
      if (parent !== 0) learn(onFinalized.has(block) ? 'finalize' : 'notarize', viewOf(parent), parent);
      for (let skipped = viewOf(parent) + 1; skipped < view; skipped++) learn('nullify', skipped, 0);
      expect(node.isJustified({ block: parent, view: viewOf(parent) })).toBe(true);
      if (node.mayNotarize) node.notarized.set(view, block);
      return;
    }
    case 'takeNotarization':
      return learn('notarize', view, block);
    case 'takeFinalization':
      return learn('finalize', view, block);
    case 'takeNullification':
      return learn('nullify', view, 0);
    case 'restart':
      return node.restart();
    default:
      node.nullified.add(view);
  }
}

const ascending = (a: number, b: number): number => a - b;
const entries = (map: ReadonlyMap<number, unknown>) => [...map].sort(([a], [b]) => a - b);

function stateOf(node: ModelNode) {
  return {
    view: node.view,
    restartView: node.restartView,
    fresh: node.fresh,
    final: node.final.block,
    notarized: entries(node.notarized),
    finalized: entries(node.finalized),
    nullified: [...node.nullified].sort(ascending),
    notarizations: entries(node.notarizations),
    nullifications: [...node.nullifications].sort(ascending),
  };
}
