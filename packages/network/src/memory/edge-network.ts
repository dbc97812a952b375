/** `EdgeNetwork` on a memory hub. */

import { SquadError, type ValidatorIndex } from '@squad/types';
import type { EdgeNetwork, FeedStream, NetworkValidator } from '../api.ts';
import type { EdgeNetworkConfig } from '../config.ts';
import { MemoryFeed } from './feed.ts';
import type { MemoryHub } from './hub.ts';
import { MemoryNode } from './node.ts';

export class MemoryEdgeNetwork extends MemoryNode implements EdgeNetwork {
  constructor(hub: MemoryHub, config: EdgeNetworkConfig) {
    super(hub, { ...config, self: undefined }, { onGossip: config.onGossip });
  }

  async openFeed(to: ValidatorIndex): Promise<FeedStream> {
    const session = this.sessionWith(to);
    const server = session.other(this);
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => {
        cancel();
        const message = `no feed from ${server.peerId}: ${reason}`;
        reject(new SquadError('FEED_FAILED', message, 'Try another validator.', { peer: server.peerId }));
      };
      const cancel = session.whenClosed(() => fail('the connection closed'));
      session.after(this, server, () => {
        const served = server.receiveFeed(session, this);
        if (served === undefined) return fail('refused');
        const feed = new MemoryFeed(session, this, this.limits.maxFeedRequestBytes, () => {});
        feed.join(served);
        served.join(feed);
        cancel();
        resolve(feed);
      });
    });
  }

  changeValidators(validators: readonly NetworkValidator[]): void {
    this.changeSet(validators, undefined);
  }

  connected(): void {}

  disconnected(): void {}

  receive(): void {}

  receiveFeed(): undefined {}
}
