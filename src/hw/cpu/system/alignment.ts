import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { CR0, RFLAGS } from '../../../isa/flags';
import type { Access } from '../../paging/access';
import type { CpuState } from '../../state/cpu-state';
import type { Core } from '../core';
import { cr0Bit } from './modes';
import { deny } from './raise';

/** Whether the program's accesses must be aligned: CR0.AM and RFLAGS.AC at CPL 3 (SDM vol. 3, 6.15, #AC). */
export const checksAlignment = (s: CpuState): boolean => s.cpl === 3 && s.systemFlag(RFLAGS.AC) && cr0Bit(s, CR0.AM);

/**
 * Whether an access of `size` bytes may be where it is: 2, 4 or 8 of them at a multiple of that; a probe of more is checked piece by piece when it is made. Types that are wider or made of parts (table 6-7) are accessed in pieces of the size they are aligned to:
 * 80-bit values as 8 and 2, far pointers as offset and selector, 128 bits as halves, blocks of x87 state as words and doublewords. Implicit accesses to system structures are not
 * checked. False: #AC(0) set.
 */
export function isAligned(core: Core, linear: bigint, size: number, access: Access): boolean {
  if (!access.user || size > 8 || (Number(linear & 7n) & (size - 1)) === 0 || !checksAlignment(core.state)) return true;
  return deny(core, VECTOR.AC, because('alignment', linear, size), 0);
}
