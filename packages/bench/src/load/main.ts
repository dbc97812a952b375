/** A load client as a process of its own: does what the bench tells it over IPC, and ends with it. */

import { LoadClient } from './client.ts';
import { nowUs } from './clock.ts';
import type { FromClient, ToClient } from './protocol.ts';

const PROGRESS_INTERVAL_MS = 500;
const DRAIN_LOOK_MS = 20;

function tell(message: FromClient): void {
  process.send!(message);
}

let client: LoadClient | undefined;
let isFinished = false;

async function run(loadClient: LoadClient, startAtUs: number): Promise<void> {
  const progress = setInterval(() => {
    if (nowUs() >= startAtUs) tell({ type: 'progress', counts: loadClient.counts });
  }, PROGRESS_INTERVAL_MS);
  await loadClient.run(startAtUs);
  tell({ type: 'sent' });
  while (!isFinished && loadClient.unfinal > 0) await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
  clearInterval(progress);
  tell({ type: 'done', result: loadClient.result() });
  loadClient.close();
}

async function handle(message: ToClient): Promise<void> {
  switch (message.type) {
    case 'configure':
      client = new LoadClient(message.config);
      await client.open();
      tell({ type: 'ready' });
      return;
    case 'start':
      await run(client!, message.startAtUs);
      return;
    case 'finish':
      isFinished = true;
  }
}

process.on('message', (message) => {
  handle(message as ToClient).catch((error: Error) => {
    tell({ type: 'failed', message: error.stack ?? error.message });
  });
});
process.on('disconnect', () => process.exit(0));
