/** All streams of one sequencer, and the sequence for those who read it otherwise. */

import type { FeedStream } from '@squad/network';
import { noMetrics } from '@squad/service';
import {
  type Block,
  type BlockHeader,
  type Certificate,
  type FeedBlock,
  FeedStage,
  type Height,
  type RollupId,
} from '@squad/types';
import { FEED_TAKEOVER_MS, type Feed, type FeedConfig, type FeedSizes } from './api.ts';
import { wholeBlock } from './messages.ts';
import { FinalReader, RecentFinals } from './reader.ts';
import { FeedSession, type SessionFault } from './session.ts';
import { Signal } from './signal.ts';

export function createFeed(config: FeedConfig): Feed {
  return new SequencerFeed(config);
}

class SequencerFeed implements Feed {
  readonly #config: FeedConfig;
  readonly #rollupIds: ReadonlySet<RollupId>;
  readonly #recent = new RecentFinals();
  readonly #sessions = new Set<FeedSession>();
  /** Readers of `sequenceFrom` that wait for the next block. */
  readonly #readers = new Set<Signal>();
  readonly #measure: ReturnType<typeof measures>;
  /** The newest final block that the node told of; what the store has beyond it is being told. */
  #head: Height;
  #stopped = false;

  constructor(config: FeedConfig) {
    this.#config = config;
    this.#rollupIds = new Set(config.rollupIds);
    this.#head = config.source.head;
    this.#measure = measures(config, () => this.#sessions.size);
  }

  get streams(): number {
    return this.#sessions.size;
  }

  get sizes(): FeedSizes {
    const sessions = [...this.#sessions].map(({ sizes }) => sizes);
    const most = (of: keyof (typeof sessions)[number]) => Math.max(0, ...sessions.map((sizes) => sizes[of]));
    return {
      recentFinals: this.#recent.size,
      pendingSofts: most('pendingSofts'),
      unacknowledgedBlocks: most('unacknowledgedBlocks'),
      unacknowledgedBytes: most('unacknowledgedBytes'),
    };
  }

  onStream(stream: FeedStream): void {
    if (this.#stopped) {
      stream.close();
      return;
    }
    const { source, self, handOvers, takeoverMs = FEED_TAKEOVER_MS } = this.#config;
    const session: FeedSession = new FeedSession({
      stream,
      source,
      handOvers,
      recent: this.#recent,
      head: () => this.#head,
      self,
      rollupIds: this.#rollupIds,
      takeoverMs,
      onPosted: (stage, role, bytes) => {
        this.#measure.posted.increment({ stage: stage === FeedStage.final ? 'final' : 'soft', role });
        this.#measure.bytes.add(bytes);
      },
      onClosed: (fault) => {
        this.#sessions.delete(session);
        this.#tell(stream, fault);
      },
    });
    this.#sessions.add(session);
  }

  onSoft(block: Block, certificate: Certificate): void {
    if (block.header.leader !== this.#config.self()) return;
    for (const session of this.#sessions) session.offerSoft(block, certificate);
  }

  onFinal(blocks: readonly Block[], certificate: Certificate, path: readonly BlockHeader[] = []): void {
    this.#recent.add(blocks, certificate, path, performance.now());
    this.#head = Math.max(this.#head, blocks.at(-1)?.header.height ?? 0);
    for (const session of this.#sessions) session.headMoved();
    for (const reader of this.#readers) reader.raise();
  }

  async *sequenceFrom(
    rollupId: RollupId,
    height: Height,
    signal?: AbortSignal,
  ): AsyncGenerator<FeedBlock, void, undefined> {
    const { source, handOvers } = this.#config;
    const reader = new FinalReader(source, handOvers, this.#recent);
    const changed = new Signal();
    const wake = () => changed.raise();
    this.#readers.add(changed);
    signal?.addEventListener('abort', wake);
    try {
      for (let next = Math.max(1, height); !this.#stopped && !signal?.aborted; ) {
        if (next > this.#head) {
          await changed.wait();
          continue;
        }
        const final = await reader.read(next);
        yield await wholeBlock({ ...final, stage: FeedStage.final, rollupId, bodiesOmitted: false }, source);
        next++;
      }
    } finally {
      this.#readers.delete(changed);
      signal?.removeEventListener('abort', wake);
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const session of [...this.#sessions]) session.close({ code: 'STOPPING', message: 'this sequencer stops' });
    for (const reader of this.#readers) reader.raise();
  }

  #tell(stream: FeedStream, fault: SessionFault | undefined): void {
    const { logger } = this.#config;
    this.#measure.closed.increment({ reason: fault?.code ?? 'BY_PEER' });
    const fields = { peer: stream.peer, code: fault?.code, reason: fault?.message };
    if (fault?.code === 'INTERNAL') logger.error({ ...fields, err: fault.cause }, 'a feed failed');
    else logger.debug(fields, 'a feed was closed');
  }
}

function measures({ metrics = noMetrics }: FeedConfig, streams: () => number) {
  metrics.gauge({ name: 'squad_feed_streams_open', help: 'Feeds of rollup nodes that are served', read: streams });
  return {
    posted: metrics.counter({
      name: 'squad_feed_posted_blocks_total',
      help: 'Blocks posted to rollup nodes, by stage and by why this sequencer posted them',
      labels: { stage: ['soft', 'final'], role: ['leader', 'takeover', 'catchUp'] },
    }),
    bytes: metrics.counter({ name: 'squad_feed_posted_bytes_total', help: 'Bytes posted to rollup nodes' }),
    closed: metrics.counter({
      name: 'squad_feed_closed_streams_total',
      help: 'Feeds that ended, by reason',
      labels: { reason: ['BY_PEER', 'UNKNOWN_ROLLUP', 'BAD_MESSAGE', 'NOT_HELD', 'STOPPING', 'INTERNAL'] },
    }),
  };
}
