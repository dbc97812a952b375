/** Waits until nodes say that they are ready. */

import { observe, type TestnetProcess, waitFor } from '@squad/testnet';

export async function waitReady(processes: readonly TestnetProcess[], timeoutMs = 60_000): Promise<void> {
  await Promise.all(
    processes.map(({ name, rpcUrl }) =>
      waitFor(
        `${name} is ready`,
        async () => {
          const { state, detail } = await observe(name, rpcUrl);
          if (state !== 'ready') throw new Error(detail ?? state);
          return true;
        },
        timeoutMs,
      ),
    ),
  );
}
