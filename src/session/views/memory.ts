import { hex } from '../../base/hex';
import type { GuestRam } from '../../vmm/accelerator';
import type { Memslot } from '../../kvm/memslots';
import { sizeName } from '../entry-names';
import type { ViewPage } from '../types';
import { page, row, type RowParts, type ViewRequest } from './view';

type Range =
  | { readonly kind: 'slot'; readonly slot: Memslot }
  | { readonly kind: 'hole'; readonly start: bigint; readonly end: bigint };

/** Slots in the order of their GPAs, and the holes between them. */
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

export function memslotsView(ram: GuestRam, { path, start, count }: ViewRequest): ViewPage | undefined {
  const slots = ram.memslots.all;
  const [id] = path;
  if (id === undefined) {
    return page(memslotRanges(slots), start, count, (r) =>
      r.kind === 'hole'
        ? row({
            path: `memslots/hole-${hex(r.start)}`,
            name: 'hole',
            kind: 'hole',
            value: `${span(r.start, r.end)}, ${sizeName(r.end - r.start)}: no memslot, MMIO`,
            address: { space: 'gpa', value: r.start },
          })
        : row({
            path: `memslots/${r.slot.id}`,
            name: `slot ${r.slot.id}`,
            kind: 'slot',
            children: r.slot.logDirty ? 7 : 6,
            value: `${span(r.slot.start, r.slot.end)}, ${sizeName(r.slot.end - r.slot.start)} → HVA ${hex(r.slot.hva)}${r.slot.readonly ? ', read-only' : ''}${r.slot.logDirty ? ', dirty pages logged' : ''}`,
            address: { space: 'gpa', value: r.slot.start },
            memory: { space: 'gpa', value: r.slot.start },
            raw: r.slot.start,
          }),
    );
  }
  const slot = path.length === 1 ? slots.find((s) => String(s.id) === id) : undefined;
  if (!slot) return undefined;
  const at = (name: string): { path: string; name: string } => ({ path: `memslots/${id}/${name}`, name });
  const rows: RowParts[] = [
    {
      ...at('guest_phys_addr'),
      value: hex(slot.start),
      raw: slot.start,
      kind: 'field',
      address: { space: 'gpa', value: slot.start },
    },
    {
      ...at('memory_size'),
      value: `${hex(slot.end - slot.start)} (${sizeName(slot.end - slot.start)})`,
      raw: slot.end - slot.start,
      kind: 'field',
    },
    {
      ...at('userspace_addr'),
      value: hex(slot.hva),
      raw: slot.hva,
      kind: 'field',
      address: { space: 'hva', value: slot.hva },
    },
    { ...at('flags'), value: flagsOf(slot), kind: 'field' },
    { ...at('HVA − GPA'), value: hex(BigInt.asUintN(64, slot.hva - slot.start)), kind: 'field' },
    ...(slot.logDirty ? [{ ...at('dirty pages'), value: dirtyText(ram, slot), kind: 'field' } as const] : []),
    { ...at('generation'), value: String(ram.memslots.generation), kind: 'field' },
  ];
  return page(rows, start, count, row);
}

const flagsOf = (s: Memslot): string =>
  [s.logDirty ? 'KVM_MEM_LOG_DIRTY_PAGES' : '', s.readonly ? 'KVM_MEM_READONLY' : '']
    .filter((f) => f !== '')
    .join(' | ') || '0';

/** The dirty bitmap, as far as KVM has it: what hardware has logged and no exit has drained yet is not in it. */
function dirtyText(ram: GuestRam, slot: Memslot): string {
  const pages = ram.dirtyLog.look(slot);
  const shown = pages.slice(0, 32).map((p) => hex(p));
  return `${pages.length}${shown.length > 0 ? `: ${shown.join(', ')}` : ''}${pages.length > shown.length ? ', …' : ''}`;
}
