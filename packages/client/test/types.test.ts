/** What callers see of the types: discriminated results, options that may be left out, nothing that is `any`. */

import type { Genesis, OrderingReceipt, Result, SquadError } from '@squad/types';
import { describe, expectTypeOf, it } from 'vitest';
import {
  type CertificateChecker,
  type CertifiedBlock,
  type Checkpoint,
  checkpointOf,
  createVerifier,
  type createVoteScheme,
  type Fault,
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
  type OrderedBundle,
  type OrderedTransaction,
  type ProvenBlock,
  proveTransaction,
  type Submitted,
  submit,
  type VerifiedBlock,
  type VerifiedReceipt,
  type Verifier,
  verifyBlockProof,
  verifyBundle,
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
    expectTypeOf(verifyBlockProof).returns.toEqualTypeOf<Result<CertifiedBlock, SquadError>>();
    expectTypeOf(verifyBundle).returns.toEqualTypeOf<Result<OrderedBundle, SquadError>>();
    expectTypeOf(verifyBundle).toBeCallableWith([new Uint8Array(), {} as OrderingReceipt], {} as Checkpoint);
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

  it('of the checks themselves', () => {
    const scheme = {} as ReturnType<typeof createVoteScheme>;
    const { checkpoint, validatorSet } = {} as NetworkAccess;
    const config = { ...checkpoint, validatorSet, scheme, sha256: native.sha256, rollupId: 901 };
    void (() => createVerifier(config));
    expectTypeOf(createVerifier).returns.toEqualTypeOf<Verifier>();
    expectTypeOf<CertificateChecker['check']>().returns.toEqualTypeOf<Fault | undefined>();
  });

  it('of the light client', () => {
    expectTypeOf<LightClient['known']>().toEqualTypeOf<KnownSet>();
    expectTypeOf(lightClientSource).returns.toEqualTypeOf<LightClientSource>();
    expectTypeOf<NetworkAccess>().toExtend<KnownSet>();
  });
});
