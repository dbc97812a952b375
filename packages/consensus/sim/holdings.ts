/** The batches that one node holds, of all epochs, and what of them it has accepted itself. */

import type { Block } from '@squad/types';
import type { HeldBatch } from '../src/api.ts';
import { BatchStore } from './batches.ts';
import type { PlannedEpoch } from './epoch-plan.ts';
import { Payloads } from './payloads.ts';
import type { World } from './world.ts';

export class Holdings {
  readonly payloads = new Payloads();
  readonly #world: World;
  readonly #stores = new Map<number, BatchStore>();

  constructor(world: World) {
    this.#world = world;
  }

  of({ number, members }: PlannedEpoch): BatchStore {
    let store = this.#stores.get(number);
    if (!store) {
      store = new BatchStore(members.length);
      this.#stores.set(number, store);
    }
    return store;
  }

  get(digest: Uint8Array): HeldBatch | undefined {
    return this.#storeOf(digest)?.get(digest);
  }

  isDurable(digest: Uint8Array): boolean {
    return this.#storeOf(digest)?.isDurable(digest) ?? false;
  }

  /** False if it was held already. */
  keep(batch: HeldBatch, isOwn: boolean): boolean {
    const { batches, plan } = this.#world;
    const { digest } = batch.ref;
    const epoch = batches.epochOf(digest);
    if (isOwn && this.#world.schedule.epochs) this.payloads.seal(batches.payloadOf(digest)!, epoch);
    return this.of(plan.at(epoch)).add(batch);
  }

  setDurable(batch: HeldBatch): void {
    const { digest } = batch.ref;
    this.#storeOf(digest)!.setDurable(batch);
    if (this.#world.schedule.epochs) this.payloads.setDurable(this.#world.batches.payloadOf(digest)!);
  }

  /** What a final block orders. Only epochs end with something left. */
  order({ refs }: Block): void {
    if (!this.#world.schedule.epochs) return;
    for (const { digest } of refs) this.payloads.order(this.#world.batches.payloadOf(digest));
  }

  #storeOf(digest: Uint8Array): BatchStore | undefined {
    return this.#stores.get(this.#world.batches.epochOf(digest));
  }
}
