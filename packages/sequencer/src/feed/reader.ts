/** Final blocks with their proof, from memory if they are recent, else from the store. */

import {
  Block,
  type BlockHeader,
  type Certificate,
  decode,
  decodeCertificate,
  type Height,
  MAX_BLOCKS_PER_RANGE,
  type Result,
  SquadError,
} from '@squad/types';
import { epilogueTo, type HandOvers } from '../hand-overs.ts';
import { type FeedSource, MAX_RECENT_FINAL_BLOCKS } from './api.ts';

/** A final block, and what shows that it is: a finalization of it, or of the last header of `path`. */
export interface FinalBlock {
  readonly block: Block;
  readonly certificate: Certificate;
  readonly path: readonly BlockHeader[];
}

export interface RecentFinalBlock extends FinalBlock {
  /** When this node learned of it, by the process's monotonic clock. */
  readonly finalAtMs: number;
}

/** The last final blocks, as the node was told of them. */
export class RecentFinals {
  readonly #byHeight = new Map<Height, RecentFinalBlock>();

  add(blocks: readonly Block[], certificate: Certificate, beyond: readonly BlockHeader[], finalAtMs: number): void {
    const headers = [...blocks.map((block) => block.header), ...beyond];
    for (const [position, block] of blocks.entries()) {
      const path = headers.slice(position + 1);
      // A longer path is no valid proof: such a block is proven by a certificate from the store.
      if (path.length > MAX_BLOCKS_PER_RANGE + beyond.length) continue;
      this.#byHeight.set(block.header.height, { block, certificate, path, finalAtMs });
    }
    for (const height of this.#byHeight.keys()) {
      if (this.#byHeight.size <= MAX_RECENT_FINAL_BLOCKS) break;
      this.#byHeight.delete(height);
    }
  }

  get size(): number {
    return this.#byHeight.size;
  }

  get(height: Height): RecentFinalBlock | undefined {
    return this.#byHeight.get(height);
  }
}

/** The headers from some height to the next certificate: what proves each block of a stretch. */
interface Stretch {
  readonly certificate: Certificate;
  readonly toHeight: Height;
  /** Ascending, the last one at `toHeight`. */
  readonly headers: readonly BlockHeader[];
  /** From the last one to the header that the certificate names: none, or an epilogue. */
  readonly beyond: readonly BlockHeader[];
}

/** Reads on behalf of one reader: keeps the headers of the stretch that it is in, so each is read once. */
export class FinalReader {
  readonly #source: FeedSource;
  readonly #handOvers: Pick<HandOvers, 'read'>;
  readonly #recent: RecentFinals;
  #stretch: Stretch | undefined;

  constructor(source: FeedSource, handOvers: Pick<HandOvers, 'read'>, recent: RecentFinals) {
    this.#source = source;
    this.#handOvers = handOvers;
    this.#recent = recent;
  }

  /** `height` must be at or below the source's head. Throws SquadError `FEED_NOT_HELD`. */
  async read(height: Height): Promise<FinalBlock> {
    const recent = this.#recent.get(height);
    if (recent) return recent;
    const block = await this.#block(height);
    const { certificate, toHeight, headers, beyond } = await this.#stretchFrom(height);
    return { block, certificate, path: [...headers.slice(headers.length - (toHeight - height)), ...beyond] };
  }

  async #stretchFrom(height: Height): Promise<Stretch> {
    const held = this.#stretch;
    if (held && height <= held.toHeight && height > held.toHeight - held.headers.length) return held;
    const next = await this.#source.nextFinalizationAtOrAfter(height);
    if (!next || next.height - height > MAX_BLOCKS_PER_RANGE) throw notHeld(`a certificate for block ${height}`);
    const headers: BlockHeader[] = [];
    for (let at = height; at <= next.height; at++) headers.push((await this.#block(at)).header);
    const certificate = stored(decodeCertificate(next.certificate), `the finalization of block ${next.height}`);
    const beyond = await epilogueTo(certificate, headers.at(-1)!, this.#handOvers);
    this.#stretch = { certificate, toHeight: next.height, headers, beyond };
    return this.#stretch;
  }

  async #block(height: Height): Promise<Block> {
    const found = await this.#source.readBlock(height);
    if (!found) throw notHeld(`block ${height}`);
    return stored(decode(Block, 'Block', found.block), `block ${height}`);
  }
}

export function notHeld(what: string): SquadError {
  const remedy = 'Ask another sequencer; this one has pruned it, or is still catching up.';
  return new SquadError('FEED_NOT_HELD', `${what} is not held here`, remedy);
}

function stored<T>(result: Result<T>, what: string): T {
  if (result.ok) return result.value;
  const remedy =
    'The store was written by another version, or is damaged. Start the version that wrote it; else move the folder away, keep it, and follow without a keystore first.';
  throw new SquadError('FEED_STORE_UNREADABLE', `${what} in the store does not decode: ${result.error.reason}`, remedy);
}
