/** Reads a file of evidence: one piece as SSZ bytes or as their hex, or JSON of one or more as `squad_getEvidence` gives it. */

import { readBoundedFile } from '@squad/service';
import {
  decode,
  decodeEvidence,
  type Evidence,
  fromHex,
  isHex,
  SquadError,
  ValidatorSet,
  validatorSetFault,
} from '@squad/types';

/** Far more than all the evidence of a largest set. */
export const MAX_EVIDENCE_FILE_BYTES: number = 16 * 1024 * 1024;

/** Throws a SquadError `EVIDENCE_FILE_UNREADABLE` or `EVIDENCE_FILE_INVALID`. */
export async function readEvidenceFile(path: string): Promise<Evidence[]> {
  return evidenceIn(path, await readBounded(path));
}

/** What the bytes of such a file hold. Throws `EVIDENCE_FILE_INVALID`. */
export function evidenceIn(path: string, bytes: Uint8Array): Evidence[] {
  const encodings = looksLikeText(bytes) ? encodingsInText(path, new TextDecoder().decode(bytes)) : [bytes];
  return encodings.map((encoding, index) => {
    const evidence = decodeEvidence(encoding);
    if (evidence.ok) return evidence.value;
    const which = encodings.length > 1 ? `piece ${index}: ` : '';
    throw invalid(path, `${which}${evidence.error.what}: ${evidence.error.reason}`);
  });
}

/**
 * The validator set of an epoch: hex of its SSZ, or JSON with it in a field `encoded`. Not an answer of anybody's: whoever
 * gives the file trusts it. Throws a SquadError `EVIDENCE_FILE_UNREADABLE` or `EVIDENCE_FILE_INVALID`.
 */
export async function readValidatorSetFile(path: string): Promise<ValidatorSet> {
  return validatorSetIn(path, await readBounded(path));
}

/** What the bytes of such a file hold. Throws `EVIDENCE_FILE_INVALID`. */
export function validatorSetIn(path: string, bytes: Uint8Array): ValidatorSet {
  const [encoded] = encodingsInText(path, new TextDecoder().decode(bytes));
  const set = decode(ValidatorSet, 'ValidatorSet', encoded ?? new Uint8Array());
  if (!set.ok) throw invalid(path, `${set.error.what}: ${set.error.reason}`);
  const unfit = validatorSetFault(set.value);
  if (unfit !== undefined) throw invalid(path, `its validator set is not fit to validate: ${unfit}`);
  return set.value;
}

async function readBounded(path: string): Promise<Uint8Array> {
  try {
    const bytes = await readBoundedFile(path, MAX_EVIDENCE_FILE_BYTES);
    if (bytes) return bytes;
    throw invalid(path, `more bytes than MAX_EVIDENCE_FILE_BYTES = ${MAX_EVIDENCE_FILE_BYTES}`);
  } catch (cause) {
    if (cause instanceof SquadError) throw cause;
    const remedy = 'Name a file that `squad evidence list --json` or squad_getEvidence wrote.';
    throw new SquadError('EVIDENCE_FILE_UNREADABLE', `the file ${path} cannot be read`, remedy, { path }, cause);
  }
}

/** The encoding of evidence begins with a byte from 1 to 5, no text does. */
function looksLikeText(bytes: Uint8Array): boolean {
  return (bytes[0] ?? 0) >= 9;
}

function encodingsInText(path: string, text: string): Uint8Array[] {
  const trimmed = text.trim();
  if (isHex(trimmed)) return [fromHex(trimmed)];
  let json: unknown;
  try {
    json = JSON.parse(trimmed);
  } catch (cause) {
    throw invalid(path, 'it is neither SSZ bytes, nor hex, nor JSON', cause);
  }
  return piecesIn(json).map((piece, index) => {
    const encoded = typeof piece === 'string' ? piece : (piece as { encoded?: unknown } | null)?.encoded;
    if (!isHex(encoded)) throw invalid(path, `piece ${index} has no field "encoded" with the SSZ bytes as 0x-hex`);
    return fromHex(encoded);
  });
}

/** A piece, a list of them, or a whole JSON-RPC answer with one. */
function piecesIn(json: unknown): readonly unknown[] {
  if (Array.isArray(json)) return json;
  const result = (json as { result?: unknown } | null)?.result;
  return Array.isArray(result) ? result : [json];
}

function invalid(path: string, reason: string, cause?: unknown): SquadError {
  return new SquadError(
    'EVIDENCE_FILE_INVALID',
    `${path} holds no evidence that can be read: ${reason}`,
    'Give the answer of squad_getEvidence, one piece of it, or the bytes of its field "encoded".',
    { path },
    cause,
  );
}
