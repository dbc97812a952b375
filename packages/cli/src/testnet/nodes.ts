/** The nodes of a running testnet, for commands that ask nodes. */

import { isAlive, readState } from '@squad/testnet';
import { SquadError } from '@squad/types';

/** Throws `TESTNET_NOT_RUNNING`. */
export async function testnetNodes(directory: string): Promise<{ name: string; role: string; rpcUrl: string }[]> {
  const state = await readState(directory);
  const alive = state.launcherPid !== null && isAlive(state.launcherPid);
  // Its ports may be another network's by now: that one's nodes would be shown as this one's.
  if (!alive) {
    throw new SquadError(
      'TESTNET_NOT_RUNNING',
      `the testnet in ${directory} does not run`,
      `Start it with \`squad testnet --dir ${directory}\`, or name nodes with --rpc.`,
    );
  }
  return state.processes;
}
