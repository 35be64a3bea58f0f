/** Guest memory page by page, as runs of pages in the same condition. */
import { gpa, hva as asHva, hpa as asHpa } from '../../base/address';
import type { AddressSpace } from '../../host/address-space';
import { levelSize } from '../../host/page-tables';
import { swapSlotOf } from '../../host/swap';
import { FRAME_MASK, PTE_P, PTE_RW } from '../../isa/entries';
import { slotHva, type Memslot } from '../../kvm/memslots';
import type * as model from '../../model/memory-map';
import type { Machine } from '../../vmm/machine';

export type Interval = model.Interval<bigint>;
export type MemoryRun = model.MemoryRun<bigint>;

const PAGE = 4096n;

/** Page addresses in order, as runs of consecutive ones. */
export function pageRuns(pages: readonly bigint[]): readonly Interval[] {
  const out: { from: bigint; to: bigint }[] = [];
  for (const p of pages) {
    const last = out.at(-1);
    if (last?.to === p) last.to = p + PAGE;
    else out.push({ from: p, to: p + PAGE });
  }
  return out;
}

/** A stretch of pages as the tables are read; several of them make a run. */
type Piece = { -readonly [K in keyof MemoryRun]: MemoryRun[K] };

/**
 * The runs of [from, to). First frames must be consecutive within one; where that makes more than `most`, runs are told by their condition alone; where those are more
 * still, the list ends early and `next` says where.
 */
export function runsOf(
  m: Machine,
  from: bigint,
  to: bigint,
  most: number,
): { readonly runs: readonly MemoryRun[]; readonly next?: bigint } {
  const exact: Piece[] = [];
  const coarse: Piece[] = [];
  let next: bigint | undefined;
  for (const slot of m.ram.memslots.all) {
    if (slot.end <= from || slot.start >= to || next !== undefined) continue;
    for (const piece of piecesOf(m, slot, from > slot.start ? from : slot.start, to < slot.end ? to : slot.end)) {
      if (exact.length <= most) join(exact, piece, true);
      join(coarse, piece, false);
      if (coarse.length > most) {
        next = coarse.pop()?.gpa;
        break;
      }
    }
  }
  return { runs: exact.length <= most && next === undefined ? exact : coarse, ...(next === undefined ? {} : { next }) };
}

function join(runs: Piece[], p: Piece, exactly: boolean): void {
  const last = runs.at(-1);
  const alike =
    last?.slot === p.slot &&
    last.gpa + last.size === p.gpa &&
    last.state === p.state &&
    last.pageSize === p.pageSize &&
    last.writable === p.writable &&
    last.merged === p.merged &&
    last.dirty === p.dirty &&
    last.mapped === p.mapped;
  if (!last || !alike) {
    runs.push({ ...p });
    return;
  }
  const consecutive =
    p.state === 'absent' ||
    (p.state === 'swapped'
      ? last.swapSlot !== undefined && p.swapSlot === last.swapSlot + Number(last.size / PAGE)
      : last.hpa !== undefined && p.hpa === last.hpa + last.size);
  if (exactly && !consecutive) {
    runs.push({ ...p });
    return;
  }
  last.size += p.size;
  if (consecutive) return;
  last.frames += p.frames;
  delete last.hpa;
  delete last.swapSlot;
}

/** The pages of a part of a slot, in order; what nobody has touched in one piece. */
function* piecesOf(m: Machine, slot: Memslot, from: bigint, to: bigint): Generator<Piece> {
  const { kernel, host: space } = m;
  const toGpa = (at: bigint): bigint => slot.start + (at - slot.hva);
  const mapped = mappedSizes(m);
  const dirty = slot.logDirty ? new Set(m.ram.dirtyLog.look(slot)) : undefined;
  const start = slot.hva + (from - slot.start);
  const end = slot.hva + (to - slot.start);
  const plain = { slot: slot.id, frames: 0, pageSize: 4096, writable: false, merged: false, mapped: 0 } as const;
  const absent = (a: bigint, b: bigint): Piece => ({
    ...plain,
    gpa: toGpa(a),
    hva: a,
    size: b - a,
    state: 'absent',
    dirty: false,
  });
  let at = start;
  for (const { first, size, entry } of leaves(space, start, end)) {
    const a = first > start ? first : start;
    const b = first + size < end ? first + size : end;
    if (a > at) yield absent(at, a);
    at = b;
    const swapSlot = swapSlotOf(entry);
    if ((entry & PTE_P) === 0n) {
      if (swapSlot === undefined) yield absent(a, b);
      else
        yield {
          ...plain,
          gpa: toGpa(a),
          hva: a,
          size: b - a,
          state: 'swapped',
          frames: 1,
          swapSlot,
          dirty: dirty?.has(gpa(toGpa(a))) === true,
        };
      continue;
    }
    const frame = entry & FRAME_MASK & ~(size - 1n);
    // second-level entries and dirty bits may be finer than the host's page
    for (let p = a; p < b;) {
      const m = mapped(toGpa(p));
      const whole = dirty === undefined ? m.until : 0n;
      const until = whole > toGpa(p) ? slot.hva + (whole - slot.start) : p + PAGE;
      const q = until < b ? until : b;
      yield {
        slot: slot.id,
        gpa: toGpa(p),
        hva: p,
        size: q - p,
        state: 'resident',
        hpa: frame + (p - first),
        frames: 1,
        pageSize: Number(size),
        writable: (entry & PTE_RW) !== 0n && !slot.readonly,
        merged: size === PAGE && kernel.mergedCount(asHpa(frame)) > 0,
        dirty: dirty?.has(gpa(toGpa(p))) === true,
        mapped: m.size,
      };
      p = q;
    }
  }
  if (at < end) yield absent(at, end);
}

/** The entries of the host's tables for the range, with the first HVA and the size of each. */
function leaves(
  space: AddressSpace,
  start: bigint,
  end: bigint,
): readonly { readonly first: bigint; readonly size: bigint; readonly entry: bigint }[] {
  const out: { first: bigint; size: bigint; entry: bigint }[] = [];
  space.tables.each(asHva(start), asHva(end), (first, leaf) =>
    out.push({ first, size: levelSize(leaf.level), entry: leaf.entry }),
  );
  return out;
}

/** By what size a GPA is mapped for the guest, and how far that holds. */
function mappedSizes(m: Machine): (address: bigint) => { readonly size: number; readonly until: bigint } {
  const { second } = m.accelerator;
  switch (second.kind) {
    case 'nested': {
      let known = { size: 0, until: 0n };
      return (address) => (address < known.until ? known : (known = second.mmu.mappedSize(gpa(address))));
    }
    case 'shadow': {
      const { pages } = second.shadow;
      return (address) => ({
        size: pages.leavesOf(Number(address >> 12n)).length > 0 ? 4096 : 0,
        until: address + PAGE,
      });
    }
    case 'software':
      // the host's own tables are the only ones between
      return (address) => {
        const slot = m.ram.memslots.find(gpa(address));
        const found = slot && m.host.lookup(slotHva(slot, gpa(address)));
        return { size: found ? 2 ** found.pageShift : 0, until: address + PAGE };
      };
  }
}
