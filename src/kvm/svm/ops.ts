import { gpa, type Gva, type Hpa } from '../../base/address';
import { invariant, must } from '../../base/assert';
import { bit } from '../../base/bits';
import { hex } from '../../base/hex';
import type { CpuStop } from '../../hw/cpu/cpu';
import { eventInformation, eventOf } from '../../hw/svm/events';
import { SLOT } from '../../hw/state/layout';
import { isSoftware, type Interruption } from '../../hw/state/interruption';
import { cost } from '../../trace/costs';
import { step, type VmcsAccess, type Work } from '../../trace/step';
import { CR0, EFER, RFLAGS } from '../../isa/flags';
import { SVM_EXIT, svmExitName } from '../../isa/svm-exits';
import { CLEAN_BITS, EVENT, TLB_CONTROL, VINTR, type VmcbFieldName } from '../../isa/vmcb-fields';
import { HOST_PAT, HOST_PLACES, HOST_XCR0 } from '../vmx/setup';
import { INTERRUPT_WAITS } from '../kick';
import { exitCause, type RecordedExit } from '../exit-cause';
import type { ExitInfo } from '../exit-info';
import type { Vcpu } from '../vcpu';
import type { Entered, OpsState, X86Ops } from '../x86/ops';
import { SvmRegisters } from './registers';
import {
  CR0_INTERCEPTS,
  DR_INTERCEPTS,
  IOPM_BYTES,
  MSRPM_BYTES,
  SVM_HOST_CR0,
  SVM_HOST_EFER,
  SVM_PASSTHROUGH,
  initVmcb,
  msrpmBit,
  svmHostCr4,
} from './setup';
import { VmcbPort } from './vmcb-port';
import type { Vmcb } from '../../hw/svm/vmcb';

const CS_L = 1 << 9;
const RAX = 0;
const RSP = 4;
const on = (n: number): bigint => 1n << BigInt(n);
/**
 * LOCAL_TIMER_VECTOR (arch/x86/include/asm/irq_vectors.h): the host's timer; an hrtimer interrupts the guest through
 * it.
 */
const TIMER_VECTOR = 0xec;
const VINTR_INTERCEPT = on(SVM_EXIT.VINTR - SVM_EXIT.INTR);
const ALL_CLEAN = Object.values(CLEAN_BITS).reduce((m, n) => m | on(n), 0n);
/** The guest state that each clean bit covers, limited to what KVM writes between two entries. */
const CLEAN_OF: Readonly<Partial<Record<VmcbFieldName, keyof typeof CLEAN_BITS>>> = {
  INTERCEPT_CR: 'INTERCEPTS',
  INTERCEPT_DR: 'INTERCEPTS',
  INTERCEPT_MISC1: 'INTERCEPTS',
  TSC_OFFSET: 'INTERCEPTS',
  GUEST_ASID: 'ASID',
  VINTR: 'TPR',
  N_CR3: 'NP',
  G_PAT: 'NP',
  CR0: 'CR',
  CR3: 'CR',
  CR4: 'CR',
  EFER: 'CR',
  DR6: 'DR',
  DR7: 'DR',
  GDTR_BASE: 'DT',
  GDTR_LIMIT: 'DT',
  IDTR_BASE: 'DT',
  IDTR_LIMIT: 'DT',
  CPL: 'SEG',
  CR2: 'CR2',
};

/**
 * kvm_x86_ops of SVM (arch/x86/kvm/svm/svm.c) for one VCPU, with its own VMCB and ASID, nested paging and virtual
 * NMIs.
 */
export class SvmOps implements X86Ops {
  readonly name = 'svm';
  readonly vmcb: VmcbPort;
  readonly regs: SvmRegisters;
  readonly looking: SvmRegisters;
  /** The ASID: 0 is the host's. */
  readonly tag: number;
  private readonly saveArea: Hpa;

  constructor(readonly v: Vcpu) {
    const { vm, id } = v;
    const { memory } = vm.kernel;
    this.tag = id + 1;
    const iopm = this.frames(IOPM_BYTES);
    memory.fill(iopm, IOPM_BYTES, 0xff);
    const msrpm = this.frames(MSRPM_BYTES);
    memory.write(msrpm, permissionMap());
    this.saveArea = this.frames(4096);
    this.vmcb = new VmcbPort(memory, this.frames(4096));
    this.regs = new SvmRegisters(this.vmcb, v);
    this.looking = new SvmRegisters(new VmcbPort(memory, this.vmcb.address), v);
    this.enableVirtualization();
    initVmcb(this.vmcb, { iopm, msrpm, asid: this.tag, ncr3: vm.mmu.pointer });
    this.vmcb.take();
  }

  takeAccesses(): readonly VmcsAccess[] {
    return this.vmcb.take();
  }
  /** Loads and stores of a cached page. */
  accessCost(n: number): number {
    return cost('tableReference', n);
  }

  // ---- registers

  /**
   * svm_set_cr0: caching stays enabled whatever the guest sets; accesses are intercepted only while the hardware's
   * register differs from the guest's.
   */
  setCr0(cr0: bigint): void {
    const { vmcb, v } = this;
    const { saved } = v;
    const efer = saved.get(SLOT.EFER);
    const paging = bit(cr0, CR0.PG);
    if (bit(efer, EFER.LME)) {
      if (paging && !bit(efer, EFER.LMA)) this.setEfer(efer | on(EFER.LMA));
      if (!paging && bit(efer, EFER.LMA)) this.setEfer(efer & ~on(EFER.LMA));
    }
    saved.set(SLOT.CR0, cr0);
    const hardware = cr0 & ~(on(CR0.CD) | on(CR0.NW));
    vmcb.write('CR0', hardware);
    const now = vmcb.read('INTERCEPT_CR');
    const wanted = hardware === cr0 ? now & ~CR0_INTERCEPTS : now | CR0_INTERCEPTS;
    if (wanted !== now) vmcb.write('INTERCEPT_CR', wanted);
  }
  setCr4(cr4: bigint): void {
    this.v.saved.set(SLOT.CR4, cr4);
    this.vmcb.write('CR4', cr4);
  }
  /** svm_set_efer: SVME stays on whatever the guest sets. */
  setEfer(efer: bigint): void {
    this.v.saved.set(SLOT.EFER, efer);
    this.vmcb.write('EFER', efer | on(EFER.SVME));
  }
  get tscOffset(): bigint {
    return this.vmcb.read('TSC_OFFSET');
  }
  set tscOffset(v: bigint) {
    this.vmcb.write('TSC_OFFSET', v);
  }
  /** svm_skip_emulated_instruction: uses the next-RIP save. */
  nextRip(): bigint {
    return this.vmcb.read('NRIP');
  }
  interceptDebugRegisters(yes: boolean): void {
    this.vmcb.write('INTERCEPT_DR', yes ? DR_INTERCEPTS : 0n);
  }

  // ---- events

  /**
   * svm_complete_interrupts. INT n, INT3 and INTO are not reinjected: RIP still points at the instruction, which runs
   * again (as KVM did for all of them before 5.19).
   */
  completeInterrupts(): Interruption | undefined {
    const info = this.vmcb.read('EXITINTINFO');
    const event = eventOf(info);
    if (!event || isSoftware(event.type)) return undefined;
    // the reinjected NMI will block NMIs itself
    if (Number((info >> EVENT.TYPE_SHIFT) & 7n) === EVENT.TYPE.NMI)
      this.vmcb.write('VINTR', this.vmcb.read('VINTR') & ~VINTR.NMI_MASK);
    return event;
  }
  inject(event: Interruption): void {
    if (event.instructionLength !== undefined) this.vmcb.write('NRIP', this.regs.rip + BigInt(event.instructionLength));
    this.vmcb.write('EVENTINJ', eventInformation(event));
  }
  takeInjected(): Interruption | undefined {
    const event = eventOf(this.vmcb.read('EVENTINJ'));
    if (event) this.vmcb.write('EVENTINJ', 0n);
    return event;
  }
  /** svm_set_vintr: a virtual interrupt of the highest priority, intercepted as soon as the guest could take it. */
  enableIrqWindow(): void {
    const { vmcb } = this;
    const vintr = vmcb.read('VINTR') & ~(0xfn << VINTR.PRIO_SHIFT) & ~(0xffn << VINTR.VECTOR_SHIFT);
    vmcb.write('VINTR', vintr | VINTR.IRQ | (0xfn << VINTR.PRIO_SHIFT));
    this.intercept(true);
  }
  /** svm_clear_vintr. */
  disableIrqWindow(): void {
    this.vmcb.write('VINTR', this.vmcb.read('VINTR') & ~VINTR.IRQ);
    this.intercept(false);
  }
  private intercept(yes: boolean): void {
    const now = this.vmcb.read('INTERCEPT_MISC1');
    const wanted = yes ? now | VINTR_INTERCEPT : now & ~VINTR_INTERCEPT;
    if (wanted !== now) this.vmcb.write('INTERCEPT_MISC1', wanted);
  }
  /** svm_set_vnmi_pending. */
  enableNmiWindow(): boolean {
    const vintr = this.vmcb.read('VINTR');
    if ((vintr & VINTR.NMI) !== 0n) return false;
    this.vmcb.write('VINTR', vintr | VINTR.NMI);
    return true;
  }

  // ---- translations

  /** svm_flush_tlb_asid, for both kinds: the next VMRUN flushes the ASID's entries. */
  *flushCurrent(why: string): Work<void> {
    this.flushAsid();
    yield this.v.step(
      'svm_flush_tlb_current',
      `TLB_CONTROL asks VMRUN to flush ASID ${this.tag}: ${why}`,
      cost('invept'),
    );
  }
  loadRoot(): void {
    invariant(false, 'nested paging has one root');
  }
  *flushGuest(): Work<void> {
    this.flushAsid();
    yield this.v.step(
      'svm_flush_tlb_asid',
      `TLB_CONTROL asks VMRUN to flush ASID ${this.tag}: the guest's own flush`,
      cost('invept'),
    );
  }
  private flushAsid(): void {
    this.vmcb.write('TLB_CONTROL', BigInt(TLB_CONTROL.FLUSH_ASID));
  }
  flushGva(linear: Gva): void {
    this.v.cpu.svm.invlpga(linear, this.tag);
  }

  // ---- entry and exit

  *beforeEntry(): Work<void> {
    // hardware logs nothing: dirty pages are found by write protection
  }

  /** svm_vcpu_run up to VMRUN. */
  enter(): Entered {
    const { vmcb, v } = this;
    const { saved, cpu } = v;
    vmcb.write('RAX', saved.get(RAX));
    vmcb.write('RSP', saved.get(RSP));
    vmcb.write('RIP', saved.rip);
    // sync_lapic_to_cr8
    const vintr = vmcb.read('VINTR');
    const tpr = BigInt(v.lapic.taskPriority >> 4);
    if ((vintr & VINTR.TPR) !== tpr) vmcb.write('VINTR', (vintr & ~VINTR.TPR) | tpr);
    vmcb.write('CR2', saved.get(SLOT.CR2));
    if (vmcb.read('DR6') !== saved.get(SLOT.DR6)) vmcb.write('DR6', saved.get(SLOT.DR6));
    vmcb.write('CLEAN', ALL_CLEAN & ~this.dirty());
    cpu.state.set(SLOT.TSC_AUX, saved.get(SLOT.TSC_AUX));
    cpu.svm.gif = false;
    cpu.state.setSystemFlag(RFLAGS.IF, true);
    cpu.svm.vmload(vmcb.address);
    const result = cpu.vmrun(vmcb.address);
    if (result.ok) return { ok: true, how: 'VMRUN' };
    cpu.svm.gif = true;
    const unmet = result.unmet.map((u) => ({ fields: u.fields, section: u.section, what: u.message }));
    const why = `VMEXIT_INVALID: ${unmet.map((u) => `${u.fields.join(', ')}: ${u.what} (APM vol. 2, ${u.section})`).join('; ')}`;
    return { ok: false, why, hardwareReason: 0xffff_ffff, unmet };
  }
  /**
   * vmcb_mark_dirty, from the fields written since the last entry. Segments are written outside this port, so their
   * clean bit is never set.
   */
  private dirty(): bigint {
    const names = new Set(this.vmcb.written().map((f) => CLEAN_OF[f]));
    let mask = on(CLEAN_BITS.SEG) | on(CLEAN_BITS.CR2);
    for (const n of names) if (n !== undefined) mask |= on(CLEAN_BITS[n]);
    return mask;
  }

  /**
   * SVM has no preemption timer: the host's own timer interrupts the guest when it is due (a KVM hrtimer,
   * start_sw_timer).
   */
  runGuest(budget: number): CpuStop {
    const { v } = this;
    const { state } = v.cpu;
    for (let left = budget; ;) {
      const { deadline } = v.lapic.timer;
      const until = deadline === undefined ? left : Math.min(left, Number(deadline - v.hostTsc));
      if (until <= 0 && state.get32(SLOT.PENDING_INTR) === 0)
        state.set32(SLOT.PENDING_INTR, INTERRUPT_WAITS | TIMER_VECTOR);
      const slice = Math.max(1, until);
      const stop = v.cpu.run(slice);
      left -= slice;
      if (stop.kind !== 'budget' || left <= 0) return stop;
    }
  }

  /** svm_vcpu_run after VMRUN: VMSAVE for the guest, VMLOAD for the host, STGI. */
  saveGuest(): void {
    const { vmcb, v } = this;
    const { saved, cpu } = v;
    cpu.svm.vmsave(vmcb.address);
    cpu.svm.vmload(this.saveArea);
    cpu.svm.gif = true;
    const seen = vmcb.vmcb;
    saved.set(RAX, seen.read('RAX'));
    saved.set(RSP, seen.read('RSP'));
    saved.rip = seen.read('RIP');
    saved.set(SLOT.CR2, seen.read('CR2'));
    saved.set(SLOT.DR6, seen.read('DR6'));
    // the guest changes TS and MP directly while CR0 writes are not intercepted
    if ((seen.read('INTERCEPT_CR') & CR0_INTERCEPTS) === 0n) saved.set(SLOT.CR0, seen.read('CR0'));
    seen.write('TLB_CONTROL', BigInt(TLB_CONTROL.NOTHING));
    // sync_cr8_to_lapic
    const tpr = Number(seen.read('VINTR') & 0xfn);
    if (tpr !== v.lapic.taskPriority >> 4) v.lapic.setTaskPriority(tpr << 4);
    cpu.state.set(SLOT.XCR0, HOST_XCR0);
  }

  exitInfo(): ExitInfo {
    const { vmcb } = this.vmcb;
    const code = Number(BigInt.asIntN(64, vmcb.read('EXITCODE')));
    const rip = vmcb.read('RIP');
    const nrip = vmcb.read('NRIP');
    const qualification = vmcb.read('EXITINFO1');
    const address = code === SVM_EXIT.NPF ? gpa(vmcb.read('EXITINFO2')) : undefined;
    const recorded: RecordedExit = {
      of: 'vmcb',
      reason: code,
      qualification,
      gpa: address,
      interruptionInfo: 0,
    };
    // field by field, as for VMX
    return {
      of: 'vmcb',
      reason: code,
      qualification,
      gpa: address,
      interruptionInfo: 0,
      name: svmExitName(code),
      gva: undefined,
      rip,
      linear: linearRip(vmcb),
      instructionLength: nrip > rip ? Number(nrip - rip) : 0,
      cause: exitCause(recorded),
    };
  }

  *atExit(info: ExitInfo): Work<void> {
    yield step(
      'cpu',
      'root',
      '#VMEXIT',
      `${info.name}: saves the guest's state in the VMCB and loads the host's from the host save area`,
      cost('vmExit'),
    );
  }
  *tellExit(info: ExitInfo): Work<void> {
    this.vmcb.read('EXITCODE');
    yield this.v.step(
      'svm_handle_exit',
      `exit code ${hex(info.reason)}, ${info.name}, at RIP ${hex(info.rip)}`,
      cost('kvmDispatch'),
    );
  }
  drainLog(): void {
    // there is no log
  }

  save(): OpsState {
    return {};
  }
  /** Everything is in the VMCB and in host memory. */
  restore(_state: OpsState): void {}

  // ---- internal

  /**
   * svm_hardware_enable: sets EFER.SVME and the host save area. The registers are those of the host kernel that runs
   * KVM.
   */
  private enableVirtualization(): void {
    const { cpu, vm } = this.v;
    const s = cpu.state;
    s.set(SLOT.CR0, SVM_HOST_CR0);
    s.set(SLOT.CR3, vm.space.cr3);
    s.set(SLOT.CR4, svmHostCr4(vm.kernel.levels));
    s.set(SLOT.EFER, SVM_HOST_EFER);
    s.set(SLOT.PAT, HOST_PAT);
    s.set(SLOT.XCR0, HOST_XCR0);
    s.set(RSP, HOST_PLACES.stack);
    s.rip = HOST_PLACES.vmxVmexit;
    cpu.mmu.controlsChanged();
    s.set(SLOT.VM_HSAVE_PA, this.saveArea);
    // svm_prepare_switch_to_guest: saves the host state that VMRUN does not
    cpu.svm.vmsave(this.saveArea);
  }

  private frames(bytes: number): Hpa {
    const { frames } = this.v.vm.kernel;
    const n = 2 ** Math.ceil(Math.log2(bytes / 4096));
    return must(
      n === 1 ? frames.allocate() : frames.allocateAligned(n),
      'a new VCPU finds frames for its VMCB and permission maps',
    );
  }
}

/** RIP as a linear address: the base of CS applies outside 64-bit mode. */
function linearRip(vmcb: Vmcb): bigint {
  const rip = vmcb.read('RIP');
  const long = bit(vmcb.read('EFER'), EFER.LMA) && (vmcb.read32('CS_ATTRIB') & CS_L) !== 0;
  return long ? rip : BigInt.asUintN(32, rip + vmcb.read('CS_BASE'));
}

function permissionMap(): Uint8Array {
  const map = new Uint8Array(MSRPM_BYTES).fill(0xff);
  for (const msr of SVM_PASSTHROUGH) {
    const at = msrpmBit(msr);
    map[at >> 3] = (map[at >> 3] as number) & ~(3 << (at & 7));
  }
  return map;
}
