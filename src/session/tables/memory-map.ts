/** Guest physical memory as KVM, VMM and host kernel have it: slots and holes, VMAs, and runs of pages in the same condition. Reads tables and changes nothing. */
import { hpa as asHpa } from '../../base/address';
import { levelSize } from '../../host/page-tables';
import { swapSlotOf } from '../../host/swap';
import type { Vma } from '../../host/vma';
import { FRAME_MASK, PTE_P } from '../../isa/entries';
import type { Memslot } from '../../kvm/memslots';
import type * as model from '../../model/memory-map';
import type { Machine } from '../../vmm/machine';
import { pageRuns, runsOf } from './memory-runs';
import { memslotRanges } from '../views/memory';

export type SlotInfo = model.SlotInfo<bigint>;
export type VmaInfo = model.VmaInfo<bigint>;
export type MemoryMap = model.MemoryMap<bigint>;

export interface MemoryMapQuery {
  readonly from?: bigint;
  readonly to?: bigint;
  readonly most?: number;
}

const DEFAULT_RUNS = 2048;
const MOST_RUNS = 8192;

/** @param physicalBits width of guest physical addresses: where the last hole ends */
export function memoryMap(m: Machine, physicalBits: number, query: MemoryMapQuery = {}): MemoryMap {
  const most = Math.max(1, Math.min(query.most ?? DEFAULT_RUNS, MOST_RUNS));
  const { kernel, host: space } = m;
  const { memslots } = m.ram;
  const ranges = memslotRanges(memslots.all);
  const end = memslots.all.at(-1)?.end ?? 0n;
  const holes = ranges.flatMap((r) => (r.kind === 'hole' ? [{ from: r.start, to: r.end }] : []));
  return {
    ...(m.ram.calls.range === 'region' ? { regions: true } : {}),
    generation: memslots.generation,
    slots: memslots.all.map((s) => slotInfo(m, s, most)),
    holes: [...holes, { from: end, to: 1n << BigInt(physicalBits) }],
    vmas: space.vmas().map((v) => vmaInfo(m, v)),
    ...runsOf(m, query.from ?? 0n, query.to ?? end, most),
    host: {
      frames: kernel.memory.frames,
      used: kernel.frames.framesUsed,
      swapPages: kernel.swap.capacity,
      swapUsed: kernel.swap.used,
      base: kernel.memory.base,
    },
  };
}

function slotInfo(m: Machine, s: Memslot, most: number): SlotInfo {
  const base = { id: s.id, gpa: s.start, size: s.end - s.start, hva: s.hva, readOnly: s.readonly };
  if (!s.logDirty) return base;
  const pages = m.ram.dirtyLog.look(s);
  const runs = pageRuns(pages);
  return {
    ...base,
    dirty: { pages: pages.length, runs: runs.slice(0, most), left: Math.max(0, runs.length - most) },
  };
}

/** What the pages of a mapping have come to. */
export function vmaInfo(m: Machine, v: Vma): VmaInfo {
  let [resident, huge, merged, swapped] = [0n, 0n, 0n, 0n];
  m.host.tables.each(v.start, v.end, (_at, leaf) => {
    const size = levelSize(leaf.level);
    if ((leaf.entry & PTE_P) !== 0n) {
      resident += size;
      if (leaf.level > 1) huge += size;
      else if (m.kernel.mergedCount(asHpa(leaf.entry & FRAME_MASK)) > 0) merged += size;
    } else if (swapSlotOf(leaf.entry) !== undefined) swapped += size;
  });
  const { read, write, exec } = v.protection;
  return {
    start: v.start,
    end: v.end,
    name: v.name,
    protection: `${read ? 'r' : '-'}${write ? 'w' : '-'}${exec ? 'x' : '-'}`,
    backing: v.backing,
    resident,
    huge,
    merged,
    swapped,
    ...(m.ram.calls.range === 'region' ? { regions: true } : {}),
    slots: m.ram.memslots.byHva(v.start, v.end).map((r) => r.slot.id),
  };
}
