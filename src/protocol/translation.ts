/**
 * The chain of an address as `pagewalk translate --json` prints it and the Translation view draws it: one probe of the
 * emulated machine's own walkers, stage by stage. All addresses and entries are lower-case hex strings with 0x.
 */
import type { Space } from '../base/address';

/** A 64-bit value or address: `0x` and lower-case hex digits. */
export type Hex = string;

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
export interface WalkStep {
  /** 5 to 1 as the manuals count: 4 is the PML4 entry, 1 the PTE. */
  readonly level: number;
  /** The entry's name in the manuals (`PML4E`, `PDPTE`, `PDE`, `PTE`, `EPT PDE`); absent: named by its level. */
  readonly name?: string;
  readonly index: number;
  readonly entryAddress: Hex;
  readonly space: Space;
  /** Where the entry lies in host memory, for an entry found through the second level. */
  readonly entryHpa?: Hex;
  readonly entry: Hex;
  /** The short names of the set bits, in the manuals' spelling: `P`, `RW`, `US`, `A`, `D`, `PS`, `G`, `NX`; `R`, `W`, `X` for EPT. */
  readonly flags: readonly string[];
  /** The address that the entry holds: the next table, or the page. Absent where it is not present. */
  readonly target?: Hex;
  /** Set where the walk ended here with a failure: what was wrong with this entry. */
  readonly problem?: string;
  /** The second-level walk that found this entry; empty where there is none. */
  readonly nested: readonly WalkStep[];
}

export interface WalkStage {
  readonly stage: 'guest' | 'shadow' | 'ept' | 'npt' | 'host';
  readonly who: Walker;
  readonly mode: WalkMode;
  readonly from: Space;
  readonly to: Space;
  /** The address that goes in, and the one that comes out (absent on failure). */
  readonly input?: Hex;
  readonly output?: Hex;
  /** The table's root as the architecture names it: `{ name: 'CR3', value: '0x1000' }`, `EPTP`, `host CR3`. */
  readonly root?: { readonly name: string; readonly value: Hex };
  readonly pageSize?: number;
  /** What this stage alone allows: the AND over its entries. */
  readonly rights?: Rights;
  /** Entries loaded for this stage, those of nested walks included. */
  readonly references?: number;
  /** Of the shadow's stage: `missing`, `stale`, `write-protected`, `unsync`, `mmio` — how its deciding entry stands to the guest's. */
  readonly drift?: readonly string[];
  readonly steps: readonly WalkStep[];
}

export interface MemslotStage {
  readonly stage: 'memslot';
  readonly who: Walker;
  readonly mode: WalkMode;
  readonly from: Space;
  readonly to: Space;
  readonly input?: Hex;
  readonly output?: Hex;
  /** The slot's number; absent in a hole. */
  readonly slot?: number;
  readonly base?: Hex;
  readonly size?: Hex;
  readonly hva?: Hex;
  readonly readOnly?: boolean;
  readonly rights?: Rights;
}

export type Stage = WalkStage | MemslotStage;

/** An entry of the walk that lacks what the access needs. */
export interface LackingEntry {
  readonly level: number;
  readonly name: string;
  readonly entryAddress: Hex;
  readonly entry: Hex;
}

export interface TranslationFailure {
  readonly stage: Stage['stage'];
  /** The level of the deciding entry: of those that lack the right, the topmost. */
  readonly level?: number;
  /** In a few words: `not present`, `write to a read-only page`, `no memslot`. */
  readonly reason: string;
  /** The architectural event: an exit reason (`EPT_VIOLATION`) or an exception (`#PF`). */
  readonly event?: string;
  /** One or two sentences for a reader: what failed, for which access, and what happens then. */
  readonly explanation?: string;
  /** Of a #PF. */
  readonly errorCode?: Hex;
  /** The bit of an entry that denies the access, as `U/S = 0`, `XD = 1`, `W = 0`. */
  readonly bit?: string;
  /** The entries in which it does, topmost first; the first is that of `level`. */
  readonly lacking?: readonly LackingEntry[];
  /** Bits of registers without which the access would have been allowed, as `CR0.WP = 1`. */
  readonly controls?: readonly string[];
  /** Of a reserved bit or a misconfiguration: what is wrong with the entry, one cause each. */
  readonly wrong?: readonly string[];
}

/** What the CPU would use in place of the tables, and where that leads elsewhere. */
export interface StaleAnswer {
  /** `TLB`, or the paging-structure cache that the walk begins at: `PDE cache`. */
  readonly source: string;
  /** Where the access goes by it, as far as that is known. */
  readonly gpa?: Hex;
  readonly hpa?: Hex;
  /** How it differs from the tables. */
  readonly why: string;
  /** The invalidation that is missing, by the entry's tags: `INVLPG, INVPCID or a write of CR4.PGE`. */
  readonly missing: string;
  /** What one might think drops it, and does not. */
  readonly note?: string;
  /** All of it in one or two sentences. */
  readonly explanation: string;
}

export interface TlbAnswer {
  /** An entry gives the access without a walk. */
  readonly hit: boolean;
  readonly stale: StaleAnswer | null;
  /** Level of the table at which the next walk begins, where the paging-structure caches spare the levels above: 1 where the PDE cache answers. */
  readonly walkStart?: number;
  /** That cache's entry. */
  readonly cache?: {
    readonly name: string;
    /** Of the entry that is cached: 2 in the PDE cache. */
    readonly level: number;
    readonly table: Hex;
    readonly tableHpa: Hex;
    readonly stale: { readonly why: string; readonly missing: string; readonly explanation: string } | null;
  };
}

/** A translation in one direction: from `gva` or `gpa`, one address each. */
export interface Translation {
  readonly ok: boolean;
  readonly gva?: Hex;
  readonly gpa?: Hex;
  readonly hva?: Hex;
  readonly hpa?: Hex;
  /** The AND over all stages. */
  readonly rights: Rights;
  /** Entries loaded by the hardware for a cold access. */
  readonly references: number;
  readonly tlb: TlbAnswer;
  readonly stages: readonly Stage[];
  readonly failure?: TranslationFailure;
}

/** From `hpa` or `hva`: every guest address that leads there. */
export interface ReverseTranslation {
  readonly ok: boolean;
  readonly gva: readonly Hex[];
  readonly gpa: readonly Hex[];
  readonly hva?: Hex;
  readonly hpa?: Hex;
  /** Under shadow paging, KVM's reverse map: every shadow leaf of the frame, and the linear addresses at which the current root reaches it. */
  readonly rmap?: readonly {
    readonly level: number;
    readonly entry: Hex;
    readonly entryAddress: Hex;
    readonly gva: readonly Hex[];
  }[];
  readonly stages: readonly Stage[];
  readonly failure?: TranslationFailure;
}
