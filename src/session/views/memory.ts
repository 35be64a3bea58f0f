import { hex } from '../../base/hex';
import type { GuestRam } from '../../vmm/accelerator';
import type { Memslot } from '../../kvm/memslots';
import { sizeName } from '../translate/entry-names';
import { pageRuns, type Interval } from '../tables/memory-runs';
import type { ViewPage } from '../types';
import { page, row, type RowParts, type ViewRequest } from './view';

type Range =
  | { readonly kind: 'slot'; readonly slot: Memslot }
  | { readonly kind: 'hole'; readonly start: bigint; readonly end: bigint };

/** Slots, or QEMU's memory regions, in the order of their GPAs, and the holes between them. */
export function memslotRanges(slots: readonly Memslot[]): readonly Range[] {
  const out: Range[] = [];
  let end = 0n;
  for (const slot of slots) {
    if (slot.start > end) out.push({ kind: 'hole', start: end, end: slot.start });
    out.push({ kind: 'slot', slot });
    end = slot.end;
  }
  return out;
}

const span = (start: bigint, end: bigint): string => `${hex(start)}–${hex(end - 1n)}`;

const slotFlags = ({ readonly, logDirty }: Memslot): readonly string[] => [
  ...(readonly ? ['KVM_MEM_READONLY'] : []),
  ...(logDirty ? ['KVM_MEM_LOG_DIRTY_PAGES'] : []),
];
/** In a narrow place: its flags, where it leads, and last its size. */
const slotBriefly = ({ start, end, hva, readonly, logDirty }: Memslot): string =>
  [
    ...(readonly ? ['RO'] : []),
    ...(logDirty ? ['LOG'] : []),
    `${hex(start)} → HVA ${hex(hva)} · ${sizeName(end - start)}`,
  ].join(' ');

export function memslotsView(ram: GuestRam, { path, start, count }: ViewRequest): ViewPage | undefined {
  const slots = ram.memslots.all;
  const regions = ram.calls.range === 'region';
  const [id] = path;
  if (id === undefined) {
    return page(memslotRanges(slots), start, count, (r) =>
      r.kind === 'hole'
        ? row({
            path: `memslots/hole-${hex(r.start)}`,
            name: 'hole',
            kind: 'hole',
            value: `${span(r.start, r.end)}, ${sizeName(r.end - r.start)}: no ${regions ? 'memory region' : 'memslot'}, MMIO`,
            address: { space: 'gpa', value: r.start },
          })
        : row({
            path: `memslots/${r.slot.id}`,
            name: `${ram.calls.range} ${r.slot.id}`,
            kind: 'slot',
            children: (regions ? 5 : 6) + (r.slot.logDirty ? 1 : 0),
            value: `${span(r.slot.start, r.slot.end)}, ${sizeName(r.slot.end - r.slot.start)} → HVA ${hex(r.slot.hva)}${r.slot.readonly ? ', read-only' : ''}${r.slot.logDirty ? ', dirty pages logged' : ''}`,
            brief: slotBriefly(r.slot),
            detail: [`flags: ${slotFlags(r.slot).join(' | ') || 'none'}`],
            address: { space: 'gpa', value: r.slot.start },
            memory: { space: 'gpa', value: r.slot.start },
            raw: r.slot.start,
          }),
    );
  }
  const slot = slots.find((s) => String(s.id) === id);
  if (slot && path.length === 2 && path[1] === DIRTY && slot.logDirty)
    return page(dirtyRuns(ram, slot), start, count, ({ from, to }) =>
      row({
        path: `memslots/${id}/${DIRTY}/${hex(from)}`,
        name: hex(from),
        kind: 'range',
        value: `${span(from, to)}, ${pagesOf(from, to)}`,
        address: { space: 'gpa', value: from },
        memory: { space: 'gpa', value: from },
        detail: [`gfn ${hex(from >> 12n)}–${hex((to >> 12n) - 1n)}`],
      }),
    );
  if (!slot || path.length > 1) return undefined;
  const at = (name: string): { path: string; name: string } => ({ path: `memslots/${id}/${name}`, name });
  const rows: RowParts[] = [
    {
      ...at(regions ? 'addr' : 'guest_phys_addr'),
      value: hex(slot.start),
      raw: slot.start,
      kind: 'field',
      address: { space: 'gpa', value: slot.start },
    },
    {
      ...at(regions ? 'size' : 'memory_size'),
      value: `${hex(slot.end - slot.start)} (${sizeName(slot.end - slot.start)})`,
      raw: slot.end - slot.start,
      kind: 'field',
    },
    {
      ...at(regions ? 'ram_block.host' : 'userspace_addr'),
      value: hex(slot.hva),
      raw: slot.hva,
      kind: 'field',
      address: { space: 'hva', value: slot.hva },
    },
    regions
      ? { ...at('readonly'), value: String(slot.readonly), kind: 'field' }
      : { ...at('flags'), value: flagsOf(slot), kind: 'field' },
    { ...at('HVA − GPA'), value: hex(BigInt.asUintN(64, slot.hva - slot.start)), kind: 'field' },
    ...(slot.logDirty ? [dirtyRow(ram, slot, at(DIRTY))] : []),
    ...(regions ? [] : [{ ...at('generation'), value: String(ram.memslots.generation), kind: 'field' } as const]),
  ];
  return page(rows, start, count, row);
}

const flagsOf = (s: Memslot): string =>
  [s.logDirty ? 'KVM_MEM_LOG_DIRTY_PAGES' : '', s.readonly ? 'KVM_MEM_READONLY' : '']
    .filter((f) => f !== '')
    .join(' | ') || '0';

const DIRTY = 'dirty bitmap';

/** The dirty bitmap as runs of pages, as far as KVM has it: what hardware has logged and no exit has drained yet is not in it. */
const dirtyRuns = (ram: GuestRam, slot: Memslot): readonly Interval[] => pageRuns(ram.dirtyLog.look(slot));
const pagesOf = (from: bigint, to: bigint): string => {
  const n = (to - from) >> 12n;
  return `${n} ${n === 1n ? 'page' : 'pages'}`;
};

function dirtyRow(ram: GuestRam, slot: Memslot, named: { readonly path: string; readonly name: string }): RowParts {
  const runs = dirtyRuns(ram, slot);
  const pages = runs.reduce((n, { from, to }) => n + to - from, 0n);
  return {
    ...named,
    kind: 'group',
    value: `${pagesOf(0n, pages)} of ${(slot.end - slot.start) >> 12n} written${runs.length > 1 ? `, in ${runs.length} runs` : ''}`,
    children: runs.length,
  };
}
