/** The shadow tables as a list, and table by table, each entry compared with what it is a shadow of. */
import { hpa } from '../../base/address';
import { isCanonical } from '../../base/bits';
import type { ShadowPage } from '../../kvm/mmu/shadow/pages';
import type { ShadowMmu } from '../../kvm/mmu/shadow/mmu';
import { roleLevel, rootLevel } from '../../kvm/mmu/shadow/role';
import type { DriftView } from './drift';
import { entryName } from '../translate/entry-names';
import { decodeShadowEntry } from './shadow-entry';
import type { TableListing } from './listing';

/** A present shadow entry. `gfn`: the guest frame number of a leaf, or of the table that the next shadow page shadows. `counterpart`: the guest's entry. */
export interface ShadowListing extends TableListing {
  readonly gfn: bigint;
  readonly marks: NonNullable<TableListing['marks']>;
}

/** A shadow table that can be opened. Without a page: the four PDPTEs of a guest with a 32-bit format. */
export interface ShadowTable {
  readonly page?: ShadowPage;
  /** First linear address below it. */
  readonly start: bigint;
}
export interface ShadowEntry {
  readonly listing: ShadowListing;
  readonly child?: ShadowTable;
}

export function shadowRoot(mmu: ShadowMmu): ShadowTable | undefined {
  const root = mmu.loaded;
  if (!root) return undefined;
  const [page] = root.pages;
  return rootLevel(root.paging.controls.format) === 2 || !page ? { start: 0n } : { page, start: 0n };
}

/** The present entries of one table, MMIO marks among them. Without `drift` nothing is compared. */
export function readShadowTable(mmu: ShadowMmu, table: ShadowTable, drift?: DriftView): readonly ShadowEntry[] {
  const root = mmu.loaded;
  if (!root) return [];
  const top = rootLevel(root.paging.controls.format);
  return table.page
    ? pageEntries(mmu, table.page, table.start, top === 2 ? 32 : 12 + 9 * top, drift)
    : paeRootEntries(mmu, root.hpa);
}

function paeRootEntries(mmu: ShadowMmu, root: bigint): readonly ShadowEntry[] {
  const out: ShadowEntry[] = [];
  for (let i = 0; i < 4; i++) {
    const entryAddress = hpa(root + BigInt(i * 8));
    const entry = mmu.kernel.memory.read64(entryAddress);
    const { present, flags, target } = decodeShadowEntry(mmu, 3, entry);
    const page = mmu.pages.ofTable(target);
    if (!present || !page) continue;
    const from = BigInt(i) << 30n;
    out.push({
      listing: {
        level: 3,
        name: entryName('shadow', 3),
        index: i,
        from,
        to: from + (1n << 30n) - 1n,
        entryAddress,
        entry,
        flags,
        target,
        leaf: false,
        gfn: BigInt(page.gfn),
        marks: [],
      },
      child: { page, start: from },
    });
  }
  return out;
}

function pageEntries(
  mmu: ShadowMmu,
  page: ShadowPage,
  start: bigint,
  width: number,
  drift: DriftView | undefined,
): readonly ShadowEntry[] {
  const level = roleLevel(page.role);
  const size = 1n << BigInt(12 + 9 * (level - 1));
  const out: ShadowEntry[] = [];
  for (let index = 0; index < 512; index++) {
    const entry = mmu.pages.read(page, index);
    const { present, mmio, leaf, flags, target } = decodeShadowEntry(mmu, level, entry);
    if (!mmio && !present) continue;
    const at = start + BigInt(index) * size;
    const from = width > 32 && !isCanonical(at, width) ? BigInt.asUintN(64, BigInt.asIntN(width, at)) : at;
    const child = leaf ? undefined : mmu.pages.ofTable(target);
    const { marks, other } = drift?.ofShadow(page, index, from) ?? { marks: mmio ? (['mmio'] as const) : [] };
    const listing: ShadowListing = {
      level,
      name: entryName('shadow', level),
      index,
      from,
      to: BigInt.asUintN(64, from + size - 1n),
      entryAddress: mmu.pages.entryAddress(page, index),
      entry,
      flags,
      target,
      leaf,
      gfn: BigInt((leaf ? page.gfns[index] : child?.gfn) ?? 0),
      marks,
      ...(other ? { counterpart: other } : {}),
    };
    out.push(child ? { listing, child: { page: child, start: at } } : { listing });
  }
  return out;
}

export function listShadowTables(mmu: ShadowMmu, drift?: DriftView): readonly ShadowListing[] {
  const out: ShadowListing[] = [];
  const visit = (table: ShadowTable): void => {
    for (const { listing, child } of readShadowTable(mmu, table, drift)) {
      out.push(listing);
      if (child) visit(child);
    }
  };
  const root = shadowRoot(mmu);
  if (root) visit(root);
  return out;
}
