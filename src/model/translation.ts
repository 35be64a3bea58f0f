/** The chain of an address, stage by stage: one probe of the emulated machine's own walkers. */
import type { Space } from '../base/address';
import type { DriftMark, TableSet } from './tables';
import type { Value } from './value';

/** Who walks: the hardware (guest or host), KVM in software, the host kernel, or the VMM in software. */
export type Walker = 'cpu' | 'kvm' | 'host' | 'vmm';

/** In which mode: VMX non-root or root operation; kernel or user mode of the host. */
export type WalkMode = 'non-root' | 'root' | 'kernel' | 'user';

/** The rights of an access. `user`: from CPL 3. */
export interface Rights {
  readonly r: boolean;
  readonly w: boolean;
  readonly x: boolean;
  readonly user: boolean;
}

/** One table entry loaded. */
export interface WalkStep<N extends Value> {
  /** 5 to 1 as in the manuals: 4 is the PML4 entry, 1 the PTE. */
  readonly level: number;
  /** The entry's name in the manuals: `PML4E`, `PDPTE`, `PDE`, `PTE`, `EPT PDE`. */
  readonly name: string;
  readonly index: number;
  readonly entryAddress: N;
  readonly space: Space;
  /** Where the entry lies in host memory, for an entry found through the second level. */
  readonly entryHpa?: N;
  readonly entry: N;
  /** The short names of the set bits, in the manuals' spelling: `P`, `RW`, `US`, `A`, `D`, `PS`, `G`, `NX`; `R`, `W`, `X` for EPT. */
  readonly flags: readonly string[];
  /** The address in the entry: of the next table, or of the page. Absent if the entry is not present. */
  readonly target?: N;
  /** Set if the walk failed here: what was wrong with this entry. */
  readonly problem?: string;
  /** The second-level walk that found this entry; empty if there is none. */
  readonly nested: readonly WalkStep<N>[];
}

export interface WalkStage<N extends Value> {
  readonly stage: TableSet;
  readonly who: Walker;
  readonly mode: WalkMode;
  readonly from: Space;
  readonly to: Space;
  /** The input address and the output address (absent on failure). */
  readonly input?: N;
  readonly output?: N;
  /** The table's root as the architecture names it: `{ name: 'CR3', value: '0x1000' }`, `EPTP`, `host CR3`. */
  readonly root?: { readonly name: string; readonly value: N };
  readonly pageSize?: number;
  /** The rights of this stage alone: the AND over its entries. */
  readonly rights?: Rights;
  /** Entries loaded for this stage, including those of nested walks. */
  readonly references?: number;
  /** For the shadow stage: how its deciding entry relates to the guest's. */
  readonly drift?: readonly DriftMark[];
  readonly steps: readonly WalkStep<N>[];
}

export interface MemslotStage<N extends Value> {
  readonly stage: 'memslot';
  readonly who: Walker;
  readonly mode: WalkMode;
  readonly from: Space;
  readonly to: Space;
  readonly input?: N;
  readonly output?: N;
  /** The slot's number; absent in a hole. */
  readonly slot?: number;
  readonly base?: N;
  readonly size?: N;
  readonly hva?: N;
  readonly readOnly?: boolean;
  readonly rights?: Rights;
}

export type Stage<N extends Value> = WalkStage<N> | MemslotStage<N>;

/** An entry of the walk that lacks a right the access needs. */
export interface LackingEntry<N extends Value> {
  readonly level: number;
  readonly name: string;
  readonly entryAddress: N;
  readonly entry: N;
}

export interface TranslationFailure<N extends Value> {
  readonly stage: Stage<N>['stage'];
  /** The level of the deciding entry: the topmost one that lacks the right. */
  readonly level?: number;
  /** In a few words: `not present`, `write to a read-only page`, `no memslot`. */
  readonly reason: string;
  /** The architectural event: an exit reason (`EPT_VIOLATION`) or an exception (`#PF`). */
  readonly event?: string;
  /** One or two sentences: what failed, for which access, and what happens then. */
  readonly explanation?: string;
  /** For a #PF. */
  readonly errorCode?: N;
  /** The bit of an entry that denies the access, as `U/S = 0`, `XD = 1`, `W = 0`. */
  readonly bit?: string;
  /** The entries that deny it, topmost first; the first is that of `level`. */
  readonly lacking?: readonly LackingEntry<N>[];
  /** Register bits without which the access would have been allowed, as `CR0.WP = 1`. */
  readonly controls?: readonly string[];
  /** For a reserved bit or a misconfiguration: what is wrong with the entry, one string per cause. */
  readonly wrong?: readonly string[];
}

/** What the CPU would use in place of the tables, and where that leads elsewhere. */
export interface StaleAnswer<N extends Value> {
  /** `TLB`, or the paging-structure cache the walk would start from: `PDE cache`. */
  readonly source: string;
  /** Where the access goes when it uses this entry, as far as known. */
  readonly gpa?: N;
  readonly hpa?: N;
  /** How it differs from the tables. */
  readonly why: string;
  /** The missing invalidation, given the entry's tags: `INVLPG, INVPCID or a write of CR4.PGE`. */
  readonly missing: string;
  /** What might be expected to drop it but does not. */
  readonly note?: string;
  /** All of this in one or two sentences. */
  readonly explanation: string;
}

export interface TlbAnswer<N extends Value> {
  /** A TLB entry serves the access without a walk. */
  readonly hit: boolean;
  readonly stale: StaleAnswer<N> | null;
  /**
   * Level of the table at which the next walk starts when the paging-structure caches cover the levels above: 1 if
   * the PDE cache hits.
   */
  readonly walkStart?: number;
  /** That cache's entry. */
  readonly cache?: {
    readonly name: string;
    /** Level of the cached entry: 2 in the PDE cache. */
    readonly level: number;
    readonly table: N;
    readonly tableHpa: N;
    readonly stale: { readonly why: string; readonly missing: string; readonly explanation: string } | null;
  };
}

/** A translation in one direction: from `gva` or `gpa`, one address per space. */
export interface Translation<N extends Value> {
  readonly ok: boolean;
  readonly gva?: N;
  readonly gpa?: N;
  readonly hva?: N;
  readonly hpa?: N;
  /** The AND over all stages. */
  readonly rights: Rights;
  /** Entries loaded by the hardware for a cold access. */
  readonly references: number;
  readonly tlb: TlbAnswer<N>;
  readonly stages: readonly Stage<N>[];
  readonly failure?: TranslationFailure<N>;
}

/** A leaf of the shadow tables that maps the frame, from KVM's reverse map. */
export interface ShadowMapping<N extends Value> {
  readonly level: number;
  readonly entry: N;
  readonly entryAddress: N;
  /** Linear addresses through which the current root reaches it. */
  readonly gva: readonly N[];
}

/** From `hpa` or `hva`: every guest address that leads there. */
export interface ReverseTranslation<N extends Value> {
  readonly ok: boolean;
  readonly gva: readonly N[];
  readonly gpa: readonly N[];
  readonly hva?: N;
  readonly hpa?: N;
  /**
   * Under shadow paging, KVM's reverse map: every shadow leaf of the frame, and the linear addresses through which
   * the current root reaches it.
   */
  readonly rmap?: readonly ShadowMapping<N>[];
  readonly stages: readonly Stage<N>[];
  readonly failure?: TranslationFailure<N>;
}
