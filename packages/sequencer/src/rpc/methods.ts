/** The sequencer's JSON-RPC methods and subscriptions, as tables for `createRpcServer`. */

import {
  bytesOfHexes,
  defineMethod,
  defineSubscription,
  Hash,
  hexBytes,
  invalidParams,
  MAX_RPC_BODY_BYTES,
  Quantity,
  RpcCode,
  type RpcContext,
  RpcError,
  type RpcMethod,
  type RpcSubscription,
  rateLimited,
  toQuantity,
} from '@squad/service';
import { type GenesisRollup, MAX_BUNDLE_BATCHES, type RollupId, SquadError, toHex } from '@squad/types';
import { z } from 'zod';
import { chainIdOf } from '../admission/evm-transaction.ts';
import { type Rejection, rollupUnknown } from '../admission/rejection.ts';
import type { BundleTransaction, LanePlaces, SequenceBlock, SequencerApi, StagedBlock } from './api.ts';
import {
  type BlockJson,
  blockJson,
  certificateJson,
  encodedBlockJson,
  encodedSequenceBlockJson,
  outcomeJson,
  placesJson,
  rejectionJson,
  sequenceBlockJson,
  statusJson,
  validatorSetJson,
} from './format.ts';
import { MAX_SEQUENCE_SUBSCRIPTIONS, MAX_TRANSACTIONS_PER_CALL } from './limits.ts';
import { BlockParam, EpochParam, HeightParam, heightOf } from './parameters.ts';
import { receiptMethods } from './receipt-methods.ts';

/** Paths of the server: `/rollup/901` speaks for rollup 901 alone, `/` for all, with the first EVM rollup as default. */
export const SEQUENCER_RPC_PATHS: readonly string[] = ['/', '/rollup/:rollupId'];

/** The size of a transaction is checked at the door, which knows how to say so; here only the body bounds it. */
const RawTransaction = hexBytes({ maxBytes: MAX_RPC_BODY_BYTES });

export function sequencerMethods(node: SequencerApi): RpcMethod[] {
  const routes = new Routes(node.rollups);
  return [...ethereumMethods(node, routes), ...squadMethods(node, routes), ...receiptMethods(node)];
}

function ethereumMethods(node: SequencerApi, routes: Routes): RpcMethod[] {
  return [
    defineMethod({
      name: 'eth_sendRawTransaction',
      summary: 'Takes a signed transaction; the chain id in it says of which rollup',
      params: { transaction: RawTransaction },
      result: { name: 'hash', description: 'Keccak-256 of the transaction', schema: z.string() },
      handler: async ({ transaction }, context) => {
        const rollup = routes.ofTransaction(transaction, context);
        const [outcome] = await node.submit(rollup.rollupId, [transaction]);
        if (outcome === undefined) throw new Error('submit gave no outcome');
        if (!outcome.accepted) throw refusal(outcome.rejection);
        return outcome.hash;
      },
    }),
    defineMethod({
      name: 'eth_chainId',
      summary: 'Chain id of the rollup of this path',
      params: {},
      result: { name: 'chainId', description: 'Chain id as a quantity', schema: z.string() },
      handler: (_params, context) => toQuantity(routes.evmOfPath(context).rollupId),
    }),
    defineMethod({
      name: 'net_version',
      summary: 'Chain id of the rollup of this path, in decimal',
      params: {},
      result: { name: 'version', description: 'Chain id in decimal', schema: z.string() },
      handler: (_params, context) => String(routes.evmOfPath(context).rollupId),
    }),
    defineMethod({
      name: 'web3_clientVersion',
      summary: 'Software and version of this node',
      params: {},
      result: { name: 'version', description: 'Name, version, platform', schema: z.string() },
      handler: () => `squad/v${node.status().version}/${process.platform}-${process.arch}/node-${process.version}`,
    }),
  ];
}

function squadMethods(node: SequencerApi, routes: Routes): RpcMethod[] {
  return [
    defineMethod({
      name: 'squad_sendTransactions',
      summary: `Takes up to ${MAX_TRANSACTIONS_PER_CALL} transactions of one rollup, each with an outcome of its own`,
      params: {
        rollupId: Quantity,
        transactions: z
          .array(z.string())
          .min(1)
          .max(MAX_TRANSACTIONS_PER_CALL, `more than MAX_TRANSACTIONS_PER_CALL = ${MAX_TRANSACTIONS_PER_CALL}`)
          .describe('each 0x-prefixed hex'),
        answer: z
          .enum(['outcomes', 'places'])
          .default('outcomes')
          .describe('an outcome each, or the places in the lane of all that were accepted'),
      },
      result: {
        name: 'outcomes',
        description:
          'In order: {hash}, or {error: {code, message, data: {code, remedy}}}. As places: {epoch, author, places: [[seq, ' +
          'transactionIndex, count], …] of the accepted ones in order, rejected: [{index, error}, …]}. Places are of the lane of ' +
          'an epoch: what is not ordered when it ends gets others, and is then found by its hash',
      },
      // Not async: such a function keeps its parameters while it waits, here the text of up to a whole body.
      handler: ({ rollupId, transactions, answer }, context) => {
        const rollup = routes.byId(rollupId, context);
        const raw = bytesOrRefuse(transactions);
        // The call itself has paid for one.
        const retryAfterMs = context.charge(raw.length - 1);
        if (retryAfterMs > 0) throw rateLimited(retryAfterMs);
        if (answer === 'places') return submitForPlaces(node, rollup.rollupId, raw);
        return node.submit(rollup.rollupId, raw).then((outcomes) => outcomes.map(outcomeJson));
      },
    }),
    defineMethod({
      name: 'squad_sendBundle',
      summary: `Takes up to ${MAX_BUNDLE_BATCHES} transactions of any rollups that one block orders, one after the other, or none does`,
      params: {
        bundle: z
          .array(z.strictObject({ rollupId: Quantity, transaction: RawTransaction }))
          .min(1)
          .max(MAX_BUNDLE_BATCHES, `more than MAX_BUNDLE_BATCHES = ${MAX_BUNDLE_BATCHES}`)
          .describe('in the order in which they are to stand'),
      },
      result: {
        name: 'hashes',
        description:
          'Of the transactions, in order. An error names in data.index the transaction for which the whole bundle was refused, if it was for one',
        schema: z.array(z.string()),
      },
      handler: async ({ bundle }, context) => {
        const known = bundle.map(({ rollupId, transaction }) => ({
          rollupId: routes.byId(rollupId, context).rollupId,
          transaction,
        }));
        // The call itself has paid for one.
        const retryAfterMs = context.charge(known.length - 1);
        if (retryAfterMs > 0) throw rateLimited(retryAfterMs);
        const outcome = await node.submitBundle(known as [BundleTransaction, ...BundleTransaction[]]);
        if (!outcome.accepted) {
          throw refusal(outcome.rejection, outcome.index === undefined ? {} : { index: outcome.index });
        }
        return [...outcome.hashes];
      },
    }),
    defineMethod({
      name: 'squad_status',
      summary: 'Where this node stands: heads, view, peers, readiness',
      params: {},
      result: { name: 'status', description: 'Status of the node' },
      handler: () => statusJson(node.status()),
    }),
    defineMethod({
      name: 'squad_getBlock',
      summary: 'A block: its header, its batch references and its encoding',
      params: { block: BlockParam },
      result: { name: 'block', description: 'The block, or null if there is none here' },
      handler: async ({ block }) => {
        const found = await node.block('hash' in block ? block : { height: heightOf(node, block.at) });
        return found === undefined ? null : encodedBlockJson(found);
      },
    }),
    defineMethod({
      name: 'squad_getCertificate',
      summary: "The certificate that covers a height, with the headers from its block to the certificate's",
      params: { height: HeightParam },
      result: { name: 'certificate', description: 'The certificate, or null if there is none here' },
      handler: async ({ height }) => {
        const found = await node.certificate(heightOf(node, height));
        return found === undefined ? null : certificateJson(found);
      },
    }),
    defineMethod({
      name: 'squad_getValidatorSet',
      summary: 'Who validates an epoch that has begun, with the hash that the block before it names',
      params: { epoch: EpochParam },
      result: {
        name: 'validatorSet',
        description:
          '{epoch, hash, totalWeight, quorumWeight, validators: [{index, name, blsPublicKey, nodePublicKey, weight}], ' +
          'encoded: the SSZ}, or null if the epoch has not begun here',
      },
      handler: async ({ epoch }) => {
        const found = await node.validatorSet(epoch ?? node.status().epoch);
        return found === undefined ? null : validatorSetJson(found);
      },
    }),
    defineMethod({
      name: 'squad_getHandOver',
      summary: 'The proof that an epoch is over and who validates the next one: what a light client follows the set by',
      params: { epoch: Quantity },
      result: { name: 'proof', description: 'SSZ of a HandOverProof as 0x-hex, or null if the epoch is not over here' },
      handler: async ({ epoch }) => {
        const proof = await node.handOver(epoch);
        return proof === undefined ? null : toHex(proof);
      },
    }),
    defineMethod({
      name: 'squad_getEvidence',
      summary: 'What proves that validators signed what no honest one signs; at most one for each kind and validator',
      params: {},
      result: {
        name: 'evidence',
        description:
          '[{kind: E1 to E5, meaning, epoch, view or seq, validators: [{index, name}], encoded, …}]; ' +
          'encoded is the SSZ that `squad evidence verify` takes, the rest says what is in it: first and second ' +
          '(statements with kind, view, blockHash, signers, signature; for E5 batch headers), or vote, header, opening (E4)',
      },
      handler: () => node.evidence(),
    }),
    defineMethod({
      name: 'squad_getTransactionStatus',
      summary: 'Where a transaction stands: unknown, pending, soft or final, and its place once it is ordered',
      params: { hash: Hash },
      result: {
        name: 'status',
        description: '{status, rollupId?, height?, blockHash?, batchIndex?, transactionIndex?}',
      },
      handler: ({ hash }) => node.transactionStatus(hash),
    }),
  ];
}

export function sequencerSubscriptions(node: SequencerApi): RpcSubscription[] {
  const routes = new Routes(node.rollups);
  // A block is told to all subscribers: hashed and formatted once.
  const formatted = new WeakMap<StagedBlock, BlockJson>();
  const format = (staged: StagedBlock): BlockJson => {
    const known = formatted.get(staged) ?? blockJson(staged);
    formatted.set(staged, known);
    return known;
  };
  return [
    defineSubscription({
      namespace: 'squad',
      name: 'blocks',
      summary: 'each block when it becomes soft, and again when it becomes final',
      params: {},
      result: { name: 'block', description: 'A block with its stage' },
      subscribe: (_params, subscriber) => node.subscribeBlocks((block) => subscriber.emit(format(block))),
    }),
    defineSubscription({
      namespace: 'squad',
      name: 'sequence',
      summary: "a rollup's batches from a height on, block by block: final ones, then soft and final ones as they come",
      params: {
        rollupId: Quantity,
        fromHeight: HeightParam,
        form: z
          .enum(['json', 'encoded'])
          .default('json')
          .describe('fields to read, or {stage, height, encoded}: the SSZ of a FeedBlock, which can be verified'),
      },
      maxLive: MAX_SEQUENCE_SUBSCRIPTIONS,
      result: {
        name: 'block',
        description:
          "A block with its certificate and this rollup's batches; or {error}, the last one, if this node cannot go on",
      },
      subscribe: ({ rollupId, fromHeight, form }, subscriber, context) => {
        const rollup = routes.byId(rollupId, context);
        const blockForm = (block: SequenceBlock) =>
          form === 'json' ? sequenceBlockJson(block) : encodedSequenceBlockJson(rollup.rollupId, block);
        return node.subscribeSequence(rollup.rollupId, heightOf(node, fromHeight), {
          onBlock: (block) => subscriber.emit(blockForm(block)),
          onEnd: (error) => subscriber.emit({ error: endJson(error) }),
          ready: () => subscriber.ready(),
          closed: subscriber.closed,
        });
      },
    }),
  ];
}

function endJson(error: unknown): { code: string; message: string; remedy: string } {
  if (error instanceof SquadError) return { code: error.code, message: error.message, remedy: error.remedy };
  return { code: 'INTERNAL', message: 'the sequence could not be read', remedy: 'Subscribe at another sequencer.' };
}

/** Which rollup a call is for. */
class Routes {
  readonly #rollups: ReadonlyMap<number, GenesisRollup>;
  readonly #defaultEvm: GenesisRollup | undefined;

  constructor(rollups: readonly GenesisRollup[]) {
    this.#rollups = new Map(rollups.map((rollup) => [rollup.rollupId, rollup]));
    this.#defaultEvm = rollups.find(({ kind }) => kind === 'evm');
  }

  /** The path's rollup, or the one that the transaction names. */
  ofTransaction(raw: Uint8Array, context: RpcContext): GenesisRollup {
    const ofPath = this.#ofPath(context);
    if (ofPath !== undefined) return onlyEvm(ofPath);
    const chainId = chainIdOf(raw);
    if (!chainId.ok) throw refusal(chainId.error);
    return onlyEvm(this.#known(chainId.value));
  }

  evmOfPath(context: RpcContext): GenesisRollup {
    const rollup = this.#ofPath(context) ?? this.#defaultEvm;
    if (rollup !== undefined) return onlyEvm(rollup);
    throw new RpcError(RpcCode.notSupported, 'this network orders no EVM rollup', {
      code: 'NO_EVM_ROLLUP',
      remedy: 'Use squad_sendTransactions with a rollup id.',
    });
  }

  byId(rollupId: number, context: RpcContext): GenesisRollup {
    const ofPath = this.#ofPath(context);
    if (ofPath !== undefined && ofPath.rollupId !== rollupId) {
      throw invalidParams(`rollupId: ${rollupId}, but this path is rollup ${ofPath.rollupId}'s`, { param: 'rollupId' });
    }
    return this.#known(rollupId);
  }

  #ofPath({ pathParameters: { rollupId } }: RpcContext): GenesisRollup | undefined {
    if (rollupId === undefined) return undefined;
    const number = Number(rollupId);
    // One spelling for each rollup: what else reads as a number (0x385, 901.0, 9.01e2) names none.
    if (String(number) !== rollupId) throw refusal(rollupUnknown(rollupId, [...this.#rollups.keys()]));
    return this.#known(number);
  }

  #known(rollupId: number): GenesisRollup {
    const rollup = this.#rollups.get(rollupId);
    if (rollup === undefined) throw refusal(rollupUnknown(rollupId, [...this.#rollups.keys()]));
    return rollup;
  }
}

function onlyEvm(rollup: GenesisRollup): GenesisRollup {
  if (rollup.kind === 'evm') return rollup;
  throw new RpcError(RpcCode.notSupported, `rollup ${rollup.rollupId} is not an EVM rollup`, {
    code: 'NOT_AN_EVM_ROLLUP',
    remedy: 'Use squad_sendTransactions.',
  });
}

function submitForPlaces(node: SequencerApi, rollupId: RollupId, raw: readonly Uint8Array[]): Promise<unknown> {
  let placed: readonly LanePlaces[] = [];
  const onPlaced = (places: readonly LanePlaces[]) => {
    placed = places;
  };
  return node.submit(rollupId, raw, onPlaced).then((outcomes) => placesJson(node.lane, placed, outcomes));
}

function bytesOrRefuse(texts: readonly string[]): Uint8Array[] {
  const bytes = bytesOfHexes(texts);
  if (typeof bytes !== 'number') return bytes;
  const index = bytes;
  throw invalidParams(`transactions.${index}: expected 0x and pairs of hex digits`, { param: 'transactions', index });
}

function refusal(rejection: Rejection, more: { readonly index?: number } = {}): RpcError {
  const { code, message, data } = rejectionJson(rejection);
  return new RpcError(code, message, { ...data, ...more });
}
