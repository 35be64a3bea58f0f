/**
 * RFLAGS (SDM vol. 1, 3.4.3) and the control registers (SDM vol. 3, 2.5). Bit positions; masks are bigint where the
 * registers are.
 */
export const RFLAGS = {
  CF: 0,
  PF: 2,
  AF: 4,
  ZF: 6,
  SF: 7,
  TF: 8,
  IF: 9,
  DF: 10,
  OF: 11,
  NT: 14,
  RF: 16,
  VM: 17,
  AC: 18,
  VIF: 19,
  VIP: 20,
  ID: 21,
} as const;
export type FlagName = keyof typeof RFLAGS;
/** Two-bit I/O privilege level, bits 13:12. */
export const IOPL_SHIFT = 12;
/** CF PF AF ZF SF OF. */
export const ARITHMETIC_FLAGS = 0x8d5;
/** Bit 1 reads as one. */
export const RFLAGS_FIXED1 = 0x2;

export const CR0 = { PE: 0, MP: 1, EM: 2, TS: 3, ET: 4, NE: 5, WP: 16, AM: 18, NW: 29, CD: 30, PG: 31 } as const;
export const CR4 = {
  VME: 0,
  PVI: 1,
  TSD: 2,
  DE: 3,
  PSE: 4,
  PAE: 5,
  MCE: 6,
  PGE: 7,
  PCE: 8,
  OSFXSR: 9,
  OSXMMEXCPT: 10,
  UMIP: 11,
  LA57: 12,
  VMXE: 13,
  SMXE: 14,
  FSGSBASE: 16,
  PCIDE: 17,
  OSXSAVE: 18,
  SMEP: 20,
  SMAP: 21,
  PKE: 22,
} as const;
export const EFER = { SCE: 0, LME: 8, LMA: 10, NXE: 11, SVME: 12, LMSLE: 13, FFXSR: 14 } as const;

/** Names of the set bits of `value`, in table order (for display). */
export function bitNames(value: bigint, table: Readonly<Record<string, number>>): string[] {
  return Object.entries(table)
    .filter(([, n]) => ((value >> BigInt(n)) & 1n) === 1n)
    .map(([name]) => name);
}
