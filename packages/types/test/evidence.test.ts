/** Evidence as bytes: its bounds, what decodes to none, and openings of a skips root. */

import { describe, expect, it } from 'vitest';
import {
  Certificate,
  decodeEvidence,
  type Evidence,
  encodeEvidence,
  MAX_EVIDENCE_BYTES,
  MAX_SKIPPED_VIEWS,
  MAX_VALIDATORS,
  openSkips,
  opensSkips,
  SkipCertificates,
  signerBits,
  VoteKind,
  ZERO_HASH,
} from '../src/index.ts';
import * as samples from './samples.ts';

const { certificate, evidence, pattern } = samples;

describe('the encoding', () => {
  it('begins with the number of the kind', () => {
    for (const one of Object.values(evidence)) expect(encodeEvidence(one)[0]).toBe(Number(one.kind[1]));
  });

  it('of an E4 of the largest set is the longest, and one byte more does not decode', () => {
    const everyone = signerBits(MAX_VALIDATORS, Array.from({ length: MAX_VALIDATORS }).keys());
    const { header } = samples.block();
    const skips = [41, 42].map((view) => ({ ...certificate(VoteKind.nullify, view, ZERO_HASH), signers: everyone }));
    const vote = { ...certificate(VoteKind.notarize, 43, ZERO_HASH), signers: everyone };
    const longest = encodeEvidence({ kind: 'E4', vote, header, opening: openSkips(skips, 1) });
    expect(longest).toHaveLength(MAX_EVIDENCE_BYTES);
    expect(decodeEvidence(longest).ok).toBe(true);
    const longer = new Uint8Array(longest.length + 1);
    longer.set(longest);
    expect(decodeEvidence(longer)).toMatchObject({ ok: false, error: { what: 'Evidence' } });
  });

  it('with selector 0 or 6, or with a statement that is none, does not decode', () => {
    expect(decodeEvidence(Uint8Array.of(0)).ok).toBe(false);
    expect(decodeEvidence(new Uint8Array()).ok).toBe(false);
    const six = encodeEvidence(evidence.E1!);
    six[0] = 6;
    expect(decodeEvidence(six).ok).toBe(false);
    const badKind = { ...evidence.E1!, first: { ...certificate(1, 42, ZERO_HASH), kind: 4 } } as unknown as Evidence;
    const badHash = { ...evidence.E3!, first: { ...certificate(2, 42, ZERO_HASH), blockHash: pattern(32, 1) } };
    for (const bad of [badKind, badHash as Evidence]) {
      expect(decodeEvidence(encodeEvidence(bad))).toMatchObject({ ok: false, error: { what: 'Evidence' } });
    }
  });
});

it('that is cut off anywhere is told to be that in words', () => {
  for (const one of Object.values(evidence)) {
    const encoded = encodeEvidence(one);
    for (let length = 0; length < encoded.length; length++) {
      const decoded = decodeEvidence(encoded.subarray(0, length));
      if (decoded.ok) continue; // an E4 whose opening has less in its list
      expect(decoded.error).toMatchObject({ code: 'DECODE', what: 'Evidence' });
      expect(decoded.error.reason).not.toContain('DataView');
    }
  }
  expect(decodeEvidence(Uint8Array.of(1))).toMatchObject({ error: { reason: '1 bytes, which end too early' } });
});

describe('an opening of a skips root', () => {
  const skipsOf = (count: number) =>
    Array.from({ length: count }, (_, i) => certificate(VoteKind.nullify, i + 1, ZERO_HASH));

  it.each([1, 2, 3, 7, 8, 100])('shows the number of %i certificates, and each of them at its place only', (count) => {
    const skips = skipsOf(count);
    const root = SkipCertificates.hashTreeRoot(skips);
    expect(opensSkips(openSkips(skips), root)).toBe(true);
    for (const position of new Set([0, 1, count >> 1, count - 1].filter((at) => at < count))) {
      const opening = openSkips(skips, position);
      expect(opening.certificates.map((one) => Certificate.toJson(one))).toEqual([
        Certificate.toJson(skips[position]!),
      ]);
      expect(opensSkips(opening, root)).toBe(true);
      expect(opensSkips({ ...opening, position: position + 1 }, root)).toBe(false);
      expect(opensSkips({ ...opening, position: position ^ 1 }, root)).toBe(false);
      expect(opensSkips({ ...opening, count: count + 1 }, root)).toBe(false);
      expect(opensSkips({ ...opening, certificates: [certificate(VoteKind.nullify, 500, ZERO_HASH)] }, root)).toBe(
        false,
      );
      expect(opensSkips({ ...opening, branch: opening.branch.slice(1) }, root)).toBe(false);
    }
  });

  it('shows nothing beyond the end of the list, whatever the branch', () => {
    const skips = skipsOf(2);
    const root = SkipCertificates.hashTreeRoot(skips);
    for (const position of [2, 3, MAX_SKIPPED_VIEWS, 2 ** 40]) {
      expect(opensSkips({ ...openSkips(skips, 0), position }, root)).toBe(false);
      expect(opensSkips({ ...openSkips(skips, 0), position, count: position + 1 }, root)).toBe(false);
    }
  });

  it('of no certificates shows that there are none', () => {
    const root = SkipCertificates.hashTreeRoot([]);
    expect(opensSkips(openSkips([]), root)).toBe(true);
    expect(opensSkips({ ...openSkips([]), count: 1 }, root)).toBe(false);
    expect(opensSkips({ ...openSkips([]), branch: [] }, root)).toBe(false);
  });

  it('of the longest list is right', () => {
    const skips = skipsOf(MAX_SKIPPED_VIEWS);
    const root = SkipCertificates.hashTreeRoot(skips);
    expect(opensSkips(openSkips(skips, MAX_SKIPPED_VIEWS - 1), root)).toBe(true);
    expect(opensSkips(openSkips(skips), root)).toBe(true);
  });
});
