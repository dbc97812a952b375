/** Ports that lead to other ports of this machine and count what comes back: what somebody has really received. */

import { connect, createServer, type Server, type Socket } from 'node:net';

export class CountingProxy {
  /** Bytes that came from all targets to whoever connected here. */
  received = 0;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  /** Opens a port that leads to `target`; resolves with it. */
  listen(target: number): Promise<number> {
    const server = createServer((near) => {
      const far = connect(target, '127.0.0.1');
      for (const socket of [near, far]) {
        socket.setNoDelay(true);
        this.#sockets.add(socket);
        socket.on('close', () => this.#sockets.delete(socket));
      }
      near.on('error', () => far.destroy()).on('close', () => far.destroy());
      far.on('error', () => near.destroy()).on('close', () => near.destroy());
      far.on('data', (bytes) => {
        this.received += bytes.length;
      });
      near.pipe(far);
      far.pipe(near);
    });
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.on('error', reject);
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
