export * from './epoch-sets.ts';
export { evidenceJson } from './json.ts';
export { EVIDENCE_DISTRUST_MS, EvidenceKeeper, type EvidenceKeeperConfig, type HeldEvidence } from './keeper.ts';
