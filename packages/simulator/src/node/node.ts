/**
 * One simulated sequencer: the real one, whole, from its lane to its feed, with a network, a disk, a clock and votes of
 * this world. What it lets out is looked at on the way, and bent if it is Byzantine.
 */

import {
  type Adversary,
  type DiskCallKind,
  followerIndex,
  type ObservedNode,
  type PlannedEpoch,
  type Random,
} from '@squad/consensus/sim';
import {
  MAX_ANSWER_BYTES,
  MAX_CONSENSUS_FRAME_BYTES,
  MAX_DATA_FRAME_BYTES,
  MAX_GOSSIP_MESSAGE_BYTES,
  MAX_REQUEST_BYTES,
  type Network,
  type NetworkHandlers,
  type NetworkStatistics,
  type NetworkValidator,
  type PeerId,
} from '@squad/network';
import {
  type Admission,
  admitOpaque,
  createFeed,
  createSequencerMetrics,
  type Feed,
  Sequencer,
} from '@squad/sequencer/parts';
import { type Logger, noMetrics, silentLogger } from '@squad/service';
import { createNodeStore, type NodeStore } from '@squad/storage';
import {
  Block,
  blockHash,
  Certificate,
  type ConsensusMessage,
  decodeHandOverProof,
  decodeValidatorMessage,
  encodeValidatorMessage,
  equalBytes,
  toHex,
  type ValidatorIndex,
  type Vote,
} from '@squad/types';
import { SimulatedDisk, voteName } from './disk.ts';
import { callThatFailed, type DiskCallFailed } from './disk-calls.ts';
import { checkFork } from './forks.ts';
import { identityOfNodeKey, nodeKeyOf, type OperatorsSets, operatorsSets } from './genesis.ts';
import { type Endpoint, peerIdOf } from './links.ts';
import type { Life } from './time.ts';
import type { NodeWorld } from './world.ts';

/** With slow disks: how often the sync with which an epoch ends takes so long that the others are in the next one before it. */
const STALL_CHANCE = 0.3;
const MAX_STALL_MS = 1_000;
const BATCH_BYTES = 1_024;
const BATCH_AGE_MS = 20;
const HEARTBEAT_MS = 1_000;
const BLOCK_INTERVAL_MS = 60;
const TAKEOVER_MS = 2_000;
/** Several in each epoch. */
const CHECKPOINT_INTERVAL_BLOCKS = 5;

const admission: Admission = {
  admit: async (_rollup, transactions) => transactions.map(admitOpaque),
  waiting: 0,
  close: async () => {},
};

/** The validators that a node's network knows now: their identities, by position. */
interface Directory {
  readonly identities: readonly number[];
  readonly self: ValidatorIndex | undefined;
}

export class NodeOfWorld {
  /** Whose node it is: its position only if the set is of all. */
  readonly index: number;
  readonly place: number;
  readonly random: Random;
  readonly disk: SimulatedDisk;
  clockSkewMs = 0;
  /** Of a Byzantine one: messages that it keeps over all epochs. */
  readonly memory: ConsensusMessage[] = [];
  /** Of the present life; undefined while the node is down or starting. */
  sequencer: Sequencer | undefined;
  feed: Feed | undefined;
  life: Life | undefined;
  endpoint: Endpoint | undefined;
  readonly #world: NodeWorld;
  #store: NodeStore | undefined;
  #sets: OperatorsSets | undefined;
  #directory: Directory = { identities: [], self: undefined };
  /** Of those that its network of this life has known. */
  #former = new Set<number>();
  /** The view that an adversary last heard of. */
  #view = '';
  /** What happens once this node has ended itself because a call of its disk failed. */
  #onEnded: () => void = () => {};
  /** A write of the index that failed, while the node need not have heard of it. */
  #unheard: DiskCallFailed | undefined;

  constructor(world: NodeWorld, index: number, place: number, random: Random) {
    this.#world = world;
    this.index = index;
    this.place = place;
    this.random = random;
    this.disk = new SimulatedDisk(random.fork('disk'), {
      onBatch: (signed, digest) => {
        world.learnBatch(signed.header, digest);
        checkFork(world, this, signed);
      },
      onSync: () => this.#checkEnd(),
      onSynced: () => this.#mustEnd(this.#unheard),
      onFailure: (failure) => this.#onDiskFailure(failure),
      syncDelayMs: (draw, endsEpoch) => {
        if (endsEpoch && world.schedule.faults.has('slow-disk') && draw.chance(STALL_CHANCE))
          return draw.integer(50, MAX_STALL_MS);
        return world.slowDisks.has(place) ? draw.integer(5, 120) : draw.integer(0, 3);
      },
    });
  }

  get name(): string {
    return this.place === this.index ? `n${this.index}` : `n${this.index}'`;
  }

  get up(): boolean {
    return this.life !== undefined;
  }

  get isHonest(): boolean {
    return !this.#world.schedule.byzantine.has(this.index);
  }

  /** What it orders in now; epoch 0 while it is down. */
  get epoch(): PlannedEpoch {
    return this.#world.plan.at(this.sequencer?.epoch ?? 0);
  }

  get adversary(): Adversary | undefined {
    return this.#world.byzantine.adversaryOf(this, this.epoch);
  }

  // ---------------------------------------------------------------- life

  /** Starts a life; what it does from then on are events of the world. */
  start(): void {
    const life: Life = {
      isAlive: true,
      clockSkewMs: () => this.clockSkewMs,
      random: this.random.fork(`life-${this.#world.queue.nowMs}`),
    };
    this.life = life;
    this.#view = '';
    this.#former = new Set();
    this.#world.time.in(life, () => {
      this.#run(life).catch((error: unknown) => this.#failed(life, error));
    });
  }

  async #run(life: Life): Promise<void> {
    const world = this.#world;
    const { genesis } = world;
    await this.crashing;
    const store = await createNodeStore(this.disk.open());
    await this.disk.calls.aside(() => world.onRestarted(this, store));
    const logger = this.#logger(life);
    const sets = operatorsSets(genesis, (epoch) => world.disputes.setFor(this.index, epoch));
    this.#sets = sets;
    const sequencer = await Sequencer.open({
      genesis,
      validatorSets: sets,
      placeIn: (set) => {
        const self = world.plan.at(set.epoch).positionOf(this.index);
        return self === undefined ? undefined : { self, blsSecretKey: undefined };
      },
      nodeKey: nodeKeyOf(this.index),
      createScheme: (_set, self) => world.registry.schemeFor(self),
      store,
      admission,
      logger,
      metrics: createSequencerMetrics(noMetrics),
      now: Date.now,
      batchBytes: BATCH_BYTES,
      batchAgeMs: BATCH_AGE_MS,
      heartbeatMs: HEARTBEAT_MS,
      blockIntervalMs: BLOCK_INTERVAL_MS,
      gossipTakeoverMs: TAKEOVER_MS,
      checkpointIntervalBlocks: CHECKPOINT_INTERVAL_BLOCKS,
      onFailure: (error) => this.#failed(life, error),
    });
    const rollupIds = genesis.file.rollups.map(({ rollupId }) => rollupId);
    const feed = createFeed({
      source: store,
      self: () => sequencer.self,
      handOvers: sequencer.handOvers,
      rollupIds,
      logger: silentLogger,
    });
    const endpoint: Endpoint = {
      identity: this.index,
      place: this.place,
      life,
      handlers: this.#handlers(sequencer.handlers),
      positionOf: (identity) => this.#positionOf(identity),
      hasChannels: () => this.#directory.self !== undefined,
      onArrival: (from, position, frame) => this.#arrived(from, position, frame),
    };
    if (!life.isAlive) return;
    if (this.isHonest) {
      sequencer.listen(({ stage, block }, certificate) => world.onBlock(this, stage, block, certificate));
    }
    const { validators, self } = sequencer.networkSet;
    this.#directory = { identities: validators.map(({ nodePublicKey }) => identityOfNodeKey(nodePublicKey)), self };
    this.#store = store;
    this.sequencer = sequencer;
    this.feed = feed;
    this.endpoint = endpoint;
    await sequencer.start(this.#network(endpoint), feed);
    if (life.isAlive) world.links.join(endpoint);
  }

  /** Its operator's file of later validators was replaced. */
  setsChanged(): void {
    const { life } = this;
    if (life) this.#world.time.in(life, () => this.#sets?.changed());
  }

  crash(): void {
    const { life, endpoint } = this;
    if (!life) return;
    life.isAlive = false;
    this.life = undefined;
    this.sequencer = undefined;
    this.feed = undefined;
    this.#store = undefined;
    this.endpoint = undefined;
    if (endpoint) this.#world.links.leave(endpoint);
    this.disk.atNextSync = undefined;
    this.#unheard = undefined;
    this.crashing = this.disk.crash();
  }

  /** What a crash leaves is on the disk before the node starts again. */
  crashing: Promise<void> = Promise.resolve();

  atNextSync(failing: boolean, act: () => void): void {
    this.disk.atNextSync = { failing, act };
  }

  failDiskCall(kind: DiskCallKind, nth: number, ended: () => void): void {
    if (this.disk.calls.failAt(kind, nth)) this.#onEnded = ended;
  }

  #failed(life: Life, error: unknown): void {
    // What fails in a life that is over fails because it is over.
    if (!life.isAlive) return;
    if (callThatFailed(error)) return this.endItself();
    this.#world.fail('never throws', `${this.name}: ${error instanceof Error ? error.stack : error}`);
  }

  /** The process stops: of a disk that cannot be relied upon it says so, and nothing else. */
  endItself(): void {
    this.#world.count('a node ends itself for its disk');
    this.#world.crash(this);
    this.#onEnded();
  }

  #onDiskFailure(failure: DiskCallFailed): void {
    this.#world.note('disk call', [this.place], () => `${this.name}: ${failure.message}`);
    this.#world.count(failure.message);
    if (failure.part === 'log' && failure.isWrite) this.#mustEnd(failure);
    else if (failure.isWrite) this.#unheard = failure;
  }

  /** R20: who cannot write says so and ends itself. Of an index that is behind the log, when the next sync is over. */
  #mustEnd(failure: DiskCallFailed | undefined): void {
    const { life } = this;
    if (!failure || !life) return;
    this.#world.queue.after(1, () => {
      const isHeard = failure.part === 'index' && this.#unheard !== failure;
      if (life.isAlive && !isHeard) this.#world.fail('ends itself', `${this.name} goes on, and ${failure.message}`);
    });
  }

  // ---------------------------------------------------------------- what the invariants look at

  /** As one of an epoch's validators; of one that is none the index is below 0. */
  observedIn(epoch: PlannedEpoch): ObservedNode {
    const { place, name, disk } = this;
    return {
      index: epoch.positionOf(this.index) ?? followerIndex(this.index),
      place,
      name,
      isVoteDurable: (vote: Vote) => disk.votes.has(voteName(vote)),
      isBatchDurable: (digest) => this.isBatchDurable(digest),
      isBlockKnown: () => true,
      isEndDurable: () => disk.ends.has(epoch.number),
    };
  }

  isBatchDurable(digest: Uint8Array): boolean {
    return this.disk.batches.has(toHex(digest));
  }

  /** A final block as anybody may read it here. */
  async read(height: number, store = this.#store): Promise<{ block: Block; certificate: Certificate | undefined }> {
    const stored = await store?.readBlock(height);
    if (!stored) throw new Error(`${this.name}: final block ${height} cannot be read`);
    const certificate = stored.certificate && (Certificate.deserialize(stored.certificate) as Certificate);
    return { block: Block.deserialize(stored.block), certificate };
  }

  #logger(life: Life): Logger {
    const error = (fields: unknown, message?: unknown): void => {
      const cause = typeof fields === 'object' && fields !== null && 'err' in fields ? fields.err : fields;
      if (callThatFailed(cause)) {
        this.#unheard = undefined;
        return this.#world.count('a node says that its disk failed, and goes on');
      }
      if (this.isHonest) this.#failed(life, cause instanceof Error ? cause : new Error(`${message}: ${cause}`));
    };
    const logger: Logger = { ...silentLogger, error, fatal: error, child: () => logger };
    return logger;
  }

  // ---------------------------------------------------------------- network

  #handlers(handlers: NetworkHandlers): NetworkHandlers {
    return {
      ...handlers,
      onRequest: async (from, protocol, request) => {
        if (protocol === 'batches' && this.adversary?.servesBatch && this.random.chance(0.8))
          throw new Error('it keeps them to itself');
        const answer = await handlers.onRequest(from, protocol, request);
        this.#withinLimit('an answer', answer, MAX_ANSWER_BYTES);
        if (protocol === 'handOver' && answer.length > 0) this.#answersWithProof(answer);
        return this.isHonest ? answer : this.#world.byzantine.answer(this, protocol, request, answer);
      },
    };
  }

  /** R20, R22: what anyone would be told who asked now for the end of the present epoch. */
  #checkEnd(): void {
    const { sequencer } = this;
    const epoch = sequencer?.epoch ?? 0;
    if (!sequencer || this.disk.ends.has(epoch)) return;
    const check = (encoded: Uint8Array | undefined) => encoded && this.#answersWithProof(encoded);
    this.disk.calls.aside(() => sequencer.handOvers.encoded(epoch)).then(check, () => {});
  }

  #answersWithProof(answer: Uint8Array): void {
    const proof = decodeHandOverProof(answer);
    const epoch = proof.ok ? proof.value.boundaryHeader.epoch : undefined;
    if (!this.isHonest || (epoch !== undefined && this.disk.ends.has(epoch))) return;
    this.#world.fail(
      'durable before visible',
      `${this.name} tells of the end of epoch ${epoch}, which is not on its disk`,
    );
  }

  /** Where a validator stands for this node; undefined: it is none. */
  #positionOf(identity: number): ValidatorIndex | undefined {
    const position = this.#directory.identities.indexOf(identity);
    return position < 0 ? undefined : position;
  }

  #changeValidators(
    endpoint: Endpoint,
    validators: readonly NetworkValidator[],
    self: ValidatorIndex | undefined,
  ): void {
    for (const identity of this.#directory.identities) this.#former.add(identity);
    this.#directory = { identities: validators.map(({ nodePublicKey }) => identityOfNodeKey(nodePublicKey)), self };
    this.#world.onEpochBegun(this);
    this.#world.links.changed(endpoint);
  }

  #network(endpoint: Endpoint): Network {
    const { links } = this.#world;
    const at = (to: ValidatorIndex | PeerId) => {
      const isIt = (peer: Endpoint) =>
        typeof to === 'number' ? peer.identity === this.#directory.identities[to] : peerIdOf(peer) === to;
      return links.peersOf(endpoint).filter(isIt);
    };
    const validators = () =>
      links.peersOf(endpoint).flatMap((peer) => {
        const position = this.#positionOf(peer.identity);
        return position === undefined ? [] : [{ peer, position }];
      });
    const connected = () => [...new Set(validators().map(({ position }) => position))].sort((a, b) => a - b);
    const isFormer = ({ identity }: Endpoint) => this.#former.has(identity);
    const others = () => links.peersOf(endpoint).filter(({ identity }) => this.#positionOf(identity) === undefined);
    return {
      peerId: peerIdOf(endpoint),
      addresses: [],
      get connectedValidators() {
        return connected();
      },
      get formerValidators() {
        return others().filter(isFormer).map(peerIdOf);
      },
      get otherPeers() {
        return others().map(peerIdOf);
      },
      get peerCount() {
        return links.peersOf(endpoint).length;
      },
      send: (to, channel, frame) => {
        if (!endpoint.life.isAlive || this.#directory.self === undefined) return;
        const decoded = decodeValidatorMessage(frame);
        if (!decoded.ok) return this.#world.fail('own frames', `${this.name} sends what does not decode`);
        this.#withinLimit('a frame', frame, channel === 'data' ? MAX_DATA_FRAME_BYTES : MAX_CONSENSUS_FRAME_BYTES);
        this.#world.onSend(this, decoded.value);
        for (const { peer, position } of validators()) {
          if (to !== 'all' && to !== position) continue;
          for (const bent of this.#world.byzantine.bend(this, position, frame, decoded.value))
            links.frame(endpoint, peer, channel, bent);
        }
      },
      request: (to, protocol, request) => {
        const [peer] = at(to);
        this.#withinLimit('a request', request, MAX_REQUEST_BYTES);
        if (!peer || !endpoint.life.isAlive) return Promise.reject(new Error(`not connected to ${to}`));
        return links.request(endpoint, peer, protocol, request);
      },
      publish: async (message) => {
        if (!endpoint.life.isAlive) return 0;
        this.#world.count('gossip');
        this.#withinLimit('gossip', message, MAX_GOSSIP_MESSAGE_BYTES);
        return links.gossip(endpoint, message);
      },
      disconnect: (peer, reason) => {
        if (!endpoint.life.isAlive) return;
        for (const other of at(peer)) {
          this.#world.onMisbehaved(this, other.identity, reason);
          links.refuse(endpoint, other);
        }
      },
      changeValidators: (validators, self) => {
        if (endpoint.life.isAlive) this.#changeValidators(endpoint, validators, self);
      },
      statistics: (): NetworkStatistics => {
        throw new Error('nobody counts here');
      },
      start: async () => {},
      stop: async () => {},
    };
  }

  /** R23: what is longer would cost its sender the connection. */
  #withinLimit(what: string, { length }: Uint8Array, limit: number): void {
    if (length > limit) this.#world.fail('limits', `${this.name}: ${what} of ${length} bytes, of at most ${limit}`);
  }

  /** What an adversary says of its own accord. */
  say(identity: number, message: ConsensusMessage): void {
    const { endpoint } = this;
    if (!endpoint?.life.isAlive) return;
    this.#world.learnByzantine(message);
    for (const peer of this.#world.links.peersOf(endpoint)) {
      if (peer.identity === identity)
        this.#world.links.frame(endpoint, peer, 'consensus', encodeValidatorMessage(message));
    }
  }

  #arrived(from: Endpoint, position: ValidatorIndex, frame: Uint8Array): void {
    const decoded = decodeValidatorMessage(frame);
    this.#world.noteFrame(from.place, this.place, decoded.ok ? decoded.value : undefined);
    const { adversary, sequencer } = this;
    if (!adversary || !sequencer || !decoded.ok) return;
    const { view, leader } = sequencer.core.status;
    const name = `${sequencer.epoch} ${view}`;
    if (name !== this.#view) {
      this.#view = name;
      adversary.enteredView?.(view, leader);
    }
    const message = decoded.value;
    if (message.type === 'proposal' || message.type === 'vote' || message.type === 'certificate') {
      adversary.received?.(position, message);
    }
  }
}

/** Whether a certificate is for this very block. */
export function isFor(certificate: Certificate, block: Block): boolean {
  return equalBytes(certificate.blockHash, blockHash(block.header));
}
