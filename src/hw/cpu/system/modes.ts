import { CR0, CR4, EFER, IOPL_SHIFT, RFLAGS } from '../../../isa/flags';
import type { CodeMode } from '../lift/emitter';
import type { CpuState } from '../../state/cpu-state';
import { RIGHTS, SEG, SLOT } from '../../state/layout';

/**
 * Which of the operating modes (SDM vol. 3, 2.2) a CPU is in, derived from CR0.PE, RFLAGS.VM, EFER.LMA and the cached rights of CS.
 * Nothing here is stored: the mode is those bits.
 */
const bitOf = (s: CpuState, slot: number, n: number): boolean => (((s.r32[slot * 2] as number) >>> n) & 1) === 1;

/** CR0.PE: protected mode of any kind, long mode and virtual-8086 included. */
export const isProtected = (s: CpuState): boolean => bitOf(s, SLOT.CR0, CR0.PE);
export const isReal = (s: CpuState): boolean => !isProtected(s);
/** Virtual-8086 mode: RFLAGS.VM under CR0.PE. */
export const isV86 = (s: CpuState): boolean => s.systemFlag(RFLAGS.VM) && isProtected(s);
/** Real or virtual-8086: segment registers hold paragraph numbers, not selectors. */
export const isParagraphMode = (s: CpuState): boolean => !isProtected(s) || s.systemFlag(RFLAGS.VM);
/** IA-32e mode: EFER.LMA, 64-bit or compatibility. */
export const isLong = (s: CpuState): boolean => bitOf(s, SLOT.EFER, EFER.LMA);
export const isLong64 = (s: CpuState): boolean => isLong(s) && (s.get32(SLOT.RIGHTS + SEG.CS) & RIGHTS.L) !== 0;

/** RFLAGS.IOPL, 0–3. */
export const iopl = (s: CpuState): number => ((s.r32[SLOT.RFLAGS * 2] as number) >>> IOPL_SHIFT) & 3;
/** Bit `n` of CR4. */
export const cr4Bit = (s: CpuState, n: number): boolean => bitOf(s, SLOT.CR4, n);
/** Bit `n` of CR0. */
export const cr0Bit = (s: CpuState, n: number): boolean => bitOf(s, SLOT.CR0, n);

/** Bits of a canonical linear address for accesses and branches: 57 with CR4.LA57, else 48 (SDM vol. 1, 3.3.7.1). Bases of segments and tables go by the processor's width. */
export const linearWidth = (s: CpuState): 48 | 57 => (cr4Bit(s, CR4.LA57) ? 57 : 48);

const MODES: readonly CodeMode[] = [
  { bits: 16, stackBits: 16 },
  { bits: 16, stackBits: 32 },
  { bits: 32, stackBits: 16 },
  { bits: 32, stackBits: 32 },
];
const MODE64: CodeMode = { bits: 64, stackBits: 64 };

/** Default operand size of CS and the width of the stack pointer (SDM vol. 1, 3.6 and 6.2.2). In real mode too, the cached D and B bits decide. */
export function codeMode(s: CpuState): CodeMode {
  const cs = s.get32(SLOT.RIGHTS + SEG.CS);
  if ((cs & RIGHTS.L) !== 0 && isLong(s)) return MODE64;
  const index = ((cs & RIGHTS.DB) !== 0 ? 2 : 0) | ((s.get32(SLOT.RIGHTS + SEG.SS) & RIGHTS.DB) !== 0 ? 1 : 0);
  return MODES[index] as CodeMode;
}

/**
 * Bytes from RIP on that CS lets be fetched: an instruction that has one more is #GP(0) (SDM vol. 3, 5.3). Zero or less: not even its first byte. 64-bit mode checks no limit; elsewhere IP
 * does not wrap round at 64 KiB, so that the limit of 0xFFFF ends real-mode code.
 */
export function codeBytesInLimit(s: CpuState, mode: CodeMode): number {
  if (mode.bits === 64) return Number.MAX_SAFE_INTEGER;
  const rip = SLOT.RIP * 2;
  return s.r32[rip + 1] === 0 ? s.get32(SLOT.LIMIT + SEG.CS) - ((s.r32[rip] as number) >>> 0) + 1 : 0;
}
