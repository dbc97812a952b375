/** What the network counts, for whoever scrapes: what passes, what waits, what is dropped or turned away. */

import { CHANNELS, type ChannelStatistics, type Network, REFUSAL_REASONS } from '@squad/network';
import type { Metrics } from '@squad/service';

export function createNetworkMetrics(metrics: Metrics, network: Network): void {
  const byChannel = (name: string, help: string, field: keyof ChannelStatistics) =>
    metrics.totals({
      name: `squad_network_${name}_total`,
      help,
      label: 'channel',
      labels: { channel: CHANNELS },
      read: () => {
        const { channels } = network.statistics();
        return Object.fromEntries(CHANNELS.map((channel) => [channel, channels[channel][field]]));
      },
    });
  byChannel('sent_frames', 'Frames queued for connected validators, once for each', 'framesSent');
  byChannel('sent_bytes', 'Bytes of these frames', 'bytesSent');
  byChannel('received_frames', 'Frames from validators', 'framesReceived');
  byChannel('received_bytes', 'Bytes of these frames', 'bytesReceived');
  byChannel('dropped_frames', 'Frames dropped because a queue was full or a validator not connected', 'framesDropped');
  metrics.totals({
    name: 'squad_network_refusals_total',
    help: 'Times that a peer, or what it did, was turned away',
    label: 'reason',
    labels: { reason: REFUSAL_REASONS },
    read: () => network.statistics().refusals,
  });
  metrics.gauge({
    name: 'squad_network_queued_bytes',
    help: 'Bytes that wait to be sent to validators',
    read: () => {
      const { channels } = network.statistics();
      return CHANNELS.reduce((sum, channel) => sum + channels[channel].queuedBytes, 0);
    },
  });
  metrics.gauge({
    name: 'squad_network_paused_reads',
    help: 'Times that reading from a validator was paused because it sent faster than its rate',
    read: () => network.statistics().readsPaused,
  });
  metrics.gauge({
    name: 'squad_network_connected_validators',
    help: 'Validators with which both channels are open',
    read: () => network.connectedValidators.length,
  });
}
