import { HELPER_FAULT } from '../helper-faults';
import { CR0, CR4 } from '../../../isa/flags';
import type { Rounding } from '../../fpu/float';
import type { RoundingControl } from '../../fpu/round';
import type { CpuState } from '../../state/cpu-state';
import { SLOT } from '../../state/layout';
import type { Helper } from '../lift/helpers';

/**
 * MXCSR (SDM vol. 1, figure 10-3):
 *
 *   15 14 13 12 11 10 9  8  7   6  5  4  3  2  1  0
 *  |FZ| RC  |PM|UM|OM|ZM|DM|IM|DAZ|PE|UE|OE|ZE|DE|IE|
 */
const MXCSR = SLOT.MXCSR * 2;
const MASKS_SHIFT = 7;
const DAZ = 1 << 6;
const FLUSH = 1 << 15;
/** Every exception masked, the precision flag up already, rounding to nearest. */
const QUICK_MASK = 0x7fa0;
const QUICK = 0x1fa0;

export const denormalsAreZero = (s: CpuState): boolean => ((s.r32[MXCSR] as number) & DAZ) !== 0;
export const roundingOf = (s: CpuState): Rounding => (((s.r32[MXCSR] as number) >> 13) & 3) as Rounding;
export function roundingControl(s: CpuState): RoundingControl {
  const m = s.r32[MXCSR] as number;
  return {
    rounding: ((m >> 13) & 3) as Rounding,
    masked: (m >> MASKS_SHIFT) & 0x3f,
    flushToZero: (m & FLUSH) !== 0,
    wrap: 0,
  };
}
/**
 * Whether JavaScript's own arithmetic says everything about operations on normal numbers with normal results: nothing but the precision exception can come of those, and its
 * flag is up.
 */
export const isQuick = (s: CpuState): boolean => ((s.r32[MXCSR] as number) & QUICK_MASK) === QUICK;

/**
 * Exceptions of one instruction over all its lanes: those found in the operands (invalid, denormal, divide by zero), and those of the results, which do not count if one of the
 * former is unmasked (SDM vol. 1, 11.5.2). Sets the sticky flags; answers 0, or what a helper does for #XM, or #UD if the operating system did not set CR4.OSXMMEXCPT.
 */
export function report(s: CpuState, before: number, after: number): number {
  if ((before | after) === 0) return 0;
  const m = s.r32[MXCSR] as number;
  const enabled = ~(m >> MASKS_SHIFT) & 0x3f;
  const flags = (before & enabled) !== 0 ? before : before | after;
  s.r32[MXCSR] = m | flags;
  if ((flags & enabled) === 0) return 0;
  const defined = ((s.r32[SLOT.CR4 * 2] as number) & (1 << CR4.OSXMMEXCPT)) !== 0;
  return (defined ? HELPER_FAULT.SIMD : HELPER_FAULT.SIMD_UNDEFINED) | ((flags & enabled) << 8);
}

/** What an SSE instruction begins with: #UD while CR0.EM is set or CR4.OSFXSR clear, then #NM for CR0.TS (SDM vol. 3, 13.1.2). */
export const available: Helper = (s) => {
  const cr0 = s.r32[SLOT.CR0 * 2] as number;
  if ((cr0 & (1 << CR0.EM)) !== 0) return HELPER_FAULT.SSE_EMULATED;
  if (((s.r32[SLOT.CR4 * 2] as number) & (1 << CR4.OSFXSR)) === 0) return HELPER_FAULT.SSE_NOT_ENABLED;
  return (cr0 & (1 << CR0.TS)) !== 0 ? HELPER_FAULT.FPU_SWITCHED : 0;
};

/** LDMXCSR: slot a; reserved bits are #GP(0). */
export const loadMxcsr: Helper = (s, _d, a) => {
  const v = s.get32(a);
  if (v > 0xffff) return HELPER_FAULT.MXCSR;
  s.set32(SLOT.MXCSR, v);
  return 0;
};
