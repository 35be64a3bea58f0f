import type { Hpa } from '../base/address';
import { hpa } from '../base/address';
import type { HostMemory } from '../hw/memory/host-memory';
import { EPTE_RWX, FRAME_MASK, PTE_P, PTE_PS, epteFlags, pteFlags } from '../isa/entries';
import {
  eptReservedSet,
  isLarge,
  isLargeEpte,
  misconfigurationOf,
  reservedBitsIn,
  reservedSet,
  type EntryRules,
} from '../isa/reserved-bits';
import { TABLE_ENTRIES, levelSize } from './page-tables';

const TABLE_BYTES = TABLE_ENTRIES * 8;
/** Bit 51 and P without bit 11, KVM's mark for what it mapped. */
const NPT_MMIO = (1n << 51n) | PTE_P;
const NPT_MARKS = NPT_MMIO | (1n << 11n);

/** Which tables these are, and what decides the reserved bits of their entries: for EPT only the processor. */
export type TableFormat =
  | { readonly kind: 'host' | 'npt'; readonly rules: EntryRules }
  | { readonly kind: 'ept'; readonly rules: Pick<EntryRules, 'physicalBits' | 'pages1g'> };

/** A table that can be opened: its address, its level, and the first address it translates. */
export interface TableRef {
  readonly format: TableFormat;
  readonly level: number;
  readonly table: Hpa;
  /** HVA for host tables, GPA for EPT. */
  readonly start: bigint;
}

/** One non-zero entry of a table. */
export interface TableEntryView {
  readonly kind: TableFormat['kind'];
  readonly level: number;
  readonly index: number;
  readonly entryAddress: Hpa;
  readonly entry: bigint;
  readonly flags: readonly string[];
  /** First address that the entry translates, and the number of bytes. */
  readonly start: bigint;
  readonly size: bigint;
  readonly present: boolean;
  readonly leaf: boolean;
  /**
   * An entry that hardware rejects, left by KVM for MMIO: in EPT W and X without R, in NPT bit 51 without KVM's
   * present mark.
   */
  readonly mmio: boolean;
  /** Frame or table that a present entry points to. */
  readonly target: Hpa | undefined;
  /** The table below, if memory holds one. */
  readonly child: TableRef | undefined;
}

/** Decodes a non-zero entry, wherever it lies. An MMIO mark has no flags. */
export interface DecodedEntry {
  readonly present: boolean;
  readonly leaf: boolean;
  readonly mmio: boolean;
  readonly flags: readonly string[];
  readonly target: Hpa | undefined;
}

export function decodeEntry(format: TableFormat, level: number, entry: bigint): DecodedEntry {
  const { kind, rules } = format;
  const mmio = (kind === 'ept' && (entry & EPTE_RWX) === 6n) || (kind === 'npt' && (entry & NPT_MARKS) === NPT_MMIO);
  const present = !mmio && (entry & (kind === 'ept' ? EPTE_RWX : PTE_P)) !== 0n;
  const large =
    kind === 'ept' ? isLargeEpte(rules.pages1g, level, entry) : isLarge(format.rules, level, (entry & PTE_PS) !== 0n);
  const leaf = level === 1 || large;
  return {
    present,
    leaf,
    mmio,
    flags: mmio ? [] : flagsOf(format, level, large, entry),
    target: present ? hpa(entry & FRAME_MASK & (leaf ? ~(levelSize(level) - 1n) : FRAME_MASK)) : undefined,
  };
}
const flagsOf = ({ kind, rules }: TableFormat, level: number, large: boolean, entry: bigint): string[] =>
  kind === 'ept'
    ? epteFlags(entry, level === 1 || large, eptReservedSet(entry, level, large, rules.physicalBits))
    : pteFlags(entry, level === 1 || large, level, reservedSet(rules, level, entry));

/** Why hardware rejects the entry, one string per cause; for an MMIO mark, the bits that make it one. */
export function wrongIn({ kind, rules }: TableFormat, level: number, entry: bigint): string[] {
  if (kind !== 'ept') return reservedBitsIn(rules, level, entry);
  if ((entry & EPTE_RWX) === 0n) return [];
  return misconfigurationOf(entry, level, isLargeEpte(rules.pages1g, level, entry), rules.physicalBits);
}

/** The non-zero entries of one table, in order. Reads memory and changes nothing. */
export function readTable(memory: HostMemory, ref: TableRef): readonly TableEntryView[] {
  const out: TableEntryView[] = [];
  const size = levelSize(ref.level);
  for (let index = 0; index < TABLE_ENTRIES; index++) {
    const entryAddress = hpa(ref.table + BigInt(index * 8));
    const entry = memory.read64(entryAddress);
    if (entry === 0n) continue;
    const decoded = decodeEntry(ref.format, ref.level, entry);
    const { leaf, target } = decoded;
    const start = ref.start + BigInt(index) * size;
    // an edited entry may point anywhere
    const child =
      target !== undefined && !leaf && memory.contains(target, TABLE_BYTES)
        ? { format: ref.format, level: ref.level - 1, table: target, start }
        : undefined;
    out.push({ kind: ref.format.kind, level: ref.level, index, entryAddress, entry, start, size, child, ...decoded });
  }
  return out;
}
