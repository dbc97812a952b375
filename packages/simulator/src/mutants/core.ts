/** Mutants of the consensus core. */

import type { Edit, Mutant } from './table.ts';

const edit = (file: string, search: string, replace: string): Edit => ({
  file: `consensus/src/${file}`,
  search,
  replace,
});

interface Parts {
  readonly draw?: Mutant['draw'];
  readonly equivalent?: string;
}

function mutant(rule: string, name: string, edits: readonly Edit[], parts: Parts = {}): Mutant {
  return { name, rule, edits, mode: 'core', ...parts };
}

const NOTARIZE_GUARD = 'if (record?.notarize || record?.nullify || view <= this.#floor) return undefined;';
const FINALIZE_GUARD = 'if (record?.finalize || record?.nullify || view <= this.#floor) return undefined;';
const NULLIFY_GUARD =
  'if (record?.nullify || record?.finalize || view < this.#restartView || view <= this.#closedView) return undefined;';
const JUDGE_GUARD =
  'if (!received || round.notarizedAtMs !== undefined || round.abandoned || s.self === undefined) return;';
const VOTED_GUARD = 'if (s.signer.votesIn(s.view).length > 0) return; // R16: before a restart, or NULLIFY';

/** For what only a proposal shows that no rule allows: with nobody else in the schedules it takes a tenth of them. */
const SKIPPER: Parts = { draw: { adversaries: ['skipper'] } };

/** For what only answers to requests show. */
const LIAR: Parts = { draw: { adversaries: ['liar'] } };

export const coreMutants: readonly Mutant[] = [
  mutant('quorum', 'a quorum of 2F + 1', [
    {
      file: 'types/src/validators.ts',
      search: 'return total - faultyWeight(total);',
      replace: 'return 2 * faultyWeight(total) + 1;',
    },
  ]),
  mutant('quorum', 'a quorum of more than half', [
    {
      file: 'types/src/validators.ts',
      search: 'return total - faultyWeight(total);',
      replace: 'return Math.floor(total / 2) + 1;',
    },
  ]),
  mutant('R6', 'one leader for all views', [
    {
      file: 'types/src/validators.ts',
      search: 'return this.#cycle[view % this.#cycle.length]!;',
      replace: 'return this.#cycle[0]!;',
    },
  ]),
  mutant(
    'R8',
    'skipped views need no nullification',
    [edit('proposal.ts', 'if (skips.length !== view - parentView - 1) {', 'if (false) {')],
    SKIPPER,
  ),
  mutant(
    'R8',
    'nullifications in a proposal are not verified',
    [
      edit(
        'proposing.ts',
        'const position = skips.findIndex((skip) => !onCarriedCertificate(s, from, skip, true));',
        'const position = skips.findIndex(() => false);',
      ),
    ],
    SKIPPER,
  ),
  mutant(
    'R8',
    "the parent's certificate is not verified",
    [
      edit(
        'proposing.ts',
        'if (!isGenesis(s, parentCertificate) && !onCarriedCertificate(s, from, parentCertificate, false)) return false;',
        '',
      ),
    ],
    SKIPPER,
  ),
  mutant(
    'R8',
    "the parent's certificate may be of anything",
    [
      edit(
        'proposal.ts',
        'return certificate.kind !== VoteKind.nullify && certificate.view === view && equalBytes(certificate.blockHash, hash);',
        'return true;',
      ),
    ],
    SKIPPER,
  ),
  mutant('R9', 'the next view begins with a time-out', [
    edit(
      'timers.ts',
      'if (due) cast(s, s.signer.nullify(s.view));',
      "if (due) {\n    cast(s, s.signer.nullify(s.view));\n    s.view++;\n    s.round = { enteredAtMs: s.now, abandoned: false, fetchAgainAtMs: 0 };\n    s.out.push({ type: 'enteredView', view: s.view, leader: s.leader });\n  }",
    ),
  ]),
  mutant('R10', 'proposes on the final block whatever was notarized since', [
    edit(
      'proposing.ts',
      'for (const view of [...s.held.notarizedBelow(s.view), s.finalView]) {\n    const skips = s.held.nullifiedBetween(view, s.view);',
      'for (const view of [s.finalView]) {\n    const skips = s.held.nullificationsBetween(view, s.view);',
    ),
  ]),
  mutant('R10', 'orders what nobody else holds', [
    edit('lanes.ts', 'return weight > this.#tolerated;', 'return weight > 0;'),
  ]),
  mutant('R11', 'votes without the bodies', [
    edit(
      'lanes.ts',
      "return missing.length > 0 ? { verdict: 'missing', refs: missing } : { verdict: 'ok', tips: advanced };",
      "return { verdict: 'ok', tips: advanced };",
    ),
  ]),
  mutant(
    'R11',
    'a timestamp may lie in the future',
    [
      edit(
        'proposing.ts',
        'if (header.timestampMs > s.now + MAX_CLOCK_DRIFT_MS) return; // looked at again when the clock has come closer',
        '',
      ),
    ],
    SKIPPER,
  ),
  mutant(
    'R11',
    'a block may be older than its parent',
    [
      edit(
        'proposing.ts',
        "if (header.timestampMs < above.timestampMs) return abandon(s, 'it is older than its parent');",
        '',
      ),
    ],
    SKIPPER,
  ),
  mutant(
    'R11',
    'a block may have any height',
    [
      edit('proposing.ts', 'if (header.height !== above.height + 1)\n    return', 'if (false)\n    return'),
      edit(
        'chain.ts',
        'if (header.height !== parent.block.header.height + 1 || header.parentView !== parent.view) return false;',
        'if (header.parentView !== parent.view) return false;',
      ),
    ],
    SKIPPER,
  ),
  mutant(
    'R11',
    'a lane may have gaps',
    [edit('lanes.ts', 'if (seq !== nextSeq && nextSeq !== UNKNOWN_SEQ) return', 'if (false) return')],
    { draw: { adversaries: ['lane-gapper'] } },
  ),
  mutant('R11', 'a batch need not follow the one ordered before it', [
    edit('lanes.ts', 'else if (!equalBytes(held.previousDigest, before)) {', 'else if (false) {'),
    edit(
      'lanes.ts',
      'const next = lane.get(seq)?.find((held) => equalBytes(held.previousDigest, digest));',
      'const next = lane.get(seq)?.[0];',
    ),
  ]),
  mutant('R11', 'two NOTARIZE in one view', [
    edit('signer.ts', NOTARIZE_GUARD, 'if (record?.nullify || view <= this.#floor) return undefined;'),
    edit('proposing.ts', JUDGE_GUARD, 'if (!received || round.abandoned || s.self === undefined) return;'),
    edit(
      'proposing.ts',
      VOTED_GUARD,
      'if (s.signer.votesIn(s.view).some(({ kind, blockHash: voted }) => kind === 2 || toHex(voted) === received.hash)) return;',
    ),
    edit(
      'proposing.ts',
      'if (s.round.proposal) return count(s, vote); // a second one counts only against its leader (E1)',
      'if (s.round.proposal) count(s, vote);',
    ),
  ]),
  mutant('R16', 'NOTARIZE after NULLIFY', [
    edit('signer.ts', NOTARIZE_GUARD, 'if (record?.notarize || view <= this.#floor) return undefined;'),
    edit('proposing.ts', VOTED_GUARD, ''),
  ]),
  mutant('R12', 'FINALIZE after NULLIFY', [
    edit('signer.ts', FINALIZE_GUARD, 'if (record?.finalize || view <= this.#floor) return undefined;'),
  ]),
  mutant(
    'R12',
    'FINALIZE of another block than was notarized here',
    [edit('signer.ts', 'if (record?.notarize && !equalBytes(record.notarize.blockHash, hash)) return undefined;', '')],
    { draw: { overload: true } },
  ),
  mutant('R12', 'FINALIZE together with the own NOTARIZE', [
    edit(
      'proposing.ts',
      'round.notarizedAtMs = s.now;\n  cast(s, vote);',
      'round.notarizedAtMs = s.now;\n  cast(s, vote);\n  cast(s, s.signer.finalize(header.view, fromHex(hash)));',
    ),
  ]),
  mutant('R13', 'NULLIFY after FINALIZE, across a restart', [
    edit(
      'signer.ts',
      NULLIFY_GUARD,
      'if (record?.nullify || view < this.#restartView || view <= this.#closedView) return undefined;',
    ),
    edit(
      'restore.ts',
      'if (certificate.view >= s.view) {',
      'if (certificate.kind === VoteKind.finalize && certificate.view >= s.view) {',
    ),
  ]),
  mutant(
    'R13',
    'NULLIFY after FINALIZE in the signer alone',
    [
      edit(
        'signer.ts',
        NULLIFY_GUARD,
        'if (record?.nullify || view < this.#restartView || view <= this.#closedView) return undefined;',
      ),
    ],
    {
      equivalent:
        'FINALIZE(v) is cast only on a notarization of v, whose record stands before the vote in the log; the step that casts it enters v + 1, and so does a restart that finds the record. NULLIFY is asked for in the present view only, which is above v from then on. The check stands for the day when a caller asks for another view.',
    },
  ),
  mutant('R15', 'the other branch is final as well', [
    edit(
      'chain.ts',
      'if (!path || path.length === 0) return [];',
      'if (!path || path.length === 0) return [];\n    path.reverse();',
    ),
  ]),
  mutant('R16', 'votes are forgotten in a crash', [
    edit('restore.ts', "case 'vote':\n        s.signer.remember(record.vote);", "case 'vote':"),
  ]),
  mutant('R16', 'a checkpoint holds no votes', [
    edit(
      'core.ts',
      'votes: signer.votesAbove(chain.head.view),',
      'votes: signer.votesAbove(Number.MAX_SAFE_INTEGER).slice(0, 0),',
    ),
  ]),
  mutant('R20', 'a checkpoint holds no certificates', [
    edit('core.ts', 'certificates: awaited ? [...held.all(), awaited.certificate] : held.all(),', 'certificates: [],'),
  ]),
  mutant('R20', 'a vote is sent without a record', [
    edit(
      'voting.ts',
      "s.persist({ type: 'vote', vote });\n  s.send({ type: 'vote', vote });",
      "s.send({ type: 'vote', vote });",
    ),
  ]),
  mutant('R20', "a leader's vote is sent without a record", [
    edit('proposing.ts', "s.persist({ type: 'vote', vote });\n  round.own = {", 'round.own = {'),
  ]),
  mutant('R20', 'a certificate is passed on without a record', [
    edit('voting.ts', "s.persist({ type: 'certificate', certificate });\n", ''),
  ]),
  mutant('R20', 'what was final is not restored', [
    edit('restore.ts', 's.chain.finalize(record.hash, record.certificate);', ''),
  ]),
  mutant('R19', 'proposes on what it knew before the restart', [
    edit('proposing.ts', 'if (!s.fresh || s.lagsInBodies ||', 'if (s.lagsInBodies ||'),
  ]),
  mutant('section 5', 'certificates are not verified', [
    {
      file: 'crypto/src/certificate-fault.ts',
      search: "return context.scheme.verify(signers, root, certificate.signature) ? undefined : 'signed badly';",
      replace: 'void root;\n  return undefined;',
    },
  ]),
  mutant(
    'section 5',
    'a certificate may be of any weight',
    [
      {
        file: 'crypto/src/certificate-fault.ts',
        search: 'if (weight < quorum) return',
        replace: 'if (weight < 0) return',
      },
    ],
    LIAR,
  ),
  mutant('section 5', 'the sum of votes is not verified', [
    edit(
      'tally.ts',
      'return this.#scheme.verify(\n      votes.map((vote) => vote.signer),\n      root,\n      signature,\n    )\n      ? signature\n      : undefined;',
      'void root;\n    return signature;',
    ),
  ]),
  mutant('section 5', 'all are blamed for one bad signature', [
    edit('tally.ts', 'const forgers = this.#bisect(same, root);', 'const forgers = same.map(({ signer }) => signer);'),
  ]),
  mutant('section 5', 'votes of another epoch count', [
    edit('core.ts', 'if (epochOf(message) !== s.config.validatorSet.epoch) return onOtherEpoch(s, from, message);', ''),
  ]),
  mutant('section 4', 'evidence of votes that nobody signed', [
    edit(
      'watch.ts',
      'if (this.#scheme.verify([vote.signer], voteSigningRoot(this.#networkId, vote), vote.signature)) return true;',
      'if (vote.signer >= 0) return true;',
    ),
  ]),
  mutant('section 4', 'NOTARIZE and NULLIFY count as evidence', [
    {
      file: 'crypto/src/evidence.ts',
      search: "first.kind === VoteKind.notarize || second.kind === VoteKind.notarize ? undefined : 'E3';",
      replace: "first.kind === VoteKind.finalize || second.kind === VoteKind.finalize ? undefined : 'E3';",
    },
  ]),
  mutant('R10', 'a leader cuts within a bundle', [
    edit(
      'lanes.ts',
      'const ends = bundleEnds(run.map(({ ref }) => ref)).filter((end) => end <= most);',
      'const ends = run.map((_, i) => i + 1).filter((end) => end <= most);',
    ),
  ]),
  mutant(
    'R11',
    'a voter accepts a block that cuts a bundle',
    [edit('proposal.ts', 'const cut = cutBundle(block.refs);', 'const cut = undefined;')],
    { draw: { adversaries: ['bundle-cutter'] } },
  ),
  mutant('R13', 'no view is ever given up', [
    edit('timers.ts', 'if (due) cast(s, s.signer.nullify(s.view));', 'void due;'),
  ]),
  mutant('R17', 'nothing is sent again', [
    edit(
      'timers.ts',
      'if (s.now < retryAtMs(s)) return;\n  resend(s, undefined);',
      'if (s.now < retryAtMs(s)) return;',
    ),
  ]),
  mutant(
    'R21',
    'a range that is missing is asked for once only',
    [
      edit(
        'catch-up.ts',
        'awaited.fetchAgainAtMs = s.now + s.pacemaker.retryMs;',
        'awaited.fetchAgainAtMs = Number.MAX_SAFE_INTEGER;',
      ),
    ],
    {
      equivalent:
        'Each later finalization asks anew, and while the network makes blocks there always is one: an empty block after a heartbeat at the latest (R18). Where the quorum needs this node and so stands still, it fetches the parent of the next proposal by its hash, and then ancestor by ancestor down to its final block. Asking again makes it faster, by at most a heartbeat.',
    },
  ),
  mutant(
    'R21',
    'what a range answers need not follow the final blocks',
    [
      edit('catch-up.ts', 'if (!equalBytes(block.header.parentHash, parent) || !refsMatch(block)) {', 'if (false) {'),
      edit(
        'catch-up.ts',
        'if (answered.kind !== VoteKind.finalize || !equalBytes(answered.blockHash, parent)) {',
        'if (false) {',
      ),
    ],
    LIAR,
  ),
];
