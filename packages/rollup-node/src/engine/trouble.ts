/** What can go wrong between the driver and a client: which of it passes, and how what does not is put into words. */

import { RpcError } from '@squad/service';
import { type Hex, SquadError } from '@squad/types';
import { hexOf } from '../hex.ts';
import type { DerivedBlock } from './api.ts';
import type { PayloadStatus } from './client.ts';

/** Error codes of the Engine API. */
export const ENGINE_ERRORS = {
  unknownPayload: -38001,
  invalidForkchoiceState: -38002,
  invalidPayloadAttributes: -38003,
  tooLargeRequest: -38004,
  unsupportedFork: -38005,
  tooDeepReorganisation: -38006,
  methodNotFound: -32601,
  invalidParams: -32602,
} as const;

/** The client has not what was built upon, though it said so: it is asked again where it stands, and fed from there. */
export class ClientBehind extends Error {
  /** It refused, instead of asking for patience. */
  readonly refused: boolean;

  constructor(message: string, refused: boolean) {
    super(message);
    this.refused = refused;
  }
}

/**
 * `behind`: see `ClientBehind`. `passing`: the client is not there, does not believe us, or is in trouble itself: it is tried
 * again. `fatal`: trying again would give the same.
 */
export function kindOf(error: unknown): 'behind' | 'passing' | 'fatal' {
  if (error instanceof ClientBehind) return 'behind';
  if (error instanceof RpcError) {
    const { invalidForkchoiceState, unknownPayload, ...fatal } = ENGINE_ERRORS;
    if (error.code === invalidForkchoiceState || error.code === unknownPayload) return 'behind';
    return (Object.values(fatal) as number[]).includes(error.code) ? 'fatal' : 'passing';
  }
  if (error instanceof SquadError && /^(RPC|JWT)_/.test(error.code)) return 'passing';
  return 'fatal';
}

/** The same, as an error that tells a person what to do. */
export function explained(error: unknown, url: string): unknown {
  if (error instanceof ClientBehind) {
    const message = `the execution client at ${url} cannot be led on: ${error.message}`;
    return new SquadError('ENGINE_NO_PROGRESS', message, LOOK_INTO_LOG, { url }, error);
  }
  if (!(error instanceof RpcError)) return error;
  const remedy = REMEDIES.get(error.code) ?? LOOK_INTO_LOG;
  const message = `the execution client at ${url} refuses (${error.code}): ${error.message}`;
  return new SquadError('ENGINE_REFUSED', message, remedy, { url, rpcCode: error.code }, error);
}

const LOOK_INTO_LOG = "Look into the client's log; when it is mended, start this node again.";
const SAME_GENESIS =
  'Start it from `squad rollup-genesis rollup.json`, in a new data directory; of an OP Stack chain, from the genesis file with the block 0 that rollup.json names.';
const REMEDIES: ReadonlyMap<number, string> = new Map([
  [
    ENGINE_ERRORS.unsupportedFork,
    `The client takes the blocks' time for another fork than rollup.json's "hardfork". ${SAME_GENESIS}`,
  ],
  [
    ENGINE_ERRORS.invalidPayloadAttributes,
    'The client cannot build such a block: check that it is of the stack that --engine-mode attributes is for.',
  ],
  [
    ENGINE_ERRORS.invalidForkchoiceState,
    `The client may hold blocks of another chain for final, as of a network that was begun anew: those it never gives up. ${SAME_GENESIS}`,
  ],
  [ENGINE_ERRORS.methodNotFound, 'Run a newer version of the client, and give its authenticated port (geth: 8551).'],
  [ENGINE_ERRORS.invalidParams, 'The client and this node disagree on the Engine API: compare their versions.'],
]);

/** INVALID: the client executed the block, or looked at it, and came to something else. */
export function invalidBlock(url: string, block: DerivedBlock, status: PayloadStatus): SquadError {
  const { number, hash } = block.summary;
  const { latestValidHash, validationError } = status;
  const parent = hexOf(block.summary.parentHash);
  const upTo = !latestValidHash
    ? 'it names no valid ancestor'
    : latestValidHash === parent
      ? "it holds the block's parent for valid"
      : `the newest block that it holds for valid is ${latestValidHash}, which is not the block's parent ${parent}`;
  return new SquadError(
    'ENGINE_BLOCK_INVALID',
    `the execution client at ${url} holds block ${number} (${hexOf(hash)}) for invalid: ${validationError ?? 'it does not say why'}; ${upTo}`,
    `One of the two executes wrongly, or their genesis differs. ${SAME_GENESIS} If it comes again, keep both data directories, compare the versions, and report the block and the reason.`,
    { number, hash: hexOf(hash), latestValidHash, validationError },
  );
}

export function wrongGenesis(url: string, wanted: Hex, found: Hex | undefined): SquadError {
  return new SquadError(
    'ENGINE_WRONG_GENESIS',
    `the execution client at ${url} has another chain: its block 0 is ${found ?? 'missing'}, the rollup's ${wanted}`,
    SAME_GENESIS,
    { wanted, found },
  );
}

export function wrongChainId(url: string, wanted: number, found: number): SquadError {
  return new SquadError(
    'ENGINE_WRONG_CHAIN',
    `the execution client at ${url} has chain id ${found}, the rollup ${wanted}`,
    `Give the address of the rollup's own client. ${SAME_GENESIS}`,
    { wanted, found },
  );
}

export function builtOtherwise(url: string, number: number, what: string): SquadError {
  return new SquadError(
    'ENGINE_BUILT_OTHERWISE',
    `the execution client at ${url} built another block ${number} than asked: ${what}`,
    'A client that takes forced transactions is needed (op-geth, op-reth). For an unmodified one use --engine-mode payload.',
    { number },
  );
}
