/** Guest physical memory as KVM, VMM and host kernel have it: slots and holes, VMAs, and runs of pages in the same condition. Reads tables and changes nothing. */
import { hpa as asHpa } from '../base/address';
import { levelSize } from '../host/page-tables';
import { swapSlotOf } from '../host/swap';
import type { Vma } from '../host/vma';
import { FRAME_MASK, PTE_P } from '../isa/entries';
import type { Memslot } from '../kvm/memslots';
import type { Machine } from '../vmm/machine';
import { pageRuns, runsOf, type Interval, type MemoryRun } from './memory-runs';
import { memslotRanges } from './views/memory';

/** See protocol/memory-map.ts, whose types these are with bigint for hex. */
export interface SlotInfo {
  readonly id: number;
  readonly gpa: bigint;
  readonly size: bigint;
  readonly hva: bigint;
  readonly readOnly: boolean;
  readonly dirty?: { readonly pages: number; readonly runs: readonly Interval[]; readonly left: number };
}
export interface VmaInfo {
  /** `slots` are memory regions. */
  readonly regions?: true;
  readonly start: bigint;
  readonly end: bigint;
  readonly name: string;
  readonly protection: string;
  readonly backing: Vma['backing'];
  readonly resident: bigint;
  readonly huge: bigint;
  readonly merged: bigint;
  readonly swapped: bigint;
  readonly slots: readonly number[];
}
export interface MemoryMap {
  /** `slots` are memory regions of a VMM that emulates the processor. */
  readonly regions?: true;
  readonly generation: number;
  readonly slots: readonly SlotInfo[];
  readonly holes: readonly Interval[];
  readonly vmas: readonly VmaInfo[];
  readonly runs: readonly MemoryRun[];
  readonly next?: bigint;
  readonly host: {
    readonly frames: number;
    readonly used: number;
    readonly swapPages: number;
    readonly swapUsed: number;
    readonly base: bigint;
  };
}
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
