/** The delay proxy's process: every byte is passed on, in order, a fixed time after it came. */

import { connect, createServer, type Socket } from 'node:net';

/** Bytes that are on their way in one direction of one connection; beyond it reading pauses. */
const MAX_DELAYED_BYTES: number = 64 * 1024 * 1024;

const delayMs = Number(process.argv[2]);

function pass(from: Socket, to: Socket): void {
  let delayed = 0;
  from.on('data', (chunk) => {
    delayed += chunk.length;
    if (delayed > MAX_DELAYED_BYTES) from.pause();
    // Timers of one length end in the order in which they began.
    setTimeout(() => {
      delayed -= chunk.length;
      if (delayed <= MAX_DELAYED_BYTES && from.isPaused()) from.resume();
      if (!to.destroyed) to.write(chunk);
    }, delayMs);
  });
  from.on('close', () => setTimeout(() => to.destroy(), delayMs));
  from.on('error', () => {});
}

process.on('message', (message) => {
  const { target } = message as { target: number };
  const server = createServer({ noDelay: true }, (incoming) => {
    const outgoing = connect({ host: '127.0.0.1', port: target, noDelay: true });
    pass(incoming, outgoing);
    pass(outgoing, incoming);
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (address !== null && typeof address === 'object') process.send!({ target, port: address.port });
  });
});
process.on('disconnect', () => process.exit(0));
