/** What callers see of the types: discriminated results, options that may be left out, nothing that is `any`. */

import type { Genesis, OrderingReceipt, Result, SquadError } from '@squad/types';
import { describe, expectTypeOf, it } from 'vitest';
import {
  type Checkpoint,
  checkpointOf,
  follow,
  getBlockProof,
  getReceipt,
  type KnownSet,
  type LightClient,
  type LightClientSource,
  lightClientSource,
  type Namespace,
  type NetworkAccess,
  networkAccess,
  type OrderedTransaction,
  type ProvenBlock,
  proveTransaction,
  type Submitted,
  submit,
  type VerifiedBlock,
  type VerifiedReceipt,
  verifyNamespace,
  verifyReceipt,
  watchTransaction,
} from '../src/index.ts';
import { native } from '../src/node.ts';

describe('types', () => {
  it('of proofs', () => {
    expectTypeOf(verifyReceipt).returns.toEqualTypeOf<Result<OrderedTransaction, SquadError>>();
    expectTypeOf(verifyReceipt).toBeCallableWith(new Uint8Array(), {} as Checkpoint);
    expectTypeOf(verifyReceipt).toBeCallableWith({} as OrderingReceipt, {} as Checkpoint, native);
    expectTypeOf(verifyNamespace).returns.toEqualTypeOf<Result<Namespace, SquadError>>();
    expectTypeOf(proveTransaction).returns.toEqualTypeOf<OrderingReceipt>();
    expectTypeOf(checkpointOf).parameter(0).toEqualTypeOf<Genesis>();
    expectTypeOf<OrderedTransaction['stage']>().toEqualTypeOf<'soft' | 'final'>();
  });

  it('of what asks sequencers', () => {
    expectTypeOf(networkAccess).toBeCallableWith({} as Genesis, ['http://127.0.0.1:8640']);
    expectTypeOf(networkAccess).toBeCallableWith({} as Genesis, ['http://127.0.0.1:8640'], native);
    expectTypeOf(submit).returns.toEqualTypeOf<Promise<Submitted>>();
    expectTypeOf(getReceipt).returns.toEqualTypeOf<Promise<VerifiedReceipt | undefined>>();
    expectTypeOf(getBlockProof).returns.toEqualTypeOf<Promise<VerifiedBlock | undefined>>();
    expectTypeOf(watchTransaction).returns.toEqualTypeOf<AsyncGenerator<VerifiedReceipt, void, undefined>>();
    expectTypeOf(follow).returns.toEqualTypeOf<AsyncGenerator<ProvenBlock, void, undefined>>();
    expectTypeOf(follow).toBeCallableWith({} as NetworkAccess, 901);
    // @ts-expect-error a stage is none of the places to wait for
    void (() => submit({} as NetworkAccess, 901, new Uint8Array(), { until: 'pending' }));
  });

  it('of the light client', () => {
    expectTypeOf<LightClient['known']>().toEqualTypeOf<KnownSet>();
    expectTypeOf(lightClientSource).returns.toEqualTypeOf<LightClientSource>();
    expectTypeOf<NetworkAccess>().toExtend<KnownSet>();
  });
});
