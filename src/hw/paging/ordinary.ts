import { isCanonical } from '../../base/bits';
import {
  FRAME_MASK,
  PTE_A,
  PTE_D,
  PTE_G,
  PTE_P,
  PTE_PKEY_SHIFT,
  PTE_PS,
  PTE_RW,
  PTE_US,
  PTE_XD,
} from '../../isa/entries';
import { isLarge, reservedMask, reservedSet } from '../../isa/reserved-bits';
import type { Hpa } from '../../base/address';
import type { HostMemory } from '../memory/host-memory';
import type { Access } from './access';
import { FORMATS, type PagingControls, type PagingFormat } from './controls';
import { denied } from './permissions';
import type { TableKind, WalkFailure, WalkSink } from './trace';
import { outcomeOf, WalkOut, type WalkStart } from './walk-out';

/**
 * Where paging-structure entries are found. The CPU's guest walk goes through EPT or NPT, a host walk is direct, KVM's walk_addr goes through memslots.
 */
export interface EntryPort {
  readonly memory: HostMemory;
  readonly table: TableKind;
  /** The space that entry addresses are in. */
  readonly space: 'gpa' | 'hpa';
  /**
   * Offset in the machine's memory of the 4 or 8 bytes at `address`, or −1 with the failure in `out`. `write`: the entry's A or D bit is to be set.
   * Second-level steps go to `sink.secondLevel`. WRITE_LOST: the entry can be read but not written, and the walk continues.
   */
  locate(address: bigint, write: boolean, out: WalkOut, sink: WalkSink | undefined): number;
}

/** What `locate` answers for a write to memory that drops writes: the accessed and dirty flags of tables in read-only memory stay as they are, and the walk goes on. */
export const WRITE_LOST = -2;

/** Entries directly in host physical memory: the host's own tables, shadow tables, a bare machine. */
export class DirectPort implements EntryPort {
  readonly space = 'hpa' as const;
  constructor(
    readonly memory: HostMemory,
    readonly table: TableKind,
  ) {}
  locate(address: bigint, _write: boolean, out: WalkOut): number {
    const at = this.memory.offsetOf(address);
    if (at < 0) out.fail(this.table, 'no-memory', 0, 0n, address);
    return at;
  }
}

/** Ordinary tables, and the registers that say how they are read. */
export interface OrdinaryTables {
  readonly port: EntryPort;
  /** CR3. */
  readonly root: bigint;
  readonly controls: PagingControls;
  /**
   * The registers that PAE paging loads with CR3 (SDM vol. 3, 4.4.1). Absent under PAE paging: SVM's nested paging,
   * which loads the PDPTEs from memory as any entry (APM vol. 2, 15.25.10).
   */
  readonly pdptes?: ArrayLike<bigint> | undefined;
}

/**
 * The record of a walk of ordinary tables: what is walked and how, and in `out` what the last walk came to. A walker
 * that walks often keeps one, so that a walk allocates nothing.
 */
export class OrdinaryWalk implements OrdinaryTables {
  readonly port: EntryPort;
  root: bigint;
  controls: PagingControls;
  pdptes: ArrayLike<bigint> | undefined;
  /** An entry of the paging-structure caches to begin at, instead of at the root. */
  start: WalkStart | undefined = undefined;

  constructor(
    { port, root, controls, pdptes }: OrdinaryTables,
    readonly out: WalkOut = new WalkOut(),
    /** Gets a step for each entry. */
    public sink: WalkSink | undefined = undefined,
  ) {
    this.port = port;
    this.root = root;
    this.controls = controls;
    this.pdptes = pdptes;
  }
}

/**
 * The ordinary page walk (SDM vol. 3, 4.3–4.5) in all its formats: loads entries, checks presence and reserved bits,
 * ANDs rights, then checks permission. `ac`: RFLAGS.AC, which lifts SMAP for explicit supervisor accesses. Sets no A/D
 * bits (see `updateAccessedDirty`). False: the failure is in `walk.out`.
 *
 * 4-level linear address:    63..48  47..39  38..30  29..21  20..12  11..0
 *                           | sign  | PML4  | PDPT  |  PD   |  PT   | offset |
 * 32-bit:                    31..22  21..12  11..0           PAE:  31..30  29..21  20..12  11..0
 *                           |  PD   |  PT   | offset |            |PDPTE  |  PD   |  PT   | offset |
 */
export function walkOrdinary(walk: OrdinaryWalk, linear: bigint, access: Access, ac: boolean): boolean {
  const { port, controls, out, sink, pdptes, start } = walk;
  const { format } = controls;
  out.depth = 0;
  out.loads = 0;
  out.failedOp = access.op;
  if (format === 'none') {
    out.address = linear & 0xffff_ffffn;
    out.pageShift = 12;
    out.writable = out.user = true;
    out.executeDisable = out.global = false;
    out.dirty = true;
    out.protectionKey = 0;
    return true;
  }
  const { levels, entryBytes, indexBits, linearBits } = FORMATS[format];
  if (linearBits > 32 ? !isCanonical(linear, linearBits) : false)
    return out.fail(port.table, 'non-canonical', 0, 0n, linear);
  const va = linearBits === 32 ? linear & 0xffff_ffffn : linear;
  let writable = start?.writable ?? true;
  let user = start?.user ?? true;
  let executeDisable = start?.executeDisable ?? false;
  const inMemory = format === 'pae' && pdptes === undefined;
  let base = start?.table ?? rootTable(format, walk.root, inMemory);
  const top = start?.level ?? levels;
  const pageNumber = Number(va >> 12n);

  for (let level = top; level >= 1; level--) {
    const index = tableIndex(pageNumber, level, indexBits);
    if (format === 'pae' && level === 3 && pdptes !== undefined) {
      // the four PDPTEs were loaded with CR3 and live in registers: no memory reference
      const entry = pdptes[index & 3] ?? 0n;
      if ((entry & PTE_P) === 0n) return out.fail(port.table, 'not-present', 3, entry, linear);
      base = entry & FRAME_MASK;
      continue;
    }
    const address = base + BigInt(index * entryBytes);
    // a cached entry knows where its table is
    const at = start && level === top ? start.offset + index * entryBytes : port.locate(address, false, out, sink);
    if (at < 0) {
      sink?.step({
        table: port.table,
        level,
        index,
        entryAddress: address,
        space: port.space,
        entryHpa: undefined,
        entry: 0n,
        leaf: false,
        outcome: outcomeOf(out.reason),
        reserved: 0n,
      });
      return false;
    }
    const entry =
      entryBytes === 8 ? port.memory.view.getBigUint64(at, true) : BigInt(port.memory.view.getUint32(at, true));
    out.loads++;
    const pointer = format === 'pae' && level === 3;
    // a PDPTE has no accessed flag to set
    if (!pointer) {
      out.entries[out.depth] = entry;
      out.offsets[out.depth] = at;
      out.addresses[out.depth] = address;
      out.depth++;
    }

    const ps = (entry & PTE_PS) !== 0n;
    const large = isLarge(controls, level, ps);
    const leaf = level === 1 || large;
    let reason: WalkFailure['reason'] | undefined;
    if ((entry & PTE_P) === 0n) reason = 'not-present';
    else if ((entry & reservedMask(controls, level, large, ps)) !== 0n) reason = 'reserved-bit';
    else {
      if (!pointer) {
        writable &&= (entry & PTE_RW) !== 0n;
        user &&= (entry & PTE_US) !== 0n;
        executeDisable ||= format !== '32bit' && (entry & PTE_XD) !== 0n;
      }
      if (leaf) {
        const pageShift = 12 + (level - 1) * indexBits;
        const pageMask = (1n << BigInt(pageShift)) - 1n;
        // PSE-36: bits 20:13 of a 4 MiB PDE are address bits 39:32
        const frame =
          format === '32bit' && large
            ? (entry & 0xffc0_0000n) | (((entry >> 13n) & 0xffn) << 32n)
            : entry & FRAME_MASK & ~pageMask;
        out.address = frame | (va & pageMask);
        out.pageShift = pageShift;
        out.writable = writable;
        out.user = user;
        out.executeDisable = executeDisable;
        out.global = controls.pge && (entry & PTE_G) !== 0n;
        out.dirty = (entry & PTE_D) !== 0n;
        out.protectionKey = controls.pke ? Number((entry >> PTE_PKEY_SHIFT) & 0xfn) : 0;
        reason = denied(out, access, ac, controls);
      }
    }
    sink?.step({
      table: port.table,
      level,
      index,
      entryAddress: address,
      space: port.space,
      entryHpa: port.memory.hpaOf(at),
      entry,
      leaf,
      outcome: reason ? outcomeOf(reason) : leaf ? 'leaf' : 'next',
      reserved: reservedSet(controls, level, entry),
    });
    switch (reason) {
      case undefined:
        if (leaf) return true;
        base = format === '32bit' ? entry & 0xffff_f000n : entry & FRAME_MASK;
        break;
      case 'not-present':
        return out.fail(port.table, 'not-present', level, entry, linear);
      case 'reserved-bit':
        return out.reserved(port.table, level, entry, linear, controls);
      default:
        return out.deny(port.table, reason, level, linear, access, controls);
    }
  }
  return out.fail(port.table, 'not-present', 0, 0n, linear);
}

const rootTable = (format: PagingFormat, root: bigint, pdptesInMemory: boolean): bigint =>
  format === '32bit' ? root & 0xffff_f000n : pdptesInMemory ? root & 0xffff_ffe0n : root & FRAME_MASK;

/** Index into the table of `level` on the way to the page with this number; an index has `bits` bits. */
export const tableIndex = (pageNumber: number, level: number, bits: 9 | 10): number =>
  Math.floor(pageNumber * (PER_ENTRY[bits][level] as number)) & ((1 << bits) - 1);
/** 1 over the pages that an entry of each level spans: powers of two, exact as numbers. */
const PER_ENTRY = { 9: perEntry(9), 10: perEntry(10) } as const;
function perEntry(bits: number): readonly number[] {
  return Array.from({ length: 6 }, (_, level) => 2 ** (-bits * (level - 1)));
}

/** An entry of a completed walk with the flags that it sets there: A, and D in the leaf for a write (SDM vol. 3, 4.8). */
export const withFlags = (entry: bigint, writtenLeaf: boolean): bigint => entry | PTE_A | (writtenLeaf ? PTE_D : 0n);

/**
 * Sets A in every entry of the walk just made, and D in the leaf for a write, where they are clear (SDM vol. 3, 4.8).
 * False: an entry may not be written (a second-level failure, now in `walk.out`). Entries written are counted in
 * `walk.out.written`, and reported to `written`.
 */
export function updateAccessedDirty(
  { port, controls, out }: OrdinaryWalk,
  write: boolean,
  written?: (hpa: Hpa, value: bigint) => void,
): boolean {
  const bytes = controls.format === '32bit' ? 4 : 8;
  const depth = out.depth;
  out.written = 0;
  for (let i = 0; i < depth; i++) {
    const entry = out.entries[i] as bigint;
    const want = withFlags(entry, write && i === depth - 1);
    if (want === entry) continue;
    const at = port.locate(out.addresses[i] as bigint, true, out, undefined);
    if (at === WRITE_LOST) continue;
    if (at < 0) return false;
    port.memory.noteWrite(at, bytes);
    if (bytes === 8) port.memory.view.setBigUint64(at, want, true);
    else port.memory.view.setUint32(at, Number(want), true);
    out.entries[i] = want;
    out.written++;
    written?.(port.memory.hpaOf(at), want);
  }
  if (write) out.dirty = true;
  return true;
}
