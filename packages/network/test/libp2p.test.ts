/** What only the libp2p implementation has: configuration errors, bootstrap, names. */

import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createNetwork, type NetworkConfig, protocolNames } from '../src/index.ts';
import { Cluster, eventually, libp2pImplementation, NETWORK_ID, publicKeyOf, seedOf } from './cluster.ts';

const unused = async (): Promise<never> => {
  throw new Error('not used');
};

const config: NetworkConfig = {
  nodeKeySeed: seedOf('validator 0'),
  networkId: NETWORK_ID,
  validators: [{ nodePublicKey: publicKeyOf(seedOf('validator 0')), addresses: ['/ip4/127.0.0.1/tcp/1'] }],
  self: 0,
  listen: ['/ip4/127.0.0.1/tcp/0'],
  bootstrap: [],
  mdns: false,
  handlers: {
    onFrame: () => {},
    onValidatorConnected: () => {},
    onValidatorDisconnected: () => {},
    onRequest: unused,
    onGossip: unused,
    onFeed: () => {},
  },
};

describe('libp2p network', () => {
  it('says what of a configuration is wrong', async () => {
    const cases: [Partial<NetworkConfig>, string, RegExp][] = [
      [
        { nodeKeySeed: seedOf('another') },
        'NODE_KEY_MISMATCH',
        /not the one that the genesis file has for validator 0/,
      ],
      [{ self: 3 }, 'NODE_KEY_MISMATCH', /validator 3/],
      [{ nodeKeySeed: new Uint8Array(31) }, 'NODE_KEY_INVALID', /31 bytes/],
      [{ listen: ['127.0.0.1:9000'] }, 'ADDRESS_INVALID', /listen has "127.0.0.1:9000"/],
      [{ bootstrap: ['nowhere'] }, 'ADDRESS_INVALID', /bootstrap has "nowhere"/],
      [{ limits: { refusalMs: -1 } }, 'LIMIT_INVALID', /refusalMs is -1/],
    ];
    for (const [change, code, message] of cases) {
      const created = createNetwork({ ...config, ...change });
      await expect(created).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    }
  });

  it('says that a port is taken', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const listen = `/ip4/127.0.0.1/tcp/${port}`;
    const network = await createNetwork({ ...config, listen: [listen] });
    await expect(network.start()).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: `cannot listen on ${listen}: listen EADDRINUSE: address already in use 127.0.0.1:${port}`,
    });
    server.close();
  });

  it('has the peer id of its node key, and names with 8 digits of the network id', async () => {
    const network = await createNetwork(config);
    await network.start();
    expect(network.addresses).toHaveLength(1);
    expect(network.addresses[0]).toMatch(new RegExp(`^/ip4/127.0.0.1/tcp/\\d+/p2p/${network.peerId}$`));
    await network.stop();
    const names = protocolNames(Uint8Array.from([0xab, 0xcd, 0xef, 0x01, 0xff]));
    expect(names.channels.consensus).toBe('/squad/abcdef01/consensus/1');
    expect(names.feed).toBe('/squad/abcdef01/feed/1');
    expect(names.transactionsTopic).toBe('/squad/abcdef01/transactions/1');
  });

  describe('joining', () => {
    let cluster: Cluster;
    afterEach(() => cluster.stop());

    it('finds its way by a bootstrap address when the genesis file has none', async () => {
      cluster = await Cluster.meshed(libp2pImplementation, 2);
      const validators = cluster.validators.map(({ nodePublicKey }) => ({ nodePublicKey, addresses: [] }));
      const bootstrap = [cluster.nodes[1]!.network.addresses[0]!];
      const edge = await cluster.edge('lost', { validators, bootstrap });
      await eventually('connected', () => edge.peerCount === 1);
      expect(await edge.request(1, 'block', Uint8Array.of(1))).toEqual(Uint8Array.of(1));
      await expect(edge.request(0, 'block', Uint8Array.of(1))).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
    });

    it('connects with validators that start late, and again after all of them restarted', async () => {
      cluster = await Cluster.create(libp2pImplementation, 2);
      const edge = await cluster.edge('early');
      for (let round = 0; round < 2; round++) {
        cluster.nodes.splice(0, 2, await cluster.node(0), await cluster.node(1));
        await Promise.all(cluster.nodes.map(({ network }) => network.start()));
        await cluster.mesh();
        await eventually('the edge node is back', () => edge.peerCount === 2);
        await Promise.all(cluster.nodes.map(({ network }) => network.stop()));
        await eventually('the edge node is alone', () => edge.peerCount === 0);
      }
    });
  });
});
