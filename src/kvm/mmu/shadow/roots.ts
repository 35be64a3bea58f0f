import type { Hpa } from '../../../base/address';
import { must } from '../../../base/assert';
import type { GuestPaging } from './guest-walk';
import type { ShadowPage, ShadowPages } from './pages';
import { usesPaeRoot } from './role';

/** A root that hardware may walk, and what it shadows (struct kvm_mmu_root_info). */
export interface Root {
  readonly hpa: Hpa;
  /** The top page, or the pages of the PDPTEs. */
  readonly pages: readonly ShadowPage[];
  readonly paging: GuestPaging;
}

/**
 * The VCPU's root and its previous ones (mmu->root, mmu->prev_roots): a guest that switches address spaces comes back
 * to them.
 */
export class ShadowRoots {
  private loaded: Root | undefined;
  private before: readonly Root[] = [];

  constructor(
    private readonly pages: ShadowPages,
    private readonly kept: number,
  ) {}

  get current(): Root | undefined {
    return this.loaded;
  }
  /** Most recent first. */
  get previous(): readonly Root[] {
    return this.before;
  }

  /**
   * fast_pgd_switch: makes the root for `paging` current, if there is one, and keeps the previous one. Roots of the
   * PAE format share one page for their PDPTEs, so they are not kept; another paging mode invalidates all of them
   * (kvm_mmu_reset_context).
   */
  switchTo(paging: GuestPaging): 'same' | 'cached' | undefined {
    this.free((r) => r.pages.some((p) => p.invalid) || r.paging.mode !== paging.mode);
    if (this.loaded && samePaging(this.loaded.paging, paging)) return 'same';
    if (this.kept === 0 || usesPaeRoot(paging.controls.format)) {
      this.free(() => true);
      return undefined;
    }
    const found = this.before.find((r) => samePaging(r.paging, paging));
    const previous = [...(this.loaded ? [this.loaded] : []), ...this.before.filter((r) => r !== found)];
    this.loaded = found;
    this.before = previous;
    this.free((r) => previous.indexOf(r) >= this.kept);
    return found ? 'cached' : undefined;
  }
  /** After `switchTo` found none. */
  set(root: Root): void {
    for (const p of root.pages) p.roots++;
    this.loaded = root;
  }
  /** kvm_mmu_free_roots: the pages stay, as shadows of their frames, for the next load of that CR3. */
  free(which: (root: Root) => boolean): void {
    const release = (root: Root): void => root.pages.forEach((p) => this.pages.release(p));
    if (this.loaded && which(this.loaded)) {
      release(this.loaded);
      this.loaded = undefined;
    }
    const stay = this.before.filter((r) => !which(r));
    this.before.filter((r) => !stay.includes(r)).forEach(release);
    this.before = stay;
  }
  freePrevious(which: (root: Root) => boolean): void {
    this.free((r) => r !== this.loaded && which(r));
  }

  save(): RootsState {
    const saved = (r: Root): SavedRoot => ({ hpa: r.hpa, tables: r.pages.map((p) => p.spt), paging: r.paging });
    return { current: this.loaded && saved(this.loaded), previous: this.before.map(saved) };
  }
  /** Called after the pages were restored; they hold the user counts. */
  restore(s: RootsState): void {
    const root = (r: SavedRoot): Root => ({
      hpa: r.hpa,
      paging: r.paging,
      pages: r.tables.map((t) => must(this.pages.ofTable(t), 'a root is a shadow page')),
    });
    this.loaded = s.current && root(s.current);
    this.before = s.previous.map(root);
  }
}

interface SavedRoot {
  readonly hpa: Hpa;
  readonly tables: readonly Hpa[];
  readonly paging: GuestPaging;
}
export interface RootsState {
  readonly current: SavedRoot | undefined;
  readonly previous: readonly SavedRoot[];
}

/** is_root_usable. */
const samePaging = (a: GuestPaging, b: GuestPaging): boolean =>
  a.mode === b.mode &&
  (a.controls.format === 'none' || (a.cr3 === b.cr3 && a.pdptes.every((p, i) => p === b.pdptes[i])));
