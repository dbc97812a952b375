/** Ctrl-C and its relatives: the first asks for an orderly stop, a later one for an immediate one. */

/** One key press may arrive twice, from the terminal and passed on by npm. */
const SAME_PRESS_MS = 500;

export interface Interrupts {
  readonly first: AbortSignal;
  /** Called at every request after the first. */
  onSecond(listener: () => void): void;
}

export function stoppable(): Interrupts {
  const controller = new AbortController();
  let firstAtMs: number | undefined;
  let listener: () => void = () => {};
  const request = () => {
    if (firstAtMs === undefined) {
      firstAtMs = performance.now();
      controller.abort(new Error('stopped'));
    } else if (performance.now() - firstAtMs > SAME_PRESS_MS) listener();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, request);
  return {
    first: controller.signal,
    onSecond: (added) => {
      listener = added;
    },
  };
}
