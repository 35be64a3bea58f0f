import type { Gpa, Gva } from '../base/address';
import { invariant } from '../base/assert';
import { bit } from '../base/bits';
import { hex } from '../base/hex';
import { vectorName } from '../isa/exceptions';
import { CR0, CR4 } from '../isa/flags';
import type { Cpu, CpuStop } from '../hw/cpu/cpu';
import { Mmu } from '../hw/cpu/mmu';
import type { Probe } from '../hw/cpu/probe';
import type { Access } from '../hw/paging/access';
import type { WalkSink } from '../hw/paging/trace';
import type { CpuState } from '../hw/state/cpu-state';
import { SEG, SLOT } from '../hw/state/layout';
import type { VmExit } from '../hw/state/event';
import type { Interruption } from '../hw/state/interruption';
import { Tlb } from '../hw/tlb/tlb';
import { cost } from '../host/costs';
import { step, type Work } from '../host/step';
import { completeEmulation, kvmEmulateInstruction } from './emulator/emulate';
import { Emulator } from './emulator/emulator';
import { deliverByHand } from './emulator/deliver';
import { emulateInvalidState } from './emulator/invalid-state';
import { handleEmulated } from './exits/emulated';
import { completeFastPio } from './exits/io';
import { INTERRUPT_WAITS, KICK_VECTOR } from './kick';
import { reloadRoot } from './mmu/shadow/load-root';
import { REENTER, internalError, toUserspace, type Handled } from './userspace-exit';
import { VcpuContext, type VcpuContextState, type VcpuOptions } from './vcpu-context';
import type { Vm } from './vm';
import { emulationRequired } from './vmx/guest-state';
import { loadPdptrs } from './x86/control-registers';
import { loadSregs, type Sregs } from './x86/sregs';

const RSP = 4;
/** A row of TLB words that no CPU has: for walks that cache nothing. */
const NO_TLB_ROW = 8;

/** L0 G0 … L3 G3. */
const DR7_ENABLES = 0xffn;
/** Registers that under shadow paging differ between the hardware and what the guest believes. */
const HARDWARE_SLOTS: readonly number[] = [
  SLOT.CR0,
  SLOT.CR3,
  SLOT.CR4,
  SLOT.EFER,
  SLOT.PDPTE0,
  SLOT.PDPTE0 + 1,
  SLOT.PDPTE0 + 2,
  SLOT.PDPTE0 + 3,
];

/** Where a run of the VCPU ended. 'emulated': no hardware can run the guest as it is; the work runs some instructions of it. */
export type VcpuStop = CpuStop | { readonly kind: 'emulated'; readonly work: Work<Handled> };

/** What an exit was, as VMCS or VMCB records it. */
export interface ExitInfo {
  /** Basic exit reason and its name. */
  readonly reason: number;
  readonly name: string;
  /** Exit qualification, or EXITINFO1 of SVM. */
  readonly qualification: bigint;
  /** EXITINFO2 of SVM. */
  readonly info2?: bigint;
  readonly gpa: Gpa | undefined;
  readonly gva: Gva | undefined;
  /** Guest RIP at the exit, an offset in CS, and the linear address that it means. */
  readonly rip: bigint;
  readonly linear: bigint;
  readonly instructionLength: number;
  readonly interruptionInfo: number;
  readonly interruptionErrorCode: number;
  readonly vectoringInfo: number;
}

/** What user space's answer goes to. */
export type Waiting =
  { readonly kind: 'fast-pio'; readonly input: boolean; readonly size: number } | { readonly kind: 'emulation' };

/** One virtual CPU: KVM_RUN in its parts, so that whoever drives it can stop between any two of them. */
export class Vcpu {
  readonly context: VcpuContext;
  readonly emulator: Emulator;
  waiting: Waiting | undefined;
  private inGuest = false;
  /** The guest's state is none that VM entry takes: the emulator runs it (vmx->emulation_required). */
  private emulating = false;
  /** The place whose breakpoint was reported while emulating. */
  private passed: { readonly linear: bigint; readonly instructions: bigint } | undefined;

  constructor(
    readonly vm: Vm,
    readonly cpu: Cpu,
    readonly id: number,
    options: VcpuOptions,
  ) {
    this.context = new VcpuContext(vm, cpu, id, options);
    this.emulator = new Emulator(this.context);
    vm.addVcpu(this);
  }

  /** kvm_vcpu_kick: an IPI to the CPU, if it runs the guest. */
  kick(): boolean {
    if (this.inGuest) this.cpu.state.set32(SLOT.PENDING_INTR, INTERRUPT_WAITS | KICK_VECTOR);
    return this.inGuest;
  }
  /** What the hardware has logged goes into the dirty bitmaps. In the kernel a kick makes the CPU exit first; here it stands still meanwhile. */
  drainLog(): void {
    this.context.ops.drainLog();
  }

  /** Whether the CPU holds the guest's registers now (VMX non-root operation). */
  get running(): boolean {
    return this.inGuest;
  }
  /** Instructions that completed for the guest: retired by hardware, or done by KVM in its place. */
  get instructions(): bigint {
    return this.cpu.retired + BigInt(this.context.emulated);
  }

  /** KVM_SET_REGS and KVM_SET_SREGS: before the first entry. */
  setRegisters(sregs: Sregs): void {
    loadSregs(this.context, sregs);
    this.context.ops.takeAccesses();
  }

  /**
   * vcpu_enter_guest up to VMRESUME or VMRUN: carries out flushes, injects what waits, loads what hardware does not, and enters.
   * 'reenter' means entered.
   */
  *enter(): Work<Handled> {
    const { context: v, cpu } = this;
    const { ops } = v;
    for (;;) {
      if (v.events.tripleFault) return toUserspace({ reason: 'KVM_EXIT_SHUTDOWN' });
      if (v.apf) yield* v.apf.beforeEntry();
      const unloaded = yield* reloadRoot(v);
      if (unloaded) return unloaded;
      yield* this.flush();
      yield* ops.beforeEntry();
      v.lapic.checkTimer();
      const injected = yield* v.events.inject(ops, v.lapic);
      if (injected === 'interrupt') v.stats.add('irq_injections');
      if (injected === 'nmi') v.stats.add('nmi_injections');
      if (!this.requested) break;
      // kvm_vcpu_exit_request: what the host asked for meanwhile is carried out first
      v.events.cancelInjection(ops);
      yield v.step(
        'kvm_vcpu_exit_request',
        'the host has taken entries away meanwhile: the entry is prepared once more',
        cost('kvmHandler'),
      );
    }
    this.emulating = emulationRequired(v);
    if (this.emulating) {
      // no VM entry will inject it
      const event = ops.takeInjected();
      return event ? yield* this.emulatedDelivery(event) : REENTER;
    }
    const guest = v.saved;
    const s = cpu.state;
    for (let i = 0; i < 16; i++) if (i !== RSP) s.set(i, guest.get(i));
    s.set(SLOT.CR8, guest.get(SLOT.CR8));
    s.set(SLOT.LAST_EVENT, guest.get(SLOT.LAST_EVENT));
    // KVM_DEBUGREG_BP_ENABLED: breakpoints that the guest has set must strike
    if ((guest.get(SLOT.DR7) & DR7_ENABLES) !== 0n)
      for (let i = SLOT.DR0; i < SLOT.DR0 + 4; i++) s.set(i, guest.get(i));
    // kvm_load_guest_fpu and kvm_load_guest_xsave_state
    s.fp.set(guest.fp);
    s.set(SLOT.XCR0, guest.get(SLOT.XCR0));
    const entered = ops.enter();
    if (!entered.ok) {
      const { why, hardwareReason, unmet } = entered;
      yield v.step(`${ops.name}_vcpu_enter_exit`, `the VM entry fails: ${why}`, cost('vmEntry'));
      return toUserspace({ reason: 'KVM_EXIT_FAIL_ENTRY', hardwareReason, why, unmet });
    }
    this.inGuest = true;
    yield step('cpu', 'non-root', entered.how, `enters the guest at RIP ${hex(s.rip)}`, cost('vmEntry'), {
      vmcs: ops.takeAccesses(),
    });
    return REENTER;
  }

  /** Runs the guest. After an exit the guest's general registers are in the save area, where KVM's exit code puts them. */
  runGuest(budget: number): VcpuStop {
    if (this.emulating) {
      const linear = this.emulatedBreakpoint();
      if (linear === undefined) return { kind: 'emulated', work: emulateInvalidState(this, budget) };
      this.passed = { linear, instructions: this.instructions };
      return { kind: 'breakpoint', linear };
    }
    invariant(this.inGuest, 'a VCPU runs after it was entered');
    const stop = this.context.ops.runGuest(budget);
    if (stop.kind === 'exit') this.saveGuest();
    return stop;
  }

  /** The exit as the hardware records it; meaningful from an exit to the next entry. */
  exitInfo(): ExitInfo {
    return this.context.ops.exitInfo();
  }

  /** kvm_x86_ops.handle_exit. */
  *handleExit(): Work<Handled> {
    const { context: v } = this;
    const { ops } = v;
    const info = ops.exitInfo();
    v.stats.add('exits');
    yield* ops.atExit(info);
    v.events.complete(ops);
    yield* ops.tellExit(info);
    const vectoring = v.events.vectoring;
    if (vectoring && !ops.mayInterruptDelivery(info.reason)) {
      return internalError('DELIVERY_EV', `${info.name} while ${vectorName(vectoring.vector)} was being delivered`);
    }
    return yield* ops.handleExit(this, info);
  }

  /** kvm_emulate_instruction: the instruction at RIP. */
  emulate(): Work<Handled> {
    return kvmEmulateInstruction(this);
  }

  /** A sensitive instruction in the emulator: done as the exit that it would have been. */
  *handleIntercepted(exit: VmExit): Work<Handled> {
    const { context: v } = this;
    v.emulatedExit = exit;
    const handled = yield* handleEmulated(this, exit);
    v.emulatedExit = undefined;
    return handled;
  }

  /** The breakpoint that the guest stands at while the emulator runs it, unless it was told already. */
  emulatedBreakpoint(): bigint | undefined {
    const { breakpoints } = this.cpu;
    if (breakpoints.size === 0) return undefined;
    const { regs } = this.context;
    const linear = regs.mode64 ? regs.rip : BigInt.asUintN(32, regs.rip + regs.segment(SEG.CS).base);
    const told = this.passed?.linear === linear && this.passed.instructions === this.instructions;
    return breakpoints.has(linear) && !told ? linear : undefined;
  }

  /** complete_userspace_io: the next KVM_RUN after an exit that wanted data. */
  *complete(value: bigint): Work<Handled> {
    const waiting = this.waiting;
    this.waiting = undefined;
    if (!waiting) return REENTER;
    switch (waiting.kind) {
      case 'fast-pio':
        return yield* completeFastPio(this, waiting.input, waiting.size, value);
      case 'emulation':
        return yield* completeEmulation(this, value);
    }
  }

  // ---- looking at the guest at any time

  /** The guest's registers: the CPU's own while it runs the guest, else a copy put together from VMCS or VMCB and save area (writes to it need `commitRegisters`). */
  registers(): CpuState {
    if (this.inGuest && !this.vm.shadow) return this.cpu.state;
    if (this.inGuest) return this.believed();
    this.context.ops.looking.loadInto(this.context.view);
    return this.context.view;
  }
  /**
   * Puts edited registers back: general ones, RIP, RFLAGS, CR2, CR3 with the PDPTEs that it leads to (KVM_SET_SREGS loads them), CR8. CR0, CR4 and EFER stay as they are. Editing drops no
   * translation and changes no table.
   */
  commitRegisters(): void {
    const { context: v } = this;
    const { regs, view, ops } = v;
    if (this.inGuest && !this.vm.shadow) {
      this.cpu.mmu.controlsChanged();
      return;
    }
    if (this.inGuest) this.putBelieved();
    else regs.storeFrom(view);
    const cr3 = view.get(SLOT.CR3);
    if (cr3 !== regs.cr3) {
      regs.cr3 = cr3;
      if (bit(regs.cr0, CR0.PG) && bit(regs.cr4, CR4.PAE) && !regs.longMode) loadPdptrs(v, cr3);
    }
    v.saved.set(SLOT.CR8, view.get(SLOT.CR8));
    ops.takeAccesses();
  }

  /** While hardware runs the guest on shadow tables: its registers with the control registers that it believes it has. */
  private believed(): CpuState {
    const { view, ops } = this.context;
    const { cpu } = this;
    const { looking } = ops;
    view.copyFrom(cpu.state);
    for (const cr of [0, 4] as const) view.set(cr === 0 ? SLOT.CR0 : SLOT.CR4, cpu.vmx.intercepts.readControl(cpu, cr));
    view.set(SLOT.CR3, looking.cr3);
    view.set(SLOT.EFER, looking.efer);
    looking.pdptes.forEach((p, i) => view.set(SLOT.PDPTE0 + i, p));
    return view;
  }
  /** Puts an edited view back into the running CPU. The hardware's control registers stay; a kick makes KVM load what the guest's have become. */
  private putBelieved(): void {
    const { view } = this.context;
    const s = this.cpu.state;
    const kept = HARDWARE_SLOTS.map((slot) => s.get(slot));
    s.copyFrom(view);
    HARDWARE_SLOTS.forEach((slot, i) => s.set(slot, kept[i] as bigint));
    this.cpu.mmu.controlsChanged();
    this.kick();
  }

  /** The walk of `linear` as the guest's next access would make it, changing and counting nothing, whether or not an exit is being handled. */
  probe(linear: bigint, access: Access, sink?: WalkSink): Probe {
    if (this.inGuest) return this.cpu.mmu.probeWalk(linear, access, sink);
    const { memory } = this.vm.kernel;
    const mmu = new Mmu(this.registers(), memory, new Tlb(memory, NO_TLB_ROW, 0, 0), this.context.model);
    mmu.setSecondLevel(this.vm.mmu.tables, this.context.vpid);
    return mmu.probeWalk(linear, access, sink);
  }

  save(): VcpuState {
    return {
      context: this.context.save(),
      emulator: this.emulator.save(),
      waiting: this.waiting,
      inGuest: this.inGuest,
      emulating: this.emulating,
    };
  }
  /** The CPU and memory, which hold VMCS and registers, are restored by their owners before this. */
  restore(s: VcpuState): void {
    this.context.restore(s.context);
    this.emulator.restore(s.emulator);
    this.waiting = s.waiting;
    this.inGuest = s.inGuest;
    this.emulating = s.emulating;
    this.passed = undefined;
  }

  // ---- inside

  private *emulatedDelivery(event: Interruption): Work<Handled> {
    const handled = yield* deliverByHand(this, event);
    const { events, regs, lapic } = this.context;
    // what came up instead is due now
    return handled.kind === 'reenter' && (events.tripleFault || events.runnable(regs, lapic))
      ? yield* this.enter()
      : handled;
  }

  /** kvm_request_pending, as far as requests may come from outside while an entry is prepared: a flush, or a root that is gone (KVM_REQ_MMU_FREE_OBSOLETE_ROOTS). */
  private get requested(): boolean {
    const { context: v, vm } = this;
    if (v.flushCurrent !== undefined || v.flushGuest || v.flushesSeen !== vm.flushCount) return true;
    return vm.shadow !== undefined && !emulationRequired(v) && !vm.shadow.usable;
  }

  /** KVM_REQ_TLB_FLUSH and KVM_REQ_TLB_FLUSH_GUEST. */
  private *flush(): Work<void> {
    const { context: v, vm } = this;
    if (v.flushCurrent !== undefined || v.flushesSeen !== vm.flushCount) {
      const why =
        v.flushCurrent ?? `entries of the ${vm.shadow ? 'shadow tables' : vm.mmu.format.name} were taken away`;
      v.flushesSeen = vm.flushCount;
      v.flushCurrent = undefined;
      v.stats.add('tlb_flush');
      yield* v.ops.flushCurrent(why);
    }
    if (v.flushGuest) {
      v.flushGuest = false;
      v.stats.add('tlb_flush');
      yield* v.ops.flushGuest();
    }
  }

  /** The assembly behind VMRESUME and VMRUN (vmenter.S) and the end of vmx_vcpu_run and svm_vcpu_run: what hardware does not save. */
  private saveGuest(): void {
    const { context: v, cpu } = this;
    this.inGuest = false;
    const guest = v.saved;
    const s = cpu.state;
    for (let i = 0; i < 16; i++) if (i !== RSP) guest.set(i, s.get(i));
    guest.fp.set(s.fp);
    guest.set(SLOT.LAST_EVENT, s.get(SLOT.LAST_EVENT));
    v.ops.saveGuest();
    if (v.debugRegistersLoaded) {
      // sync_dirty_debug_regs: the guest owned them since its MOV DR
      for (let i = 0; i < 4; i++) guest.set(SLOT.DR0 + i, s.get(SLOT.DR0 + i));
      guest.set(SLOT.DR7, v.regs.dr7);
      v.debugRegistersLoaded = false;
      v.ops.interceptDebugRegisters(true);
      v.ops.takeAccesses();
    }
  }
}

export interface VcpuState {
  readonly context: VcpuContextState;
  readonly emulator: ReturnType<Emulator['save']>;
  readonly waiting: Waiting | undefined;
  readonly inGuest: boolean;
  readonly emulating: boolean;
}
