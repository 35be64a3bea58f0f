import { SYS_JUMPED, SYS_NEXT, type Core, type SvmInstructions, type SysResult } from '../core';
import type { Svm, VmrunResult } from '../../svm/svm';

/** What of a CPU the SVM instructions drive. */
interface SvmCpu {
  readonly svm: Svm;
  enterSvm(vmcb: bigint, returnRip: bigint, byInstruction: boolean): VmrunResult;
}

/** A CPU's SVM as its own instructions reach it. */
export class SvmUnit implements SvmInstructions {
  constructor(private readonly cpu: SvmCpu) {}

  get enabled(): boolean {
    return this.cpu.svm.enabled;
  }
  isVmcb(address: bigint): boolean {
    return this.cpu.svm.isVmcb(address);
  }
  /** The exit, when it comes, goes on behind VMRUN; with checks that fail it does at once, GIF clear. */
  vmrun(core: Core, address: bigint): SysResult {
    const entered = this.cpu.enterSvm(address, core.nextRip, true);
    if (entered.ok) return SYS_JUMPED;
    this.cpu.svm.gif = false;
    return SYS_NEXT;
  }
  vmload(address: bigint): void {
    this.cpu.svm.vmload(address);
  }
  vmsave(address: bigint): void {
    this.cpu.svm.vmsave(address);
  }
  setGif(on: boolean): void {
    this.cpu.svm.gif = on;
  }
  invlpga(linear: bigint, asid: number): void {
    this.cpu.svm.invlpga(linear, asid);
  }
}
