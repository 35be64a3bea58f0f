import type { Hpa } from '../base/address';
import { hpa } from '../base/address';
import type { HostMemory } from '../hw/memory/host-memory';
import { EPTE_PS, EPTE_RWX, FRAME_MASK, PTE_P, PTE_PS, epteFlags, pteFlags } from '../isa/entries';
import { TABLE_ENTRIES, levelSize } from './page-tables';

/** Bit 51 and P without bit 11, by which KVM marks what it mapped. */
const NPT_MMIO = (1n << 51n) | PTE_P;
const NPT_MARKS = NPT_MMIO | (1n << 11n);

/** A table that can be opened: where it lies, its level, and the first address it translates. */
export interface TableRef {
  readonly kind: 'host' | 'ept' | 'npt';
  readonly level: number;
  readonly table: Hpa;
  /** HVA for host tables, GPA for EPT. */
  readonly start: bigint;
}

/** One entry of a table that is not zero. */
export interface TableEntryView {
  readonly kind: 'host' | 'ept' | 'npt';
  readonly level: number;
  readonly index: number;
  readonly entryAddress: Hpa;
  readonly entry: bigint;
  readonly flags: readonly string[];
  /** First address that the entry translates, and how many bytes. */
  readonly start: bigint;
  readonly size: bigint;
  readonly present: boolean;
  readonly leaf: boolean;
  /** An entry that no hardware accepts, which KVM leaves for MMIO: in EPT W and X without R, in NPT bit 51 without KVM's present mark. */
  readonly mmio: boolean;
  /** Frame or table that a present entry points to. */
  readonly target: Hpa | undefined;
  /** The table below, where there is one. */
  readonly child: TableRef | undefined;
}

/** What an entry that is not zero says, wherever it lies. */
export interface DecodedEntry {
  readonly present: boolean;
  readonly leaf: boolean;
  readonly mmio: boolean;
  readonly flags: readonly string[];
  readonly target: Hpa | undefined;
}

export function decodeEntry(kind: TableRef['kind'], level: number, entry: bigint): DecodedEntry {
  const mmio = (kind === 'ept' && (entry & EPTE_RWX) === 6n) || (kind === 'npt' && (entry & NPT_MARKS) === NPT_MMIO);
  const present = !mmio && (kind === 'ept' ? (entry & EPTE_RWX) !== 0n : (entry & PTE_P) !== 0n);
  const leaf = level === 1 || (entry & (kind === 'ept' ? EPTE_PS : PTE_PS)) !== 0n;
  return {
    present,
    leaf,
    mmio,
    flags: kind === 'ept' ? epteFlags(entry, leaf) : pteFlags(entry, leaf, level),
    target: present ? hpa(entry & FRAME_MASK & (leaf ? ~(levelSize(level) - 1n) : FRAME_MASK)) : undefined,
  };
}

/** The non-zero entries of one table, in order. Reads memory and changes nothing. */
export function readTable(memory: HostMemory, ref: TableRef): readonly TableEntryView[] {
  const out: TableEntryView[] = [];
  const size = levelSize(ref.level);
  for (let index = 0; index < TABLE_ENTRIES; index++) {
    const entryAddress = hpa(ref.table + BigInt(index * 8));
    const entry = memory.read64(entryAddress);
    if (entry === 0n) continue;
    const decoded = decodeEntry(ref.kind, ref.level, entry);
    const { leaf, target } = decoded;
    const start = ref.start + BigInt(index) * size;
    const child =
      target !== undefined && !leaf ? { kind: ref.kind, level: ref.level - 1, table: target, start } : undefined;
    out.push({ kind: ref.kind, level: ref.level, index, entryAddress, entry, start, size, child, ...decoded });
  }
  return out;
}
