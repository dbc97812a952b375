/** Validator sets that were proven, as files in the node's data directory: one for each epoch, its SSZ. */

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decode, SquadError, ValidatorSet } from '@squad/types';
import type { ProvenSets } from './epochs.ts';

export function provenSetFiles(dataDirectory: string): ProvenSets {
  const folder = join(dataDirectory, 'validator-sets');
  const pathOf = (epoch: number) => join(folder, `${epoch}.ssz`);
  return {
    async read(epoch) {
      const bytes = await readFile(pathOf(epoch)).catch(() => undefined);
      if (bytes === undefined) return undefined;
      const set = decode(ValidatorSet, 'ValidatorSet', new Uint8Array(bytes));
      if (set.ok && set.value.epoch === epoch) return set.value;
      throw new SquadError(
        'VALIDATOR_SET_UNREADABLE',
        `${pathOf(epoch)} holds no validator set of epoch ${epoch}`,
        'Delete the file: the node proves the set anew, from the sequencers.',
        { epoch },
      );
    },
    async write(set) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const draft = `${pathOf(set.epoch)}.draft`;
      await writeFile(draft, ValidatorSet.serialize(set), { flush: true });
      await rename(draft, pathOf(set.epoch));
    },
  };
}
