import { EPTE_A, EPTE_D, EPTE_R, EPTE_RWX, EPTE_W, EPTE_X, FRAME_MASK } from '../../isa/entries';
import { eptReservedSet, isLargeEpte, isMisconfigured } from '../../isa/reserved-bits';
import type { Access } from './access';
import { tableIndex } from './ordinary';
import type { SecondLevelWalk } from './second-level-walk';
import type { WalkFailure } from './trace';
import { outcomeOf, type WalkOut } from './walk-out';

/**
 * EPTP (SDM vol. 3, 24.6.11):  51..12 root table | 6 A/D enable | 5..3 walk length − 1 | 2..0 memory type.
 */
export interface Eptp {
  readonly kind: 'ept';
  readonly value: bigint;
  readonly root: bigint;
  readonly levels: number;
  /** First guest-physical address that the levels do not translate. */
  readonly reach: bigint;
  readonly accessedDirty: boolean;
  /** The processor has 1 GiB pages: bit 7 of an EPT PDPTE is not reserved. */
  readonly pages1g: boolean;
}
export const decodeEptp = (value: bigint, pages1g = true): Eptp => ({
  kind: 'ept',
  value,
  root: value & FRAME_MASK,
  levels: Number((value >> 3n) & 7n) + 1,
  reach: 1n << (12n + 9n * (((value >> 3n) & 7n) + 1n)),
  accessedDirty: ((value >> 6n) & 1n) === 1n,
  pages1g,
});

/**
 * The EPT walk (SDM vol. 3, 28.3): GPA → HPA. Rights are ANDed over the levels; an access that meets no misconfigured
 * entry but lacks a right, or meets an entry without any right, is an EPT violation. So is one to an address beyond what
 * the levels reach: 48 bits by four, 57 by five (28.3.3.2: 4-level EPT with bits 51:48 set). Sets no A/D flags (see
 * `updateEptAccessedDirty`). False: the failure is in `walk.out`.
 *
 *    56..48  47..39  38..30  29..21  20..12  11..0
 *   | PML5  | PML4  | PDPT  |  PD   |  PT   | offset |
 */
export function walkEpt(walk: SecondLevelWalk, eptp: Eptp, gpa: bigint, op: Access['op']): boolean {
  const { memory, physicalBits, out, sink } = walk;
  let base = eptp.root;
  let rights = EPTE_RWX;
  out.depth = 0;
  out.loads = 0;
  out.failedOp = op;
  if (gpa >= eptp.reach) {
    out.readable = out.writable = out.executable = false;
    return out.fail('ept', 'not-present', eptp.levels, 0n, gpa);
  }
  const pageNumber = Number(gpa >> 12n);
  for (let level = eptp.levels; level >= 1; level--) {
    const index = tableIndex(pageNumber, level, 9);
    const address = base + BigInt(index * 8);
    const at = memory.offsetOf(address);
    if (at < 0) return out.fail('ept', 'no-memory', level, 0n, gpa);
    const entry = memory.view.getBigUint64(at, true);
    out.loads++;
    out.entries[out.depth] = entry;
    out.offsets[out.depth] = at;
    out.addresses[out.depth] = address;
    out.depth++;
    const large = isLargeEpte(eptp.pages1g, level, entry);
    const leaf = level === 1 || large;
    const present = (entry & EPTE_RWX) !== 0n;
    rights &= entry;
    let reason: WalkFailure['reason'] | undefined;
    if (!present) reason = 'not-present';
    else if (isMisconfigured(entry, level, large, physicalBits)) reason = 'misconfiguration';
    else if (leaf && op === 'read' && (rights & EPTE_R) === 0n) reason = 'not-readable';
    else if (leaf && op === 'write' && (rights & EPTE_W) === 0n) reason = 'write-protected';
    else if (leaf && op === 'fetch' && (rights & EPTE_X) === 0n) reason = 'no-execute';
    sink?.secondLevel({
      table: 'ept',
      level,
      index,
      entryAddress: address,
      space: 'hpa',
      entryHpa: address,
      entry,
      leaf: leaf && present,
      outcome: reason ? outcomeOf(reason) : leaf ? 'leaf' : 'next',
      reserved: eptReservedSet(entry, level, large, physicalBits),
      nested: [],
    });
    // the rights so far, for the exit qualification (bits 5:3)
    out.readable = (rights & EPTE_R) !== 0n;
    out.writable = (rights & EPTE_W) !== 0n;
    out.executable = (rights & EPTE_X) !== 0n;
    if (reason) {
      if (reason === 'misconfiguration') return out.misconfigured(level, entry, gpa, large, physicalBits);
      return leaf && present
        ? out.deny('ept', reason, level, gpa, undefined, undefined)
        : out.fail('ept', reason, level, entry, gpa);
    }
    if (leaf) {
      const pageShift = 12 + (level - 1) * 9;
      const pageMask = (1n << BigInt(pageShift)) - 1n;
      out.address = (entry & FRAME_MASK & ~pageMask) | (gpa & pageMask);
      out.pageShift = pageShift;
      out.dirty = !eptp.accessedDirty || (entry & EPTE_D) !== 0n;
      return true;
    }
    base = entry & FRAME_MASK;
  }
  return out.fail('ept', 'not-present', 0, 0n, gpa);
}

/** What `updateEptAccessedDirty` would set: 'dirty' where the leaf's dirty flag is among it. */
export function eptFlagsMissing(write: boolean, out: WalkOut): 'none' | 'accessed' | 'dirty' {
  let accessed = false;
  for (let i = 0; i < out.depth; i++) {
    const entry = out.entries[i] as bigint;
    if (write && i === out.depth - 1 && (entry & EPTE_D) === 0n) return 'dirty';
    accessed ||= (entry & EPTE_A) === 0n;
  }
  return accessed ? 'accessed' : 'none';
}

/** Sets A over the walk and D in its leaf for a write (SDM vol. 3, 28.3.5). Returns how many entries were written. */
export function updateEptAccessedDirty({ memory, out }: SecondLevelWalk, write: boolean): number {
  let n = 0;
  for (let i = 0; i < out.depth; i++) {
    const entry = out.entries[i] as bigint;
    const want = entry | EPTE_A | (write && i === out.depth - 1 ? EPTE_D : 0n);
    if (want === entry) continue;
    memory.view.setBigUint64(out.offsets[i] as number, want, true);
    out.entries[i] = want;
    n++;
  }
  if (write) out.dirty = true;
  return n;
}
