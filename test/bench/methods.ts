/** What the methods of memory virtualization cost a full guest: host frames for tables, and the time to fill them. */
import { hva } from '../../src/base/address';
import type { OptionTexts } from '../../src/session/launch/options';
import { slotHva } from '../../src/kvm/memslots';
import { touches, type BenchGuest } from './guests';
import { runToEnd, type Rate } from './machine';

export const METHODS: readonly { readonly name: string; readonly options: OptionTexts }[] = [
  { name: 'EPT', options: new Map([['mmu', ['ept']]]) },
  { name: 'NPT', options: new Map([['mmu', ['npt']]]) },
  {
    name: 'shadow, classic',
    options: new Map([
      ['mmu', ['shadow']],
      ['shadow', ['classic']],
    ]),
  },
  {
    name: 'shadow, modern',
    options: new Map([
      ['mmu', ['shadow']],
      ['shadow', ['modern']],
    ]),
  },
  { name: 'software', options: new Map([['mmu', ['software']]]) },
];
export const NAIVE: OptionTexts = new Map([
  ['mmu', ['software']],
  ['tlb', ['off']],
]);

/** Every 4 KiB page of so many MiB of guest RAM is written once, but for the 2 MiB at the bottom and what the prepared tables take at the top. */
function filled(megabytes: number): BenchGuest {
  const tables = Math.ceil(megabytes / 512) + 1;
  return touches((megabytes - 2 - 2 * tables) * 256, megabytes);
}

export interface Filled extends Rate {
  readonly pages: number;
  /** Host frames in use at the end, and how many of them are not guest RAM: tables and what a VCPU needs. */
  readonly frames: number;
  readonly tables: number;
}

/** One run. Guest page tables are guest RAM; `tables` are those of the host and of the method. */
export function fill(megabytes: number, options: OptionTexts): Filled {
  const guest = filled(megabytes);
  const { session, wall, processor } = runToEnd(guest, options);
  const { ram, host, kernel } = session.machine;
  let inRam = 0;
  for (const slot of ram.memslots.all)
    host.tables.each(slot.hva, hva(slotHva(slot, slot.start) + (slot.end - slot.start)), (_at, leaf) => {
      inRam += 512 ** (leaf.level - 1);
    });
  const frames = kernel.frames.framesUsed;
  return { wall, processor, pages: guest.work, frames, tables: frames - inRam };
}
