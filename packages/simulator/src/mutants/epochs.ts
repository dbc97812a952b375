/** Mutants of the rules of epochs (R22). */

import type { Edit, Mutant } from './table.ts';

const edit = (file: string, search: string, replace: string): Edit => ({
  file: `consensus/src/${file}`,
  search,
  replace,
});

function mutant(name: string, edits: readonly Edit[], parts: Pick<Mutant, 'draw' | 'equivalent'> = {}): Mutant {
  return { name, rule: 'R22', edits, mode: 'epochs', ...parts };
}

const OTHER_EPOCH = 'if (epochOf(message) !== s.config.validatorSet.epoch) return onOtherEpoch(s, from, message);';
const NAMES_ANOTHER_SET = 'if (!equalBytes(header.nextValidatorSetHash, nextSetHash)) {';

export const epochMutants: readonly Mutant[] = [
  mutant('messages of another epoch are taken for those of this one', [
    edit('core.ts', OTHER_EPOCH, ''),
    edit('voting.ts', 'if (certificate.epoch !== s.config.validatorSet.epoch) return false;', ''),
  ]),
  mutant('certificates of another epoch count', [
    edit(
      'core.ts',
      OTHER_EPOCH,
      "if (message.type !== 'certificate' && epochOf(message) !== s.config.validatorSet.epoch) return onOtherEpoch(s, from, message);",
    ),
    edit('voting.ts', 'if (certificate.epoch !== s.config.validatorSet.epoch) return false;', ''),
    {
      file: 'crypto/src/certificate-fault.ts',
      search: 'if (certificate.epoch !== validatorSet.epoch) return',
      replace: 'if (certificate.epoch < 0) return',
    },
  ]),
  mutant('the epilogue may order batches', [
    edit(
      'proposal.ts',
      "if (header.height > context.lastHeight && block.refs.length > 0) return 'orders batches after the end of its epoch';",
      '',
    ),
    edit('proposing.ts', 'const isEpilogue = height > s.lastHeight;', 'const isEpilogue = false;'),
  ]),
  mutant('the epilogue is delivered, and the next epoch built on it', [
    edit(
      'epochs.ts',
      'const blocks = path.filter(({ block }) => block.header.height <= s.lastHeight);',
      'const blocks = path;',
    ),
  ]),
  mutant('the epilogue is announced as soft', [
    edit('voting.ts', 'if (block.block.header.height > s.lastHeight) continue;', ''),
  ]),
  mutant('a boundary block may name any next set', [edit('proposing.ts', NAMES_ANOTHER_SET, 'if (false) {')]),
  mutant(
    'a boundary block need not name the next set',
    [
      edit('proposal.ts', "if (!namesNextSet) return 'ends its epoch and names no next validator set';", ''),
      edit(
        'proposing.ts',
        NAMES_ANOTHER_SET,
        'if (header.nextValidatorSetHash.some(Boolean) && !equalBytes(header.nextValidatorSetHash, nextSetHash)) {',
      ),
    ],
    { draw: { adversaries: ['skipper'] } },
  ),
  mutant('any block may name a next set', [
    edit('proposal.ts', "} else if (namesNextSet) return 'names a next validator set in the middle of an epoch';", '}'),
    edit(
      'proposing.ts',
      NAMES_ANOTHER_SET,
      'if (header.height === s.lastHeight && !equalBytes(header.nextValidatorSetHash, nextSetHash)) {',
    ),
  ]),
  mutant('an epoch ends with the block before its boundary', [
    edit(
      'state.ts',
      'this.lastHeight = config.epoch?.lastHeight ??',
      'this.lastHeight = (config.epoch?.lastHeight ?? Number.NaN) - 1 ||',
    ),
  ]),
  mutant('an epoch never ends', [
    edit(
      'voting.ts',
      'if (s.chain.get(hash)!.block.header.height >= s.lastHeight) return endByFinalization(s, known, certificate);',
      '',
    ),
  ]),
  mutant('the end of an epoch is no record', [
    edit('epochs.ts', "s.persist({ type: 'epochEnded', block: boundary.block, proof });", ''),
  ]),
  mutant('votes go on after the end of an epoch', [
    edit(
      'state.ts',
      "if (!this.ended) this.out.push({ type: 'persist', record });",
      "this.out.push({ type: 'persist', record });",
    ),
    edit(
      'state.ts',
      "if (!this.ended) this.out.push({ type: 'send', to, message });",
      "this.out.push({ type: 'send', to, message });",
    ),
    edit('core.ts', 'if (s.ended) {\n      answerAfterTheEnd(s, input);\n      return s.out;\n    }', ''),
    edit(
      'core.ts',
      'for (let view = 0; view !== s.view && !s.handOver && !s.ended; ) {',
      'for (let view = 0; view !== s.view; ) {',
    ),
    edit('core.ts', '  if (s.ended) return;\n', ''),
  ]),
  mutant(
    'a hand-over needs no quorum',
    [
      {
        file: 'crypto/src/hand-over.ts',
        search: 'const misfit = certificateFault(certificate, { networkId, validatorSet, quorum, scheme });',
        replace: 'void quorum;\n  void scheme;\n  const misfit = undefined;\n  void certificateFault;',
      },
    ],
    { draw: { adversaries: ['liar'] } },
  ),
  mutant(
    'a hand-over may lead to a set that the boundary block does not name',
    [
      {
        file: 'crypto/src/hand-over.ts',
        search: 'if (!equalBytes(validatorSetHash(nextValidatorSet), boundaryHeader.nextValidatorSetHash)) {',
        replace: 'void validatorSetHash;\n  if (false) {',
      },
    ],
    { draw: { adversaries: ['liar'] } },
  ),
  mutant('who hears of a later epoch does not ask for the proof', [
    edit('epochs.ts', 'if (epoch > s.config.validatorSet.epoch) return askForHandOver(s, [from]);', ''),
    edit('epochs.ts', "if (message.type !== 'handOver') answerWithProof(s, from, s.config.epoch?.proof);", ''),
    edit(
      'catch-up.ts',
      'if (fresh.at(-1)!.header.height === s.lastHeight) return askForHandOver(s, from === undefined ? [] : [from]);',
      'if (fresh.at(-1)!.header.height === s.lastHeight) return;',
    ),
  ]),
  mutant('with a proof the missing blocks are not fetched', [
    edit('catch-up.ts', 'if (s.handOver) return fetchUpToBoundary(s);', ''),
  ]),
  mutant('an epoch held back for want of the next set stays so', [
    edit('epochs.ts', 'else askForHandOver(s, []);', ''),
    edit(
      'epochs.ts',
      'const proof = s.handOver ?? proofOf(',
      'if (!s.config.epoch?.nextValidatorSet()) s.awaited = undefined;\n  const proof = s.handOver ?? proofOf(',
    ),
    edit(
      'epochs.ts',
      'if (epoch > s.config.validatorSet.epoch) return askForHandOver(s, [from]);',
      'if (epoch > s.config.validatorSet.epoch) return;',
    ),
    edit('epochs.ts', "if (message.type !== 'handOver') answerWithProof(s, from, s.config.epoch?.proof);", ''),
  ]),
  mutant('the first blocks of an epoch stand in the view of the boundary block', [
    edit(
      'state.ts',
      'const view = head.header.height === block.header.height ? 0 : head.header.view;',
      'const { view } = head.header;',
    ),
  ]),
  mutant('a restart begins the epoch that is over again', [
    edit(
      'epochs.ts',
      "const at = records.findLastIndex(({ type }) => type === 'epochEnded');",
      "const at = records.findIndex(({ type }) => type === 'epochEnded');",
    ),
  ]),
];
