import type { RegisterWidth } from '../../../isa/registers';
import type { CpuState } from '../../state/cpu-state';
import { arithmeticFlags, parityFlag } from '../../state/lazy-flags';

/** Arithmetic flags as helpers build them, at their RFLAGS positions. */
export const FLAG = { CF: 0x1, PF: 0x4, AF: 0x10, ZF: 0x40, SF: 0x80, OF: 0x800 } as const;

/** The arithmetic flags now. */
export const currentFlags = (s: CpuState): number => arithmeticFlags(s.r32);

/** SF, ZF and PF of a result zero-extended to 64 bits in slot `d`. */
export function signZeroParity(s: CpuState, d: number, width: RegisterWidth): number {
  const low = s.r32[d * 2] as number;
  const high = s.r32[d * 2 + 1] as number;
  const sign = width === 64 ? high >>> 31 : (low >>> (width - 1)) & 1;
  return (sign ? FLAG.SF : 0) | ((low | high) === 0 ? FLAG.ZF : 0) | parityFlag(low);
}

/** Writes a helper's flag result. */
export function setFlagResult(s: CpuState, slot: number, flags: number): void {
  s.set32(slot, flags);
}
