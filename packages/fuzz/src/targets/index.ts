import type { Target } from '../target.ts';
import { DISK_TARGETS } from './disk.ts';
import { EVM_TARGETS } from './evm.ts';
import { FILE_TARGETS } from './files.ts';
import { FRAME_TARGETS } from './frames.ts';
import { RECORD_TARGETS } from './records.ts';
import { RPC_TARGETS } from './rpc.ts';
import { WIRE_TARGETS } from './wire.ts';

export const TARGETS: readonly Target[] = [
  ...WIRE_TARGETS,
  ...FRAME_TARGETS,
  ...DISK_TARGETS,
  ...RECORD_TARGETS,
  ...EVM_TARGETS,
  ...FILE_TARGETS,
  ...RPC_TARGETS,
];

export function findTarget(name: string): Target | undefined {
  return TARGETS.find((target) => target.name === name);
}
