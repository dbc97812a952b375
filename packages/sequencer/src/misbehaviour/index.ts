/**
 * For tests of real processes: a network that lies for a sequencer whose own code stays honest. It stands between the
 * sequencer and its peers, signs with the validator's keys what the sequencer never would, and tells a part of the peers.
 * Nothing of this runs unless `--test-misbehave` asks for it and SQUAD_ALLOW_MISBEHAVIOUR=1 stands in the environment.
 */

import { createVoteScheme, signBatchHeader, type VoteScheme } from '@squad/crypto';
import { blstBls } from '@squad/crypto/node';
import type { Network } from '@squad/network';
import {
  type Block,
  blockHash,
  decodeValidatorMessage,
  encodeValidatorMessage,
  SquadError,
  type ValidatorIndex,
  type ValidatorMessage,
  type Vote,
  VoteKind,
  voteSigningRoot,
  ZERO_HASH,
} from '@squad/types';
import type { Identity } from '../identity.ts';
import type { Replacements } from '../node.ts';
import { ANSWER_LIES, lieInAnswers } from './answers.ts';
import { around } from './around.ts';
import { flooding } from './flood.ts';
import { unsigned } from './unsigned.ts';

export const MISBEHAVIOURS = [
  'equivocate-proposals',
  'equivocate-votes',
  'equivocate-lane',
  'flood',
  'unsigned-votes',
  ...ANSWER_LIES,
] as const;
export type Misbehaviour = (typeof MISBEHAVIOURS)[number];

const PERMISSION = 'SQUAD_ALLOW_MISBEHAVIOUR';

/** Throws a SquadError if the environment does not allow it, or there is no such misbehaviour. */
export function checkMisbehaviour(text: string, env: Readonly<Record<string, string | undefined>>): Misbehaviour {
  const known = MISBEHAVIOURS.find((one) => one === text);
  if (env[PERMISSION] !== '1') {
    throw new SquadError(
      'MISBEHAVIOUR_REFUSED',
      '--test-misbehave makes a validator sign what convicts it, and is for tests only',
      `Leave it out. A test of a throw-away network sets ${PERMISSION}=1 in the environment.`,
    );
  }
  if (known !== undefined) return known;
  throw new SquadError(
    'MISBEHAVIOUR_UNKNOWN',
    `"${text}" is no misbehaviour`,
    `It is one of ${MISBEHAVIOURS.join(', ')}.`,
  );
}

/** What is told instead of a message, or besides it. */
interface Lie {
  readonly messages: readonly ValidatorMessage[];
  /** Whether who hears it hears the truth too. */
  readonly besides: boolean;
}

/** What the sequencer is put between, or what it signs by. */
export function misbehaveBy(how: Misbehaviour): Replacements {
  if (how === 'flood') return { network: flooding };
  if (how === 'unsigned-votes') return { createScheme: () => unsigned };
  const lie = ANSWER_LIES.find((one) => one === how);
  if (lie) return { handlers: (handlers) => lieInAnswers(handlers, lie) };
  return { network: (network, identity) => misbehave(network, identity, how) };
}

function misbehave(network: Network, identity: Identity, how: Misbehaviour): Network {
  const { genesis, placeIn } = identity;
  const place = placeIn(genesis.validatorSet);
  const scheme = createVoteScheme(blstBls, genesis.validatorSet, place?.blsSecretKey);
  const lieFor = (message: ValidatorMessage): Lie | undefined => {
    if (how === 'equivocate-proposals') return siblingProposal(message, identity, scheme);
    return how === 'equivocate-votes' ? otherVotes(message, identity, scheme) : forkedBatch(message, identity);
  };
  // Every other one of the peers is lied to.
  const isMisled = (peer: ValidatorIndex) => (peer + (place?.self ?? 0)) % 2 === 0;
  return around(network, {
    send(to, channel, frame) {
      const decoded = decodeValidatorMessage(frame);
      if (!decoded.ok) throw new Error('the sequencer made a frame that does not decode');
      // It does not testify against itself.
      if (decoded.value.type === 'evidence') return;
      const lie = lieFor(decoded.value);
      if (!lie) return network.send(to, channel, frame);
      for (const peer of to === 'all' ? network.connectedValidators : [to]) {
        const misled = isMisled(peer);
        if (!misled || lie.besides) network.send(peer, channel, frame);
        if (misled) for (const message of lie.messages) network.send(peer, channel, encodeValidatorMessage(message));
      }
    },
  });
}

function siblingProposal(message: ValidatorMessage, identity: Identity, scheme: VoteScheme): Lie | undefined {
  if (message.type !== 'proposal') return undefined;
  const { block, ...rest } = message.proposal;
  const sibling: Block = { ...block, header: { ...block.header, timestampMs: block.header.timestampMs + 1 } };
  const { epoch, view } = sibling.header;
  const content = { kind: VoteKind.notarize, epoch, view, blockHash: blockHash(sibling.header) };
  const leaderSignature = scheme.sign(voteSigningRoot(identity.genesis.networkId, content));
  return { messages: [{ type: 'proposal', proposal: { ...rest, block: sibling, leaderSignature } }], besides: false };
}

function otherVotes(message: ValidatorMessage, identity: Identity, scheme: VoteScheme): Lie | undefined {
  if (message.type !== 'vote') return undefined;
  const { epoch, view, kind, signer } = message.vote;
  const otherHash = message.vote.blockHash.slice();
  otherHash[0]! ^= 1;
  const vote = (lie: VoteKind, hash: Uint8Array): ValidatorMessage => {
    const content = { kind: lie, epoch, view, blockHash: hash };
    const signature = scheme.sign(voteSigningRoot(identity.genesis.networkId, content));
    const lied: Vote = { ...content, signer, signature };
    return { type: 'vote', vote: lied };
  };
  switch (kind) {
    case VoteKind.notarize:
      return { messages: [vote(VoteKind.notarize, otherHash)], besides: true };
    case VoteKind.nullify:
      return { messages: [vote(VoteKind.finalize, otherHash)], besides: true };
    case VoteKind.finalize:
      return { messages: [vote(VoteKind.finalize, otherHash), vote(VoteKind.nullify, ZERO_HASH)], besides: true };
  }
}

function forkedBatch(message: ValidatorMessage, { nodeKey }: Identity): Lie | undefined {
  if (message.type !== 'batch') return undefined;
  const { signed, body } = message.batch;
  const header = { ...signed.header, createdAtMs: signed.header.createdAtMs + 1 };
  return { messages: [{ type: 'batch', batch: { signed: signBatchHeader(header, nodeKey), body } }], besides: true };
}
