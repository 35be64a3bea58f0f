/** The memory map in words: for the list, and for what a block's tooltip says. */
import type { MemoryMapReply, MemoryRun, SlotInfo, VmaInfo } from '../../../protocol/memory-map';
import { sizeText } from '../../names';

export const rangeText = (from: bigint, to: bigint): string => `0x${from.toString(16)}–0x${(to - 1n).toString(16)}`;

/** What is worth saying of a run's pages beside where they are. */
export function marksOf(run: MemoryRun): readonly string[] {
  return [
    run.pageSize > 4096 ? `${sizeText(run.pageSize)} pages` : '',
    run.merged ? 'merged (KSM)' : '',
    run.dirty ? 'dirty' : '',
    run.state === 'resident' && !run.writable ? 'read-only' : '',
    run.mapped > 0 ? `mapped by ${sizeText(run.mapped)}` : 'not mapped: the next access faults',
  ].filter((text) => text !== '');
}

export function stateText(run: MemoryRun): string {
  switch (run.state) {
    case 'resident':
      return run.hpa === undefined ? `in ${run.frames} ranges of host memory` : `at ${run.hpa}`;
    case 'swapped':
      return run.swapSlot === undefined ? 'in swap' : `in swap, slot ${run.swapSlot}`;
    case 'absent':
      return 'no page yet';
  }
}

export const slotRange = ({ gpa, size }: SlotInfo): string => rangeText(BigInt(gpa), BigInt(gpa) + BigInt(size));

/** The flags of a memslot, short, with what they mean. */
export const slotFlags = ({ readOnly, dirty }: SlotInfo): readonly (readonly [short: string, words: string])[] => [
  ...(readOnly ? [['RO', 'read-only'] as const] : []),
  ...(dirty ? [[`LOG ${dirty.pages}`, `dirty pages are logged: ${dirty.pages}`] as const] : []),
];

export function vmaText(vma: VmaInfo): string {
  const part = (bytes: string, word: string): string =>
    BigInt(bytes) === 0n ? '' : `${sizeText(BigInt(bytes))} ${word}`;
  return [
    `${rangeText(BigInt(vma.start), BigInt(vma.end))} ${vma.protection}`,
    vma.backing === '4k' ? '' : vma.backing,
    part(vma.resident, 'in memory'),
    part(vma.huge, 'in large pages'),
    part(vma.merged, 'merged'),
    part(vma.swapped, 'in swap'),
    vma.slots.length === 0 ? 'not guest RAM' : '',
  ]
    .filter((text) => text !== '')
    .join(' · ');
}

export function summaryText({ regions, slots, vmas, generation, host }: MemoryMapReply): string {
  const n = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
  return [
    regions ? n(slots.length, 'memory region') : `${n(slots.length, 'memslot')}, generation ${generation}`,
    n(vmas.length, 'VMA'),
    `${host.used.toLocaleString('en')} of ${host.frames.toLocaleString('en')} host frames used`,
    host.swapUsed > 0 ? `${host.swapUsed.toLocaleString('en')} pages in swap` : '',
  ]
    .filter((text) => text !== '')
    .join(' · ');
}
