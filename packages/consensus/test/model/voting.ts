/**
 * One validator of the model in `spec/voting.qnt`, in TypeScript: the same state, the same guards under the same names. It
 * is what traces of the simulator are checked against. `model.test.ts` holds it to the model itself: along every exported
 * trace it must come to the same state and permit the same votes.
 */

/** Blocks are named by whoever uses this: the traces by number, the simulator by hash. */
export type BlockName = number | string;
export type CertificateKind = 'notarize' | 'nullify' | 'finalize';

export interface Placed {
  readonly block: BlockName;
  readonly view: number;
}

export class ModelNode {
  view = 1;
  readonly notarized = new Map<number, BlockName>();
  readonly nullified = new Set<number>();
  readonly finalized = new Map<number, BlockName>();
  restartView = 0;
  readonly notarizations = new Map<number, BlockName>();
  readonly nullifications = new Set<number>();
  final: Placed;
  fresh = true;

  constructor(genesis: BlockName) {
    this.final = { block: genesis, view: 0 };
  }

  // ---------------------------------------------------------------- R16

  votedIn(view: number): boolean {
    return this.notarized.has(view) || this.nullified.has(view) || this.finalized.has(view);
  }

  get floor(): number {
    return Math.max(this.restartView, this.final.view);
  }

  get mayNotarize(): boolean {
    return !this.votedIn(this.view) && this.view > this.floor;
  }

  get mayNullify(): boolean {
    return (
      !this.nullified.has(this.view) &&
      !this.finalized.has(this.view) &&
      this.view >= this.restartView &&
      this.view > this.final.view
    );
  }

  mayFinalize(view: number, block: BlockName): boolean {
    return (
      !this.finalized.has(view) &&
      !this.nullified.has(view) &&
      view > this.floor &&
      (!this.notarized.has(view) || this.notarized.get(view) === block)
    );
  }

  // ---------------------------------------------------------------- R9, R12, R14, R15

  enter(certified: number): void {
    if (certified >= this.view) {
      this.view = certified + 1;
      this.fresh = true;
    } else if (certified === this.view - 1) {
      this.fresh = true;
    }
  }

  holds(kind: CertificateKind, view: number): boolean {
    if (view <= this.final.view) return true;
    if (kind === 'finalize') return false;
    return kind === 'notarize' ? this.notarizations.has(view) : this.nullifications.has(view);
  }

  /** Everything but the vote: FINALIZE is what `mayFinalize` permits right after a notarization was held. */
  learn(kind: CertificateKind, { block, view }: Placed): void {
    if (this.holds(kind, view)) {
      if (view === this.view - 1) this.fresh = true;
      return;
    }
    if (kind === 'notarize') this.notarizations.set(view, block);
    else if (kind === 'nullify') this.nullifications.add(view);
    this.enter(view);
    if (kind === 'finalize') this.makeFinal({ block, view });
  }

  makeFinal(final: Placed): void {
    this.final = final;
    for (const view of this.notarizations.keys()) if (view <= final.view) this.notarizations.delete(view);
    for (const view of this.nullifications) if (view <= final.view) this.nullifications.delete(view);
  }

  // ---------------------------------------------------------------- R8, R10

  /** Whether a block of the current view may stand on this parent, by the certificates held here. */
  isJustified(parent: Placed): boolean {
    const certified =
      (parent.view === this.final.view && parent.block === this.final.block) ||
      this.notarizations.get(parent.view) === parent.block;
    if (!certified) return false;
    for (let view = parent.view + 1; view < this.view; view++) if (!this.nullifications.has(view)) return false;
    return true;
  }

  // ---------------------------------------------------------------- R16, R19

  restart(): void {
    const isNew =
      this.notarized.size + this.nullified.size + this.finalized.size === 0 &&
      this.notarizations.size + this.nullifications.size === 0 &&
      this.final.view === 0;
    this.restartView = Math.max(0, ...this.notarized.keys(), ...this.nullified, ...this.finalized.keys());
    this.fresh = isNew;
  }
}
