import { ACCESS_OF_CLASS, CLASSES, CLASS_FETCH, CLASS_WRITE, WHO_SUPERVISOR_AC, type Access } from '../paging/access';
import type { PagingControls } from '../paging/controls';
import { denied } from '../paging/permissions';
import { RIGHT, type Tlb } from '../tlb/tlb';

/** The fast-word bits of reads and writes. */
const DATA_CLASSES = (1 << CLASS_FETCH) - 1;

/**
 * The rights of a TLB entry as the runner's fast word: one bit for each access class (paging/access) that needs no walk. Computed from the entry's rights and the controls of
 * now (CR0.WP, CR4.SMEP, SMAP, PKRU and so on), and computed again for every entry where such a control changes.
 */
export class FastRights {
  /** `allowed` by rights, while protection keys are off; −1 = not computed. */
  private readonly cache = new Int32Array(0x800).fill(-1);
  private settledFor = -1;
  private settledWithKeys = false;
  private dataWatched = false;

  constructor(
    private readonly tlb: Tlb,
    private controls: PagingControls,
  ) {}

  /** Recomputes the fast words where a control that rights depend on is another than when they were last computed. */
  settle(c: PagingControls): void {
    this.controls = c;
    const key = (c.format === 'none' ? 1 : 0) | (c.wp ? 2 : 0) | (c.nxe ? 4 : 0) | (c.smep ? 8 : 0) | (c.smap ? 16 : 0);
    if (key === this.settledFor && !c.pke && !this.settledWithKeys) return;
    this.settledFor = key;
    this.settledWithKeys = c.pke;
    this.cache.fill(-1);
    this.tlb.refreshFast(this.wordOf);
  }
  /** The next `settle` recomputes whatever the controls are. */
  forget(): void {
    this.settledFor = -1;
  }
  /** While data accesses are watched, each goes the slow way, where it is looked at: no fast word has a bit of theirs. */
  watchData(on: boolean): void {
    this.dataWatched = on;
    this.tlb.refreshFast(this.wordOf);
  }

  /** The classes that an entry with `rights` (RIGHT bits) allows without a walk, as bits. */
  readonly allowed = (rights: number, protectionKey: number): number => {
    if (this.controls.pke) return this.compute(rights, protectionKey);
    let fast = this.cache[rights] as number;
    if (fast < 0) fast = this.cache[rights] = this.compute(rights, 0);
    return fast;
  };
  /** What a TLB entry's fast word holds. */
  readonly wordOf = (rights: number, protectionKey: number): number => {
    const fast = this.allowed(rights, protectionKey);
    return this.dataWatched ? fast & ~DATA_CLASSES : fast;
  };

  private compute(rights: number, protectionKey: number): number {
    const ordinary = {
      writable: (rights & RIGHT.W) !== 0,
      user: (rights & RIGHT.U) !== 0,
      executeDisable: (rights & RIGHT.XD) !== 0,
      protectionKey,
    };
    let fast = 0;
    for (let c = 0; c < CLASSES; c++) {
      const access = ACCESS_OF_CLASS[c] as Access;
      const second =
        access.op === 'read' ? RIGHT.EPT_R : access.op === 'write' ? RIGHT.EPT_W | RIGHT.EPT_D | RIGHT.D : RIGHT.EPT_X;
      if ((rights & second) !== second) continue;
      if ((rights & RIGHT.PAGED) !== 0 && denied(ordinary, access, c % 3 === WHO_SUPERVISOR_AC, this.controls))
        continue;
      fast |= 1 << c;
    }
    // stores into decoded code go the slow way
    return (rights & RIGHT.CODE) !== 0 ? fast & ~(7 << CLASS_WRITE) : fast;
  }
}
