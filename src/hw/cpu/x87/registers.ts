import { HELPER_FAULT } from '../helper-faults';
import { CR0 } from '../../../isa/flags';
import { FP, INDEFINITE, packExtended, unpackExtended, type Float, type Rounding } from '../../fpu/float';
import type { RoundingControl } from '../../fpu/round';
import type { CpuState } from '../../state/cpu-state';
import { SLOT } from '../../state/layout';
import type { Helper } from '../lift/helpers';

/**
 * The x87 status word (SDM vol. 1, figure 8-4):
 *
 *   15 14 13 11 10 9  8  7  6  5  4  3  2  1  0
 *  |B |C3| TOP |C2|C1|C0|ES|SF|PE|UE|OE|ZE|DE|IE|
 */
export const FSW = {
  SF: 0x40,
  ES: 0x80,
  C0: 0x100,
  C1: 0x200,
  C2: 0x400,
  C3: 0x4000,
  B: 0x8000,
  TOP: 0x3800,
  CONDITIONS: 0x4700,
} as const;
const TOP_SHIFT = 11;
const EXCEPTIONS = 0x3f;
/** FCW after FNINIT: everything masked, 64-bit precision, to nearest. */
const FCW_INITIAL = 0x37f;

const FCW_WORD = SLOT.FCW * 2;
const FSW_WORD = SLOT.FSW * 2;
const FTW_WORD = SLOT.FTW * 2;

export const controlWord = (s: CpuState): number => s.r32[FCW_WORD] as number;
export const statusWord = (s: CpuState): number => s.r32[FSW_WORD] as number;
export function setStatusWord(s: CpuState, v: number): void {
  s.r32[FSW_WORD] = v;
}

const physical = (s: CpuState, i: number): number => (((s.r32[FSW_WORD] as number) >> TOP_SHIFT) + i) & 7;
export const top = (s: CpuState): number => physical(s, 0);
export const isEmpty = (s: CpuState, i: number): boolean => (((s.r32[FTW_WORD] as number) >> physical(s, i)) & 1) === 0;
export function free(s: CpuState, i: number): void {
  s.r32[FTW_WORD] = (s.r32[FTW_WORD] as number) & ~(1 << physical(s, i));
}
/** TOP ← TOP + n; tags stay. */
export function rotate(s: CpuState, n: number): void {
  const w = s.r32[FSW_WORD] as number;
  s.r32[FSW_WORD] = (w & ~FSW.TOP) | ((w + (n << TOP_SHIFT)) & FSW.TOP);
}
export function pop(s: CpuState, n: number): void {
  for (let i = 0; i < n; i++) {
    free(s, 0);
    rotate(s, 1);
  }
}

/** ST(i), whatever its tag says. */
export function readSt(s: CpuState, i: number): Float {
  const at = SLOT.FPR + 2 * physical(s, i);
  return unpackExtended(s.r32[at * 2 + 2] as number, s.r[at] as bigint);
}
/** ST(i) ← f, tagged as not empty. */
export function writeSt(s: CpuState, i: number, f: Float): void {
  const { signExponent, significand } = packExtended(f);
  writeRaw(s, i, signExponent, significand);
}
/** Sign and exponent of ST(i), and its significand, as they are. */
export const rawSt = (s: CpuState, i: number): { readonly signExponent: number; readonly significand: bigint } => {
  const at = SLOT.FPR + 2 * physical(s, i);
  return { signExponent: s.r32[at * 2 + 2] as number, significand: s.r[at] as bigint };
};
export function writeRaw(s: CpuState, i: number, signExponent: number, significand: bigint): void {
  const r = physical(s, i);
  s.r[SLOT.FPR + 2 * r] = significand;
  s.set32(SLOT.FPR + 2 * r + 1, signExponent);
  s.r32[FTW_WORD] = (s.r32[FTW_WORD] as number) | (1 << r);
}

/** Rounding and masks of the control word: PM UM OM ZM DM IM in bits 5:0, precision 9:8, rounding 11:10. */
export const roundingControl = (s: CpuState): RoundingControl => {
  const w = controlWord(s);
  return { rounding: ((w >> 10) & 3) as Rounding, masked: w & EXCEPTIONS, flushToZero: false, wrap: 24_576 };
};
/** Bits of significand that FADD, FSUB, FMUL, FDIV and FSQRT keep; the reserved encoding 1 works as 64. */
export function precision(s: CpuState): number {
  const field = (controlWord(s) >> 8) & 3;
  return field === 0 ? 24 : field === 2 ? 53 : 64;
}

/** Exceptions among `flags` that the control word does not mask. */
export const unmasked = (s: CpuState, flags: number): number => flags & ~controlWord(s) & EXCEPTIONS;

/**
 * Notes an instruction's exceptions in the status word: flags are sticky, C1 says whether the result was rounded up (or which way the stack overran). An unmasked one sets
 * ES, for the next waiting instruction to raise #MF, and the exception pointers, which other instructions leave alone (as CPUID.7.0:EBX bit 6 says of operand pointers and the
 * FOP compatibility rule of opcodes; SDM vol. 1, 8.1.8 and 8.1.9). Answers the unmasked ones.
 */
export function note(s: CpuState, flags: number, c1: boolean): number {
  const fatal = unmasked(s, flags);
  let w = ((s.r32[FSW_WORD] as number) & ~FSW.C1) | flags | (c1 ? FSW.C1 : 0);
  if (fatal !== 0) {
    w |= FSW.ES | FSW.B;
    s.set(SLOT.FOP, s.get(SLOT.FOP_NOW));
    s.set(SLOT.FDP, s.get(SLOT.FDP_NOW));
  }
  s.r32[FSW_WORD] = w;
  return fatal;
}
export const STACK_FAULT = FP.INVALID | FSW.SF;
/** Invalid-operation exception for reading an empty register; true if masked, so that the default NaN takes its place. */
export const underflow = (s: CpuState): boolean => note(s, STACK_FAULT, false) === 0;
/** For pushing onto a register that is not empty. */
const overflow = (s: CpuState): boolean => note(s, STACK_FAULT, true) === 0;

/** Pushes, answering a full stack. `f` undefined: an exception withheld the value, and nothing is pushed. */
export function push(s: CpuState, f: Float): void {
  rotate(s, -1);
  writeSt(s, 0, f);
}
/** Whether a push is possible; if not, the stack fault is noted and, masked, the default NaN pushed. */
export function roomToPush(s: CpuState): boolean {
  if (isEmpty(s, 7)) return true;
  if (overflow(s)) push(s, INDEFINITE);
  return false;
}

/** ES and B by the flags and masks as they are: after the control or status word was loaded. */
export function refreshSummary(s: CpuState): void {
  const w = statusWord(s);
  setStatusWord(s, unmasked(s, w) !== 0 ? w | FSW.ES | FSW.B : w & ~(FSW.ES | FSW.B));
}
/** Bits of the control word that can be set; bit 6 reads as one. */
export function setControlWord(s: CpuState, v: number): void {
  s.set32(SLOT.FCW, (v & 0x1f3f) | 0x40);
}

/** FNINIT (SDM vol. 2): registers keep their values and are empty. */
export function initialize(s: CpuState): void {
  s.set32(SLOT.FCW, FCW_INITIAL);
  for (const slot of [SLOT.FSW, SLOT.FTW, SLOT.FOP, SLOT.FIP, SLOT.FDP]) s.set32(slot, 0);
}

/** #NM while CR0.EM or CR0.TS is set. */
export const available: Helper = (s) => {
  const cr0 = s.get32(SLOT.CR0);
  if ((cr0 & (1 << CR0.EM)) !== 0) return HELPER_FAULT.FPU_EMULATED;
  return (cr0 & (1 << CR0.TS)) !== 0 ? HELPER_FAULT.FPU_SWITCHED : 0;
};
const pending = (s: CpuState): number =>
  ((s.r32[FSW_WORD] as number) & FSW.ES) !== 0 ? HELPER_FAULT.FLOAT_PENDING : 0;

/**
 * What waiting x87 instructions begin with: #NM, then #MF for an exception that is pending. That holds for CR0.NE = 0 too: the external interrupt that
 * the processor would ask for needs wiring (FERR#) that no machine of today has, and VMX fixes NE to one.
 */
export const ready: Helper = (s) => {
  const cr0 = s.get32(SLOT.CR0);
  if ((cr0 & ((1 << CR0.EM) | (1 << CR0.TS))) !== 0)
    return (cr0 & (1 << CR0.EM)) !== 0 ? HELPER_FAULT.FPU_EMULATED : HELPER_FAULT.FPU_SWITCHED;
  return pending(s);
};
/** WAIT: #NM only while both CR0.MP and CR0.TS are set. */
export const waiting: Helper = (s) => {
  const both = (1 << CR0.MP) | (1 << CR0.TS);
  return (s.get32(SLOT.CR0) & both) === both ? HELPER_FAULT.WAIT_SWITCHED : pending(s);
};
