import { hpa, type Hpa } from '../../base/address';
import { bit } from '../../base/bits';
import { CR0, EFER, RFLAGS } from '../../isa/flags';
import { SVM_EXIT, SVM_INVALID } from '../../isa/svm-exits';
import { EVENT, TLB_CONTROL, VINTR } from '../../isa/vmcb-fields';
import { INTERRUPTIBILITY, INTR_TYPE } from '../../isa/vmcs-controls';
import type { HostMemory } from '../memory/host-memory';
import type { CpuState } from '../state/cpu-state';
import type { VmExit } from '../state/event';
import { SLOT } from '../state/layout';
import type { Interruption } from '../state/interruption';
import { unmetVmrunChecks, type SvmCapabilities, type UnmetVmrunCheck } from './checks';
import { SvmControls } from './controls';
import { eventInformation, eventToInject } from './events';
import { SvmIntercepts } from './intercepts';
import { loadGuest, loadHost, saveGuest, saveHost, vmload, vmsave } from './transfer';
import { VMCB_SIZE, Vmcb } from './vmcb';

/** PENDING_INTR holds PENDING | vector while a physical interrupt waits. */
const PENDING = 0x100;
const SHADOW = INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS;

/** What invalidates cached translations: the CPU's MMU. */
export interface AsidCaches {
  flushAsid(asid: number, globals: boolean): void;
  flushAsidAddress(asid: number, linear: bigint): void;
  flushAll(): void;
}

/** What VMRUN came to. */
export type VmrunResult =
  | { readonly ok: true; readonly inject: Interruption | undefined }
  /** VMEXIT_INVALID: recorded, and the host goes on. */
  | { readonly ok: false; readonly unmet: readonly UnmetVmrunCheck[] };

export interface SvmSnapshot {
  readonly vmcb: Hpa | undefined;
  readonly guest: boolean;
  readonly byInstruction: boolean;
  readonly gif: boolean;
  readonly hostIf: boolean;
  readonly hostCr8: bigint;
}

/** A boundary event that the guest takes itself: a virtual interrupt, or a physical one that nothing intercepts. */
export interface GuestInterrupt {
  readonly vector: number;
  readonly nmi: boolean;
}

/**
 * SVM of one CPU (AMD APM vol. 2, chapter 15). The methods are the instructions without their operand decoding and without the exceptions that precede them (#UD without
 * EFER.SVME, #GP by CPL and alignment). Nothing of a VMCB is cached here, which the clean bits allow.
 */
export class Svm {
  /** In force while the guest runs. */
  readonly controls = new SvmControls();
  readonly intercepts: SvmIntercepts;
  /** Global interrupt flag: clear from #VMEXIT to STGI, and from CLGI. */
  gif = true;
  /** The guest was entered by the VMRUN instruction of code that runs here, to which an exit returns. */
  byInstruction = false;
  private current: Vmcb | undefined;
  private guest = false;
  /** RFLAGS.IF of the host at VMRUN. */
  private hostIf = false;
  /** The physical TPR, which V_INTR_MASKING keeps from the guest (15.21.2). */
  private hostCr8 = 0n;

  constructor(
    readonly state: CpuState,
    private readonly memory: HostMemory,
    readonly capabilities: SvmCapabilities,
    private readonly caches: AsidCaches,
  ) {
    this.intercepts = new SvmIntercepts(memory, this.controls);
  }

  get inGuest(): boolean {
    return this.guest;
  }
  /** The VMCB of the last VMRUN. */
  get vmcb(): Vmcb | undefined {
    return this.current;
  }
  /** A page of host memory, as VMRUN, VMLOAD and VMSAVE want it (else #GP). */
  isVmcb(address: bigint): boolean {
    return (
      (address & 0xfffn) === 0n &&
      address >> BigInt(this.capabilities.physicalBits) === 0n &&
      this.memory.contains(address, VMCB_SIZE)
    );
  }
  at(address: bigint): Vmcb {
    return new Vmcb(this.memory, hpa(address));
  }
  /** VM_HSAVE_PA: where VMRUN leaves the host's state. */
  get hostSaveArea(): bigint {
    return this.state.get(SLOT.VM_HSAVE_PA);
  }

  // ---- instructions

  /** VMRUN (15.5). `returnRip`: where #VMEXIT goes on. When it succeeds the state is the guest's, and `inject` is still to be delivered. */
  vmrun(address: bigint, returnRip: bigint, byInstruction: boolean): VmrunResult {
    const { state, controls } = this;
    const vmcb = this.at(address);
    this.current = vmcb;
    const hostPaging = bit(state.get(SLOT.CR0), CR0.PG);
    const unmet = unmetVmrunChecks(vmcb, { ...this.capabilities, hostPaging });
    if (unmet.length > 0) {
      vmcb.write('EXITCODE', SVM_INVALID);
      for (const field of ['EXITINFO1', 'EXITINFO2', 'EXITINTINFO'] as const) vmcb.write(field, 0n);
      return { ok: false, unmet };
    }
    saveHost(state, this.at(this.hostSaveArea), returnRip);
    this.hostIf = state.systemFlag(RFLAGS.IF);
    this.hostCr8 = state.get(SLOT.CR8);
    controls.decode(vmcb);
    loadGuest(state, vmcb, controls);
    this.guest = true;
    this.byInstruction = byInstruction;
    this.gif = true;
    state.set(SLOT.TSC_OFFSET, BigInt.asUintN(64, state.get(SLOT.TSC_OFFSET) + controls.tscOffset));
    switch (vmcb.read32('TLB_CONTROL')) {
      case TLB_CONTROL.FLUSH_ALL:
        this.caches.flushAll();
        break;
      case TLB_CONTROL.FLUSH_ASID:
        this.caches.flushAsid(controls.asid, true);
        break;
      case TLB_CONTROL.FLUSH_ASID_NON_GLOBAL:
        this.caches.flushAsid(controls.asid, false);
        break;
    }
    const inject = eventToInject(vmcb, state.rip);
    vmcb.write('EVENTINJ', vmcb.read('EVENTINJ') & ~EVENT.VALID);
    if (inject?.type === INTR_TYPE.NMI_INTR && controls.virtualNmi)
      state.set32(SLOT.INTERRUPTIBILITY, state.get32(SLOT.INTERRUPTIBILITY) | INTERRUPTIBILITY.NMI);
    if (inject) state.set32(SLOT.INTERRUPTIBILITY, state.get32(SLOT.INTERRUPTIBILITY) & ~SHADOW);
    return { ok: true, inject };
  }

  vmload(address: bigint): void {
    vmload(this.state, this.at(address));
  }
  vmsave(address: bigint): void {
    vmsave(this.state, this.at(address));
  }
  /** INVLPGA: the page of one address space. */
  invlpga(linear: bigint, asid: number): void {
    this.caches.flushAsidAddress(asid, linear);
  }

  // ---- #VMEXIT (15.6)

  /** Saves the guest, records the exit, loads the host. `vectoring`: the event whose delivery it interrupted; `bytes`: the instruction's, where decode assists tell them. */
  exit(exit: VmExit, vectoring: Interruption | undefined, bytes: Uint8Array): void {
    const { state, controls } = this;
    const vmcb = this.current as Vmcb;
    state.set(SLOT.TSC_OFFSET, BigInt.asUintN(64, state.get(SLOT.TSC_OFFSET) - controls.tscOffset));
    // an intercepted #DB has DR6 and DR7 as its handler would have seen them (15.12.2)
    if (exit.debug !== undefined) {
      state.set(SLOT.DR6, (state.get(SLOT.DR6) & ~0xfn) | exit.debug);
      state.set(SLOT.DR7, state.get(SLOT.DR7) & ~(1n << 13n));
    }
    if (exit.completed === true && exit.nextRip !== undefined) {
      state.rip = exit.nextRip;
      state.set32(SLOT.INTERRUPTIBILITY, state.get32(SLOT.INTERRUPTIBILITY) & ~SHADOW);
    }
    saveGuest(state, vmcb, controls);
    vmcb.write('EXITCODE', BigInt(exit.reason));
    vmcb.write('EXITINFO1', exit.qualification);
    vmcb.write('EXITINFO2', exit.info2 ?? 0n);
    vmcb.write('EXITINTINFO', vectoring ? eventInformation(vectoring) : 0n);
    // INT n through a task gate ends behind itself
    const software = vectoring?.instructionLength;
    const behind = exit.reason === SVM_EXIT.TASK_SWITCH && software !== undefined ? state.rip + BigInt(software) : 0n;
    vmcb.write('NRIP', exit.nextRip ?? behind);
    vmcb.instructionBytes = bytes;
    loadHost(state, this.at(this.hostSaveArea));
    if (controls.virtualMasking) state.set(SLOT.CR8, this.hostCr8);
    this.guest = false;
    this.gif = false;
  }

  /** A triple fault: exits where SHUTDOWN is intercepted, else the processor shuts down. */
  get shutdownExits(): boolean {
    return this.controls.exits(SVM_EXIT.SHUTDOWN);
  }

  /** Whether a boundary must be looked at: a virtual interrupt or NMI waits. */
  get watchesBoundaries(): boolean {
    return this.current !== undefined && (this.current.read('VINTR') & (VINTR.IRQ | VINTR.NMI)) !== 0n;
  }

  /** The exit due before the next instruction (15.13, 15.21): physical NMI and interrupt, then the virtual interrupt. Physical events stay pending: GIF is clear after the exit. */
  boundaryExit(): VmExit | undefined {
    const { state, controls } = this;
    const nmiBlocked = (state.get32(SLOT.INTERRUPTIBILITY) & INTERRUPTIBILITY.NMI) !== 0 && !controls.virtualNmi;
    if (state.get32(SLOT.PENDING_NMI) !== 0 && !nmiBlocked && controls.exits(SVM_EXIT.NMI)) return plain(SVM_EXIT.NMI);
    if ((state.get32(SLOT.PENDING_INTR) & PENDING) !== 0 && this.physicalAllowed && controls.exits(SVM_EXIT.INTR))
      return plain(SVM_EXIT.INTR);
    if (this.virtualInterruptDue && controls.exits(SVM_EXIT.VINTR)) return plain(SVM_EXIT.VINTR);
    return undefined;
  }
  /** What the guest takes through its own IDT at this boundary, after `boundaryExit`: it is then no longer pending. */
  takeGuestInterrupt(): GuestInterrupt | undefined {
    const { state, controls } = this;
    const vmcb = this.current as Vmcb;
    const blocking = state.get32(SLOT.INTERRUPTIBILITY);
    const vintr = vmcb.read('VINTR');
    if (controls.virtualNmi && (vintr & VINTR.NMI) !== 0n && (blocking & (INTERRUPTIBILITY.NMI | SHADOW)) === 0) {
      vmcb.write('VINTR', vintr & ~VINTR.NMI);
      return { vector: 2, nmi: true };
    }
    if (
      state.get32(SLOT.PENDING_NMI) !== 0 &&
      !controls.exits(SVM_EXIT.NMI) &&
      (blocking & INTERRUPTIBILITY.NMI) === 0
    ) {
      state.set32(SLOT.PENDING_NMI, 0);
      return { vector: 2, nmi: true };
    }
    const pending = state.get32(SLOT.PENDING_INTR);
    if ((pending & PENDING) !== 0 && !controls.exits(SVM_EXIT.INTR) && this.physicalAllowed) {
      state.set32(SLOT.PENDING_INTR, 0);
      return { vector: pending & 0xff, nmi: false };
    }
    if (this.virtualInterruptDue && !controls.exits(SVM_EXIT.VINTR)) {
      vmcb.write('VINTR', vintr & ~VINTR.IRQ);
      return { vector: Number((vintr >> VINTR.VECTOR_SHIFT) & 0xffn), nmi: false };
    }
    return undefined;
  }

  /** With V_INTR_MASKING the host's IF masks physical interrupts, else the guest's. */
  private get physicalAllowed(): boolean {
    const { state, controls } = this;
    if (controls.virtualMasking) return this.hostIf;
    return state.systemFlag(RFLAGS.IF) && (state.get32(SLOT.INTERRUPTIBILITY) & SHADOW) === 0;
  }
  /** V_IRQ, a priority above V_TPR unless that is ignored, the guest's IF, and no interrupt shadow (15.21.4). */
  private get virtualInterruptDue(): boolean {
    const { state } = this;
    const vintr = (this.current as Vmcb).read('VINTR');
    if ((vintr & VINTR.IRQ) === 0n) return false;
    const priority = (vintr >> VINTR.PRIO_SHIFT) & 0xfn;
    if ((vintr & VINTR.IGN_TPR) === 0n && priority <= (state.get(SLOT.CR8) & 0xfn)) return false;
    return state.systemFlag(RFLAGS.IF) && (state.get32(SLOT.INTERRUPTIBILITY) & SHADOW) === 0;
  }

  /** Whether SVM's instructions exist now. */
  get enabled(): boolean {
    return bit(this.state.get(SLOT.EFER), EFER.SVME);
  }

  save(): SvmSnapshot {
    return {
      vmcb: this.current?.address,
      guest: this.guest,
      byInstruction: this.byInstruction,
      gif: this.gif,
      hostIf: this.hostIf,
      hostCr8: this.hostCr8,
    };
  }
  /** Host memory, which holds the VMCB, must have been restored before. */
  restore(s: SvmSnapshot): void {
    this.current = s.vmcb === undefined ? undefined : this.at(s.vmcb);
    this.guest = s.guest;
    this.byInstruction = s.byInstruction;
    this.gif = s.gif;
    this.hostIf = s.hostIf;
    this.hostCr8 = s.hostCr8;
    if (this.current && this.guest) this.controls.decode(this.current);
  }
}

const plain = (code: number): VmExit => ({ reason: code, qualification: 0n });
