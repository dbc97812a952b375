/** What one transaction sees of the state: its own writes over what was there before. Dropped if it is refused. */

import type { KeyValueState } from './executor.ts';

/** UTF-16 units of a key. */
export const MAX_STATE_KEY_LENGTH = 1024;
/** UTF-16 units of a value. */
export const MAX_STATE_VALUE_LENGTH = 65_536;
/** Keys that one transaction may write. */
export const MAX_WRITES_PER_TRANSACTION = 1024;

export class StateView implements KeyValueState {
  readonly writes = new Map<string, string>();
  /** What the store threw, also if the rules caught it. */
  fault: unknown;
  readonly #before: (key: string) => string;
  #isOpen = true;

  constructor(before: (key: string) => string) {
    this.#before = before;
  }

  get = (key: string): string => {
    this.#check(key);
    const written = this.writes.get(key);
    if (written !== undefined) return written;
    try {
      return this.#before(key);
    } catch (error) {
      this.fault = error;
      throw error;
    }
  };

  set = (key: string, value: string): void => {
    this.#check(key);
    if (typeof value !== 'string') throw new TypeError(`the value of "${key}" is no string`);
    if (value.length > MAX_STATE_VALUE_LENGTH) {
      throw new RangeError(`the value of "${key}" has ${value.length} characters, more than ${MAX_STATE_VALUE_LENGTH}`);
    }
    if (!value.isWellFormed()) throw new TypeError(`the value of "${key}" holds a lone surrogate`);
    if (!this.writes.has(key) && this.writes.size >= MAX_WRITES_PER_TRANSACTION) {
      throw new RangeError(`a transaction writes more than ${MAX_WRITES_PER_TRANSACTION} keys`);
    }
    this.writes.set(key, value);
  };

  close(): void {
    this.#isOpen = false;
  }

  #check(key: string): void {
    if (!this.#isOpen) throw new Error('the state was used after the rules returned');
    if (typeof key !== 'string' || key === '') throw new TypeError('a key is a string with one character or more');
    if (key.length > MAX_STATE_KEY_LENGTH) {
      throw new RangeError(`a key has ${key.length} characters, more than ${MAX_STATE_KEY_LENGTH}`);
    }
    // Two such keys would be one in the store.
    if (!key.isWellFormed()) throw new TypeError('a key holds a lone surrogate');
  }
}
