import {
  EPTE_MT_SHIFT,
  EPTE_PS,
  EPTE_R,
  EPTE_RWX,
  EPTE_W,
  FRAME_MASK,
  PTE_G,
  PTE_P,
  PTE_PS,
  PTE_XD,
  entryName,
} from './entries';

/** The parts of the paging mode and CPU model that decide which bits of an ordinary entry are reserved. */
export interface EntryRules {
  readonly format: 'none' | '32bit' | 'pae' | '4level' | '5level';
  readonly nxe: boolean;
  readonly pse: boolean;
  /** MAXPHYADDR. */
  readonly physicalBits: number;
  readonly vendor: 'intel' | 'amd';
  /** The CPU model supports 1 GiB pages. */
  readonly pages1g: boolean;
}

/** Bits that are reserved for one cause, and that cause as a phrase for one of them (without a full stop). */
interface Reserved {
  readonly mask: bigint;
  readonly say: (bit: number) => string;
}

const above = (width: number): bigint => ((1n << 64n) - 1n) ^ ((1n << BigInt(width)) - 1n);
const LARGE: Readonly<Record<number, string>> = { 2: '2 MiB', 3: '1 GiB' };
const aboveWidth = (physicalBits: number): Reserved['say'] => {
  return (bit) => `bit ${bit} is above MAXPHYADDR ${physicalBits}`;
};

/** A PDE of 32-bit paging that maps 4 MiB (SDM vol. 3, table 4-4): with PSE-36 bits 20:13 are address bits 39:32. */
function reservedIn4M({ physicalBits }: EntryRules): Reserved[] {
  const width = Math.min(40, physicalBits);
  return [
    { mask: 1n << 21n, say: () => 'bit 21 of a 4 MiB PDE is reserved' },
    {
      mask: (0xffn << BigInt(13 + width - 32)) & 0x1f_e000n,
      say: (bit) => `bit ${bit} of a 4 MiB PDE is address bit ${bit + 19}, above MAXPHYADDR ${physicalBits}`,
    },
  ];
}
/** A PDPTE of PAE paging (table 4-8): it has no rights and no large form. */
const reservedInPdpte = ({ physicalBits }: EntryRules): Reserved[] => [
  { mask: 0x1e6n, say: (bit) => `bit ${bit} of a PAE PDPTE is reserved` },
  { mask: above(physicalBits), say: aboveWidth(physicalBits) },
];

/**
 * What must be zero in a present ordinary entry (SDM vol. 3, tables 4-4 to 4-21), by cause. `large`: it maps a page
 * above level 1; `ps`: its bit 7. In PML4Es and PML5Es, the bit that is the global flag in a leaf is ignored by Intel
 * processors and must be zero on AMD's (APM vol. 2, 5.3.3).
 */
function reserved(c: EntryRules, level: number, large: boolean, ps: boolean): Reserved[] {
  if (c.format === '32bit') return large ? reservedIn4M(c) : [];
  if (c.format === 'pae' && level === 3) return reservedInPdpte(c);
  const out: Reserved[] = [{ mask: FRAME_MASK & above(c.physicalBits), say: aboveWidth(c.physicalBits) }];
  if (!c.nxe) out.push({ mask: PTE_XD, say: () => 'bit 63 (XD) is reserved while EFER.NXE = 0' });
  if (c.format === 'pae')
    out.push({ mask: 0x7ff0_0000_0000_0000n, say: (bit) => `bit ${bit} is reserved in PAE paging` });
  if (large) {
    const name = `a ${LARGE[level] ?? ''} ${entryName(level)}`;
    out.push({ mask: level === 2 ? 0x1f_e000n : 0x3fff_e000n, say: (bit) => `bit ${bit} of ${name} is reserved` });
  } else if (ps && level >= 3) {
    const why = level === 3 ? ': this CPU model has no 1 GiB pages' : '';
    out.push({ mask: PTE_PS, say: () => `PS in a ${entryName(level)} is reserved (bit 7)${why}` });
  }
  if (level >= 4 && c.vendor === 'amd')
    out.push({ mask: PTE_G, say: () => `G in a ${entryName(level)} is reserved (bit 8) on AMD processors` });
  return out;
}

/** Whether an entry with bit 7 set maps a page above level 1. */
export const isLarge = (c: EntryRules, level: number, ps: boolean): boolean =>
  ps && level > 1 && (c.format === '32bit' ? c.pse : level === 2 || (level === 3 && c.format !== 'pae' && c.pages1g));

const FORMAT = { none: 0, '32bit': 1, pae: 2, '4level': 3, '5level': 4 } as const;
const masks = new Map<number, bigint>();

/** The bits that must be zero in a present entry, as a mask for the walk. `ps`: the entry's bit 7. */
export function reservedMask(c: EntryRules, level: number, large: boolean, ps: boolean): bigint {
  const key =
    FORMAT[c.format] |
    (level << 3) |
    (large ? 1 << 6 : 0) |
    (ps ? 1 << 7 : 0) |
    (c.nxe ? 1 << 8 : 0) |
    (c.vendor === 'amd' ? 1 << 9 : 0) |
    (c.physicalBits << 10);
  let mask = masks.get(key);
  if (mask === undefined) {
    mask = reserved(c, level, large, ps).reduce((m, r) => m | r.mask, 0n);
    masks.set(key, mask);
  }
  return mask;
}

const bitsOf = (value: bigint): number[] => {
  const out: number[] = [];
  for (let n = 0; n < 64; n++) if (((value >> BigInt(n)) & 1n) === 1n) out.push(n);
  return out;
};
const tell = (rules: readonly Reserved[], entry: bigint): string[] =>
  rules.flatMap((r) => bitsOf(entry & r.mask).map((bit) => r.say(bit)));

/**
 * Mask of the reserved bits that are set in an ordinary entry; 0 for one that is not present, whose bits belong to
 * software.
 */
export function reservedSet(c: EntryRules, level: number, entry: bigint): bigint {
  if ((entry & PTE_P) === 0n || c.format === 'none') return 0n;
  const ps = (entry & PTE_PS) !== 0n;
  return entry & reservedMask(c, level, isLarge(c, level, ps), ps);
}
/** Each reserved bit that is set in an ordinary entry, by name and cause: `bit 63 (XD) is reserved while EFER.NXE = 0`. */
export function reservedBitsIn(c: EntryRules, level: number, entry: bigint): string[] {
  if (reservedSet(c, level, entry) === 0n) return [];
  const ps = (entry & PTE_PS) !== 0n;
  return tell(reserved(c, level, isLarge(c, level, ps), ps), entry);
}

// ---- EPT

/** Reserved bits of a present EPT entry (SDM vol. 3, tables 28-1 to 28-6), by cause. */
function eptReserved(physicalBits: number, level: number, large: boolean): Reserved[] {
  const out: Reserved[] = [{ mask: FRAME_MASK & above(physicalBits), say: aboveWidth(physicalBits) }];
  const name = `an EPT ${entryName(level)}`;
  if (level > 1 && !large)
    out.push({
      // bit 7 makes it a leaf only where large pages exist: below level 4, with 1 GiB pages if the processor supports
      // them
      mask: 0xf8n,
      say: (bit) => `bit ${bit} of ${name} that points to a table is reserved`,
    });
  if (large)
    out.push({
      mask: level === 2 ? 0x1f_f000n : 0x3fff_f000n,
      say: (bit) => `bit ${bit} of ${name} that maps ${LARGE[level] ?? ''} is reserved`,
    });
  return out;
}
const eptMasks = new Map<number, bigint>();
const eptMask = (physicalBits: number, level: number, large: boolean): bigint => {
  const key = (physicalBits << 4) | (level << 1) | (large ? 1 : 0);
  let mask = eptMasks.get(key);
  if (mask === undefined) {
    mask = eptReserved(physicalBits, level, large).reduce((m, r) => m | r.mask, 0n);
    eptMasks.set(key, mask);
  }
  return mask;
};
/** Whether an EPT entry maps a page above level 1. */
export const isLargeEpte = (pages1g: boolean, level: number, entry: bigint): boolean =>
  (level === 2 || (level === 3 && pages1g)) && (entry & EPTE_PS) !== 0n;
const reservedType = (type: number): boolean => type === 2 || type === 3 || type === 7;
const typeOf = (entry: bigint): number => Number((entry >> EPTE_MT_SHIFT) & 7n);

/**
 * EPT misconfigurations (SDM vol. 3, 28.3.3.1): write without read, reserved bits, a reserved memory type. Our CPUs
 * support execute-only. `large`: it maps 2 MiB or 1 GiB.
 */
export function isMisconfigured(entry: bigint, level: number, large: boolean, physicalBits: number): boolean {
  if ((entry & (EPTE_R | EPTE_W)) === EPTE_W) return true;
  if ((entry & eptMask(physicalBits, level, large)) !== 0n) return true;
  return (level === 1 || large) && reservedType(typeOf(entry));
}
/** Mask of the reserved bits that are set in an EPT entry; 0 for one that is not present. */
export const eptReservedSet = (entry: bigint, level: number, large: boolean, physicalBits: number): bigint =>
  (entry & EPTE_RWX) === 0n ? 0n : entry & eptMask(physicalBits, level, large);
/** What is wrong with a misconfigured EPT entry, one string per cause. */
export function misconfigurationOf(entry: bigint, level: number, large: boolean, physicalBits: number): string[] {
  const out: string[] = [];
  if ((entry & (EPTE_R | EPTE_W)) === EPTE_W) out.push('W is set without R');
  out.push(...tell(eptReserved(physicalBits, level, large), entry));
  if ((level === 1 || large) && reservedType(typeOf(entry))) out.push(`memory type ${typeOf(entry)} is reserved`);
  return out;
}
