/** A restart: the state that the records of an earlier run promise (R16, R19, R20). */

import { type Block, blockHashHex, type Certificate, VoteKind } from '@squad/types';
import type { Checkpoint, ConsensusRecord } from './api.ts';
import type { State } from './state.ts';
import { forgetBelow } from './voting.ts';

/** `records`: those after the checkpoint `start`, or all. */
export function restore(s: State, start: Checkpoint | undefined, records: readonly ConsensusRecord[]): void {
  for (const block of start?.blocks ?? []) restoreBlock(s, block);
  for (const certificate of start?.certificates ?? []) restoreCertificate(s, certificate);
  for (const vote of start?.votes ?? []) s.signer.remember(vote);
  for (const record of records) {
    switch (record.type) {
      case 'vote':
        s.signer.remember(record.vote);
        break;
      case 'block':
        restoreBlock(s, record.block);
        break;
      case 'certificate':
        restoreCertificate(s, record.certificate);
        break;
      case 'finalized':
        s.chain.finalize(record.hash, record.certificate);
        restoreCertificate(s, record.certificate);
        forgetBelow(s, s.finalView);
        break;
      case 'epochEnded':
        s.chain.finalize(blockHashHex(record.block.header), record.proof.certificate);
        s.ended = { block: record.block, proof: record.proof };
        break;
    }
  }
  restoreCertificate(s, s.chain.finalization);
  forgetBelow(s, s.finalView);
  if (s.awaited && s.awaited.certificate.view <= s.finalView) s.awaited = undefined;
}

function restoreBlock(s: State, block: Block): void {
  for (const known of s.chain.add(block)) known.persisted = true;
}

function restoreCertificate(s: State, certificate: Certificate): void {
  if (certificate.kind === VoteKind.finalize) {
    const awaited = s.awaited?.certificate.view ?? 0;
    if (certificate.view > Math.max(awaited, s.finalView)) s.awaited = { certificate, fetchAgainAtMs: s.now };
  } else {
    s.held.hold(certificate);
  }
  if (certificate.view >= s.view) {
    s.view = certificate.view + 1;
    s.entry = certificate;
  }
}
