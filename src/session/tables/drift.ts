/** Shadow tables compared, entry by entry, with the guest's tables that they are made from. Looking changes nothing. */
import type { DriftMark } from '../../model/tables';
import { hex } from '../../base/hex';
import type { Access } from '../../hw/paging/access';
import { OrdinaryWalk, walkOrdinary } from '../../hw/paging/ordinary';
import { WalkSink, type WalkStep } from '../../hw/paging/trace';
import { WalkOut } from '../../hw/paging/walk-out';
import { FRAME_MASK, PTE_P, PTE_PS, PTE_US, PTE_XD } from '../../isa/entries';
import type { ShadowMmu } from '../../kvm/mmu/shadow/mmu';
import type { ShadowPage } from '../../kvm/mmu/shadow/pages';
import { roleDirect, roleLevel } from '../../kvm/mmu/shadow/role';
import { isShadowLeaf, isShadowMmio, isShadowPresent, isShadowWritable, shadowFrame } from '../../kvm/mmu/shadow/spte';
import { SoftwareEntryPort } from '../translate/guest-physical';
import type { Translator } from '../translate/translator';

/**
 * How an entry of the shadow tables stands to the guest's entry for the same address:
 *
 *   missing          the guest's entry is present, and no shadow of it is: the next access is a hidden fault
 *   stale            the shadow maps what the guest's entry does not say any more: edited, and not flushed yet
 *   write-protected  the guest may write the page, and the shadow may not: the frame holds a table of the guest's that is watched
 *   unsync           the guest writes the table without an exit: its shadow counts until the guest's next flush
 *   mmio             marked as a hole: every access goes to the VMM
 */
export type { DriftMark };

/** A raw entry and where it lies: a GPA for the guest's, an HPA for the shadow's. */
export interface EntryPlace {
  readonly entry: bigint;
  readonly address: bigint;
}
export interface Drift {
  readonly marks: readonly DriftMark[];
  /** The entry of the other tables that this one is compared with. */
  readonly other?: EntryPlace;
}

export class DriftView {
  private readonly port: SoftwareEntryPort;
  constructor(
    private readonly t: Translator,
    private readonly mmu: ShadowMmu,
  ) {
    this.port = new SoftwareEntryPort(t.physical);
  }

  /** Of an entry of a shadow page, present or not any more, which translates `linear` and what follows. */
  ofShadow(page: ShadowPage, index: number, linear: bigint): Drift {
    const { mmu } = this;
    const entry = mmu.pages.read(page, index);
    const level = roleLevel(page.role);
    const marks: DriftMark[] = page.unsync ? ['unsync'] : [];
    const walk = this.walk(linear);
    // below a large page of the guest's there are only entries of KVM's own, made from that one
    const step = walk?.steps.find((s) => s.level === level) ?? walk?.steps.at(-1);
    const other: EntryPlace | undefined = step && { entry: step.entry, address: step.entryAddress };
    if (isShadowMmio(mmu.generation, entry)) marks.push('mmio');
    else if (!isShadowPresent(mmu.generation, entry)) {
      if (walk?.ok === true) marks.unshift('missing');
    } else if (walk && this.stale(page, index, entry, level, walk)) marks.push('stale');
    else if (isShadowLeaf(entry, level) && this.watched(page, index, entry, walk)) marks.push('write-protected');
    return other ? { marks, other } : { marks };
  }

  /** Of the entry that decides about `linear`: the last one on hardware's way, and where that is absent, whether the guest's is present. */
  ofLinear(linear: bigint): readonly DriftMark[] {
    const { mmu } = this;
    const last = mmu.read(linear).at(-1);
    const page = last && mmu.pages.ofTable(last.address & ~0xfffn);
    if (!last || !page) return [];
    return this.ofShadow(page, last.index, linear & ~((1n << BigInt(12 + 9 * (last.level - 1))) - 1n)).marks;
  }

  /** Of an entry of the guest's at `level` for `linear`. */
  ofGuest(level: number, present: boolean, linear: bigint): Drift {
    const { mmu } = this;
    const found = mmu.read(linear).find((s) => s.level === level);
    const page = found && mmu.pages.ofTable(found.address & ~0xfffn);
    if (!found || !page) return { marks: present && mmu.loaded ? ['missing'] : [] };
    const other = { entry: found.value, address: found.address };
    const there = isShadowPresent(mmu.generation, found.value) || isShadowMmio(mmu.generation, found.value);
    if (there) return { marks: this.ofShadow(page, found.index, linear).marks, other };
    return {
      marks: [...(present ? (['missing'] as const) : []), ...(page.unsync ? (['unsync'] as const) : [])],
      other,
    };
  }

  /** Whether an access would be given by the shadow what the guest's tables do not give now. */
  private stale(page: ShadowPage, index: number, entry: bigint, level: number, walk: Walk): boolean {
    const { mmu } = this;
    const leafLevel = walk.steps.at(-1)?.level ?? 1;
    if (!isShadowLeaf(entry, level)) {
      const child = mmu.pages.ofTable(shadowFrame(entry));
      if (!child) return true;
      if (roleDirect(child.role))
        return !walk.ok || leafLevel < level || !covers(child.gfn, roleLevel(child.role), walk.out.address);
      const step = walk.steps.find((s) => s.level === level);
      return (
        step === undefined ||
        (step.entry & PTE_P) === 0n ||
        (step.outcome === 'leaf' && (step.entry & PTE_PS) !== 0n) ||
        Number((this.t.controls.format === '32bit' ? step.entry & 0xffff_f000n : step.entry & FRAME_MASK) >> 12n) !==
          child.gfn
      );
    }
    const { out } = walk;
    if (!walk.ok || leafLevel < level || (page.gfns[index] ?? 0) !== Number(out.address >> 12n)) return true;
    // with CR0.WP clear, a supervisor's entry may be writable where the guest's is not (effectiveAccess)
    const byWp = !this.t.controls.wp && (entry & PTE_US) === 0n;
    return (
      (isShadowWritable(entry) && !((out.writable || byWp) && out.dirty)) ||
      ((entry & PTE_US) !== 0n && !out.user) ||
      ((entry & PTE_XD) === 0n && out.executeDisable && this.t.controls.nxe)
    );
  }

  private watched(page: ShadowPage, index: number, entry: bigint, walk: Walk | undefined): boolean {
    const may = !walk || (walk.ok && walk.out.writable && walk.out.dirty);
    return may && !isShadowWritable(entry) && this.mmu.pages.isShadowed(page.gfns[index] ?? 0);
  }

  /** The guest's tables as they are; undefined while it has paging off. */
  private walk(linear: bigint): Walk | undefined {
    const { t, port } = this;
    if (t.controls.format === 'none') return undefined;
    const out = new WalkOut();
    const sink = new WalkSink();
    const ok = walkOrdinary(
      new OrdinaryWalk({ port, root: t.cr3, controls: t.controls, pdptes: t.pdptes }, out, sink),
      linear,
      ANYONE,
      true,
    );
    return { ok, out, steps: sink.steps };
  }
}

interface Walk {
  readonly ok: boolean;
  readonly out: WalkOut;
  readonly steps: readonly WalkStep[];
}
const ANYONE: Access = { op: 'read', user: false, implicit: false };

/** Whether a direct page of `level` that begins with frame `gfn` maps `address` where it would be looked for. */
const covers = (gfn: number, level: number, address: bigint): boolean => {
  const frames = 512 ** level;
  const at = Number(address >> 12n);
  return gfn === at - (at % frames);
};

/** The comparison, where the guest runs on shadow tables. */
export const driftOf = (t: Translator): DriftView | undefined => t.shadow && new DriftView(t, t.shadow);

const WORDS: Readonly<Record<DriftMark, string>> = {
  missing: 'no shadow yet: the next access is a hidden fault',
  stale: 'the shadow differs from the guest’s tables: they were edited and not flushed',
  'write-protected': 'read-only in the shadow, since the frame holds a table of the guest’s',
  unsync: 'the guest writes this table without exits; its shadow stays in use until the next flush',
  mmio: 'marked as a hole: every access goes to the VMM',
};
/** Behind an entry of a listing: ` · stale, unsync`. */
export const driftText = (marks: readonly DriftMark[]): string => (marks.length > 0 ? ` · ${marks.join(', ')}` : '');
/** Before an entry of a tree, where the end of a line may be out of sight: `stale, unsync · `. */
export const driftHead = (marks: readonly DriftMark[]): string => (marks.length > 0 ? `${marks.join(', ')} · ` : '');
/** Lines for whoever looks closer. `who` and `space`: what the counterpart is, and where it lies. */
export const driftDetail = (
  marks: readonly DriftMark[],
  counterpart: EntryPlace | undefined,
  who: string,
  space: string,
): readonly string[] => [
  ...(counterpart ? [`${who}: ${hex(counterpart.entry)} at ${space} ${hex(counterpart.address)}`] : []),
  ...marks.map((m) => `${m}: ${WORDS[m]}`),
];
