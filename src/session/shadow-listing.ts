/** The shadow tables as a list, each entry compared with what it is a shadow of. */
import { hpa } from '../base/address';
import { isCanonical } from '../base/bits';
import { FRAME_MASK, PTE_P, pteFlags } from '../isa/entries';
import type { ShadowPage } from '../kvm/mmu/shadow/pages';
import type { ShadowMmu } from '../kvm/mmu/shadow/mmu';
import { roleLevel, rootLevel } from '../kvm/mmu/shadow/role';
import {
  isShadowLeaf,
  isShadowMmio,
  isShadowPresent,
  isShadowWritable,
  shadowFrame,
  shadowMmioGpa,
} from '../kvm/mmu/shadow/spte';
import { entryName } from './entry-names';
import type { TableListing } from './table-listing';

/** How a shadow entry stands to the guest's own: read-only because the frame is a shadowed table, or marked for MMIO. */
export type ShadowNote = 'write-protected' | 'mmio';

/** A shadow entry. `gfn`: the guest frame number of a leaf, or of the table that the next shadow page shadows. */
export interface ShadowListing extends TableListing {
  readonly gfn: bigint;
  readonly note?: ShadowNote;
}

export function listShadowTables(mmu: ShadowMmu): readonly ShadowListing[] {
  const root = mmu.loaded;
  if (!root) return [];
  const out: ShadowListing[] = [];
  const { format } = root.paging.controls;
  const level = rootLevel(format);
  const width = level === 2 ? 32 : 12 + 9 * level;
  if (level !== 2) {
    for (const page of root.pages) visit(mmu, page, 0n, width, out);
    return out;
  }
  for (let i = 0; i < 4; i++) {
    const entryAddress = hpa(root.hpa + BigInt(i * 8));
    const entry = mmu.kernel.memory.read64(entryAddress);
    const page = mmu.pages.ofTable(entry & FRAME_MASK);
    if ((entry & PTE_P) === 0n || !page) continue;
    const from = BigInt(i) << 30n;
    const to = from + (1n << 30n) - 1n;
    out.push({
      level: 3,
      name: entryName('shadow', 3),
      index: i,
      from,
      to,
      entryAddress,
      entry,
      flags: pteFlags(entry, false, 3),
      target: entry & FRAME_MASK,
      leaf: false,
      gfn: BigInt(page.gfn),
    });
    visit(mmu, page, from, width, out);
  }
  return out;
}

function visit(mmu: ShadowMmu, page: ShadowPage, start: bigint, width: number, out: ShadowListing[]): void {
  const level = roleLevel(page.role);
  const size = 1n << BigInt(12 + 9 * (level - 1));
  for (let index = 0; index < 512; index++) {
    const entry = mmu.pages.read(page, index);
    const mmio = isShadowMmio(mmu.generation, entry);
    if (!mmio && !isShadowPresent(mmu.generation, entry)) continue;
    const leaf = isShadowLeaf(entry, level);
    const at = start + BigInt(index) * size;
    const from = width > 32 && !isCanonical(at, width) ? BigInt.asUintN(64, BigInt.asIntN(width, at)) : at;
    const child = leaf ? undefined : mmu.pages.ofTable(shadowFrame(entry));
    const gfn = BigInt((leaf ? page.gfns[index] : child?.gfn) ?? 0);
    const note: ShadowNote | undefined = mmio
      ? 'mmio'
      : leaf && !isShadowWritable(entry) && mmu.pages.isShadowed(Number(gfn))
        ? 'write-protected'
        : undefined;
    out.push({
      level,
      name: entryName('shadow', level),
      index,
      from,
      to: BigInt.asUintN(64, from + size - 1n),
      entryAddress: mmu.pages.entryAddress(page, index),
      entry,
      flags: pteFlags(entry, leaf, level),
      target: mmio ? shadowMmioGpa(entry, 0n) : shadowFrame(entry),
      leaf,
      gfn,
      ...(note ? { note } : {}),
    });
    if (child) visit(mmu, child, at, width, out);
  }
}
