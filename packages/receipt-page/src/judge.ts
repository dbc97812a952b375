/** What the page says of two files: a verdict in words and rows, from bytes alone. */

import {
  checkpointOf,
  decodeReceipt,
  fromHex,
  type Genesis,
  type OrderedTransaction,
  type OrderingReceipt,
  parseGenesis,
  receiptFromText,
  SOFT_MAY_REVERT,
  toHex,
  verifyReceipt,
} from '@squad/client';

/** `refused`: a receipt that proves nothing. `unreadable`: no receipt, or no genesis file. */
export interface Verdict {
  readonly kind: 'final' | 'soft' | 'refused' | 'unreadable';
  readonly title: string;
  readonly text: string;
  readonly rows: readonly Row[];
}

/** `isHex`: shown in a fixed-width face. */
export interface Row {
  readonly name: string;
  readonly value: string;
  readonly isHex?: boolean;
}

/** Above both files' own limits; a larger one is refused unread. */
export const MAX_PAGE_FILE_BYTES = 4_194_304;
/** Bytes of a transaction that the page shows. */
const MAX_SHOWN_BYTES = 256;
/** The encoding begins with the version, no text does. */
const SSZ_FIRST_BYTE = 1;

/** `setHash`: of the trusted validator set, 0x and 64 hex digits; empty for the genesis file's own. */
export function judge(genesisBytes: Uint8Array, receiptBytes: Uint8Array, setHash: string): Verdict {
  const genesis = read('The genesis file', genesisBytes, (bytes) => {
    const parsed = parseGenesis(jsonOf(bytes));
    if (!parsed.ok) throw parsed.error;
    return parsed.value;
  });
  if ('kind' in genesis) return genesis;
  const receipt = read('The receipt', receiptBytes, receiptOf);
  if ('kind' in receipt) return receipt;
  if (setHash !== '' && !/^0x[0-9a-f]{64}$/i.test(setHash)) {
    return unreadable('The hash of the validator set', 'expected 0x and 64 hex digits');
  }
  const trusted = checkpointOf(genesis.value);
  const checkpoint = setHash === '' ? trusted : { ...trusted, validatorSetHash: fromHex(setHash.toLowerCase()) };
  const proven = verifyReceipt(receipt.value, checkpoint);
  if (proven.ok) return shown(genesis.value, receipt.value, proven.value);
  const { code, message, remedy } = proven.error;
  const ofLaterEpoch = receipt.value.proof.validatorSet.epoch > genesis.value.validatorSet.epoch && setHash === '';
  const hint = ofLaterEpoch ? ' It is of a later epoch: give the hash of its validator set above.' : '';
  return { kind: 'refused', title: `It proves nothing: ${code}`, text: `${message}. ${remedy}${hint}`, rows: [] };
}

function shown(genesis: Genesis, receipt: OrderingReceipt, proven: OrderedTransaction): Verdict {
  const { stage, rollupId, hash, header, batchIndex, batchHeader, transactionIndex, namespaceRefs } = proven;
  const { signers } = receipt.proof.certificate;
  const { validators, epoch } = receipt.proof.validatorSet;
  const all = namespaceRefs.length === 1 ? 'the only batch' : `one of all ${namespaceRefs.length} batches`;
  return {
    kind: stage,
    title: stage === 'final' ? 'Proven: ordered, and final' : 'Proven: ordered, and not final yet',
    text: stage === 'final' ? 'Only more than a third of the validators could contradict it.' : SOFT_MAY_REVERT,
    rows: [
      { name: 'Transaction', value: hash, isHex: true },
      { name: 'Rollup', value: String(rollupId) },
      { name: 'Block', value: `${header.height}, ${new Date(header.timestampMs).toISOString()}` },
      { name: 'Block hash', value: toHex(proven.blockHash), isHex: true },
      {
        name: 'Place',
        value: `transaction ${transactionIndex} of ${batchHeader.transactionCount} in batch ${batchIndex} of the block (validator ${batchHeader.author})`,
      },
      { name: 'Completeness', value: `${all} of rollup ${rollupId} in this block` },
      {
        name: 'Signed by',
        value: `${signers.getTrueBitIndexes().length} of the ${validators.length} validators of epoch ${epoch}`,
      },
      { name: 'Network', value: `${genesis.file.name}: compare its id over another channel` },
      { name: 'Network id', value: toHex(genesis.networkId), isHex: true },
      { name: 'Bytes', value: bytesText(proven.transaction), isHex: true },
    ],
  };
}

function bytesText(bytes: Uint8Array): string {
  const rest = bytes.length - MAX_SHOWN_BYTES;
  return toHex(bytes.subarray(0, MAX_SHOWN_BYTES)) + (rest > 0 ? `… and ${rest} bytes more` : '');
}

function receiptOf(bytes: Uint8Array): OrderingReceipt {
  if (bytes[0] === SSZ_FIRST_BYTE) {
    const decoded = decodeReceipt(bytes);
    if (!decoded.ok) throw new Error(decoded.error.reason);
    return decoded.value;
  }
  const parsed = receiptFromText(new TextDecoder().decode(bytes));
  if (!parsed.ok) throw new Error(parsed.error.reason);
  return parsed.value;
}

const jsonOf = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes));

function read<T>(what: string, bytes: Uint8Array, parse: (bytes: Uint8Array) => T): { readonly value: T } | Verdict {
  if (bytes.length > MAX_PAGE_FILE_BYTES) {
    return unreadable(what, `${bytes.length} bytes, more than ${MAX_PAGE_FILE_BYTES}`);
  }
  try {
    return { value: parse(bytes) };
  } catch (error) {
    return unreadable(what, error instanceof Error ? error.message : String(error));
  }
}

function unreadable(what: string, why: string): Verdict {
  return { kind: 'unreadable', title: `${what} cannot be read`, text: why, rows: [] };
}
