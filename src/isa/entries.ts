/**
 * Paging-structure entries.
 *
 * Ordinary entry, 64-bit formats (SDM vol. 3, 4.4 and 4.5; NPT uses the same, AMD APM vol. 2, 15.25):
 *
 *    63  62..59  58..52   51..12           11..9  8  7     6  5  4    3    2    1    0
 *   |XD | PKEY | ignored | frame address  | ign  |G |PS/PAT|D |A |PCD |PWT |U/S |R/W |P |
 *
 * Large pages: PS = bit 7 of a PDE (2 MiB) or PDPTE (1 GiB), PAT then in bit 12.
 *
 * EPT entry (SDM vol. 3, 28.3.2):
 *
 *    63     61   51..12           11  10  9  8  7   6        5..3     2  1  0
 *   |SVE |..SPP| frame address  | ign |XU |D |A |PS |IPAT   |memtype |X |W |R |
 *
 * An EPT entry is present when any of R, W, X is set (or XU with mode-based execute control).
 */
const PTE = { P: 0, RW: 1, US: 2, PWT: 3, PCD: 4, A: 5, D: 6, PS: 7, G: 8, XD: 63 } as const;
const EPTE = { R: 0, W: 1, X: 2, IPAT: 6, PS: 7, A: 8, D: 9, XU: 10, SPP: 61, SVE: 63 } as const;

export const PTE_P = 1n << 0n;
export const PTE_RW = 1n << 1n;
export const PTE_US = 1n << 2n;
export const PTE_A = 1n << 5n;
export const PTE_D = 1n << 6n;
export const PTE_PS = 1n << 7n;
export const PTE_G = 1n << 8n;
export const PTE_XD = 1n << 63n;
export const PTE_PKEY_SHIFT = 59n;

export const EPTE_R = 1n << 0n;
export const EPTE_W = 1n << 1n;
export const EPTE_X = 1n << 2n;
export const EPTE_RWX = 7n;
export const EPTE_MT_SHIFT = 3n;
export const EPTE_IPAT = 1n << 6n;
export const EPTE_PS = 1n << 7n;
export const EPTE_A = 1n << 8n;
export const EPTE_D = 1n << 9n;

/** Bits 51:12. */
export const FRAME_MASK = 0x000f_ffff_ffff_f000n;

/** The manual's name of an ordinary entry at each level, as in SDM vol. 3, table 4-2. */
export function entryName(level: number): string {
  return ENTRY_NAMES[level] ?? `level ${level} entry`;
}
const ENTRY_NAMES: Readonly<Record<number, string>> = { 5: 'PML5E', 4: 'PML4E', 3: 'PDPTE', 2: 'PDE', 1: 'PTE' };

const has = (e: bigint, n: number): boolean => ((e >> BigInt(n)) & 1n) === 1n;

/** The PAT bit of a large page. */
const LARGE_PAT = 12;

const RESERVED = '(reserved)';
/** Whether a name returned by `pteFlags` or `epteFlags` denotes something the hardware rejects. */
export const isReservedFlag = (flag: string): boolean => flag.endsWith(RESERVED);

/** Names of set bits that are reserved rather than flags: `bit 13(reserved)`. */
function unnamed(reserved: bigint, named: (n: number) => boolean): string[] {
  const out: string[] = [];
  for (let n = 0; n < 64; n++) if (has(reserved, n) && !named(n)) out.push(`bit ${n}${RESERVED}`);
  return out;
}

/**
 * The set flags of an ordinary entry by the manual's names, low bit first. `leaf`: the entry maps a page (D, G and
 * PAT are meaningful). `reserved`: set bits that must be zero in the current paging mode; these are marked as
 * reserved, not named as flags.
 */
export function pteFlags(entry: bigint, leaf: boolean, level: number, reserved = 0n): string[] {
  const out: string[] = [];
  const named = new Set<number>();
  for (const [name, n] of Object.entries(PTE)) {
    if (name === 'XD' && leaf && level > 1 && has(entry & ~reserved, LARGE_PAT)) out.push('PAT');
    if (has(reserved, n)) {
      out.push(`${name}${RESERVED}`);
      named.add(n);
    }
    if (!has(entry & ~reserved, n)) continue;
    if (name === 'PS') {
      if (level === 1) out.push('PAT');
      else if (level <= 3) out.push('PS');
    } else if ((name === 'D' || name === 'G') && !leaf) continue;
    else out.push(name);
  }
  return reserved === 0n ? out : [...out, ...unnamed(reserved, (n) => named.has(n))];
}

const EPT_MEMORY_TYPES: Readonly<Record<number, string>> = { 0: 'UC', 1: 'WC', 4: 'WT', 5: 'WP', 6: 'WB' };

/** The set flags of an EPT entry; a leaf names its memory type. `reserved`: as for `pteFlags`. */
export function epteFlags(entry: bigint, leaf: boolean, reserved = 0n): string[] {
  const out: string[] = [];
  for (const [name, n] of Object.entries(EPTE)) {
    if (!has(entry & ~reserved, n)) continue;
    if (!leaf && (name === 'IPAT' || name === 'D')) continue;
    out.push(name);
  }
  if (leaf && (entry & EPTE_RWX) !== 0n) {
    const type = Number((entry >> EPTE_MT_SHIFT) & 7n);
    out.push(EPT_MEMORY_TYPES[type] ?? `MT${type}${RESERVED}`);
  }
  return reserved === 0n ? out : [...out, ...unnamed(reserved, () => false)];
}
