import { MSR } from '../../../isa/msrs';
import { SLOT } from '../../state/layout';
import { because } from '../../../isa/reasons/index';
import { withoutReserved } from './msr-refusal';
import type { PlainMsr } from './plain-msr';

/** Variable ranges. IA32_MTRRCAP (SDM vol. 3, figure 11-5): their number in 7:0, fixed ranges 8, WC 10. */
const VARIABLE_RANGES = 8;
const MTRRCAP = 0x500n | BigInt(VARIABLE_RANGES);
/** IA32_MTRR_DEF_TYPE (SDM vol. 3, figure 11-6): default type in 7:0, FE 10, E 11. */
const DEF_TYPE_DEFINED = 0xcffn;
/** A variable range (SDM vol. 3, figure 11-7): the base has a type in 7:0, the mask V in 11, and the rest of 11:0 is reserved in both. */
const BASE_RESERVED = 0xf00n;
const MASK_RESERVED = 0x7ffn;

/** Memory types of an MTRR: UC 0, WC 1, WT 4, WP 5, WB 6 (SDM vol. 3, table 11-8). */
const isMtrrType = (type: bigint): boolean => type === 0n || type === 1n || (type >= 4n && type <= 6n);
/** PAT takes those and UC− 7. */
const isPatType = (type: bigint): boolean => isMtrrType(type) || type === 7n;

function everyByte(value: bigint, holds: (byte: bigint) => boolean): boolean {
  for (let i = 0n; i < 64n; i += 8n) if (!holds((value >> i) & 0xffn)) return false;
  return true;
}

/** PAT: eight bytes, each UC 0, WC 1, WT 4, WP 5, WB 6 or UC− 7 (SDM vol. 3, table 11-10). */
export const isValidPat = (value: bigint): boolean => everyByte(value, isPatType);

const FIXED_RANGES: readonly number[] = [
  MSR.MTRR_FIX64K_00000,
  MSR.MTRR_FIX16K_80000,
  MSR.MTRR_FIX16K_A0000,
  ...Array.from({ length: MSR.MTRR_FIX4K_F8000 - MSR.MTRR_FIX4K_C0000 + 1 }, (_, i) => MSR.MTRR_FIX4K_C0000 + i),
];

/** `reserved`: bits that must be zero, besides those above MAXPHYADDR where `address`; `types`: how many bytes from bit 0 on hold memory types. */
const kept = (msr: number, slot: number, reserved: bigint, address: boolean, types: number): PlainMsr => ({
  feature: 'MTRR',
  read: (s) => s.get(slot),
  write(s, value, model) {
    const allowed = withoutReserved(msr, value, reserved, address ? model.physicalBits : 0);
    if (allowed !== true) return allowed;
    for (let shift = 0; shift < 8 * types; shift += 8)
      if (!isMtrrType((value >> BigInt(shift)) & 0xffn)) return because('msr-memory-type', msr, value, shift);
    s.set(slot, value);
    return true;
  },
});

/** The memory-type range registers (SDM vol. 3, 11.11.2). Memory here has no caches, so that they are kept and checked, and change nothing. */
export const MTRRS: readonly (readonly [number, PlainMsr])[] = [
  [MSR.MTRRCAP, { feature: 'MTRR', read: () => MTRRCAP, write: () => false }],
  [MSR.MTRR_DEF_TYPE, kept(MSR.MTRR_DEF_TYPE, SLOT.MTRR_DEF_TYPE, ~DEF_TYPE_DEFINED, false, 1)],
  ...FIXED_RANGES.map((msr, i): [number, PlainMsr] => [msr, kept(msr, SLOT.MTRR_FIXED + i, 0n, false, 8)]),
  ...Array.from({ length: VARIABLE_RANGES * 2 }, (_, i): [number, PlainMsr] => [
    MSR.MTRR_PHYSBASE0 + i,
    i % 2 === 0
      ? kept(MSR.MTRR_PHYSBASE0 + i, SLOT.MTRR_VARIABLE + i, BASE_RESERVED, true, 1)
      : kept(MSR.MTRR_PHYSBASE0 + i, SLOT.MTRR_VARIABLE + i, MASK_RESERVED, true, 0),
  ]),
];
