/** The chain of an address, stage by stage: one probe of the emulated machine's own walkers. */
import type { Space } from '../base/address';
import type { DriftMark, TableSet } from './tables';
import type { Value } from './value';

/** Who walks: the hardware (guest or host), KVM in software, the host kernel, or the VMM in software. */
export type Walker = 'cpu' | 'kvm' | 'host' | 'vmm';

/** In which mode: VMX non-root or root operation; the host's kernel or user mode. */
export type WalkMode = 'non-root' | 'root' | 'kernel' | 'user';

/** What an access may do. `user`: from CPL 3. */
export interface Rights {
  readonly r: boolean;
  readonly w: boolean;
  readonly x: boolean;
  readonly user: boolean;
}

/** One table entry loaded. */
export interface WalkStep<N extends Value> {
  /** 5 to 1 as the manuals count: 4 is the PML4 entry, 1 the PTE. */
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
  /** The address that the entry holds: the next table, or the page. Absent where it is not present. */
  readonly target?: N;
  /** Set where the walk ended here with a failure: what was wrong with this entry. */
  readonly problem?: string;
  /** The second-level walk that found this entry; empty where there is none. */
  readonly nested: readonly WalkStep<N>[];
}

export interface WalkStage<N extends Value> {
  readonly stage: TableSet;
  readonly who: Walker;
  readonly mode: WalkMode;
  readonly from: Space;
  readonly to: Space;
  /** The address that goes in, and the one that comes out (absent on failure). */
  readonly input?: N;
  readonly output?: N;
  /** The table's root as the architecture names it: `{ name: 'CR3', value: '0x1000' }`, `EPTP`, `host CR3`. */
  readonly root?: { readonly name: string; readonly value: N };
  readonly pageSize?: number;
  /** What this stage alone allows: the AND over its entries. */
  readonly rights?: Rights;
  /** Entries loaded for this stage, those of nested walks included. */
  readonly references?: number;
  /** Of the shadow's stage: how its deciding entry stands to the guest's. */
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

/** An entry of the walk that lacks what the access needs. */
export interface LackingEntry<N extends Value> {
  readonly level: number;
  readonly name: string;
  readonly entryAddress: N;
  readonly entry: N;
}

export interface TranslationFailure<N extends Value> {
  readonly stage: Stage<N>['stage'];
  /** The level of the deciding entry: of those that lack the right, the topmost. */
  readonly level?: number;
  /** In a few words: `not present`, `write to a read-only page`, `no memslot`. */
  readonly reason: string;
  /** The architectural event: an exit reason (`EPT_VIOLATION`) or an exception (`#PF`). */
  readonly event?: string;
  /** One or two sentences for a reader: what failed, for which access, and what happens then. */
  readonly explanation?: string;
  /** Of a #PF. */
  readonly errorCode?: N;
  /** The bit of an entry that denies the access, as `U/S = 0`, `XD = 1`, `W = 0`. */
  readonly bit?: string;
  /** The entries in which it does, topmost first; the first is that of `level`. */
  readonly lacking?: readonly LackingEntry<N>[];
  /** Bits of registers without which the access would have been allowed, as `CR0.WP = 1`. */
  readonly controls?: readonly string[];
  /** Of a reserved bit or a misconfiguration: what is wrong with the entry, one cause each. */
  readonly wrong?: readonly string[];
}

/** What the CPU would use in place of the tables, and where that leads elsewhere. */
export interface StaleAnswer<N extends Value> {
  /** `TLB`, or the paging-structure cache that the walk begins at: `PDE cache`. */
  readonly source: string;
  /** Where the access goes by it, as far as that is known. */
  readonly gpa?: N;
  readonly hpa?: N;
  /** How it differs from the tables. */
  readonly why: string;
  /** The invalidation that is missing, by the entry's tags: `INVLPG, INVPCID or a write of CR4.PGE`. */
  readonly missing: string;
  /** What one might think drops it, and does not. */
  readonly note?: string;
  /** All of it in one or two sentences. */
  readonly explanation: string;
}

export interface TlbAnswer<N extends Value> {
  /** An entry gives the access without a walk. */
  readonly hit: boolean;
  readonly stale: StaleAnswer<N> | null;
  /** Level of the table at which the next walk begins, where the paging-structure caches spare the levels above: 1 where the PDE cache answers. */
  readonly walkStart?: number;
  /** That cache's entry. */
  readonly cache?: {
    readonly name: string;
    /** Of the entry that is cached: 2 in the PDE cache. */
    readonly level: number;
    readonly table: N;
    readonly tableHpa: N;
    readonly stale: { readonly why: string; readonly missing: string; readonly explanation: string } | null;
  };
}

/** A translation in one direction: from `gva` or `gpa`, one address each. */
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

/** A leaf of the shadow tables that maps the frame, as KVM's reverse map has it. */
export interface ShadowMapping<N extends Value> {
  readonly level: number;
  readonly entry: N;
  readonly entryAddress: N;
  /** Linear addresses at which the current root reaches it. */
  readonly gva: readonly N[];
}

/** From `hpa` or `hva`: every guest address that leads there. */
export interface ReverseTranslation<N extends Value> {
  readonly ok: boolean;
  readonly gva: readonly N[];
  readonly gpa: readonly N[];
  readonly hva?: N;
  readonly hpa?: N;
  /** Under shadow paging, KVM's reverse map: every shadow leaf of the frame, and the linear addresses at which the current root reaches it. */
  readonly rmap?: readonly ShadowMapping<N>[];
  readonly stages: readonly Stage<N>[];
  readonly failure?: TranslationFailure<N>;
}
