import { VINTR } from '../../isa/vmcb-fields';
import type { Vmcb } from './vmcb';

/** The control area in force, as the processor holds it while the guest runs: decoded at VMRUN, so that an intercept is a test of a number. */
export class SvmControls {
  cr = 0;
  dr = 0;
  exceptions = 0;
  /** Words 3, 4 and 5. */
  misc1 = 0;
  misc2 = 0;
  misc3 = 0;
  iopm = 0n;
  msrpm = 0n;
  tscOffset = 0n;
  asid = 0;
  nestedPaging = false;
  nestedCr3 = 0n;
  /** The guest's RFLAGS.IF and TPR mask virtual interrupts alone; physical ones go by the host's IF. */
  virtualMasking = false;
  virtualNmi = false;

  decode(vmcb: Vmcb): void {
    this.cr = vmcb.read32('INTERCEPT_CR');
    this.dr = vmcb.read32('INTERCEPT_DR');
    this.exceptions = vmcb.read32('INTERCEPT_EXCEPTION');
    this.misc1 = vmcb.read32('INTERCEPT_MISC1');
    this.misc2 = vmcb.read32('INTERCEPT_MISC2');
    this.misc3 = vmcb.read32('INTERCEPT_MISC3');
    this.iopm = vmcb.read('IOPM_BASE_PA') & ~0xfffn;
    this.msrpm = vmcb.read('MSRPM_BASE_PA') & ~0xfffn;
    this.tscOffset = vmcb.read('TSC_OFFSET');
    this.asid = vmcb.read32('GUEST_ASID');
    this.nestedPaging = (vmcb.read('NP_CONTROL') & 1n) !== 0n;
    this.nestedCr3 = vmcb.read('N_CR3');
    const vintr = vmcb.read('VINTR');
    this.virtualMasking = (vintr & VINTR.MASKING) !== 0n;
    this.virtualNmi = (vintr & VINTR.NMI_ENABLE) !== 0n;
  }

  /** Whether the intercept of this exit code of words 3 and 4 is set. */
  exits(code: number): boolean {
    const bit = code - 0x60;
    return bit < 32 ? ((this.misc1 >>> bit) & 1) === 1 : ((this.misc2 >>> (bit - 32)) & 1) === 1;
  }
}
