/**
 * Single calls of a disk that fail, whatever they ask for: an append, a sync, a write of the index, a read. The log and the
 * index each take no more writes after one that failed, as the real ones do; a read may go well the next time.
 */

import type { DiskCallKind } from '@squad/consensus/sim';
import type { KeyValueStore } from '@squad/storage';

type Part = 'log' | 'index';

/** What the code of a node gets of such a call. */
export class DiskCallFailed extends Error {
  readonly part: Part;
  readonly isWrite: boolean;

  constructor(part: Part, call: string, isWrite: boolean) {
    super(`${part}.${call} failed`);
    this.part = part;
    this.isWrite = isWrite;
  }
}

/** Whether an error comes from such a call, by whatever way. */
export function callThatFailed(error: unknown): DiskCallFailed | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof DiskCallFailed) return at;
  return undefined;
}

export class DiskCalls {
  readonly #onFailure: (failure: DiskCallFailed) => void;
  /** Calls up to the one that fails, that one included; undefined: none will. */
  #due: { readonly kind: DiskCallKind; left: number } | undefined;
  /** What takes no more writes in this life, and why. */
  readonly #refusing = new Map<Part, DiskCallFailed>();
  /** The last failure of this life. */
  last: DiskCallFailed | undefined;
  /** Looks from outside that are under way. */
  #looks = 0;

  constructor(onFailure: (failure: DiskCallFailed) => void) {
    this.#onFailure = onFailure;
  }

  /** False if one is to fail already. */
  failAt(kind: DiskCallKind, nth: number): boolean {
    if (this.#due) return false;
    this.#due = { kind, left: nth };
    return true;
  }

  /** From now on no call fails that has not failed yet. */
  spare(): void {
    this.#due = undefined;
  }

  /** The next life finds a disk that works. */
  reset(): void {
    this.spare();
    this.last = undefined;
    this.#refusing.clear();
  }

  /** What is read meanwhile is read by the world, and does not fail. */
  async aside<T>(look: () => Promise<T>): Promise<T> {
    this.#looks++;
    try {
      return await look();
    } finally {
      this.#looks--;
    }
  }

  /** How this call fails; undefined: it does not. */
  next(part: Part, call: string, isWrite = false): DiskCallFailed | undefined {
    if (this.#looks > 0) return undefined;
    const refused = isWrite ? this.#refusing.get(part) : undefined;
    if (refused || !this.#due || !isOf(this.#due.kind, part, isWrite) || --this.#due.left > 0) return refused;
    this.spare();
    const failure = new DiskCallFailed(part, call, isWrite);
    if (isWrite) this.#refusing.set(part, failure);
    this.last = failure;
    this.#onFailure(failure);
    return failure;
  }

  /** The key-value store with these calls. */
  around(store: KeyValueStore): KeyValueStore {
    const or = <T>(failure: DiskCallFailed | undefined, call: () => Promise<T>) =>
      failure ? Promise.reject(failure) : call();
    return {
      get: (key) => or(this.next('index', 'get'), () => store.get(key)),
      getMany: (keys) => or(this.next('index', 'getMany'), () => store.getMany(keys)),
      write: (entries, options) => or(this.next('index', 'write', true), () => store.write(entries, options)),
      range: (options) => {
        const failure = this.next('index', 'range');
        return failure ? failing(failure) : store.range(options);
      },
      close: () => store.close(),
    };
  }
}

function isOf(kind: DiskCallKind, part: Part, isWrite: boolean): boolean {
  return kind === 'any' || (kind === 'read' ? !isWrite : isWrite && part === 'index');
}

// biome-ignore lint/correctness/useYield: it fails before it has anything to yield
export async function* failing(failure: DiskCallFailed): AsyncGenerator<never> {
  throw failure;
}
