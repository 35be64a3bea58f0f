import { HELPER_FAULT } from '../helper-faults';
import { CR0 } from '../../../isa/flags';
import type { CpuState } from '../../state/cpu-state';
import { SLOT } from '../../state/layout';
import type { Helper } from '../lift/helpers';
import { FSW, setStatusWord, statusWord } from '../x87/registers';

/** MMX registers are the significands of R0–R7, whatever TOP is (SDM vol. 1, 9.2.1). */
export const mmSlot = (index: number): number => SLOT.FPR + 2 * index;

/** What an MMX instruction begins with: #UD while CR0.EM is set, #NM for CR0.TS, #MF for an x87 exception that is pending (SDM vol. 3, 12.1 and 12.5). */
export const ready: Helper = (s) => {
  const cr0 = s.get32(SLOT.CR0);
  if ((cr0 & (1 << CR0.EM)) !== 0) return HELPER_FAULT.MMX_EMULATED;
  if ((cr0 & (1 << CR0.TS)) !== 0) return HELPER_FAULT.FPU_SWITCHED;
  return (statusWord(s) & FSW.ES) !== 0 ? HELPER_FAULT.FLOAT_PENDING : 0;
};

function enter(s: CpuState, tags: number): void {
  setStatusWord(s, statusWord(s) & ~FSW.TOP);
  s.set32(SLOT.FTW, tags);
}
/** Every MMX instruction but EMMS: TOP 0, all registers in use (table 12-1). */
export const entered: Helper = (s) => {
  enter(s, 0xff);
  return 0;
};
/** Register d was written: sign and exponent above it become ones. */
export const written: Helper = (s, d) => {
  enter(s, 0xff);
  s.set32(d + 1, 0xffff);
  return 0;
};
/** EMMS: TOP 0, all registers empty. */
export const emptied: Helper = (s) => {
  enter(s, 0);
  return 0;
};
