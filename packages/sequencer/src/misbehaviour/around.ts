/** A network of which some calls are other ones. */

import type { Network } from '@squad/network';

export function around(network: Network, changes: Partial<Pick<Network, 'send' | 'start' | 'stop'>>): Network {
  return {
    get peerId() {
      return network.peerId;
    },
    get addresses() {
      return network.addresses;
    },
    get connectedValidators() {
      return network.connectedValidators;
    },
    get formerValidators() {
      return network.formerValidators;
    },
    get otherPeers() {
      return network.otherPeers;
    },
    get peerCount() {
      return network.peerCount;
    },
    send: (to, channel, frame) => network.send(to, channel, frame),
    request: (to, protocol, request) => network.request(to, protocol, request),
    publish: (message) => network.publish(message),
    disconnect: (peer, reason) => network.disconnect(peer, reason),
    changeValidators: (validators, self) => network.changeValidators(validators, self),
    statistics: () => network.statistics(),
    start: () => network.start(),
    stop: () => network.stop(),
    ...changes,
  };
}
