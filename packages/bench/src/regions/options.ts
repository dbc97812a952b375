/** Options of `npm run bench:regions`. */

import { defineOptions } from '@squad/service';
import { MAX_VALIDATORS } from '@squad/types';
import { z } from 'zod';
import { MEASURED_BATCH_BYTES } from './costs.ts';

const sizes = z
  .string()
  .refine((text) => sizesOf(text).every((n) => Number.isInteger(n) && n >= 4 && n <= MAX_VALIDATORS), {
    error: `sizes of sets from 4 to ${MAX_VALIDATORS}, with commas between them`,
  });

export function sizesOf(text: string): number[] {
  return text.split(',').map(Number);
}

export const regionsOptions = defineOptions({
  validators: {
    type: sizes,
    default: '4,7,10,16,31,64,100',
    env: 'SQUAD_BENCH_VALIDATORS',
    flag: '--validators',
    help: 'sizes of the sets, with commas between them',
  },
  absent: {
    type: z.enum(['all', 'none', 'region', 'faulty']),
    default: 'all',
    env: 'SQUAD_BENCH_ABSENT',
    flag: '--absent',
    help: 'who is down from the start: none, the first region, as many as the set bears (faulty), or each of these in turn (all)',
  },
  batchBytes: {
    type: z.int().min(256).max(MEASURED_BATCH_BYTES),
    default: MEASURED_BATCH_BYTES,
    env: 'SQUAD_BENCH_BATCH_BYTES',
    flag: '--batch-bytes',
    help: 'bytes of a batch',
  },
  batchesPerSecond: {
    type: z.number().min(0.1).max(1_000),
    default: 10,
    env: 'SQUAD_BENCH_BATCHES',
    flag: '--batches',
    help: 'batches a second that all validators seal together',
  },
  uplinkMbit: {
    type: z.number().min(1).max(100_000),
    default: 1_000,
    env: 'SQUAD_BENCH_UPLINK',
    flag: '--uplink',
    help: 'megabits a second that a validator can send',
  },
  tcp: {
    type: z.enum(['cold', 'warm']),
    default: 'cold',
    env: 'SQUAD_BENCH_TCP',
    flag: '--tcp',
    help: 'cold: each batch begins with the initial window of TCP; warm: it waits for no acknowledgement',
  },
  cores: {
    type: z.int().min(1).max(64),
    default: 1,
    env: 'SQUAD_BENCH_CORES',
    flag: '--cores',
    help: 'cores of a validator; its consensus takes one, batches the others',
  },
  cpu: {
    type: z.number().min(0).max(100),
    default: 1,
    env: 'SQUAD_BENCH_CPU',
    flag: '--cpu',
    help: 'how much slower a core is than the one that was measured; 0: nothing costs anything',
  },
  warmUpSeconds: {
    type: z.number().min(0).max(600),
    default: 6,
    env: 'SQUAD_BENCH_WARM_UP',
    flag: '--warm-up',
    help: 'virtual seconds before what is measured',
  },
  seconds: {
    type: z.number().min(1).max(600),
    default: 6,
    env: 'SQUAD_BENCH_DURATION',
    flag: '--duration',
    help: 'virtual seconds that are measured',
  },
  seed: {
    type: z.int().min(0).max(0xffff_ffff),
    default: 1,
    env: 'SQUAD_BENCH_SEED',
    flag: '--seed',
    help: 'when each validator seals, and who is down',
  },
  json: {
    type: z.string().min(1).optional(),
    env: 'SQUAD_BENCH_JSON',
    flag: '--json',
    help: 'file for the result as JSON',
  },
});
