/** What a campaign needs to know of a simulator: schedules are lines of text, and a run of one has an outcome. */

export interface Failure {
  readonly invariant: string;
  readonly message: string;
  readonly trace: string;
}

export interface Outcome {
  /** Of every event in order: two runs of a schedule have the same. */
  readonly logHash: string;
  /** How often each kind of fault, adversary, message and event occurred. */
  readonly counts: ReadonlyMap<string, number>;
  readonly steps: number;
  readonly finalHeight: number;
  /** Undefined if every invariant held. */
  readonly failure: Failure | undefined;
  /** Schedules that differ from this one by being smaller, the greatest steps first. */
  simpler(): Iterable<string>;
}

/** What may be drawn, as given on the command line; what is left out is drawn from all. */
export interface DrawOptions {
  readonly nodes?: number;
  readonly faults?: readonly string[];
  readonly adversaries?: readonly string[];
  readonly troubleMs?: number;
  readonly settles?: boolean;
  readonly overload?: boolean;
}

export interface Mode {
  readonly name: string;
  readonly faults: readonly string[];
  readonly adversaries: readonly string[];
  /** Kinds of events that a campaign of some thousand schedules must have reached, by the rule that they belong to. */
  readonly rules: Readonly<Record<string, readonly string[]>>;
  draw(seed: number, options: DrawOptions): string;
  /** `traceLines`: of a failure's trace; 0 for none, which is faster. Throws a RangeError for what is no schedule. */
  run(schedule: string, traceLines: number): Promise<Outcome>;
}
