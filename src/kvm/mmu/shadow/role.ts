import type { PagingControls, PagingFormat } from '../../../hw/paging/controls';

/** Shadow-paging generation: classic (Linux 2.6.20, drivers/kvm) or modern (arch/x86/kvm/mmu). */
export type ShadowGeneration = 'classic' | 'modern';

/** ACC_*: the rights of the guest's entries, ANDed over the levels above. */
export const ACC = { EXEC: 1, WRITE: 2, USER: 4, ALL: 7 } as const;

const FORMAT_NUMBER: Readonly<Record<PagingFormat, number>> = { none: 0, '32bit': 2, pae: 3, '4level': 4, '5level': 5 };

/**
 * kvm_mmu_page_role: together with the guest frame, identifies what a shadow page shadows.
 *
 *   16  15              14              13 12 11..9  8..6   5..4     3      2..0
 *  |PSE|SMAP and not WP|SMEP and not WP|NX|WP|format|access|quadrant|direct|level|
 *
 * A direct page shadows no guest table: it maps consecutive frames, below a large guest page or for a guest without
 * paging. A table of 1024 entries has two shadows, a page directory of that kind four: its quadrants. Paging controls
 * that affect entries are part of the role, so changing them selects other pages. PSE, which decides whether a PDE
 * with bit 7 maps 4 MiB or leads to a table, is only in kvm_cpu_role in Linux, so there a guest that changes it meets
 * pages made before.
 */
export type RoleWord = number;
export interface Role {
  readonly level: number;
  readonly direct: boolean;
  readonly quadrant: number;
  /** For direct pages, all rights of the guest's translation; for others, those of the entries above the table. */
  readonly access: number;
}

const LEVEL_MASK = 7;
const DIRECT = 1 << 3;
const QUADRANT_SHIFT = 4;
const ACCESS_SHIFT = 6;
const FORMAT_SHIFT = 9;
const WP = 1 << 12;
const NX = 1 << 13;
const SMEP_NOT_WP = 1 << 14;
const SMAP_NOT_WP = 1 << 15;
const PSE = 1 << 16;

/** The part of the role that paging controls decide (kvm_cpu_role). */
export function modeWord(c: PagingControls): RoleWord {
  let word = (FORMAT_NUMBER[c.format] & 7) << FORMAT_SHIFT;
  if (c.format === 'none') return word;
  if (c.wp) word |= WP;
  if (c.nxe) word |= NX;
  if (c.smep && !c.wp) word |= SMEP_NOT_WP;
  if (c.smap && !c.wp) word |= SMAP_NOT_WP;
  if (c.pse && c.format === '32bit') word |= PSE;
  return word;
}
export const roleWord = (mode: RoleWord, r: Role): RoleWord =>
  mode | r.level | (r.direct ? DIRECT : 0) | (r.quadrant << QUADRANT_SHIFT) | (r.access << ACCESS_SHIFT);

export const roleLevel = (w: RoleWord): number => w & LEVEL_MASK;
export const roleDirect = (w: RoleWord): boolean => (w & DIRECT) !== 0;
export const roleQuadrant = (w: RoleWord): number => (w >> QUADRANT_SHIFT) & 3;
export const roleAccess = (w: RoleWord): number => (w >> ACCESS_SHIFT) & 7;
/** Whether the guest has paging on. */
export const rolePaging = (w: RoleWord): boolean => ((w >> FORMAT_SHIFT) & 7) !== 0;
/** Bytes per entry of the guest table that the page shadows. */
export const roleEntryBytes = (w: RoleWord): 4 | 8 => (((w >> FORMAT_SHIFT) & 7) === FORMAT_NUMBER['32bit'] ? 4 : 8);

/**
 * Level of the top shadow page: guests of 32-bit formats and without paging run on PAE tables, whose top is the four
 * PDPTEs.
 */
export function rootLevel(format: PagingFormat): 2 | 4 | 5 {
  return format === '4level' ? 4 : format === '5level' ? 5 : 2;
}
export const usesPaeRoot = (format: PagingFormat): boolean => rootLevel(format) === 2;
