import type { Target } from '../target.ts';
import { CLIENT_TARGETS } from './client.ts';
import { CRYPTO_TARGETS } from './crypto.ts';
import { DISK_TARGETS } from './disk.ts';
import { EVM_TARGETS } from './evm.ts';
import { FILE_TARGETS } from './files.ts';
import { FRAME_TARGETS } from './frames.ts';
import { PROOF_FILE_TARGETS } from './proof-files.ts';
import { RECORD_TARGETS } from './records.ts';
import { RPC_TARGETS } from './rpc.ts';
import { WIRE_TARGETS } from './wire.ts';

export const TARGETS: readonly Target[] = [
  ...WIRE_TARGETS,
  ...FRAME_TARGETS,
  ...CRYPTO_TARGETS,
  ...DISK_TARGETS,
  ...RECORD_TARGETS,
  ...EVM_TARGETS,
  ...FILE_TARGETS,
  ...PROOF_FILE_TARGETS,
  ...RPC_TARGETS,
  ...CLIENT_TARGETS,
];

export function findTarget(name: string): Target | undefined {
  return TARGETS.find((target) => target.name === name);
}
