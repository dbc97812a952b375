/**
 * Metrics as a port: whoever measures needs no library, and tests need no registry. Names are
 * `squad_<part>_<name>_<unit>` in base units; label values come from closed sets, which bounds the number of series.
 */

import {
  collectDefaultMetrics,
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from 'prom-client';

/** Per label the values that it may have. */
export type LabelSets<Label extends string> = Readonly<Record<Label, readonly string[]>>;
export type Labels<Label extends string> = Readonly<Record<Label, string>>;
/** The labels argument is left out when there are none. */
type LabelArguments<Label extends string> = [Label] extends [never] ? [] : [labels: Labels<Label>];

export interface Counter<Label extends string = never> {
  increment(...labels: LabelArguments<Label>): void;
  add(amount: number, ...labels: LabelArguments<Label>): void;
}

export interface Gauge<Label extends string = never> {
  set(value: number, ...labels: LabelArguments<Label>): void;
}

export interface Histogram<Label extends string = never> {
  observe(value: number, ...labels: LabelArguments<Label>): void;
}

export interface MetricDefinition<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels?: LabelSets<Label>;
}

export interface TotalsDefinition<Label extends string> extends MetricDefinition<Label> {
  readonly label: Label;
  readonly labels: LabelSets<Label>;
  readonly read: () => Readonly<Record<string, number>>;
}

export interface Metrics {
  /** The name ends in `_total`. */
  counter<const Label extends string = never>(definition: MetricDefinition<Label>): Counter<Label>;
  /** Counts that somebody else keeps, by the values of one label: asked for at every scrape. The name ends in `_total`. */
  totals<const Label extends string>(definition: TotalsDefinition<Label>): void;
  /** With `read`, the value is asked for at every scrape. */
  gauge<const Label extends string = never>(
    definition: MetricDefinition<Label> & { readonly read?: () => number },
  ): Gauge<Label>;
  /** `buckets`: upper bounds, ascending, in the unit of the name. */
  histogram<const Label extends string = never>(
    definition: MetricDefinition<Label> & { readonly buckets: readonly number[] },
  ): Histogram<Label>;
}

export interface PrometheusMetrics extends Metrics {
  /** Text in the Prometheus exposition format. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** Throws nothing, keeps nothing. */
export const noMetrics: Metrics = {
  counter: () => ({ increment: () => {}, add: () => {} }),
  totals: () => {},
  gauge: () => ({ set: () => {} }),
  histogram: () => ({ observe: () => {} }),
};

/** A value outside the closed set of its label is counted as this one: a bug must not grow the number of series. */
const OTHER = 'other';
/** squad, part, at least one word, unit. */
const NAME = /^squad_[a-z0-9]+_[a-z0-9_]+_[a-z]+$/;

/** `processMetrics`: also CPU, memory, open files, garbage collection and event-loop lag of this process. */
export function createPrometheusMetrics(options: { readonly processMetrics?: boolean } = {}): PrometheusMetrics {
  const registry = new Registry();
  if (options.processMetrics ?? true) collectDefaultMetrics({ register: registry });
  const names = new Set<string>();
  const settings = <Label extends string>(definition: MetricDefinition<Label>) => {
    const { name, help, labels } = definition;
    if (!NAME.test(name)) throw new Error(`the metric name "${name}" is not squad_<part>_<name>_<unit>`);
    if (names.has(name)) throw new Error(`the metric "${name}" is defined twice`);
    names.add(name);
    return { name, help, labelNames: Object.keys(labels ?? {}) as Label[], registers: [registry] };
  };
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    counter: <Label extends string>(definition: MetricDefinition<Label>): Counter<Label> => {
      checkTotal(definition.name);
      const series = seriesBy(new PromCounter(settings(definition)), definition.labels);
      return {
        increment: (...labels) => series(labels).inc(1),
        add: (amount, ...labels) => series(labels).inc(amount),
      };
    },
    totals: <Label extends string>({ label, labels, read, ...definition }: TotalsDefinition<Label>): void => {
      checkTotal(definition.name);
      new PromCounter<Label>({
        ...settings({ ...definition, labels }),
        collect() {
          this.reset();
          const counts = read();
          for (const value of labels[label]) this.inc({ [label]: value } as Labels<Label>, counts[value] ?? 0);
        },
      });
    },
    gauge: <Label extends string>(
      definition: MetricDefinition<Label> & { readonly read?: () => number },
    ): Gauge<Label> => {
      const { read } = definition;
      const gauge = new PromGauge({
        ...settings(definition),
        ...(read === undefined
          ? {}
          : {
              collect(this: PromGauge<Label>) {
                this.set(read());
              },
            }),
      });
      const series = seriesBy(gauge, definition.labels);
      return { set: (value, ...labels) => series(labels).set(value) };
    },
    histogram: <Label extends string>(
      definition: MetricDefinition<Label> & { readonly buckets: readonly number[] },
    ): Histogram<Label> => {
      const histogram = new PromHistogram({ ...settings(definition), buckets: [...definition.buckets] });
      const series = seriesBy(histogram, definition.labels);
      return { observe: (value, ...labels) => series(labels).observe(value) };
    },
  };
}

function checkTotal(name: string): void {
  if (!name.endsWith('_total')) throw new Error(`the counter "${name}" must end in _total`);
}

/**
 * Finds the series of a set of labels. Resolved once and kept: a lookup is one string and one map access. The number of
 * series is at most the product of the sets' sizes.
 */
function seriesBy<Label extends string, Series>(
  metric: { labels(values: Record<Label, string>): Series },
  sets: LabelSets<Label> | undefined,
): (labels: LabelArguments<Label>) => Series {
  const entries = Object.entries(sets ?? {}) as [Label, readonly string[]][];
  if (entries.length === 0) {
    const only = metric.labels({} as Record<Label, string>);
    return () => only;
  }
  const known = entries.map(([label, values]) => [label, new Set(values)] as const);
  const cache = new Map<string, Series>();
  return ([given]) => {
    const labels = given as Labels<Label>;
    let key = '';
    for (const [label, values] of known) key += `${values.has(labels[label]) ? labels[label] : OTHER}\n`;
    let series = cache.get(key);
    if (series === undefined) {
      const values = key.split('\n');
      series = metric.labels(
        Object.fromEntries(known.map(([label], i) => [label, values[i]])) as Record<Label, string>,
      );
      cache.set(key, series);
    }
    return series;
  };
}
