import { gpa, gva, hpa, type Gva, type Hpa } from '../../base/address';
import { invariant, must } from '../../base/assert';
import { hex } from '../../base/hex';
import { VECTOR } from '../../isa/exceptions';
import { VMX_EXIT, vmxExitName } from '../../isa/exits';
import { INTERRUPTIBILITY, INTR_INFO, INTR_TYPE, PIN, PROC, type InterruptionType } from '../../isa/vmcs-controls';
import { FIELD } from '../../isa/vmcs-fields';
import type { CpuStop } from '../../hw/cpu/cpu';
import { SLOT } from '../../hw/state/layout';
import { interruptionInfo, isSoftware, type Interruption } from '../../hw/state/interruption';
import type { VmxStatus } from '../../hw/vmx/status';
import { cost } from '../../trace/costs';
import { step, type VmcsAccess, type Work } from '../../trace/step';
import { setBlocking } from '../events';
import { exitCause, type RecordedExit } from '../exit-cause';
import type { ExitInfo } from '../exit-info';
import type { Vcpu } from '../vcpu';
import type { Entered, OpsState, X86Ops } from '../x86/ops';
import { USER_RETURN_MSRS } from '../x86/user-return-msrs';
import { vmxSetCr0, vmxSetCr4, vmxSetEfer } from './control-registers';
import { PageModificationLog } from './pml';
import { VmxRegisters } from './registers';
import {
  HOST_CR0,
  HOST_EFER,
  HOST_PAT,
  HOST_XCR0,
  PASSTHROUGH,
  PASSTHROUGH_READ,
  hostCr4,
  initVmcs,
  msrBitmapPosition,
} from './setup';
import { VmcsPort } from './vmcs-port';

const PREEMPTION_TIMER = BigInt(PIN.PREEMPTION_TIMER);
/** The preemption timer's value is 32 bits. */
const MAX_TIMER = 0xffff_ffffn;

/** kvm_x86_ops of VMX (arch/x86/kvm/vmx/vmx.c) for one VCPU, with its own VMCS. */
export class VmxOps implements X86Ops {
  readonly name = 'vmx';
  readonly vmcs: VmcsPort;
  readonly regs: VmxRegisters;
  readonly looking: VmxRegisters;
  readonly tag: number;
  private readonly log: PageModificationLog;
  private readonly msrBitmap: Hpa;
  private readonly vmcsAddress: Hpa;
  private launched = false;

  constructor(
    readonly v: Vcpu,
    vpid: boolean,
  ) {
    const { vm, cpu, id } = v;
    const { shadow } = vm;
    this.vmcs = new VmcsPort(cpu.vmx);
    this.regs = new VmxRegisters(this.vmcs, v.saved, shadow !== undefined);
    this.looking = new VmxRegisters(new VmcsPort(cpu.vmx), v.saved, shadow !== undefined);
    this.log = new PageModificationLog(v, this.vmcs);
    // VPIDs came with EPT: 2.6.20 does not use them, and each VM entry and exit flushes
    this.tag = vpid && shadow?.generation !== 'classic' ? id + 1 : 0;
    this.msrBitmap = this.frame();
    this.vmcsAddress = this.frame();
    this.enableVirtualization();
    this.loadVmcs();
    initVmcs(this.vmcs, {
      eptp: shadow ? undefined : vm.mmu.pointer,
      interceptInvlpg: shadow?.generation === 'modern',
      vpid: this.tag,
      msrBitmap: this.msrBitmap,
      hostCr3: vm.space.cr3,
      hostLevels: vm.kernel.levels,
      capability: (msr) => must(cpu.vmx.capabilities.msr(msr), 'a CPU with VMX has its capability MSRs'),
    });
    this.initMsrBitmap();
    this.vmcs.take();
  }

  takeAccesses(): readonly VmcsAccess[] {
    return this.vmcs.take();
  }
  accessCost(n: number): number {
    return cost('vmread', n);
  }

  // ---- registers

  setCr0(cr0: bigint): void {
    vmxSetCr0(this, cr0);
  }
  setCr4(cr4: bigint): void {
    vmxSetCr4(this, cr4);
  }
  setEfer(efer: bigint): void {
    vmxSetEfer(this, efer);
  }
  get tscOffset(): bigint {
    return this.vmcs.readEncoding(FIELD.TSC_OFFSET);
  }
  set tscOffset(v: bigint) {
    this.vmcs.write('TSC_OFFSET', v);
  }
  nextRip(): bigint {
    const length = this.vmcs.read('VM_EXIT_INSTRUCTION_LEN');
    return this.regs.rip + length;
  }
  interceptDebugRegisters(on: boolean): void {
    this.setControl(PROC.MOV_DR_EXITING, on);
  }

  // ---- events

  /** vmx_complete_interrupts (SDM vol. 3, 27.2.4). */
  completeInterrupts(): Interruption | undefined {
    const { vmcs } = this;
    const info = Number(vmcs.read('IDT_VECTORING_INFO_FIELD'));
    if ((info & INTR_INFO.VALID) === 0) return undefined;
    const type = ((info >>> INTR_INFO.TYPE_SHIFT) & INTR_INFO.TYPE_MASK) as InterruptionType;
    // the reinjected NMI will block NMIs itself
    if (type === INTR_TYPE.NMI_INTR) setBlocking(this.regs, INTERRUPTIBILITY.NMI, false);
    return {
      type,
      vector: info & INTR_INFO.VECTOR_MASK,
      ...((info & INTR_INFO.DELIVER_CODE) !== 0 ? { errorCode: Number(vmcs.read('IDT_VECTORING_ERROR_CODE')) } : {}),
      ...(isSoftware(type) ? { instructionLength: Number(vmcs.read('VM_EXIT_INSTRUCTION_LEN')) } : {}),
    };
  }
  /** Writes the VM-entry interruption information. */
  inject(e: Interruption): void {
    const { vmcs } = this;
    if (e.errorCode !== undefined) vmcs.write('VM_ENTRY_EXCEPTION_ERROR_CODE', BigInt(e.errorCode >>> 0));
    if (e.instructionLength !== undefined) vmcs.write('VM_ENTRY_INSTRUCTION_LEN', BigInt(e.instructionLength));
    vmcs.write('VM_ENTRY_INTR_INFO_FIELD', BigInt(interruptionInfo(e) >>> 0));
  }
  takeInjected(): Interruption | undefined {
    const { vmcs } = this;
    const info = Number(vmcs.read('VM_ENTRY_INTR_INFO_FIELD'));
    if ((info & INTR_INFO.VALID) === 0) return undefined;
    vmcs.write('VM_ENTRY_INTR_INFO_FIELD', 0n);
    const kind = ((info >>> INTR_INFO.TYPE_SHIFT) & INTR_INFO.TYPE_MASK) as InterruptionType;
    return {
      type: kind,
      vector: info & INTR_INFO.VECTOR_MASK,
      ...((info & INTR_INFO.DELIVER_CODE) !== 0
        ? { errorCode: Number(vmcs.read('VM_ENTRY_EXCEPTION_ERROR_CODE')) }
        : {}),
      ...(isSoftware(kind) ? { instructionLength: Number(vmcs.read('VM_ENTRY_INSTRUCTION_LEN')) } : {}),
    };
  }
  enableIrqWindow(): void {
    this.setControl(PROC.INTR_WINDOW_EXITING, true);
  }
  enableNmiWindow(): boolean {
    this.setControl(PROC.NMI_WINDOW_EXITING, true);
    return false;
  }

  // ---- translations

  *flushCurrent(why: string): Work<void> {
    const { v, tag } = this;
    const { vm, cpu } = v;
    if (vm.shadow) {
      if (tag !== 0) cpu.vmx.invvpid(1, BigInt(tag), 0n);
      yield v.step(
        'vmx_flush_tlb_current',
        `${tag === 0 ? 'the VM entry flushes' : `INVVPID of VPID ${tag}`}: ${why}`,
        cost('invept'),
      );
    } else {
      cpu.vmx.invept(1, vm.mmu.pointer);
      yield v.step('vmx_flush_tlb_current', `INVEPT of EPTP ${hex(vm.mmu.pointer)}: ${why}`, cost('invept'));
    }
  }
  loadRoot(root: Hpa, pcid: bigint): void {
    this.vmcs.write('GUEST_CR3', root | pcid);
  }
  *flushGuest(): Work<void> {
    const { v, tag } = this;
    // without a VPID the entry itself flushes
    if (tag !== 0) v.cpu.vmx.invvpid(1, BigInt(tag), 0n);
    yield v.step(
      'vmx_flush_tlb_guest',
      tag !== 0 ? `INVVPID of VPID ${tag}: the guest's own flush` : 'the VM entry flushes: there is no VPID',
      cost('invept'),
    );
  }
  flushGva(linear: Gva): void {
    if (this.tag !== 0) this.v.cpu.vmx.invvpid(0, BigInt(this.tag), linear);
  }

  // ---- entry and exit

  *beforeEntry(): Work<void> {
    yield* this.log.beforeEntry();
  }

  enter(): Entered {
    this.armTimer();
    const { vmcs, launched } = this;
    const { cpu, saved } = this.v;
    for (const slot of [SLOT.CR2, SLOT.DR6]) cpu.state.set(slot, saved.get(slot));
    for (const [, slot] of USER_RETURN_MSRS) cpu.state.set(slot, saved.get(slot));
    const result = launched ? cpu.vmresume() : cpu.vmlaunch();
    if (result.ok) {
      this.launched = true;
      return { ok: true, how: launched ? 'VMRESUME' : 'VMLAUNCH' };
    }
    const unmet = result.unmet.map((u) => ({ fields: u.fields, section: u.section, what: u.message }));
    const how =
      result.kind === 'vmfail'
        ? result.status.kind === 'fail-valid'
          ? result.status.message
          : 'no current VMCS'
        : 'guest state is invalid (exit reason 33)';
    const why =
      unmet.length > 0
        ? `${how}: ${unmet.map((u) => `${u.fields.join(', ')}: ${u.what} (SDM vol. 3, ${u.section})`).join('; ')}`
        : how;
    const hardwareReason =
      result.kind === 'vmfail' ? Number(vmcs.read('VM_INSTRUCTION_ERROR')) : 0x8000_0000 + VMX_EXIT.INVALID_STATE;
    return { ok: false, why, hardwareReason, unmet };
  }

  runGuest(budget: number): CpuStop {
    return this.v.cpu.run(budget);
  }

  saveGuest(): void {
    const { v } = this;
    const s = v.cpu.state;
    for (const slot of [SLOT.CR2, SLOT.DR6, SLOT.KERNEL_GS_BASE]) v.saved.set(slot, s.get(slot));
    s.set(SLOT.XCR0, HOST_XCR0);
  }

  exitInfo(): ExitInfo {
    const { looking } = this;
    const { vmcs } = looking;
    const rip = looking.rip;
    const reason = Number(vmcs.read('VM_EXIT_REASON') & 0xffffn);
    const qualification = vmcs.read('EXIT_QUALIFICATION');
    const ept = reason === VMX_EXIT.EPT_VIOLATION || reason === VMX_EXIT.EPT_MISCONFIG;
    const event = Number(vmcs.read('VM_EXIT_INTR_INFO'));
    // SDM vol. 3, 27.2.1: the qualification of #PF and of INVLPG is the linear address
    const isLinear =
      reason === VMX_EXIT.INVLPG ||
      (reason === VMX_EXIT.EXCEPTION_NMI && event >>> 31 === 1 && (event & 0xff) === VECTOR.PF);
    const address = ept ? gpa(vmcs.read('GUEST_PHYSICAL_ADDRESS')) : undefined;
    const interruptionErrorCode = Number(vmcs.read('VM_EXIT_INTR_ERROR_CODE'));
    const recorded: RecordedExit = {
      of: 'vmcs',
      reason,
      qualification,
      gpa: address,
      interruptionInfo: event,
      interruptionErrorCode,
    };
    // field by field: a spread here takes a tenth of an exit's time
    return {
      of: 'vmcs',
      reason,
      qualification,
      gpa: address,
      interruptionInfo: event,
      interruptionErrorCode,
      name: vmxExitName(reason),
      gva:
        reason === VMX_EXIT.EPT_VIOLATION && (qualification & 0x80n) !== 0n
          ? gva(vmcs.read('GUEST_LINEAR_ADDRESS'))
          : isLinear
            ? gva(qualification)
            : undefined,
      rip,
      linear: looking.mode64 ? rip : BigInt.asUintN(32, rip + vmcs.read('GUEST_CS_BASE')),
      instructionLength: Number(vmcs.read('VM_EXIT_INSTRUCTION_LEN')),
      cause: exitCause(recorded),
    };
  }

  *atExit(info: ExitInfo): Work<void> {
    yield step(
      'cpu',
      'root',
      'VM exit',
      `${info.name}: saves the guest's state in the VMCS and loads the host's`,
      cost('vmExit'),
    );
    yield* this.log.atExit();
  }
  *tellExit(info: ExitInfo): Work<void> {
    this.vmcs.read('VM_EXIT_REASON');
    yield this.v.step(
      'vmx_handle_exit',
      `exit reason ${info.reason}, ${info.name}, at RIP ${hex(info.rip)}`,
      cost('kvmDispatch'),
    );
  }
  drainLog(): void {
    this.log.drain();
  }

  save(): OpsState {
    return { vmx: { log: this.log.save(), launched: this.launched } };
  }
  restore({ vmx }: OpsState): void {
    invariant(vmx !== undefined, 'a VCPU on VMX is restored from one on VMX');
    this.log.restore(vmx.log);
    this.launched = vmx.launched;
  }

  // ---- internal

  /** exec_controls_setbit and exec_controls_clearbit. */
  setControl(control: number, on: boolean): void {
    const now = Number(this.vmcs.read('CPU_BASED_VM_EXEC_CONTROL'));
    const next = on ? now | control : now & ~control;
    if (next !== now) this.vmcs.write('CPU_BASED_VM_EXEC_CONTROL', BigInt(next >>> 0));
  }

  /** vmx_update_hv_timer: the VMX-preemption timer counts down to the local APIC timer's expiry, limited to 32 bits. */
  private armTimer(): void {
    const { v, vmcs } = this;
    const { deadline } = v.lapic.timer;
    const pin = vmcs.read('PIN_BASED_VM_EXEC_CONTROL');
    const wanted = deadline === undefined ? pin & ~PREEMPTION_TIMER : pin | PREEMPTION_TIMER;
    if (wanted !== pin) vmcs.write('PIN_BASED_VM_EXEC_CONTROL', wanted);
    if (deadline === undefined) return;
    const left = deadline - v.hostTsc;
    vmcs.write('VMX_PREEMPTION_TIMER_VALUE', left > MAX_TIMER ? MAX_TIMER : left < 0n ? 0n : left);
  }

  /**
   * hardware_enable: sets CR4.VMXE and executes VMXON with a region that holds the revision identifier. The registers
   * are those of the host kernel that runs KVM.
   */
  private enableVirtualization(): void {
    const { cpu, vm } = this.v;
    const s = cpu.state;
    s.set(SLOT.CR0, HOST_CR0);
    s.set(SLOT.CR3, vm.space.cr3);
    s.set(SLOT.CR4, hostCr4(vm.kernel.levels));
    s.set(SLOT.EFER, HOST_EFER);
    s.set(SLOT.PAT, HOST_PAT);
    s.set(SLOT.XCR0, HOST_XCR0);
    cpu.mmu.controlsChanged();
    const region = this.frame();
    vm.kernel.memory.write32(region, cpu.vmx.capabilities.revision);
    succeed(cpu.vmx.vmxon(region), 'VMXON');
  }

  /** vmx_vcpu_load_vmcs. */
  private loadVmcs(): void {
    const { vmx } = this.v.cpu;
    this.v.vm.kernel.memory.write32(this.vmcsAddress, vmx.capabilities.revision);
    succeed(vmx.vmclear(this.vmcsAddress), 'VMCLEAR');
    succeed(vmx.vmptrld(this.vmcsAddress), 'VMPTRLD');
  }

  private initMsrBitmap(): void {
    const bitmap = new Uint8Array(4096).fill(0xff);
    const allow = (msr: number, write: boolean): void => {
      const at = must(msrBitmapPosition(msr, write), 'a pass-through MSR lies in the bitmap');
      bitmap[at.byte] = (bitmap[at.byte] as number) & ~(1 << at.bit);
    };
    for (const msr of PASSTHROUGH_READ) allow(msr, false);
    for (const msr of PASSTHROUGH) {
      allow(msr, false);
      allow(msr, true);
    }
    this.v.vm.kernel.memory.write(this.msrBitmap, bitmap);
  }

  private frame(): Hpa {
    return hpa(must(this.v.vm.kernel.frames.allocate(), 'a new VCPU finds frames for its VMCS and bitmap'));
  }
}

function succeed(status: VmxStatus, what: string): void {
  invariant(status.kind === 'succeed', `${what} succeeds on a frame that KVM prepared`);
}
